"""Where the units of columns differ much, penalties and ridges weigh them all alike; what standardising does."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from bcd_implicit.errors import DataWarning
from bcd_implicit.problem import statistics

# The smallest ratio of spreads that warns.
TIMES = 10
#: The units under ``standardize=True``.
STANDARDISED = (
    "kappa, norms, losses and constraints refer to standardised columns; models take and give values in your units"
)


def warn_if_spreads_differ(name: str, rows: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> None:
    """Warn where :func:`difference` finds one; the arguments are its own.

    Warns
    -----
    DataWarning
        As said, with the two variables.
    """
    if told := difference(name, rows, shares, names):
        advice = "standardize=False keeps the columns as they are, without this warning."
        warnings.warn(f"{told} {advice}", DataWarning, stacklevel=3)


def difference(name: str, rows: np.ndarray, shares: np.ndarray, names: Sequence[str]) -> str:
    """Say by how much spreads differ, where the largest is ten times the smallest or more; constants do not count.

    An indicator of something rare has a small deviation and no small unit: at the lower end a variable of two values
    counts with half of their difference.

    Parameters
    ----------
    name : str
        What messages call the data.
    rows : ndarray of shape (k, m)
        A variable a row.
    shares : ndarray of shape (m,)
        Weights of the samples, of sum 1.
    names : sequence of str

    Returns
    -------
    str
        The two variables, and what to do; empty where spreads are alike.
    """
    spreads = np.sqrt(statistics.variance(rows, shares))
    low, high = rows.min(axis=1), rows.max(axis=1)
    two_valued = ((rows == low[:, None]) | (rows == high[:, None])).all(axis=1)
    least = np.where(spreads > 0, np.where(two_valued, (high - low) / 2, spreads), np.inf)
    small, large = int(least.argmin()), int(spreads.argmax())
    if spreads[large] < TIMES * least[small]:
        return ""
    return (
        f"{name}: the spreads of its columns differ by a factor of {spreads[large] / least[small]:.3g}: "
        f"{names[large]!r} has {spreads[large]:.3g}, {names[small]!r} {least[small]:.3g}. Penalties treat all "
        "columns alike, so a column's units decide how much it counts. Pass standardize=True: the model still takes "
        "and gives values in your units."
    )
