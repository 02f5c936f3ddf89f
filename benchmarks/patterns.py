"""What a zero pattern costs: every block, natively, without one, with half of the entries free, and as a network.

    python benchmarks/patterns.py [--sizes 10,50,100,400 ...] [--losses squared cross-entropy ...]

A size is n,p,q,m. Times are processor time of whole calls of ``solve_block``, certificates included, on the iterate
after three cycles of the problem itself; a ratio is to the time without a pattern. "A and B" leaves a random half of
these matrices free, "all" a random half of A, B, C and D, so that every output has another regression, and "network" is
a perceptron of two layers of n/2. The optimum is another one under each, so 1e-6 may take more or fewer steps.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from blocks import SIZES, Size, parse_size, problem_at
from rich.console import Console
from rich.table import Table

import bcd_implicit as bi


def masks(size: Size, kind: str) -> dict[str, np.ndarray] | None:
    """The free entries, by letter."""
    n, p, q, _ = size
    rng, shapes = np.random.default_rng(0), {"A": (n, n), "B": (n, p), "C": (q, n), "D": (q, p)}
    if kind == "network":
        last = np.arange(n) < n // 2
        shown = {"A": np.outer(last, ~last), "B": np.outer(~last, np.ones(p)), "C": np.outer(np.ones(q), last)}
        return {letter: mask.astype(bool) for letter, mask in shown.items()}
    letters = {"none": "", "A and B": "AB", "all": "ABCD"}[kind]
    return {letter: rng.random(shapes[letter]) < 0.5 for letter in letters} or None


def seconds_of(problem: bi.TrainingProblem, it: bi.Iterate, block: str) -> tuple[float, float]:
    """The median processor time of five calls after a first one, and the gap."""
    times = []
    for _ in range(6):
        start = time.process_time()
        solution = bi.solve_block(problem, it, block, "native")
        times.append(time.process_time() - start)
    return float(np.median(times[1:])), solution.certificate.relative_gap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=SIZES[:3], metavar="n,p,q,m")
    parser.add_argument("--losses", nargs="+", default=["squared"], choices=sorted(bi.LOSSES))
    options = parser.parse_args()
    # Three cycles are what is wanted.
    warnings.simplefilter("ignore", bi.ConvergenceWarning)
    table = Table("n, p, q, m", "loss", "block", "pattern", "seconds", "ratio", "gap")
    for size in options.sizes:
        for loss in options.losses:
            for block in ("output", "hidden", "prox-linear"):
                method = "prox-linear" if block == "prox-linear" else "fenchel"
                free, _ = problem_at(size, method, loss)
                first = np.nan
                for kind in ("none", "A and B", "all", "network"):
                    problem = free.replace(pattern=masks(size, kind), pass_through=kind == "all")
                    iterates: list[bi.Iterate] = []
                    bi.solve(problem, method, max_cycles=3, tol=0.0, callback=lambda c, v, it, i=iterates: i.append(it))
                    seconds, gap = seconds_of(problem, iterates[-1], block)
                    first = seconds if kind == "none" else first
                    cells = [", ".join(map(str, size)), loss, block, kind, f"{seconds:.4f}", f"{seconds / first:.2f}"]
                    table.add_row(*cells, f"{gap:.1e}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
