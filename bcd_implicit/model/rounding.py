"""Rounding: how far off sums are, what is below 1 whatever the rounding, and numbers next to 1 in words."""

from __future__ import annotations

from typing import overload

import numpy as np

EPS = float(np.finfo(float).eps)


@overload
def summation_error(n_terms: int) -> float: ...
@overload
def summation_error(n_terms: np.ndarray) -> np.ndarray: ...
def summation_error(n_terms: int | np.ndarray) -> float | np.ndarray:
    """A sum of products of ``n_terms`` terms is off by at most this share of the sum of their absolute values.

    In any order of summation (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), with some terms to
    spare for what is added, rounded and compared afterwards. An array of numbers of terms gives an array.
    """
    return (n_terms + 8) * EPS / 2


def rounded_up(factor: float, n_terms: int) -> float:
    """What a contraction factor, found by sums of so many terms, is at the most: that has to be below 1."""
    return factor * (1 + summation_error(n_terms))


def near_one(value: float) -> str:
    """The number, in as many digits as tell it from 1."""
    short = f"{value:.4g}"
    return short if short != "1" or value == 1 else f"1 {'-' if value < 1 else '+'} {abs(1 - value):.1e}"
