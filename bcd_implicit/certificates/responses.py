"""How the outputs respond to the preactivations at an equilibrium."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from bcd_implicit.certificates.regressors import EPS
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.quadratic_model import QuadraticModel
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import LARGEST_KEPT, parts

# Claimed responses are believed if they miss their equation by no more than this, relative to C.
TRUSTED = 1e-11
# Inverses of matrices that are worse conditioned say nothing.
WORST_CONDITION = 1e12


@dataclass(frozen=True)
class Responses:
    """J_k for all samples; a call gives them some samples at a time.

    Attributes
    ----------
    in_parts : callable
        Gives pairs of samples and array of shape (rows, n, samples).
    error : float
        Bounds the root of the sum of squares of what J_k is off.
    """

    in_parts: Callable[[], Iterable[tuple[slice, np.ndarray]]]
    error: float

    def __call__(self) -> Iterable[tuple[slice, np.ndarray]]:
        return self.in_parts()


def equilibrium_responses(problem: TrainingProblem, base: Iterate, claimed: np.ndarray | None = None) -> Responses:
    """How the outputs respond to the preactivations at an equilibrium: J_k = R_k N_k = R_k (I - D_k A)^-1 D_k.

    With the squared loss R_k = R of C = QR, with others diag(sqrt(h_k)) C, as in
    :class:`~bcd_implicit.problem.quadratic_model.QuadraticModel`. ``claimed``, shape (rows, n, m), is somebody else's
    result. It is believed only if it meets the equation that defines it, J_k (I - A D_k) = R_k D_k. What is computed
    here is kept while it fits into memory, and computed anew each time otherwise.
    """
    n, m = problem.n_hidden, problem.n_samples
    loss = QuadraticModel(problem, base)
    _, R = loss.basis(base.C)
    slopes = problem.activation.derivative(problem.preactivation(base))
    largest = float(loss.rows(np.abs(R).max(axis=1)[:, None], slice(0, m)).max())
    slices = parts(m, n * n)
    # A row of J (I - A D) = R D that is off by e is a row of J off by e (I - A D)^-1, and ||A D||_inf at most this.
    contraction = problem.activation.max_slope * float(np.abs(base.A).sum(axis=1).max())
    gain = np.sqrt(R.size) * np.sqrt(n) / (1 - contraction) if contraction < 1 else np.inf
    usual = 2 * n * EPS * largest  # what a solve leaves of its equation
    measured = contraction >= 1 and problem.room(base.A).min() > 0

    def off(part: slice, J: np.ndarray) -> float:
        """How far J may be off for some samples, by the inverses: a norm of 1 or more says nothing of these."""
        D, rows = slopes[:, part], loss.rows(R, part)
        terms = np.abs(J) + D * (np.abs(base.A.T) @ np.abs(J) + np.abs(rows))
        miss = np.abs(J - D * (base.A.T @ J + rows)) + (np.count_nonzero(base.A, axis=0).max() + 4) * EPS * terms
        inverses = np.abs(np.linalg.inv(np.eye(n) - base.A * D.T[:, None, :]))
        if inverses.max() * (1 + contraction) > WORST_CONDITION:
            return np.inf
        # Twice, as the inverses have fewer digits.
        return 2 * float(np.sqrt(np.max(np.sum(np.einsum("rnk,knj->krj", miss, inverses) ** 2, axis=(1, 2)))))

    if claimed is not None:
        miss = float(np.abs(claimed - slopes * (base.A.T @ claimed + loss.rows(R, slice(0, m)))).max())
        if miss <= TRUSTED * largest:
            error = max(off(part, claimed[:, :, part]) for part in slices) if measured else gain * (miss + usual)
            return Responses(lambda: [(slice(0, m), claimed)], error)

    def part_of(part: slice) -> np.ndarray:
        # Transposed: (R (I - DA)^-1 D)' = D S with (I - A'D) S = R'.
        D = slopes.T[part]
        rows = loss.rows(R, part).transpose(2, 1, 0)
        S = np.linalg.solve(np.eye(n) - base.A.T * D[:, None, :], np.broadcast_to(rows, (len(D), n, len(R))))
        return np.ascontiguousarray((D[:, :, None] * S).transpose(2, 1, 0))

    if m * R.size > LARGEST_KEPT:
        error = max(off(part, part_of(part)) for part in slices) if measured else gain * usual
        return Responses(lambda: ((part, part_of(part)) for part in slices), error)
    kept = [(part, part_of(part)) for part in slices]
    return Responses(lambda: kept, max(off(*each) for each in kept) if measured else gain * usual)
