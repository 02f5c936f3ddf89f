"""What the two blocks in (A, B, b) share: the row balls, the group lasso, the ridge, and the native solve."""

from __future__ import annotations

from functools import cached_property

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.proximal_newton import Smooth, minimise
from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import Iterate, TrainingProblem


def _means(problem: TrainingProblem, X: np.ndarray) -> np.ndarray:
    """What :func:`centred_regressors` subtracts, shape (n + p,)."""
    if not problem.fit_intercept:
        return np.zeros(problem.n_hidden + problem.n_inputs)
    return np.concatenate([X.mean(axis=1), problem.U.mean(axis=1)])


def centred_regressors(problem: TrainingProblem, X: np.ndarray) -> np.ndarray:
    """W with Z = AX + BU + b = T W, shape (P, m): [X; U] less their means, and ones for the intercept.

    The means go into the intercept: T = (A | B | b + A x_mean + B u_mean), so offsets of any size do no harm. Without
    an intercept W = [X; U]. A constant input is exactly zero once centred.
    """
    means = _means(problem, X)
    W = np.empty((len(means) + int(problem.fit_intercept), problem.n_samples))
    np.subtract(X, means[: len(X), None], out=W[: len(X)])
    np.subtract(problem.U, means[len(X) :, None], out=W[len(X) : len(means)])
    if problem.fit_intercept:
        W[-1] = 1.0
        W[:-1][np.abs(W[:-1]).max(axis=1) <= 1e-13 * np.abs(means)] = 0.0
    return W


class MatricesBlock(Block):
    """The part common to both blocks: regularisation, its exact zeros, and the native solve."""

    letters = ("A", "B", "b")
    # Where the next native solve of the same block starts: kappa or mu may have changed since.
    last_solution: Iterate | None = None

    def pose_regularization(self, v):
        """Ridge and group-lasso terms, and the constraints, of (A, B)."""
        problem = self.problem
        group, group_constraints = problem.group_lasso.cvxpy(v["B"])
        # A radius of 0 leaves conic solvers no interior point: say what it means instead.
        row_constraints = problem.row_ball.cvxpy(v["A"]) if problem.norm_bound > 0 else [v["A"] == 0]
        if group_constraints and problem.kappa == 0:
            group_constraints = [v["B"] == 0]
        self.named_constraints = {"norm_bound": row_constraints[0]}
        if group_constraints:
            self.named_constraints["group_lasso"] = group_constraints[0]
        ridge = 0.5 * problem.ridge_hidden * (cp.sum_squares(v["A"]) + cp.sum_squares(v["B"]))
        return group + ridge, row_constraints + group_constraints

    def repair(self, it):
        """Scale back rows that overshoot, and set to zero the columns of B that a solver only brought near it.

        A conic solver's zero is about 1e-6. The columns below a threshold become exact zeros if the block's
        objective does not rise by that and the user's constraints allow it, so a small but useful column stays.
        """
        problem = self.problem
        it = it.replace(A=problem.row_ball.repair(it.A), B=problem.group_lasso.repair(it.B))
        if problem.kappa == 0 and problem.group_lasso.form == "penalty":
            return it
        norms, objective, violation = column_norms(it.B), self.objective(it), self.user_violation(it)
        for threshold in (1.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
            small = norms <= threshold * norms.max()
            if not small.any():
                break
            kept = norms[~small].sum()
            # In constraint form the freed budget goes to the columns that stay.
            growth = norms.sum() / kept if problem.group_lasso.form == "constraint" and kept > 0 else 1.0
            sparse = it.replace(B=problem.group_lasso.repair(np.where(small, 0.0, it.B * growth)))
            lower = self.objective(sparse) <= objective + 1e-12 * abs(objective)
            if lower and self.user_violation(sparse) <= max(violation, 1e-9):
                return sparse
        return it

    def gradient_B(self, it: Iterate) -> np.ndarray:
        """Gradient of the data term with respect to B, shape (n, p), for the centred inputs."""
        T = self.stacked(it.A, it.B, it.b)
        return self.smooth().value_and_gradient(T)[1][:, self.problem.n_hidden :][:, : self.problem.n_inputs]

    def smooth(self) -> Smooth:
        """The smooth part in (A | B | b), the inputs centred as by :func:`centred_regressors`."""
        raise NotImplementedError

    @cached_property
    def means(self) -> np.ndarray:
        """What centring subtracts from [X; U], shape (n + p,)."""
        return _means(self.problem, self.it.X)

    def stacked(self, A: np.ndarray, B: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(A | B | b) as one matrix T (n, P) that acts on the centred regressors."""
        AB = np.hstack([A, B])
        return np.hstack([AB, (b + AB @ self.means)[:, None]]) if self.problem.fit_intercept else AB

    def solve_native(self, tol, met):
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        warm = self.last_solution or it
        start = self.stacked(problem.row_ball.repair(warm.A), problem.group_lasso.repair(warm.B), warm.b)

        def accept(T: np.ndarray) -> bool:
            nonlocal it
            A, B = T[:, :n], T[:, n : n + problem.n_inputs]
            b = T[:, -1] - T[:, :-1] @ self.means if problem.fit_intercept else np.zeros(n)
            it = it.replace(A=problem.row_ball.repair(A), B=problem.group_lasso.repair(B), b=b)
            return met(it)

        smooth = self.smooth()
        # The gap is of the order of the gradient, and the objective's distance to its optimum of that squared.
        T, optimal = minimise(smooth, problem, start, 100 * tol**2 * self.size(), accept)
        self.last_solution = it
        # What presses against the constraints: minus the gradient of all that is smooth.
        force = -smooth.value_and_gradient(T)[1][:, : n + problem.n_inputs]
        force -= problem.ridge_hidden * np.hstack([it.A, it.B])
        binding = problem.row_ball.binding(it.A)
        multipliers: dict[str, object] = {"norm_bound": np.where(binding, np.abs(force[:, :n]).max(axis=1), 0.0)}
        if problem.group_form == "constraint":
            multipliers["group_lasso"] = problem.group_lasso.multiplier(force[:, n:], it.B)
        return it, optimal, multipliers
