"""Hidden block: (A, B, b) for fixed states::

    min  sum_i lambda_i/m sum_k [ g(x_ik) + g*(z_ik) - x_ik z_ik ] + kappa sum_j ||B e_j||_2
         + ridge_hidden/2 (||A||_F^2 + ||B||_F^2)
    s.t. Z = AX + BU + b,  max_slope ||A||_inf <= norm_bound    (or sum_j ||B e_j||_2 <= kappa instead of the penalty)

Where the groups are columns of (B; D), D and d are variables too, with the loss of CX + DU + d for fixed CX. If that
loss has kinks the block goes through CVXPY.
"""

from __future__ import annotations

import copy

import numpy as np

from bcd_implicit.blocks.matrices import MatricesBlock, centred_regressors
from bcd_implicit.certificates.hidden import hidden_certificate
from bcd_implicit.constraints.user import BlockVariables
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.parts import parts


class _FenchelFit:
    """The smooth part sum_i lambda_i sum_k omega_k [g*(z_ik) - x_ik z_ik], Z = T W.

    W are the inputs [X; U] less their means and the intercept. With an intercept the centring changes b alone, and it
    makes large offsets harmless. The Hessian has a block a row of T, lambda_i W diag(omega phi'(z_i)) W', and is
    formed only where unknowns are few.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.n, self.activation, self.shares = problem.n_hidden, problem.activation, problem.shares
        self.W = centred_regressors(problem, it.X)
        self.weights, states = problem.fenchel_weights[:, None], it.X
        # phi' is at most max_slope, so this bounds the Hessian's diagonal at every T.
        bounds = self.activation.max_slope * self.weights
        self.loss, self.Y, self.base = problem.loss, problem.Y, it.C @ it.X
        if problem.stacked:
            self.weights = np.vstack([self.weights, np.ones((problem.n_outputs, 1))])
            states = np.vstack([it.X, np.zeros_like(problem.Y)])
            # A loss whose curvature has no bound is taken as it is here: the solver stretches what is too short.
            curvature = self.loss.curvature(problem.prediction(it), problem.Y) @ self.shares
            bounds = np.vstack([bounds, np.minimum(self.loss.max_curvature, curvature)[:, None]])
        # The part of the objective linear in T, <X, Z>, is summed over samples once, not at every call.
        self.inner = self.weights * (states * self.shares @ self.W.T)
        # One row stands for all where they are equal: steps are cheaper then.
        alike = not problem.stacked and np.ptp(bounds) == 0
        self.curvature = (bounds[0] if alike else bounds) * (self.W**2 @ self.shares)

    def on(self, columns: np.ndarray, T: np.ndarray, gradient: np.ndarray) -> _FenchelFit:
        if len(columns) == len(self.W):
            return self
        some = copy.copy(self)
        some.W, some.inner, some.curvature = self.W[columns], self.inner[:, columns], self.curvature[..., columns]
        return some

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = 0.0, np.zeros_like(T)
        for part in parts(self.W.shape[1], len(T)):
            W, shares = self.W[:, part], self.shares[part]
            Z = T @ W
            hidden, outputs = Z[: self.n], Z[self.n :]
            value += float(self.weights[: self.n, 0] @ (self.activation.g_conjugate(hidden) @ shares))
            if len(outputs):
                outputs += self.base[:, part]
                value += float(self.loss.value(outputs, self.Y[:, part]) @ shares)
                outputs[:] = self.loss.gradient(outputs, self.Y[:, part])
            # ``hidden`` is a view: its values were needed first, now Z becomes phi(Z).
            hidden[:] = self.activation(hidden)
            Z *= shares
            gradient += Z @ W.T
        return value - float(np.vdot(self.inner, T)), self.weights * gradient - self.inner

    def hessian(self, T: np.ndarray) -> _RowBlocks:
        slopes = T @ self.W
        slopes[: self.n] = self.activation.derivative(slopes[: self.n])
        if len(T) > self.n:
            prediction = slopes[self.n :] + self.base
            if not self.loss.separable:
                slopes[self.n :] = self.loss.curvature(prediction, self.Y)
                return _CoupledRows(self, slopes, prediction)
            slopes[self.n :] = self.loss.second_diagonal(prediction, self.Y)
        return _RowBlocks(self.W, self.weights * slopes * self.shares, self.shares)


class _RowBlocks:
    """A block for each row of T: W diag(slopes_i) W', the samples' weights in the slopes."""

    def __init__(self, W: np.ndarray, slopes: np.ndarray, shares: np.ndarray) -> None:
        # The shares sum to 1, so a row's weight is its mean slope times the Fenchel weight (for a row of D, 1).
        self.W, self.slopes, self.shares, self.row_weights = W, slopes, shares, slopes.sum(axis=1)
        self.n_samples, self.constant = len(shares), False

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        W = self.W[columns] * np.sqrt(self.shares)
        return W @ W.T

    def squares(self) -> np.ndarray:
        return self.W**2 @ self.shares

    def product(self, V: np.ndarray) -> np.ndarray:
        image = np.zeros_like(V)
        for part in parts(self.W.shape[1], len(V)):
            W = self.W[:, part]
            image += (self.slopes[:, part] * (V @ W)) @ W.T
        return image

    def matrix(self) -> np.ndarray | None:
        (P, m), n = self.W.shape, len(self.slopes)
        matrix = np.zeros((P, n, P, n))
        for part in parts(m, n * P):
            W = self.W[:, part]
            blocks = (self.slopes[:, None, part] * W) @ W.T
            for i, block in enumerate(blocks):
                matrix[:, i, :, i] += block
        return matrix


class _CoupledRows(_RowBlocks):
    """The same, but for the rows of D, which a loss couples: a bound of theirs stands in the slopes."""

    def __init__(self, fit: _FenchelFit, slopes: np.ndarray, prediction: np.ndarray) -> None:
        super().__init__(fit.W, fit.weights * slopes * fit.shares, fit.shares)
        self.fit, self.prediction = fit, prediction

    def product(self, V: np.ndarray) -> np.ndarray:
        image, fit, n = np.zeros_like(V), self.fit, self.fit.n
        for part in parts(self.W.shape[1], len(V)):
            W, prediction, Y = self.W[:, part], self.prediction[:, part], fit.Y[:, part]
            Z = V @ W
            Z[:n] *= self.slopes[:n, part]
            Z[n:] = fit.loss.second_derivative(prediction, Y, Z[n:]) * self.shares[part]
            image += Z @ W.T
        return image

    def matrix(self) -> None:
        return None


class HiddenBlock(MatricesBlock):
    """The matrices A, B and the intercept b, drawn to phi(AX + BU + b) = X by the Fenchel term.

    Data are constants: with X and U as ``cp.Parameter`` compiling takes about 70 times as long at
    (n, p, m) = (10, 50, 400) (``benchmarks/blocks.py --compile``).
    kappa and fenchel_weight, the largest where hidden features have their own, are parameters.
    """

    name = "hidden"
    holds_pair = True
    preferred_solvers = ("SCS", "CLARABEL", "ECOS")

    def pose(self, v):
        problem, it = self.problem, self.it
        ones = np.ones((1, problem.n_samples))
        shares = problem.n_samples * problem.shares  # of mean 1, as in the output block
        Z = v["A"] @ it.X + v["B"] @ problem.U + cp.reshape(v["b"], (problem.n_hidden, 1), order="F") @ ones
        # Constant here, but the value is to be the joint objective (F).
        largest = float(problem.fenchel_weights.max())
        weights = np.outer(problem.fenchel_weights / largest, shares)
        g_X = float(np.sum(weights * problem.activation.g(it.X)))
        # <X, Z> through the Gram matrices: n (n + p + 1) coefficients instead of n m.
        X = weights * it.X
        inner = cp.sum(cp.multiply(X @ it.X.T, v["A"])) + cp.sum(cp.multiply(X @ problem.U.T, v["B"]))
        inner = inner + X.sum(axis=1) @ v["b"]
        divergence = problem.activation.cvxpy_g_conjugate(Z, weights) - inner + g_X
        loss: cp.Expression | float = problem.mean_loss(it)
        if problem.stacked:
            loss = self._pose_loss(v, shares) / problem.n_samples
        weight = self.scalars("fenchel_weight", largest, pos=True)
        regularization, constraints = self.pose_regularization(v)
        return weight * (divergence / problem.n_samples) + regularization + loss, constraints

    def _pose_loss(self, v: BlockVariables, shares: np.ndarray) -> cp.Expression:
        problem, base = self.problem, self.it.C @ self.it.X
        ones, d = np.ones((1, problem.n_samples)), cp.reshape(v["d"], (problem.n_outputs, 1), order="F")
        if not problem.loss.quadratic:
            return self.moving_loss.cvxpy(base + v["D"] @ problem.U + d @ ones, problem.Y, shares)
        # As in the output block: with [U; 1]' = Q R the m samples become at most p + 1.
        Q, R = np.linalg.qr((np.vstack([problem.U, ones]) * np.sqrt(shares)).T)
        target = (problem.Y - base) * np.sqrt(shares)
        rest = 0.5 * (np.sum(target**2) - np.sum((target @ Q) ** 2))
        return problem.loss.cvxpy(v["D"] @ R.T[:-1] + d @ R.T[-1:], target @ Q) + rest

    @property
    def has_native(self):
        return self.problem.loss.smooth or not self.problem.stacked

    def objective(self, it):
        """(F)."""
        return self.problem.objective(it)

    def smooth(self):
        return _FenchelFit(self.problem, self.it)

    def certificate(self, it):
        return hidden_certificate(self.problem, it)
