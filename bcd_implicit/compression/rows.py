"""Rows of a model as a convex problem, and its solver::

    min over T   fit(T W) + sum_j weight_j |t_j| + ridge_j/2 t_j^2      s.t. entries of T inside a ball, or held at zero

or with another penalty, such as one of whole columns.

W are the regressors less their means, and a row of ones. An iteration is a proximal-gradient step in a diagonal
metric, which finds what is zero, and a Newton step in what is not. The duality gap needs the gradient alone, so that
every iteration knows its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from bcd_implicit.compression.fits import Fit
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.terms.entrywise import Entrywise, Penalty

MAX_ITERATIONS = 1000
# The share of the promised decrease that a step has to bring, and how often it is halved.
ARMIJO, HALVINGS = 1e-4, 12
# How often entries that turn round are taken out of a Newton step.
SHRINKINGS = 60
# No progress: so many iterations have lowered neither the gap by a tenth nor the objective by so large a share. The gap
# alone does not tell: far from the optimum it may be worse than that of the start for a long time.
PATIENCE, PROGRESS = 60, 1e-3
# A change of the objective below this share of its scale is rounding.
NOTHING = 4e-15
# Where a step promises a smaller share of the scale, the gap decides whether it is taken.
UNSEEN = 1e-10
MOST_STRETCH = 1e12
# Outside the ball by this share of the radius is rounding.
FEASIBLE = 1e-10
# The least damping of Newton's model, relative to the curvature's bound: less is none.
LEAST_DAMPING, MOST_DAMPING = 1e-7, 1e6
TINY = 1e-100


@dataclass(frozen=True)
class RowCertificate:
    """What is known of a point.

    Attributes
    ----------
    gap : float
        Upper bound on objective - optimum; ``inf`` outside the ball, or with an entry that should be zero.
    scale : float
        What makes the gap relative: the objective, or that of the best constant if that is larger.
    """

    gap: float
    scale: float

    @property
    def relative_gap(self) -> float:
        """Gap / scale; 0 for a gap of 0."""
        return 0.0 if self.gap == 0 else self.gap / max(self.scale, TINY)


@dataclass(frozen=True)
class Point:
    """A point, with Z = T W, the fit's value, the objective and the fit's gradient."""

    T: np.ndarray
    Z: np.ndarray
    value: float
    objective: float
    gradient: np.ndarray


# As ``newton`` of :func:`solve_rows`.
Direction = Callable[[Any, np.ndarray, Any, Point, np.ndarray], tuple[np.ndarray, np.ndarray]]


def certify(fit: Fit, W: np.ndarray, terms: Penalty, T: np.ndarray) -> RowCertificate:
    """The certificate of any point T of shape (r, P), from the data alone."""
    here = _at(fit, W, terms, T)
    gap = terms.gap(T, here.gradient) if terms.violation(T) <= FEASIBLE else np.inf
    return RowCertificate(gap, max(here.objective, fit.of_constant))


def solve_rows(
    fit: Fit, W: np.ndarray, terms: Penalty, T: np.ndarray, tol: float, newton: Direction | None = None
) -> np.ndarray:
    """Minimise to a relative gap of ``tol``, or as far as rounding lets it.

    Parameters
    ----------
    fit : Fit
    W : ndarray of shape (P, m)
    terms : Penalty
    T : ndarray of shape (r, P)
        A feasible start.
    tol : float
    newton : callable, optional
        Where a Newton step goes, called with fit, W, terms, a :class:`Point`, and what is to be added to the diagonal
        of second derivatives, (r, P). It returns the gradient and the direction, zero where nothing moves. For an
        :class:`~bcd_implicit.terms.entrywise.Entrywise` penalty it need not be given.

    Returns
    -------
    ndarray of shape (r, P)
        What :func:`certify` knows the gap of.
    """
    m = W.shape[1]
    # A loss without a bound on its curvature starts somewhere; the stretch finds the rest.
    metric = np.maximum(min(fit.max_curvature, 1.0) * (W**2).sum(axis=1) / m, TINY) * np.ones_like(T)
    here, stretch, damping = _at(fit, W, terms, T), 1.0, 0.0
    best, best_gap, lowest, since = here, np.inf, here, 0
    for _ in range(MAX_ITERATIONS):
        check_stop()
        gap = terms.gap(here.T, here.gradient)
        since = 0 if gap < 0.9 * best_gap or here.objective < (1 - PROGRESS) * lowest.objective else since + 1
        if here.objective < lowest.objective:
            lowest = here
        if gap < best_gap:
            best, best_gap = here, gap
        if gap <= tol * max(here.objective, fit.of_constant):
            return best.T
        if since > PATIENCE:
            break
        here, stretch = _proximal_step(fit, W, terms, here, metric, stretch)
        here, damping = _newton_step(fit, W, terms, here, metric, damping, newton or _among_entries)
    # A start may know its gap well, and be far above what was found since.
    return (lowest if best.objective - lowest.objective > 0.5 * best_gap else best).T


def _at(fit: Fit, W: np.ndarray, terms: Penalty, T: np.ndarray) -> Point:
    Z = T @ W
    value = fit.value(Z)
    return Point(T, Z, value, value + terms.value(T), fit.gradient(Z) @ W.T)


def _proximal_step(
    fit: Fit, W: np.ndarray, terms: Penalty, start: Point, metric: np.ndarray, stretch: float
) -> tuple[Point, float]:
    """One step in the metric, stretched until the quadratic bound holds."""
    while True:
        step = 1 / (stretch * metric)
        # The penalty's proximal map has the ridge: the gradient is the fit's alone.
        trial = _at(fit, W, terms, terms.prox(start.T - step * start.gradient, step))
        change = trial.T - start.T
        bound = float(np.sum(start.gradient * change + 0.5 * stretch * metric * change**2))
        slack = NOTHING * (abs(start.value) + fit.of_constant)
        if trial.value - start.value <= bound + slack or stretch > MOST_STRETCH:
            return trial, max(0.7 * stretch, 0.1)
        stretch *= 2


def _newton_step(
    fit: Fit,
    W: np.ndarray,
    terms: Penalty,
    start: Point,
    metric: np.ndarray,
    damping: float,
    newton: Direction,
) -> tuple[Point, float]:
    """A step of Newton's method among the entries that are not zero, never worse than none; and the next damping."""
    gradient, direction = newton(fit, W, terms, start, (damping + 1e-13) * metric)
    if not direction.any():
        return start, damping
    promise = max(-float(np.sum(gradient * direction)), 0.0)
    scale = abs(start.objective) + fit.of_constant

    def moved(step: float) -> Point:
        return _at(fit, W, terms, terms.feasible(start.T + step * direction))

    if promise <= UNSEEN * scale:
        # The objective has hardly digits for such a step: the gap, which the gradient makes, still tells.
        trial = moved(1.0)
        if terms.gap(trial.T, trial.gradient) < terms.gap(start.T, start.gradient):
            return trial, 0.0
    rounding = NOTHING * scale
    for halving in range(HALVINGS):
        trial = moved(0.5**halving)
        if trial.objective <= start.objective - ARMIJO * 0.5**halving * promise + rounding:
            break
    else:
        trial = start
    # Levenberg and Marquardt: trust the quadratic model as far as it told the truth. Exact, it brings half the promise.
    decrease = start.objective - trial.objective
    if trial is start or decrease <= 0.1 * promise - rounding:
        damping = min(max((10 if halving == 0 else 100) * damping, LEAST_DAMPING), MOST_DAMPING)
    elif decrease > 0.4 * promise - rounding:
        damping = 0.1 * damping if damping > LEAST_DAMPING else 0.0
    return trial, damping


