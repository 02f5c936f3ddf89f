"""Picard's iteration x <- phi(Ax + c): cheap steps, and many of them where the contraction is weak."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from bcd_implicit.model.rounding import EPS
from bcd_implicit.model.state_map import Reached, StateMap


def picard(
    states: StateMap, X: np.ndarray, max_iter: int, leave: Callable[[np.ndarray, int, float], bool] | None = None
) -> Reached:
    """Step until the last change shows the error to be small enough, or only rounding still changes.

    Parameters
    ----------
    states : StateMap
    X : ndarray of shape (n, m)
        Start.
    max_iter : int
    leave : callable, optional
        Of the states, the steps taken and the estimated number of those still needed: whether to end here, not settled.
    """
    taken, stride, before = 0, 1, 0.0
    while True:
        # Measuring a change costs as much as a step: most steps go without.
        stride = min(stride, max_iter - taken)
        for _ in range(stride - 1):
            X = states.step(X)
        new = states.step(X)
        taken += stride
        change = new - X
        largest, size = float(states.in_units(change).max()), float(np.abs(new).max())
        in_states = largest if states.weights is None else float(np.abs(change).max())
        in_units = size if states.weights is None else float(states.in_units(new).max())
        # Not <: states that are all zero must pass. Small states that large entries of A act on count in their units.
        still = in_states <= states.stagnation * size and largest <= states.stagnation * in_units
        if float(states.error_left(X, new).max()) <= states.tol * size or still:
            return Reached(X, new, taken, True, states.stepping)
        # Where preactivations are sums of much larger terms, rounding moves states by more than that.
        if 0.5 * before < largest <= before and states.settled(X, new, size).all():
            return Reached(X, new, taken, True, states.stepping)
        # Of numbers that overflowed nothing will come.
        if taken >= max_iter or not math.isfinite(largest):
            return Reached(X, new, taken, False, states.stepping)
        X, remaining = new, 0.0
        if before > 0:
            rate = min((largest / before) ** (1 / stride), states.factor)
            # All that counts is the changes' order of magnitude: in which units is all the same.
            goal = max(states.tol / states.gain, states.stagnation) * size
            remaining = math.log(goal / largest) / math.log(rate) if 0 < goal < largest else 1.0
            if leave is not None and leave(new, taken, remaining):
                return Reached(X, new, taken, False, states.stepping)
        # Half of them, since what is estimated from few steps is no promise.
        before, stride = largest, max(1, int(remaining / 2))


def picard_table(states: StateMap, equilibrium: np.ndarray, n_steps: int) -> pd.DataFrame:
    """The table of :meth:`~bcd_implicit.model.by_steps.BySteps.picard_convergence`."""
    factor, gain = states.factor, states.widest / (1 - states.factor)
    X, rows, first = np.zeros_like(states.drive), [], 0.0
    for step in range(1, n_steps + 1):
        new = states.step(X)
        moved, change = float(np.abs(new - X).max()), float(states.in_units(new - X).max())
        # Zero only if the start is the equilibrium, and then both bounds are 0.
        first, X = first or change, new
        error = float(np.abs(X - equilibrium).max())
        bounds = {"bound": factor * gain * change, "a_priori": factor**step * gain * first}
        rows.append({"step": step, "error": error} | bounds)
        # From here on the error of the reference is as large as that of the step.
        if bounds["bound"] == 0 or moved <= 100 * EPS * np.abs(X).max():
            break
    return pd.DataFrame(rows)
