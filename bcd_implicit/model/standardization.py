"""Means and scales of a person's columns, and the way back to their units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.terms.loss import Loss
from bcd_implicit.terms.robust_losses import weighted_quantile

# Half of normal numbers are nearer to their mean than so many standard deviations.
NORMAL_MIDDLE = 0.6745


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
        loss: Loss | None = None,
    ) -> Standardization:
        """Measure means and standard deviations of U (m, p) and Y (m, q); means of zero unless ``with_mean``.

        Of Y as the loss has it: 0 and 1 where targets have a meaning that other numbers have not, such as 1 for a
        class; medians, and scales from the median distance to them, for a loss with ``robust_units``.
        """
        # Only here: problems in their own units do without scikit-learn, which takes half a second to import.
        from sklearn.preprocessing import StandardScaler

        # Spreads are around the mean even where means stay in. The scale is 1 where only rounding varies.
        # It may be a variance next to zero and below it, from whose root NumPy warns.
        with np.errstate(invalid="ignore"):
            scalers = [StandardScaler().fit(table, sample_weight=sample_weight) for table in (U, Y)]
        inputs, outputs = ((s.mean_ if with_mean else np.zeros_like(s.scale_), s.scale_) for s in scalers)
        if loss is not None and not loss.free_targets:
            outputs = np.zeros(Y.shape[1]), np.ones(Y.shape[1])
        elif loss is not None and loss.robust_units:
            outputs = _robust(Y, sample_weight, *outputs, with_mean)
        return cls(*inputs, *outputs)

    def apply(self, U: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardise both tables."""
        return _centred(U, self.input_mean) / self.input_scale, _centred(Y, self.target_mean) / self.target_scale

    def raw_model(self, model: ImplicitModel) -> ImplicitModel:
        """The model for raw inputs and targets, from one trained on the standardised ones."""
        return model.unstandardized(self.input_mean, self.input_scale, self.target_mean, self.target_scale)


def _robust(
    Y: np.ndarray, sample_weight: np.ndarray | None, mean: np.ndarray, scale: np.ndarray, with_mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Medians and robust scales of the columns; mean and scale where half of a column and more is one value."""
    weight = np.ones(len(Y)) if sample_weight is None else sample_weight
    shares = weight / weight.sum()
    median = weighted_quantile(Y.T, shares, 0.5)
    off = np.abs(Y - median)
    middle = weighted_quantile(off.T, shares, 0.5)
    # Rounding is no spread, and numbers of more sizes than floating point has digits cannot be told apart.
    spread = middle > 1e-12 * np.maximum(np.abs(median), off.max(axis=0))
    return np.where(spread & with_mean, median, mean), np.where(spread, middle / NORMAL_MIDDLE, scale)


def _centred(table: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The table less its columns' means; exact zeros where only rounding is left."""
    centred = table - mean
    # A column of 0.1s misses its mean in the last digit: that is to be an exact zero, not a tiny input.
    centred[:, np.abs(centred).max(axis=0, initial=0.0) <= 1e-12 * np.abs(mean)] = 0.0
    return centred
