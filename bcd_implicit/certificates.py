"""Certificates: how far a block's point is from optimal, recomputed from the data alone.

No function here looks at what a solver said, and none shares code with the solves: gradients are formed from the
samples, never from a Gram matrix that a solve used. Every duality gap is an upper bound on
objective(point) - optimum of the block; the joint problem is not convex, so nothing is said about it.

All gaps come from one inequality. With h the nonsmooth part (row balls, group lasso, ridge) and V a dual point
of the data term f at T' (the point with its intercept re-solved, so that unpenalised b costs nothing)::

    optimum >= -f*(s V) - h*(-s G),    G = V W' the gradient,  0 <= s <= 1,

where s scales V into the domain of h* when there is no ridge to make h* finite everywhere.

Means over samples are weighted: omega_k, the share of sample k, is 1/m without weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from bcd_implicit.activations import Activation
from bcd_implicit.data import LARGEST_KEPT, parts
from bcd_implicit.display import facts_table, known
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.problem import Iterate, TrainingProblem

# An objective below this is zero: its gap is measured by it.
SMALLEST = 1e-100
# Claimed responses are believed if they miss their equation by no more than this, relative to C.
TRUSTED = 1e-11


@dataclass(frozen=True)
class Certificate:
    """What is known of a block's point.

    Attributes
    ----------
    gap : float
        Upper bound on objective - optimum of this block; ``inf`` where none is known: a user's term acts on
        the block, or an input is free of every penalty and constraint (kappa or its group's weight is 0, and so is a
        ridge on its column).
    scale : float
        The size of the objective that makes the gap relative.
    kkt_residual : float
        Norm of the proximal-gradient step, relative to the gradient at zero; ``inf`` where unknown.
    violation : float
        Largest violation of a constraint, in the constraint's own units.
    """

    gap: float
    scale: float
    kkt_residual: float
    violation: float

    @property
    def relative_gap(self) -> float:
        """Gap / scale; 0 for a gap of 0."""
        return 0.0 if self.gap <= 0 else self.gap / max(self.scale, SMALLEST) if self.scale > 0 else np.inf

    @property
    def known(self) -> bool:
        """Whether a gap could be computed."""
        return bool(np.isfinite(self.gap))

    def holds(self, tol: float) -> bool:
        """Whether the point is optimal for the block to the relative tolerance and feasible to 1e-8."""
        return self.relative_gap <= tol and self.violation <= 1e-8

    def __repr__(self) -> str:
        return (
            f"Certificate(relative_gap={self.relative_gap:.2e}, kkt_residual={self.kkt_residual:.2e}, "
            f"violation={self.violation:.2e})"
        )

    @property
    def facts(self) -> dict[str, str]:
        """The numbers in words."""
        return {
            "relative gap": known(self.relative_gap),
            "KKT residual": known(self.kkt_residual),
            "violation": f"{self.violation:.2e}",
        }

    def _repr_html_(self) -> str:
        return facts_table("Certificate", self.facts | {"gap": known(self.gap), "scale": f"{self.scale:.2e}"})


def _nothing(problem: TrainingProblem, it: Iterate) -> float:
    """A floor for scales: a thousandth of the loss with its ridge, or of the loss of predicting zero.

    Where a block's own part is below that, the gap is measured by it: a block that has nothing to do (X = 0, or
    targets met exactly) would have no scale otherwise. The regularisation of (A, B) plays no part: at the point that
    a block starts from it may be large beyond all measure.
    """
    return 1e-3 * max(problem.output_objective(it), problem.loss_of_zero)


def _ratio(size: float, reference: float) -> float:
    return size / reference if reference > 0 else (0.0 if size == 0 else np.inf)


def output_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (C, D, d) for fixed X: a ridge regression, so the gap is exact, 1/2 tr(G H^-1 G').

    G is the gradient and H the Hessian of one output row, the mean of [x; u; 1] times its transpose, plus the ridge.
    """
    roots = np.sqrt(problem.shares)
    W = _regressors(it.X, problem.U if problem.D_is_output else None, problem.fit_intercept) * roots
    n_penalised = len(W) - int(problem.fit_intercept)
    ridge = problem.ridge * (np.arange(len(W)) < n_penalised)
    theta = _regressors_coefficients(
        it.C, it.D if problem.D_is_output else None, it.d if problem.fit_intercept else None
    )
    G = problem.loss.gradient(problem.prediction(it), problem.Y) * roots @ W.T + theta * ridge
    G_zero = problem.loss.gradient(np.zeros_like(problem.Y), problem.Y) * roots @ W.T
    gap = 0.5 * float(np.sum(G * _divided(G, W @ W.T, ridge)))
    return Certificate(
        gap=gap,
        scale=max(problem.output_objective(it), problem.loss_of_zero),
        kkt_residual=_ratio(float(np.linalg.norm(G)), float(np.linalg.norm(G_zero))),
        violation=0.0,
    )


