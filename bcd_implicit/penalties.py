"""The convex terms on A and B: row l1 balls and the group lasso over the columns of B.

Each has a value, a violation, a proximal map (or projection), a repair that makes a nearly feasible point
feasible, a conjugate (for duality gaps) and its CVXPY form. With a ridge term r/2 ||.||^2 added,
the conjugate at G is  sup_T <G, T> - h(T) - r/2 ||T||^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cvxpy as cp
import numpy as np


def project_l1_rows(A: np.ndarray, radius: float, steps: np.ndarray | None = None) -> np.ndarray:
    """Project every row of A (n, k) on the l1 ball of the given radius (Held, Wolfe, Crowder 1974).

    Parameters
    ----------
    A : ndarray of shape (n, k)
    radius : float
    steps : ndarray of shape (k,), optional
        Positive. Distances are then measured by sum_j (a_j - b_j)^2 / steps_j, and entry j shrinks by
        ``steps_j`` times the row's multiplier.
    """
    size = np.abs(A)
    outside = size.sum(axis=1) > radius
    if not outside.any():
        return A.copy()
    P = A.copy()
    if radius == 0:
        P[outside] = 0.0
        return P
    size, steps = size[outside], np.ones(A.shape[1]) if steps is None else steps
    # Entry j is zero from the multiplier size_j / steps_j on: take the entries in that order.
    leaves = size / steps
    order = np.argsort(-leaves, axis=1)
    candidates = (np.cumsum(np.take_along_axis(size, order, axis=1), axis=1) - radius) / np.cumsum(steps[order], axis=1)
    # The entries kept are as many as still exceed the multiplier that they would need among themselves.
    # At least one: rounding can hide the first when the radius is tiny.
    kept = np.maximum(np.sum(np.take_along_axis(leaves, order, axis=1) > candidates, axis=1), 1)
    multiplier = candidates[np.arange(len(kept)), kept - 1]
    P[outside] = np.sign(A[outside]) * np.maximum(size - multiplier[:, None] * steps, 0.0)
    return P


def column_norms(B: np.ndarray) -> np.ndarray:
    """Euclidean norm of each column of B (n, p): shape (p,)."""
    return np.sqrt(np.einsum("ij,ij->j", B, B))


@dataclass(frozen=True)
class RowBall:
    """||A||_inf = max_i sum_j |A_ij| <= radius: every row of A in the l1 ball (well-posedness)."""

    radius: float

    def violation(self, A: np.ndarray) -> float:
        """How far the largest absolute row sum exceeds the radius; 0 when feasible."""
        return max(0.0, float(np.abs(A).sum(axis=1).max()) - self.radius)

    def prox(self, A: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Projection, in the metric of the steps where they differ by column."""
        return project_l1_rows(A, self.radius, step if np.ndim(step) else None)  # type: ignore[arg-type]

    def binding(self, A: np.ndarray) -> np.ndarray:
        """Which rows are on the boundary, to rounding; bool, shape (n,)."""
        return np.abs(A).sum(axis=1) >= self.radius * (1 - 1e-12)

    def repair(self, A: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """Scale back the rows that a solver left slightly outside; scale those of ``onto`` to the boundary."""
        sums = np.abs(A).sum(axis=1)
        scaled = sums > self.radius
        if onto is not None:
            scaled[onto] = sums[onto] > 0
        return A * np.where(scaled, self.radius / np.where(scaled, sums, 1.0), 1.0)[:, None]

    def conjugate(self, G: np.ndarray, ridge: float = 0.0) -> float:
        """Sup over feasible A of <G, A> - ridge/2 ||A||_F^2."""
        if ridge == 0:
            return self.radius * float(np.abs(G).max(axis=1).sum())
        A = project_l1_rows(G / ridge, self.radius)
        return float(np.sum(G * A) - 0.5 * ridge * np.sum(A * A))

    def cvxpy(self, A: cp.Expression) -> list[cp.Constraint]:
        """The constraint on a CVXPY variable. (cp.norm_inf would be the largest *entry*.)"""
        return [cp.norm1(A, axis=1) <= self.radius]


@dataclass(frozen=True)
class GroupLasso:
    """sum_j ||B e_j||_2, weighted or bounded by kappa. The groups are the columns of B (n, p)."""

    kappa: float
    form: ClassVar[str]

    def sum_of_norms(self, B: np.ndarray) -> float:
        """sum_j ||B e_j||_2."""
        return float(column_norms(B).sum())


class GroupLassoPenalty(GroupLasso):
    """The term kappa * sum_j ||B e_j||_2 in the objective."""

    form = "penalty"

    def value(self, B: np.ndarray) -> float:
        """Kappa * sum_j ||B e_j||_2."""
        return self.kappa * self.sum_of_norms(B)

    def violation(self, B: np.ndarray) -> float:
        """A penalty cannot be violated: 0."""
        return 0.0

    def repair(self, B: np.ndarray, onto: bool = False) -> np.ndarray:
        """Nothing to repair."""
        return B

    def prox(self, B: np.ndarray, step: float | np.ndarray) -> np.ndarray:
        """Group soft thresholding; one step, or one a column."""
        norms = column_norms(B)
        safe = np.where(norms > 0, norms, 1.0)
        return B * np.maximum(1.0 - step * self.kappa / safe, 0.0)

    def conjugate(self, G: np.ndarray, ridge: float = 0.0) -> float:
        """sup_B <G, B> - kappa sum ||B_j|| - ridge/2 ||B||^2; infinite without ridge outside the dual ball."""
        excess = np.maximum(column_norms(G) - self.kappa, 0.0)
        if ridge > 0:
            return 0.5 * float(excess @ excess) / ridge
        return 0.0 if excess.max() <= 1e-12 * self.kappa else np.inf

    def dual_scale(self, G: np.ndarray) -> float:
        """Largest s <= 1 for which s G lies in the dual ball {max_j ||G_j|| <= kappa}."""
        largest = float(column_norms(G).max())
        return 1.0 if largest <= self.kappa else self.kappa / largest

    def multiplier(self, G: np.ndarray, B: np.ndarray) -> float:
        """The penalty weight itself."""
        return self.kappa

    def binds(self, B: np.ndarray) -> bool:
        """A penalty is no constraint."""
        return False

    def cvxpy(self, B: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective term and constraints; kappa is a cp.Parameter named "kappa"."""
        kappa = cp.Parameter(nonneg=True, name="kappa", value=self.kappa)
        return kappa * cp.sum(cp.norm(B, 2, axis=0)), []


class GroupLassoConstraint(GroupLasso):
    """The constraint sum_j ||B e_j||_2 <= kappa."""

    form = "constraint"

    def value(self, B: np.ndarray) -> float:
        """A constraint adds nothing to the objective: 0."""
        return 0.0

    def violation(self, B: np.ndarray) -> float:
        """How far the sum of norms exceeds kappa."""
        return max(0.0, self.sum_of_norms(B) - self.kappa)

    def repair(self, B: np.ndarray, onto: bool = False) -> np.ndarray:
        """Scale B back when a solver left it slightly outside; with ``onto``, to the boundary in any case."""
        total = self.sum_of_norms(B)
        return B * (self.kappa / total) if total > self.kappa or (onto and total > 0) else B

    def prox(self, B: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Projection: the column norms are projected on the l1 ball, the directions stay."""
        norms = column_norms(B)
        shrunk = project_l1_rows(norms[None, :], self.kappa, step if np.ndim(step) else None)[0]  # type: ignore[arg-type]
        return B * (shrunk / np.where(norms > 0, norms, 1.0))

    def conjugate(self, G: np.ndarray, ridge: float = 0.0) -> float:
        """Sup over feasible B of <G, B> - ridge/2 ||B||^2."""
        if ridge == 0:
            return self.kappa * float(column_norms(G).max())
        B = self.prox(G / ridge)
        return float(np.sum(G * B) - 0.5 * ridge * np.sum(B * B))

    def dual_scale(self, G: np.ndarray) -> float:
        """The conjugate is finite everywhere: no scaling is needed."""
        return 1.0

    def multiplier(self, G: np.ndarray, B: np.ndarray) -> float:
        """Equivalent penalty weight: the largest column norm of G, minus the gradient of the smooth terms.

        Zero while the constraint is not active.
        """
        return float(column_norms(G).max()) if self.binds(B, 1e-6) else 0.0

    def binds(self, B: np.ndarray, tol: float = 1e-12) -> bool:
        """Whether B lies on the boundary, to the relative tolerance."""
        return self.sum_of_norms(B) >= self.kappa * (1 - tol)

    def cvxpy(self, B: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective term and constraints; kappa is a cp.Parameter named "kappa"."""
        kappa = cp.Parameter(nonneg=True, name="kappa", value=self.kappa)
        return cp.Constant(0.0), [cp.sum(cp.norm(B, 2, axis=0)) <= kappa]


GROUP_FORMS: dict[str, type[GroupLassoPenalty] | type[GroupLassoConstraint]] = {
    "penalty": GroupLassoPenalty,
    "constraint": GroupLassoConstraint,
}
