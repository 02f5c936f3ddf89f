"""The loss as a part of the hidden block: of D and d, where the groups are columns of (B; D)."""

from __future__ import annotations

import numpy as np

from bcd_implicit.certificates.regressors import CentredRegressors, rms
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# Newton steps for the intercepts, halvings of one, and the share of the promised decrease that it has to bring.
STEPS, HALVINGS, ARMIJO = 50, 30, 1e-4


class StackedOutputs:
    """The mean loss of CX + DU + d for fixed CX, and a dual point of it; of no outputs where D is not a variable.

    Parameters
    ----------
    problem : TrainingProblem
    regressors : CentredRegressors
    it : Iterate

    Attributes
    ----------
    V : ndarray of shape (q, m)
        The gradient with respect to the predictions; q is 0 where D is not a variable.
    dual : ndarray of shape (q, m)
        The same after the intercepts are re-solved, so that its weighted sums are zero.
    """

    def __init__(self, problem: TrainingProblem, regressors: CentredRegressors, it: Iterate) -> None:
        self.loss, self.shares = problem.loss, problem.shares
        rows = slice(None) if problem.stacked else slice(0, 0)
        self.Y, C, D, d = problem.Y[rows], it.C[rows], it.D[rows], it.d[rows]
        self.base = C @ it.X
        through, rounding = regressors.image(np.zeros_like(C), D, d)
        sizes = rms(self.Y, self.shares) + np.abs(C) @ rms(it.X, self.shares)
        self.prediction, self.rounding = through + self.base, rounding + regressors.unit * sizes
        self.V = self.gradient(self.prediction)
        moved = self._balanced(self.prediction) if problem.fit_intercept else self.prediction
        self.dual = self.gradient(moved)
        # Intercepts move predictions as a whole, and the optimum's are of the size of these.
        self._reach = rms(self.prediction, self.shares) + rms(moved, self.shares)

    def gradient(self, prediction: np.ndarray) -> np.ndarray:
        """That of the loss, shape (q, m)."""
        return self.loss.inside(self.loss.gradient(prediction, self.Y), self.Y) if len(self.Y) else self.Y

    def value(self, prediction: np.ndarray) -> float:
        """The mean loss."""
        return float(self.loss.value(prediction, self.Y) @ self.shares) if len(self.Y) else 0.0

    @property
    def largest_curvature(self) -> float:
        """The largest second derivative of the loss, or of its model here."""
        if not len(self.Y):
            return 0.0
        bounded = np.isfinite(self.loss.max_curvature)
        return self.loss.max_curvature if bounded else float(self.loss.curvature(self.prediction, self.Y).max())

    def gap(self, s: float, left: np.ndarray) -> float:
        """The loss's part of the gap at the dual point times s, with its rounding.

        ``left``, shape (q,), is what the weighted sums of the dual point may be off zero by. A constant added to it
        takes that, where any dual point will do; else it is paid for as far as the optimum's intercepts may be.
        """
        if not len(self.Y):
            return 0.0
        V = s * self.dual
        if self.loss.quadratic:
            rest = rms(self.V - V, self.shares) + self.rounding + s * left
            return 0.5 * float(rest @ rest)
        divergence = float(self.loss.divergence(self.prediction, V, self.Y) @ self.shares)
        # Its derivative with respect to the prediction is gradient - V.
        curvature = self.loss.curvature(self.prediction, self.Y) @ self.shares
        rounding = rms(self.V - V, self.shares) @ self.rounding + 0.5 * curvature @ self.rounding**2
        return divergence + float(rounding) + s * float(left @ self._reach)

    def _balanced(self, prediction: np.ndarray) -> np.ndarray:
        """The predictions moved by the constants at which the mean loss is least: Newton's method."""
        q = len(self.Y)
        if not q:
            return prediction
        value = self.value(prediction)
        for _ in range(STEPS):
            slopes = self.gradient(prediction) @ self.shares
            curvature = np.stack([self._second(prediction, unit) @ self.shares for unit in np.eye(q)], axis=1)
            # Of a rate beyond numbers nothing is known.
            if not np.isfinite(curvature).all() or not np.isfinite(slopes).all():
                return prediction
            step = np.linalg.lstsq(curvature, -slopes, rcond=None)[0]
            promise = -float(slopes @ step)
            for halving in range(HALVINGS):
                trial = prediction + 0.5**halving * step[:, None]
                new = self.value(trial)
                if new <= value - ARMIJO * 0.5**halving * promise:
                    break
            else:
                return prediction
            if not new < value:
                return trial
            prediction, value = trial, new
        return prediction

    def _second(self, prediction: np.ndarray, unit: np.ndarray) -> np.ndarray:
        change = np.broadcast_to(unit[:, None], prediction.shape)
        return self.loss.second_derivative(prediction, self.Y, change)
