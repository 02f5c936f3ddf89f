"""Certificate of the prox-linear block (A, B, b)."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, nothing
from bcd_implicit.certificates.matrices import duality_gap, prox_residual, regularisation, relative_violation
from bcd_implicit.certificates.regressors import EPS, CentredRegressors, Gradients, rms
from bcd_implicit.certificates.responses import Responses, equilibrium_responses
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.quadratic_model import QuadraticModel
from bcd_implicit.problem.training_problem import TrainingProblem


def prox_linear_certificate(
    problem: TrainingProblem, base: Iterate, it: Iterate, mu: float, responses: Responses | None = None
) -> Certificate:
    """Certificate of (A, B, b) in the prox-linear block, linearised at the equilibrium ``base``.

    The smooth part is 1/2 ||y - J dT||^2 with rows sqrt(omega_k) (r_k - C N_k dT w_k) and sqrt(mu omega_k) dT w_k, in
    the coordinates of the loss's quadratic model, plus a constant. With V = J dT - y, and V' the same after the
    intercepts are re-solved, the data's part of the gap is 1/2 ||V - s V'||^2. J is applied sample by sample; no Gram
    matrix is formed. If the groups are columns of (B; D), dO = dD u_k + dd is added to the outputs.

    ``responses`` are :func:`~bcd_implicit.certificates.responses.equilibrium_responses` at the base, for who certifies
    several points.
    """
    shares, n, stacked = problem.shares, problem.n_hidden, problem.stacked
    regressors = CentredRegressors(problem, base.X)
    loss = QuadraticModel(problem, base)
    r = loss.target
    # C = QR: without D, outputs outside the range of C do not answer, and are a constant.
    Q, _ = loss.basis(base.C)
    target = r if stacked else Q.T @ r
    outside = 0.0 if stacked else 0.5 * float(np.sum(rms(r - Q @ target, shares) ** 2))
    responses = responses or equilibrium_responses(problem, base)
    largest = max(float(np.einsum("rjk,rjk->k", J, J).max()) for _, J in responses())

    def linear(dZ: np.ndarray, dO: np.ndarray) -> np.ndarray:
        """J without its scaling: predicted change of the outputs, in the basis Q where D does not move."""
        change = np.hstack([np.einsum("rjk,jk->rk", J, dZ[:, part]) for part, J in responses()])
        return Q @ change + loss.scaled(dO) if stacked else change

    def gradients(dZ: np.ndarray, miss: np.ndarray) -> tuple[Gradients, Gradients]:
        """V W' and its rounding, with V pulled back to the preactivations; miss = linear(..) - target."""
        inside = Q.T @ miss if stacked else miss
        pulled = np.hstack([np.einsum("rjk,rk->jk", J, inside[:, part]) for part, J in responses()])
        P, P_outputs = (pulled + mu * dZ) * shares, loss.scaled(miss) * shares if stacked else miss[:0]
        found, rounding = regressors.pull(P, P_outputs)
        # J itself is known only so well, and the sums over its rows may cancel.
        off = responses.error + regressors.unit * np.sqrt(largest)
        off *= float(np.linalg.norm(rms(miss, shares)))
        rounding.A[:] += off * regressors.x_size
        rounding.groups[:n] += off * regressors.u_size
        rounding.intercepts[:n] += off
        return found, rounding

    def smooth(dZ: np.ndarray, miss: np.ndarray) -> float:
        """But for the loss's constant, which may be negative: no part of this is."""
        return outside + 0.5 * (float(np.sum(miss**2 @ shares)) + mu * float(np.sum(dZ**2 @ shares)))

    def moved(to: Iterate) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """DZ and linear(..) - target after the change from the base, and how far rounding may have them off."""
        dZ, Z_rounding = regressors.image(to.A - base.A, to.B - base.B, to.b - base.b)
        dO, rounding = target, np.zeros(len(target))
        if stacked:
            dO, rounding = regressors.image(np.zeros_like(base.C), to.D - base.D, to.d - base.d)
            rounding = rounding * loss.largest_scale
        return dZ, linear(dZ, dO) - target, Z_rounding, rounding

    dZ, miss, Z_rounding, O_rounding = moved(it)
    here, rounding = gradients(dZ, miss)
    at_dual, dZ_dual, miss_dual = here, dZ, miss
    if problem.fit_intercept:
        # The intercepts enter quadratically: one Newton step makes their gradient zero.
        curvature = mu * np.eye(n)
        for part, J in responses():
            curvature += (J * shares[part] @ J.swapaxes(1, 2)).sum(axis=0)
        if stacked:
            mean = Q @ sum(loss.mean_of(J, part) for part, J in responses())
            curvature = np.block([[curvature, mean.T], [mean, np.diag(loss.mean_curvature())]])
        # Of a rate beyond numbers nothing is known, and the gap will not be finite.
        finite = np.isfinite(curvature).all() and np.isfinite(here.intercepts).all()
        shift = np.linalg.lstsq(curvature, -here.intercepts, rcond=None)[0] if finite else np.zeros(len(curvature))
        dZ_dual = dZ + shift[:n, None]
        dO = np.broadcast_to(shift[n:, None], target.shape) if stacked else target
        miss_dual = miss + linear(np.broadcast_to(shift[:n, None], dZ.shape), dO)
        at_dual, rounding = gradients(dZ_dual, miss_dual)

    # What floating point may have V off by: r, J dT and dT w, each relative to the numbers that it is the sum of.
    sizes_of_r = rms(problem.Y, shares), np.abs(base.C) @ rms(base.X, shares), np.abs(base.D) @ rms(problem.U, shares)
    r_rounding = loss.largest_scale * regressors.unit * (sum(sizes_of_r) + np.abs(base.d)) + EPS * rms(r, shares)
    moves = float(np.linalg.norm(rms(dZ, shares)))
    miss_rounding = float(
        np.linalg.norm(r_rounding)
        + np.linalg.norm(O_rounding)
        + np.sqrt(largest) * (np.linalg.norm(Z_rounding) + regressors.unit * moves)
        + responses.error * moves
    )

    whole = smooth(dZ, miss) + regularisation(problem, it)
    units = np.sqrt(loss.mean_curvature())[: len(here.intercepts) - n]
    # The moves of the optimum are bounded by what the proximal term may cost.
    furthest = rms(dZ_dual, shares) + (np.sqrt(2 * whole / mu) if mu > 0 else rms(dZ, shares))

    def data_gap(s: float, left: np.ndarray) -> float:
        # Where the intercepts' gradients are not zero, a constant added to the dual point's outputs or moves takes the
        # rest; or it is paid for as far as the optimum's intercept may be.
        rest = float(np.linalg.norm(rms(miss - s * miss_dual, shares))) + miss_rounding
        rest += s * float(np.linalg.norm(left[n:] / units))
        moves, left = rms(dZ - s * dZ_dual, shares) + Z_rounding, s * left[:n]
        each = 0.5 * mu * moves**2 + left * furthest
        if mu > 0:
            each = np.minimum(each, 0.5 * mu * (moves + left / mu) ** 2)
        return float(0.5 * rest * rest + each.sum())

    gap = duality_gap(problem, it, at_dual, rounding, data_gap)
    nowhere = Iterate.zeros(problem.shapes)
    dZ_zero, miss_zero, *_ = moved(nowhere)
    at_zero, _ = gradients(dZ_zero, miss_zero)
    return Certificate(
        gap=gap,
        scale=max(whole + loss.constant, smooth(np.zeros_like(dZ), -target) + loss.constant, nothing(problem, base)),
        kkt_residual=prox_residual(
            problem,
            it,
            regressors.uncentred(here),
            regressors.uncentred(at_zero),
            largest + float(stacked) * loss.largest_scale**2 + mu,
        ),
        violation=relative_violation(problem, it),
    )
