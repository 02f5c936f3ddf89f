"""The solves of a kappa path: the grid, the loop along it, early endings, and progress reports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.selection.grid import automatic_grid, given_grid, walk_automatic_grid, warn_if_faded
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.solves import Solves
from bcd_implicit.selection.walk import Wanted, n_selected, walk, warn_if_collapsed, warn_if_too_many
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.support.interruption import Stop, stoppable
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.training.bcd import check_loop
from bcd_implicit.training.checkpoint import Checkpoint, described
from bcd_implicit.training.cycles import takes_rough_steps
from bcd_implicit.training.start import given_start

# The relative gap of native solves along a path: supports need no more.
PATH_TOL = 1e-2
# The share of a path's progress that the search for the scale of kappa has.
SEARCH = 0.05


def solve_path(
    problem: TrainingProblem,
    n_kappas: int,
    random_state: int | None,
    *,
    method: str,
    solver: str,
    max_cycles: int,
    tol: float,
    block_tol: float | None,
    solver_options: dict[str, Any] | None,
    kappas: Sequence[float] | None = None,
    n_features: int | None = None,
    max_features: int | None = None,
    start: Any = None,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
) -> PathRecord:
    """Walk the path; the arguments, errors and warnings are those of :func:`bcd_implicit.kappa_path`."""
    check_problem(problem)
    wanted = Wanted.check(problem, n_features, max_features)
    options: dict[str, Any] = {
        "method": method,
        "solver": solver,
        "block_tol": block_tol,
        "solver_options": solver_options,
    }
    # Before the search for the scale of kappa, which takes its time.
    check_loop(method, solver, max_cycles, tol)
    if block_tol is None:
        options["block_tol"] = PATH_TOL if takes_rough_steps(problem, method, solver) else 1e-6
    n_kappas = check_number("n_kappas", n_kappas, 2, integer=True, remedy="A path has 2 kappas or more")
    # Each start has to know more inputs than the problem it is for keeps: radii fall.
    given = None if kappas is None else given_grid(kappas, falling=problem.group_form == "constraint")
    kept, first = None, None if start is None else given_start(problem, start)
    if checkpoint is not None:
        stops = {"max_cycles": max_cycles, "tol": tol, "n_features": n_features, "max_features": max_features}
        grid_asked = {"random_state": random_state} | ({"n_kappas": n_kappas} if given is None else {"kappas": given})
        origin = {} if first is None else {"start": first}
        run = described(problem, **options, **stops, **grid_asked, **origin)
        kept = Checkpoint(checkpoint, run, check_flag("resume", resume))
    fresh, solves = problem.initial(random_state), Solves(kept)
    it = fresh if first is None else first
    with stoppable(max_seconds) as limits, show_progress(progress, "kappa path") as whole:
        tell = whole
        try:
            if given is None:
                whole(0.0, looking := "looking for the scale of kappa")
                search, tell = between(whole, 0.0, SEARCH, f"{looking}:"), between(whole, SEARCH, 1.0)
                grid = automatic_grid(problem, n_kappas, random_state, options, solves, search)
            else:
                whole(0.0, "")
                grid = given
        except Stop:
            # No kappa is known: what follows takes no cycle, and its one result is the start.
            solves.write()
            grid, solves = np.array([problem.kappa]), Solves(None)
            given = grid
        # Not before: the two cycles that find the scale have limits of their own.
        options |= {"max_cycles": max_cycles, "tol": tol}
        follow = walk_automatic_grid if given is None else walk
        results = follow(problem, grid, it, options, tell, wanted, run=solves)
        solves.write()
        # The walk may have ended before its grid.
        whole(1.0, f"{n_selected(results[-1])} of {problem.n_inputs} inputs at the last kappa")
    if solves.cut_short is None:
        warn_if_collapsed(results)
        warn_if_faded(problem, results, fresh)
        warn_if_too_many(results, wanted)
    elif limits.outermost:
        warn_convergence(f"kappa_path: {solves.ended_in_words(results)}", stacklevel=3)
    return PathRecord(problem, results, options, wanted.max_features, solves.cut_short)
