"""Seconds, gap and violation of every block with every solver, in one run: ``make bench``.

    python benchmarks/blocks.py [--sizes 10,50,100,400 ...] [--repeat 3] [--json FILE]

A size is n,p,q,m. Times include building and compiling the CVXPY problem. The last table compares data as constants
with data as ``cp.Parameter`` for the hidden block, the reason for the former.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import cvxpy as cp
import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

import bcd_implicit as bi


def problem_at(size: tuple[int, int, int, int]) -> tuple[bi.TrainingProblem, bi.Iterate]:
    """Column-sparse data and an iterate after two fenchel cycles, where every block has work to do."""
    n, p, q, m = size
    data = bi.datasets.make_column_sparse(m, p, q, 20, min(10, p), noise=0.1, random_state=0)
    problem = bi.TrainingProblem(data.U, data.Y, n, kappa=0.05, pass_through=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)  # two cycles are what is wanted
        states: list[bi.Iterate] = []
        bi.solve(problem, "fenchel", max_cycles=2, tol=0.0, callback=lambda cycle, value, it: states.append(it))
    return problem, states[-1]


def measure(size: tuple[int, int, int, int], repeat: int) -> list[dict]:
    problem, it = problem_at(size)
    rows = []
    for block in bi.BLOCKS:
        for solver in bi.SOLVERS:
            seconds, solution = [], None
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", bi.ConvergenceWarning)  # the table shows the gap
                for _ in range(repeat):
                    try:
                        solution = bi.solve_block(problem, it, block, solver)
                    except bi.BlockSolveError as error:
                        rows.append({"size": size, "block": block, "solver": solver, "status": error.status})
                        break
                    seconds.append(solution.seconds)
            if solution is not None:
                certificate = solution.certificate
                rows.append(
                    {
                        "size": size,
                        "block": block,
                        "solver": solver,
                        "status": solution.status,
                        "seconds": float(np.median(seconds)),
                        "relative_gap": certificate.relative_gap,
                        "violation": certificate.violation,
                    }
                )
    return rows


def compile_times(n: int = 10, p: int = 50, m: int = 400) -> dict[str, float]:
    """Seconds that CVXPY takes to compile the hidden block for SCS."""
    rng = np.random.default_rng(0)
    X, U = np.abs(rng.standard_normal((n, m))), rng.standard_normal((p, m))
    times = {}
    for kind in ("constants", "parameters"):
        data = [X, U] if kind == "constants" else [cp.Parameter(x.shape, value=x) for x in (X, U)]
        A, B, b = cp.Variable((n, n)), cp.Variable((n, p)), cp.Variable((n, 1))
        Z = A @ data[0] + B @ data[1] + b @ np.ones((1, m))
        fit = 0.5 * cp.sum_squares(cp.pos(Z)) - (
            cp.sum(cp.multiply(data[0], Z)) if kind == "constants" else cp.sum(cp.multiply(X, Z))
        )
        posed = cp.Problem(cp.Minimize(fit / m + 0.1 * cp.sum(cp.norm(B, 2, axis=0))), [cp.norm1(A, axis=1) <= 0.5])
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CVXPY's word on too many parameters is what is measured here
            posed.get_problem_data("SCS")
        times[kind] = time.perf_counter() - start
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", nargs="+", default=["5,20,10,200", "10,50,100,400", "20,50,100,400"], metavar="n,p,q,m"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    sizes = [tuple(int(k) for k in text.split(",")) for text in options.sizes]
    console, rows = Console(width=110), []
    with threadpool_limits(1, "blas"):
        for size in sizes:
            rows += measure(size, options.repeat)  # type: ignore[arg-type]
        compile_seconds = compile_times()
    table = Table("n, p, q, m", "block", "solver", "status", "seconds", "relative gap", "violation")
    for row in rows:
        numbers = (
            [f"{row['seconds']:.3f}", f"{row['relative_gap']:.1e}", f"{row['violation']:.1e}"]
            if "seconds" in row
            else []
        )
        table.add_row(", ".join(map(str, row["size"])), row["block"], row["solver"], row["status"], *numbers)
    console.print(table)
    ratio = compile_seconds["parameters"] / compile_seconds["constants"]
    console.print(
        f"compiling the hidden block at (n, p, m) = (10, 50, 400): constants {compile_seconds['constants']:.3f} s, "
        f"parameters {compile_seconds['parameters']:.3f} s, ratio {ratio:.0f}"
    )
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"blocks": rows, "compile": compile_seconds}, file, indent=1)


if __name__ == "__main__":
    main()
