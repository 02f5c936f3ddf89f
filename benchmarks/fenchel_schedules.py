"""Fixed Fenchel weights against schedules that raise them, on three data sets: test R2 of the fenchel loop.

python benchmarks/fenchel_schedules.py [--seeds 0 1 2] [--max-cycles 200] [--json FILE]

Every run begins at the same random rows. "Continuation" and "dual ascent" begin with the weight of the first row and
their defaults. The group lasso is off, and the ridges are 1e-3 on standardised data. Beside each the prox-linear loop,
which has no such weight. "Off equilibrium" is how far the loop's own states end from it: the mean divergence of the
hidden features, in shares of half their squares, at the loop's last cycle.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

import bcd_implicit as bi
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.training.fenchel_weights import relative_divergences

N_HIDDEN = 10


def column_sparse(seed: int) -> tuple[np.ndarray, np.ndarray]:
    data = bi.datasets.make_column_sparse(n_samples=800, n_outputs=20, n_informative=10, noise=0.05, random_state=seed)
    return data.U, data.Y


def friedman(seed: int) -> tuple[np.ndarray, np.ndarray]:
    U, y = make_friedman1(n_samples=2000, noise=1.0, random_state=seed)
    return U, y[:, None]


def diabetes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    U, y = load_diabetes(return_X_y=True)
    return U, y[:, None]


DATA: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "column-sparse": column_sparse,
    "friedman1": friedman,
    "diabetes": diabetes,
}
WAYS: dict[str, dict[str, Any]] = {
    "weight 1": {},
    "weight 10": {"weight": 10.0},
    "weight 100": {"weight": 100.0},
    "continuation": {"fenchel_schedule": "continuation"},
    "dual ascent": {"fenchel_schedule": "dual-ascent"},
    "prox-linear": {"method": "prox-linear"},
}


def run(name: str, seed: int, way: str, max_cycles: int) -> dict[str, Any]:
    """One fit, and its score on half of the rows."""
    U, U_test, Y, Y_test = train_test_split(*DATA[name](seed), test_size=0.5, random_state=seed)
    scales = Standardization.fit(U, Y)
    options = {"method": "fenchel"} | WAYS[way]
    problem = bi.TrainingProblem(
        *scales.apply(U, Y),
        N_HIDDEN,
        kappa=0.0,
        ridge=1e-3,
        ridge_hidden=1e-3,
        fenchel_weight=options.pop("weight", 1.0),
    )
    seen: list[bi.Iterate] = []
    start = time.process_time()
    result = bi.solve(
        problem,
        max_cycles=max_cycles,
        random_state=seed,
        tol=1e-4,
        callback=lambda cycle, _, it: seen.append(it),
        **options,
    )
    seconds = time.process_time() - start
    predicted = scales.raw_model(result.model).predict(U_test)
    return {
        **{"data": name, "seed": seed, "way": way, "seconds": seconds, "cycles": result.n_cycles},
        "r2": r2_score(Y_test, predicted, multioutput="variance_weighted"),
        "objective": result.objective,
        "weights": result.problem.fenchel_weights[[0, -1]].tolist(),
        "off": float(np.mean(relative_divergences(problem, seen[-1]))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-cycles", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    table = Table("data", "weights", "test R2", "(T) at the end", "off equilibrium", "cycles", "seconds")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        for name in DATA:
            for way in WAYS:
                those = [run(name, seed, way, options.max_cycles) for seed in options.seeds]
                rows += those
                mean = {
                    key: float(np.mean([row[key] for row in those])) for key in those[0] if key not in ("data", "way")
                }
                table.add_row(
                    *(name, way, f"{mean['r2']:.3f}", f"{mean['objective']:.4f}", f"{mean['off']:.1e}"),
                    *(f"{mean['cycles']:.0f}", f"{mean['seconds']:.1f}"),
                )
    Console().print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
