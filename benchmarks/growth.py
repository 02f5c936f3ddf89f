"""Time per cycle and peak memory of both loops, native, as samples, hidden features and inputs grow.

    python benchmarks/growth.py [--json FILE] [--plot FILE] [--quick]

Each point is a process of its own: five cycles on column-sparse data, of which the table has the median, and the
process's peak memory less what the imports took. Exponents are fitted to the upper half of each range by least
squares in logarithms. A prox-linear cycle that has to shorten its step takes several attempts; their numbers stand
beside it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table

METHODS = ("prox-linear", "fenchel")
# What grows -> (values, the sizes kept).
RANGES: dict[str, tuple[list[int], dict[str, int]]] = {
    "m": ([1_000, 3_000, 10_000, 30_000, 100_000], {"n": 20, "p": 50, "q": 1}),
    "n": ([5, 10, 20, 50, 100], {"p": 50, "q": 10, "m": 1_000}),
    "p": ([10, 30, 100, 300, 1_000], {"n": 10, "q": 10, "m": 1_000}),
}
CYCLES = 5


def megabytes() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def point(n: int, p: int, q: int, m: int, method: str) -> dict:
    """One measurement, in this process."""
    import bcd_implicit as bi

    bi.solve(bi.TrainingProblem(np.eye(4), np.arange(4.0), 1), method, max_cycles=2)  # everything imported and warm
    imports = megabytes()
    data = bi.datasets.make_column_sparse(m, p, q, 20, min(10, p), noise=0.1, random_state=0)
    problem = bi.TrainingProblem(data.U, data.Y, n, pass_through=False)
    problem = problem.replace(kappa=0.1 * bi.reference_kappa(problem, method))
    result = bi.solve(problem, method, max_cycles=CYCLES, tol=0.0)
    seconds = result.history["seconds"]
    return {
        "seconds": float(seconds.median()),
        "longest": float(seconds.max()),
        "attempts": result.history["attempts"].tolist(),
        "megabytes": megabytes() - imports,
        "data_megabytes": (data.U.nbytes + data.Y.nbytes) / 2**20,
        "worst_gap": float(result.history["gap"].max()),
    }


def measure(method: str, sizes: dict[str, int]) -> dict:
    """The same in a process of its own."""
    arguments = [f"--{k}={v}" for k, v in sizes.items()] + [f"--method={method}"]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return {"method": method, **sizes, **json.loads(done.stdout)}


def exponent(rows: list[dict], by: str, what: str) -> float:
    """Slope of log(what) over log(by), fitted to the upper half of the range, where small calls no longer count."""
    upper = rows[len(rows) // 2 :]
    return float(np.polyfit(np.log([r[by] for r in upper]), np.log([r[what] for r in upper]), 1)[0])


def show(results: dict[str, list[dict]]) -> list[Table]:
    tables = []
    for by, rows in results.items():
        kept = ", ".join(f"{k} = {v:,}" for k, v in RANGES[by][1].items())
        table = Table(by, "method", "seconds a cycle", "longest", "attempts", "MB", "worst gap", title=kept)
        for row in rows:
            cells = [
                f"{row['seconds']:.3f}",
                f"{row['longest']:.3f}",
                str(row["attempts"]) if any(row["attempts"]) else "",
            ]
            table.add_row(f"{row[by]:,}", row["method"], *cells, f"{row['megabytes']:.0f}", f"{row['worst_gap']:.0e}")
        for method in METHODS:
            own = [r for r in rows if r["method"] == method]
            exponents = [f"{exponent(own, by, what):.2f}" for what in ("seconds", "megabytes")]
            table.add_row("exponent", method, exponents[0], "", "", exponents[1], "")
        tables.append(table)
    return tables


def plot(results: dict[str, list[dict]], file: str) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(11, 3.4), sharey=True, layout="constrained")
    for ax, (by, rows) in zip(axes, results.items(), strict=True):
        for method, marker in zip(METHODS, "os", strict=True):
            own = [r for r in rows if r["method"] == method]
            label = f"{method}: {by}$^{{{exponent(own, by, 'seconds'):.2f}}}$"
            ax.loglog([r[by] for r in own], [r["seconds"] for r in own], marker=marker, label=label)
        kept = ", ".join(f"{k} = {v:,}" for k, v in RANGES[by][1].items())
        ax.set(xlabel={"m": "samples m", "n": "hidden features n", "p": "inputs p"}[by], title=kept)
        ax.grid(True, which="major", alpha=0.3)
        ax.legend(frameon=False)
    axes[0].set_ylabel("seconds a cycle")
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="leave out the largest size of each range")
    for name in "npqm":
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        warnings.simplefilter("ignore")  # five cycles are what is wanted
        print(json.dumps(point(options.n, options.p, options.q, options.m, options.method)))
        return
    console, results = Console(width=120), {}
    for by, (values, kept) in RANGES.items():
        chosen = values[:-1] if options.quick else values
        results[by] = [measure(method, kept | {by: value}) for value in chosen for method in METHODS]
    for table in show(results):
        console.print(table)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
