"""Perceptrons of 20-20 as patterns: trained by blocks and by scikit-learn, fine-tuned from PyTorch, zeros freed.

    python benchmarks/structures.py [--seeds 5] [--parts trained ...] [--tables friedman1 ...] [--quick]
        [--json FILE] [--page FILE] [--plot FILE]

Three tables, each on friedman1 (10 inputs, 1,000 samples, 2,000 new ones) and scikit-learn's digits (1,297 and 500
images), with the seeds 0, 1, ... for data and starts. All minimise one objective, which is evaluated here for all of
them: half the squared error or the cross-entropy, means over samples, plus ridge/2 times the squares of all weights but
the intercepts. The ridge is one for all methods, chosen on a drawing that serves for nothing else. Seconds are
processor time on one thread. PyTorch is needed: pip install -e '.[torch]'.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from shared.pages import put_on_page
from sklearn.exceptions import ConvergenceWarning
from structures_parts import opening, training, tuning
from structures_parts.report import console_tables, markdown
from structures_parts.tables import TABLES

import bcd_implicit as bi
from bcd_implicit.support.threads import one_blas_thread

# Of fine-tuning and letting go, which are compared with themselves.
SOLVE: dict[str, Any] = {"tol": 1e-3}
# With --quick: one seed, few samples, cycles and ridges, relu alone.
QUICK, QUICK_SIZES = {"max_cycles": 10, "tol": 1e-3}, {"m": 200, "m_new": 200}
# Letting go is dear, and its picture is the same for every seed.
OPENED_SEEDS = 3

PARTS = ("trained", "opened", "tuned")
Step = tuple[str, str, str, int]


def steps(n_seeds: int, quick: bool, parts: Sequence[str] = PARTS, tables: Sequence[str] = tuple(TABLES)) -> list[Step]:
    """What there is to do: what, on which table, with which activation and seed; tanh comes last."""
    pairs = [(what, table) for what in PARTS if what in parts for table in TABLES if table in tables]
    relu = [(what, table, "relu", seed) for seed in range(n_seeds) for what, table in pairs]
    relu = [step for step in relu if step[0] != "opened" or step[3] < OPENED_SEEDS]
    tanh = [("trained", table, "tanh", seed) for seed in range(n_seeds) for what, table in pairs if what == "trained"]
    return relu + ([] if quick else tanh)


def run(todo: list[Step], quick: bool, results: dict[str, Any], file: str | None) -> None:
    """Every step that is not there yet; the file is written after each, so that a run that is stopped can go on."""
    solve = QUICK if quick else SOLVE
    for step in todo:
        what, name, activation, seed = step
        if list(step) in results["done"]:
            continue
        table: Any = partial(TABLES[name], **QUICK_SIZES) if quick else TABLES[name]
        key = f"{name}, {activation}"
        if key not in results["choice"]:
            results["choice"][key] = training.choice(
                table, activation, training.RIDGES[1:3] if quick else training.RIDGES
            )
        data, ridge = table(seed), results["choice"][key]["ridge"]
        if what == "trained":
            results[what] += training.rows(data, ridge, activation, seed)
        elif what == "tuned":
            results[what] += tuning.rows(data, ridge, seed, **solve)
        else:
            results[what] += opening.rows(data, ridge, seed, **solve)
        results["done"].append(list(step))
        if file:
            Path(file).write_text(json.dumps(results, indent=1))


def plot(file: str, ridge: float, seed: int = 0) -> None:
    """A of friedman1's perceptron, and of what it becomes: where it is not zero, and what each entry carries."""
    from matplotlib.figure import Figure

    # The first two steps.
    (_, _, held, _), (_, _, free, _) = islice(opening.climb(TABLES["friedman1"](seed), ridge, seed, **SOLVE), 2)
    carried = opening.carried(free.problem, free.iterate)
    # The same matrices with what carries little left out.
    kept = {letter: part >= opening.COUNTS * part.max() for letter, part in carried.items()}
    it = free.iterate.replace(**{letter: getattr(free.iterate, letter) * mask for letter, mask in kept.items()})
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    bi.plots.matrix(held, axes[0], parts="all")
    bi.plots.matrix(free.problem.model(it), axes[1], parts="all")
    axes[0].set_title("layers", fontsize="medium")
    axes[1].set_title(f"zeros freed: entries that carry {opening.COUNTS:.0%} of the largest", fontsize="medium")
    bi.plots.sparsity(free, "A", axes[2])
    axes[2].set_title("zeros freed: magnitudes of $A$", fontsize="medium")
    figure.savefig(file, dpi=150)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="of them only these")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), help="of them only these")
    parser.add_argument("--quick", action="store_true", help="one seed, few samples and cycles, relu alone")
    parser.add_argument("--json", metavar="FILE", help="file for the numbers; what it has is not measured anew")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the tables on this page, between its two marks")
    parser.add_argument("--plot", metavar="FILE", help="draw A before and after its zeros are freed")
    options = parser.parse_args(arguments)
    # Cycles and iterations that end at their limits are what some rows are about.
    for category in (bi.ConvergenceWarning, ConvergenceWarning):
        warnings.simplefilter("ignore", category)
    torch.set_num_threads(1)
    console = Console(width=150)
    results: dict[str, Any] = {"done": [], "choice": {}, "trained": [], "opened": [], "tuned": []}
    if options.json and Path(options.json).exists():
        results = json.loads(Path(options.json).read_text())
    with one_blas_thread():
        todo = steps(1 if options.quick else options.seeds, options.quick, options.parts, options.tables)
        run(todo, options.quick, results, options.json)
    for table in console_tables(results):
        console.print(table)
    if options.page:
        put_on_page(markdown(results), options.page, Path(__file__).name)
    if options.plot:
        with one_blas_thread():
            plot(options.plot, results["choice"]["friedman1, relu"]["ridge"])


if __name__ == "__main__":
    main()
