"""Fenchel pairs and losses by their definitions, in the numbers of mpmath: what the state block is checked against."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

from bcd_implicit import Iterate, TrainingProblem
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.losses import Loss

log, exp, mpf = mpmath.log, mpmath.exp, mpmath.mpf
exactly = np.frompyfunc(lambda number: mpf(float(number)), 1, 1)


def entropy(x):
    return x * log(x) if x > 0 else mpf(0)


def pair(phi: Activation) -> tuple[Callable, Callable]:
    """g on its domain, and g*."""
    slope, threshold = mpf(getattr(phi, "slope", 0)), mpf(getattr(phi, "threshold", 0))
    zeta2 = mpmath.pi**2 / 6
    return {
        "relu": (lambda x: x**2 / 2, lambda z: max(z, 0) ** 2 / 2),
        "leaky_relu": (
            lambda x: x**2 / (2 if x > 0 else 2 * slope),
            lambda z: z**2 / 2 * (1 if z > 0 else slope),
        ),
        "clip": (lambda x: x**2 / 2, lambda z: z**2 / 2 if abs(z) < 1 else abs(z) - mpf("0.5")),
        "identity": (lambda x: x**2 / 2, lambda z: z**2 / 2),
        "soft_threshold": (
            lambda x: x**2 / 2 + threshold * abs(x),
            lambda z: max(abs(z) - threshold, 0) ** 2 / 2,
        ),
        "tanh": (lambda x: (entropy(1 + x) + entropy(1 - x)) / 2, lambda z: log(mpmath.cosh(z))),
        "sigmoid": (lambda x: entropy(x) + entropy(1 - x), lambda z: mpmath.log1p(exp(z))),
        "softplus": (
            lambda x: x**2 / 2 + mpmath.polylog(2, exp(-x)).real - zeta2,
            lambda z: -mpmath.polylog(2, -exp(z)).real,
        ),
        "elu": (
            lambda x: x**2 / 2 if x > 0 else entropy(1 + x) - x,
            lambda z: z**2 / 2 if z > 0 else exp(z) - z - 1,
        ),
        "arctan": (lambda x: -log(mpmath.cos(x)), lambda z: z * mpmath.atan(z) - mpmath.log1p(z**2) / 2),
        "softsign": (lambda x: -abs(x) - log(1 - abs(x)), lambda z: abs(z) - log(1 + abs(z))),
    }[phi.name]


def loss_of(loss: Loss) -> Callable:
    """L(f, y) of one sample's predictions and targets."""

    def huber(f, y):
        beyond = max(abs(f - y) - loss.threshold, 0)
        return ((f - y) ** 2 - beyond**2) / 2

    def kinked(f, y):
        return loss.above * max(f - y, 0) + loss.below * max(y - f, 0)

    def cross_entropy(f, y):
        return log(sum(exp(e) for e in f)) - sum(y * f)

    single = {
        "squared": lambda f, y: (f - y) ** 2 / 2,
        "huber": huber,
        "absolute": kinked,
        "quantile": kinked,
        "logistic": lambda f, y: mpmath.log1p(exp(f)) - y * f,
        "poisson": lambda f, y: exp(f) - y * f + entropy(y) - y,
    }
    if loss.name == "cross-entropy":
        return cross_entropy
    return lambda f, y: sum(map(single[loss.name], f, y))


def state_objectives(problem: TrainingProblem, base: Iterate, proximal: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The state block's objective of every sample at X, without the regularisation; mpmath's numbers."""
    A, B, b, C, D, d = (exactly(getattr(base, letter)) for letter in "ABbCDd")
    U, Y, previous, P = (exactly(part) for part in (problem.U, problem.Y, base.X, proximal))
    (g, conjugate), loss = pair(problem.activation), loss_of(problem.loss)
    weights = exactly(problem.fenchel_weights)
    X = exactly(X)
    Z, F, step = A @ X + B @ U + b[:, None], C @ X + D @ U + d[:, None], X - previous
    found = []
    for k in range(X.shape[1]):
        divergences = [g(x) + conjugate(z) - x * z for x, z in zip(X[:, k], Z[:, k], strict=True)]
        found.append(loss(F[:, k], Y[:, k]) + weights @ np.array(divergences) + step[:, k] @ P @ step[:, k] / 2)
    return np.array(found)
