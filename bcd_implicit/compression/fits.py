"""What rows are matched by: smooth convex functions of Z = T W, summed over samples.

A fit has ``value(Z)``, ``gradient(Z)`` of shape (r, m) and ``curvature(Z)`` of shape (r, r, m), the second derivatives.
``max_curvature`` bounds these, and ``curved`` is about their mean where the fit is good; each sample has the share 1/m.
``of_constant`` is the least value that a constant Z has: the scale of a gap.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from bcd_implicit.terms.activation import Activation
from bcd_implicit.terms.loss import Loss


class Fit(Protocol):
    """As the module says."""

    max_curvature: float
    curved: float
    of_constant: float

    def value(self, Z: np.ndarray) -> float:
        """Of Z, shape (r, m)."""

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        """Of the same, shape (r, m)."""

    def curvature(self, Z: np.ndarray) -> np.ndarray:
        """Second derivatives, shape (r, r, m)."""


class RowFit(Fit, Protocol):
    """One whose rows have a level, around which they are matched."""

    def around(self, level: np.ndarray) -> Fit:
        """The fit of what is added to a level, of shape (r, 1)."""


class FenchelFit:
    """The mean of F(x, z) = g(x) + g*(z) - x z, which is zero exactly where x = phi(z).

    Parameters
    ----------
    phi : Activation
    x : ndarray of shape (1, m)
    """

    def __init__(self, phi: Activation, x: np.ndarray) -> None:
        self.phi, self.x, self.m = phi, x, x.shape[1]
        self.max_curvature = phi.max_slope
        # Of a relu the share of samples at which it is not zero, which may be a few of thousands.
        self.curved = float(phi.derivative(phi.g_derivative(x)).mean())
        # The best constant is z = g'(mean x), where phi is the mean.
        self.of_constant = self.value(np.broadcast_to(phi.g_derivative(x.mean(keepdims=True)), x.shape))

    def value(self, Z: np.ndarray) -> float:
        # Not g + g* - x z, which cancels where the fit is good.
        return float(self.phi.divergence(self.x, Z).mean())

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        return np.asarray((self.phi(Z) - self.x) / self.m)

    def curvature(self, Z: np.ndarray) -> np.ndarray:
        return np.asarray(self.phi.derivative(Z)[None] / self.m)

    def around(self, level: np.ndarray) -> Shifted:
        return Shifted(self, level)


class LossFit:
    """The mean loss of Z as a prediction of targets.

    Parameters
    ----------
    loss : Loss
        A smooth one.
    Y : ndarray of shape (r, m)
    """

    def __init__(self, loss: Loss, Y: np.ndarray) -> None:
        self.loss, self.Y, self.m = loss, Y, Y.shape[1]
        self.max_curvature = loss.max_curvature
        self.curved = min(loss.max_curvature, 1.0)
        self.of_constant = loss.loss_of_constant(Y, np.full(self.m, 1 / self.m))

    def value(self, Z: np.ndarray) -> float:
        return float(self.loss.value(Z, self.Y).mean())

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        return self.loss.gradient(Z, self.Y) / self.m

    def curvature(self, Z: np.ndarray) -> np.ndarray:
        units = np.eye(len(Z))[:, :, None]
        columns = [self.loss.second_derivative(Z, self.Y, np.broadcast_to(unit, Z.shape)) for unit in units]
        return np.stack(columns, axis=1) / self.m

    def around(self, level: np.ndarray) -> Fit:
        # Beside a large level what is added would lose its digits.
        return LossFit(self.loss, self.Y - level) if self.loss.quadratic else Shifted(self, level)


class Shifted:
    """A fit of Z plus something known.

    Parameters
    ----------
    fit : Fit
    offset : ndarray of shape (r, m) or (r, 1)
    """

    def __init__(self, fit: Fit, offset: np.ndarray) -> None:
        self.fit, self.offset = fit, offset
        self.max_curvature, self.curved, self.of_constant = fit.max_curvature, fit.curved, fit.of_constant

    def value(self, Z: np.ndarray) -> float:
        return self.fit.value(Z + self.offset)

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        return self.fit.gradient(Z + self.offset)

    def curvature(self, Z: np.ndarray) -> np.ndarray:
        return self.fit.curvature(Z + self.offset)

    def around(self, level: np.ndarray) -> Shifted:
        return Shifted(self.fit, self.offset + level)
