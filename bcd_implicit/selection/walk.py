"""From small to large kappa with warm starts, and the scale of kappa.

The direction matters: from a cold start a large kappa collapses to B = 0, X = 0, which is stationary. Going up,
each problem starts from a model that fits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import ConvergenceWarning
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.selection.refits import without_group_lasso
from bcd_implicit.support.progress import Progress, silent
from bcd_implicit.training.bcd import METHODS, solve
from bcd_implicit.training.result import BcdResult


def walk(
    problem: TrainingProblem,
    grid: Sequence[float] | np.ndarray,
    it: Iterate,
    options: dict[str, Any],
    tell: Progress = silent,
) -> tuple[BcdResult, ...]:
    """Solve the problem for every kappa of a grid, each from the solution before; it ends early where B = 0.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa plays no part.
    grid : sequence of float
        Weights upwards, radii downwards.
    it : Iterate
        Where the first solve starts.
    options : dict
        Of :func:`bcd_implicit.solve`. The first solve, which has the longest way to go, may take twice the cycles.
    tell : callable
        Gets the share done and a text.
    """
    results: list[BcdResult] = []
    for i, kappa in enumerate(grid):
        at_kappa = problem.replace(kappa=float(kappa))
        cycles = options["max_cycles"] if i else 2 * options["max_cycles"]
        results.append(solve(at_kappa, start=it, **options | {"max_cycles": cycles}))
        it = results[-1].iterate
        n_selected = int(at_kappa.selected(it).sum())
        share = (i + 1) / len(grid) if n_selected else 1.0
        tell(share, f"kappa {kappa:.3g}: {n_selected} of {problem.n_inputs} inputs")
        # B = 0 is stationary for all that follow, which weigh it more or bound it closer.
        if n_selected == 0:
            break
    return tuple(results)


def reference_kappa(
    problem: TrainingProblem, method: str = "prox-linear", random_state: int | None = 0, **options: Any
) -> float:
    """The size of kappa at which columns of B leave, to within a small factor.

    After two cycles without group lasso: the largest column norm of the gradient with respect to B, at B = 0, of
    the smooth part of the method's own (A, B, b) block, which would have B = 0 from there on if nothing else moved.
    """
    it = _two_cycles(check_problem(problem), method, random_state, options)
    block = METHODS[method].matrices_block(without_group_lasso(problem), it)
    # At B = 0, not at the fit, which has brought the gradient near zero.
    gradient = block.gradient_of_groups(problem.with_grouped(it, np.zeros_like(problem.grouped(it))))
    return problem.group_lasso.steepest(gradient)


def _two_cycles(problem: TrainingProblem, method: str, random_state: int | None, options: dict[str, Any]) -> Iterate:
    """A quick fit without group lasso, only to see the scale of things: that it stops early is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(
            # Without: the problem's own kappa is to play no part.
            without_group_lasso(problem),
            # Stopped: a last cycle would be solved exactly.
            max_cycles=3,
            tol=0.0,
            callback=lambda cycle, objective, it: cycle == 2,
            random_state=random_state,
            **options | {"method": method},
        ).iterate


def automatic_grid(
    problem: TrainingProblem, n_kappas: int, random_state: int | None, options: dict[str, Any]
) -> np.ndarray:
    """The grid of :func:`bcd_implicit.kappa_path` where none is given: weights upwards, radii downwards.

    ``options`` are those of :func:`bcd_implicit.solve` but for ``max_cycles`` and ``tol``.
    """
    if problem.group_form == "constraint":
        # A radius is a size of B itself: that of a fit that nothing bounds.
        largest = problem.group_lasso.sum_of_norms(
            problem.grouped(_two_cycles(problem, options["method"], random_state, options))
        )
        return largest * np.geomspace(1, 1 / 100, n_kappas)
    # Targets without variation give no scale: any positive kappa empties B.
    reference = reference_kappa(problem, random_state=random_state, **options) or 1.0
    # Small kappas keep most inputs: with many of them that takes long, and no rule considers such supports.
    start = 1 / 100 if problem.n_inputs <= problem.n_samples / 2 else 1 / 10
    # Up to 3: where the last columns leave the reference says to within a small factor only.
    return reference * np.geomspace(start, 3, n_kappas)
