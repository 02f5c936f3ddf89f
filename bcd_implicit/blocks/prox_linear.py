"""Prox-linear block: (A, B, b) with the state eliminated by linearising the equilibrium.

At the equilibrium X, with slopes D_k = diag phi'(z_k), N_k = (I - D_k A)^-1 D_k, w_k = (x_k, u_k, 1) and the
residuals r_k = y_k - C x_k - D u_k - d::

    min over dT = (dA, dB, db)   1/(2m) sum_k ||r_k - C N_k dT w_k||^2 + mu/2 tr(dT H dT')
                                 + kappa sum_j ||B_j + dB_j||_2 + ridge_hidden/2 (||A + dA||^2 + ||B + dB||^2)
    s.t.  ||A + dA||_inf <= norm_bound,                H = W W'/m

The native solve works with the products dT -> gradient, of cost O(m n (n + p)); where these converge slowly, and in
CVXPY, the number of samples and outputs is eliminated: with t = vec(dT), column by column, the smooth part is
1/2 t'Kt - k't + r'r/(2m),  K = 1/m sum_k (w_k w_k') kron (N_k'C'C N_k) + mu H kron I.

Here w_k and r_k occur in products of two only, so each is held times the root of its sample's weight, sqrt(omega_k),
and the means become sums.

Where the groups are columns of (B; D), dD and dd are variables too: the outputs move by C N_k dT w_k + dD u_k + dd.
T then has the rows (0 | D | d) below the others, J_k the columns of Q', C = QR, and there is no Gram matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import cvxpy as cp
import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bcd_implicit.blocks.matrices import MatricesBlock, centred_regressors
from bcd_implicit.blocks.newton_direction import LIFT, STEP_OVERHEAD, Solve
from bcd_implicit.certificates import equilibrium_responses, prox_linear_certificate
from bcd_implicit.data import LARGEST_KEPT, check_number, parts
from bcd_implicit.problem import Iterate, TrainingProblem


class Linearisation:
    """The outputs' first-order response to a change dT of (A | B | b), and the quadratic that comes of it.

    The inputs are centred as in the hidden block. C = QR reduces the outputs to at most n: only
    J_k = R N_k, shape (min(q, n), n), is ever formed, for as many samples at a time as fit into the cache.

    Attributes
    ----------
    roots : ndarray of shape (m,)
        Roots of the samples' weights.
    W : ndarray of shape (P, m)
        The regressors, times the roots.
    H : ndarray of shape (P, P)
        W W'.
    residual : ndarray of shape (min(q, n), m)
        Q'(y - prediction), times the roots.
    k : ndarray of shape (n, P)
        Minus the gradient at dT = 0.
    constant : float
        The loss at dT = 0.
    row_curvature : ndarray of shape (n,)
        Diagonal of the mean of N_k'C'C N_k over samples, and ``mean_curvature`` its mean.
    curvature : ndarray of shape (P,)
        The diagonal of K, averaged over rows.
    kept : ndarray of shape (min(q, n), n, m) or None
        J_k for all samples, where memory holds them.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.A, self.n_samples, self.stacked = it.A, problem.n_samples, problem.stacked
        self.roots = np.sqrt(problem.shares)
        self.slopes = problem.activation.derivative(problem.preactivation(it))
        self.Q, self.R = np.linalg.qr(it.C)
        residual = (problem.Y - problem.prediction(it)) * self.roots
        self.residual, self.constant = self.Q.T @ residual, 0.5 * float(np.sum(residual**2))
        self.W = centred_regressors(problem, it.X)
        self.W *= self.roots
        self.H = self.W @ self.W.T
        self.kept: np.ndarray | None = None
        self.n_products = 0
        self._columns, self._gram = np.zeros(0, dtype=int), np.zeros((0, len(self.A), 0, len(self.A)))
        if self.R.size * self.n_samples <= LARGEST_KEPT:
            kept = np.empty((*self.R.shape, self.n_samples))
            for part, J in self._sensitivity_parts():
                kept[:, :, part] = J
            self.kept = kept
        pulled, squares = np.empty_like(self.slopes), np.empty_like(self.slopes)
        for part, J in self._sensitivity_parts():
            pulled[:, part] = np.einsum("rnk,rk->nk", J, self.residual[:, part])
            squares[:, part] = np.einsum("rnk,rnk->nk", J, J)
        self.row_curvature = squares @ problem.shares
        self.mean_curvature = float(self.row_curvature.mean())
        self.curvature = self.W**2 @ squares.mean(axis=0)
        if self.stacked:
            pulled = np.vstack([pulled, residual])
            self.row_curvature = np.concatenate([self.row_curvature, np.ones(problem.n_outputs)])
            self.curvature = np.maximum(self.curvature, np.diag(self.H))
        self.k = pulled @ self.W.T

    def _sensitivities(self, part: slice) -> np.ndarray:
        """J_k = R (I - D_k A)^-1 D_k for some samples: shape (min(q, n), n, samples)."""
        slopes = self.slopes.T[part]
        transposed = np.eye(len(self.A)) - self.A.T * slopes[:, None, :]  # (I - D_k A)' = I - A' D_k
        solved = np.linalg.solve(transposed, np.broadcast_to(self.R.T, (len(slopes), *self.R.T.shape)))
        return (solved * slopes[:, :, None]).transpose(2, 1, 0)

    def _sensitivity_parts(self) -> Iterator[tuple[slice, np.ndarray]]:
        n = len(self.A)
        for part in parts(self.n_samples, n**2 if self.kept is None else n + self.R.size):
            yield part, self._sensitivities(part) if self.kept is None else self.kept[:, :, part]

    def product(self, V: np.ndarray, mu: float) -> np.ndarray:
        """The quadratic's Hessian times V, both of shape (n, P)."""
        if self.multiplies_by_gram:  # never when stacked
            image = self._gram.reshape(V.size, V.size) @ V.ravel(order="F")
            return image.reshape(V.shape, order="F") + mu * (V @ self.H)
        self.n_products += 1
        image, n = np.zeros_like(V), len(self.A)
        for part, J in self._sensitivity_parts():
            W = self.W[:, part]
            Z = V @ W
            change, outputs = np.einsum("rnk,nk->rk", J, Z[:n]), Z[n:]
            if self.stacked:  # the outputs change by Q change + outputs
                image[n:] += (self.Q @ change + outputs) @ W.T
                change += self.Q.T @ outputs
            image[:n] += np.einsum("rnk,rk->nk", J, change) @ W.T
        image[:n] += mu * (V[:n] @ self.H)
        return image

    @property
    def multiplies_by_gram(self) -> bool:
        """Whether the Gram matrix is at hand as a whole, and the shorter way."""
        return len(self._columns) == len(self.W) and self.k.size <= 2 * self.n_samples

    def gram(self, columns: np.ndarray, mu: float) -> np.ndarray:
        """K on some columns of dT: shape (columns, n, columns, n). The last one is kept, and serves fewer columns."""
        if not self.has_gram(columns):
            self._columns, self._gram = columns, self._form_gram(columns)
        place, i = np.searchsorted(self._columns, columns), np.arange(len(self.A))
        K = self._gram[place][:, :, place]
        K[:, i, :, i] += mu * self.H[np.ix_(columns, columns)]
        return K

    def has_gram(self, columns: np.ndarray) -> bool:
        """Whether K on these columns is at hand."""
        return bool(np.isin(columns, self._columns).all())

    def _form_gram(self, columns: np.ndarray) -> np.ndarray:
        """sum_k (w_k w_k') kron (J_k'J_k), shape (columns, n, columns, n)."""
        n, W = len(self.A), self.W[columns]
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


