"""Hidden block: (A, B, b) for fixed states.

min  lambda/m sum [ g(X) + g*(Z) - X Z ] + kappa sum_j ||B e_j||_2 + ridge_hidden/2 (||A||_F^2 + ||B||_F^2)
s.t. Z = AX + BU + b,  ||A||_inf <= norm_bound        (or sum_j ||B e_j||_2 <= kappa instead of the penalty)
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.certificates import hidden_certificate
from bcd_implicit.penalties import column_norms


class MatricesBlock(Block):
    """What the two blocks in (A, B, b) share: the row balls, the group lasso and the ridge."""

    letters = ("A", "B", "b")

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

    def gradient_B(self, it):
        """Gradient of the data term with respect to B, shape (n, p)."""
        raise NotImplementedError


class HiddenBlock(MatricesBlock):
    """The matrices A, B and the intercept b, drawn to phi(AX + BU + b) = X by the Fenchel term.

    Data are constants: with X and U as ``cp.Parameter`` compiling takes about 100 times as long at
    (n, p, m) = (10, 50, 400) (``benchmarks/blocks.py``).
    kappa and fenchel_weight are parameters.
    """

    name = "hidden"
    preferred_solvers = ("SCS", "CLARABEL", "ECOS")

    def pose(self, v):
        problem, it = self.problem, self.it
        ones = np.ones((1, problem.n_samples))
        Z = v["A"] @ it.X + v["B"] @ problem.U + cp.reshape(v["b"], (problem.n_hidden, 1), order="F") @ ones
        g_X = float(np.sum(problem.activation.g(it.X)))
        # <X, Z> through the Gram matrices: n (n + p + 1) coefficients instead of n m.
        inner = cp.sum(cp.multiply(it.X @ it.X.T, v["A"])) + cp.sum(cp.multiply(it.X @ problem.U.T, v["B"]))
        inner = inner + it.X.sum(axis=1) @ v["b"]
        divergence = problem.activation.cvxpy_g_conjugate(Z) - inner + g_X
        weight = cp.Parameter(pos=True, name="fenchel_weight", value=problem.fenchel_weight)
        regularization, constraints = self.pose_regularization(v)
        constant = problem.mean_loss(it) + problem.output_regularization(it)
        return weight * (divergence / problem.n_samples) + regularization + constant, constraints

    def objective(self, it):
        """(F)."""
        return self.problem.objective(it)

    def gradient_B(self, it):
        problem = self.problem
        V = problem.activation(problem.preactivation(it)) - it.X
        return problem.fenchel_weight / problem.n_samples * (V @ problem.U.T)

    def certificate(self, it):
        return hidden_certificate(self.problem, it)
