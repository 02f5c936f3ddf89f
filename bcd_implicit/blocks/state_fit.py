"""The loss of some samples as a function of their states: L(y, Cx + e), e = Du + d, one sample per column."""

from __future__ import annotations

import copy
from typing import Protocol, Self

import numpy as np

from bcd_implicit.terms.losses import Loss


class Fit(Protocol):
    """What the state block asks of it."""

    def value(self, X: np.ndarray) -> np.ndarray:
        """The loss of every sample."""

    def gradient(self, X: np.ndarray) -> np.ndarray:
        """Gradient with respect to the states, shape (n, samples)."""

    def add_curvature(self, H: np.ndarray, X: np.ndarray, damping: np.ndarray) -> None:
        """Add the second derivatives to H, shape (samples, n, n), but for what the block's quadratic part has.

        And ``damping``, shape (samples,), times the curvature of a quadratic that can be trusted over a distance.
        """

    def subset(self, kept: np.ndarray) -> Self:
        """The same for fewer samples."""


class SquaredFit:
    """The squared loss; its second derivative C'C is in the block's quadratic part."""

    def __init__(self, C: np.ndarray, residual: np.ndarray) -> None:
        # C = basis R: what lies outside of C's range is a constant.
        basis, self.R = np.linalg.qr(C)
        self.target = basis.T @ residual
        self.constant = 0.5 * np.sum((residual - basis @ self.target) ** 2, axis=0)

    def value(self, X):
        return 0.5 * np.sum((self.R @ X - self.target) ** 2, axis=0) + self.constant

    def gradient(self, X):
        return self.R.T @ (self.R @ X - self.target)

    def add_curvature(self, H, X, damping):
        pass

    def subset(self, kept):
        other = copy.copy(self)
        other.target, other.constant = self.target[:, kept], self.constant[kept]
        return other


class LossFit:
    """Any smooth loss."""

    def __init__(self, loss: Loss, C: np.ndarray, offset: np.ndarray, Y: np.ndarray) -> None:
        self.loss, self.C, self.offset, self.Y = loss, C, offset, Y

    def _prediction(self, X: np.ndarray) -> np.ndarray:
        return self.C @ X + self.offset

    def value(self, X):
        return self.loss.value(self._prediction(X), self.Y)

    def gradient(self, X):
        return self.C.T @ self.loss.gradient(self._prediction(X), self.Y)

    def add_curvature(self, H, X, damping):
        prediction = self._prediction(X)
        added = damping * self.loss.curvature(prediction, self.Y) if damping.any() else 0.0
        for i, column in enumerate(self.C.T):
            change = np.broadcast_to(column[:, None], prediction.shape)
            H[:, i] += (self.loss.second_derivative(prediction, self.Y, change) + added * change).T @ self.C

    def subset(self, kept):
        return LossFit(self.loss, self.C, self.offset[:, kept], self.Y[:, kept])


class EnvelopeFit(LossFit):
    """A loss with kinks by its envelope of the given width a sample around multipliers V, shape (q, samples)."""

    def __init__(
        self, loss: Loss, C: np.ndarray, offset: np.ndarray, Y: np.ndarray, V: np.ndarray, width: np.ndarray
    ) -> None:
        super().__init__(loss.smoothed(V, width), C, offset, Y)
        self.original, self.V, self.width = loss, V, width

    def subset(self, kept):
        offset, Y, V = (part[:, kept] for part in (self.offset, self.Y, self.V))
        return EnvelopeFit(self.original, self.C, offset, Y, V, self.width[kept])
