"""Divergences of activations and losses by their definitions, in the numbers of mpmath."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
from exact import divergence, exactly

from bcd_implicit import Iterate, TrainingProblem
from bcd_implicit.terms.losses import Loss


def entropy(x):
    return x * mp.log(x) if x > 0 else mp.mpf(0)


# g(x) + g*(z) - x z of the activations that exact.py does not know.
TERMS = {
    "soft_threshold": lambda x, z: x * x / 2 + abs(x) / 2 + max(abs(z) - mp.mpf(0.5), 0) ** 2 / 2 - x * z,
    "tanh": lambda x, z: (entropy(1 + x) + entropy(1 - x)) / 2 + mp.log(mp.cosh(z)) - x * z,
    "sigmoid": lambda x, z: entropy(x) + entropy(1 - x) + mp.log(1 + mp.exp(z)) - x * z,
    "softplus": lambda x, z: (
        x * x / 2 + mp.polylog(2, mp.exp(-x)).real - mp.pi**2 / 6 - mp.polylog(2, -mp.exp(z)).real - x * z
    ),
    "elu": lambda x, z: (
        (x * x / 2 if x > 0 else entropy(1 + x) - x) + (z * z / 2 if z > 0 else mp.exp(z) - z - 1) - x * z
    ),
    "arctan": lambda x, z: -mp.log(mp.cos(x)) + z * mp.atan(z) - mp.log(1 + z * z) / 2 - x * z,
    "softsign": lambda x, z: -abs(x) - mp.log(1 - abs(x)) + abs(z) - mp.log(1 + abs(z)) - x * z,
    "asinh": lambda x, z: mp.cosh(x) - 1 + z * mp.asinh(z) - mp.sqrt(1 + z * z) + 1 - x * z,
}


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
        "poisson": lambda f, y: mp.exp(f) - y * f + entropy(y) - y,
    }
    if loss.name == "cross-entropy":
        return lambda f, y: mp.log(sum(map(mp.exp, f))) - sum(y * f)
    return lambda f, y: sum(map(single[loss.name], f, y))


def state_objectives(problem: TrainingProblem, base: Iterate, proximal: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The state block's objective of every sample at X, with a base point's matrices and without regularisation."""
    A, B, b, C, D, d = (exactly(getattr(base, letter)) for letter in "ABbCDd")
    U, Y, P, weights, X = (exactly(part) for part in (problem.U, problem.Y, proximal, problem.fenchel_weights, X))
    Z, F, step = A @ X + B @ U + b[:, None], C @ X + D @ U + d[:, None], X - exactly(base.X)
    name, loss = problem.activation.name, loss_of(problem.loss)
    pairs = np.frompyfunc(TERMS[name], 2, 1)(X, Z) if name in TERMS else divergence(name, X, Z)
    losses = np.array([loss(f, y) for f, y in zip(F.T, Y.T, strict=True)])
    return losses + weights @ pairs + np.sum(step * (P @ step), axis=0) / 2
