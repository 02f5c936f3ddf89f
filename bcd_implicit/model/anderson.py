"""Anderson's acceleration of Picard's iteration.

The next states are the combination of the last few steps whose changes cancel best (Walker and Ni, SIAM J. Numer.
Anal. 49(4), 2011). No systems of the size of A are solved, so that it suits many hidden features.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.accelerated import accelerated
from bcd_implicit.model.state_map import Reached, StateMap

#: Number of the last steps that are combined.
MEMORY = 5
#: Added to the Gram matrices, relatively: changes may be parallel.
REGULARIZATION = 1e-14
#: Of smaller squares of changes so little would be lost in underflow, and matrices be singular.
LEAST_SQUARE = float(np.finfo(float).tiny) / REGULARIZATION


def anderson(states: StateMap, X: np.ndarray, max_iter: int) -> Reached:
    """Steps of Picard's with the last few combined."""
    return accelerated(states, X, max_iter, _LastSteps(X.shape), "anderson")


class _LastSteps:
    """How changes and new states differed between the last steps, and the changes' Gram matrix for each sample."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        # Steps not yet taken are zeros: their weights are zero.
        self.changes, self.news = np.zeros((MEMORY, *shape)), np.zeros((MEMORY, *shape))
        self.gram = np.zeros((shape[1], MEMORY, MEMORY))
        self.n_steps = 0

    def append(self, moved: np.ndarray, turned: np.ndarray) -> None:
        k = self.n_steps % MEMORY
        self.changes[k], self.news[k] = turned, moved + turned
        self.gram[:, k, :] = self.gram[:, :, k] = self._products(turned)
        self.n_steps += 1

    def take(self, samples: np.ndarray) -> None:
        self.changes, self.news = self.changes[:, :, samples], self.news[:, :, samples]
        self.gram = self.gram[samples]

    def correction(self, change: np.ndarray) -> np.ndarray:
        """The differences of new states with the weights that cancel the change best, by least squares."""
        scale = np.trace(self.gram, axis1=1, axis2=2)[:, None, None]
        regular = self.gram + np.where(scale > LEAST_SQUARE, REGULARIZATION * scale, 1.0) * np.eye(MEMORY)
        weights = np.linalg.solve(regular, self._products(change)[:, :, None])[:, :, 0]
        return np.einsum("ma,anm->nm", weights, self.news)

    def _products(self, change: np.ndarray) -> np.ndarray:
        return np.einsum("anm,nm->ma", self.changes, change)
