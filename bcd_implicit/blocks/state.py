"""State block: X for fixed matrices, every sample by itself.

    min_x  L(y, Cx + Du + d) + lambda [ g(x) + g*(Ax + c) - x'(Ax + c) ] + 1/2 (x - x_k)' M_minus (x - x_k),  c = Bu + b

The term -x'Ax is not convex. With M = lambda (t I - A - A') + C'C the quadratic part (t the part of g that is
1/2 t x^2), M_minus is the negative part of M: the smallest proximal term that makes the block convex.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.certificates import state_certificate


class StateBlock(Block):
    """The states X, near the iterate's own.

    ``fenchel_weight`` is a number here, not a ``cp.Parameter``: the proximal term depends on it through the
    eigenvalues of M.
    """

    name = "state"
    letters = ("X",)

    def __init__(self, problem, it):
        super().__init__(problem, it)
        n, weight = problem.n_hidden, problem.fenchel_weight
        M = weight * (problem.activation.quadratic_part * np.eye(n) - it.A - it.A.T) + it.C.T @ it.C
        values, vectors = np.linalg.eigh(M)
        self.convex_root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T  # convex_root' convex_root = M + M_minus
        self.proximal = (vectors * np.maximum(-values, 0)) @ vectors.T  # M_minus

    def pose(self, v):
        problem, it, weight, m = self.problem, self.it, self.problem.fenchel_weight, self.problem.n_samples
        X, c = v["X"], it.B @ problem.U + it.b[:, None]
        residual = problem.Y - it.D @ problem.U - it.d[:, None]
        linear = it.C.T @ residual + weight * c + self.proximal @ it.X
        g_rest, domain = problem.activation.cvxpy_g_rest(X)
        value = (
            0.5 * cp.sum_squares(self.convex_root @ X)
            - cp.sum(cp.multiply(linear, X))
            + weight * (g_rest + problem.activation.cvxpy_g_conjugate(it.A @ X + c))
        )
        constant = 0.5 * np.sum(residual**2) + 0.5 * np.sum(it.X * (self.proximal @ it.X))
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        return (value + constant) / m + regularization, domain

    def objective(self, it):
        """(F) plus the proximal term over m."""
        step = it.X - self.it.X
        return self.problem.objective(it) + 0.5 * float(np.sum(step * (self.proximal @ step))) / self.problem.n_samples

    def repair(self, it):
        return it.replace(X=np.clip(it.X, *self.problem.activation.domain))

    def certificate(self, it):
        return state_certificate(self.problem, self.it, it, self.proximal)
