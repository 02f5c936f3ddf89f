"""An entrywise penalty: a weight for each entry's absolute value, a small ridge, and a ball for rows::

    value(T) = sum_ij weight_ij |t_ij| + ridge_ij / 2 t_ij^2,     sum over j inside of |t_ij| <= radius

The ridge bounds every entry, so that the conjugate is finite everywhere and any gradient gives a duality gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.terms.projections import UPWARDS, l1_multipliers, project_l1_rows, shrunk

# Reweighting: 1 / (size / mean size + this).
OFFSET = 0.3


def reweighted(sizes: np.ndarray, mean: float) -> np.ndarray:
    """Factors of weights: what is small is punished more, and what is large less."""
    return 1 / (sizes / mean + OFFSET)


class Penalty:
    """A penalty of a matrix with a ridge, and with entries that are held at zero where they are not ``free``."""

    free: np.ndarray

    def value(self, T: np.ndarray) -> float:
        """The penalty and the ridge."""
        raise NotImplementedError

    def prox(self, T: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The proximal map, for steps of T's shape that are the same in a column."""
        raise NotImplementedError

    def feasible(self, T: np.ndarray) -> np.ndarray:
        """T with zeros where entries are not free, and inside the constraints, if there are any."""
        return np.where(self.free, T, 0.0)

    def violation(self, T: np.ndarray) -> float:
        """By how much a constraint is violated, relatively; ``inf`` where an entry should be zero."""
        return np.inf if np.any(T[~self.free]) else 0.0

    def conjugate(self, G: np.ndarray) -> float:
        """Sup over T of <G, T> - value(T); a little more, never less."""
        raise NotImplementedError

    def gap(self, T: np.ndarray, G: np.ndarray) -> float:
        """The duality gap at T of a smooth convex function plus this one, G the function's gradient at T.

        value(T) + conjugate(-G) + <G, T>: the function's own part, with its gradient as the dual point, is zero.
        """
        return max(0.0, self.value(T) + self.conjugate(-G) + float(np.sum(G * np.where(self.free, T, 0.0))))


@dataclass(frozen=True, eq=False)
class Entrywise(Penalty):
    """The penalty of a matrix T of shape (r, P).

    Parameters
    ----------
    weights : ndarray of shape (r, P)
        Of absolute values; 0 or more.
    ridge : ndarray of shape (r, P)
        Positive.
    free : ndarray of bool, shape (r, P)
        Which entries may be other than zero.
    inside : ndarray of int, shape (k,)
        Columns whose entries are bounded together, in every row.
    radius : float
        Their bound, positive.
    """

    weights: np.ndarray
    ridge: np.ndarray
    free: np.ndarray
    inside: np.ndarray
    radius: float = np.inf

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return bool(self.inside.size and np.isfinite(self.radius))

    def value(self, T: np.ndarray) -> float:
        """The penalty and the ridge."""
        return float(np.sum(self.weights * np.abs(T) + 0.5 * self.ridge * T**2))

    def prox(self, T: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The proximal map for steps of shape (r, P) or (P,): shrink, then project."""
        # With the ridge: steps and points as if there were none. A projection shrinks further, and turns nothing round.
        damped = step / (1 + step * self.ridge)
        T = T / (1 + step * self.ridge)
        T = np.where(self.free, shrunk(T, damped * self.weights), 0.0)
        if self.bounded:
            T[:, self.inside] = project_l1_rows(T[:, self.inside], self.radius, damped[:, self.inside])
            # Where steps differ by many powers of ten rounding may leave it outside.
            return self.feasible(T)
        return T

    def feasible(self, T: np.ndarray) -> np.ndarray:
        """T with zeros where entries are not free, and rows scaled into the ball."""
        T = super().feasible(T)
        if self.bounded:
            sums = np.abs(T[:, self.inside]).sum(axis=1, keepdims=True)
            T[:, self.inside] *= np.minimum(1.0, self.radius / np.maximum(sums, self.radius))
        return T

    def kinked(self) -> np.ndarray:
        """The entries that have a kink at zero: bool, shape (r, P)."""
        kinked = self.weights > 0
        if self.bounded:
            kinked[:, self.inside] = True
        return kinked

    def violation(self, T: np.ndarray) -> float:
        """How far the largest sum exceeds the radius, relative to it; ``inf`` where an entry should be zero."""
        if not self.bounded:
            return super().violation(T)
        return max(super().violation(T), float(np.abs(T[:, self.inside]).sum(axis=1).max()) / self.radius - 1)

    def conjugate(self, G: np.ndarray) -> float:
        """Sup over T of <G, T> - value(T), over T in the ball; a little more, never less.

        By duality in the ball: at the multiplier t it is ``radius t + sum_j max(|g_j| - weight_j - t, 0)^2 / (2
        ridge_j)``, and any t gives an upper bound.
        """
        beyond = np.where(self.free, np.maximum(np.abs(G) - self.weights, 0.0), 0.0)
        total = 0.0
        if self.bounded:
            steps = 1 / self.ridge[:, self.inside]
            t = l1_multipliers(beyond[:, self.inside] * steps, self.radius, steps)[:, None]
            beyond[:, self.inside] = np.maximum(beyond[:, self.inside] - t, 0.0)
            total = self.radius * float(t.sum())
        return UPWARDS * (total + float(np.sum(0.5 * beyond / self.ridge * beyond)))
