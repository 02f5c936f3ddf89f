"""The kappa path, from small to large with warm starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.path_result import PathResult
from bcd_implicit.selection.solve_path import solve_path
from bcd_implicit.support.choices import AUTO
from bcd_implicit.support.progress import Progress
from bcd_implicit.training.result import BcdResult


def kappa_path(
    problem: TrainingProblem,
    n_kappas: int = 20,
    random_state: int | None = 0,
    *,
    kappas: Sequence[float] | None = None,
    n_features: int | None = None,
    max_features: int | None = None,
    method: str = "prox-linear",
    solver: str = AUTO,
    max_cycles: int = 60,
    tol: float = 5e-3,
    block_tol: float | None = None,
    solver_options: dict[str, Any] | None = None,
    start: Iterate | BcdResult | ImplicitModel | None = None,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
) -> PathResult:
    """Solve the problem for increasing kappa, each time from the previous solution.

    Ctrl-C ends the path with the kappas done so far; a second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa is not used.
    n_kappas : int
        The length of the automatic grid: geometric, from 1/30 to 10 times :func:`bcd_implicit.reference_kappa`, or with
        "fenchel" from 1/100 to 3 times.
        If the first kappa keeps no input (or fewer than
        ``n_features``) the grid starts again ten times lower, three times at most.
        The path ends early where B = 0.
    random_state : int or None
        Seed of the first start.
    kappas : sequence of float, optional
        The grid, instead of the automatic one. It is sorted: weights upwards, radii downwards.
    n_features : int, optional
        The number of inputs wanted. The path ends at the first kappa that keeps no more than this, and
        ``select(n_features=...)`` uses them. If the grid jumps from more inputs to fewer, by more than a tenth, up to
        five kappas in between are tried. While more inputs are in, the automatic grid is extended, up to twice its
        length; a warning is given if that is not enough.
    max_features : int, optional
        The largest support (set of inputs in the model) wanted. A kappa that keeps more inputs gets only three cycles
        (its status is STOPPED), serves only as the start for the next, and is not a candidate for ``select``. This
        saves much time if there are many inputs.
    method, solver, max_cycles, tol, solver_options
        As in :func:`bcd_implicit.solve`, for each kappa. The tolerance is looser than there, because a path needs only
        supports, and the chosen one is refitted.
    block_tol : float, optional
        Relative duality gap required of every block in a kappa's last cycle. None means 1e-2 for the prox-linear loop
        with its native solvers, whose zeros are exact anyway. Otherwise it means 1e-6, because a conic solver's zeros
        are only as exact as its tolerance.
    start : Iterate, BcdResult or ImplicitModel, optional
        Where the first solve starts, as in :func:`bcd_implicit.solve`: use a model that uses the inputs, since inputs
        that are out at the start rarely come in. The automatic grid does not depend on it.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`; it is updated in every cycle.
    max_seconds, checkpoint, resume
        As in :func:`bcd_implicit.solve`, for the whole path.

    Returns
    -------
    PathResult
        If Ctrl-C or the time limit ends the path within the first kappa, it has one entry, the best iterate so far.

    Raises
    ------
    InvalidInputError
        A bad argument, named; a checkpoint of another run, with what differs.

    Warns
    -----
    UserWarning
        No input is in even at the first kappa, or more than ``n_features`` are in at the last.
    ConvergenceWarning
        As in :func:`bcd_implicit.solve`; also if Ctrl-C or the time limit ended the path.
    """
    record = solve_path(
        problem,
        n_kappas,
        random_state,
        kappas=kappas,
        n_features=n_features,
        max_features=max_features,
        method=method,
        solver=solver,
        max_cycles=max_cycles,
        tol=tol,
        block_tol=block_tol,
        solver_options=solver_options,
        start=start,
        progress=progress,
        max_seconds=max_seconds,
        checkpoint=checkpoint,
        resume=resume,
    )
    return PathResult(**vars(record))
