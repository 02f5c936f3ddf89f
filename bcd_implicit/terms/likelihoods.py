"""Losses that are likelihoods, up to a constant: of a class, of several yes-or-no answers, of a count.

The prediction is on the scale of logarithms. A dual point v is what a mean may differ from the target: v + y is a
probability, or a rate.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, softmax, xlogy

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.terms.entropy import exp_rest, relative_entropy
from bcd_implicit.terms.loss import Loss, columns, in_rows, refuse

# A quadratic model's curvature is at least this share of the gradient's absolute value, so that its minimum is no more
# than four away: where a sample is on the wrong side, the second derivative is next to zero.
LEAST_CURVATURE = 0.25
# The least and most share that a best constant may stand for: of a class with no sample the logarithm is infinite.
LEAST_SHARE = 1e-6
# Sums of probabilities may be off by rounding.
SUM_OFF = 1e-9


class LogisticLoss(Loss):
    """log(1 + e^f) - y f for y in [0, 1]: each output a yes-or-no answer by itself (multi-label), f its log odds."""

    name = "logistic"
    latex = r"\sum_i \log(1 + e^{f_i}) - y_i f_i"
    link = "logit"
    max_curvature = 0.25

    def check_targets(self, Y, names, argument="Y", place=in_rows):
        remedy = 'Pass 0 and 1, or probabilities; classes as pandas.get_dummies(y) with loss="cross-entropy"'
        cause = "the logistic loss needs targets from 0 to 1"
        refuse((Y < 0) | (Y > 1), Y, cause, remedy, names, argument, place)

    def value(self, prediction, Y):
        # Not log(1 + e^f) - y f, which cancels where the sample is on the right side.
        return np.sum(Y * np.logaddexp(0, -prediction) + (1 - Y) * np.logaddexp(0, prediction), axis=0)

    def gradient(self, prediction, Y):
        return (1 - Y) * expit(prediction) - Y * expit(-prediction)

    def second_derivative(self, prediction, Y, change):
        return expit(prediction) * expit(-prediction) * change

    def curvature(self, prediction, Y):
        second = expit(prediction) * expit(-prediction)
        return np.maximum(second, LEAST_CURVATURE * np.abs(self.gradient(prediction, Y)))

    def conjugate(self, V, Y):
        p = V + Y
        with np.errstate(invalid="ignore"):
            value = xlogy(p, p) + xlogy(1 - p, 1 - p)
        return np.sum(np.where((p < 0) | (p > 1), np.inf, value), axis=0)

    def divergence(self, prediction, V, Y):
        change = V - self.gradient(prediction, Y)
        return np.sum(
            relative_entropy(expit(prediction), change) + relative_entropy(expit(-prediction), -change), axis=0
        )

    def inside(self, V, Y):
        return np.clip(V, -Y, 1 - Y)

    def best_constant(self, Y, shares):
        return logit(np.clip(Y @ shares, LEAST_SHARE, 1 - LEAST_SHARE))

    def cvxpy(self, prediction, Y, weights=1.0):
        weights = columns(weights, Y.shape)
        return cp.sum(cp.multiply(weights, cp.logistic(prediction))) - cp.sum(cp.multiply(weights * Y, prediction))


class CrossEntropy(Loss):
    """log sum_i e^f_i - <y, f> for y the indicator of a class, or the probabilities of classes, p = softmax(f).

    A constant added to all predictions of a sample changes nothing.
    """

    name = "cross-entropy"
    latex = r"\log \sum_i e^{f_i} - \sum_i y_i f_i"
    link = "softmax"
    separable = False
    max_curvature = 0.5

    def check_targets(self, Y, names, argument="Y", place=in_rows):
        remedy = "Pass one column for each class: 1 for the sample's own class, else 0, as from pandas.get_dummies(y)"
        refuse(Y < 0, Y, "the cross-entropy needs probabilities of classes", remedy, names, argument, place)
        if len(Y) < 2:
            raise InvalidInputError(
                argument, "the cross-entropy needs a column for each class, but there is one", remedy
            )
        totals = Y.sum(axis=0)
        if (bad := np.abs(totals - 1) > SUM_OFF).any():
            sample = int(bad.argmax())
            cause = f"the cross-entropy needs columns that sum to 1, and {place(sample)} sums to {totals[sample]:.6g}"
            raise InvalidInputError(argument, cause, remedy)

    def value(self, prediction, Y):
        largest, rest, _ = self._parts(prediction)
        return np.sum(Y * (largest - prediction), axis=0) + np.log1p(rest)

    @staticmethod
    def _parts(prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The largest prediction of each sample, the sum of e^(f - largest) over the others, and which is the largest.

        The others' sum by itself, so that what they are short of nothing is not lost beside 1.
        """
        first = prediction.argmax(axis=0)
        largest = np.take_along_axis(prediction, first[None], axis=0)[0]
        weights = np.exp(prediction - largest)
        is_first = np.arange(len(prediction))[:, None] == first
        weights[is_first] = 0.0
        return largest, weights.sum(axis=0), is_first

    def _probabilities(self, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both p and 1 - p, neither from the other where it is small."""
        _, rest, is_first = self._parts(prediction)
        p = softmax(prediction, axis=0)
        return p, np.where(is_first, rest / (1 + rest), 1 - p)

    def gradient(self, prediction, Y):
        p, others = self._probabilities(prediction)
        return (1 - Y) * p - Y * others

    def second_derivative(self, prediction, Y, change):
        p = softmax(prediction, axis=0)
        return p * (change - np.sum(p * change, axis=0))

    def second_diagonal(self, prediction, Y):
        p, others = self._probabilities(prediction)
        return p * others

    def curvature(self, prediction, Y):
        # diag(p) - pp' is at most diag(2 p (1 - p)): its rows' absolute sums are these (Gershgorin).
        p, others = self._probabilities(prediction)
        gradient = (1 - Y) * p - Y * others
        return 2 * np.maximum(p * others, LEAST_CURVATURE * np.abs(gradient))

    def conjugate(self, V, Y):
        p = V + Y
        with np.errstate(invalid="ignore"):
            value = np.sum(xlogy(p, p), axis=0)
        off = np.abs(V.sum(axis=0)) > SUM_OFF
        return np.where((p < 0).any(axis=0) | off, np.inf, value)

    def divergence(self, prediction, V, Y):
        change = V - self.gradient(prediction, Y)
        # The changes sum to zero.
        return np.sum(relative_entropy(self._probabilities(prediction)[0], change), axis=0)

    def inside(self, V, Y):
        # Rounding alone takes a gradient out of the simplex, and a step that leaves it is cut.
        p = np.maximum(V + Y, 0.0)
        inside = (V + Y >= 0).all(axis=0) & (np.abs(V.sum(axis=0)) <= SUM_OFF)
        return np.where(inside, V, p / p.sum(axis=0) - Y)

    def best_constant(self, Y, shares):
        logs = np.log(np.maximum(Y @ shares, LEAST_SHARE))
        return logs - logs.mean()

    def cvxpy(self, prediction, Y, weights=1.0):
        weights = columns(weights, Y.shape[1:])
        logs = cp.log_sum_exp(prediction, axis=0)
        return cp.sum(cp.multiply(weights, logs)) - cp.sum(cp.multiply(weights * Y, prediction))


class PoissonLoss(Loss):
    """e^f - y f + y log y - y for y >= 0, half the deviance of a count, or rate, with mean e^f."""

    name = "poisson"
    latex = r"\sum_i e^{f_i} - y_i f_i + y_i \log y_i - y_i"
    link = "log"

    def check_targets(self, Y, names, argument="Y", place=in_rows):
        remedy = "Pass counts or rates; for other numbers use the squared, Huber or absolute loss"
        refuse(Y < 0, Y, "the Poisson loss needs targets of 0 or more", remedy, names, argument, place)

    @staticmethod
    def _logs(Y: np.ndarray) -> np.ndarray:
        return np.log(np.where(Y > 0, Y, 1.0))

    def value(self, prediction, Y):
        above = prediction - self._logs(Y)
        # Not Y times, which may be zero times infinity.
        with np.errstate(over="ignore"):
            rest = np.where(Y > 0, exp_rest(above), self.response(prediction))
            return np.sum(np.where(Y > 0, Y, 1.0) * rest, axis=0)

    def gradient(self, prediction, Y):
        with np.errstate(over="ignore"):
            return np.where(Y > 0, Y, 1.0) * np.where(Y > 0, np.expm1(prediction - self._logs(Y)), np.exp(prediction))

    def second_derivative(self, prediction, Y, change):
        return self.response(prediction) * change

    def curvature(self, prediction, Y):
        # Half of what it is where the rate is the target: below that the second derivative is next to zero.
        return np.maximum(self.response(prediction), 0.5 * Y)

    def conjugate(self, V, Y):
        rate = V + Y
        with np.errstate(invalid="ignore"):
            value = xlogy(rate, rate) - rate - xlogy(Y, Y) + Y
        return np.sum(np.where(rate < 0, np.inf, value), axis=0)

    def divergence(self, prediction, V, Y):
        return np.sum(relative_entropy(self.response(prediction), V - self.gradient(prediction, Y)), axis=0)

    def inside(self, V, Y):
        return np.maximum(V, -Y)

    def best_constant(self, Y, shares):
        mean = Y @ shares
        return np.log(np.where(mean > 0, mean, LEAST_SHARE))

    def cvxpy(self, prediction, Y, weights=1.0):
        weights = columns(weights, Y.shape)
        constant = float(np.sum(weights * (xlogy(Y, Y) - Y)))
        inner = cp.sum(cp.multiply(weights * Y, prediction))
        return cp.sum(cp.multiply(weights, cp.exp(prediction))) - inner + constant