def _divided(G: np.ndarray, H: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """G (H + diag(ridge))^+ for positive semidefinite H, by eigenvalues where that is not safely positive definite.

    Rounding hides eigenvalues below n eps. With a ridge they are taken for the least that the ridge leaves them, so
    that the quadratic form G (..)^+ G' is never too small; without, they are the directions that leave the loss alone.
    """
    diagonal = np.diag(H) + ridge
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))  # so that a small column does not pass for a zero one
    scaled, floor = (H + np.diag(ridge)) / unit / unit[:, None], len(H) * np.finfo(float).eps
    try:
        factor = np.linalg.cholesky(scaled)
        if np.diag(factor).min() ** 2 > 1e3 * floor:
            half = solve_triangular(factor, (G / unit).T, lower=True, check_finite=False)
            return solve_triangular(factor, half, lower=True, trans=1, check_finite=False).T / unit
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(scaled)
    hidden = values <= 2 * floor * values.max(initial=0.0)
    if ridge.any():
        least = float((ridge / unit**2)[ridge > 0].min())
        values, hidden = np.where(hidden, least, values), np.zeros_like(hidden)
    kept = ~hidden
    return (G / unit @ vectors[:, kept] / values[kept]) @ vectors[:, kept].T / unit


def _regressors(X: np.ndarray, U: np.ndarray | None, intercept: bool) -> np.ndarray:
    return np.vstack([X, *([] if U is None else [U]), *([np.ones((1, X.shape[1]))] if intercept else [])])


def _regressors_coefficients(C: np.ndarray, D: np.ndarray | None, d: np.ndarray | None) -> np.ndarray:
    return np.hstack([C, *([] if D is None else [D]), *([] if d is None else [d[:, None]])])


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
        scale=max(float(value @ problem.shares), _nothing(problem, it)),
        kkt_residual=_ratio(float(np.linalg.norm(natural * roots)), float(np.linalg.norm(r_zero * roots))),
        violation=float(np.abs(X - inside).max()),
    )


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
        return _data_gradient(problem, weight * (phi(Z) - X) * shares, (through - R) * shares, X)

    g_X = mean(phi.g(X))
    primal = smooth(Z, through) + problem.hidden_regularization(it) + _ridge_of_D(problem, it)
    Z_dual = _balance(Z, X, phi, shares) if problem.fit_intercept else Z
    through_dual = through - problem.mean(through - R)[:, None] if problem.fit_intercept else through
    phi_Z, miss = phi(Z_dual), through_dual - R

    def dual_data(s: float) -> float:
        # A convex combination, not X + s V / weight: rounding must not push it out of the domain of g.
        return -weight * mean(phi.g((1 - s) * X + s * phi_Z)) - 0.5 * s**2 * mean(miss**2) - s * mean(miss * R)

    at_dual, at_zero = gradients(Z_dual, through_dual), gradients(np.zeros_like(X), np.zeros_like(R))
    gap = primal - _best_dual(problem, dual_data, -at_dual.A, -at_dual.groups)
    return Certificate(
        gap=max(gap, 0.0),
        # The block's own nonnegative part, the Fenchel term + regularisation, here and at A = B = b = 0.
        scale=max(
            weight * g_X + smooth(np.zeros_like(X), np.zeros_like(R)), weight * g_X + primal, _nothing(problem, it)
        ),
        kkt_residual=_prox_residual(
            problem, it, gradients(Z, through), at_zero, max(weight, 1.0) if problem.stacked else weight
        ),
        violation=problem.violation(it),
    )