class _LinearisedFit:
    """The smooth part as a function of T = base + dT."""

    def __init__(self, linearisation: Linearisation, base: np.ndarray, mu: float) -> None:
        self.linearisation, self.base, self.mu = linearisation, base, mu
        self.row_weights = linearisation.row_curvature.copy()
        self.row_weights[: len(linearisation.A)] += mu
        self.curvature = linearisation.curvature + mu * self.squares()

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        dT = T - self.base
        image = self.product(dT)
        return float(np.vdot(dT, 0.5 * image - self.linearisation.k)), image - self.linearisation.k

    def hessian(self, T: np.ndarray) -> _LinearisedFit:
        return self  # quadratic: the same everywhere

    def product(self, V: np.ndarray) -> np.ndarray:
        return self.linearisation.product(V, self.mu)

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        return self.linearisation.H[np.ix_(columns, columns)]

    def squares(self) -> np.ndarray:
        return np.diag(self.linearisation.H)

    def cost(self, free: np.ndarray) -> tuple[float, float]:
        columns, (n, P), lin = np.flatnonzero(free.any(axis=0)), free.shape, self.linearisation
        product = 2.0 * (n * P) ** 2 if lin.multiplies_by_gram else 4.0 * lin.n_samples * n * (P + len(lin.R))
        # The Gram matrix is dear, and serves all solves of this linearisation: it is formed once the products made
        # so far have cost as much, so that no more than twice the better choice is ever paid. It is one large matrix
        # product, three times as fast as the others, and a Cholesky factorisation of some hundred rows as slow.
        gram = 0.0 if lin.has_gram(columns) else lin.n_samples * (n * len(columns)) ** 2 / 6
        gram = max(gram - lin.n_products * (product + STEP_OVERHEAD), 0.0) if not lin.stacked else np.inf
        return gram + np.count_nonzero(free) ** 3, product

    def storage(self, free: np.ndarray) -> float:
        return np.inf if self.linearisation.stacked else 2 * (len(free) * int(free.any(axis=0).sum())) ** 2

    def factorise(self, free: np.ndarray, diagonal: np.ndarray) -> Solve:
        columns = np.flatnonzero(free.any(axis=0))
        used = np.flatnonzero(free[:, columns].T)
        K = self.linearisation.gram(columns, self.mu).reshape(len(columns) * len(free), -1)[np.ix_(used, used)]
        K[np.diag_indices_from(K)] += diagonal[:, columns].T.ravel()[used]
        unit = np.sqrt(np.where(np.diag(K) > 0, np.diag(K), 1.0))
        K /= unit * unit[:, None]
        K[np.diag_indices_from(K)] += LIFT
        factor = cho_factor(K, lower=True, overwrite_a=True, check_finite=False)

        def solve(sides: np.ndarray) -> np.ndarray:
            R = sides[:, :, columns].transpose(0, 2, 1).reshape(len(sides), -1)[:, used] / unit
            solved = np.zeros((len(sides), len(columns) * len(free)))
            solved[:, used] = cho_solve(factor, R.T, check_finite=False).T / unit
            result = np.zeros_like(sides)
            result[:, :, columns] = solved.reshape(len(sides), len(columns), len(free)).transpose(0, 2, 1)
            return result

        return solve


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
        self.linearisation = Linearisation(problem, self.it)
        self.mean_curvature = self.linearisation.mean_curvature
        self.mu = self.mean_curvature if mu is None else check_number("mu", mu, 0)

    def pose(self, v):
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        dAB = cp.hstack([v["A"] - it.A, v["B"] - it.B])
        db = cp.reshape(v["b"] - it.b + dAB @ self.means, (n, 1), order="F")
        dT = cp.hstack([dAB, db]) if problem.fit_intercept else dAB
        regularization, constraints = self.pose_regularization(v)
        smooth = self._pose_stacked(v, dT) if problem.stacked else self._pose_gram(cp.vec(dT, order="F"))
        return smooth + regularization, constraints

    def _pose_gram(self, t: cp.Expression) -> cp.Expression:
        """By K: a quadratic form reaches CLARABEL and SCS as it is, a factor would add as many rows as variables."""
        linearised = self.linearisation
        K = linearised.gram(np.arange(len(linearised.W)), self.mu).reshape(t.size, t.size)
        # Rounding leaves eigenvalues of -1e-16 ||K||, which CVXPY's factorisation for ECOS refuses: lift them.
        K = 0.5 * (K + K.T) + 100 * np.finfo(float).eps * np.linalg.norm(K) * np.eye(len(K))
        return 0.5 * cp.quad_form(t, cp.psd_wrap(K)) - linearised.k.reshape(-1, order="F") @ t + linearised.constant

    def _pose_stacked(self, v: cp.Expression, dT: cp.Expression) -> cp.Expression:
        """By the residuals of all samples and outputs: the plain form, for small problems."""
        problem, it, m, roots = self.problem, self.it, self.problem.n_samples, self.linearisation.roots
        moved = dT @ self.linearisation.W
        responses = np.concatenate([J for _, J in self._responses()], axis=2)
        changes = [self.linearisation.Q @ (responses[:, :, k] @ moved[:, k]) for k in range(m)]
        through = (v["D"] - it.D) @ (problem.U * roots)
        if problem.fit_intercept:
            through = through + cp.reshape(v["d"] - it.d, (problem.n_outputs, 1), order="F") @ roots[None]
        miss = (problem.Y - problem.prediction(it)) * roots - cp.vstack(changes).T - through
        return 0.5 * (cp.sum_squares(miss) + self.mu * cp.sum_squares(moved))

    def objective(self, it):
        """(T) with the equilibrium linearised, plus the proximal term."""
        problem, linearised = self.problem, self.linearisation
        dT = self.joined(it) - self.joined(self.it)
        smooth = float(np.sum(dT * (0.5 * linearised.product(dT, self.mu) - linearised.k)))
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        return smooth + linearised.constant + regularization + problem.user_penalty(it)

    def gradient_of_groups(self, it):
        """Without the proximal term, which is the method's own and not the problem's."""
        dT = self.joined(it) - self.joined(self.it)
        gradient = self.linearisation.product(dT, 0.0) - self.linearisation.k
        return self.terms.B(gradient)

    def smooth(self):
        return _LinearisedFit(self.linearisation, self.joined(self.it), self.mu)

    def certificate(self, it):
        return prox_linear_certificate(self.problem, self.it, it, self.mu, self._responses)

    @cached_property
    def _responses(self):
        """The certificate's own view of the linearisation: it checks the solver's before it uses it."""
        return equilibrium_responses(self.problem, self.it, self.linearisation.kept)
