"""Fenchel pairs and losses in extended precision, by their formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bcd_implicit.terms.losses import Loss

Long = np.longdouble
HALF, TENTH = Long(0.5), Long(0.1)
SIXTH_OF_PI_SQUARED = np.arccos(Long(-1)) ** 2 / 6


class Pair(NamedTuple):
    """An activation, its derivative, and the halves g and g* of its Fenchel pair."""

    phi: Callable
    slope: Callable
    g: Callable
    conjugate: Callable


def entropy(x):
    """X log x."""
    return np.where(x > 0, x * np.log(np.where(x > 0, x, 1)), 0)


def log1pexp(z):
    """log(1 + e^z)."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def dilogarithm(x):
    """Li2 on [0, 1]: by its series up to a half, and from 1 - x beyond (Euler's reflection)."""
    near = np.minimum(x, 1 - x)
    series = sum(near**k / Long(k) ** 2 for k in range(1, 70))
    cross = np.log1p(-near) * np.log(np.where(near > 0, near, 1))
    return np.where(x <= HALF, series, SIXTH_OF_PI_SQUARED - cross - series)


def softplus_conjugate(z):
    """-Li2(-e^z), from z <= 0 alone, where it is Li2(y / (1 + y)) + log(1 + y)^2 / 2 with y = e^z (Landen)."""
    y = np.exp(-np.abs(z))
    tail = dilogarithm(y / (1 + y)) + HALF * np.log1p(y) ** 2
    return np.where(z > 0, SIXTH_OF_PI_SQUARED + HALF * z**2 - tail, tail)


def sigmoid(z):
    """1 / (1 + e^-z)."""
    return np.exp(-log1pexp(-z))


def threshold(z, by):
    """z drawn to zero by so much."""
    return np.sign(z) * np.maximum(np.abs(z) - by, 0)


PAIRS = {
    "relu": Pair(
        lambda z: np.maximum(z, 0),
        lambda z: np.where(z > 0, 1.0, 0.0),
        lambda x: HALF * x**2,
        lambda z: HALF * np.maximum(z, 0) ** 2,
    ),
    "leaky_relu": Pair(
        lambda z: np.where(z > 0, z, TENTH * z),
        lambda z: np.where(z > 0, 1.0, 0.1),
        lambda x: np.where(x > 0, HALF * x**2, HALF * x**2 / TENTH),
        lambda z: np.where(z > 0, HALF * z**2, HALF * TENTH * z**2),
    ),
    "clip": Pair(
        lambda z: np.clip(z, -1, 1),
        lambda z: np.where(np.abs(z) < 1, 1.0, 0.0),
        lambda x: HALF * x**2,
        lambda z: np.where(np.abs(z) < 1, HALF * z**2, np.abs(z) - HALF),
    ),
    "identity": Pair(lambda z: z, np.ones_like, lambda x: HALF * x**2, lambda z: HALF * z**2),
    "soft_threshold": Pair(
        lambda z: threshold(z, HALF),
        lambda z: np.where(np.abs(z) > HALF, 1.0, 0.0),
        lambda x: HALF * x**2 + HALF * np.abs(x),
        lambda z: HALF * threshold(z, HALF) ** 2,
    ),
    "tanh": Pair(
        np.tanh,
        lambda z: 1 / np.cosh(z) ** 2,
        lambda x: HALF * (entropy(1 + x) + entropy(1 - x)),
        lambda z: np.abs(z) + np.log1p(np.exp(-2 * np.abs(z))) - np.log(Long(2)),
    ),
    "sigmoid": Pair(
        sigmoid, lambda z: sigmoid(z) * sigmoid(-z), lambda x: entropy(x) + entropy(1 - x), log1pexp
    ),
    "softplus": Pair(
        log1pexp,
        sigmoid,
        lambda x: HALF * x**2 + dilogarithm(np.exp(-x)) - SIXTH_OF_PI_SQUARED,
        softplus_conjugate,
    ),
    "elu": Pair(
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
        lambda x: np.where(x > 0, HALF * x**2, entropy(1 + x) - x),
        lambda z: np.where(z > 0, HALF * z**2, np.expm1(np.minimum(z, 0)) - z),
    ),
    "arctan": Pair(
        np.arctan,
        lambda z: 1 / (1 + z**2),
        lambda x: -np.log(np.cos(x)),
        lambda z: z * np.arctan(z) - HALF * np.log1p(z**2),
    ),
    "softsign": Pair(
        lambda z: z / (1 + np.abs(z)),
        lambda z: 1 / (1 + np.abs(z)) ** 2,
        lambda x: -np.abs(x) - np.log1p(-np.abs(x)),
        lambda z: np.abs(z) - np.log1p(np.abs(z)),
    ),
}  # fmt: skip


def losses_of(loss: Loss, F: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The loss of each sample, shape (m,), at predictions F of shape (q, m)."""
    miss = F - Y
    match loss.name:
        case "squared":
            terms = HALF * miss**2
        case "huber":
            beyond = np.maximum(np.abs(miss) - Long(loss.threshold), 0)
            terms = HALF * (miss**2 - beyond**2)
        case "absolute" | "quantile":
            terms = np.maximum(Long(loss.above) * miss, -Long(loss.below) * miss)
        case "logistic":
            terms = log1pexp(F) - Y * F
        case "poisson":
            terms = np.exp(F) - Y * F + entropy(Y) - Y
        case "cross-entropy":
            largest = F.max(axis=0)
            return largest + np.log(np.sum(np.exp(F - largest), axis=0)) - np.sum(Y * F, axis=0)
        case unknown:
            raise ValueError(unknown)
    return np.sum(terms, axis=0)
