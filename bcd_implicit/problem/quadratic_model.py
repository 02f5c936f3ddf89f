"""The loss near a point, as a quadratic of the predictions: what the prox-linear block is made of."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.multipliers import multipliers
from bcd_implicit.problem.training_problem import TrainingProblem

# Where a class is beyond doubt, loss, gradient and curvature underflow together: in place of a zero divisor.
TINY = np.finfo(float).tiny


class QuadraticModel:
    """The mean loss after a change E of the predictions, sum_k omega_k (L_k + v_k'e_k + h_k'e_k^2/2).

    In the coordinates sqrt(h) e the model is a least-squares problem: half the squared distance to ``target``, plus a
    ``constant``. For the squared loss it is the loss itself.

    Attributes
    ----------
    scales : ndarray of shape (q, m) or None
        sqrt(h), of the loss's own curvature h; None for ones.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self._problem, self._it, loss = problem, it, problem.loss
        self._prediction = problem.prediction(it)
        self.scales = None
        if not loss.quadratic:
            self.scales = np.sqrt(np.maximum(loss.curvature(self._prediction, problem.Y), TINY))

    # Multipliers at kinks take a regression: not for who asks for the scales alone.
    @cached_property
    def gradient(self) -> np.ndarray:
        """V, that of the loss, shape (q, m); at its kinks the multipliers."""
        return multipliers(self._problem, self._it)

    @cached_property
    def target(self) -> np.ndarray:
        """Minus V / sqrt(h), shape (q, m)."""
        return -self.gradient if self.scales is None else -self.gradient / self.scales

    @cached_property
    def mean_loss(self) -> float:
        """The exact loss before the change."""
        problem = self._problem
        return float(problem.loss.value(self._prediction, problem.Y) @ problem.shares)

    @cached_property
    def constant(self) -> float:
        """The least value of the model: the mean loss less half the mean square of ``target``."""
        if self.scales is None:
            return 0.0
        return self.mean_loss - 0.5 * float(np.sum(self.target**2 @ self._problem.shares))

    @property
    def largest_scale(self) -> float:
        """The largest of ``scales``."""
        return 1.0 if self.scales is None else float(self.scales.max())

    def scaled(self, change: np.ndarray, part: slice = slice(None)) -> np.ndarray:
        """A change of the outputs, (q, samples), in the model's coordinates; and, as that is symmetric, pulled back."""
        return change if self.scales is None else change * self.scales[:, part]

    def basis(self, C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Q and R with C = QR: where samples weigh alike, outputs outside the range of C do not answer."""
        if self.scales is not None:
            return np.eye(len(C)), C
        Q, R = np.linalg.qr(C)
        return Q, R

    def rows(self, R: np.ndarray, part: slice) -> np.ndarray:
        """diag(sqrt(h_k)) R of some samples: shape (rows, n, samples), or (rows, n, 1) where they are all alike."""
        return R[:, :, None] if self.scales is None else R[:, :, None] * self.scales[:, None, part]

    def mean_of(self, J: np.ndarray, part: slice) -> np.ndarray:
        """The sum of omega_k diag(sqrt(h_k)) J_k over some samples, for J of shape (rows, n, samples)."""
        shares = self._problem.shares[part]
        return J @ shares if self.scales is None else np.einsum("rnk,rk->rn", J, self.scales[:, part] * shares)

    def mean_curvature(self) -> np.ndarray:
        """The weighted mean of h, shape (q,)."""
        shares = self._problem.shares
        return np.ones(len(self._prediction)) if self.scales is None else self.scales**2 @ shares