def _through(problem: TrainingProblem, it: Iterate) -> tuple[np.ndarray, np.ndarray]:
    """Y - CX and DU + d, where D and d are variables of the block; else nothing, of shape (0, m)."""
    if not problem.stacked:
        return np.zeros((0, problem.n_samples)), np.zeros((0, problem.n_samples))
    return problem.Y - it.C @ it.X, it.D @ problem.U + it.d[:, None]


def _ridge_of_D(problem: TrainingProblem, it: Iterate) -> float:
    return 0.5 * problem.ridge * float(np.sum(it.D**2)) if problem.stacked else 0.0


# R N_k for all samples, as (samples, array of shape (len(R), n, samples)), some samples at a time.
Responses = Callable[[], Iterable[tuple[slice, np.ndarray]]]


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
        return _data_gradient(problem, dual_point(dZ, miss), miss * shares if stacked else miss[:0], X)

    def smooth(dZ: np.ndarray, miss: np.ndarray) -> float:
        return 0.5 * (float(np.sum(miss**2 @ shares)) + constant + mu * float(np.sum(dZ**2 @ shares)))

    def moved(A: np.ndarray, B: np.ndarray, b: np.ndarray, D: np.ndarray, d: np.ndarray) -> tuple:
        """DZ and linear(..) - target after a change of the matrices."""
        dZ = A @ X + B @ U + b[:, None]
        return dZ, linear(dZ, D @ U + d[:, None] if stacked else target) - target

    dZ, miss = moved(it.A - base.A, it.B - base.B, it.b - base.b, it.D - base.D, it.d - base.d)
    primal = smooth(dZ, miss) + problem.hidden_regularization(it) + _ridge_of_D(problem, it)
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

    gap = primal - _best_dual(problem, dual_data, -at_dual.A, -at_dual.groups)
    at_zero = gradients(*moved(-base.A, -base.B, -base.b, -base.D, -base.d))
    largest = max(float(np.einsum("rjk,rjk->k", J, J).max()) for _, J in responses()) + float(stacked)
    return Certificate(
        gap=max(gap, 0.0),
        scale=max(primal, smooth(np.zeros_like(X), -target), _nothing(problem, base)),
        kkt_residual=_prox_residual(problem, it, here, at_zero, largest + mu),
        violation=problem.violation(it),
    )


def equilibrium_responses(problem: TrainingProblem, base: Iterate, claimed: np.ndarray | None = None) -> Responses:
    """How the outputs respond to the preactivations at an equilibrium: R N_k = R (I - D_k A)^-1 D_k with C = QR.

    ``claimed``, shape (len(R), n, m), is somebody else's result. It is believed only if it meets the equation that
    defines it, J_k (I - A D_k) = R D_k. What is computed here is kept while it fits into memory, and computed anew
    each time otherwise.
    """
    n, m = problem.n_hidden, problem.n_samples
    R = np.linalg.qr(base.C)[1]
    slopes = problem.activation.derivative(problem.preactivation(base))
    if claimed is not None:
        miss = claimed - slopes * (base.A.T @ claimed + R[:, :, None])
        if np.abs(miss).max() <= TRUSTED * np.abs(R).max():
            return lambda: [(slice(0, m), claimed)]

    def part_of(part: slice) -> np.ndarray:
        # Transposed: (R (I - DA)^-1 D)' = D S with (I - A'D) S = R'.
        D = slopes.T[part]
        S = np.linalg.solve(np.eye(n) - base.A.T * D[:, None, :], np.broadcast_to(R.T, (len(D), n, len(R))))
        return np.ascontiguousarray((D[:, :, None] * S).transpose(2, 1, 0))

    slices = parts(m, n * n)
    if m * R.size > LARGEST_KEPT:
        return lambda: ((part, part_of(part)) for part in slices)
    kept = [(part, part_of(part)) for part in slices]
    return lambda: kept


