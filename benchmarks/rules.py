"""The rules that choose a support from a path, compared on data whose inputs that matter are known.

    python benchmarks/rules.py [--families "noise 1" ...] [--seeds 0 1 2 ...] [--n-jobs 2] [--json FILE]

One path a case; every rule then looks at the same evidence. For each rule: the number of seeds with exactly the true
inputs, with the mean number of missed and of false ones in brackets; then the same after the score test, which takes
inputs in and lets others go. "on the path" counts the seeds whose path holds the true support at some kappa.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.datasets import make_friedman1

import bcd_implicit as bi
from bcd_implicit.selection.adjustment import polish
from bcd_implicit.selection.choose import RIDGE_FACTORS
from bcd_implicit.selection.evidence import Evidence, Settings
from bcd_implicit.selection.rules import RULES
from bcd_implicit.support.parallel import in_parallel

FAMILIES: dict[str, dict[str, Any]] = {
    "noise 0": {},
    "noise 0.5": {"noise": 0.5},
    "noise 1": {"noise": 1.0},
    "even": {"make": bi.datasets.make_even},
    "D sparse": {"noise": 0.05, "pass_through": True},
    "AR(1) 0.5": {"noise": 0.05, "correlation": 0.5},
    "AR(1) 0.8": {"noise": 0.05, "correlation": 0.8},
    "n guessed 5": {"noise": 0.05, "n_hidden": 5},
    "100 samples": {"noise": 0.5, "n_samples": 100},
    "friedman1": {"friedman": True},
    "no signal": {"shuffled": True},
}


def draw(family: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Inputs, targets, the true support, and the problem's options."""
    options = dict(FAMILIES[family])
    if options.pop("friedman", False):
        U, y = make_friedman1(400, 20, noise=1.0, random_state=seed)
        return (U - U.mean(axis=0)) / U.std(axis=0), (y - y.mean()) / y.std(), np.arange(20) < 5, {"n_hidden": 10}
    told = {"n_hidden": options.pop("n_hidden", 10), "pass_through": options.get("pass_through", False)}
    shuffled = options.pop("shuffled", False)
    data = options.pop("make", bi.datasets.make_column_sparse)(random_state=seed, **options)
    if shuffled:
        rng = np.random.default_rng(seed)
        return data.U, rng.standard_normal((len(data.U), 5)), np.zeros(data.U.shape[1], dtype=bool), told
    return data.U, data.Y, data.support, told


def judge(family: str, seed: int) -> dict[str, Any]:
    """Every rule on one path: missed and false inputs before and after the score test, and seconds."""
    warnings.simplefilter("ignore", bi.ConvergenceWarning)  # a path's cycles are few by intent
    U, Y, true, told = draw(family, seed)
    problem = bi.TrainingProblem(U, Y, **{"pass_through": False} | told)
    start = time.perf_counter()
    path = bi.kappa_path(problem, random_state=seed)
    seconds = {"path": time.perf_counter() - start}
    ridges = [factor * problem.ridge_hidden for factor in RIDGE_FACTORS]
    options = path.solve_options | {"method": "prox-linear", "max_cycles": 100, "tol": 1e-2}
    evidence = Evidence(path, Settings(3, max(10, len(U) // 3), 10, seed, None, ridges, options))
    row: dict[str, Any] = {"family": family, "seed": seed, "on_path": bool((path.supports == true).all(axis=1).any())}
    for name, rule in RULES.items():
        start = time.perf_counter()
        support = rule(evidence).support
        seconds[name] = time.perf_counter() - start
        polished = polish(evidence, support, 0.05)
        row[name] = [int((true & ~s).sum()) for s in (support, polished)]
        row[name] += [int((s & ~true).sum()) for s in (support, polished)]
    return row | {"seconds": seconds}


def show(rows: list[dict[str, Any]], families: list[str]) -> Table:
    table = Table("rule", *families)
    by_family = [[row for row in rows if row["family"] == family] for family in families]
    table.add_row("on the path", *(f"{sum(r['on_path'] for r in part)} of {len(part)}" for part in by_family))
    table.add_section()
    for after, title in ((0, ""), (1, ", score test")):
        for name in RULES:
            cells = []
            for part in by_family:
                missed, false = (np.array([r[name][k + after] for r in part]) for k in (0, 2))
                exact = int(((missed == 0) & (false == 0)).sum())
                wrong = "" if exact == len(part) else f" (-{missed.mean():.1f} +{false.mean():.1f})"
                cells.append(f"{exact}{wrong}")
            table.add_row(name + title, *cells)
        table.add_section()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(20)), metavar="SEED")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    console = Console(width=200)
    jobs = [(family, seed) for seed in options.seeds for family in options.families]
    rows = []
    for row in in_parallel(judge, jobs, options.n_jobs, lambda share, text: console.print(text, highlight=False)):
        rows.append(row)
        if options.json:
            write_results(options.json, rows)
    console.print(show(rows, options.families))


if __name__ == "__main__":
    main()
