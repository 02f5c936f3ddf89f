"""The automatic grid of kappas: its scale, its ends, and where it starts again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, see
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.selection.refits import has_faded, without_group_lasso
from bcd_implicit.selection.walk import ANY, Run, Wanted, is_collapsed, n_selected, walk
from bcd_implicit.support.checks import check_list, check_number
from bcd_implicit.support.interruption import check_stop, stoppable
from bcd_implicit.support.notices import collected
from bcd_implicit.support.progress import Progress, between, silent
from bcd_implicit.training.bcd import solve
from bcd_implicit.training.cycles import METHODS
from bcd_implicit.training.result import BcdResult

# How often an automatic grid starts again, each time ten times weaker, where its first kappa keeps too few inputs.
MOST_RESTARTS = 3


def reference_kappa(
    problem: TrainingProblem,
    method: str = "prox-linear",
    random_state: int | None = 0,
    *,
    max_seconds: float | None = None,
    **options: Any,
) -> float:
    """The size of kappa at which columns of B become zero, to within a small factor.

    After two cycles without group lasso: the largest column norm of the gradient with respect to B, at B = 0, of the
    smooth part of the method's (A, B, b) block. From that kappa on, B = 0 if nothing else moved.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa is not used.
    method : str
    random_state : int or None
        Seed of the start.
    max_seconds : float, optional
        Give up after this many seconds.
    **options
        Others of :func:`bcd_implicit.solve`, such as ``solver``.

    Returns
    -------
    float

    Raises
    ------
    NothingYetError
        ``max_seconds`` passed first.

    Warns
    -----
    UserWarning
        After the two cycles B is zero or almost zero, for example because the targets do not vary: kappa has no scale.
    """
    with stoppable(max_seconds):
        reference, faded = _reference(check_problem(problem), method, random_state, options)
    if faded:
        warnings.warn(
            f"reference_kappa: two cycles without group lasso end with B next to zero, so {reference:.3g} says little "
            "about kappa. Check that the targets vary, lower ridge_hidden, or try another random_state. "
            f"{see('nothing-is-selected')}",
            UserWarning,
            stacklevel=2,
        )
    return reference


def _reference(
    problem: TrainingProblem,
    method: str,
    random_state: int | None,
    options: dict[str, Any],
    run: Run = solve,
    tell: Progress = silent,
) -> tuple[float, bool]:
    """:func:`reference_kappa`, and whether the fit behind it is of no use."""
    it = _two_cycles(problem, method, random_state, options, run, tell)
    block = METHODS[method].matrices_block(without_group_lasso(problem), it)
    # At B = 0, not at the fit, which has brought the gradient near zero.
    gradient = block.gradient_of_groups(problem.with_grouped(it, np.zeros_like(problem.grouped(it))))
    reference = problem.group_lasso.steepest(gradient)
    return reference, reference == 0 or has_faded(problem, it, problem.initial(random_state))


def _two_cycles(
    problem: TrainingProblem,
    method: str,
    random_state: int | None,
    options: dict[str, Any],
    run: Run,
    tell: Progress,
) -> Iterate:
    """A quick fit without group lasso, only to see the scale of things: that it stops early is meant."""
    with collected():
        result = run(
            # Without: the problem's own kappa is to play no part.
            without_group_lasso(problem),
            max_cycles=2,
            tol=0.0,
            random_state=random_state,
            progress=tell,
            # Nothing of it is returned, so nothing is certified.
            **options | {"method": method, "block_tol": None},
        )
    check_stop()
    return result.iterate


def automatic_grid(
    problem: TrainingProblem,
    n_kappas: int,
    random_state: int | None,
    options: dict[str, Any],
    run: Run = solve,
    tell: Progress = silent,
) -> np.ndarray:
    """The grid of :func:`bcd_implicit.kappa_path` where none is given: weights upwards, radii downwards.

    ``options`` are those of :func:`bcd_implicit.solve` but for ``max_cycles`` and ``tol``.
    """
    if problem.group_form == "constraint":
        # A radius is a size of B itself: that of a fit that nothing bounds.
        largest = problem.group_lasso.sum_of_norms(
            problem.grouped(_two_cycles(problem, options["method"], random_state, options, run, tell))
        )
        return (largest or 1.0) * np.geomspace(1, 1 / 100, n_kappas)
    # Targets without variation give no scale: any positive kappa empties B, of which the walk warns.
    reference = _reference(problem, options["method"], random_state, options, run, tell)[0] or 1.0
    # The reference says where the columns leave to within a small factor only, and once B = 0 the walk ends.
    low, high = METHODS[options["method"]].path_ends
    return reference * np.geomspace(low, high, n_kappas)


def warn_if_faded(problem: TrainingProblem, results: tuple[BcdResult, ...], start: Iterate) -> None:
    """Warn of a path at whose first kappa inputs are in by numbers next to zero.

    Warns
    -----
    UserWarning
        As said: the ridges, not kappa, decide.
    """
    if not is_collapsed(results) and has_faded(problem, results[0].iterate, start):
        spread = float(np.sqrt(statistics.variance(problem.Y, problem.shares)).max())
        remedy = (
            f"If the ridges are too large for the targets, whose largest standard deviation is {spread:.1e}, bring "
            "these to about 1, or lower ridge and ridge_hidden."
            if spread > 0
            else "The targets do not vary: check them."
        )
        warnings.warn(
            f"kappa_path: B is next to zero at every kappa, so the path says little about the inputs. {remedy} "
            f"{see('nothing-is-selected')}",
            UserWarning,
            stacklevel=4,
        )


def given_grid(kappas: Sequence[float], *, falling: bool) -> np.ndarray:
    """A person's grid, checked and in order, each kappa once.

    Raises
    ------
    InvalidInputError
        No list of numbers of 0 or more, or an empty one.
    """
    given = check_list("kappas", kappas, "numbers", "Pass [kappa] for one")
    grid = np.array(sorted({check_number("kappas", k, 0, remedy="Give 0 or more") for k in given}, reverse=falling))
    if len(grid) == 0:
        raise InvalidInputError("kappas", "is empty", "Give at least one value")
    return grid


def walk_automatic_grid(
    problem: TrainingProblem,
    grid: np.ndarray,
    it: Iterate,
    options: dict[str, Any],
    tell: Progress = silent,
    wanted: Wanted = ANY,
    run: Run = solve,
) -> tuple[BcdResult, ...]:
    """Walk along :func:`automatic_grid`, and from ten times lower where its first kappa keeps too few inputs."""
    n_kappas, weaker = len(grid), 0.1 if problem.group_form == "penalty" else 10.0
    low = 0.0
    for attempt in range(MOST_RESTARTS + 1):
        results = walk(problem, grid, it, options, between(tell, low, 1.0), wanted, n_kappas, run)
        too_few = is_collapsed(results) or n_selected(results[0]) < (wanted.n_features or 0)
        if not too_few or results[0].status.cut_short or attempt == MOST_RESTARTS:
            break
        # What was told so far is not taken back.
        low += (1.0 - low) / n_kappas
        grid = np.geomspace(weaker * grid[0], grid[-1], n_kappas)
    return results
