"""Certificate of the state block X."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing, ratio
from bcd_implicit.certificates.regressors import EPS, rms
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


def state_certificate(problem: TrainingProblem, previous: Iterate, it: Iterate, proximal: np.ndarray) -> Certificate:
    """Certificate of X for fixed matrices, with the proximal term 1/2 (x - x_k)' proximal (x - x_k).

    For a subgradient r at x and the block's least curvature s,
    ``objective(x) - optimum <= <r, x - x*> - s/2 ||x - x*||^2``, and x* is bounded: every term of the objective is
    nonnegative and F_phi(x, z) >= 1/2 (x - phi(z))^2, so with v the sample's objective
    ``|x*| <= (|phi(c)| + sqrt(2 v / lambda)) / (1 - ||A||_inf)`` in the maximum norm, c = Bu + b, and
    ``|x* - x| <= (|x - phi(z)| + sqrt(2 v / lambda)) / (1 - ||A||_inf)``.
    The bound is the largest value over the box that is left, coordinate by coordinate.
    """
    phi, weight, shares = problem.activation, problem.fenchel_weight, problem.shares
    roots = np.sqrt(shares)
    X, c = it.X, it.B @ problem.U + it.b[:, None]
    low, high = phi.domain
    inside = np.clip(X, low, high)
    Z = it.A @ inside + c
    prediction = it.C @ inside + it.D @ problem.U + it.d[:, None]
    step = inside - previous.X

    def gradient(X: np.ndarray, Z: np.ndarray, prediction: np.ndarray, step: np.ndarray) -> np.ndarray:
        fenchel = phi.g_derivative(X) - Z + it.A.T @ (phi(Z) - X)
        return it.C.T @ problem.loss.gradient(prediction, problem.Y) + weight * fenchel + proximal @ step

    r = gradient(inside, Z, prediction, step)
    value = (
        problem.loss.value(prediction, problem.Y)
        + weight * np.sum(phi.divergence(inside, Z), axis=0)
        + 0.5 * np.sum(step * (proximal @ step), axis=0)
    )
    contraction = float(np.abs(it.A).sum(axis=1).max())
    if contraction >= 1:
        raise NotWellPosedError(f"A: ||A||_inf = {contraction:.6g} is not below 1. Scale its rows to norm_bound.")
    strength = _least_curvature(problem, it, proximal)
    rounding, value_rounding = _rounding(problem, it, inside, phi(Z), step, proximal)
    off = np.sqrt(2 * np.maximum(value, 0) / weight) + value_rounding / np.sqrt(weight)
    radius, reach = (
        (np.abs(away).max(axis=0) + off) / (1 - contraction) for away in (phi(c), inside - phi(Z))
    )  # the optimum's distance from zero, and from here
    downwards = _largest_rise(r + rounding, np.minimum(inside - np.maximum(low, -radius), reach), strength)
    upwards = _largest_rise(rounding - r, np.minimum(np.minimum(high, radius) - inside, reach), strength)
    # No term of a sample's objective is negative, so that it bounds the gap as well.
    whole = (np.sqrt(np.maximum(value, 0.0)) + value_rounding) ** 2

    curvature = np.linalg.norm(it.C, 2) ** 2 + weight * (1 + contraction) ** 2 + np.linalg.norm(proximal, 2)
    zero = np.clip(np.zeros_like(X), low, high)
    r_zero = gradient(zero, it.A @ zero + c, it.C @ zero + it.D @ problem.U + it.d[:, None], zero - previous.X)
    natural = curvature * (inside - np.clip(inside - r / curvature, low, high))
    return Certificate(
        gap=float(np.minimum(np.sum(np.maximum(downwards, upwards), axis=0), whole) @ shares),
        # Where the loss is zero to the last digit, the states' own size must do, or rounding of it would be infinite.
        scale=max(float(value @ shares), nothing(problem, it), EPS * weight * float(np.sum(X**2 @ shares))),
        kkt_residual=ratio(float(np.linalg.norm(natural * roots)), float(np.linalg.norm(r_zero * roots))),
        violation=float(np.abs(X - inside).max()),
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
    n, weight = problem.n_hidden, problem.fenchel_weight
    M = weight * (problem.activation.quadratic_part * np.eye(n) - it.A - it.A.T) + it.C.T @ it.C + proximal
    size = weight * 3 + float(np.linalg.norm(it.C)) ** 2 + float(np.linalg.norm(proximal))
    return max(float(np.linalg.eigvalsh(M)[0]) - 10 * n * EPS * size, 0.0)


def _rounding(
    problem: TrainingProblem, it: Iterate, X: np.ndarray, phi_Z: np.ndarray, step: np.ndarray, proximal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far rounding may have each entry of the gradient off, and the root of the objective: a number a sample."""
    # Inputs in units of their own: else those in large units would lend their rounding to the rest.
    units = rms(problem.U, problem.shares)
    units[units == 0] = 1.0
    x, u, y = (np.sqrt(np.einsum("ij,ij->j", part, part)) for part in (X, problem.U / units[:, None], problem.Y))
    C, D, B, P = (float(np.linalg.norm(part)) for part in (it.C, it.D * units, it.B * units, proximal))
    weight, root = problem.fenchel_weight, float(np.sqrt(len(X)))
    unit = EPS * (2 + len(X) + len(problem.U))
    prediction = C * x + D * u + float(np.linalg.norm(it.d)) + y
    Z = root * x + B * u + float(np.linalg.norm(it.b))  # ||A||_2 <= sqrt(n) ||A||_inf
    fenchel = np.sqrt(np.einsum("ij,ij->j", phi_Z, phi_Z)) + x
    moved = P * np.sqrt(np.einsum("ij,ij->j", step, step))
    terms = C * prediction + weight * (x + Z + root * (fenchel + Z)) + moved
    # Both the loss and the divergence grow like half a square of what they are off by.
    return unit * terms, unit * (prediction + np.sqrt(weight) * Z)
