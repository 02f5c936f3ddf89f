"""Prox-linear block: (A, B, b) with the state eliminated by linearising the equilibrium.

At the equilibrium X, with slopes D_k = diag phi'(z_k), N_k = (I - D_k A)^-1 D_k, w_k = (x_k, u_k, 1) and the
residuals r_k = y_k - C x_k - D u_k - d,

    min over dT = (dA, dB, db)   1/(2m) sum_k ||r_k - C N_k dT w_k||^2 + mu/2 tr(dT H dT')
                                 + kappa sum_j ||B_j + dB_j||_2 + ridge_hidden/2 (||A + dA||^2 + ||B + dB||^2)
    s.t.  ||A + dA||_inf <= norm_bound,                H = W W'/m

With t = vec(dT), column by column, the smooth part is 1/2 t'Kt - k't + r'r/(2m),
K = 1/m sum_k (w_k w_k') kron (N_k'C'C N_k) + mu H kron I: the number of samples and outputs is gone.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.hidden import MatricesBlock
from bcd_implicit.certificates import prox_linear_certificate
from bcd_implicit.data import check_number


class ProxLinearBlock(MatricesBlock):
    """The matrices A, B and the intercept b at the equilibrium.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        Its states are re-solved by Picard first.
    mu : float, optional
        Proximal weight; by default the mean curvature of the linearised loss. It may be changed later:
        the linearisation is kept.
    """

    name = "prox-linear"
    preferred_solvers = ("SCS", "CLARABEL", "ECOS")
    options = ("mu",)

    def __init__(self, problem, it, mu=None):
        super().__init__(problem, problem.at_equilibrium(it))
        it, n, m = self.it, problem.n_hidden, problem.n_samples
        slopes = problem.activation.derivative(problem.preactivation(it)).T[:, :, None]  # (m, n, 1)
        N = np.linalg.solve(np.eye(n) - slopes * it.A, slopes * np.eye(n))
        G = np.swapaxes(N, 1, 2) @ (it.C.T @ it.C) @ N  # (m, n, n)
        W = np.vstack([it.X, problem.U, np.ones((int(problem.fit_intercept), m))])
        self.residual = problem.Y - problem.prediction(it)
        pulled = np.einsum("kij,ik->jk", N, it.C.T @ self.residual)  # N_k' C' r_k
        P = len(W)
        pairs = (W[:, None, :] * W[None, :, :]).reshape(P * P, m)
        self.K = (pairs @ G.reshape(m, n * n) / m).reshape(P, P, n, n).transpose(0, 2, 1, 3).reshape(P * n, P * n)
        self.H = W @ W.T / m
        self.k = (pulled @ W.T / m).reshape(-1, order="F")
        self.mean_curvature = float(np.trace(G.mean(axis=0)) / n)
        self.mu = self.mean_curvature if mu is None else check_number("mu", mu, 0)

    def stacked(self, A, B, b):
        """The change dT (n, n + p + 1) from the base point; NumPy arrays."""
        parts = [A - self.it.A, B - self.it.B]
        return np.hstack([*parts, (b - self.it.b)[:, None]] if self.problem.fit_intercept else parts)

    def pose(self, v):
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        parts = [v["A"] - it.A, v["B"] - it.B]
        if problem.fit_intercept:
            parts.append(cp.reshape(v["b"] - it.b, (n, 1), order="F"))
        t = cp.vec(cp.hstack(parts), order="F")
        # A quadratic form reaches CLARABEL and SCS as it is; a factor of K would add as many rows as variables.
        K = self.K + self.mu * np.kron(self.H, np.eye(n))
        # Rounding leaves eigenvalues of -1e-16 ||K||, which CVXPY's factorisation for ECOS refuses: lift them.
        K = 0.5 * (K + K.T) + 100 * np.finfo(float).eps * np.linalg.norm(K) * np.eye(len(K))
        smooth = 0.5 * cp.quad_form(t, cp.psd_wrap(K)) - self.k @ t
        regularization, constraints = self.pose_regularization(v)
        constant = 0.5 * np.sum(self.residual**2) / problem.n_samples + problem.output_regularization(it)
        return smooth + regularization + constant, constraints

    def objective(self, it):
        """(T) with the equilibrium linearised, plus the proximal term."""
        problem = self.problem
        dT = self.stacked(it.A, it.B, it.b)
        t = dT.reshape(-1, order="F")
        smooth = 0.5 * t @ (self.K @ t) - self.k @ t + 0.5 * self.mu * np.sum(dT * (dT @ self.H))
        constant = 0.5 * np.sum(self.residual**2) / problem.n_samples
        return float(smooth + constant) + problem.output_regularization(it) + problem.hidden_regularization(it)

    def gradient_B(self, it):
        """Without the proximal term, which is the method's own and not the problem's."""
        n = self.problem.n_hidden
        t = self.stacked(it.A, it.B, it.b).reshape(-1, order="F")
        return (self.K @ t - self.k).reshape(n, -1, order="F")[:, n : n + self.problem.n_inputs]

    def certificate(self, it):
        return prox_linear_certificate(self.problem, self.it, it, self.mu)
