"""The terms of the (A, B, b) blocks beside their smooth part, and the faces on which these terms are smooth.

T = (A | B | b) is one matrix of shape (n, P), P = n + p + 1, or n + p without an intercept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import TrainingProblem


@dataclass(frozen=True)
class Face:
    """The smooth piece of the objective on which a point lies.

    Attributes
    ----------
    free : ndarray of bool, shape (n, P)
        Entries that may move.
    rows : ndarray of int, shape (n_rows,)
        Rows of A on the boundary of their ball.
    signs : ndarray of shape (n_rows, n)
        The signs of these rows: the normals of the boundary.
    units : ndarray of shape (n, p)
        Columns of B over their norms, zero for zero columns: the normals of the group lasso.
    weights : ndarray of shape (p,)
        Curvature of the group lasso, its multiplier over the norm; zero for zero columns.
    group_binds : bool
        B is on the boundary of the group-lasso constraint.
    """

    free: np.ndarray
    rows: np.ndarray
    signs: np.ndarray
    units: np.ndarray
    weights: np.ndarray
    group_binds: bool


class Terms:
    """Everything but f, for T = (A | B | b) of shape (n, P): balls, group lasso and ridge."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.row_ball, self.group_lasso = problem.row_ball, problem.group_lasso
        self.n, self.last = problem.n_hidden, problem.n_hidden + problem.n_inputs
        self.ridge = np.zeros(self.last + int(problem.fit_intercept))
        self.ridge[: self.last] = problem.ridge_hidden

    def A(self, T: np.ndarray) -> np.ndarray:
        """The columns of T that belong to A; a view."""
        return T[..., : self.n]

    def B(self, T: np.ndarray) -> np.ndarray:
        """The columns of T that belong to B; a view."""
        return T[..., self.n : self.last]

    def value(self, T: np.ndarray) -> float:
        """Ridge and group-lasso penalty."""
        return 0.5 * float(self.ridge @ np.einsum("ij,ij->j", T, T)) + self.group_lasso.value(self.B(T))

    def prox(self, T: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Proximal map of balls and group lasso, with one step a column of T."""
        T = T.copy()
        self.A(T)[:] = self.row_ball.prox(self.A(T), self.A(steps))
        self.B(T)[:] = self.group_lasso.prox(self.B(T), self.B(steps))
        return T

    def face(self, T: np.ndarray, G: np.ndarray) -> tuple[Face, np.ndarray]:
        """The face of T and the objective's gradient in it; G is the gradient of f."""
        A, B = self.A(T), self.B(T)
        norms = column_norms(B)
        kept = norms > 0
        safe = np.where(kept, norms, 1.0)
        units = B / safe
        free = np.ones(T.shape, dtype=bool)
        self.A(free)[:] = A != 0
        self.B(free)[:] = kept
        rows = np.flatnonzero(self.row_ball.binding(A) & A.any(axis=1))
        binds = self.group_lasso.binds(B) and bool(kept.any())
        gradient = G + self.ridge * T
        if self.group_lasso.form == "penalty":
            multiplier = self.group_lasso.kappa
            self.B(gradient)[:] += multiplier * units
        else:  # the force with which the columns press against the constraint
            pressure = -np.einsum("ij,ij->j", self.B(gradient), units)
            multiplier = max(float(pressure[kept].mean()), 0.0) if binds else 0.0
        weights = np.where(kept, multiplier / safe, 0.0)
        return Face(free, rows, np.sign(A[rows]), units, weights, binds), np.where(free, gradient, 0.0)

    def move(self, T: np.ndarray, step: np.ndarray, face: Face) -> np.ndarray:
        """T + step; entries of A and columns of B that turned round are zero, and boundaries stay boundaries."""
        Y = T + step
        A, B = self.A(Y), self.B(Y)
        A[A * self.A(T) <= 0] = 0.0
        B[:, np.einsum("ij,ij->j", B, self.B(T)) <= 0] = 0.0
        A[:] = self.row_ball.repair(A, face.rows)
        B[:] = self.group_lasso.repair(B, face.group_binds)
        return Y
