"""Losses that grow like the absolute value: a few samples far off count for less, and quantiles can be asked for."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.formulas import number, numbers
from bcd_implicit.terms.loss import Loss, columns

# In a quadratic model of a loss with a kink, residuals smaller than this share of their mean count as that large: the
# model's curvature is in inverse proportion to them.
LEAST_RESIDUAL = 0.1
# In place of a zero divisor.
TINY = 1e-100
EPS = float(np.finfo(float).eps)
# Newton steps for a constant prediction.
STEPS = 50


class HuberLoss(Loss):
    """(f - y)^2 / 2 if ``|f - y|`` is at most the threshold, and ``threshold * (|f - y| - threshold/2)`` beyond it.

    Parameters
    ----------
    threshold : float
        Positive, in the targets' units.
    """

    name = "huber"
    max_curvature = 1.0
    free_targets = True
    robust_units = True
    movable = ("threshold",)

    def __init__(self, threshold: float = 1.0) -> None:
        remedy = "Give a positive number, in the targets' units"
        self.threshold = check_number("threshold", threshold, 0, boundaries="neither", remedy=remedy)

    @property
    def parameters(self):
        return {"threshold": self.threshold}

    @property
    def latex(self):
        return self.formula(numbers)

    def formula(self, shown):
        beyond = rf"\sum_i \max(|f_i - y_i| - {shown('threshold', self.threshold)}, 0)^2"
        return rf"\tfrac{{1}}{{2}} \|f - y\|_2^2 - \tfrac{{1}}{{2}} {beyond}"

    def value(self, prediction, Y):
        size = np.abs(prediction - Y)
        inside = np.minimum(size, self.threshold)
        return np.sum(inside * (size - 0.5 * inside), axis=0)

    def gradient(self, prediction, Y):
        return np.clip(prediction - Y, -self.threshold, self.threshold)

    def second_derivative(self, prediction, Y, change):
        return np.where(np.abs(prediction - Y) <= self.threshold, change, 0.0)

    def curvature(self, prediction, Y):
        # The quadratic of least curvature that touches the loss here and lies above it everywhere (de Leeuw and Lange,
        # *Computational Statistics & Data Analysis* 2009).
        return np.minimum(1.0, self.threshold / np.maximum(np.abs(prediction - Y), TINY))

    def conjugate(self, V, Y):
        return np.sum(np.where(np.abs(V) <= self.threshold, 0.5 * V**2 + V * Y, np.inf), axis=0)

    def divergence(self, prediction, V, Y):
        miss = prediction - Y
        beyond = np.maximum(np.abs(miss) - self.threshold, 0.0)
        short = self.threshold - np.sign(miss) * V
        return np.sum(np.where(beyond > 0, short * (beyond + 0.5 * short), 0.5 * (miss - V) ** 2), axis=0)

    def inside(self, V, Y):
        return np.clip(V, -self.threshold, self.threshold)

    def best_constant(self, Y, shares):
        constant = weighted_quantile(Y, shares, 0.5)
        for _ in range(STEPS):  # reweighted means: each lowers the loss
            weights = self.curvature(constant[:, None], Y) * shares
            constant = np.sum(weights * Y, axis=1) / weights.sum(axis=1)
        return constant

    def cvxpy(self, prediction, Y, weights=1.0):
        return 0.5 * cp.sum(cp.multiply(columns(weights, Y.shape), cp.huber(prediction - Y, self.threshold)))


class KinkedLoss(Loss):
    """above (f - y) if f > y, and below (y - f) if f < y: a kink at the target."""

    smooth = False
    free_targets = True
    above: float
    below: float

    def value(self, prediction, Y):
        miss = prediction - Y
        return np.sum(np.where(miss > 0, self.above * miss, -self.below * miss), axis=0)

    def gradient(self, prediction, Y):
        miss = prediction - Y
        return np.where(miss > 0, self.above, np.where(miss < 0, -self.below, 0.5 * (self.above - self.below)))

    def curvature(self, prediction, Y):
        # As Huber's: with |f - y| in both slopes' mean it is the tight quadratic above the loss (Hunter and Lange,
        # *Journal of Computational and Graphical Statistics* 2000).
        size = np.abs(prediction - Y)
        # Where all are met, residuals are rounding of the targets.
        rounding = EPS * np.abs(Y).max(axis=1, keepdims=True)
        least = np.maximum(np.maximum(LEAST_RESIDUAL * size.mean(axis=1, keepdims=True), rounding), TINY)
        return 0.5 * (self.above + self.below) / np.maximum(size, least)

    def conjugate(self, V, Y):
        outside = (self.above < V) | (-self.below > V)
        return np.sum(np.where(outside, np.inf, V * Y), axis=0)

    def divergence(self, prediction, V, Y):
        miss = prediction - Y
        return np.sum(np.where(miss > 0, (self.above - V) * miss, -(self.below + V) * miss), axis=0)

    def inside(self, V, Y):
        return np.clip(V, -self.below, self.above)

    def best_constant(self, Y, shares):
        return weighted_quantile(Y, shares, self.below / (self.above + self.below))

    def cvxpy(self, prediction, Y, weights=1.0):
        weights, miss = columns(weights, Y.shape), prediction - Y
        above, below = cp.multiply(self.above * weights, cp.pos(miss)), cp.multiply(self.below * weights, cp.neg(miss))
        return cp.sum(above) + cp.sum(below)

    def smoothed(self, V, width):
        return Envelope(self, V, width)


class AbsoluteLoss(KinkedLoss):
    """``|f - y|``: the prediction is a median."""

    name = "absolute"
    latex = r"\|f - y\|_1"
    above = below = 1.0


class QuantileLoss(KinkedLoss):
    """level (y - f) if f < y, (1 - level) (f - y) if f > y: the prediction is the quantile of that level.

    Parameters
    ----------
    level : float in (0, 1)
        Nine targets in ten are below the quantile of level 0.9. (Koenker and Bassett, *Econometrica* 1978.)
    """

    name = "quantile"

    def __init__(self, level: float = 0.5) -> None:
        remedy = "Choose a level such as 0.9"
        self.level = check_number("level", level, 0, 1, boundaries="neither", remedy=remedy)
        self.above, self.below = 1 - self.level, self.level

    @property
    def parameters(self):
        return {"level": self.level}

    @property
    def latex(self):
        return rf"\sum_i \max({number(self.below)}\,(y_i - f_i), {number(self.above)}\,(f_i - y_i))"


class Envelope(Loss):
    """The Moreau envelope of a loss with a kink: quadratic near the target and linear beyond, as Huber's.

    It is max_v <v, f - y> - width/2 ||v - V||^2, over the dual points v of the loss.

    Parameters
    ----------
    loss : Loss
    V : ndarray of shape (q, m), or one that broadcasts to it
        Dual points at which nothing is taken off the loss.
    width : float or ndarray of shape (q, 1)
    """

    name: ClassVar[str] = "envelope"
    free_targets = True

    def __init__(self, loss: KinkedLoss, V: np.ndarray, width: float | np.ndarray) -> None:
        self.loss, self.V, self.width = loss, V, width

    def of_outputs(self, outputs):
        V, width = (
            part[outputs] if len(part) > 1 else part for part in (np.atleast_2d(self.V), np.atleast_2d(self.width))
        )
        return Envelope(self.loss, V, width)

    def value(self, prediction, Y):
        v = self.gradient(prediction, Y)
        return np.sum(v * (prediction - Y) - 0.5 * self.width * (v - self.V) ** 2, axis=0)

    def gradient(self, prediction, Y):
        return self.loss.inside(self.V + (prediction - Y) / self.width, Y)

    def second_derivative(self, prediction, Y, change):
        v = self.V + (prediction - Y) / self.width
        return np.where((-self.loss.below < v) & (v < self.loss.above), change / self.width, 0.0)

    def curvature(self, prediction, Y):
        # As Huber's, which it is but for a shift and a slope.
        slope = 0.5 * (self.loss.above + self.loss.below)
        from_centre = self.width * (self.V - 0.5 * (self.loss.above - self.loss.below)) + (prediction - Y)
        return slope / np.maximum(np.abs(from_centre), slope * self.width)

    def conjugate(self, V, Y):
        return self.loss.conjugate(V, Y) + np.sum(0.5 * self.width * (V - self.V) ** 2, axis=0)

    def divergence(self, prediction, V, Y):
        v, miss = self.gradient(prediction, Y), prediction - Y
        beyond = miss - self.width * (v - self.V)
        # Beyond is zero unless v is at an end, and then of that end's sign: nothing cancels.
        return np.sum((v - V) * (beyond + 0.5 * self.width * (v - V)), axis=0)

    def inside(self, V, Y):
        return self.loss.inside(V, Y)

    def best_constant(self, Y, shares):
        return self.loss.best_constant(Y, shares)

    def cvxpy(self, prediction, Y, weights=1.0):
        near = cp.Variable(Y.shape)
        weights = columns(weights, Y.shape)
        quadratic = cp.multiply(weights / (2 * self.width), near**2) + cp.multiply(weights * self.V, near)
        return self.loss.cvxpy(prediction - near, Y, weights) + cp.sum(quadratic)


def weighted_quantile(Y: np.ndarray, shares: np.ndarray, level: float) -> np.ndarray:
    """The quantile of each row of Y (q, m), shape (q,), where samples have shares, of sum 1."""
    order = np.argsort(Y, axis=1)
    reached = np.cumsum(shares[order], axis=1) >= level * (1 - 1e-12)
    return np.take_along_axis(Y, np.take_along_axis(order, reached.argmax(axis=1)[:, None], axis=1), axis=1)[:, 0]
