"""How often random halves of the samples keep an input."""

from __future__ import annotations

from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.sample_groups import halves
from bcd_implicit.selection.walk import Wanted, walk
from bcd_implicit.support.checks import check_number, random_generator
from bcd_implicit.support.interruption import stoppable
from bcd_implicit.support.parallel import in_parallel
from bcd_implicit.support.progress import Progress, show_progress


def frequencies(
    path: PathRecord,
    n_subsamples: int,
    random_state: int | None,
    n_jobs: int | None = None,
    progress: bool | Progress = False,
    sample_groups: np.ndarray | None = None,
    max_seconds: float | None = None,
) -> np.ndarray:
    """In which share of random halves of the samples an input is in, at each kappa of a path.

    The halves come in complementary pairs (Shah and Samworth 2013), each with a start of its own.

    Returns
    -------
    ndarray of shape (n_kappas, p)

    Raises
    ------
    InvalidInputError
        Fewer than 2 subsamples, or fewer than 4 samples to divide.
    NothingYetError
        ``max_seconds`` passed before all were done: some alone have no frequencies.
    """
    n_subsamples = check_number("n_subsamples", n_subsamples, 2, integer=True, remedy="Give 2 or more")
    m = path.problem.n_samples
    # Each half is a problem, which needs two samples.
    if m < 4:
        raise InvalidInputError("n_subsamples", f"{m} samples cannot be halved", "At least 4 are needed")
    rng = random_generator(random_state)
    parts: list[np.ndarray] = []
    while len(parts) < n_subsamples:
        parts += halves(m, rng, sample_groups)
    # Drawn before the work is spread, so that the number of jobs plays no part.
    seeds = rng.integers(2**31, size=n_subsamples)
    jobs = [
        (path.problem, half, path.kappas, int(seed), path.solve_options, Wanted(max_features=path.max_features))
        # Of an odd number the last half has no partner.
        for half, seed in zip(parts[:n_subsamples], seeds, strict=True)
    ]
    with stoppable(max_seconds), show_progress(progress, "subsamples") as tell:
        return np.mean(list(in_parallel(_supports_on, jobs, n_jobs, tell)), axis=0)


def _supports_on(
    problem: TrainingProblem,
    samples: np.ndarray,
    kappas: np.ndarray,
    seed: int,
    options: dict[str, Any],
    wanted: Wanted,
) -> np.ndarray:
    """The supports of the path on some samples: bool, (n_kappas, p)."""
    smaller = problem.subset(samples)
    # Only supports are looked at: no certificate is needed.
    results = walk(smaller, kappas, smaller.initial(seed), options | {"block_tol": None}, wanted=wanted)
    supports = np.zeros((len(kappas), problem.n_inputs), dtype=bool)
    for row, result in zip(supports, results, strict=False):  # the walk ends early where B = 0
        row[:] = result.problem.selected(result.iterate)
    return supports
