"""Certificate of the hidden block (A, B, b)."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing
from bcd_implicit.certificates.matrices import duality_gap, prox_residual, regularisation, relative_violation
from bcd_implicit.certificates.regressors import EPS, CentredRegressors, Gradients, rms
from bcd_implicit.certificates.stacked_outputs import StackedOutputs
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.terms.activations import Activation


def hidden_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (A, B, b) for fixed X, and of D and d where the groups are columns of (B; D).

    With v_ik = lambda_i omega_k (phi(z_ik) - x_ik), f*(s V) = sum_ik lambda_i omega_k (g(x_ik(s)) - g(x_ik)), where
    x(s) = x + s (phi(z) - x) is a point between x and phi(z), both in the domain of g, so it is finite for every s in
    [0, 1]. The data's part of the gap is sum_ik lambda_i omega_k F(x_ik(s), z_ik), of divergences, none of which is
    negative. The loss of D and d adds
    :class:`~bcd_implicit.certificates.stacked_outputs.StackedOutputs`. Under a loss with kinks its gradient is no dual
    point, and no gap is known.
    """
    phi, weights, shares, X = problem.activation, problem.fenchel_weights, problem.shares, it.X
    regressors = CentredRegressors(problem, X)
    Z, Z_rounding = regressors.image(it.A, it.B, it.b)
    outputs = StackedOutputs(problem, regressors, it)

    def fenchel(values: np.ndarray) -> float:
        """The sum over hidden features of the means over samples, each with its weight."""
        return float(weights @ (values @ shares))

    def gradients(Z: np.ndarray, V: np.ndarray) -> tuple[Gradients, Gradients]:
        return regressors.pull(weights[:, None] * (phi(Z) - X) * shares, V * shares)

    # Where the intercepts are re-solved, unpenalised b costs nothing.
    Z_dual = _balance(Z, X, phi, shares) if problem.fit_intercept else Z
    phi_Z, phi_dual = phi(Z), phi(Z_dual)

    # Intercepts move preactivations as a whole, and the optimum's are of the size of these.
    reach = rms(Z, shares) + rms(Z_dual, shares)

    def data_gap(s: float, left: np.ndarray) -> float:
        # A convex combination: rounding must not push it out of the domain of g.
        between = np.clip((1 - s) * X + s * phi_dual, *phi.domain)
        slack = rms(phi_Z - between, shares)
        # F's derivatives are phi(z) - x and g'(x) - z: what an error of z, and one of x, may change.
        rounding = float(weights @ (slack * Z_rounding + 0.5 * phi.max_slope * Z_rounding**2))
        rounding += 4 * EPS * fenchel((np.abs(X) + np.abs(phi_dual)) * np.abs(phi.g_derivative(between) - Z))
        divergence = fenchel(phi.divergence(between, Z)) + rounding + s * float(left[: len(X)] @ reach)
        return divergence + outputs.gap(s, left[len(X) :])

    here, _ = gradients(Z, outputs.V)
    pulled, rounding = gradients(Z_dual, outputs.dual)
    objective = fenchel(phi.divergence(X, Z)) + outputs.value(outputs.prediction) + regularisation(problem, it)
    known = problem.loss.smooth or not problem.stacked
    gap = duality_gap(problem, it, pulled, rounding, data_gap) if known else np.inf
    zero = np.zeros_like(X)
    at_zero, _ = gradients(zero, outputs.gradient(outputs.base))
    return Certificate(
        gap=gap,
        # The block's own nonnegative part, the Fenchel term + regularisation, here and at A = B = b = 0.
        scale=max(fenchel(phi.divergence(X, zero)) + outputs.value(outputs.base), objective, nothing(problem, it)),
        kkt_residual=prox_residual(
            problem,
            it,
            regressors.uncentred(here),
            regressors.uncentred(at_zero),
            max(float(weights.max()) * phi.max_slope, outputs.largest_curvature),
        ),
        violation=relative_violation(problem, it),
    )


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
