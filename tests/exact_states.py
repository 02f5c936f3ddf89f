"""The state block's objective for any loss by its definition, in the numbers of mpmath."""

from __future__ import annotations

import numpy as np
from exact import divergence, exactly, loss_of

from bcd_implicit import Iterate, TrainingProblem


def state_objectives(problem: TrainingProblem, base: Iterate, proximal: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The state block's objective of every sample at X, with a base point's matrices and without regularisation."""
    A, B, b, C, D, d = (exactly(getattr(base, letter)) for letter in "ABbCDd")
    U, Y, P, weights, X = (exactly(part) for part in (problem.U, problem.Y, proximal, problem.fenchel_weights, X))
    Z, F, step = A @ X + B @ U + b[:, None], C @ X + D @ U + d[:, None], X - exactly(base.X)
    loss = loss_of(problem.loss)
    losses = np.array([loss(f, y) for f, y in zip(F.T, Y.T, strict=True)])
    return losses + weights @ divergence(problem.activation.name, X, Z) + np.sum(step * (P @ step), axis=0) / 2
