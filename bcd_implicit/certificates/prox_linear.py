"""Certificate of the prox-linear block (A, B, b)."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing
from bcd_implicit.certificates.matrices import Gradients, best_dual, data_gradient, prox_residual, ridge_of_D
from bcd_implicit.certificates.responses import Responses, equilibrium_responses
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


def prox_linear_certificate(
    problem: TrainingProblem, base: Iterate, it: Iterate, mu: float, responses: Responses | None = None
) -> Certificate:
    """Certificate of (A, B, b) in the prox-linear block, linearised at the equilibrium ``base``.

    The smooth part is 1/2 ||y - J dT||^2 with rows sqrt(omega_k) (r_k - C N_k dT w_k) and sqrt(mu omega_k) dT w_k, so
    with V = J dT - y, f*(s V) = s^2/2 ||V||^2 + s <V, y>. J is applied sample by sample; no Gram matrix is formed.
    Where the groups are columns of (B; D), dO = dD u_k + dd is added to the outputs.
    ``responses`` are :func:`equilibrium_responses` at the base, for who certifies several points.
    """
    shares, n, U, X, stacked = problem.shares, problem.n_hidden, problem.U, base.X, problem.stacked
    r = problem.Y - problem.prediction(base)
    # C = QR: without D, outputs outside the range of C do not answer, and are a constant.
    Q, _ = np.linalg.qr(base.C)
    target = r if stacked else Q.T @ r
    constant = 0.0 if stacked else float(np.sum(r**2 @ shares) - np.sum(target**2 @ shares))
    responses = responses or equilibrium_responses(problem, base)

    def linear(dZ: np.ndarray, dO: np.ndarray) -> np.ndarray:
        """J without its scaling: predicted change of the outputs, in the basis Q where D does not move."""
        change = np.hstack([np.einsum("rjk,jk->rk", J, dZ[:, part]) for part, J in responses()])
        return Q @ change + dO if stacked else change

    def dual_point(dZ: np.ndarray, miss: np.ndarray) -> np.ndarray:
        """V W' pulled back to the preactivations: gradient with respect to dZ (n, m); miss = linear(..) - target."""
        inside = Q.T @ miss if stacked else miss
        pulled = [np.einsum("rjk,rk->jk", J, inside[:, part]) for part, J in responses()]
        return (np.hstack(pulled) + mu * dZ) * shares

    def gradients(dZ: np.ndarray, miss: np.ndarray) -> Gradients:
        return data_gradient(problem, dual_point(dZ, miss), miss * shares if stacked else miss[:0], X)

    def smooth(dZ: np.ndarray, miss: np.ndarray) -> float:
        return 0.5 * (float(np.sum(miss**2 @ shares)) + constant + mu * float(np.sum(dZ**2 @ shares)))

    def moved(A: np.ndarray, B: np.ndarray, b: np.ndarray, D: np.ndarray, d: np.ndarray) -> tuple:
        """DZ and linear(..) - target after a change of the matrices."""
        dZ = A @ X + B @ U + b[:, None]
        return dZ, linear(dZ, D @ U + d[:, None] if stacked else target) - target

    dZ, miss = moved(it.A - base.A, it.B - base.B, it.b - base.b, it.D - base.D, it.d - base.d)
    primal = smooth(dZ, miss) + problem.hidden_regularization(it) + ridge_of_D(problem, it)
    here = at_dual = gradients(dZ, miss)
    if problem.fit_intercept:
        # The intercepts enter quadratically: one Newton step makes their gradient zero.
        curvature = mu * np.eye(n)
        for part, J in responses():
            curvature += (J * shares[part] @ J.swapaxes(1, 2)).sum(axis=0)
        if stacked:
            mean = sum(J @ shares[part] for part, J in responses())
            curvature = np.block([[curvature, mean.T @ Q.T], [Q @ mean, np.eye(len(r))]])
        shift = np.linalg.lstsq(curvature, -here.intercepts, rcond=None)[0]
        dZ = dZ + shift[:n, None]
        miss = linear(dZ, (it.D - base.D) @ U + (it.d - base.d + shift[n:])[:, None] if stacked else target) - target
        at_dual = gradients(dZ, miss)
    value, cross = smooth(dZ, miss), float(np.sum(target * miss @ shares)) - constant
    at_base = float(np.sum(at_dual.A * base.A) + np.sum(at_dual.groups * problem.grouped(base)))

    def dual_data(s: float) -> float:
        return -(s**2) * value - s * cross - s * at_base

    gap = primal - best_dual(problem, dual_data, -at_dual.A, -at_dual.groups)
    at_zero = gradients(*moved(-base.A, -base.B, -base.b, -base.D, -base.d))
    largest = max(float(np.einsum("rjk,rjk->k", J, J).max()) for _, J in responses()) + float(stacked)
    return Certificate(
        gap=max(gap, 0.0),
        scale=max(primal, smooth(np.zeros_like(X), -target), nothing(problem, base)),
        kkt_residual=prox_residual(problem, it, here, at_zero, largest + mu),
        violation=problem.violation(it),
    )
