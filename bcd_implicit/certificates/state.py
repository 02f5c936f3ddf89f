"""Certificate of the state block X."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing, ratio
from bcd_implicit.certificates.regressors import EPS, rms
from bcd_implicit.certificates.state_multipliers import DualProblem
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import parts


@np.errstate(all="ignore")  # a rate or a slope may be beyond numbers at a point far off: there is no bound then
def state_certificate(
    problem: TrainingProblem,
    previous: Iterate,
    it: Iterate,
    proximal: np.ndarray,
    claim: np.ndarray | None = None,
    near: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> Certificate:
    """Certificate of X for fixed matrices, with the proximal term 1/2 (x - x_k)' proximal (x - x_k).

    V is a subgradient of the loss at the predictions f, up to its divergence D(f, V, y), and C'V + linear the gradient
    of all but g, that a z is made to balance: ``lambda z = -(C'V + linear)``.

    If all but g is convex, the gap is at most ``D(f, V, y) + sum_i lambda_i F_phi(x_i, z_i)``.

    Else, for a subgradient r at x and the block's least curvature s,
    ``objective(x) - optimum <= D(f, V, y) + <r, x - x*> - s/2 ||x - x*||^2``, and x* is bounded: every term of the
    objective is nonnegative and F_phi(x, z) >= (x - phi(z))^2 / (2 max_slope), so with v the sample's objective,
    ``w^2 = 2 max_slope v / lambda`` and c = Bu + b, x* misses the equation by w at most, zero by ``|phi(c)|``, and x by
    ``|x - phi(Ax + c)|``. States are as far apart as the largest sum of what the two miss, divided by 1 - q for
    ``q = max_slope ||A||_inf``, or its like for the matrix measure, and where that is not positive by each state's
    :meth:`~bcd_implicit.TrainingProblem.room`. The bound on the gap is the largest value over the box that is left,
    coordinate by coordinate.

    Parameters
    ----------
    claim : ndarray of shape (q, m), optional
        Any V will do. For a loss with kinks one may be known that suits; else one is looked for.
    near : ndarray of shape (n, m) and its claim, optional
        Any other states: where they are nearer to the optimum, their objective less their gap is the better bound on
        it. The first bound above is of first order in r.

    Raises
    ------
    NotWellPosedError
        A is not known to be well-posed: q is not below 1, on the cycles of the pattern if there is one.
    """
    phi, weights, shares = problem.activation, problem.fenchel_weights[:, None], problem.shares
    room = float(problem.room(it.A).min())
    if not room > 0:
        symbol = problem.row_set.symbol
        scaled = f"{phi.max_slope:g} {symbol}" if phi.max_slope < 1 else symbol
        raise NotWellPosedError(f"A: {scaled} = {1 - room:.6g} is not below 1. Scale its rows to norm_bound.")
    given = _Given(problem, previous, it, proximal)
    at = _Point(given, it.X, claim)
    gap = at.gap
    if near is not None:
        other = _Point(given, *near)
        gap = np.fmin(gap, at.most - other.least + other.gap)
    zero = _Point(given, np.broadcast_to(phi(np.zeros(1)), it.X.shape))
    r_zero = it.C.T @ problem.loss.gradient(zero.prediction, problem.Y) + zero.linear
    r_zero += weights * phi.g_derivative(zero.X)
    natural = weights * (at.X - phi(at.z))
    roots = np.sqrt(shares)
    # Where the loss is zero to the last digit, the states' own size must do, or rounding of it would be infinite.
    least_scale = EPS * float(np.sum(weights * at.X**2 @ shares))
    return Certificate(
        gap=float(gap @ shares),
        scale=max(float((at.loss + at.rest) @ shares), nothing(problem, it), least_scale),
        kkt_residual=ratio(float(np.linalg.norm(natural * roots)), float(np.linalg.norm(r_zero * roots))),
        violation=float(np.abs(it.X - at.X).max()),
    )


class _Given:
    """What is the same at all states: the arguments of the certificate, c = BU + b, and e = DU + d."""

    def __init__(self, problem: TrainingProblem, previous: Iterate, it: Iterate, proximal: np.ndarray) -> None:
        self.problem, self.previous, self.it, self.proximal = problem, previous, it, proximal
        self.c, self.e = it.B @ problem.U + it.b[:, None], it.d[:, None]
        if it.D.any():  # without pass-through its product would be most of the work
            self.e = it.D @ problem.U + self.e


class _Point:
    """What the block's objective and its gap are at states X, moved into the domain; the loss's V may be claimed."""

    def __init__(self, given: _Given, X: np.ndarray, claim: np.ndarray | None = None) -> None:
        self.problem, self.it, self.proximal, self.c = given.problem, given.it, given.proximal, given.c
        self.claim = claim
        self.phi, self.weights = self.problem.activation, self.problem.fenchel_weights[:, None]
        self.X = X = np.clip(X, *self.phi.domain)
        self.Z = self.it.A @ X + self.c
        self.phi_Z = self.phi(self.Z)
        self.prediction = self.it.C @ X + given.e
        self.step = X - given.previous.X
        self.moved = self.proximal @ self.step
        # The gradient of all but the loss and g.
        self.linear = self.it.A.T @ (self.weights * (self.phi_Z - X)) - self.weights * self.Z + self.moved

    @cached_property
    def V(self) -> np.ndarray:
        """A subgradient of the loss, shape (q, m): the gradient, or where that jumps one that suits."""
        problem = self.problem
        if problem.loss.smooth:
            return problem.loss.gradient(self.prediction, problem.Y)
        if self.claim is not None:
            return problem.loss.inside(self.claim, problem.Y)
        samples = (self.prediction, problem.Y, self.X, self.linear)
        whole = DualProblem(problem.loss, self.phi, self.it.C, self.weights, *samples)
        pieces = parts(problem.n_samples, problem.n_outputs**2)
        return np.hstack([whole.subset(part).solve() for part in pieces])

    @cached_property
    def z(self) -> np.ndarray:
        """What balances the gradient of all but g, shape (n, m)."""
        return -(self.it.C.T @ self.V + self.linear) / self.weights

    @cached_property
    def loss(self) -> np.ndarray:
        """The loss of every sample."""
        return self.problem.loss.value(self.prediction, self.problem.Y)

    @cached_property
    def rest(self) -> np.ndarray:
        """The rest of the objective of every sample."""
        pairs = self.weights * self.phi.divergence(self.X, self.Z)
        return np.sum(pairs + 0.5 * self.step * self.moved, axis=0)

    @cached_property
    def rounding(self) -> _Rounding:
        return _Rounding(self)

    @property
    def most(self) -> np.ndarray:
        """The most that rounding lets the objective be."""
        return self.rounding.of_loss(self.loss) + self.rounding.of_rest(self.rest)

    @property
    def least(self) -> np.ndarray:
        """The least that rounding lets the objective be."""
        return self.rounding.of_loss(self.loss, -1) + self.rounding.of_rest(self.rest, -1)

    @property
    def gap(self) -> np.ndarray:
        """A bound on the objective less its optimum, of every sample."""
        found = self._by_pairs() if self.phi.quadratic_part == 0 else self._by_distance()
        if not self.problem.loss.quadratic:  # of which V is the gradient
            found = found + self.rounding.of_loss(self.problem.loss.divergence(self.prediction, self.V, self.problem.Y))
        # No term of the objective is negative, so that it bounds the gap as well. What is no number is no bound.
        return np.fmin(found, self.most)

    def _by_pairs(self) -> np.ndarray:
        pairs = np.sqrt(self.weights * self.phi.divergence(self.X, self.z))
        # F_phi(x, .) is convex, not negative, and its slope rises by at most max_slope.
        off = np.sqrt(0.5 * self.phi.max_slope / self.weights) * self.rounding.gradient
        return np.sum((pairs + off) ** 2, axis=0)

    def _by_distance(self) -> np.ndarray:
        phi, X, off = self.phi, self.X, self.rounding.gradient
        room = self.problem.room(self.it.A)[:, None]
        subgradient = phi.g_subgradient(X, self.z)
        r = self.weights * (subgradient - self.z)
        w = np.sqrt(2 * phi.max_slope * self.most / self.weights.min())
        # The optimum's distance from zero, and from here.
        radius, reach = ((np.abs(away).max(axis=0) + w) / room for away in (phi(self.c), X - self.phi_Z))
        strength = _least_curvature(self.problem, self.it, self.proximal)
        low, high = phi.domain
        downwards = _largest_rise(r + off, np.minimum(X - np.maximum(low, -radius), reach), strength)
        upwards = _largest_rise(off - r, np.minimum(np.minimum(high, radius) - X, reach), strength)
        # At an infinite slope the subgradient is that of a state next to X.
        beside = self.weights * phi.divergence(X, subgradient)
        return np.sum(np.maximum(downwards, upwards) + beside, axis=0)


def _largest_rise(slope: np.ndarray, width: np.ndarray, strength: float) -> np.ndarray:
    """The largest slope * t - strength/2 t^2 over 0 <= t <= width, elementwise."""
    slope, width = np.maximum(slope, 0.0), np.maximum(width, 0.0)
    # Without curvature, or before the peak, the far end; no difference of large numbers in either case.
    peak = np.divide(slope, strength, out=np.full(slope.shape, np.inf), where=strength > 0)
    t = np.minimum(peak, width)
    return t * (slope - 0.5 * (strength * t))


def _least_curvature(problem: TrainingProblem, it: Iterate, proximal: np.ndarray) -> float:
    """A lower bound on the eigenvalues of the quadratic part, less what rounding may add to them."""
    weights = problem.fenchel_weights
    weighted_A = weights[:, None] * it.A
    M = problem.activation.quadratic_part * np.diag(weights) - weighted_A - weighted_A.T + proximal
    size = float(weights.max()) * (1 + 2 * float(np.linalg.norm(it.A))) + float(np.linalg.norm(proximal))
    if problem.loss.quadratic:
        M += it.C.T @ it.C
        size += float(np.linalg.norm(it.C)) ** 2
    return max(float(np.linalg.eigvalsh(M)[0]) - 10 * len(M) * EPS * size, 0.0)


class _Rounding:
    """How far rounding may have parts of a certificate off.

    Attributes
    ----------
    gradient : ndarray of shape (n, m)
        The gradient, given V.
    prediction : ndarray of shape (m,)
        The predictions of each sample, in their Euclidean norm.
    root : ndarray of shape (m,)
        The root of the objective without its loss: the divergence grows like half a square of what it is off by.
    """

    def __init__(self, at: _Point) -> None:
        problem, it = at.problem, at.it
        self.loss, self.at, self.Y = problem.loss, at, problem.Y
        # Inputs in units of their own: else those in large units would lend their rounding to the rest.
        units = rms(problem.U, problem.shares)
        units[units == 0] = 1.0
        x, u, y, v, step, fenchel = (
            _sizes(part) for part in (at.X, problem.U / units[:, None], problem.Y, at.V, at.step, at.phi_Z)
        )
        C, D, B, P = (float(np.linalg.norm(part)) for part in (it.C, it.D * units, it.B * units, at.proximal))
        weights, size_of_A = at.weights, np.sqrt(len(it.A)) * float(np.abs(it.A).sum(axis=1).max())  # of ||A||_2
        unit = EPS * (2 + len(at.X) + len(problem.U) + len(at.V))
        Z = size_of_A * x + B * u + float(np.linalg.norm(it.b))
        self.prediction = unit * (C * x + D * u + float(np.linalg.norm(it.d)) + y)
        self.root = unit * np.sqrt(weights.max()) * Z
        terms = C * v + weights * (np.abs(at.z) + Z) + weights.max() * size_of_A * (fenchel + x + Z) + P * step
        # A may be large, and its norms lose too much.
        if not problem.row_set.bounds(np.ones_like(it.A, dtype=bool)):
            sums = np.abs(it.A) @ np.abs(at.X) + np.abs(it.B) @ np.abs(problem.U) + np.abs(it.b)[:, None]
            terms = np.abs(it.A.T) @ (weights * (np.abs(at.phi_Z) + np.abs(at.X) + sums))
            terms += weights * (np.abs(at.z) + sums)
            terms += np.abs(it.C.T) @ np.abs(at.V) + np.abs(at.proximal) @ np.abs(at.step)
        self.gradient = unit * terms
        if problem.loss.quadratic:  # then V is off as the predictions are
            self.gradient += C * self.prediction

    def of_rest(self, found: np.ndarray, side: int = 1) -> np.ndarray:
        """The most, or with side -1 the least, that the objective without its loss may be."""
        return np.maximum(np.sqrt(np.maximum(found, 0.0)) + side * self.root, 0.0) ** 2

    def of_loss(self, found: np.ndarray, side: int = 1) -> np.ndarray:
        """The most, or the least, that a loss or a divergence of it, shape (m,), may be."""
        if not self.loss.smooth:
            ends = [self.loss.inside(np.full_like(self.Y, end), self.Y) for end in (-np.inf, np.inf)]
            return np.maximum(found + side * np.sum(ends[1] - ends[0], axis=0) * self.prediction, 0.0)
        off = np.sqrt(0.5 * self._curvature) * self.prediction
        return np.maximum(np.sqrt(np.maximum(found, 0.0)) + side * off, 0.0) ** 2

    @cached_property
    def _curvature(self) -> np.ndarray:
        """The loss's largest second derivative; a number for each sample where it has no bound."""
        if np.isfinite(self.loss.max_curvature):
            return np.array(self.loss.max_curvature)
        there = (self.at.prediction + side * self.prediction for side in (-1, 1))
        return np.max([self.loss.curvature(f, self.Y).max(axis=0) for f in there], axis=0)


def _sizes(columns: np.ndarray) -> np.ndarray:
    """The Euclidean norm of every column."""
    return np.sqrt(np.einsum("ij,ij->j", columns, columns))
