"""Picard's steps with a correction made of the last ones, safeguarded: Picard's own step where that brings nothing.

The largest change of a sample need not fall with every corrected step: where phi has kinks, steps that may go through
worse points find the right pieces soon, and others crawl towards a kink (benchmarks/states.py). A sample that has not
come nearer in some steps goes back to the best point that it has been at, and takes Picard's step from there, which
contracts. So every sample settles, whatever the corrections are.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from bcd_implicit.model.state_map import Reached, StateMap

#: So many steps in a row may bring a sample no nearer than Picard's would have.
PATIENCE = 10
#: A step after which the change is so many times the least one is taken back at once.
FAR = 1e3


class Memory(Protocol):
    """What the last steps say of the map. All arrays have the shape (n, m), and are in units in which it contracts."""

    def correction(self, change: np.ndarray) -> np.ndarray:
        """What to take off the states that a step of Picard's by ``change`` leads to."""

    def append(self, moved: np.ndarray, turned: np.ndarray) -> None:
        """Remember that states which moved by ``moved`` change by ``turned`` more in Picard's next step."""

    def take(self, samples: np.ndarray) -> None:
        """Go on with some of the samples (mask)."""


def accelerated(states: StateMap, X: np.ndarray, max_iter: int, memory: Memory, name: str) -> Reached:
    """Step to corrected states until all samples have settled; those that have are left where they are."""
    units = 1.0 if states.weights is None else states.weights[:, None]
    new = states.step(X)
    change = (new - X) / units
    # Where a step from the best point so far leads, by how much, and how many steps ago that was.
    best, least, since = new.copy(), np.abs(change).max(axis=0), np.zeros(X.shape[1], dtype=int)
    # All samples, which of them are still on the way, and the largest state of the others.
    whole, left, largest, n_iter = Reached(X.copy(), new.copy(), 0, False, name), np.arange(X.shape[1]), 0.0, 0
    for n_iter in range(1, max_iter + 1):
        # States of samples on the way may be far too large, and others must not be measured by these.
        settled = states.settled(X, new, np.maximum(np.abs(new).max(axis=0), largest))
        if settled.all() or n_iter == max_iter:
            break
        # Copying the others costs as much as a few steps.
        if 2 * settled.sum() > len(settled):
            whole.X[:, left[settled]], whole.new[:, left[settled]] = X[:, settled], new[:, settled]
            largest = float(np.abs(new[:, settled]).max(initial=largest))
            on = ~settled
            states, left, least, since = states.take(on), left[on], least[on], since[on]
            X, new, change, best = (part[:, on] for part in (X, new, change, best))
            memory.take(on)
        trial = new - units * memory.correction(change)
        trial_new = states.step(trial)
        trial_change = (trial_new - trial) / units
        reached = np.abs(trial_change).max(axis=0)
        since = np.where(reached <= states.factor * least, 0, since + 1)
        # Not >: what is not a number is far.
        back = (since > PATIENCE) | ~(reached <= FAR * least)
        if back.any():
            trial[:, back] = best[:, back]
            trial_new[:, back] = states.take(back).step(trial[:, back])
            trial_change[:, back] = ((trial_new - trial) / units)[:, back]
            reached[back], since[back] = np.abs(trial_change[:, back]).max(axis=0), 0
        memory.append((trial - X) / units, trial_change - change)
        X, new, change = trial, trial_new, trial_change
        nearer = since == 0
        best[:, nearer], least[nearer] = new[:, nearer], reached[nearer]
    whole.X[:, left], whole.new[:, left] = X, new
    return Reached(whole.X, whole.new, n_iter, bool(settled.all()), name)
