"""Certificate of the state block X."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing, ratio
from bcd_implicit.certificates.state_multipliers import DualProblem
from bcd_implicit.certificates.regressors import EPS, rms
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import parts
from bcd_implicit.terms.losses import Loss


class _Point:
    """What the objective is made of at states X, shape (n, m), between the ends of the domain."""

    def __init__(
        self, problem: TrainingProblem, previous: Iterate, it: Iterate, proximal: np.ndarray, X: np.ndarray
    ) -> None:
        self.problem, self.C, self.X = problem, it.C, X
        self.weights = weights = problem.fenchel_weights[:, None]
        self.c = it.B @ problem.U + it.b[:, None]
        self.Z = it.A @ X + self.c
        self.phi_Z = problem.activation(self.Z)
        self.prediction = it.C @ X + it.D @ problem.U + it.d[:, None]
        self.step = X - previous.X
        self.moved = proximal @ self.step
        # The gradient of all but the loss and g.
        self.linear = it.A.T @ (weights * (self.phi_Z - X)) - weights * self.Z + self.moved

    def value(self) -> np.ndarray:
        """The objective of every sample but for the loss, shape (m,)."""
        divergence = self.problem.activation.divergence(self.X, self.Z)
        return np.sum(self.weights * divergence + 0.5 * self.step * self.moved, axis=0)

    def dual_point(self, claim: np.ndarray | None) -> np.ndarray:
        """A subgradient V of the loss, shape (q, m): the gradient, or where that has jumps the one that suits best."""
        problem = self.problem
        if problem.loss.smooth:
            return problem.loss.gradient(self.prediction, problem.Y)
        if claim is not None:
            return problem.loss.inside(claim, problem.Y)
        whole = DualProblem(
            *(problem.loss, problem.activation, self.C, self.weights),
            *(self.prediction, problem.Y, self.X, self.linear),
        )
        V = np.empty_like(problem.Y)
        for part in parts(problem.n_samples, problem.n_outputs**2):
            V[:, part] = whole.subset(part).solve()
        return V


def state_certificate(
    problem: TrainingProblem, previous: Iterate, it: Iterate, proximal: np.ndarray, claim: np.ndarray | None = None
) -> Certificate:
    """Certificate of X for fixed matrices, with the proximal term 1/2 (x - x_k)' proximal (x - x_k).

    V is a subgradient of the loss at the predictions f, up to its divergence D(f, V, y), and C'V + linear the gradient
    of all but g; -lambda z is to be that.

    Where all but g is convex, the gap is at most ``D(f, V, y) + sum_i lambda_i F_phi(x_i, z_i)``.

    Else, for a subgradient r at x and the block's least curvature s,
    ``objective(x) - optimum <= D(f, V, y) + <r, x - x*> - s/2 ||x - x*||^2``, and x* is bounded: every term of the
    objective is nonnegative and F_phi(x, z) >= (x - phi(z))^2 / (2 max_slope), so with v the sample's objective,
    ``w^2 = 2 max_slope v / lambda`` and ``q = max_slope ||A||_inf``,
    ``|x*| <= (|phi(c)| + w) / (1 - q)`` in the maximum norm, c = Bu + b, and ``|x* - x| <= (|x - phi(z)| + w) / (1 - q)``.
    The bound is the largest value over the box that is left, coordinate by coordinate.

    Raises
    ------
    NotWellPosedError
        q is not below 1.
    """
    phi, weights, shares = problem.activation, problem.fenchel_weights[:, None], problem.shares
    contraction = phi.max_slope * float(np.abs(it.A).sum(axis=1).max())
    if contraction >= 1:
        scaled = f"{phi.max_slope:g} ||A||_inf" if phi.max_slope < 1 else "||A||_inf"
        raise NotWellPosedError(f"A: {scaled} = {contraction:.6g} is not below 1. Scale its rows to norm_bound.")
    at = _Point(problem, previous, it, proximal, np.clip(it.X, *phi.domain))
    X, V = at.X, at.dual_point(claim)
    z = -(it.C.T @ V + at.linear) / weights
    rounding = _Rounding(problem, it, at, V, z, proximal)

    loss, value = problem.loss.value(at.prediction, problem.Y), at.value()
    # No term of a sample's objective is negative, so that it bounds the gap as well.
    whole = rounding.most_of_loss(loss) + (np.sqrt(np.maximum(value, 0.0)) + rounding.root) ** 2
    if phi.quadratic_part == 0:
        # F_phi(x, .) is convex, zero at its least, and its slope rises by at most max_slope.
        root = np.sqrt(weights * phi.divergence(X, z)) + np.sqrt(0.5 * phi.max_slope / weights) * rounding.gradient
        gap = np.sum(root**2, axis=0)
    else:
        subgradient = phi.g_subgradient(X, z)
        r = weights * (subgradient - z)
        w = np.sqrt(2 * phi.max_slope * whole / weights.min())
        radius, reach = (
            (np.abs(away).max(axis=0) + w) / (1 - contraction) for away in (phi(at.c), X - at.phi_Z)
        )  # the optimum's distance from zero, and from here
        strength = _least_curvature(problem, it, proximal)
        low, high = phi.domain
        downwards = _largest_rise(r + rounding.gradient, np.minimum(X - np.maximum(low, -radius), reach), strength)
        upwards = _largest_rise(rounding.gradient - r, np.minimum(np.minimum(high, radius) - X, reach), strength)
        # At an infinite slope g's subgradient is one of a state next to X.
        beside = weights * phi.divergence(X, subgradient)
        gap = np.sum(np.maximum(downwards, upwards) + beside, axis=0)
    if not problem.loss.quadratic:  # of which V is the gradient, and so in r
        gap = gap + rounding.most_of_loss(problem.loss.divergence(at.prediction, V, problem.Y))

    zero = _Point(problem, previous, it, proximal, np.broadcast_to(phi(np.zeros(1)), X.shape))
    r_zero = it.C.T @ problem.loss.gradient(zero.prediction, problem.Y) + zero.linear
    r_zero += weights * phi.g_derivative(zero.X)
    natural = weights * (X - phi(z))
    roots = np.sqrt(shares)
    return Certificate(
        # What is not a number is no bound.
        gap=float(np.fmin(gap, whole) @ shares),
        # Where the loss is zero to the last digit, the states' own size must do, or rounding of it would be infinite.
        scale=max(float((loss + value) @ shares), nothing(problem, it), EPS * float(np.sum(weights * X**2 @ shares))),
        kkt_residual=ratio(float(np.linalg.norm(natural * roots)), float(np.linalg.norm(r_zero * roots))),
        violation=float(np.abs(it.X - X).max()),
    )


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
    size = float(weights.max()) * (1 + 2 * np.linalg.norm(it.A)) + float(np.linalg.norm(proximal))
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

    def __init__(
        self, problem: TrainingProblem, it: Iterate, at: _Point, V: np.ndarray, z: np.ndarray, proximal: np.ndarray
    ) -> None:
        self.loss, self.at, self.Y = problem.loss, at, problem.Y
        # Inputs in units of their own: else those in large units would lend their rounding to the rest.
        units = rms(problem.U, problem.shares)
        units[units == 0] = 1.0
        x, u, y, v, step, fenchel = (
            _sizes(part) for part in (at.X, problem.U / units[:, None], problem.Y, V, at.step, at.phi_Z)
        )
        C, D, B, P = (float(np.linalg.norm(part)) for part in (it.C, it.D * units, it.B * units, proximal))
        weights, size_of_A = at.weights, np.sqrt(len(it.A)) * float(np.abs(it.A).sum(axis=1).max())  # of ||A||_2
        unit = EPS * (2 + len(at.X) + len(problem.U) + len(V))
        Z = size_of_A * x + B * u + float(np.linalg.norm(it.b))
        self.prediction = unit * (C * x + D * u + float(np.linalg.norm(it.d)) + y)
        self.root = unit * np.sqrt(weights.max()) * Z
        terms = C * v + weights * (np.abs(z) + Z) + weights.max() * size_of_A * (fenchel + x + Z) + P * step
        self.gradient = unit * terms
        if problem.loss.quadratic:  # then V is off as the predictions are
            self.gradient += C * self.prediction

    def most_of_loss(self, found: np.ndarray) -> np.ndarray:
        """The most that a loss or divergence, shape (m,), may be at predictions that are off by rounding."""
        if not self.loss.smooth:
            ends = [self.loss.inside(np.full_like(self.Y, end), self.Y) for end in (-np.inf, np.inf)]
            return found + np.sum(ends[1] - ends[0], axis=0) * self.prediction
        curvature = self.loss.max_curvature
        if not np.isfinite(curvature):
            there = (self.at.prediction + side * self.prediction for side in (-1, 1))
            curvature = np.maximum(*(self.loss.curvature(f, self.Y).max(axis=0) for f in there))
        return (np.sqrt(np.maximum(found, 0.0)) + np.sqrt(0.5 * curvature) * self.prediction) ** 2


def _sizes(columns: np.ndarray) -> np.ndarray:
    """The Euclidean norm of every column."""
    return np.sqrt(np.einsum("ij,ij->j", columns, columns))
