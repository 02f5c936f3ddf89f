"""Certificate of the output block (C, D, d)."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

from bcd_implicit.certificates.certificate import Certificate, ratio
from bcd_implicit.certificates.output_duality import duality_certificate
from bcd_implicit.certificates.regressors import EPS, CentredRegressors, free_coefficients, rms
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# Cholesky factors of a matrix of unit diagonal whose pivots' squares are larger than this, times the order and the
# last digit, are good for a bound.
SAFE = 1e6
# A factor of more regressors than this costs more than all else.
MANY = 1000


def output_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (C, D, d) for fixed X; with the squared loss a ridge regression, so the gap is exact.

    With M = [W'; diag(sqrt(ridge))] for the regressors W, times the roots of the samples' shares, and the residuals of
    an output rho = (prediction - y; sqrt(ridge) theta), the gap is half the squared length of rho's projection on the
    range of M. Rounding moves rho by at most what it adds to the predictions.
    """
    if not problem.loss.quadratic:
        return duality_certificate(problem, it)
    shares, with_D = problem.shares, problem.D_is_output
    regressors = CentredRegressors(problem, it.X)
    W = np.vstack([regressors.X, regressors.U]) if with_D else regressors.X.copy()
    theta = np.hstack([it.C, it.D]) if with_D else it.C
    residual, rounding = _residual(problem, regressors, it)
    mean = residual @ shares if problem.fit_intercept else np.zeros(len(residual))
    rest, roots = residual - mean[:, None], np.sqrt(shares)
    # In place: where there are many samples another copy takes longer than all sums over them.
    W *= roots
    rest *= roots
    # The intercept's column is orthogonal to the centred ones: its share of the projection is the mean.
    squares, step = _projected_by_rows(W, rest, theta, problem.ridge, free_coefficients(problem))
    length = np.sqrt(float(mean @ mean) + squares)
    # Products with the optimum's coefficients round as well, and these may be large where regressors are collinear.
    off = np.linalg.norm(rounding) + regressors.unit * step
    G = _gradient(problem, it, residual, theta)
    G_zero = _gradient(problem, it, -problem.Y, np.zeros_like(theta))
    return Certificate(
        gap=0.5 * float(length + off) ** 2,
        scale=max(problem.output_objective(it), problem.loss_of_zero),
        kkt_residual=ratio(float(np.linalg.norm(G)), float(np.linalg.norm(G_zero))),
        violation=problem.pattern.violation(it, "CD" if with_D else "C"),
    )


def _residual(problem: TrainingProblem, regressors: CentredRegressors, it: Iterate) -> tuple[np.ndarray, np.ndarray]:
    """CX + DU + d - Y, and how far rounding may have each output off, in the root mean square."""
    prediction, rounding = regressors.image(it.C, it.D, it.d)
    return prediction - problem.Y, rounding + 2 * EPS * rms(problem.Y, problem.shares)


def _gradient(problem: TrainingProblem, it: Iterate, residual: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """With respect to the free entries of (C, D, d), for the regressors as they are."""
    weighted = residual * problem.shares
    parts = [weighted @ it.X.T, *([weighted @ problem.U.T] if problem.D_is_output else [])]
    intercept = [weighted.sum(axis=1, keepdims=True)] if problem.fit_intercept else []
    G = np.hstack(parts) + problem.ridge * theta
    return np.hstack([np.where(free_coefficients(problem), G, 0.0) if problem.pattern else G, *intercept])


def _projected_by_rows(
    W: np.ndarray, rest: np.ndarray, theta: np.ndarray, ridge: float, free: np.ndarray
) -> tuple[float, float]:
    """What :func:`_projected` returns, where the outputs may use the regressors of their own rows of ``free`` alone."""
    if free.all():
        return _projected(W, rest, theta, ridge)
    masks, which = np.unique(free, axis=0, return_inverse=True)
    found = [(0.0, 0.0)]
    for g, mask in enumerate(masks):
        rows = which.ravel() == g
        if mask.any():
            found.append(_projected(W[mask], rest[rows], theta[rows][:, mask], ridge))
    squares, steps = zip(*found, strict=True)
    return sum(squares), sum(steps)


def _projected(W: np.ndarray, rest: np.ndarray, theta: np.ndarray, ridge: float) -> tuple[float, float]:
    """Squared length of the projections of (rest; sqrt(ridge) theta), a row an output, on the range of M.

    Also the way to the optimum in theta: the sum of its steps, each times the length of its regressor.
    W is overwritten.

    By a Cholesky factor of M'M where that is safely positive definite. Else by an orthonormal basis: squared, half of
    the digits would be gone. Directions in which W has rounding only are taken for directions in which it is zero.
    With many regressors and fewer samples the gradient bounds it, at a cost that grows no faster than W.
    """
    if len(W) > max(MANY, W.shape[1]) and ridge > 0:
        return _bounded_by_gradient(W, rest, theta, ridge)
    squares = np.einsum("ij,ij->i", W, W) + ridge
    unit = np.sqrt(np.where(squares > 0, squares, 1.0))  # so that a small column does not pass for a zero one
    W /= unit[:, None]
    penalty, theta = ridge / unit**2, theta * unit
    try:
        factor = np.linalg.cholesky(W @ W.T + np.diag(penalty))
        lost = 10 * EPS * len(W) / np.diag(factor).min() ** 2  # of the quadratic form, relatively
        if lost * SAFE < 10:
            half = solve_triangular(factor, (rest @ W.T + theta * penalty).T, lower=True, check_finite=False)
            steps = solve_triangular(factor, half, lower=True, trans=1, check_finite=False)
            return (1 + lost) * float(np.sum(half**2)), float(np.abs(steps).sum())
    except np.linalg.LinAlgError:
        pass
    left, sizes, right = np.linalg.svd(W, full_matrices=W.shape[0] > W.shape[1])
    rank = int(np.sum(sizes > EPS * max(W.shape) * sizes.max(initial=0.0)))
    rows, seen, hidden = right[:rank].T, left[:, :rank] / sizes[:rank], left[:, rank:]
    roots = np.sqrt(penalty)[:, None]
    # What W does not see first, by itself: its columns may be smaller than the rounding of the others.
    below = roots * hidden
    lengths = np.linalg.norm(below, axis=0)
    below = below[:, lengths > 0] / lengths[lengths > 0]
    M = np.vstack([np.hstack([np.zeros((W.shape[1], below.shape[1])), rows]), np.hstack([below, roots * seen])])
    basis, triangle = np.linalg.qr(M)
    projected = np.hstack([rest, theta * roots[:, 0]]) @ basis
    steps = seen @ np.linalg.lstsq(triangle, projected.T, rcond=None)[0][below.shape[1] :]
    return float(np.sum(projected**2)), float(np.abs(steps).sum())


def _bounded_by_gradient(W: np.ndarray, rest: np.ndarray, theta: np.ndarray, ridge: float) -> tuple[float, float]:
    """Bounds of what :func:`_projected` returns: M'M is at least the ridge.

    Half of it is the duality gap at the dual point that the residuals are, ||W rest' + ridge theta'||^2 / (2 ridge).
    """
    G = rest @ W.T + ridge * theta
    sizes = np.linalg.norm(W, axis=1)
    rounding = EPS * (W.shape[1] + 2) * (np.outer(np.linalg.norm(rest, axis=1), sizes) + ridge * np.abs(theta))
    length = float(np.linalg.norm(np.abs(G) + rounding))
    return length**2 / ridge, float(np.linalg.norm(sizes)) * np.sqrt(len(G)) * length / ridge
