"""A problem for every loss, with targets as it needs them, in any units; its objective in sixty digits."""

from __future__ import annotations

import mpmath
import numpy as np
from exact import loss_of

from bcd_implicit import Iterate, TrainingProblem
from bcd_implicit.terms.losses import (
    AbsoluteLoss,
    CrossEntropy,
    HuberLoss,
    LogisticLoss,
    Loss,
    PoissonLoss,
    QuantileLoss,
)

KINKED = [AbsoluteLoss(), QuantileLoss(0.9)]
LIKELIHOODS = [LogisticLoss(), CrossEntropy(), PoissonLoss()]
OTHER_LOSSES = [HuberLoss(1.0), HuberLoss(0.05), *KINKED, *LIKELIHOODS]


def loss_targets(loss: Loss, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Targets, (m, q), that a signal says something of: no model meets them all."""
    match loss.name:
        case "logistic":
            return (signal + rng.logistic(size=signal.shape) > 0).astype(float)
        case "cross-entropy":
            return np.eye(signal.shape[1])[(signal + rng.gumbel(size=signal.shape)).argmax(axis=1)]
        case "poisson":
            return rng.poisson(np.exp(np.clip(signal, -5, 5))).astype(float)
    return signal + 0.3 * rng.standard_t(1.5, size=signal.shape)


def loss_problem(loss: Loss, size: tuple[int, int, int, int], seed: int = 0, units: float = 1.0, **options):
    """Of (n, p, q, m); the targets of losses that take any are in these units, and so is Huber's threshold."""
    n, p, q, m = size
    rng = np.random.default_rng([seed, *size])
    U = rng.standard_normal((m, p))
    Y = loss_targets(loss, U[:, :3] @ rng.standard_normal((min(3, p), q)), rng)
    if loss.free_targets:
        Y = Y * units
    if isinstance(loss, HuberLoss):
        loss = HuberLoss(loss.threshold * units)
    return TrainingProblem(U, Y, n, loss=loss, **options)


def loss_iterate(problem: TrainingProblem, seed: int = 0, units: float = 1.0) -> Iterate:
    """Random C, D and d at random states."""
    rng = np.random.default_rng([seed, 7])
    it = problem.initial(seed)
    C, D, d = (units * rng.standard_normal(getattr(it, letter).shape) for letter in "CDd")
    return it.replace(C=C, D=0.3 * D * problem.pass_through, d=d * problem.fit_intercept)


def exact_output_objective(problem: TrainingProblem, it: Iterate) -> mpmath.mpf:
    """The mean loss and the ridge on C and D."""
    exactly = np.vectorize(lambda number: mpmath.mpf(float(number)), otypes=[object])
    C, D, d, X, U, Y, shares = map(exactly, (it.C, it.D, it.d, it.X, problem.U, problem.Y, problem.shares))
    F = C @ X + D @ U + d[:, None]
    losses = [loss_of(problem.loss)(f, y) for f, y in zip(F.T, Y.T, strict=True)]
    ridge = mpmath.mpf(problem.ridge) / 2 * (np.sum(C * C) + np.sum(D * D))
    return sum(share * loss for share, loss in zip(shares, losses, strict=True)) + ridge
