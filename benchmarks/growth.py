"""Gradients and seconds a cycle, and peak memory, of both native loops: at eight sizes and as data grow.

    python benchmarks/growth.py [--exact] [--json FILE] [--plot FILE] [--quick]

A *gradient* is the time of two matrix products of the data's size, (T @ W) @ W.T with T of n rows and n + p + 1 columns
and W of as many rows and m columns: what one gradient in (A, B, b) costs at the least. It is measured before and after
the cycles in their own process, with one BLAS thread, as they have. Other jobs disturb both, the cycles more: the
median of many short products hardly notices an interruption. On a busy machine ratios of small sizes come out too high.

Each point is a process of its own. The prox-linear loop takes eleven cycles there: ten as rough as it likes, of which
the table has the median and the longest, and the last one, exact and certified, which stands apart: as this loop takes
it, with the proximal weight it has come to, and as a run of one cycle takes it that starts from the same iterate.
``fenchel``, whose cycles are all exact, takes five. Memory is the process's peak less what the imports took.

``--exact`` takes the ten cycles of the eight sizes once more, each solved exactly, for a minute at most: what rough
cycles save, and what they cost in the objective (T).

Exponents are fitted to the upper half of each range by least squares in logarithms. All data are drawn here: the
sizes with classes are those of published tables, not the tables themselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
from blocks import gradient_seconds
from rich.console import Console
from rich.table import Table
from shared.results import write_results

import bcd_implicit as bi

METHODS = ("prox-linear", "fenchel")
# Cycles of a point; the prox-linear loop's last, certified one comes on top.
CYCLES = {"prox-linear": 10, "fenchel": 5}
BLOCK_TOL = 1e-6
# Exact cycles get this long, in seconds; the one that is under way ends.
EXACT_LIMIT = 60
# What a rough cycle is meant to cost at most.
AIM = 200


def column_sparse(n_samples: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of a relu model that reads ten inputs."""
    data = bi.datasets.make_column_sparse(n_samples, p, q, 20, min(10, p), noise=0.1, random_state=0)
    return data.U, data.Y


