"""A penalty of whole columns, a group lasso, with a small ridge::

    value(T) = sum_j weight_j ||T e_j||_2 + ridge / 2 ||T||_F^2

The ridge bounds every entry, so that the conjugate is finite everywhere and any gradient gives a duality gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.terms.entrywise import Penalty
from bcd_implicit.terms.penalties import column_norms
from bcd_implicit.terms.projections import UPWARDS


@dataclass(frozen=True, eq=False)
class Columnwise(Penalty):
    """The penalty of a matrix T of shape (r, P).

    Parameters
    ----------
    weights : ndarray of shape (P,)
        Of the columns' lengths; 0 or more.
    ridge : float
        Positive.
    free : ndarray of bool, shape (r, P)
        Which entries may be other than zero.
    """

    weights: np.ndarray
    ridge: float
    free: np.ndarray

    def value(self, T: np.ndarray) -> float:
        """The penalty and the ridge."""
        return float(self.weights @ column_norms(T) + 0.5 * self.ridge * np.sum(T**2))

    def prox(self, T: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The proximal map, for steps of shape (r, P) that are the same in a column: columns become shorter."""
        T = self.feasible(T) / (1 + step * self.ridge)
        # The same in every row, also where there is none.
        shrink = (step / (1 + step * self.ridge))[:1].sum(axis=0) * self.weights
        lengths = column_norms(T)
        return np.asarray(T * (np.maximum(lengths - shrink, 0.0) / np.where(lengths > 0, lengths, 1.0)))

    def smooth(self, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The penalty's gradient, (r, P), and weight over length, (P,), of columns that are not zero, 0 of others."""
        lengths = column_norms(T)
        bend = np.where(lengths > 0, self.weights, 0.0) / np.where(lengths > 0, lengths, 1.0)
        return bend * T + self.ridge * T, bend

    def conjugate(self, G: np.ndarray) -> float:
        """Sup over T of <G, T> - value(T); a little more, never less."""
        beyond = np.maximum(column_norms(self.feasible(G)) - self.weights, 0.0)
        return UPWARDS * float(np.sum(beyond**2)) / (2 * self.ridge)