def _best_dual(problem: TrainingProblem, dual_data: Callable[[float], float], G_A: np.ndarray, G: np.ndarray) -> float:
    """Best dual value over the scalings worth trying: s = 1, and those that make the groups' part finite."""
    ridge, lasso, ridges = problem.ridge_hidden, problem.group_lasso, _ridges(problem)
    # Rows with a ridge are finite anyway.
    free = G[ridges == 0]
    if len(free) and lasso.dual_scale(np.ones_like(free)) == 0:
        return -np.inf  # every dual point near this one is infeasible, and s = 0 says nothing
    values = []
    # Where only some rows have a ridge, a little inside: on the boundary the conjugate is all rounding.
    inside = 1 - 1e-9 if 0 < len(free) < len(G) else 1.0
    for s in {1.0, lasso.dual_scale(G), inside * lasso.dual_scale(free) if len(free) else 1.0}:
        conjugate = problem.row_ball.conjugate(s * G_A, ridge) + lasso.conjugate(s * G, ridges)
        values.append(dual_data(s) - conjugate)
    return max(values)


def _ridges(problem: TrainingProblem) -> np.ndarray:
    """The ridge on each row of what the group lasso sees."""
    of_D = [problem.ridge] * problem.n_outputs if problem.stacked else []
    return np.array([problem.ridge_hidden] * problem.n_hidden + of_D)


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


@dataclass(frozen=True)
class Gradients:
    """Of the smooth part: with respect to A, to what the group lasso sees, and to the intercepts."""

    A: np.ndarray
    groups: np.ndarray
    intercepts: np.ndarray


def _data_gradient(problem: TrainingProblem, P: np.ndarray, P_outputs: np.ndarray, X: np.ndarray) -> Gradients:
    """From those with respect to the preactivations, and to DU + d where that is a variable: (n, m) and (q, m)."""
    both = np.vstack([P, P_outputs])
    return Gradients(P @ X.T, both @ problem.U.T, both.sum(axis=1))


def _prox_residual(
    problem: TrainingProblem, it: Iterate, gradients: Gradients, at_zero: Gradients, curvature: float
) -> float:
    """|| T - prox(T - grad/L) || L, relative to the gradient at T = 0, for h = row balls + group lasso."""
    W = _regressors(it.X, problem.U, problem.fit_intercept) * np.sqrt(problem.shares)
    ridges, G = _ridges(problem), problem.grouped(it)
    L = curvature * float(np.linalg.eigvalsh(W @ W.T)[-1]) + ridges.max()
    if L == 0:
        return 0.0
    A = it.A - problem.row_ball.prox(it.A - (gradients.A + problem.ridge_hidden * it.A) / L)
    B = G - problem.group_lasso.prox(G - (gradients.groups + ridges[:, None] * G) / L, 1 / L)
    b = gradients.intercepts / L if problem.fit_intercept else np.zeros(0)
    size = np.sqrt(np.sum(A**2) + np.sum(B**2) + np.sum(b**2))
    squares = sum(float(np.sum(g**2)) for g in (at_zero.A, at_zero.groups, at_zero.intercepts))
    return _ratio(float(L * size), float(np.sqrt(squares)) + problem.kappa)
