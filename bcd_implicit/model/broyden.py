"""Broyden's method for states: Newton's with an inverse that is guessed from the last steps (Broyden's good update).

For g(x) = phi(Ax + c) - x the guess of the inverse of g' begins with -I, a step of Picard's. Each step from x to x + s
that changes g by t corrects it to H + (s - H t) s'H / (s'H t), which takes t to s (Broyden, Math. Comp. 19, 1965). So
H = -I + sum u_k v_k', which is kept as pairs of vectors: no systems are solved, and a step costs as much as products
with them.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.accelerated import accelerated
from bcd_implicit.model.state_map import Reached, StateMap

#: Number of pairs that are kept before a restart. More pairs save few steps, but each step costs as many products.
MEMORY = 15
#: A step says nothing of the inverse if s'H t is below this share of its factors' lengths.
LEAST_ANGLE = 1e-8


def broyden(states: StateMap, X: np.ndarray, max_iter: int) -> Reached:
    """Steps of Broyden's method; Picard's where these bring a sample no nearer."""
    return accelerated(states, X, max_iter, _Inverse(X.shape), "broyden")


class _Inverse:
    """The guess of the inverse for each sample, H = -I + sum u_k v_k'."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.u, self.v = np.empty((MEMORY, *shape)), np.empty((MEMORY, *shape))
        self.n_pairs = 0

    def correction(self, change: np.ndarray) -> np.ndarray:
        """(H + I) times the change."""
        u, v = self.u[: self.n_pairs], self.v[: self.n_pairs]
        return np.einsum("anm,am->nm", u, np.einsum("anm,nm->am", v, change))

    def take(self, samples: np.ndarray) -> None:
        self.u, self.v = self.u[:, :, samples], self.v[:, :, samples]

    def append(self, moved: np.ndarray, turned: np.ndarray) -> None:
        if self.n_pairs == MEMORY:
            self.n_pairs = 0
        u, v = self.u[: self.n_pairs], self.v[: self.n_pairs]
        image = self.correction(turned) - turned
        row = np.einsum("anm,am->nm", v, np.einsum("anm,nm->am", u, moved)) - moved
        product = np.einsum("nm,nm->m", moved, image)
        lengths = np.linalg.norm(moved, axis=0) * np.linalg.norm(image, axis=0)
        # What is not a number says nothing either.
        says = np.abs(product) > LEAST_ANGLE * lengths
        k = self.n_pairs
        np.divide(moved - image, product, out=self.u[k], where=says)
        self.u[k][:, ~says] = 0.0
        self.v[k] = np.where(says, row, 0.0)
        self.n_pairs += 1
