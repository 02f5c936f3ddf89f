"""Weighted statistics of samples, which are the last axis of every array; ``shares`` are the weights, of sum 1."""

from __future__ import annotations

import numpy as np


def mean(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weighted mean.

    From the first sample on, so that a large offset costs no digits and the mean of equal values is exact.
    """
    first = values[..., 0]
    return first + (values - first[..., None]) @ shares


def centre(rows: np.ndarray, shares: np.ndarray, intercept: bool) -> np.ndarray:
    """What an intercept takes out of each row: its :func:`mean`; 0 where there is none."""
    return mean(rows, shares) if intercept else np.zeros(len(rows))


def variance(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Weighted variance; 0 where only rounding tells the samples apart."""
    found = (values - mean(values, shares)[..., None]) ** 2 @ shares
    # Not > 0: values that should be equal may differ in the last digit, which units would blow up.
    return np.where(found > (1e-12 * np.abs(values).max(axis=-1)) ** 2, found, 0.0)


def effective_samples(shares: np.ndarray) -> float:
    """1 / sum_k omega_k^2, how many samples of equal weight say as much (Kish, *Survey Sampling*, 1965)."""
    return 1 / float(shares @ shares)


def standard_error(values: np.ndarray, shares: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Standard error of :func:`mean` for independent samples; a weight of 2 is not two of them.

    The root of m/(m - 1) sum_k omega_k^2 (v_k - mean)^2, where m is the effective number of samples. If samples
    belong together (a label each), only their groups are independent, and it is the groups' sums that are squared.
    """
    terms = shares * (values - mean(values, shares)[..., None])
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[0]] - 1))
        terms, shares = (np.add.reduceat(rows[..., order], starts, axis=-1) for rows in (terms, shares))
    # One sample that has all the weight makes this 0 / 0.
    return np.sqrt(np.sum(terms**2, axis=-1) / max(1 - 1 / effective_samples(shares), np.finfo(float).eps))


def near_least(errors: np.ndarray, shares: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Which rows exceed the one of the least mean by no more than a standard error of the difference: bool, (n_rows,).

    The least itself is one of them.
    """
    above = errors - errors[mean(errors, shares).argmin()]
    return mean(above, shares) <= standard_error(above, shares, groups)
