"""Proximal Newton for the two blocks in (A, B, b): the native solver of the hidden and the prox-linear block::

    min over T = (A, B, b)   f(T) + ridge/2 (||A||^2 + ||B||^2) + group lasso of B      s.t. rows of A in their sets

f is smooth and convex. At the optimum some entries of A and some columns of B are zero, and some rows of A lie on
the boundary of their set. Among the points that share these zeros, signs and boundaries, a *face*, the
objective is smooth. One iteration is

    1. a proximal-gradient step in a diagonal metric, three at the start, which finds the face: a zero column whose
       gradient is longer than kappa enters, whatever the step;
    2. a Newton step inside the face, with a line search along the arc that sets to zero what would change its sign.

On the right face Newton's method converges quadratically, so the last digits cost next to nothing (Bareilles,
Iutzeler, Malick, *Newton acceleration on manifolds identified by proximal gradient methods*, arXiv 2012.12936).
Most solves take three to ten iterations. With more inputs than samples and no ridge it may be hundreds.

The hidden block is solved by this alone, and the prox-linear block where its unknowns are few. If they are many it
begins with the steps of :mod:`~bcd_implicit.blocks.kronecker` and comes here for the last digits. In both only the
groups that are in or near it take part (:meth:`~bcd_implicit.blocks.face.Terms.active`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcd_implicit.blocks.face import Terms
from bcd_implicit.blocks.newton_direction import newton_direction
from bcd_implicit.blocks.smooth import Smooth
from bcd_implicit.support.interruption import check_stop

MAX_ITERATIONS = 1000
# Proximal steps before the first Newton step: they are cheap, and a Newton step in a wrong face gains little.
FIRST_STEPS = 3
# No further progress: so many iterations have gained less than this of the objective.
PATIENCE, PROGRESS = 50, 1e-9
# A change of the objective by this share of it is rounding.
NOTHING = 4e-15
# The share of the promised decrease that a step has to bring: the usual small one.
ARMIJO = 1e-4
# How often a step is halved, and a face made smaller, within one iteration; the most steps of a polish.
HALVINGS, SHRINKINGS, POLISHINGS = 12, 5, 40
# The least damping of Newton's model, relative to the curvature bound: less is none. The most leaves next to no step.
LEAST_DAMPING, MOST_DAMPING = 1e-6, 1e12
# The stretch of the metric at most, times the number of unknowns.
MOST_STRETCH = 100
# In place of a zero divisor: no curvature, or no promise so far.
TINY = 1e-100


def minimise(
    smooth: Smooth,
    terms: Terms,
    T: np.ndarray,
    aim: float,
    met: Callable[[np.ndarray], bool],
    share: float = 0.0,
) -> tuple[np.ndarray, bool]:
    """Minimise f + terms.

    Parameters
    ----------
    smooth : Smooth
    terms : Terms
    T : ndarray of shape (n, P)
        Feasible start.
    aim : float
        ``met`` is asked once the next step promises to lower the objective by no more than this.
    met : callable
        The certificate: whether a point will do. If it will not, the aim is lowered a hundredfold.
    share : float
        ``met`` is asked as well once an iteration gains no more than this share of what all have gained.

    Returns
    -------
    T : ndarray of shape (n, P)
    optimal : bool
        Whether ``met`` said so; else nothing more can be gained in floating point.
    """
    here = _at(smooth, terms, T)
    stretch, damping, last_promise, objectives = 1.0, 0.0, 0.0, [here.objective]
    for iteration in range(MAX_ITERATIONS):
        check_stop()
        begin, middle = here.objective, here
        for _ in range(FIRST_STEPS if iteration == 0 else 1):
            middle, stretch = _proximal_step(smooth, terms, middle, stretch)
        here, step, promise = _newton_step(smooth, terms, middle, damping)
        # Levenberg and Marquardt: trust the quadratic model as far as it told the truth.
        decrease = middle.objective - here.objective
        if decrease <= 0.1 * promise:
            damping = min(max((10 if step > 0.1 else 100) * damping, LEAST_DAMPING), MOST_DAMPING)
        # Where the model is exact a whole step brings half of the promise: 0.4 is near that.
        elif decrease > 0.4 * promise:
            damping = 0.1 * damping if damping > LEAST_DAMPING else 0.0
        # Convergence is quadratic at the end: the next promise is to this one at most as this one to the last.
        next_promise = promise * min(1.0, promise / max(last_promise, TINY)) if step == 1.0 else promise
        last_promise = promise
        objectives.append(here.objective)
        # Two ways to stand still: nothing at all in one iteration, or next to nothing in many.
        slow = len(objectives) > PATIENCE and objectives[-PATIENCE - 1] - begin <= PROGRESS * abs(begin)
        stuck = slow or begin - here.objective <= NOTHING * abs(begin)
        rough = begin - here.objective <= share * (objectives[0] - here.objective)
        if next_promise <= aim or rough or stuck:
            if met(here.T):
                return here.T, True
            if stuck:
                return _polish(smooth, terms, here, stretch, met)
            aim *= 1e-2
    return here.T, met(here.T)


@dataclass(frozen=True)
class _Point:
    """T with f(T), its gradient, and the objective."""

    T: np.ndarray
    value: float
    gradient: np.ndarray
    objective: float


def _at(smooth: Smooth, terms: Terms, T: np.ndarray) -> _Point:
    value, gradient = smooth.value_and_gradient(T)
    return _Point(T, value, gradient, value + terms.value(T))


def _proximal_step(smooth: Smooth, terms: Terms, start: _Point, stretch: float) -> tuple[_Point, float]:
    """One step in the metric stretch * curvature, the stretch doubled until the quadratic bound holds.

    The doubling ends: the curvature is about the mean over the rows, and the bound holds once it exceeds the largest.
    If rounding hides that, a limit ends it.
    """
    gradient = start.gradient + terms.ridge * start.T
    while True:
        check_stop()
        metric = np.maximum(terms.metric(stretch * smooth.curvature), TINY)
        trial = _at(smooth, terms, terms.prox(start.T - gradient / metric, 1 / metric))
        change = trial.T - start.T
        bound = np.vdot(start.gradient, change) + 0.5 * stretch * np.vdot(smooth.curvature * change, change)
        # The slack is rounding: near the optimum the bound cannot be seen to hold.
        if trial.value - start.value <= bound + 1e-14 * abs(start.value) or stretch > MOST_STRETCH * trial.T.size:
            return trial, max(0.7 * stretch, 0.1)
        stretch *= 2


def _newton_step(smooth: Smooth, terms: Terms, start: _Point, damping: float) -> tuple[_Point, float, float]:
    """Newton in the face of a point; also the step's length, and its promise: minus the gradient times the direction.

    If the quadratic model is exact a whole step brings half of the promise.

    If entries turned round and the objective rose, the face was too large: Newton goes on from there, in the face
    without them, and only if that ends no lower either the first step is shortened.
    """
    face, gradient = terms.face(start.T, start.gradient)
    direction = newton_direction(smooth.hessian(start.T), terms, face, gradient, damping * smooth.curvature)
    promise = -float(np.vdot(gradient, direction))
    if promise <= 0:  # rounding, or a direction that did not converge
        return start, 0.0, 0.0
    # Near the optimum a step promises less than the objective has digits for: it is whole all the same.
    rounding = NOTHING * abs(start.objective)
    point, way, smaller = start, direction, face
    for _ in range(SHRINKINGS):
        trial = _at(smooth, terms, terms.move(point.T, way, smaller))
        if trial.objective <= start.objective - ARMIJO * promise + rounding:
            return trial, 1.0, promise
        found, gradient = terms.face(trial.T, trial.gradient)
        # No entry became zero, none tied with its group's largest: the face is not to blame, the length is.
        if np.array_equal(found.free, smaller.free) and len(found.facet.ties) == len(smaller.facet.ties):
            break
        point, smaller = trial, found
        way = newton_direction(smooth.hessian(point.T), terms, smaller, gradient, damping * smooth.curvature)
    step = 0.5
    for _ in range(HALVINGS):
        trial = _at(smooth, terms, terms.move(start.T, step * direction, face))
        if trial.objective <= start.objective - ARMIJO * step * promise:
            return trial, step, promise
        step /= 2
    return start, 0.0, promise


def _polish(
    smooth: Smooth, terms: Terms, point: _Point, stretch: float, met: Callable[[np.ndarray], bool]
) -> tuple[np.ndarray, bool]:
    """Newton steps by what they do to the gradient, where the objective has no digits left to tell them apart.

    Gradients vanish like the square root of the objective's error, and the duality gap needs them. ``met`` has refused
    the point; it is asked whenever the gradient's square has fallen tenfold, and at the end.
    """
    # No shorter metric than the bound's own: of steps too long nothing tells here, and they spoil the gradient.
    stretch = max(stretch, 1.0)
    metric = np.maximum(terms.metric(stretch * smooth.curvature), TINY)

    def residual(at: _Point) -> float:
        gradient = at.gradient + terms.ridge * at.T
        change = terms.prox(at.T - gradient / metric, 1 / metric) - at.T
        return float(np.vdot(metric * change, change))

    size, damping = residual(point), 0.0
    asked = size
    if size == 0:
        return point.T, False
    for _ in range(POLISHINGS):
        check_stop()
        # As in every iteration: the proximal step finds the face, without which Newton's step may go far astray.
        middle, _ = _proximal_step(smooth, terms, point, stretch)
        face, gradient = terms.face(middle.T, middle.gradient)
        direction = newton_direction(smooth.hessian(middle.T), terms, face, gradient, damping * smooth.curvature)
        trial = _at(smooth, terms, terms.move(middle.T, direction, face))
        trial_size = residual(trial)
        if trial_size < 0.9 * size:
            point, size = trial, trial_size
            if size <= 0.1 * asked:
                if met(point.T):
                    return point.T, True
                asked = size
        else:
            damping = max(10 * damping, LEAST_DAMPING)
    return point.T, size < asked and met(point.T)
