"""The gradient loop: its settings, the cost of a step, and what it is worth as a start for the prox-linear loop.

python benchmarks/gradient_loop.py [--seeds 0 1 2] [--json FILE]

friedman1 (1050 samples, noise 1, 20 hidden features, norm bound 0.9, kappa 0.01; 10,000 samples for the starts) and the
column-sparse data (10 hidden features, kappa 2). (T) is the mean over the seeds, lower is better; seconds are the
processor's, and with them the milliseconds of a step, all else in a cycle included.
"""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.datasets import make_friedman1

import bcd_implicit as bi
from bcd_implicit.training.optimizers import Moments


def friedman(seed: int, n_samples: int = 1050) -> bi.TrainingProblem:
    U, y = make_friedman1(n_samples, n_features=10, noise=1.0, random_state=seed)
    U, y = (U - U.mean(axis=0)) / U.std(axis=0), (y - y.mean()) / y.std()
    return bi.TrainingProblem(U, y, 20, norm_bound=0.9, kappa=0.01)


def column_sparse(seed: int) -> bi.TrainingProblem:
    data = bi.datasets.make_column_sparse(random_state=seed)
    return bi.TrainingProblem(data.U, data.Y, 10, kappa=2.0, pass_through=False)


# The data, and the steps of a run.
DATA = {"friedman1": (friedman, 2000), "column-sparse": (column_sparse, 2000)}
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "jacobian-free": {"gradient": "jacobian-free"},
    "neumann, 5 terms": {"gradient": "neumann"},
    "constant rate": {"schedule": "constant"},
    "cosine": {"schedule": "cosine"},
    "halved after one cycle": {"patience": 1},
    "moments begun anew at a new scale": {"forget": True},
    "sgd, rate 0.1": {"optimizer": "sgd", "learning_rate": 0.1},
    "sgd, rate 0.01": {"optimizer": "sgd"},
    "all samples": {"batch_size": None},
    "all samples, jacobian-free": {"batch_size": None, "gradient": "jacobian-free"},
    "all samples, sgd, rate 0.1": {"batch_size": None, "optimizer": "sgd", "learning_rate": 0.1},
}


def forgetting(moments: Moments, factors: np.ndarray) -> Moments:
    """Moments that are begun anew where the scale changes, which the package itself never does."""
    return moments if (factors == 1).all() else Moments.none(len(factors))


def run(problem: bi.TrainingProblem, seed: int, n_steps: int, setting: dict[str, Any]) -> dict[str, Any]:
    """A run of so many steps that nothing else ends."""
    options = dict(setting)
    patience, forget = options.pop("patience", None), options.pop("forget", False)
    a_cycle = 20 if options.get("batch_size", 64) is None else -(-problem.n_samples // 64)
    where = "bcd_implicit.training"
    with (
        mock.patch(f"{where}.gradient_cycle.PATIENCE", patience) if patience else nullcontext(),
        mock.patch(f"{where}.optimizers.Moments.scaled", forgetting) if forget else nullcontext(),
    ):
        start = time.process_time()
        result = bi.solve(
            problem,
            "gradient",
            max_cycles=n_steps // a_cycle,
            tol=0.0,
            block_tol=None,
            random_state=seed,
            **options,
        )
        seconds = time.process_time() - start
    return {
        "objective": result.objective,
        "seconds": seconds,
        "milliseconds_a_step": 1000 * seconds / (a_cycle * result.n_cycles),
        "n_selected": int(problem.selected(result.iterate).sum()),
    }


def starts(seed: int) -> dict[str, dict[str, Any]]:
    """The prox-linear loop from its own start, and from where some epochs of the gradient loop led."""
    problem, found = friedman(seed, 10_000), {}
    for epochs in (0, 3, 10):
        start, it = time.process_time(), None
        if epochs:
            it = bi.solve(problem, "gradient", max_cycles=epochs, block_tol=None, random_state=seed)
        began = time.process_time() - start
        result = bi.solve(problem, start=it, random_state=seed, tol=1e-4)
        seconds = time.process_time() - start
        name = f"after {epochs} epochs" if epochs else "from its own start"
        found[name] = {
            "objective": result.objective,
            "seconds": seconds,
            "seconds_before": began,
            "objective_before": it.objective if it else None,
            "n_cycles": result.n_cycles,
            "status": result.status.name,
        }
    return found


def mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    table = Table("setting, 2000 steps", *DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        for name, setting in SETTINGS.items():
            cells = []
            for data, (make, n_steps) in DATA.items():
                those = [run(make(seed), seed, n_steps, setting) for seed in options.seeds]
                rows += [
                    {"setting": name, "data": data, "seed": s} | r for s, r in zip(options.seeds, those, strict=True)
                ]
                cost = f"{mean(those, 'milliseconds_a_step'):.2f} ms"
                cells.append(f"{mean(those, 'objective'):.4g}, {cost}, {mean(those, 'n_selected'):.0f} inputs")
            table.add_row(name, *cells)
        Console().print(table)
        by_seed = [starts(seed) for seed in options.seeds]
    table = Table("prox-linear, 10,000 samples", "(T) before", "(T)", "seconds", "of these before", "cycles")
    for name in by_seed[0]:
        those = [found[name] for found in by_seed]
        rows += [{"start": name, "seed": s} | r for s, r in zip(options.seeds, those, strict=True)]
        before = f"{mean(those, 'objective_before'):.4g}" if those[0]["objective_before"] else ""
        numbers = [f"{mean(those, key):.4g}" for key in ("objective", "seconds", "seconds_before", "n_cycles")]
        table.add_row(name, before, *numbers)
    Console().print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
