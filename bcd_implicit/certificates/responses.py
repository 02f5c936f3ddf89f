"""How the outputs respond to the preactivations at an equilibrium."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import LARGEST_KEPT, parts

# Claimed responses are believed if they miss their equation by no more than this, relative to C.
TRUSTED = 1e-11
# R N_k for all samples, as (samples, array of shape (len(R), n, samples)), some samples at a time.
Responses = Callable[[], Iterable[tuple[slice, np.ndarray]]]


def equilibrium_responses(problem: TrainingProblem, base: Iterate, claimed: np.ndarray | None = None) -> Responses:
    """How the outputs respond to the preactivations at an equilibrium: R N_k = R (I - D_k A)^-1 D_k with C = QR.

    ``claimed``, shape (len(R), n, m), is somebody else's result. It is believed only if it meets the equation that
    defines it, J_k (I - A D_k) = R D_k. What is computed here is kept while it fits into memory, and computed anew
    each time otherwise.
    """
    n, m = problem.n_hidden, problem.n_samples
    R = np.linalg.qr(base.C)[1]
    slopes = problem.activation.derivative(problem.preactivation(base))
    if claimed is not None:
        miss = claimed - slopes * (base.A.T @ claimed + R[:, :, None])
        if np.abs(miss).max() <= TRUSTED * np.abs(R).max():
            return lambda: [(slice(0, m), claimed)]

    def part_of(part: slice) -> np.ndarray:
        # Transposed: (R (I - DA)^-1 D)' = D S with (I - A'D) S = R'.
        D = slopes.T[part]
        S = np.linalg.solve(np.eye(n) - base.A.T * D[:, None, :], np.broadcast_to(R.T, (len(D), n, len(R))))
        return np.ascontiguousarray((D[:, :, None] * S).transpose(2, 1, 0))

    slices = parts(m, n * n)
    if m * R.size > LARGEST_KEPT:
        return lambda: ((part, part_of(part)) for part in slices)
    kept = [(part, part_of(part)) for part in slices]
    return lambda: kept
