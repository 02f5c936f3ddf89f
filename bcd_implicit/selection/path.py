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
    """Solve the problem for a growing kappa, each from the solution before.

    Ctrl-C ends it with the kappas done so far; a second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa plays no part.
    n_kappas : int
        The length of the automatic grid: geometric, from 1/30 to 10 times :func:`bcd_implicit.reference_kappa`, or with
        "fenchel" from 1/100 to 3 times.
        If the first kappa keeps no input (or fewer than
        ``n_features``) the grid starts again ten times lower, three times at most.
        The path ends early where B = 0.
    random_state : int or None
        Seed of the first start.
    kappas : sequence of float, optional
        The grid, instead of the automatic one. Sorted here: weights upwards, radii downwards.
    n_features : int, optional
        So many inputs are wanted: the path ends at the first kappa that keeps no more, and ``select(n_features=...)``
        takes them. If the grid jumps from more inputs to fewer, by more than a tenth, up to five kappas in between
        are tried. The automatic grid goes on beyond its end, up to twice its length, while more are in; a warning says
        so if that is not enough.
    max_features : int, optional
        Larger supports are not wanted: kappas that keep more inputs are passed in three cycles each (their status is
        STOPPED) and only serve as starts for the next, and ``select`` takes none of their supports. It saves much of
        the time where there are many inputs.
    method, solver, max_cycles, tol, solver_options
        As in :func:`bcd_implicit.solve`, for each kappa. The tolerance is looser than there: a path needs
        supports, and its choice is refitted.
    block_tol : float, optional
        Relative duality gap asked of every block of a kappa's last cycle. None stands for 1e-2 for the prox-linear loop
        with its native solvers, whose zeros are exact all the same, and for 1e-6 elsewhere: a conic solver's zeros are
        as good as its tolerance.
    start : Iterate, BcdResult or ImplicitModel, optional
        Where the first solve starts, as in :func:`bcd_implicit.solve`: a model that uses the inputs, since those that
        are out at the start rarely come in. The automatic grid does not depend on it.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`; it moves with every cycle.
    max_seconds, checkpoint, resume
        As in :func:`bcd_implicit.solve`, for the whole path.

    Returns
    -------
    PathResult
        If Ctrl-C or the time limit ends it within the first kappa it has one entry, the best iterate so far.

    Raises
    ------
    InvalidInputError
        A bad argument, named; a checkpoint of another run, with what differs.

    Warns
    -----
    UserWarning
        No input is in, even at the first kappa, or more than ``n_features`` are in at the last.
    ConvergenceWarning
        As in :func:`bcd_implicit.solve`; also where Ctrl-C or the time limit ended the path.
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
