"""Every block, native against the conic solvers through CVXPY, in one run: ``make bench``.

    python benchmarks/blocks.py [--sizes 10,50,100,400 ...] [--blocks hidden ...] [--json FILE]
    python benchmarks/blocks.py --losses [--sizes ...] [--json FILE]
    python benchmarks/blocks.py --threads | --compile

A size is n,p,q,m. Times are of whole calls of ``solve_block``: building, compiling, solving and certifying. A ratio is
the conic solver's time over the native one's. "gradients" is the native time in units of two matrix products of the
block's size, (n, P) x (P, m) and (n, m) x (m, P) with P = n + p + 1: what one gradient costs at the least.

``--losses`` does the same for each loss, with targets that are what it is for: numbers, classes, or counts.

``--threads`` compares one BLAS thread with all of them instead, ``--compile`` the compilation of the hidden block with
its data as constants and as ``cp.Parameter``, the reason for the former.
"""

from __future__ import annotations

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable
from unittest import mock

import cvxpy as cp
import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from threadpoolctl import threadpool_limits

import bcd_implicit as bi

Size = tuple[int, int, int, int]
SIZES: list[Size] = [(5, 20, 10, 200), (10, 50, 100, 400), (20, 50, 100, 400), (50, 50, 100, 1000)]
# Conic solvers get this long where they have such an option.
TIME_LIMIT = 300
TIME_OPTION = {"CLARABEL": "time_limit", "SCS": "time_limit_secs"}
# ECOS has none: it is left out from this many numbers n m on. And a dense K of the prox-linear block from this many
# unknowns n P on is beyond all three (its factor takes gigabytes and many minutes).
ECOS_LIMIT, DENSE_LIMIT = 20_000, 2_500


