"""Sparse from the start beside made sparse afterwards: entries of A against errors on unseen samples.

From the start: `bi.architecture_path`, reweighted and refitted. Afterwards: the dense model is trained, entries of A to
keep are those of `bi.compress`, or the largest, and the model is trained once more on these (`pattern`), as the
path's are. "compress alone" is what compress gives, without that training; it makes B and C sparse too.

No state may listen to itself: such entries change the scales of relu states alone, and where states are matched at what
they are, as by compress, they would explain all.

For each way and budget the model with the most entries of A that keeps to the budget counts, whatever its error.

    python benchmarks/sparse_training.py [--data friedman1] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from shared.digits import two_thirds
from shared.results import read_results, write_results
from sklearn.datasets import make_friedman1

import bcd_implicit as bi

BUDGETS = (5, 10, 20, 40, 80)
SETTINGS = {"norm_bound": 0.9, "ridge": 1e-3, "ridge_hidden": 1e-4}
SOLVE = {"tol": 1e-3, "max_cycles": 100}
N_WEIGHTS = 6
# Arguments of architecture_path, by what the table calls them.
WAYS = {
    "entries": {"by": "entries"},
    "entries, not reweighted": {"by": "entries", "reweight": 0},
    "rows": {"by": "rows"},
    "both": {"by": "both"},
}
Data = tuple[bi.TrainingProblem, Callable[[bi.ImplicitModel], float]]


def friedman1(seed: int) -> Data:
    """500 samples, 10 inputs; 1 - R2 on 5,000 others, of which the noise is about 0.04."""
    U, y = make_friedman1(5500, noise=1.0, random_state=seed)
    U, y = (U - 0.5) * np.sqrt(12), (y - y[:500].mean()) / y[:500].std()
    problem = bi.TrainingProblem(U[:500], y[:500], 20, kappa=0.01, **SETTINGS)
    unseen = U[500:], y[500:, None]
    return problem, lambda model: lost(model, *unseen)


def column_sparse(seed: int) -> Data:
    """The blog's data, smaller: 400 samples, 8 of 30 inputs matter, 10 outputs; 1 - R2 of 2,000 others without noise.

    Their own A, of 20 states, is dense. Trained models have 10.
    """
    data = bi.datasets.make_column_sparse(400, 30, 10, 20, 8, noise=0.1, random_state=seed)
    scale = data.Y.std(axis=0)
    U, Y = data.sample(2000, random_state=seed + 1000)
    problem = bi.TrainingProblem(data.U, data.Y / scale, 10, kappa=0.02, pass_through=False, **SETTINGS)
    return problem, lambda model: lost(model, U, Y / scale)


def digits(seed: int) -> Data:
    """Scikit-learn's digits, 20 states, cross-entropy; the share of wrong classes in a third that is set aside."""
    U, U_test, y, y_test = two_thirds(seed)
    options = {"loss": "cross-entropy", "kappa": 1e-4, "pass_through": False}
    problem = bi.TrainingProblem(U, np.eye(10)[y], 20, standardize=False, **options, **SETTINGS)
    return problem, lambda model: float((model.predict(U_test).argmax(axis=1) != y_test).mean())


DATA = {"friedman1": friedman1, "column-sparse": column_sparse, "digits": digits}


def lost(model: bi.ImplicitModel, U: np.ndarray, Y: np.ndarray) -> float:
    return float(((model.outputs(U) - Y) ** 2).sum() / ((Y - Y.mean(axis=0)) ** 2).sum())


def size(model: bi.ImplicitModel) -> int:
    return int(np.count_nonzero(model.A))


def trained_on(problem: bi.TrainingProblem, dense: bi.BcdResult, entries: np.ndarray) -> bi.ImplicitModel:
    """The same training as the path's refit: from the dense model, with these entries of A alone."""
    it = dense.iterate.replace(A=np.where(entries, dense.iterate.A, 0.0))
    return bi.solve(problem.replace(pattern={"A": entries}), start=it, **SOLVE).model


def models(problem: bi.TrainingProblem, ways: list[str]) -> Iterator[tuple[str, float, list[bi.ImplicitModel]]]:
    """By way: seconds of processor time, and models from few entries of A to many."""
    begin = time.process_time()
    dense = bi.solve(problem, **SOLVE)
    training = time.process_time() - begin
    yield "dense", training, [dense.model]
    for way in ways:
        begin = time.process_time()
        path = bi.architecture_path(problem, N_WEIGHTS, **WAYS[way], **SOLVE)
        yield f"from the start: {way}", time.process_time() - begin, [each.model for each in path]
    begin = time.process_time()
    found = bi.compress(dense.model, problem.U.T, problem.Y.T, alpha=list(np.geomspace(0.5, 0.005, N_WEIGHTS)))
    compressing = time.process_time() - begin
    # With all states in their old places.
    small = [point.matched for point in found.path][::-1]
    yield "compress alone", training + compressing, small
    begin = time.process_time()
    refitted = [trained_on(problem, dense, model.A != 0) for model in small]
    yield "compress, trained on", training + compressing + time.process_time() - begin, refitted
    begin, sizes = time.process_time(), np.sort(np.abs(dense.iterate.A), axis=None)[::-1]
    budgets = [budget for budget in BUDGETS if budget < np.count_nonzero(sizes)]
    largest = [trained_on(problem, dense, np.abs(dense.iterate.A) >= sizes[budget - 1]) for budget in budgets]
    yield "magnitude, trained on", training + time.process_time() - begin, largest


def rows(name: str, seed: int, ways: list[str]) -> Iterator[dict]:
    problem, error = DATA[name](seed)
    problem = problem.replace(pattern={"A": ~np.eye(problem.n_hidden, dtype=bool)})
    for way, seconds, found in models(problem, ways):
        row = {"data": name, "way": way, "seed": seed, "seconds": seconds}
        if way == "dense":
            yield row | {"budget": size(found[0]), "A": size(found[0]), "error": error(found[0])}
            continue
        for budget in (0, *BUDGETS):
            fitting = [model for model in found if size(model) <= budget]
            if fitting:
                # Of several the last, under the least penalty.
                best = max(reversed(fitting), key=size)
                structure = best.structure()
                cycles = sum(map(len, structure.cycles))
                shape = {"on cycles": cycles, "stages": structure.depth}
                yield row | {"budget": budget, "A": size(best), "error": error(best)} | shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(DATA), action="append", help="only these; may be repeated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--way", choices=list(WAYS), action="append", help="only these ways of weighing")
    parser.add_argument("--json", type=Path, help="file for the figures; those of the same data and seed are replaced")
    options = parser.parse_args()
    old = read_results(options.json) or []
    with warnings.catch_warnings():
        # Some of many runs stop at max_cycles.
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        for name in options.data or DATA:
            for seed in options.seeds:
                old = [row for row in old if (row["data"], row["seed"]) != (name, seed)]
                old += rows(name, seed, options.way or list(WAYS))
    if options.json:
        write_results(options.json, old)
    table = pd.DataFrame(old)
    dense = table["way"] == "dense"
    print(table[dense].groupby("data")[["A", "error", "seconds"]].mean().to_string(float_format="%.4g"))
    shown = table[~dense].pivot_table(
        index=["data", "way"], columns="budget", values="error", aggfunc="mean", sort=False
    )
    print(shown.to_string(float_format="%.4g", na_rep=""))
    print(table[~dense].groupby(["data", "way"], sort=False)["seconds"].mean().to_string(float_format="%.3g"))


if __name__ == "__main__":
    main()
