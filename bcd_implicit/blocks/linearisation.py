"""The equilibrium linearised: how the outputs respond to a change of (A, B, b), and the quadratic that comes of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from bcd_implicit.blocks.kronecker import KroneckerModel
from bcd_implicit.blocks.matrices import centred_regressors
from bcd_implicit.model.active_set import newton_step
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.quadratic_model import QuadraticModel
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.parts import LARGEST_KEPT, parts


class Linearisation:
    """The outputs' first-order response to a change dT of (A | B | b), and the quadratic that comes of it.

    The inputs are centred as in the hidden block. In the coordinates of the loss's quadratic model the outputs respond
    by J_k = diag(sqrt(h_k)) C N_k, shape (q, n). With the squared loss h = 1, and C = QR reduces them to at most n:
    J_k = R N_k. It is formed for as many samples at a time as fit into the cache.

    Attributes
    ----------
    roots : ndarray of shape (m,)
        Roots of the samples' weights.
    W : ndarray of shape (P, m)
        The regressors, times the roots.
    k : ndarray of shape (n, P)
        Minus the gradient at dT = 0.
    constant : float
        The loss at dT = 0.
    M : ndarray of shape (n, n)
        The mean of J_k'J_k over samples, and ``mean_curvature`` the mean of its diagonal. Stacked, of S_k'S_k with
        S_k = [Q J_k, diag(sqrt(h_k))], shape (n + q, n + q).
    mean_square : float
        Of the preactivations: the square of the length of a step that changes everything.
    kept : ndarray of shape (rows of J_k, n, m) or None
        J_k for all samples, where memory holds them.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.A, self.n_samples, self.stacked = it.A, problem.n_samples, problem.stacked
        self.roots = np.sqrt(problem.shares)
        Z = problem.preactivation(it)
        self.slopes, self.mean_square = problem.activation.derivative(Z), float(np.mean(Z**2))
        self.loss = QuadraticModel(problem, it)
        self.Q, self.R = self.loss.basis(it.C)
        # The constant is that of the whole residual: what lies outside C's range is loss as well.
        self.residual, self.constant = self.loss.target * self.roots, self.loss.mean_loss
        in_range = self.Q.T @ self.residual
        self.W = centred_regressors(problem, it.X)
        # After the centring: times the roots the intercept's row is no longer constant.
        self.W *= self.roots
        self.kept: np.ndarray | None = None
        if self.R.size * self.n_samples <= LARGEST_KEPT:
            kept = np.empty((*self.R.shape, self.n_samples))
            for part, J in self._sensitivity_parts():
                kept[:, :, part] = J
            # Only once it is full: the parts are read from it as soon as it is set.
            self.kept = kept
        pulled, n = np.empty_like(self.slopes), len(self.A)
        M, mean = np.zeros((n, n)), np.zeros((len(self.R), n))
        for part, J in self._sensitivity_parts():
            pulled[:, part] = np.einsum("rnk,rk->nk", J, in_range[:, part])
            weighted = np.swapaxes(J * self.roots[part], 0, 1).reshape(n, -1)
            M += weighted @ weighted.T
            if self.stacked:
                mean += self.loss.mean_of(J, part)
        self.mean_curvature = float(np.trace(M)) / n
        if self.stacked:
            # In the model's coordinates the outputs change by Q J_k dz + sqrt(h_k) dD u.
            pulled, across = np.vstack([pulled, self.loss.scaled(self.residual)]), self.Q @ mean
            M = np.block([[M, across.T], [across, np.diag(self.loss.mean_curvature())]])
        self.M = M
        self.k = pulled @ self.W.T

    @cached_property
    def squares(self) -> np.ndarray:
        """The diagonal of H, shape (P,)."""
        return np.einsum("ij,ij->i", self.W, self.W)

    @cached_property
    def H(self) -> np.ndarray:
        """W W', shape (P, P)."""
        return self.W @ self.W.T

    @property
    def by_gram(self) -> bool:
        """Whether products by H, 2 n P^2 operations, are the shorter way; by the samples they are 4 n P m."""
        return len(self.W) <= 2 * self.n_samples

    def on(self, columns: np.ndarray) -> Linearisation:
        """The same for changes of some columns alone."""
        # A copy of all would cost more than it saves, and lose what is kept.
        if len(columns) == len(self.W):
            return self
        some = copy.copy(self)
        some.W, some.k = self.W[columns], self.k[:, columns]
        for derived in ("squares", "H", "K0"):
            vars(some).pop(derived, None)
        return some

    def model(self, mu: float) -> KroneckerModel:
        """The Kronecker product near the quadratic's Hessian."""
        M, i = self.M.copy(), np.arange(len(self.A))
        M[i, i] += mu
        return KroneckerModel(M, self.W, self.H if self.by_gram else None, self.row_units(mu) if self.stacked else None)

    def row_units(self, mu: float) -> np.ndarray:
        """Row by row, the Hessian is about this times H: the rows of D have the loss's own curvature."""
        return np.concatenate([np.full(len(self.A), self.mean_curvature + mu), self.loss.mean_curvature()])

    def _sensitivities(self, part: slice) -> np.ndarray:
        """J_k = R (I - D_k A)^-1 D_k for some samples, its rows scaled as the outputs: shape (rows, n, samples)."""
        # J' solves (I - D_k A') J' = D_k R', the system of adjoint states. It is regular: max_slope ||A||_inf < 1 on
        # every cycle, and with a pattern A is block triangular.
        slopes = self.slopes[:, part]
        rows = self.loss.rows(self.R, part).transpose(1, 2, 0)
        return newton_step(self.A.T, slopes, slopes[:, :, None] * rows).transpose(2, 0, 1)

    def _sensitivity_parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        n = len(self.A)
        for part in parts(self.n_samples, n**2 if self.kept is None else n + self.R.size):
            check_stop()
            yield part, self._sensitivities(part) if self.kept is None else self.kept[:, :, part]

    def product(self, V: np.ndarray, mu: float) -> np.ndarray:
        """The quadratic's Hessian times V, both of shape (n, P)."""
        image, n = np.zeros_like(V), len(self.A)
        for part, J in self._sensitivity_parts():
            W = self.W[:, part]
            Z = V @ W
            change, outputs = np.einsum("rnk,nk->rk", J, Z[:n]), Z[n:]
            if self.stacked:  # the outputs change by Q change + outputs, in the model's coordinates
                outputs = self.loss.scaled(outputs, part)
                image[n:] += self.loss.scaled(self.Q @ change + outputs, part) @ W.T
                change += self.Q.T @ outputs
            image[:n] += (np.einsum("rnk,rk->nk", J, change) + mu * Z[:n]) @ W.T
        return image

    def matrix(self, mu: float) -> np.ndarray:
        """The Hessian as a matrix, shape (P, n, P, n), laid out column by column of dT; not when stacked."""
        matrix, i = self.K0.copy(), np.arange(len(self.A))
        matrix[:, i, :, i] += mu * self.H
        return matrix

    @cached_property
    def K0(self) -> np.ndarray:
        """sum_k (w_k w_k') kron (J_k'J_k), shape (P, n, P, n)."""
        n, W = len(self.A), self.W
        # Both factors are symmetric: a quarter of the products will do.
        first, second = np.triu_indices(len(W))
        above = np.triu_indices(n)
        quarter = np.zeros((len(first), len(above[0])))
        for whole, J in self._sensitivity_parts():
            G = (J.transpose(2, 1, 0) @ J.transpose(2, 0, 1))[:, above[0], above[1]]
            for part in parts(len(G), len(first)):
                samples = slice(whole.start + part.start, whole.start + part.stop)
                quarter += (W[first, samples] * W[second, samples]) @ G[part]
        half = np.empty((len(first), n, n))
        half[:, above[0], above[1]] = half[:, above[1], above[0]] = quarter
        K = np.empty((len(W), len(W), n, n))
        K[first, second] = K[second, first] = half
        return np.ascontiguousarray(K.transpose(0, 2, 1, 3))


