"""Columns that number the rows, or did before rows were dropped or shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Below, a few counts may look like numbers of rows by chance.
LEAST_ROWS = 20
#: Of n numbers without repeats, among so many times n: what a test set of a quarter or a third leaves of row numbers.
#: Twenty random numbers out of thirty are without repeats with probability 2e-4.
FEW_GAPS = 1.5


def row_numbers(values: np.ndarray, names: Sequence[Any]) -> list[Any]:
    """Names of the columns that only number the rows: whole numbers, each one more (or less) than the one before.

    Parameters
    ----------
    values : ndarray of shape (m, k)
    names : sequence of k names

    Returns
    -------
    list
        Empty below 20 rows.
    """
    if len(values) < LEAST_ROWS:
        return []
    # Numbers that are too large may still be refused.
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(values, axis=0)
    numbering = (values[0] % 1 == 0) & ((steps == 1).all(axis=0) | (steps == -1).all(axis=0))
    return [name for name, found in zip(names, numbering, strict=True) if found]


def like_row_numbers(values: np.ndarray, names: Sequence[Any]) -> list[Any]:
    """Names of the columns that may have numbered the rows: whole numbers in any order, no repeats and few gaps.

    Arguments and result are those of :func:`row_numbers`, whose columns are not among these.
    """
    if len(values) < LEAST_ROWS:
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.flatnonzero(np.ptp(values, axis=0) < FEW_GAPS * len(values)).tolist()
    like = [j for j in near if _all_different(values[:, j])]
    counting = row_numbers(values[:, like], like)
    return [names[j] for j in like if j not in counting]


def _all_different(column: np.ndarray) -> bool:
    return not (column % 1).any() and len(np.unique(column)) == len(column)
