"""State block: X for fixed matrices, every sample by itself::

    min_x  L(y, Cx + Du + d) + lambda [ g(x) + g*(Ax + c) - x'(Ax + c) ] + 1/2 (x - x_k)' M_minus (x - x_k),  c = Bu + b

The term -x'Ax is not convex. With M = lambda (t I - A - A') + C'C the quadratic part (t the part of g that is
1/2 t x^2), M_minus is the negative part of M: the smallest proximal term that makes the block convex.
"""

from __future__ import annotations

import copy

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.certificates.state import state_certificate
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.parts import parts

# Newton steps of a sample, halvings of a step, and how often the aim is lowered when the certificate asks for more.
MAX_STEPS, HALVINGS, MAX_AIMS = 100, 12, 4
ARMIJO = 1e-4
# Added to the Hessian, relative to its mean diagonal: the proximal term leaves M singular where A + A' is large.
LIFT = 1e-12
FIRST_DAMPING = 1e-1


class _Samples:
    """The block's objective for some samples; ``target``, ``previous`` and ``c`` have one column a sample.

    As a sum of squares and divergences: as a quadratic it would have no digits left where states are large.
    """

    def __init__(self, block: StateBlock, part: slice) -> None:
        problem, it, self.weight = block.problem, block.it, block.problem.fenchel_weight
        self.phi, self.A, self.bounds = problem.activation, it.A, problem.activation.domain
        self.Q, self.proximal = block.convex_root.T @ block.convex_root, block.proximal
        U, self.previous = problem.U[:, part], it.X[:, part]
        residual = problem.Y[:, part] - it.D @ U - it.d[:, None]
        self.c = it.B @ U + it.b[:, None]
        # C = basis R: what lies outside of C's range is a constant.
        basis, self.R = np.linalg.qr(it.C)
        self.target = basis.T @ residual
        self.constant = 0.5 * np.sum((residual - basis @ self.target) ** 2, axis=0)
        contraction = float(np.abs(it.A).sum(axis=1).max())
        self.reach = 1 / (1 - contraction)
        # g is most curved at or below 0 for every activation here, and ||A||_2^2 <= n ||A||_inf^2.
        g_curvature = float(self.phi.g_curvature(np.zeros(1))[0])
        self.curvature_bound = np.linalg.norm(self.Q, 2) + self.weight * (g_curvature + len(it.A) * contraction**2)

    def subset(self, kept: np.ndarray) -> _Samples:
        """The same for fewer samples."""
        other = copy.copy(self)
        other.c, other.target, other.previous = self.c[:, kept], self.target[:, kept], self.previous[:, kept]
        other.constant = self.constant[kept]
        return other

    def value(self, X: np.ndarray) -> np.ndarray:
        """The objective of every sample; its weight and the constant regularisation left out."""
        miss, step = self.R @ X - self.target, X - self.previous
        rest = self.weight * self.phi.divergence(X, self.A @ X + self.c) + 0.5 * step * (self.proximal @ step)
        return 0.5 * np.sum(miss**2, axis=0) + np.sum(rest, axis=0) + self.constant

    def gradient(self, X: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient, zero where it pushes against a bound, and a bound on each sample's distance to its optimum.

        The latter as in :func:`~bcd_implicit.certificates.state_certificate`, a little coarser.
        """
        Z = self.A @ X + self.c
        phi_Z = self.phi(Z)
        fenchel = self.phi.g_derivative(X) - Z + self.A.T @ (phi_Z - X)
        r = self.R.T @ (self.R @ X - self.target) + self.weight * fenchel + self.proximal @ (X - self.previous)
        r[(self.bounds[0] >= X) & (r > 0) | (self.bounds[1] <= X) & (r < 0)] = 0.0
        off = np.sqrt(2 * np.maximum(value, 0.0) / self.weight)
        width = np.minimum(2 * (np.abs(self.phi(self.c)).max(axis=0) + off), np.abs(X - phi_Z).max(axis=0) + off)
        return r, self.reach * width * np.abs(r).sum(axis=0)

    def direction(self, X: np.ndarray, r: np.ndarray, damping: np.ndarray) -> np.ndarray:
        """Newton's direction in the coordinates in which the gradient is not zero.

        Where A + A' is large and z negative, coordinates may have no curvature at all: hence the damping.
        """
        slopes = self.weight * self.phi.derivative(self.A @ X + self.c).T
        H = self.Q + (self.A.T * slopes[:, None, :]) @ self.A  # (samples, n, n)
        diagonal = np.einsum("kii->ki", H)
        diagonal += self.weight * (self.phi.g_curvature(X) - self.phi.quadratic_part).T
        diagonal += LIFT * (np.trace(self.Q) / len(X) + self.weight) + self.weight * damping[:, None]
        free = (r != 0).T
        H *= free[:, :, None] & free[:, None, :]
        diagonal[~free] = 1.0
        return -np.linalg.solve(H, r.T[:, :, None])[:, :, 0].T


class StateBlock(Block):
    """The states X, near the iterate's own.

    ``fenchel_weight`` is a number here, not a ``cp.Parameter``: the proximal term depends on it through the
    eigenvalues of M.
    """

    name = "state"
    letters = ("X",)
    holds_pair = True

    def __init__(self, problem, it):
        super().__init__(problem, it)
        n, weight = problem.n_hidden, problem.fenchel_weight
        M = weight * (problem.activation.quadratic_part * np.eye(n) - it.A - it.A.T) + it.C.T @ it.C
        values, vectors = np.linalg.eigh(M)
        self.convex_root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T  # convex_root' convex_root = M + M_minus
        self.proximal = (vectors * np.maximum(-values, 0)) @ vectors.T  # M_minus

    def pose(self, v):
        problem, it, weight, m = self.problem, self.it, self.problem.fenchel_weight, self.problem.n_samples
        shares = m * problem.shares  # of mean 1, as in the output block
        X, c = v["X"], it.B @ problem.U + it.b[:, None]
        residual = problem.Y - it.D @ problem.U - it.d[:, None]
        linear = it.C.T @ residual + weight * c + self.proximal @ it.X
        g_rest, domain = problem.activation.cvxpy_g_rest(X, shares)
        value = (
            0.5 * cp.sum_squares(cp.multiply(np.broadcast_to(np.sqrt(shares), X.shape), self.convex_root @ X))
            - cp.sum(cp.multiply(shares * linear, X))
            + weight * (g_rest + problem.activation.cvxpy_g_conjugate(it.A @ X + c, shares))
        )
        constant = 0.5 * np.sum(shares * residual**2) + 0.5 * np.sum(shares * it.X * (self.proximal @ it.X))
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        return (value + constant) / m + regularization, domain

    def objective(self, it):
        """(F) plus the mean of the proximal terms."""
        step = it.X - self.it.X
        proximal_terms = 0.5 * np.sum(step * (self.proximal @ step), axis=0)
        return self.problem.objective(it) + float(proximal_terms @ self.problem.shares)

    def repair(self, it):
        return it.replace(X=np.clip(it.X, *self.problem.activation.domain))

    def solve_native(self, tol, met):
        """Projected Newton, many samples at once; the aim is lowered until the certificate holds."""
        it, m, aim = self.it, self.problem.n_samples, 0.1 * tol * self.size()
        for _ in range(MAX_AIMS):
            X = np.empty_like(it.X)
            for part in parts(m, self.problem.n_hidden**2):
                X[:, part] = self._newton(it.X[:, part], _Samples(self, part), aim)
            it = it.replace(X=X)
            if met(it):
                return it, True, {}
            aim *= 1e-3
        return it, False, {}

    def _newton(self, X: np.ndarray, samples: _Samples, aim: float) -> np.ndarray:
        """Bring every sample within ``aim`` of its optimum, from X: Newton steps in the coordinates off their bounds.

        Each sample has its own step length along its own projected arc, and leaves once it is done.
        """
        X = np.clip(X, *samples.bounds)
        value, todo, damping = samples.value(X), np.arange(X.shape[1]), np.zeros(X.shape[1])
        for _ in range(MAX_STEPS):
            check_stop()
            r, error = samples.gradient(X[:, todo], value[todo])
            still = error > aim
            if not still.any():
                break
            r, todo, samples = r[:, still], todo[still], samples.subset(still)
            x, v = X[:, todo], value[todo]
            direction = samples.direction(x, r, damping[todo])
            step, waiting = np.ones(len(todo)), np.ones(len(todo), dtype=bool)
            for halving in range(HALVINGS + 1):
                if halving == HALVINGS:  # a gradient step short enough to descend in any case
                    direction[:, waiting], step[waiting] = -r[:, waiting], 1 / samples.curvature_bound
                trial = np.clip(x + step * direction, *samples.bounds)
                trial_value = samples.value(trial)
                enough = v + ARMIJO * np.sum(r * (trial - x), axis=0) + 1e-13 * np.abs(v)
                taken = waiting & ((trial_value <= enough) | (halving == HALVINGS))
                X[:, todo[taken]], value[todo[taken]] = trial[:, taken], trial_value[taken]
                waiting &= ~taken
                if not waiting.any():
                    break
                step[waiting] /= 2
            # Levenberg and Marquardt: where the quadratic model held, trust it more.
            grown = np.maximum(10 * damping[todo], FIRST_DAMPING)
            shrunk = np.where(damping[todo] > 1e-3 * FIRST_DAMPING, 0.1 * damping[todo], 0.0)
            damping[todo] = np.where(step == 1, shrunk, grown)
        return X

    def certificate(self, it):
        return state_certificate(self.problem, self.it, it, self.proximal)
