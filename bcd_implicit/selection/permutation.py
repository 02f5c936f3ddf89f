"""Permutation: how large would the statistics of score tests be, had the residuals met the inputs of other samples?

An input without a part in the targets is independent of them, so that its values would be as likely in any other order.
For a statistic that is large where an input has a part, the share of orders in which it is at least as large as in the
order given is therefore a p-value, whatever the distribution of inputs and noise (Fisher 1935). The largest statistic
of all inputs gives p-values for all of them together, without Bonferroni's loss (Westfall and Young, *Resampling-Based
Multiple Testing*, 1993).

Samples that belong together move together: whole groups change places with groups of the same size. Of sizes that few
groups have, the larger groups lose their last samples, as few as that takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, lgamma

import numpy as np

# Orders to try: with the one given this many over the level, or as many as cost so many multiplications, but never
# fewer than show a p-value of half the level.
ORDERS, FEWEST, WORK = 10, 2, 4e9
# Numbers that one batch of shuffled rows holds at most.
BATCH = 4_000_000
# Groups that change places with each other: fewer have too few orders.
LEAST_IN_CLASS = 5


@dataclass(frozen=True)
class Exchange:
    """Which samples may change places.

    Attributes
    ----------
    samples : ndarray of int
        Those that take part in the tests.
    classes : tuple of ndarray of int, each of shape (n_groups, size)
        Places among these samples: a row a group, whose samples stay in their order. Groups of a class change places.
    """

    samples: np.ndarray
    classes: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, n_samples: int, groups: np.ndarray | None = None) -> Exchange:
        """Of independent samples, or of groups: an array of labels, one a sample."""
        if groups is None:
            return cls(np.arange(n_samples), (np.arange(n_samples)[:, None],))
        members = [np.flatnonzero(groups == label) for label in np.unique(groups)]
        members.sort(key=len, reverse=True)
        blocks = []
        for size, first, end in _classes([len(those) for those in members]):
            blocks.append(np.array([those[:size] for those in members[first:end]]))
        samples = np.sort(np.concatenate([block.ravel() for block in blocks]))
        return cls(samples, tuple(np.searchsorted(samples, block) for block in blocks))

    @property
    def n_units(self) -> int:
        """How many there are of what changes places: samples, or groups."""
        return sum(len(block) for block in self.classes)

    @property
    def least_p_value(self) -> float:
        """No permutation test can show less: 1 over the number of orders."""
        return float(np.exp(-sum(lgamma(len(block) + 1) for block in self.classes)))

    def orders(self, n_orders: int, rng: np.random.Generator) -> np.ndarray:
        """Random orders of these samples, a row each: (n_orders, n_samples)."""
        orders = np.empty((n_orders, len(self.samples)), dtype=int)
        for block in self.classes:
            places = rng.permuted(np.tile(np.arange(len(block)), (n_orders, 1)), axis=1)
            orders[:, block] = block[places]
        return orders


def _classes(sizes: list[int]) -> list[tuple[int, int, int]]:
    """Divide falling sizes into classes (the size kept, first, end) that keep as many samples as can be."""
    n = len(sizes)
    # The most that groups up to the i-th can keep, and where the last class of that division begins.
    kept, begins = [0.0] + [-np.inf] * n, [0] * (n + 1)
    for end in range(1, n + 1):
        for first in range(end):
            if end - first >= min(LEAST_IN_CLASS, n) and kept[first] + (end - first) * sizes[end - 1] > kept[end]:
                kept[end], begins[end] = kept[first] + (end - first) * sizes[end - 1], first
    classes, end = [], n
    while end:
        classes.append((sizes[end - 1], begins[end], end))
        end = begins[end]
    return classes


def shuffled_statistics(
    residuals: np.ndarray,
    features: np.ndarray,
    exchange: Exchange,
    level: float = 0.05,
    random_state: int | None = 0,
    free: np.ndarray | None = None,
) -> np.ndarray:
    """||sum_k residuals_k f_k||^2 of each feature f, for the order given and for random ones.

    Parameters
    ----------
    residuals : ndarray of shape (r, m)
    features : ndarray of shape (k, m)
    exchange : Exchange
    level : float
        What p-values are to be compared with.
    random_state : int or None
        Of the orders.
    free : ndarray of bool, shape (r, k), optional
        The rows of the residuals that count for a feature; by default all.

    Returns
    -------
    ndarray of shape (1 + n_orders, k)
        The order given comes first.
    """
    work = 2.0 * residuals.size * len(features)
    n_orders = ceil(np.clip(WORK / max(work, 1.0), FEWEST / level, ORDERS / level)) - 1
    rng, found, n_samples = np.random.default_rng(random_state), list[np.ndarray](), residuals.shape[1]
    orders, at_once = np.arange(n_samples)[None], max(1, BATCH // residuals.size)
    while True:
        sums = (residuals[:, orders].reshape(-1, n_samples) @ features.T).reshape(len(residuals), len(orders), -1)
        if free is not None:
            sums *= free[:, None]
        found.append(np.einsum("rbk,rbk->bk", sums, sums))
        if (missing := 1 + n_orders - sum(map(len, found))) == 0:
            return np.vstack(found)
        orders = exchange.orders(min(missing, at_once), rng)


def permutation_p_values(statistics: np.ndarray, inflation: float = 1.0) -> np.ndarray:
    """P-values for all features together, from :func:`shuffled_statistics`; shape (k,).

    Each feature's statistics are measured by what one in twenty of them exceeds, so that rare and heavy-tailed
    features, whose statistics spread more, do not hide the others. (The mean and the spread of a heavy tail would be
    those of its largest value.)

    Parameters
    ----------
    statistics : ndarray of shape (1 + n_orders, k)
    inflation : float
        Those of shuffled residuals are multiplied by this.
    """
    T = statistics.copy()
    T[1:] *= inflation
    usual = np.quantile(T, 0.95, axis=0)
    T /= np.where(usual > 0, usual, 1.0)
    # Where values are tied, as those of rare inputs, rounding must not decide.
    return np.mean(T.max(axis=1)[:, None] >= (1 - 1e-9) * T[0], axis=0)


def permutation_moments(residuals: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the statistics over all m! orders, in closed form; each of shape (k,).

    Parameters
    ----------
    residuals : ndarray of shape (r, m)
        Of m >= 4 samples. Each row sums to zero.
    features : ndarray of shape (k, m)

    Notes
    -----
    With l = f - mean(f) scaled to length 1 and K_ab = residuals_a'residuals_b the statistic is sum_ab K_ab l_a l_b. Of
    its square each product K_ab K_cd meets the mean of a product of four entries of l, which depends on which of a, b,
    c and d are equal; the sums of K over these cases follow from its rows, which sum to zero. (Kazi-Aoual, Hitier,
    Sabatier and Lebreton, *Computational Statistics & Data Analysis* 1995, treat the general case.)
    """
    m = residuals.shape[1]
    centred = features - features.mean(axis=1, keepdims=True)
    squares = np.einsum("km,km->k", centred, centred)
    fourth = np.einsum("km,km->k", centred**2, centred**2) / np.where(squares > 0, squares, 1.0) ** 2
    own = np.einsum("rm,rm->m", residuals, residuals)
    small = residuals @ residuals.T
    trace2, both, diagonal = own.sum() ** 2, np.sum(small**2), np.sum(own**2)
    # E l1^4, E l1^3 l2, E l1^2 l2^2, E l1^2 l2 l3, E l1 l2 l3 l4, each with the sum of K_ab K_cd that it meets.
    pairs = m * (m - 1)
    square = (
        fourth / m * diagonal
        - fourth / pairs * -4 * diagonal
        + (1 - fourth) / pairs * (trace2 + 2 * both - 3 * diagonal)
        + (2 * fourth - 1) / (pairs * (m - 2)) * (12 * diagonal - 2 * trace2 - 4 * both)
        + (3 - 6 * fourth) / (pairs * (m - 2) * (m - 3)) * (trace2 + 2 * both - 6 * diagonal)
    )
    mean = np.sqrt(trace2) / (m - 1)
    return squares * mean, squares**2 * (square - mean**2)
