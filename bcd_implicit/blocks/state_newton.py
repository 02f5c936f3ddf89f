"""Newton's method for the states of many samples at once."""

from __future__ import annotations

import numpy as np

from bcd_implicit.blocks.state_samples import Samples, Slope
from bcd_implicit.support.interruption import check_stop

# Newton steps of a sample, and halvings of a step.
MAX_STEPS, HALVINGS = 100, 12
ARMIJO = 1e-4
FIRST_DAMPING = 1e-1
# Beyond this damping no step is left: the sample is where rounding lets it be.
LAST_DAMPING = 1e12


def descended(samples: Samples, X: np.ndarray, aim: float) -> np.ndarray:
    """States within ``aim`` of the samples' optima, from X: Newton steps in the states that nothing holds.

    Each sample has its own step length along its own arc, and leaves once it is done.
    """
    X = X.copy()
    value, todo, damping = samples.value(X), np.arange(X.shape[1]), np.zeros(X.shape[1])
    for _ in range(MAX_STEPS):
        check_stop()
        slope = samples.slope(X[:, todo], value[todo])
        still = (slope.error > aim) & (damping[todo] <= LAST_DAMPING)
        if not still.any():
            break
        slope, todo, samples = slope.subset(still), todo[still], samples.subset(still)
        direction = samples.direction(X[:, todo], slope.r, damping[todo])
        X[:, todo], value[todo], step = _searched(samples, X[:, todo], value[todo], slope, direction)
        # Levenberg and Marquardt: where the quadratic model held, trust it more.
        grown = np.maximum(10 * damping[todo], FIRST_DAMPING)
        shrunk = np.where(damping[todo] > 1e-3 * FIRST_DAMPING, 0.1 * damping[todo], 0.0)
        damping[todo] = np.where(step == 1, shrunk, grown)
    return X


def _searched(
    samples: Samples, X: np.ndarray, value: np.ndarray, slope: Slope, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The states after the longest step that descends, their objective, and the step; it is 0 where none does."""
    step, waiting = np.ones(len(value)), np.ones(len(value), dtype=bool)
    for _ in range(HALVINGS):
        trial = samples.moved(X, slope.z, step * direction)
        trial_value = samples.value(trial)
        enough = value + ARMIJO * np.sum(slope.r * (trial - X), axis=0) + 1e-13 * np.abs(value)
        taken = waiting & (trial_value <= enough)
        X, value = np.where(taken, trial, X), np.where(taken, trial_value, value)
        waiting &= ~taken
        if not waiting.any():
            break
        step[waiting] /= 2
    step[waiting] = 0.0
    return X, value, step
