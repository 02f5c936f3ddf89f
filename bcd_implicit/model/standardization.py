"""Means and scales of a person's columns, and the way back to their units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.preprocessing import StandardScaler

from bcd_implicit.model.implicit_model import ImplicitModel


@dataclass(frozen=True)
class Standardization:
    """Means and scales of inputs and targets; constant columns keep scale 1.

    Attributes
    ----------
    input_mean, input_scale : ndarray of shape (p,)
    target_mean, target_scale : ndarray of shape (q,)
    """

    input_mean: np.ndarray
    input_scale: np.ndarray
    target_mean: np.ndarray
    target_scale: np.ndarray

    @classmethod
    def fit(
        cls,
        U: np.ndarray,
        Y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        with_mean: bool = True,
        targets: bool = True,
    ) -> Standardization:
        """Measure means and standard deviations of U (m, p) and Y (m, q); means of zero unless ``with_mean``.

        Unless ``targets`` those of Y are taken to be 0 and 1: it has a meaning that other numbers have not, such as 1
        for a class.
        """
        # Spreads are around the mean even where means stay in. The scale is 1 where only rounding varies.
        # It may be a variance next to zero and below it, from whose root NumPy warns.
        with np.errstate(invalid="ignore"):
            scalers = [StandardScaler().fit(table, sample_weight=sample_weight) for table in (U, Y)]
        inputs, outputs = ((s.mean_ if with_mean else np.zeros_like(s.scale_), s.scale_) for s in scalers)
        if not targets:
            outputs = np.zeros(Y.shape[1]), np.ones(Y.shape[1])
        return cls(*inputs, *outputs)

    def apply(self, U: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardise both tables."""
        return _centred(U, self.input_mean) / self.input_scale, _centred(Y, self.target_mean) / self.target_scale

    def raw_model(self, model: ImplicitModel) -> ImplicitModel:
        """The model for raw inputs and targets, from one trained on the standardised ones."""
        return model.unstandardized(self.input_mean, self.input_scale, self.target_mean, self.target_scale)


def _centred(table: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The table less its columns' means; exact zeros where only rounding is left."""
    centred = table - mean
    # A column of 0.1s misses its mean in the last digit: that is to be an exact zero, not a tiny input.
    centred[:, np.abs(centred).max(axis=0, initial=0.0) <= 1e-12 * np.abs(mean)] = 0.0
    return centred
