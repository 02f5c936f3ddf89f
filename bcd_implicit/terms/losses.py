"""Losses L(prediction, Y): value, gradient and CVXPY expression.

The blocks use the fact that the squared loss is quadratic (Gram matrices, the closed form of the output
block). A further loss adds a class here and, in the blocks, the form that suits it.
"""

from __future__ import annotations

from typing import ClassVar

import cvxpy as cp
import numpy as np

from bcd_implicit.errors import check_choice


class Loss:
    """A convex loss, summed over outputs."""

    name: ClassVar[str]

    def value(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """The loss of each sample, shape (m,), for arrays of shape (q, m)."""
        raise NotImplementedError

    def gradient(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Gradient with respect to the prediction, shape (q, m)."""
        raise NotImplementedError

    def cvxpy(self, prediction: cp.Expression, Y: np.ndarray) -> cp.Expression:
        """The sum over samples as a CVXPY expression."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<loss {self.name}>"


class SquaredLoss(Loss):
    """L = 1/2 ||prediction - Y||_F^2."""

    name = "squared"

    def value(self, prediction, Y):
        # A value a sample: the problem weighs them.
        return 0.5 * np.sum((prediction - Y) ** 2, axis=0)

    def gradient(self, prediction, Y):
        return prediction - Y

    def cvxpy(self, prediction, Y):
        return 0.5 * cp.sum_squares(prediction - Y)


#: The losses, by name.
LOSSES: dict[str, Loss] = {loss.name: loss for loss in (SquaredLoss(),)}


def get_loss(loss: str | Loss) -> Loss:
    """Look a loss up by name; a :class:`Loss` passes through.

    Raises
    ------
    InvalidInputError
        The name is not known; the message lists those that are.
    """
    if isinstance(loss, Loss):
        return loss
    return LOSSES[check_choice("loss", loss, LOSSES)]
