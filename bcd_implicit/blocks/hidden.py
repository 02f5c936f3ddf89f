"""Hidden block: (A, B, b) for fixed states.

min  lambda/m sum [ g(X) + g*(Z) - X Z ] + kappa sum_j ||B e_j||_2 + ridge_hidden/2 (||A||_F^2 + ||B||_F^2)
s.t. Z = AX + BU + b,  ||A||_inf <= norm_bound        (or sum_j ||B e_j||_2 <= kappa instead of the penalty)
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.matrices import MatricesBlock, centred_regressors
from bcd_implicit.blocks.newton_direction import Solve, row_layout, solve_by_rows
from bcd_implicit.certificates import hidden_certificate
from bcd_implicit.data import parts
from bcd_implicit.problem import TrainingProblem


class _FenchelFit:
    """The smooth part lambda/m sum [g*(Z) - X Z], Z = T W, in the inputs [X; U] less their means and the intercept.

    With an intercept the centring changes b alone, and it makes large offsets harmless. The Hessian has a block a
    row of T, lambda/m W diag(phi'(z_i)) W', of which only the part on the row's free entries is ever formed.
    """

    def __init__(self, problem: TrainingProblem, X: np.ndarray) -> None:
        self.activation, self.weight = problem.activation, problem.fenchel_weight / problem.n_samples
        self.W = centred_regressors(problem, X)
        self.inner = self.weight * (X @ self.W.T)
        self.curvature = self.weight * np.einsum("ij,ij->i", self.W, self.W)

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = 0.0, np.zeros_like(T)
        for part in parts(self.W.shape[1], len(T)):
            W = self.W[:, part]
            Z = T @ W
            value += float(np.sum(self.activation.g_conjugate(Z)))
            gradient += self.activation(Z) @ W.T
        return self.weight * value - float(np.vdot(self.inner, T)), self.weight * gradient - self.inner

    def hessian(self, T: np.ndarray) -> _RowBlocks:
        slopes = self.weight * self.activation.derivative(T @ self.W)
        return _RowBlocks(self.W, slopes)


class _RowBlocks:
    """A block for each row of T: W diag(slopes_i) W'."""

    def __init__(self, W: np.ndarray, slopes: np.ndarray) -> None:
        self.W, self.slopes, self.row_weights = W, slopes, slopes.sum(axis=1)

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        W = self.W[columns]
        return W @ W.T / W.shape[1]

    def squares(self) -> np.ndarray:
        return np.einsum("ij,ij->i", self.W, self.W) / self.W.shape[1]

    def product(self, V: np.ndarray) -> np.ndarray:
        image = np.zeros_like(V)
        for part in parts(self.W.shape[1], len(V)):
            W = self.W[:, part]
            image += (self.slopes[:, part] * (V @ W)) @ W.T
        return image

    def cost(self, free: np.ndarray) -> tuple[float, float]:
        (P, m), size = self.W.shape, float(free.sum(axis=1).max())
        # Many small matrices: at a third of the speed of the products.
        return 3 * len(free) * size**2 * (m + size), 4.0 * len(free) * P * m

    def storage(self, free: np.ndarray) -> int:
        return len(free) * int(free.sum(axis=1).max()) ** 2

    def factorise(self, free: np.ndarray, diagonal: np.ndarray) -> Solve:
        columns, used = row_layout(free)
        blocks = np.zeros((*columns.shape, columns.shape[1]))
        for part in parts(self.W.shape[1], columns.size):
            active = np.sqrt(self.slopes[:, None, part]) * self.W[:, part][columns]
            blocks += active @ active.transpose(0, 2, 1)
        return solve_by_rows(blocks, columns, used, diagonal)


class HiddenBlock(MatricesBlock):
    """The matrices A, B and the intercept b, drawn to phi(AX + BU + b) = X by the Fenchel term.

    Data are constants: with X and U as ``cp.Parameter`` compiling takes about 70 times as long at
    (n, p, m) = (10, 50, 400) (``benchmarks/blocks.py --compile``).
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

    def smooth(self):
        return _FenchelFit(self.problem, self.it.X)

    def certificate(self, it):
        return hidden_certificate(self.problem, it)
