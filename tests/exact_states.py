"""The state block's objective for any loss by its definition, in the numbers of mpmath."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
from exact import divergence, exactly

from bcd_implicit import Iterate, TrainingProblem
from bcd_implicit.terms.losses import Loss


def loss_of(loss: Loss) -> Callable:
    """L(f, y) of one sample's predictions and targets."""

    def huber(f, y):
        beyond = max(abs(f - y) - loss.threshold, 0)
        return ((f - y) ** 2 - beyond**2) / 2

    def kinked(f, y):
        return loss.above * max(f - y, 0) + loss.below * max(y - f, 0)

    single = {
        "squared": lambda f, y: (f - y) ** 2 / 2,
        "huber": huber,
        "absolute": kinked,
        "quantile": kinked,
        "logistic": lambda f, y: mp.log1p(mp.exp(f)) - y * f,
        "poisson": lambda f, y: mp.exp(f) - y * f + (y * mp.log(y) if y > 0 else 0) - y,
    }
    if loss.name == "cross-entropy":
        return lambda f, y: mp.log(sum(map(mp.exp, f))) - sum(y * f)
    return lambda f, y: sum(map(single[loss.name], f, y))


def state_objectives(problem: TrainingProblem, base: Iterate, proximal: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The state block's objective of every sample at X, with a base point's matrices and without regularisation."""
    A, B, b, C, D, d = (exactly(getattr(base, letter)) for letter in "ABbCDd")
    U, Y, P, weights, X = (exactly(part) for part in (problem.U, problem.Y, proximal, problem.fenchel_weights, X))
    Z, F, step = A @ X + B @ U + b[:, None], C @ X + D @ U + d[:, None], X - exactly(base.X)
    loss = loss_of(problem.loss)
    losses = np.array([loss(f, y) for f, y in zip(F.T, Y.T, strict=True)])
    return losses + weights @ divergence(problem.activation.name, X, Z) + np.sum(step * (P @ step), axis=0) / 2
