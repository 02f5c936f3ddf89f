"""Compression of a perceptron 64-40-40-10 on digits: entries left and accuracy, over five seeds.

Each way is asked for at most 700 and at most 1,500 of about 4,560 entries. Accuracy and agreement with the perceptron
are of a third of the digits that neither saw, the mean over seeds. For every one of these the bound on the change of
predictions is checked; ratio is its median quotient to the actual change, of the output that changes most. "proven" is
the share of samples whose class the bound proves unchanged.

    python benchmarks/compression.py
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from shared.digits import two_thirds
from shared.results import write_results
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import bcd_implicit as bi
from bcd_implicit.compression import Compression
from bcd_implicit.compression.result import entries
from bcd_implicit.model.matrices import dense

BUDGETS = (700, 1500)
#: What compress is asked for, by what the table calls it.
WAYS: dict[str, dict] = {
    "Fenchel": {"connections": "model"},
    "Fenchel, forward": {"connections": "forward"},
    "Fenchel, any": {"connections": "any"},
    "Fenchel, not reweighted": {"reweight": 0, "connections": "model"},
    "units": {"remove": "units"},
    "units, then forward": {"connections": "forward"},
    "least squares": {"matching": "least-squares", "connections": "model"},
    "least squares, forward": {"matching": "least-squares", "connections": "forward"},
    "least squares, any": {"matching": "least-squares", "connections": "any"},
    "least squares, any, plain": {
        "matching": "least-squares",
        "connections": "any",
        "reweight": 0,
        "refit": False,
    },
}
# What "units, then forward" leaves first, times the budget.
UNITS_FIRST = 2.0


def compressed(model: bi.ImplicitModel, U: np.ndarray, way: str, budget: int) -> list[Compression]:
    """The results of each step of a way."""
    steps, options = [], WAYS[way]
    if way == "units, then forward":
        first = UNITS_FIRST * budget / sum(entries(model).values())
        steps.append(bi.compress(model, U, target=min(first, 1), remove="units"))
        model = steps[0].model
    return [*steps, bi.compress(model, U, target=min(budget / sum(entries(model).values()), 1), **options)]


def by_magnitude(model: bi.ImplicitModel, budget: int) -> dict[str, np.ndarray]:
    """Masks of the entries of largest size, so many over all matrices."""
    sizes = np.sort(np.concatenate([np.abs(dense(getattr(model, k))).ravel() for k in "ABCD"]))
    return {k: np.abs(dense(getattr(model, k))) > sizes[-budget - 1] for k in "ABCD"}


def pruned_by(model: bi.ImplicitModel, masks: dict[str, np.ndarray]) -> bi.ImplicitModel:
    parts = {k: np.where(masks[k], dense(getattr(model, k)), 0.0) for k in "ABCD"}
    return bi.ImplicitModel(**parts, b=model.b, d=model.d, activation=model.activation, link=model.link)


def judged(steps: list[Compression], model: bi.ImplicitModel, small: bi.ImplicitModel, U, y) -> dict[str, float]:
    """What is known of a smaller model and of the steps that led to it: their bounds add up."""
    before, after = model.predict(U), small.predict(U)
    found = {
        "entries": sum(entries(small).values()),
        "states": small.n_hidden,
        "accuracy": float((after.argmax(axis=1) == y).mean()),
        "agreement": float((after.argmax(axis=1) == before.argmax(axis=1)).mean()),
    }
    if steps:
        bound = np.sum([step.change_bound(U) for step in steps], axis=0)
        change = np.abs(steps[-1].small.matched.predict(U) - before)
        most = change.argmax(axis=1)[:, None]
        rows, first = np.arange(len(U)), before.argmax(axis=1)
        others = before + bound
        others[rows, first] = -np.inf
        found |= {
            "largest gap": max(step.small.gap for step in steps),
            "bound broken": int((change > bound).sum()),
            "ratio": float(np.median(np.take_along_axis(bound, most, 1) / np.take_along_axis(change, most, 1))),
            "proven": float(((before - bound)[rows, first] > others.max(axis=1)).mean()),
        }
    return found


def digits(seed: int, ways: list[str]) -> list[dict]:
    U, U_test, y, y_test = two_thirds(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = bi.from_sklearn(MLPClassifier((40, 40), max_iter=600, random_state=seed).fit(U, y))
    total = sum(entries(model).values())
    rows = [{"way": "the perceptron", "budget": total, "seed": seed} | judged([], model, model, U_test, y_test)]
    for budget in BUDGETS:
        for way in ways:
            begin = time.process_time()
            results = compressed(model, U, way, budget)
            seconds = time.process_time() - begin
            found = judged(results, model, results[-1].model, U_test, y_test)
            rows.append({"way": way, "budget": budget, "seed": seed, "seconds": seconds} | found)
        masks = by_magnitude(model, budget)
        small = pruned_by(model, masks)
        rows.append({"way": "magnitude", "budget": budget, "seed": seed} | judged([], model, small, U_test, y_test))
        result = bi.compress(model, U, alpha=0, connections=masks)
        found = judged([result], model, result.model, U_test, y_test)
        rows.append({"way": "magnitude, refitted", "budget": budget, "seed": seed} | found)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--way", choices=list(WAYS), action="append", help="only this way of compressing")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    table = pd.DataFrame([row for seed in options.seeds for row in digits(seed, options.way or list(WAYS))])
    measures = [
        "entries",
        "states",
        "accuracy",
        "agreement",
        "largest gap",
        "bound broken",
        "ratio",
        "proven",
        "seconds",
    ]
    how = {name: "mean" for name in measures} | {"largest gap": "max", "bound broken": "sum"}
    summary = table.groupby(["budget", "way"], sort=False).agg(how)[measures].reset_index()
    shown = summary.copy()
    for name, digits_of in (
        ("entries", 0),
        ("states", 0),
        ("accuracy", 4),
        ("agreement", 4),
        ("ratio", 2),
        ("proven", 2),
    ):
        shown[name] = shown[name].round(digits_of)
    print(shown.to_string(index=False, float_format="%.4g"))
    if options.json:
        rows = json.loads(summary.to_json(orient="records", double_precision=15))
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
