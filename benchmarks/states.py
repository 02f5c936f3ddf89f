"""Seconds for the states by every solver, and what "auto" takes, as the norm bound nears 1.

    python benchmarks/states.py [--sizes 20,1050 ...] [--bounds 0.5 0.9 0.99 0.999] [--json FILE]

A size is n,m. "trained" models are those of the prox-linear loop on friedman1, 12 cycles; "random" ones have an A
without negative entries and every row on the norm bound, the worst case for Picard. "cold" starts from zero, "warm"
from the states of the cycle before (trained), or of drives that differ by a hundredth (random). Seconds are processor
time on one BLAS thread, to the tolerance of the loops; ratios are to Picard in the same run. "bound" is the one on the
error that comes with the states, "error" the error itself, against states in long double; both relative to the largest.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.datasets import make_friedman1

import bcd_implicit as bi
from bcd_implicit.model.active_set import newton_step
from bcd_implicit.model.fixed_point import SOLVERS, fixed_point
from bcd_implicit.problem.training_problem import STATE_TOL
from bcd_implicit.support.threads import one_blas_thread

Size = tuple[int, int]
SIZES: list[Size] = [(20, 1050), (10, 400), (100, 1000), (200, 300), (20, 20_000)]
BOUNDS = [0.5, 0.9, 0.99, 0.999]
# Training is not what is measured: beyond so many numbers n m only random models.
LARGEST_TRAINED = 25_000
# What Picard would take minutes for, in products n^2 m times steps, is left out: its steps are estimated by the bound.
LONGEST_PICARD = 1e11
# "newton" is another name of "active-set".
NAMES = sorted(SOLVERS.keys() - {"newton"}, key=lambda name: (name != "picard", name))
State = tuple[np.ndarray, np.ndarray, np.ndarray]


def parse_size(text: str) -> Size:
    """n,m as two whole numbers."""
    try:
        n, m = (int(k) for k in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not n,m, such as 20,1050") from None
    if n < 1 or m < 2:
        raise argparse.ArgumentTypeError(f"{text!r}: n must be at least 1, and m at least 2")
    return n, m


def trained(size: Size, norm_bound: float) -> State:
    """A, the drive and the states of the cycle before, of a model trained on friedman1."""
    n, m = size
    U, y = make_friedman1(m, 10, noise=1.0, random_state=0)
    problem = bi.TrainingProblem((U - 0.5) * 12**0.5, (y - y.mean()) / y.std(), n, norm_bound=norm_bound, kappa=0.01)
    iterates: list[bi.Iterate] = []
    bi.solve(problem, max_cycles=12, tol=0.0, callback=lambda cycle, value, it: iterates.append(it))
    it = iterates[-1]
    return it.A, it.B @ problem.U + it.b[:, None], iterates[-2].X


def random(size: Size, norm_bound: float) -> State:
    """A without negative entries, each row on the bound, drives, and the states of drives near by."""
    n, m = size
    rng = np.random.default_rng(0)
    A = rng.random((n, n))
    A *= norm_bound / A.sum(axis=1, keepdims=True)
    drive = rng.standard_normal((n, m))
    near = drive + 0.01 * rng.standard_normal((n, m))
    return A, drive, fixed_point(A, near, bi.ACTIVATIONS["relu"]).X


def in_more_digits(A: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """The states of relu in long double, by Newton's method: systems in double, residuals in long double."""
    long_A, long_drive = A.astype(np.longdouble), drive.astype(np.longdouble)
    X = fixed_point(A, drive, bi.ACTIVATIONS["relu"], tol=STATE_TOL).X.astype(np.longdouble)
    for _ in range(4):
        Z = long_A @ X + long_drive
        X += newton_step(A, (Z > 0).astype(float), (np.maximum(Z, 0) - X).astype(float))
    return X


def seconds_of(function, least: float = 0.3) -> float:
    """Median processor time of as many calls as fit into ``least`` seconds."""
    times: list[float] = []
    while sum(times) < least:
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return float(np.median(times))


def measure(size: Size, norm_bound: float, kind: str) -> list[dict]:
    A, drive, before = (trained if kind == "trained" else random)(size, norm_bound)
    rows, picard_steps = [], np.log(STATE_TOL) / np.log(norm_bound)
    exact = in_more_digits(A, drive)
    for start, X in (("cold", None), ("warm", before)):
        own: list[dict] = []
        # Picard first: the others' ratios are to it.
        for solver in NAMES:
            row = {"size": size, "model": kind, "norm_bound": norm_bound, "start": start, "solver": solver}
            if solver == "picard" and size[0] ** 2 * size[1] * picard_steps > LONGEST_PICARD:
                continue

            def call(solver=solver, X=X):
                return fixed_point(A, drive, bi.ACTIVATIONS["relu"], X, solver=solver, tol=STATE_TOL)

            point = call()
            row |= {
                "seconds": seconds_of(call),
                "iterations": point.n_iter,
                "by": point.solver,
                "bound": float(point.error_bound.max() / np.abs(point.X).max()),
                "error": float(np.abs(point.X - exact).max() / np.abs(point.X).max()),
            }
            own.append(row)
        for row in own:
            if own[0]["solver"] == "picard":
                row["ratio"] = own[0]["seconds"] / row["seconds"]
        rows += own
    return rows


def show(rows: list[dict]) -> Table:
    heads = ("n, m", "model", "norm bound", "start", "solver", "seconds", "Picard / it", "iterations", "bound", "error")
    table = Table(*heads)
    for row in rows:
        table.add_row(
            ", ".join(f"{k:,}" for k in row["size"]),
            row["model"],
            f"{row['norm_bound']}",
            row["start"],
            row["solver"] if row["solver"] != "auto" else f"auto: {row['by']}",
            f"{row['seconds']:.5f}",
            f"{row['ratio']:.1f}" if "ratio" in row else "",
            str(row["iterations"]),
            f"{row['bound']:.0e}",
            f"{row['error']:.0e}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=SIZES, metavar="n,m")
    parser.add_argument("--bounds", nargs="+", type=float, default=BOUNDS)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    sizes: list[Size] = options.sizes
    warnings.simplefilter("ignore", bi.ConvergenceWarning)  # twelve cycles are what is wanted; the table shows bounds
    rows: list[dict] = []
    with one_blas_thread():
        for size in sizes:
            for kind in ("trained", "random"):
                if kind == "random" or size[0] * size[1] <= LARGEST_TRAINED:
                    rows += [row for bound in options.bounds for row in measure(size, bound, kind)]
    Console(width=120).print(show(rows))
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
