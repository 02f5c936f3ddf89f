"""Training with ||A||_inf bounded, and in the larger set where the matrix measure of A is: (T) at the end, test R2.

python benchmarks/measure.py [--seeds 0 1 2] [--norm-bounds 0 0.5 0.9 0.99] [--max-cycles 200] [--json FILE]

prox-linear on standardised data, half of the rows held out. Every model of the ball is one of the measure's set, so
that a run which begins at the ball's result ("warm") cannot end above it. "Again" is the ball's own run from there, to
tell what the larger set brings from what more cycles do. The run from the same random rows as the ball's ("cold") may
end above it: neither problem is convex. "Cold above" counts those that end higher by more than a thousandth, "norm" and
"lowest A_ii" are means of what the warm models have, and each run's gap is certified.
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

Arrays = tuple[np.ndarray, np.ndarray]
N_HIDDEN = 10
WAYS = ("ball", "again", "warm", "cold")
# A cold run that ends higher than the ball's by more than this share is counted.
HIGHER = 1e-3


def friedman(seed: int) -> Arrays:
    U, y = make_friedman1(n_samples=2000, noise=1.0, random_state=seed)
    return U, y[:, None]


def column_sparse(seed: int) -> Arrays:
    data = bi.datasets.make_column_sparse(n_samples=800, random_state=seed)
    return data.U, data.Y


def diabetes(seed: int) -> Arrays:
    U, y = load_diabetes(return_X_y=True)
    return U, y[:, None]


DATA: dict[str, tuple[Callable[[int], Arrays], dict[str, Any]]] = {
    "friedman1": (friedman, {"kappa": 0.01, "ridge": 1e-3}),
    "column-sparse": (column_sparse, {"kappa": 0.5, "pass_through": False}),
    "diabetes": (diabetes, {"kappa": 0.01, "ridge": 1e-2}),
}


def run(name: str, seed: int, norm_bound: float, max_cycles: int) -> dict[str, Any]:
    """The four runs."""
    make, settings = DATA[name]
    U, U_test, Y, Y_test = train_test_split(*make(seed), test_size=0.5, random_state=seed)
    scales = Standardization.fit(U, Y)
    ball = bi.TrainingProblem(*scales.apply(U, Y), N_HIDDEN, norm_bound=norm_bound, **settings)
    measure = ball.replace(well_posedness="measure")
    found: dict[str, Any] = {"data": name, "seed": seed, "norm_bound": norm_bound}
    first = None
    for way in WAYS:
        problem = ball if way in ("ball", "again") else measure
        begun = time.process_time()
        start = first if way in ("again", "warm") else None
        result = bi.solve(problem, max_cycles=max_cycles, tol=1e-4, random_state=seed, start=start)
        first = first or result.model
        predicted = scales.raw_model(result.model).predict(U_test)
        found[way] = {
            "objective": result.objective,
            "r2": r2_score(Y_test, predicted, multioutput="variance_weighted"),
            "cycles": result.n_cycles,
            "seconds": time.process_time() - begun,
            "gap": max(certificate.relative_gap for certificate in result.certificates.values()),
            "violation": problem.violation(result.iterate),
            "norm": result.model.norm_inf(),
            "measure": result.model.measure_inf(),
            "lowest": float(np.diagonal(result.iterate.A).min()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--norm-bounds", nargs="+", type=float, default=[0.0, 0.5, 0.9, 0.99])
    parser.add_argument("--max-cycles", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    headings = ("data", "norm_bound", "(T): ball, again, warm, cold", "cold above", "test R2", "cycles", "seconds")
    table = Table(*headings, "norm", "lowest A_ii", "gap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        for name in DATA:
            for norm_bound in options.norm_bounds:
                those = [run(name, seed, norm_bound, options.max_cycles) for seed in options.seeds]
                rows += those
                table.add_row(name, f"{norm_bound:g}", *told(those))
    Console(width=200).print(table)
    print("worst rise of a warm run:", f"{max(r['warm']['objective'] / r['ball']['objective'] - 1 for r in rows):.1e}")
    if options.json:
        write_results(options.json, rows)


def told(those: list[dict[str, Any]]) -> list[str]:
    """The cells of a row: means over seeds, of each way in turn."""

    def mean(key: str, way: str) -> float:
        return float(np.mean([row[way][key] for row in those]))

    def of_all(key: str, form: str) -> str:
        return ", ".join(format(mean(key, way), form) for way in WAYS)

    higher = sum(row["cold"]["objective"] > (1 + HIGHER) * row["ball"]["objective"] for row in those)
    gap = max(row[way]["gap"] for row in those for way in WAYS)
    ends = f"{mean('norm', 'warm'):.2f}", f"{mean('lowest', 'warm'):.2f}", f"{gap:.0e}"
    rest = [of_all(key, form) for key, form in (("r2", ".3f"), ("cycles", ".0f"), ("seconds", ".1f"))]
    return [of_all("objective", ".4f"), f"{higher} of {len(those)}", *rest, *ends]


if __name__ == "__main__":
    main()
