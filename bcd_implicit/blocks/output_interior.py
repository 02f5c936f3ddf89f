"""The output block for losses with a kink: a quadratic program, by an interior point.

An output's predictions f = theta W + offset miss its targets by u above or w below, and its multipliers v are between
-below and above::

    f - y = u - w,    (above - v) u = 0,    (v + below) w = 0,    sum_k omega_k v_k w_k + ridge theta = 0

Mehrotra's predictor and corrector (*SIAM Journal on Optimization* 1992) follow these with a number mu > 0 in place of
the two zeros: quantile regressions take a dozen or two of such steps (Portnoy and Koenker, *Statistical Science* 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.problem.newton_system import NewtonSystem
from bcd_implicit.problem.regression import Regression
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.terms.robust_losses import KinkedLoss

MAX_STEPS = 100
# Steps end this share of the way to where a first number would be zero.
SHORT_OF_THE_END = 0.999
# Relative accuracy of a step.
ACCURACY = 1e-8


@dataclass
class _Point:
    """Where the steps are, or a step: coefficients (1, size), and of each sample the distances and multipliers, (1, m).

    The multipliers' room to both ends of their interval by itself: next to an end it is lost as a difference.
    """

    theta: np.ndarray
    V: np.ndarray
    above: np.ndarray
    below: np.ndarray
    room_above: np.ndarray
    room_below: np.ndarray

    def plus(self, step: _Point, length: float) -> _Point:
        return _Point(**{name: part + length * getattr(step, name) for name, part in vars(self).items()})

    def longest(self, step: _Point) -> float:
        """The longest step, up to one, along which no distance and no room falls below zero."""
        longest = 1.0
        for name in ("above", "below", "room_above", "room_below"):
            size, change = getattr(self, name), getattr(step, name)
            falls = change < 0
            longest = min(longest, float(np.min(-size[falls] / change[falls], initial=1.0)))
        return longest

    def gap(self, shares: np.ndarray) -> float:
        """The mean of the products that are zero at the solution."""
        return float(((self.above * self.room_above + self.below * self.room_below) @ shares)[0])


def interior_point(regression: Regression, start: np.ndarray, tol: float) -> np.ndarray:
    """Coefficients, (q, size), of a relative gap of about ``tol``, and no worse than those at the start."""
    theta = [_solve_output(regression, i, row[None], tol) for i, row in enumerate(start)]
    return np.vstack(theta)


def _solve_output(regression: Regression, output: int, theta: np.ndarray, tol: float) -> np.ndarray:
    """Those of one output, (1, size)."""
    problem = regression.problem
    loss, shares = problem.loss, problem.shares
    targets = (problem.Y - regression.offset)[output : output + 1]
    nothing = np.finfo(float).eps * float(loss.value(-targets, 0.0) @ shares)
    point, best, least = _start(loss, theta, theta @ regression.W - targets, shares), theta, np.inf
    for _ in range(MAX_STEPS):
        check_stop()
        miss = point.theta @ regression.W - targets
        size = float(loss.value(miss, 0.0) @ shares) + regression.ridge_term(point.theta)
        if size <= least:
            best, least = point.theta, size
        # Also where the gap is no number any more.
        if not point.gap(shares) > tol * size + nothing:
            break
        step = _step(regression, point, miss - point.above + point.below, shares)
        point = point.plus(step, SHORT_OF_THE_END * point.longest(step))
    return best


def _start(loss: KinkedLoss, theta: np.ndarray, miss: np.ndarray, shares: np.ndarray) -> _Point:
    """The distances as they are, all longer by their mean, and multipliers with both products alike."""
    longer = np.maximum(np.abs(miss) @ shares, np.finfo(float).tiny)
    above, below = np.maximum(miss, 0.0) + longer, np.maximum(-miss, 0.0) + longer
    V = (loss.above * above - loss.below * below) / (above + below)
    return _Point(theta, V, above, below, loss.above - V, V + loss.below)


def _step(regression: Regression, point: _Point, miss: np.ndarray, shares: np.ndarray) -> _Point:
    """To where the predictor's step says that the products can be, and to second order."""
    freedom = 1 / (point.above / point.room_above + point.below / point.room_below)
    system = NewtonSystem(regression, lambda change: freedom * change, freedom)
    gradient = regression.gradient(point.V, point.theta)

    def step(above: np.ndarray, below: np.ndarray) -> _Point:
        """The step to these products."""
        above, below = above - point.above * point.room_above, below - point.below * point.room_below
        moved = miss - above / point.room_above + below / point.room_below
        theta = system.solve(-gradient - regression.pull(freedom * moved), ACCURACY)
        V = freedom * (theta @ regression.W + moved)
        above, below = (above + point.above * V) / point.room_above, (below - point.below * V) / point.room_below
        return _Point(theta, V, above, below, -V, V)

    zero = np.zeros_like(miss)
    predicted = step(zero, zero)
    gap = point.gap(shares)
    left = point.plus(predicted, point.longest(predicted)).gap(shares)
    mu = 0.5 * gap * (left / gap) ** 3
    return step(mu + predicted.above * predicted.V, mu - predicted.below * predicted.V)