class LinearisedFit:
    """The quadratic as a function of T = base + dT, the proximal term with weight mu included.

    ``gradient``, shape (n, P), is the one at the base.
    """

    def __init__(self, linearisation: Linearisation, base: np.ndarray, gradient: np.ndarray, mu: float) -> None:
        self.linearisation, self.base, self.at_base, self.mu = linearisation, base, gradient, mu
        self.n_samples, self.constant = linearisation.n_samples, True
        self.row_weights = np.diag(linearisation.M).copy()
        # The proximal term is on A, B and b only: the rows of D and d have none.
        self.row_weights[: len(linearisation.A)] += mu
        self.curvature = (linearisation.mean_curvature + mu) * linearisation.squares
        if linearisation.stacked:
            self.curvature = np.outer(linearisation.row_units(mu), linearisation.squares)

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        dT = T - self.base
        image = self.product(dT) if dT.any() else dT
        # Without the constant, beside which small decreases would lose their digits.
        return float(np.vdot(dT, 0.5 * image + self.at_base)), image + self.at_base

    def on(self, columns: np.ndarray, T: np.ndarray, gradient: np.ndarray) -> LinearisedFit:
        return LinearisedFit(self.linearisation.on(columns), T[:, columns], gradient[:, columns], self.mu)

    def hessian(self, T: np.ndarray) -> LinearisedFit:
        return self  # quadratic: the same everywhere

    def product(self, V: np.ndarray) -> np.ndarray:
        return self.linearisation.product(V, self.mu)

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        linearisation = self.linearisation
        if linearisation.by_gram:
            return linearisation.H[np.ix_(columns, columns)]
        W = linearisation.W[columns]
        return W @ W.T

    def squares(self) -> np.ndarray:
        return self.linearisation.squares

    def matrix(self) -> np.ndarray | None:
        return None if self.linearisation.stacked else self.linearisation.matrix(self.mu)

    def model(self) -> KroneckerModel:
        return self.linearisation.model(self.mu)
