"""Output block: (C, D, d) for fixed states, a ridge regression on [X; U; 1].

min  (1/m) L(Y, CX + DU + d) + ridge/2 (||C||_F^2 + ||D||_F^2) + what does not depend on C, D, d
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.certificates import output_certificate


class OutputBlock(Block):
    """The matrices C, D and the intercept d."""

    name = "output"
    letters = ("C", "D", "d")

    def pose(self, v):
        problem, it, m = self.problem, self.it, self.problem.n_samples
        # An orthogonal change of the samples' axes leaves the squared loss alone: with [X; U; 1]' = Q R the
        # m samples become at most n + p + 1, and what is left of Y is a constant.
        W = np.vstack([it.X, problem.U, np.ones((1, m))])
        Q, R = np.linalg.qr(W.T)
        X, U, ones = np.split(R.T, [problem.n_hidden, problem.n_hidden + problem.n_inputs])
        Y = problem.Y @ Q
        rest = 0.5 * (np.sum(problem.Y**2) - np.sum(Y**2))
        prediction = v["C"] @ X
        if problem.pass_through:
            prediction = prediction + v["D"] @ U
        if problem.fit_intercept:
            prediction = prediction + cp.reshape(v["d"], (problem.n_outputs, 1), order="F") @ ones
        ridge = 0.5 * problem.ridge * (cp.sum_squares(v["C"]) + cp.sum_squares(v["D"]))
        constant = rest / m + problem.hidden_regularization(it) + problem.fenchel_term(it)
        return problem.loss.cvxpy(prediction, Y) / m + ridge + constant, []

    def objective(self, it):
        """(F); at an equilibrium its Fenchel term is zero and this is (T)."""
        return self.problem.objective(it)

    def certificate(self, it):
        return output_certificate(self.problem, it)