def classes(n_samples: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred indicators of q classes whose means differ in twenty inputs."""
    rng = np.random.default_rng(0)
    labels, informative = np.arange(n_samples) % q, min(20, p)
    U = rng.standard_normal((n_samples, p))
    U[:, :informative] += rng.standard_normal((q, informative))[labels]
    return U, np.eye(q)[labels] - 1 / q


def linear(n_samples: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """One output, linear in three inputs: y = 3 u0 - 2 u1 + 2 u2 + 0.1 noise."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((n_samples, p))
    y = U[:, :3] @ [3, -2, 2] + 0.1 * rng.standard_normal(n_samples)
    return U, y[:, None]


def curved(n_samples: int, p: int, q: int) -> tuple[np.ndarray, np.ndarray]:
    """One output, far from linear in three inputs: y = abs(u0) + u1 u2 + 0.1 noise."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((n_samples, p))
    y = np.abs(U[:, 0]) + U[:, 1] * U[:, 2] + 0.1 * rng.standard_normal(n_samples)
    return U, y[:, None]


DATA = {f.__name__: f for f in (column_sparse, classes, linear, curved)}
# Of reference_kappa. With "curved" data a tenth empties B in the second cycle, and nothing is left to measure.
KAPPA_SHARE = {"column_sparse": 0.1, "classes": 0.1, "linear": 0.1, "curved": 0.01}

# From the smallest task to the largest: n, p, q, m, data.
SIZES: list[tuple[int, int, int, int, str]] = [
    (10, 50, 100, 400, "column_sparse"),
    (20, 50, 100, 400, "column_sparse"),
    (20, 1_000, 1, 60, "linear"),
    (100, 50, 10, 1_000, "column_sparse"),
    (20, 500, 2, 2_080, "classes"),
    (40, 617, 26, 1_248, "classes"),
    (40, 1_024, 20, 1_152, "classes"),
    (20, 50, 1, 100_000, "curved"),
]


@dataclasses.dataclass(frozen=True)
class Range:
    """What grows through which values, the sizes kept, and the loops that are measured; data are column-sparse."""

    by: str
    values: tuple[int, ...]
    kept: dict[str, int]
    methods: tuple[str, ...] = METHODS

    @property
    def title(self) -> str:
        return ", ".join(f"{k} = {v:,}" for k, v in self.kept.items())


RANGES: dict[str, Range] = {
    "m": Range("m", (1_000, 3_000, 10_000, 30_000, 100_000), {"n": 20, "p": 50, "q": 1}),
    "n": Range("n", (5, 10, 20, 50, 100), {"p": 50, "q": 10, "m": 1_000}),
    "p": Range("p", (10, 30, 100, 300, 1_000), {"n": 10, "q": 10, "m": 1_000}),
    # Far more inputs than samples.
    "p, few samples": Range("p", (100, 300, 1_000, 3_000, 10_000), {"n": 20, "q": 1, "m": 200}, ("prox-linear",)),
}


def megabytes() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def certified_cycle(problem: bi.TrainingProblem, last: Any, start: bi.Iterate) -> dict[str, float]:
    """What the loop's last cycle took, and what it takes as a run of its own."""
    alone = bi.solve(problem, max_cycles=1, tol=0.0, start=start, block_tol=BLOCK_TOL).history.iloc[-1]
    return {
        "certified_seconds": float(last.seconds),
        "certified_gap": float(last.gap),
        "alone_seconds": float(alone.seconds),
        "alone_gap": float(alone.gap),
    }


def exact_cycles(problem: bi.TrainingProblem) -> dict[str, Any]:
    """As many cycles of the prox-linear loop as the others, each solved exactly, while there is time."""
    bi.METHODS["exact"] = dataclasses.replace(bi.METHODS["prox-linear"], inexact=False)
    began = time.perf_counter()

    def enough(cycle: int, objective: float, it: bi.Iterate) -> bool:
        return cycle >= CYCLES["prox-linear"] or time.perf_counter() - began > EXACT_LIMIT

    result = bi.solve(problem, "exact", max_cycles=100, tol=0.0, block_tol=BLOCK_TOL, callback=enough)
    seconds = result.history["seconds"]
    return {
        "exact_cycles": result.n_cycles,
        "exact_seconds": float(seconds.median()),
        "exact_total": float(seconds.sum()),
        "exact_objective": float(result.history["objective"].iloc[-1]),
    }


def point(n: int, p: int, q: int, m: int, data: str, method: str, exact: bool = False) -> dict[str, Any]:
    """One measurement, in this process."""
    bi.solve(bi.TrainingProblem(np.eye(4), np.arange(4.0), 1), method, max_cycles=2)  # everything imported and warm
    imports = megabytes()
    U, Y = DATA[data](m, p, q)
    problem = bi.TrainingProblem(U, Y, n, pass_through=False)
    problem = problem.replace(kappa=KAPPA_SHARE[data] * bi.reference_kappa(problem, method))
    before, iterates = gradient_seconds((n, p, q, m)), []
    certified = method == "prox-linear"
    result = bi.solve(
        problem,
        method,
        max_cycles=CYCLES[method] + certified,
        tol=0.0,
        block_tol=BLOCK_TOL,
        callback=lambda cycle, objective, it: iterates.append(it),
    )
    memory = megabytes() - imports
    history = result.history
    cycles = history[:-1] if certified else history
    row = {
        "gradient": (before + gradient_seconds((n, p, q, m))) / 2,
        "cycles": len(cycles),
        "rough": int(cycles["gap"].isna().sum()),
        "seconds": float(cycles["seconds"].median()),
        "longest": float(cycles["seconds"].max()),
        "total": float(cycles["seconds"].sum()),
        "objective": float(cycles["objective"].iloc[-1]),
        "n_selected": int(cycles["n_selected"].iloc[-1]),
        "attempts": cycles["attempts"].tolist(),
        "megabytes": memory,
        "data_megabytes": (U.nbytes + Y.nbytes) / 2**20,
        "worst_gap": float(history["gap"].max()),
    }
    if certified:
        row |= certified_cycle(problem, history.iloc[-1], iterates[-2])
    if exact:
        row |= exact_cycles(problem)
    return row


def measure(sizes: dict[str, Any], method: str, exact: bool = False) -> dict[str, Any]:
    """The same in a process of its own."""
    arguments = [f"--{k}={v}" for k, v in sizes.items()] + [f"--method={method}"] + ["--exact"] * exact
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return {"method": method, **sizes, **json.loads(done.stdout)}


def gradients(row: dict, what: str = "seconds") -> float:
    return row[what] / row["gradient"]


def exponent(rows: list[dict], by: str, what: str) -> float:
    """Slope of log(what) over log(by), fitted to the upper half of the range, where small calls no longer count."""
    upper = rows[len(rows) // 2 :]
    measured = [gradients(r) if what == "gradients" else r[what] for r in upper]
    return float(np.polyfit(np.log([r[by] for r in upper]), np.log(measured), 1)[0])


def cells(row: dict) -> list[str]:
    """A row of the tables, after its first column."""
    certified = [""] * 3
    if "certified_gap" in row:
        certified = [f"{gradients(row, f'{run}_seconds'):,.0f}" for run in ("certified", "alone")]
        certified.append(f"{max(row['certified_gap'], row['alone_gap']):.0e}")
    return [
        row["method"],
        f"{1000 * row['gradient']:.3g}",
        f"{gradients(row):,.0f}",
        f"{gradients(row, 'longest'):,.0f}",
        f"{row['seconds']:.2g}",
        f"{row['objective']:.4g}",
        *certified,
        f"{row['megabytes']:.0f}",
    ]


def columns(first: str, title: str) -> Table:
    names = ("method", "gradient, ms", "gradients a cycle", "longest", "seconds a cycle", "(T) or (F)")
    return Table(first, *names, "certified cycle: gradients", "alone", "gap", "MB", title=title)


def name_of(row: dict) -> str:
    return ", ".join(f"{row[k]:,}" for k in "npqm")


def show(results: dict[str, list[dict]]) -> list[Table]:
    eight = columns("n, p, q, m", "ten rough cycles and a certified one")
    for row in results["sizes"]:
        eight.add_row(f"{name_of(row)} {row['data']}", *cells(row))
    tables = [eight]
    if "exact_cycles" in results["sizes"][0]:
        tables.append(show_exact(results["sizes"]))
    for name, grown in RANGES.items():
        table = columns(grown.by, grown.title)
        for row in results[name]:
            table.add_row(f"{row[grown.by]:,}", *cells(row))
        for method in grown.methods:
            own = [r for r in results[name] if r["method"] == method]
            powers = [f"{exponent(own, grown.by, what):.2f}" for what in ("gradients", "seconds", "megabytes")]
            table.add_row("exponent", method, "", powers[0], "", powers[1], "", "", "", "", powers[2])
        tables.append(table)
    return tables


def show_exact(rows: list[dict]) -> Table:
    names = ("cycles", "gradients a cycle", "gradients together", "(T)")
    table = Table("n, p, q, m", "solved", *names, title="rough cycles, and each solved exactly")
    for row in rows:
        for kind, prefix, last in (("roughly", "", ""), ("exactly", "exact_", f", stopped after {EXACT_LIMIT} s")):
            short = row[f"{prefix}cycles"] < CYCLES["prox-linear"]
            table.add_row(
                name_of(row),
                kind,
                f"{row[f'{prefix}cycles']}{last * short}",
                f"{gradients(row, f'{prefix}seconds'):,.0f}",
                f"{gradients(row, f'{prefix}total'):,.0f}",
                f"{row[f'{prefix}objective']:.4g}",
            )
    return table


def plot(results: dict[str, list[dict]], file: str) -> None:
    """Seconds above, gradients below."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    names = {"m": "samples m", "n": "hidden features n", "p": "inputs p"}
    shared = {"sharex": "col", "sharey": "row", "squeeze": False}
    figure, axes = plt.subplots(2, len(RANGES), figsize=(13, 6), layout="constrained", **shared)
    for (above, below), (name, grown) in zip(axes.T, RANGES.items(), strict=True):
        for method, marker, colour in zip(grown.methods, "os", ("C0", "C1"), strict=False):
            own = [r for r in results[name] if r["method"] == method]
            for ax, what in ((above, "seconds"), (below, "gradients")):
                label = f"{method}: {grown.by}$^{{{exponent(own, grown.by, what):.2f}}}$"
                values = [gradients(r) if what == "gradients" else r[what] for r in own]
                ax.loglog([r[grown.by] for r in own], values, color=colour, marker=marker, label=label)
        above.set_title(grown.title, fontsize="medium")
        below.axhline(AIM, color="grey", linestyle="--", linewidth=1, label=f"{AIM} gradients")
        below.set_xlabel(names[grown.by])
        below.yaxis.set_minor_formatter(NullFormatter())
        for ax in (above, below):
            ax.grid(True, which="major", alpha=0.3)
            ax.legend(frameon=False, fontsize="small")
    axes[0, 0].set_ylabel("seconds a cycle")
    axes[1, 0].set_ylabel("gradients a cycle")
    # Wide enough for two labelled ticks.
    axes[1, 0].set_ylim(20, 2_000)
    figure.savefig(file, dpi=150)


def run(quick: bool, exact: bool) -> dict[str, list[dict]]:
    """Every point; the quick run leaves out the largest size of each range and half of the eight."""
    results: dict[str, list[dict]] = {"sizes": []}
    for size in SIZES[: len(SIZES) // 2] if quick else SIZES:
        sizes = dict(zip(("n", "p", "q", "m", "data"), size, strict=True))
        results["sizes"].append(measure(sizes, "prox-linear", exact))
    for name, grown in RANGES.items():
        values = grown.values[:-1] if quick else grown.values
        points = [grown.kept | {grown.by: v, "data": "column_sparse"} for v in values]
        results[name] = [measure(sizes, method) for sizes in points for method in grown.methods]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exact", action="store_true", help="compare with every cycle solved exactly")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="leave out the largest sizes")
    for name in "npqm":
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data", choices=list(DATA), help=argparse.SUPPRESS)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        warnings.simplefilter("ignore")  # a few cycles are what is wanted
        sizes = (options.n, options.p, options.q, options.m)
        print(json.dumps(point(*sizes, options.data, options.method, options.exact)))
        return
    console, results = Console(width=140), run(options.quick, options.exact)
    if options.json:
        write_results(options.json, results)
    for table in show(results):
        console.print(table)
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
