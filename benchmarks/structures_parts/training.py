"""A perceptron trained from a random start, by blocks and by scikit-learn, on the same objective.

Half the squared error or the cross-entropy, means over samples, and ridge/2 times the squares of all weights but the
intercepts. scikit-learn divides its penalty alpha/2 ||W||^2 by the samples of a batch: alpha is the ridge times all
samples with L-BFGS, and times the 200 of a batch with Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import bcd_implicit as bi
from structures_parts.tables import WIDTH, Data, judged, problem_of, timed

RIDGES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
# A drawing that serves the choice of the ridge alone, and the share of its training samples that are fitted then.
CHOOSING_SEED, FITTED = 100, 0.75
# Enough for all of them to end by their own rules.
ENOUGH: dict[str, Any] = {"max_iter": 50_000, "max_fun": 10_000_000}

Fit = Callable[[Data, float, str, int], tuple[bi.ImplicitModel, int]]


def by_blocks(**settings: Any) -> Fit:
    """bi.solve: the model, and how many cycles it took."""

    def fit(data: Data, ridge: float, activation: str, seed: int) -> tuple[bi.ImplicitModel, int]:
        result = bi.solve(problem_of(data, ridge, activation), random_state=seed, **settings)
        return result.model, result.n_cycles

    return fit


def by_sklearn(solver: str, **settings: Any) -> Fit:
    """A perceptron of scikit-learn, converted, and how many iterations or epochs it took."""

    def fit(data: Data, ridge: float, activation: str, seed: int) -> tuple[bi.ImplicitModel, int]:
        # A batch has 200 samples where there are so many.
        alpha = ridge * (len(data.U) if solver == "lbfgs" else min(len(data.U), 200))
        kind = MLPClassifier if data.classes else MLPRegressor
        shape = {"hidden_layer_sizes": (WIDTH, WIDTH), "activation": activation, "solver": solver}
        mlp = kind(**shape, alpha=alpha, random_state=seed, **settings).fit(data.U, data.targets)
        return bi.from_sklearn(mlp), int(mlp.n_iter_)

    return fit


METHODS: dict[str, Fit] = {
    "blocks, tol 1e-3": by_blocks(tol=1e-3),
    "blocks, defaults": by_blocks(),
    "blocks, 300 cycles, tol 1e-6": by_blocks(max_cycles=300, tol=1e-6),
    "L-BFGS, defaults": by_sklearn("lbfgs"),
    "L-BFGS, to its end": by_sklearn("lbfgs", **ENOUGH),
    "Adam, to its end": by_sklearn("adam", **ENOUGH),
    "Adam, patient": by_sklearn("adam", **ENOUGH, tol=1e-6, n_iter_no_change=100),
}
OURS = "blocks, defaults"
# Those that choose the ridge: one of each kind, that does not take long.
CHOOSERS = ("blocks, tol 1e-3", "L-BFGS, defaults", "Adam, to its end")


def choice(draw: Callable[[int], Data], activation: str, ridges: tuple[float, ...] = RIDGES) -> dict[str, Any]:
    """The ridge for all: that of the best mean score of all methods; and each method's own."""
    data = draw(CHOOSING_SEED).first(FITTED)
    found = np.empty((len(ridges), len(CHOOSERS)))
    for i, ridge in enumerate(ridges):
        for j, name in enumerate(CHOOSERS):
            model, _ = METHODS[name](data, ridge, activation, CHOOSING_SEED)
            got = judged(model, data, problem_of(data, ridge, activation))
            found[i, j] = -got["log loss"] if data.classes else got["R2"]
    own = {name: ridges[i] for name, i in zip(CHOOSERS, found.argmax(axis=0), strict=True)}
    return {"ridge": ridges[int(found.mean(axis=1).argmax())], "own": own, "scores": found.tolist()}


def rows(data: Data, ridge: float, activation: str, seed: int) -> list[dict[str, Any]]:
    """A row a method."""
    problem, found = problem_of(data, ridge, activation), []
    for name, fit in METHODS.items():
        (model, steps), seconds = timed(lambda fit=fit: fit(data, ridge, activation, seed))
        about = {"table": data.name, "activation": activation, "method": name, "seed": seed, "steps": steps}
        found.append(about | {"seconds": seconds} | judged(model, data, problem))
    return found
