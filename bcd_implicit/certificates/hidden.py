"""Certificate of the hidden block (A, B, b)."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing
from bcd_implicit.certificates.matrices import Gradients, best_dual, data_gradient, prox_residual, ridge_of_D
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.terms.activations import Activation


def hidden_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (A, B, b) for fixed X, and of D and d where the groups are columns of (B; D).

    With v_k = lambda omega_k (phi(z_k) - x_k), f*(s V) = lambda sum_k omega_k g(x_k + s (phi(z_k) - x_k)): a point
    between X and phi(Z), both in the domain of g, so it is finite for every s in [0, 1]. The loss of D and d,
    1/2 sum_k omega_k ||o_k - r_k||^2 with O = DU + d and R = Y - CX, adds v_k = omega_k (o_k - r_k) with
    f*(s V) = s^2/2 sum_k omega_k ||o_k - r_k||^2 + s <V, R>.
    """
    phi, weight, shares, X = problem.activation, problem.fenchel_weight, problem.shares, it.X
    Z = problem.preactivation(it)
    R, through = _through(problem, it)

    def mean(values: np.ndarray) -> float:
        """The sum over rows of the means over samples."""
        return float(np.sum(values @ shares))

    def smooth(Z: np.ndarray, through: np.ndarray) -> float:
        return weight * mean(phi.g_conjugate(Z) - X * Z) + 0.5 * mean((through - R) ** 2)

    def gradients(Z: np.ndarray, through: np.ndarray) -> Gradients:
        return data_gradient(problem, weight * (phi(Z) - X) * shares, (through - R) * shares, X)

    g_X = mean(phi.g(X))
    primal = smooth(Z, through) + problem.hidden_regularization(it) + ridge_of_D(problem, it)
    Z_dual = _balance(Z, X, phi, shares) if problem.fit_intercept else Z
    through_dual = through - statistics.mean(through - R, problem.shares)[:, None] if problem.fit_intercept else through
    phi_Z, miss = phi(Z_dual), through_dual - R

    def dual_data(s: float) -> float:
        # A convex combination, not X + s V / weight: rounding must not push it out of the domain of g.
        return -weight * mean(phi.g((1 - s) * X + s * phi_Z)) - 0.5 * s**2 * mean(miss**2) - s * mean(miss * R)

    at_dual, at_zero = gradients(Z_dual, through_dual), gradients(np.zeros_like(X), np.zeros_like(R))
    gap = primal - best_dual(problem, dual_data, -at_dual.A, -at_dual.groups)
    return Certificate(
        gap=max(gap, 0.0),
        # The block's own nonnegative part, the Fenchel term + regularisation, here and at A = B = b = 0.
        scale=max(
            weight * g_X + smooth(np.zeros_like(X), np.zeros_like(R)), weight * g_X + primal, nothing(problem, it)
        ),
        kkt_residual=prox_residual(
            problem, it, gradients(Z, through), at_zero, max(weight, 1.0) if problem.stacked else weight
        ),
        violation=problem.violation(it),
    )


def _through(problem: TrainingProblem, it: Iterate) -> tuple[np.ndarray, np.ndarray]:
    """Y - CX and DU + d, where D and d are variables of the block; else nothing, of shape (0, m)."""
    if not problem.stacked:
        return np.zeros((0, problem.n_samples)), np.zeros((0, problem.n_samples))
    return problem.Y - it.C @ it.X, it.D @ problem.U + it.d[:, None]


def _balance(Z: np.ndarray, X: np.ndarray, phi: Activation, shares: np.ndarray) -> np.ndarray:
    """Shift each row of Z so that the means of phi(Z) and X agree: the intercept, re-solved.

    Newton's method on a monotone function of one variable a row, with bisection where a step leaves the bracket.
    """
    target = X @ shares
    low, high = -Z.max(axis=1), -Z.min(axis=1)
    width = np.maximum(high - low, 1.0)
    for _ in range(60):  # widen until the target is enclosed; relu rows that are all zero are met exactly at -max
        too_high, too_low = phi(Z + low[:, None]) @ shares > target, phi(Z + high[:, None]) @ shares < target
        if not (too_high.any() or too_low.any()):
            break
        low, high, width = low - width * too_high, high + width * too_low, 2 * width
    shift, rounding = np.clip(0.0, low, high), 4 * np.spacing(np.abs(Z).max(axis=1))
    for _ in range(200):
        shifted = Z + shift[:, None]
        excess = phi(shifted) @ shares - target
        low, high = np.where(excess > 0, low, shift), np.where(excess > 0, shift, high)
        slope = phi.derivative(shifted) @ shares
        newton = shift - excess / np.where(slope > 0, slope, np.inf)
        if np.all((excess == 0) | (np.abs(newton - shift) <= rounding) & (slope > 0)):
            break
        inside = (low < newton) & (newton < high) & (slope > 0)
        shift = np.where(excess == 0, shift, np.where(inside, newton, 0.5 * (low + high)))
    return Z + shift[:, None]
