"""State block: X for fixed matrices, every sample by itself::

    min_x  L(y, Cx + Du + d) + sum_i lambda_i [ g(x_i) + g*(z_i) - x_i z_i ] + 1/2 (x - x_k)' M_minus (x - x_k),
           z = Ax + c,  c = Bu + b

The term -x'Lambda A x, Lambda = diag(lambda), is not convex. With M = t Lambda - Lambda A - A'Lambda the quadratic part
(t the part of g that is 1/2 t x^2), and C'C more for the squared loss, M_minus is the negative part of M: the smallest
proximal term that makes the block convex.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.state_fit import EnvelopeFit, Fit, LossFit, SquaredFit
from bcd_implicit.blocks.state_samples import Samples, Slope
from bcd_implicit.certificates.state import state_certificate
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.parts import parts

# Newton steps of a sample, halvings of a step, and how often the aim is lowered when the certificate asks for more.
MAX_STEPS, HALVINGS, MAX_AIMS = 100, 12, 4
# How often the multipliers of a loss with kinks are moved, and how much narrower the envelope is each time.
MAX_ROUNDS, NARROWER = 15, 0.1
ARMIJO = 1e-4
FIRST_DAMPING = 1e-1
# Beyond this damping no step is left: the sample is where rounding lets it be.
LAST_DAMPING = 1e12


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
        weighted_A = problem.fenchel_weights[:, None] * it.A
        M = problem.activation.quadratic_part * np.diag(problem.fenchel_weights) - weighted_A - weighted_A.T
        if problem.loss.quadratic:
            M += it.C.T @ it.C
        values, vectors = np.linalg.eigh(M)
        self.convex_root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T  # convex_root' convex_root = M + M_minus
        self.proximal = (vectors * np.maximum(-values, 0)) @ vectors.T  # M_minus
        self.solved = self.V = self.width = None

    def pose(self, v):
        problem, it, m = self.problem, self.it, self.problem.n_samples
        shares = m * problem.shares  # of mean 1, as in the output block
        weights = np.outer(problem.fenchel_weights, shares)
        X, c, offset = v["X"], it.B @ problem.U + it.b[:, None], it.D @ problem.U + it.d[:, None]
        g_rest, domain = problem.activation.cvxpy_g_rest(X, weights)
        linear, constant = shares * (self.proximal @ it.X) + weights * c, 0.5 * it.X * (self.proximal @ it.X)
        value = (
            0.5 * cp.sum_squares(cp.multiply(np.broadcast_to(np.sqrt(shares), X.shape), self.convex_root @ X))
            + g_rest
            + problem.activation.cvxpy_g_conjugate(it.A @ X + c, weights)
            + float(np.sum(shares * constant))
        )
        if problem.loss.quadratic:  # what is quadratic of it is above
            residual = problem.Y - offset
            linear += shares * (it.C.T @ residual)
            value += 0.5 * np.sum(shares * residual**2)
        else:
            value += problem.loss.cvxpy(it.C @ X + offset, problem.Y, shares)
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        return (value - cp.sum(cp.multiply(linear, X))) / m + regularization, domain

    def objective(self, it):
        """(F) plus the mean of the proximal terms."""
        step = it.X - self.it.X
        proximal_terms = 0.5 * np.sum(step * (self.proximal @ step), axis=0)
        return self.problem.objective(it) + float(proximal_terms @ self.problem.shares)

    def repair(self, it):
        return it.replace(X=np.clip(it.X, *self.problem.activation.domain))

    def solve_native(self, tol, met):
        """Newton's method, many samples at once; the aim is lowered until the certificate holds.

        A loss with kinks is replaced by its envelope around multipliers, whose gradient they then become.
        """
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        Q = self.convex_root.T @ self.convex_root
        aim, smooth = 0.1 * tol * self.size(), problem.loss.smooth
        if not smooth:
            self.V, self.width = self._first_multipliers()
        for _ in range(MAX_AIMS if smooth else MAX_ROUNDS):
            X = np.empty_like(it.X)
            for part in parts(problem.n_samples, max(n**2, problem.n_outputs)):
                fit = self._fit(part)
                samples = Samples(problem, self.it, Q, self.proximal, part, fit)
                X[:, part] = _newton(it.X[:, part], samples, aim)
                if not smooth:
                    self.V[:, part] = fit.dual_point(X[:, part])
            it = it.replace(X=X)
            self.solved = X
            if met(it):
                return it, True, {}
            aim *= 1e-3 if smooth else NARROWER
            if not smooth:
                self.width *= NARROWER
        return it, False, {}

    def _first_multipliers(self) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of zero, and widths as large as a sample's residuals, or the mean over samples."""
        size = np.abs(self.problem.Y - self.problem.prediction(self.it)).mean(axis=0)
        return np.zeros_like(self.problem.Y), 0.1 * np.maximum(size, size.mean() or 1.0)

    def _fit(self, part: slice) -> Fit:
        """The loss of a part of the samples."""
        problem, it = self.problem, self.it
        Y, offset = problem.Y[:, part], it.D @ problem.U[:, part] + it.d[:, None]
        if problem.loss.quadratic:
            return SquaredFit(it.C, Y - offset)
        if problem.loss.smooth:
            return LossFit(problem.loss, it.C, offset, Y)
        return EnvelopeFit(problem.loss, it.C, offset, Y, self.V[:, part], self.width[part])

    def certificate(self, it):
        # The multipliers prove the native point; of another one they say nothing.
        claim = self.V if it.X is self.solved else None
        return state_certificate(self.problem, self.it, it, self.proximal, claim)


def _newton(X: np.ndarray, samples: Samples, aim: float) -> np.ndarray:
    """Bring every sample within ``aim`` of its optimum, from X: Newton steps in the states that nothing holds.

    Each sample has its own step length along its own arc, and leaves once it is done.
    """
    X = X.copy()
    value, todo, damping = samples.value(X), np.arange(X.shape[1]), np.zeros(X.shape[1])
    for _ in range(MAX_STEPS):
        check_stop()
        slope = samples.slope(X[:, todo], value[todo])
        still = (slope.error > aim) & (damping[todo] <= LAST_DAMPING)
        if not still.any():
            break
        slope, todo, samples = slope.subset(still), todo[still], samples.subset(still)
        direction = samples.direction(X[:, todo], slope.r, damping[todo])
        X[:, todo], value[todo], step = _searched(samples, X[:, todo], value[todo], slope, direction)
        # Levenberg and Marquardt: where the quadratic model held, trust it more.
        grown = np.maximum(10 * damping[todo], FIRST_DAMPING)
        shrunk = np.where(damping[todo] > 1e-3 * FIRST_DAMPING, 0.1 * damping[todo], 0.0)
        damping[todo] = np.where(step == 1, shrunk, grown)
    return X


def _searched(
    samples: Samples, X: np.ndarray, value: np.ndarray, slope: Slope, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The states after the longest step that descends, their objective, and the step; it is 0 where none does."""
    step, waiting = np.ones(len(value)), np.ones(len(value), dtype=bool)
    for _ in range(HALVINGS):
        trial = samples.moved(X, slope.z, step * direction)
        trial_value = samples.value(trial)
        enough = value + ARMIJO * np.sum(slope.r * (trial - X), axis=0) + 1e-13 * np.abs(value)
        taken = waiting & (trial_value <= enough)
        X, value = np.where(taken, trial, X), np.where(taken, trial_value, value)
        waiting &= ~taken
        if not waiting.any():
            break
        step[waiting] /= 2
    step[waiting] = 0.0
    return X, value, step