def parse_size(text: str) -> Size:
    """n,p,q,m as four whole numbers."""
    try:
        n, p, q, m = (int(k) for k in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not n,p,q,m, such as 10,50,100,400") from None
    if min(n, p, q) < 1 or m < 2:
        raise argparse.ArgumentTypeError(f"{text!r}: every number must be at least 1, and m at least 2")
    return n, p, q, m


def targets_for(loss: str, Y: np.ndarray) -> np.ndarray:
    """Targets of a loss made from numbers Y (m, q): signs, the largest column, or counts."""
    if loss == "logistic":
        return (Y.mean(axis=0) < Y).astype(float)
    if loss == "cross-entropy":
        return np.eye(Y.shape[1])[(Y - Y.mean(axis=0)).argmax(axis=1)]
    if loss == "poisson":
        return np.random.default_rng(0).poisson(np.exp((Y - Y.mean(axis=0)) / Y.std(axis=0))).astype(float)
    return Y


def problem_at(size: Size, method: str, loss: str) -> tuple[bi.TrainingProblem, bi.Iterate]:
    """Column-sparse data, a kappa in the middle of a path, and the iterate after three cycles of the method."""
    n, p, q, m = size
    data = bi.datasets.make_column_sparse(m, p, q, 20, min(10, p), noise=0.1, random_state=0)
    problem = bi.TrainingProblem(data.U, targets_for(loss, data.Y), n, loss=loss, pass_through=False)
    problem = problem.replace(kappa=0.1 * bi.reference_kappa(problem, method))
    iterates: list[bi.Iterate] = []
    bi.solve(problem, method, max_cycles=3, tol=0.0, callback=lambda cycle, value, it: iterates.append(it))
    return problem, iterates[-1]


def seconds_of(function: Callable[[], object], least: float = 0.3) -> float:
    """Median time of as many calls as fit into ``least`` seconds, three at least; the first is not counted."""
    function()
    times: list[float] = []
    while len(times) < 3 or sum(times) < least:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def gradient_seconds(size: Size) -> float:
    n, p, _, m = size
    rng = np.random.default_rng(0)
    T, W = rng.standard_normal((n, n + p + 1)), rng.standard_normal((n + p + 1, m))
    with threadpool_limits(1, "blas"):
        return seconds_of(lambda: (T @ W) @ W.T)


def measure(size: Size, block: str, loss: str) -> list[dict]:
    n, p, _, m = size
    problem, it = problem_at(size, "prox-linear" if block == "prox-linear" else "fenchel", loss)
    unit, rows = gradient_seconds(size), []
    for solver in ("native", *bi.SOLVERS):
        row = {"size": size, "loss": loss, "block": block, "solver": solver}
        dense = block == "prox-linear" and n * (n + p + 1) > DENSE_LIMIT
        if (solver != "native" and dense) or (solver == "ECOS" and n * m > ECOS_LIMIT):
            rows.append(row | {"status": "left out: too large for it"})
            continue
        options = {TIME_OPTION[solver]: TIME_LIMIT} if solver in TIME_OPTION else None
        try:
            start = time.perf_counter()
            solution = bi.solve_block(problem, it, block, solver, solver_options=options)
            seconds = time.perf_counter() - start
        except bi.BlockSolveError as error:
            rows.append(row | {"status": error.status})
            continue
        if seconds < 5:
            seconds = seconds_of(lambda s=solver, o=options: bi.solve_block(problem, it, block, s, solver_options=o))
        row |= {
            "status": solution.status,
            "seconds": seconds,
            "objective": solution.objective,
            "relative_gap": solution.certificate.relative_gap,
            "violation": solution.certificate.violation,
        }
        if solver == "native":
            native = seconds
            row["gradients"] = seconds / unit
        rows.append(row | {"ratio": seconds / native})
    return rows


def show(rows: list[dict]) -> Table:
    table = Table(
        "n, p, q, m", "loss", "block", "solver", "seconds", "ratio", "gap", "objective", "violation", "gradients"
    )
    for row in rows:
        cells = [", ".join(map(str, row["size"])), row["loss"], row["block"], row["solver"]]
        if "seconds" not in row:
            table.add_row(*cells, row["status"])
            continue
        table.add_row(
            *cells,
            f"{row['seconds']:.4f}",
            f"{row['ratio']:.1f}",
            f"{row['relative_gap']:.0e}",
            f"{row['objective']:.8g}",
            f"{row['violation']:.0e}",
            f"{row['gradients']:.0f}" if "gradients" in row else "",
        )
    return table


def threads(sizes: list[Size]) -> Table:
    """One BLAS thread, as ``solve_block`` sets it, against all of them."""
    table = Table("n, p, q, m", "block", "one thread: seconds", "all threads: seconds", "all / one")
    for size in sizes:
        for block in bi.BLOCKS:
            problem, it = problem_at(size, "prox-linear" if block == "prox-linear" else "fenchel", "squared")

            def call(problem=problem, it=it, block=block):
                bi.solve_block(problem, it, block)

            one = seconds_of(call)
            with mock.patch("bcd_implicit.blocks.one_blas_thread", contextlib.nullcontext):
                every = seconds_of(call)
            cells = [", ".join(map(str, size)), block, f"{one:.4f}", f"{every:.4f}", f"{every / one:.2f}"]
            table.add_row(*cells)
    return table


def compile_seconds(parameters: bool, n: int = 10, p: int = 50, m: int = 400) -> float:
    """What CVXPY takes to compile the hidden block for SCS."""
    rng = np.random.default_rng(0)
    X, U = np.abs(rng.standard_normal((n, m))), rng.standard_normal((p, m))
    data = [cp.Parameter(x.shape, value=x) for x in (X, U)] if parameters else [X, U]
    A, B, b = cp.Variable((n, n)), cp.Variable((n, p)), cp.Variable((n, 1))
    Z = A @ data[0] + B @ data[1] + b @ np.ones((1, m))
    fit = 0.5 * cp.sum_squares(cp.pos(Z)) - cp.sum(cp.multiply(X, Z))
    posed = cp.Problem(cp.Minimize(fit / m + 0.1 * cp.sum(cp.norm(B, 2, axis=0))), [cp.norm1(A, axis=1) <= 0.5])
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CVXPY's word on too many parameters is what is measured here
        posed.get_problem_data("SCS")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=parse_size, metavar="n,p,q,m")
    parser.add_argument("--blocks", nargs="+", default=list(bi.BLOCKS), choices=list(bi.BLOCKS))
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--losses", action="store_true")
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    # The smallest is enough to compare losses.
    sizes: list[Size] = options.sizes or (SIZES[:1] if options.losses else SIZES)
    losses = sorted(bi.LOSSES) if options.losses else ["squared"]
    console = Console(width=120)
    warnings.simplefilter("ignore", bi.ConvergenceWarning)  # three cycles are what is wanted, and the table shows gaps
    if options.threads:
        console.print(threads(sizes))
        return
    if options.compile:
        compile_seconds(False)  # CVXPY's own first steps
        constants, parameters = compile_seconds(False), compile_seconds(True)
        console.print(f"constants {constants:.3f} s, parameters {parameters:.3f} s, ratio {parameters / constants:.0f}")
        return
    rows = [row for size in sizes for loss in losses for block in options.blocks for row in measure(size, block, loss)]
    console.print(show(rows))
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
