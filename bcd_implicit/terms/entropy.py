"""Differences of logarithms and exponentials that do not cancel: what divergences of likelihoods are made of."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

# Below this the series is right to the last digit, and above it the formula to twelve.
SMALL = 2e-2
# Terms of the series.
TERMS = 9


def _near_zero(u: np.ndarray, coefficients: list[float]) -> np.ndarray:
    """u^2 times a polynomial, its coefficients upwards."""
    return u * u * np.polynomial.polynomial.polyval(u, coefficients)


def relative_entropy(p: np.ndarray, change: np.ndarray, log_p: np.ndarray | None = None) -> np.ndarray:
    """The divergence r log(r / p) - r + p >= 0 for r = p + change, elementwise; p > 0, r >= 0.

    p may underflow where its logarithm is given. It is that of x log x (Bregman): p times (1 + u) log(1 + u) - u with
    u = change / p, which near 0 is a series.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        u = change / p
        r = np.maximum(p + change, 0.0)
        # Without its logarithm a p that underflows costs infinitely much.
        cross = xlogy(r, p) if log_p is None else r * log_p
        far = np.where(r > 0, xlogy(r, r) - cross - change, p)
    near = np.where(np.abs(u) < SMALL, u, 0.0)
    series = p * _near_zero(near, [(-1) ** k / ((k + 1) * (k + 2)) for k in range(TERMS)])
    return np.where(np.abs(u) < SMALL, series, np.maximum(far, 0.0))


def exp_rest(w: np.ndarray) -> np.ndarray:
    """e^w - 1 - w >= 0, elementwise; ``inf`` where e^w is."""
    near = np.where(np.abs(w) < SMALL, w, 0.0)
    factorials = np.cumprod(np.arange(2.0, TERMS + 2))
    with np.errstate(over="ignore"):
        far = np.maximum(np.expm1(w) - w, 0.0)
    return np.where(np.abs(w) < SMALL, _near_zero(near, list(1 / factorials)), far)