def _among_entries(
    fit: Fit, W: np.ndarray, terms: Entrywise, start: Point, added: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where Newton's method goes under an entrywise penalty."""
    kinked = terms.kinked()
    face = terms.free & ((start.T != 0) | ~kinked)
    smooth, direction = np.zeros_like(start.T), np.zeros_like(start.T)
    rows, columns = np.nonzero(face)
    if not len(rows):
        return smooth, direction
    T = start.T[face]
    smooth[face] = (start.gradient + terms.weights * np.sign(start.T) + terms.ridge * start.T)[face]
    H = hessian(fit.curvature(start.Z), W, rows, columns)
    H[np.diag_indices_from(H)] += terms.ridge[face] + added[face]
    normal = np.sign(T) * np.isin(columns, terms.inside) if terms.bounded else np.zeros_like(T)
    direction[face] = _minimum_in_face(H, smooth[face], T, kinked[face], normal, terms.radius) - T
    return smooth, direction


def _minimum_in_face(
    H: np.ndarray, gradient: np.ndarray, T: np.ndarray, kinked: np.ndarray, normal: np.ndarray, radius: float
) -> np.ndarray:
    """The minimum of gradient'd + d'Hd/2 at T + d, near enough, where no entry turns round at a kink.

    Entries that would are zero from there on, and the others move on; normal'(T + d) <= radius holds all the way. Every
    move lowers the model, and none looks at the samples.
    """
    here, kept = T.copy(), np.ones(len(T), dtype=bool)
    for _ in range(SHRINKINGS):
        some = np.flatnonzero(kept)
        try:
            factor = cho_factor(H[np.ix_(some, some)])
        except LinAlgError:
            return here
        move = -cho_solve(factor, gradient[some] + H[some] @ (here - T))
        beyond = float(normal[some] @ (here[some] + move)) - radius
        if beyond > 0:
            along = cho_solve(factor, normal[some])
            move -= beyond / float(normal[some] @ along) * along
        ends = here[some] + move
        turned = kinked[some] & (ends * here[some] <= 0)
        if not turned.any():
            here[some] = ends
            return here
        shares = np.where(turned, here[some] / np.where(turned, -move, 1.0), 1.0)
        first = shares.min()
        here[some] += first * move
        here[some[shares <= first]] = 0.0
        kept[some[shares <= first]] = False
        if not kept.any():
            return here
    return here


def hessian(curvature: np.ndarray, W: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Second derivatives in these entries of T."""
    if len(curvature) == 1:
        some = W[columns]
        return np.asarray((some * curvature[0, 0]) @ some.T)
    H = np.zeros((len(rows), len(rows)))
    members = [np.flatnonzero(rows == i) for i in range(len(curvature))]
    for i, first in enumerate(members):
        for k, second in enumerate(members):
            if np.any(curvature[i, k]):
                H[np.ix_(first, second)] = (W[columns[first]] * curvature[i, k]) @ W[columns[second]].T
    return H
