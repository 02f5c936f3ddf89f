"""The terms of the (A, B, b) blocks beside their smooth part, and the faces on which these terms are smooth.

T = (A | B | b) is one matrix of shape (n, P), P = n + p + 1, or n + p without an intercept. If the groups are
columns of (B; D) it goes on below with the rows (0 | D | d).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np

from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.terms.group_norms import Facet

# A group whose gradient is this near to letting it in is looked at.
NEAR = 0.7
# Entries of a group whose curvatures are within this factor of each other share a step.
ALIKE = 10.0


@dataclass(frozen=True)
class Face:
    """The smooth piece of the objective on which a point lies.

    Attributes
    ----------
    free : ndarray of bool, shape (n, P)
        Entries that may move.
    rows : ndarray of int, shape (n_rows,)
        Rows of A on the boundary of their set.
    normals : ndarray of shape (n_rows, n)
        Of the boundary: the signs of what is bounded of these rows.
    facet : Facet
        The group lasso's part.
    weights : ndarray of shape (p,)
        Curvature of the group lasso, its multiplier times the facet's.
    group_binds : bool
        B is on the boundary of the group-lasso constraint.
    """

    free: np.ndarray
    rows: np.ndarray
    normals: np.ndarray
    facet: Facet
    weights: np.ndarray
    group_binds: bool

    @property
    def n_normals(self) -> int:
        """The number of linear conditions that hold on the face."""
        return len(self.rows) + int(self.group_binds) + len(self.facet.ties)


class Terms:
    """Everything but f, for T of shape (n, P) or, stacked, (n + q, P): row sets, group lasso and ridge."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.row_set, self.group_lasso = problem.row_set, problem.group_lasso
        self.groups = self.group_lasso.groups
        self.n, self.end_of_B = problem.n_hidden, problem.n_hidden + problem.n_inputs
        self.n_rows = self.n + (problem.n_outputs if problem.stacked else 0)
        self.ridge = np.zeros((self.n_rows, self.end_of_B + int(problem.fit_intercept)))
        # The last column, the intercepts, is never penalised; the rows below A and B, where there are any, are D.
        self.ridge[: self.n, : self.end_of_B] = problem.ridge_hidden
        self.ridge[self.n :, self.n : self.end_of_B] = problem.ridge
        # What may be other than zero at all: by the pattern, and beside D there is no variable.
        self.free = np.ones(self.ridge.shape, dtype=bool)
        self.free[self.n :, : self.n] = False
        if problem.pattern:
            self.A(self.free)[:] = problem.pattern.entries("A", (self.n, self.n))
            self.B(self.free)[:] = problem.free_groups

    def on(self, groups: np.ndarray) -> tuple[Terms, np.ndarray]:
        """The same for some of the groups alone, bool of shape (n_groups,), and the columns of T that are left."""
        inputs = self.groups.spread(groups)
        states, intercepts = np.arange(self.n), np.arange(self.end_of_B, self.width)
        columns = np.concatenate([states, self.n + np.flatnonzero(inputs), intercepts])
        some = copy.copy(self)
        some.groups = self.groups.some(groups)
        some.group_lasso = replace(self.group_lasso, groups=some.groups)
        some.end_of_B = self.n + int(inputs.sum())
        some.ridge, some.free = self.ridge[:, columns], self.free[:, columns]
        return some, columns

    @property
    def width(self) -> int:
        """The number P of columns of T."""
        return self.ridge.shape[1]

    def A(self, T: np.ndarray) -> np.ndarray:
        """The part of T that is A; a view."""
        return T[..., : self.n, : self.n]

    def B(self, T: np.ndarray) -> np.ndarray:
        """The part of T that is B, or (B; D); a view."""
        return T[..., :, self.n : self.end_of_B]

    def value(self, T: np.ndarray) -> float:
        """Ridge, group-lasso penalty and that of A."""
        ridge = 0.5 * float(np.einsum("ij,ij,ij->", self.ridge, T, T))
        return ridge + self.group_lasso.value(self.B(T)) + self.row_set.value(self.A(T))

    def active(self, T: np.ndarray, G: np.ndarray, near: float = NEAR) -> np.ndarray:
        """The groups that are in, or whose gradient in G, that of f, is near what lets them in: bool, (n_groups,)."""
        lasso = self.group_lasso
        pulled = (
            lasso.norm.dual(self.B(np.where(self.free, G, 0.0)), self.groups) > near * lasso.kappa * self.groups.weights
        )
        return pulled | (lasso.norm.of(self.B(T), self.groups) > 0) | (lasso.form == "constraint")

    def metric(self, curvature: np.ndarray) -> np.ndarray:
        """A diagonal bound of the Hessian from one without ridge: one number a column, equal inside a group, or all.

        Both have shape (P,), or (n, P) where rows differ. Shrinking a group is a formula only where all its entries
        have one number. The largest is a bound, so that is what they get if it takes little from the others.
        """
        uneven = self.group_lasso.norm.has_metrics
        if curvature.ndim == 2 and uneven:
            return curvature + self.ridge
        metric = (curvature + self.ridge).max(axis=0) if curvature.ndim == 2 else curvature + self.ridge[0]
        if not self.groups.alone:
            of_B, labels = metric[self.n : self.end_of_B], self.groups.labels
            largest, least = np.zeros(len(self.groups.weights)), np.full(len(self.groups.weights), np.inf)
            np.maximum.at(largest, labels, of_B)
            np.minimum.at(least, labels, of_B)
            if uneven and np.any(largest > ALIKE * least):
                return np.broadcast_to(metric, self.ridge.shape)
            of_B[:] = self.groups.spread(largest)
        return metric

    def prox(self, T: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Proximal map of row sets and group lasso, in the inverse of a :meth:`metric`."""
        # A gradient step would fill what is to be zero. Both maps are the same on the others alone.
        T = np.where(self.free, T, 0.0)
        self.A(T)[:] = self.row_set.prox(self.A(T), steps[..., : self.n] if steps.ndim == 1 else self.A(steps))
        self.B(T)[:] = self.group_lasso.prox(self.B(T), steps[..., self.n : self.end_of_B])
        return T

    def face(self, T: np.ndarray, G: np.ndarray) -> tuple[Face, np.ndarray]:
        """The face of T and the objective's gradient in it; G is the gradient of f."""
        A, B = self.A(T), self.B(T)
        facet = self.group_lasso.facet(B)
        free = self.free.copy()
        self.A(free)[:] &= self.row_set.smooth_at(A)
        self.B(free)[:] &= facet.kept
        # With norm_bound = 0 a zero row is on the boundary too, but may have no signs to make a normal of.
        normals = self.row_set.normals(A)
        rows = np.flatnonzero(self.row_set.binding(A) & normals.any(axis=1))
        slope = facet.slope
        # The same for kappa = 0 in constraint form.
        binds = self.group_lasso.binds(B) and bool(slope.any())
        gradient, multiplier = G + self.ridge * T, 0.0
        self.A(gradient)[:] += self.row_set.slope(A)
        if self.group_lasso.form == "penalty":
            multiplier = self.group_lasso.kappa
            self.B(gradient)[:] += multiplier * slope
        elif binds:
            # The force with which the columns press against the constraint, each weighted by its length: so no unit
            # plays a part. Not below 0: Newton's matrix would be indefinite, and roots are taken of these weights.
            pressing = np.where(self.group_lasso.bounded, B, 0.0)
            multiplier = max(-float(np.vdot(self.B(gradient), pressing)) / float(np.vdot(slope, pressing)), 0.0)
        face = Face(free, rows, normals[rows], facet, multiplier * facet.bend, binds)
        return face, np.where(free, gradient, 0.0)

    def move(self, T: np.ndarray, step: np.ndarray, face: Face) -> np.ndarray:
        """T + step; entries of A and groups of B that turned round at kinks are zero, boundaries stay boundaries."""
        Y = T + step
        A, B = self.A(Y), self.B(Y)
        A[:] = self.row_set.settle(A, self.A(T), face.rows)
        B[:] = self.group_lasso.repair(self.group_lasso.settle(B, self.B(T), face.facet), face.group_binds)
        return Y
