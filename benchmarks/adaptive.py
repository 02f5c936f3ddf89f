"""Adaptive reweighting: does a second path, with weights from the first, hold the true support more often?

    python benchmarks/adaptive.py [--seeds 0 1 ...] [--n-jobs 2]

The second path is that of :meth:`PathResult.reweighted`. Shown is on how many paths one of the supports is
exactly the true one, and by how many inputs the nearest support is wrong on average.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

import bcd_implicit as bi
from bcd_implicit.datasets import make_column_sparse
from bcd_implicit.support.parallel import in_parallel

FAMILIES = ["noise 2", "50 samples", "friedman1, 200 samples, 15 inputs"]


def draw(family: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if family.startswith("friedman1"):
        U, y = make_friedman1(200, n_features=15, noise=1.0, random_state=seed)
        return scale(U), scale(y), np.arange(15) < 5
    data = make_column_sparse(
        **({"noise": 2.0} if family == "noise 2" else {"noise": 0.5, "n_samples": 50}), random_state=seed
    )
    return data.U, data.Y, data.support


def distance(path: bi.PathResult, true: np.ndarray) -> int:
    """How many inputs the nearest support is wrong by."""
    return int((path.supports != true).sum(axis=1).min())


def run(family: str, seed: int) -> tuple[int, int]:
    warnings.simplefilter("ignore", bi.ConvergenceWarning)
    U, Y, true = draw(family, seed)
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 10, pass_through=False), random_state=seed)
    return distance(path, true), distance(path.reweighted(random_state=seed), true)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)), metavar="SEED")
    parser.add_argument("--n-jobs", type=int, default=1)
    options = parser.parse_args()
    table = Table("family", "plain: exact", "wrong", "adaptive: exact", "wrong")
    for family in FAMILIES:
        found = np.array(list(in_parallel(run, [(family, seed) for seed in options.seeds], options.n_jobs)))
        cells = [
            f"{f(found[:, k])}"
            for k in (0, 1)
            for f in (lambda x: f"{(x == 0).sum()} of {len(x)}", lambda x: f"{x.mean():.1f}")
        ]
        table.add_row(family, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
