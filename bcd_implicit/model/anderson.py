"""Anderson's acceleration of Picard's iteration, safeguarded: never slower than half of Picard's contraction.

The next states are the combination of the last few steps whose changes cancel best (Walker and Ni, SIAM J. Numer.
Anal. 49(4), 2011). No systems of the size of A are solved, so that it suits many hidden features.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.state_map import Reached, StateMap

#: So many of the last steps are combined.
MEMORY = 5
#: Added to the Gram matrices, relatively: changes may be parallel.
REGULARIZATION = 1e-14


def anderson(states: StateMap, X: np.ndarray, max_iter: int) -> Reached:
    """Step to combined states; samples that these bring no nearer than a step of Picard take that step."""
    new = states.step(X)
    change = new - X
    norms = states.in_units(change).max(axis=0)
    last = _LastSteps(change.shape)
    for n_iter in range(1, max_iter):
        if states.settled(X, new, float(np.abs(new).max())).all():
            return Reached(X, new, n_iter, True, "anderson")
        trial = new - last.combined(change)
        trial_new = states.step(trial)
        trial_change = trial_new - trial
        # Not >: what is not a number is worse.
        worse = ~(states.in_units(trial_change).max(axis=0) <= states.factor * norms)
        if worse.any():
            trial[:, worse] = new[:, worse]
            trial_new[:, worse] = states.take(worse).step(trial[:, worse])
            trial_change[:, worse] = trial_new[:, worse] - trial[:, worse]
        last.append(trial_change - change, trial_new - new)
        X, new, change = trial, trial_new, trial_change
        norms = states.in_units(change).max(axis=0)
    settled = bool(states.settled(X, new, float(np.abs(new).max())).all())
    return Reached(X, new, max_iter, settled, "anderson")


class _LastSteps:
    """How changes and new states differed between the last steps, and the changes' Gram matrix for each sample."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        # Steps not yet taken are zeros: their weights are zero.
        self.changes, self.news = np.zeros((MEMORY, *shape)), np.zeros((MEMORY, *shape))
        self.gram = np.zeros((shape[1], MEMORY, MEMORY))
        self.n_steps = 0

    def append(self, change: np.ndarray, new: np.ndarray) -> None:
        k = self.n_steps % MEMORY
        self.changes[k], self.news[k] = change, new
        self.gram[:, k, :] = self.gram[:, :, k] = self._products(change)
        self.n_steps += 1

    def combined(self, change: np.ndarray) -> np.ndarray:
        """The differences of new states with the weights that cancel the change best, by least squares."""
        scale = np.trace(self.gram, axis1=1, axis2=2)[:, None, None]
        regular = self.gram + np.where(scale > 0, REGULARIZATION * scale, 1.0) * np.eye(MEMORY)
        weights = np.linalg.solve(regular, self._products(change)[:, :, None])[:, :, 0]
        return np.einsum("ma,anm->nm", weights, self.news)

    def _products(self, change: np.ndarray) -> np.ndarray:
        return np.einsum("anm,nm->ma", self.changes, change)
