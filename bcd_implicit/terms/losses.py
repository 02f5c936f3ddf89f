"""The losses by name: L(f, y) for predictions f = Cx + Du + d and targets y.

The blocks ask a loss for its value, gradient, curvature and conjugate and know none by name. Of the squared loss alone
they use that it is quadratic: Gram matrices, and the closed form of the output block.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.by_name import check_defined, named_or_given
from bcd_implicit.terms.likelihoods import CrossEntropy, LogisticLoss, PoissonLoss
from bcd_implicit.terms.loss import NEEDED, Loss, columns
from bcd_implicit.terms.robust_losses import AbsoluteLoss, HuberLoss, QuantileLoss

__all__ = [
    "LOSSES",
    "AbsoluteLoss",
    "CrossEntropy",
    "HuberLoss",
    "LogisticLoss",
    "Loss",
    "PoissonLoss",
    "QuantileLoss",
    "SquaredLoss",
    "get_loss",
]


class SquaredLoss(Loss):
    """L = 1/2 ||prediction - Y||_F^2."""

    name = "squared"
    latex = r"\tfrac{1}{2} \|f - y\|_2^2"
    quadratic = True
    max_curvature = 1.0
    free_targets = True

    def value(self, prediction, Y):
        return 0.5 * np.sum((prediction - Y) ** 2, axis=0)

    def gradient(self, prediction, Y):
        return prediction - Y

    def curvature(self, prediction, Y):
        return np.ones_like(Y)

    def conjugate(self, V, Y):
        return np.sum(V * (0.5 * V + Y), axis=0)

    def divergence(self, prediction, V, Y):
        return 0.5 * np.sum((prediction - Y - V) ** 2, axis=0)

    def best_constant(self, Y, shares):
        return Y[:, 0] + (Y - Y[:, :1]) @ shares

    def cvxpy(self, prediction, Y, weights=1.0):
        # The weights inside the square: one sum of squares for a conic solver.
        return 0.5 * cp.sum_squares(cp.multiply(columns(np.sqrt(weights), Y.shape), prediction - Y))


#: The losses, by name; those with parameters at their defaults.
LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        *(SquaredLoss(), HuberLoss(), AbsoluteLoss(), QuantileLoss()),
        *(LogisticLoss(), CrossEntropy(), PoissonLoss()),
    )
}


def get_loss(loss: str | Loss) -> Loss:
    """Look a loss up by name; a :class:`~bcd_implicit.Loss` passes through.

    Raises
    ------
    InvalidInputError
        The name is not known (the message lists those that are), it is no loss, or its class lacks a method.
    """
    found = named_or_given("loss", loss, Loss, LOSSES, NEEDED)
    check_defined("loss", found, Loss, () if found.smooth else ("smoothed",))
    return found
