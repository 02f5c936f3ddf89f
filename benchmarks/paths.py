"""The kappa path of the demo, native against CVXPY's solvers, in one run: seconds, ratio, and whether they agree.

    python benchmarks/paths.py [--methods prox-linear fenchel] [--solvers cvxpy] [--seed 0] [--json FILE]

"cvxpy" takes for each block the conic solver that is fastest there. The path is the demo's on column-sparse data,
without the choice of kappa that follows it.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results

import bcd_implicit as bi


def walk(method: str, solver: str, seed: int) -> tuple[float, bi.PathResult]:
    data = bi.datasets.make_column_sparse(random_state=seed)
    problem = bi.TrainingProblem(data.U, data.Y, 10, pass_through=False)
    start = time.perf_counter()
    path = bi.kappa_path(problem, n_kappas=20, random_state=seed, method=method, solver=solver)
    return time.perf_counter() - start, path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["prox-linear", "fenchel"])
    parser.add_argument("--solvers", nargs="+", default=["cvxpy"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore", bi.ConvergenceWarning)  # a path's cycles are few by intent
    table = Table(
        "method", "solver", "seconds", "ratio", "cycles", "kappas with the same support", "objectives differ by"
    )
    rows = []
    for method in options.methods:
        native_seconds, native = walk(method, "native", options.seed)
        for solver in ("native", *options.solvers):
            seconds, path = (native_seconds, native) if solver == "native" else walk(method, solver, options.seed)
            both = min(len(path.kappas), len(native.kappas))
            same = int((path.supports[:both] == native.supports[:both]).all(axis=1).sum())
            ours, theirs = (np.array([r.objective for r in p.results[:both]]) for p in (native, path))
            rows.append(
                {
                    "method": method,
                    "solver": solver,
                    "seconds": seconds,
                    "ratio": seconds / native_seconds,
                    "cycles": int(path.table["n_cycles"].sum()),
                    "same_supports": f"{same} of {max(len(path.kappas), len(native.kappas))}",
                    "difference": float(np.max(np.abs(ours - theirs) / theirs)),
                }
            )
            row = rows[-1]
            cells = [f"{row['seconds']:.2f}", f"{row['ratio']:.1f}", str(row["cycles"]), row["same_supports"]]
            table.add_row(method, solver, *cells, f"{row['difference']:.0e}")
    Console(width=120).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
