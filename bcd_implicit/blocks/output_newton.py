"""Newton steps of the output block for smooth losses other than the squared one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bcd_implicit.problem.newton_system import NewtonSystem
from bcd_implicit.problem.regression import Regression
from bcd_implicit.support.interruption import check_stop

MAX_STEPS = 100
# This share of the loss's curvature is added to its second derivative, which may be zero: next to nothing first. Where
# a full step goes too far it is the second number, and with every such step ten times as much until steps are full.
LEAST_DAMPING, DAMPING, MORE = 1e-10, 1e-2, 10.0
# Predictions on the scale of logarithms change in a step by no more than this and the largest of them: where all
# samples are on the right side, farther is always better.
LONGEST = 20.0
# The relative accuracy of the first steps; later ones are as exact as the last one's gain was small.
FIRST_ACCURACY = 0.1
# Armijo's share of the decrease that the slope promises; a step is halved at most so often.
ENOUGH, MAX_HALVINGS = 1e-4, 60
# After more products than this in one system the next have a Gram matrix for every output, whatever that costs.
MANY_PRODUCTS = 50
# Gains below this share of what a prediction of zero loses are rounding.
NOTHING = 1e-16


def newton_steps(regression: Regression, theta: np.ndarray) -> Iterator[tuple[np.ndarray, float]]:
    """Better and better coefficients, each with the share of the objective that its step had promised to gain.

    It ends where steps gain nothing.
    """
    damping, accuracy, exact = LEAST_DAMPING, FIRST_ACCURACY, False
    prediction, nothing = regression.prediction(theta), NOTHING * regression.problem.loss_of_zero
    for _ in range(MAX_STEPS):
        check_stop()
        gradient = _gradient(regression, prediction, theta)
        system = _system(regression, prediction, damping, exact)
        step, exact = -system.solve(gradient, accuracy), exact or system.products > MANY_PRODUCTS
        value, slope = regression.objective(prediction, theta), float(np.sum(gradient * step))
        length, full = _length(regression, prediction, theta, step, value, slope)
        theta = theta + length * step
        prediction = regression.prediction(theta)
        share = -0.5 * slope / max(value, np.finfo(float).tiny)
        yield theta, share
        if length == 0 or -0.5 * slope <= nothing:
            return
        eased = damping / MORE if damping > DAMPING else LEAST_DAMPING
        damping = eased if full else max(DAMPING, MORE * damping)
        accuracy = min(FIRST_ACCURACY, share)


def roughly(regression: Regression, start: np.ndarray, share: float) -> np.ndarray:
    """Coefficients after steps until one gains less than ``share`` of what all have gained."""
    theta, first = start, _value(regression, start)
    value = first
    for theta, _ in newton_steps(regression, start):
        before, value = value, _value(regression, theta)
        if before - value <= share * (first - value):
            break
    return theta


def _gradient(regression: Regression, prediction: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return regression.gradient(regression.problem.loss.gradient(prediction, regression.problem.Y), theta)


def _value(regression: Regression, theta: np.ndarray) -> float:
    return regression.objective(regression.prediction(theta), theta)


def _system(regression: Regression, prediction: np.ndarray, damping: float, exact: bool) -> NewtonSystem:
    loss, Y = regression.problem.loss, regression.problem.Y
    added = damping * loss.curvature(prediction, Y)
    return NewtonSystem(
        regression,
        lambda change: loss.second_derivative(prediction, Y, change) + added * change,
        loss.second_diagonal(prediction, Y) + added,
        loss.separable,
        exact,
    )


def _length(
    regression: Regression, prediction: np.ndarray, theta: np.ndarray, step: np.ndarray, value: float, slope: float
) -> tuple[float, bool]:
    """The first of the longest length and its halves at which the objective has fallen enough, and whether it is that.

    The longest is one, or what keeps predictions on the scale of logarithms within reason; 0 if no length will do.
    """
    change, length = regression.image(step), 1.0
    if not regression.problem.loss.free_targets:
        reasonable = LONGEST + float(np.abs(prediction).max())
        length = min(1.0, reasonable / max(float(np.abs(change).max()), np.finfo(float).tiny))
    for halvings in range(MAX_HALVINGS):
        ahead, there = prediction + length * change, theta + length * step
        # Where it still falls it has fallen all the way: that is seen to more digits than the values.
        if (
            regression.objective(ahead, there) <= value + ENOUGH * length * slope
            or np.sum(_gradient(regression, ahead, there) * step) <= 0
        ):
            return length, halvings == 0
        length /= 2
    return 0.0, False
