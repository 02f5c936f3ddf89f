"""Output block: (C, D, d) for fixed states, a ridge regression on [X; U; 1]::

    min  (1/m) L(Y, CX + DU + d) + ridge/2 (||C||_F^2 + ||D||_F^2) + what does not depend on C, D, d

Where the groups are columns of (B; D), D belongs to the blocks in (A, B, b) and is fixed here.
"""

from __future__ import annotations

from functools import cached_property

import cvxpy as cp
import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from bcd_implicit.blocks.base import Block
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.problem import statistics

# Without a ridge collinear regressors leave the scaled Gram matrix singular: this much is added to its unit diagonal.
# What that and rounding leave of the error, the next refinement takes.
LIFT = 1e-13
REFINEMENTS = 5
# Below this share of the sum of squares the samples' Gram matrix, singular once centred, may have no factor.
LEAST_RIDGE = 1e-13


class OutputBlock(Block):
    """The matrices C, D and the intercept d."""

    name = "output"

    def __init__(self, problem, it):
        super().__init__(problem, it)
        self.letters = ("C", "d") if problem.stacked else ("C", "D", "d")

    def pose(self, v):
        problem, it, m = self.problem, self.it, self.problem.n_samples
        # Weights of mean 1: equal ones leave conic solvers the data as they are. The squared loss takes the root of a
        # sample's weight as a factor of the sample, and does not see an orthogonal change of the samples' axes: with
        # [X; U; 1]' = Q R the m samples become at most n + p + 1, and what is left of Y is a constant.
        roots = np.sqrt(m * problem.shares)
        Q, R = np.linalg.qr((np.vstack([it.X, problem.U, np.ones((1, m))]) * roots).T)
        X, U, ones = np.split(R.T, [problem.n_hidden, problem.n_hidden + problem.n_inputs])
        Y = problem.Y * roots @ Q
        rest = 0.5 * (np.sum((problem.Y * roots) ** 2) - np.sum(Y**2))
        prediction = v["C"] @ X
        D = cp.Constant(it.D) if problem.stacked else v["D"]
        if problem.pass_through:
            prediction = prediction + D @ U
        if problem.fit_intercept:
            prediction = prediction + cp.reshape(v["d"], (problem.n_outputs, 1), order="F") @ ones
        ridge = 0.5 * problem.ridge * (cp.sum_squares(v["C"]) + cp.sum_squares(D))
        constant = rest / m + problem.hidden_regularization(it) + problem.fenchel_term(it)
        return problem.loss.cvxpy(prediction, Y) / m + ridge + constant, []

    def objective(self, it):
        """(F); at an equilibrium its Fenchel term is zero and this is (T)."""
        return self.problem.objective(it)

    @cached_property
    def _newton_step(self):
        """A function of (C | D) and the residuals that gives the next (C | D); what it needs is factorised once.

        Regressors W and residuals are centred, and each sample times the root of its weight.
        """
        problem = self.problem
        W = np.vstack([self.it.X, problem.U]) if problem.D_is_output else self.it.X
        if problem.fit_intercept:
            W = W - statistics.mean(W, problem.shares)[:, None]
        W = W * np.sqrt(problem.shares)
        if len(W) > W.shape[1] and problem.ridge > LEAST_RIDGE * float(np.vdot(W, W)):
            # For more regressors than samples: (WW' + ridge)^-1 W = W (W'W + ridge)^-1, without a difference.
            by_samples = cho_factor(W.T @ W + problem.ridge * np.eye(W.shape[1]), check_finite=False)
            return lambda CD, residual: cho_solve(by_samples, (CD @ W - residual).T, check_finite=False).T @ W.T
        # To unit diagonal, so that inputs of any scale are alike; regressors that are zero stay out.
        unit = np.sqrt(np.einsum("ij,ij->i", W, W) + problem.ridge)
        unit[unit == 0] = 1.0
        W_unit, ridge = W / unit[:, None], problem.ridge / unit**2
        H = W_unit @ W_unit.T + np.diag(ridge)
        try:
            factor = np.linalg.cholesky(H)
            # A pivot squared is a difference of numbers near 1: of 1e-10 no more than six digits are right.
            if np.diag(factor).min() < 1e-5:
                raise np.linalg.LinAlgError
        except np.linalg.LinAlgError:
            # Squared, half the digits are gone: the factor must come from the data. What the loss does not see and
            # nothing penalises is lifted a little.
            lift = np.sqrt(ridge if problem.ridge > 0 else np.full(len(ridge), LIFT))
            factor = np.transpose(np.linalg.qr(np.vstack([W_unit.T, np.diag(lift)]), mode="r"))

        def step(CD: np.ndarray, residual: np.ndarray) -> np.ndarray:
            gradient = residual @ W.T + problem.ridge * CD
            half = solve_triangular(factor, (gradient / unit).T, lower=True, check_finite=False)
            return CD - solve_triangular(factor, half, lower=True, trans=1, check_finite=False).T / unit

        return step

    def solve_native(self, tol, met):
        """Newton steps: one for an exact solution, more only refine what rounding left."""
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        CD, roots = np.hstack([it.C, it.D]) if problem.D_is_output else it.C, np.sqrt(problem.shares)
        for _ in range(REFINEMENTS):
            residual = problem.prediction(it) - problem.Y
            if problem.fit_intercept:
                residual -= statistics.mean(residual, problem.shares)[:, None]
            residual *= roots
            CD = self._newton_step(CD, residual)
            it = it.replace(C=CD[:, :n])
            if not problem.stacked:
                # Without pass-through an iterate may still bring a D of another problem.
                it = it.replace(D=CD[:, n:] if problem.pass_through else np.zeros_like(it.D))
            if problem.fit_intercept:
                # The intercept last: it is the mean of what C and D leave.
                it = it.replace(d=it.d + statistics.mean(problem.Y - problem.prediction(it), problem.shares))
            if met(it):
                return it, True, {}
        return it, False, {}

    def improve(self, share):
        """The exact solution: it costs a single Newton step."""
        return self.solve_native(share, lambda it: True)[0]

    def certificate(self, it):
        return output_certificate(self.problem, it)
