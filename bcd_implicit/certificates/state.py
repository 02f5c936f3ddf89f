"""Certificate of the state block X."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing, ratio
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


def state_certificate(problem: TrainingProblem, previous: Iterate, it: Iterate, proximal: np.ndarray) -> Certificate:
    """Certificate of X for fixed matrices, with the proximal term 1/2 (x - x_k)' proximal (x - x_k).

    For a subgradient r at x, objective(x) - optimum <= <r, x - x*>, and x* is bounded: every term of the
    objective is nonnegative and F_phi(x, z) >= 1/2 (x - phi(z))^2, so with v the sample's objective
    ``|x*| <= (|phi(c)| + sqrt(2 v / lambda)) / (1 - ||A||_inf)`` in the maximum norm, c = Bu + b.
    """
    phi, weight, roots = problem.activation, problem.fenchel_weight, np.sqrt(problem.shares)
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
    radius = (np.abs(phi(c)).max(axis=0) + np.sqrt(2 * np.maximum(value, 0) / weight)) / (1 - contraction)
    box_low, box_high = np.maximum(low, -radius), np.minimum(high, radius)
    gap = float(np.sum(np.maximum(r * (inside - box_low), r * (inside - box_high)), axis=0) @ problem.shares)

    curvature = np.linalg.norm(it.C, 2) ** 2 + weight * (1 + contraction) ** 2 + np.linalg.norm(proximal, 2)
    zero = np.clip(np.zeros_like(X), low, high)
    r_zero = gradient(zero, it.A @ zero + c, it.C @ zero + it.D @ problem.U + it.d[:, None], zero - previous.X)
    natural = curvature * (inside - np.clip(inside - r / curvature, low, high))
    return Certificate(
        gap=gap,
        scale=max(float(value @ problem.shares), nothing(problem, it)),
        kkt_residual=ratio(float(np.linalg.norm(natural * roots)), float(np.linalg.norm(r_zero * roots))),
        violation=float(np.abs(X - inside).max()),
    )
