"""Which states depend on which others: the path over the weight of the penalty of A.

It begins where no state depends on another, at a network with one hidden layer, and lets connections in as the weight
falls. From a dense A upwards it may be stuck at first: rows on the boundary of the norm bound have all the same
penalty, whatever their entries are.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.inputs import inputs_by_name, targets_of
from bcd_implicit.problem.gradient import gradient
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.selection.architecture_result import ArchitecturePath, FoundArchitecture
from bcd_implicit.selection.grid import given_grid
from bcd_implicit.selection.refits import has_faded
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.support.interruption import Stop, check_stop, stoppable
from bcd_implicit.support.log import logger
from bcd_implicit.support.notices import told_once, warn_convergence
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.support.samples import check_as_many
from bcd_implicit.terms.entrywise import reweighted
from bcd_implicit.training.bcd import solve
from bcd_implicit.training.result import BcdResult, Status

# The last weight of an automatic grid, relative to the first.
LAST = 1e-2
# The share of a path's progress that the first model, without connections, counts for.
FIRST = 0.1
# Inputs (m, p) and targets (q, m).
Samples = tuple[np.ndarray, np.ndarray]
# States that vary by less than this, relative to their size, are constants.
DEAD = 1e-9
# Options of one solve that mean nothing to many.
ONE_SOLVE = ("start", "checkpoint", "resume")
#: What is reweighted by its size.
REWEIGHTED = ("entries", "rows", "both")


def architecture_path(
    problem: TrainingProblem,
    n_kappas: int = 10,
    random_state: int | None = 0,
    *,
    kappas: Sequence[float] | None = None,
    by: str = "entries",
    reweight: int = 1,
    refit: bool = True,
    unseen: tuple[ArrayLike, ArrayLike] | None = None,
    max_cycles: int = 100,
    tol: float = 1e-3,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
    **options: Any,
) -> ArchitecturePath:
    """Train with a decreasing weight of the entrywise penalty of A, each model from the one before.

    The path begins at the smallest weight for which A = 0 is stationary, at the best model without connections (a
    network with one hidden layer). Connections between states appear as the weight falls; training decides which ones,
    and whether they form layers or cycles. The first model is trained further from this start, and may have a first
    connection. Ctrl-C ends the path with the models found so far; a second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    problem : TrainingProblem
        Its own ``kappa_A`` is not used.
    n_kappas : int
        The length of the automatic grid: geometric, from the smallest weight with A = 0 to a hundredth of it.
    random_state : int or None
        Seed of the first start.
    kappas : sequence of float, optional
        The weights, instead of the automatic grid. They are sorted downwards, without duplicates.
    by : {"entries", "rows", "both"}
        What is reweighted. "entries": each entry by its size, so that small entries become zero and large ones are
        penalised less. "rows": each row by its sum of sizes, so that states depend on many others or on none. "both":
        by the geometric mean of these.
    reweight : int
        Rounds of reweighting at each weight. The factors are 1 / (size / mean size + 0.3). With 0 all entries weigh the
        same.
    refit : bool
        Train the connections that were found once more without the penalty. They are the ``pattern`` of the refit, so
        the norm bound then applies only to those inside cycles.
    unseen : pair of array-like (U, Y), optional
        Unseen samples for which losses are reported. Columns of data frames are matched by name.
    max_cycles, tol
        As in :func:`bcd_implicit.solve`, for each solve.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.
    max_seconds : float, optional
        Time limit for the whole path.
    **options
        Others of :func:`bcd_implicit.solve`, such as ``method``, ``solver`` or ``block_tol``; ``start``, ``checkpoint``
        and ``resume`` are not supported for a path.

    Returns
    -------
    ArchitecturePath

    Raises
    ------
    InvalidInputError
        A bad argument, named.
    NothingYetError
        ``max_seconds`` passed before there was a first model.

    Warns
    -----
    ConvergenceWarning
        As in :func:`bcd_implicit.solve`, once for all weights; also where Ctrl-C or the time limit ended the path.
    UserWarning
        The states of the model with A = 0 do not vary, so no weight gives a connection.
    """
    check_problem(problem)
    _check_options(options)
    n_kappas = check_number("n_kappas", n_kappas, 2, integer=True, remedy="Give 2 or more; kappas=[0.01] is one weight")
    grid = None if kappas is None else given_grid(kappas, falling=True)
    check_choice("by", by, REWEIGHTED)
    reweight = check_number("reweight", reweight, 0, integer=True, remedy="Give 0 or more rounds")
    refit = check_flag("refit", refit)
    samples = None if unseen is None else _check_unseen(problem, unseen)
    options |= {"max_cycles": max_cycles, "tol": tol}
    plain = problem.replace(kappa_A=0.0)
    with told_once(), stoppable(max_seconds) as limits, show_progress(progress, "architectures") as tell:
        empty = _on(plain, ~_penalised(plain))
        first = solve(empty, random_state=random_state, progress=between(tell, 0, FIRST), **options)
        least_empty, found, ended = least_empty_weight(plain, first.iterate), list[FoundArchitecture](), None
        if _is_dead(plain, first.iterate, random_state):
            warnings.warn(
                "architecture_path: the states of the model with A = 0 do not vary with the inputs, so no weight "
                f"gives a connection. Lower kappa (now {problem.kappa:.3g}), or try another random_state.",
                UserWarning,
                stacklevel=2,
            )
            least_empty = 0.0
        if grid is None:
            # Where nothing pulls at A, as with targets that do not vary, any weight is as good.
            grid = (least_empty or 1.0) * np.geomspace(1, LAST, n_kappas)
        try:
            check_stop()
            for each in _walk(plain, grid, first, by, reweight, refit, samples, options):
                found.append(each)
                words = f"kappa_A {each.kappa_A:.3g}: {each.in_words}"
                tell(FIRST + (1 - FIRST) * len(found) / len(grid), words)
                logger.info("architectures: %s", words)
        except Stop as stop:
            ended = Status[stop.status]
            # The model that the path begins with is better than nothing.
            if not found:
                found.append(FoundArchitecture(least_empty, first, None, _losses([first], samples)))
    if ended is not None and limits.outermost:
        warn_convergence(f"architecture_path: {ended.cause}; the path has {len(found)} weights.", stacklevel=2)
    return ArchitecturePath(problem, tuple(found), least_empty, ended)


def _walk(
    problem: TrainingProblem,
    grid: np.ndarray,
    start: BcdResult,
    by: str,
    reweight: int,
    refit: bool,
    samples: Samples | None,
    options: dict[str, Any],
) -> Iterator[FoundArchitecture]:
    """What is found at one weight after the other, none of it cut short."""
    for weight in map(float, grid):
        # The next weight starts from the one round in which all entries weighed the same.
        start = penalised = solve(problem.replace(kappa_A=weight), start=start, **options)
        for _ in range(reweight):
            weights = weight * factors(problem, penalised.iterate.A, by)
            penalised = solve(problem.replace(kappa_A=weights), start=penalised, **options)
        refitted = solve(_on(problem, penalised.iterate.A != 0), start=penalised, **options) if refit else None
        check_stop()
        results = [penalised] if refitted is None else [penalised, refitted]
        yield FoundArchitecture(weight, penalised, refitted, _losses(results, samples))


def least_empty_weight(problem: TrainingProblem, it: Iterate) -> float:
    """The least ``kappa_A`` for which A = 0 stays where it is: the largest gradient of (T) in a penalised entry.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        With zeros in all penalised entries of A; they stay zero as the (A, B, b) block is solved if B and b are at
        their optimum already.
    """
    return float(np.abs(gradient(problem, it).A).max(where=_penalised(problem), initial=0.0))


def factors(problem: TrainingProblem, A: np.ndarray, by: str) -> np.ndarray:
    """What the weight of each entry is multiplied by, shape (n, n): less for what is large at this A."""
    free = problem.pattern.entries("A", A.shape)
    sizes = np.abs(A)
    of_entries = _less_for_large(sizes, free)
    if by == "entries":
        return of_entries
    # The mean of a row's free entries: a row of which few are free is not small for that.
    counts = free.sum(axis=1)
    rows = sizes.sum(axis=1) / np.maximum(counts, 1)
    of_rows = np.repeat(_less_for_large(rows, counts > 0)[:, None], len(A), axis=1)
    return of_rows if by == "rows" else np.sqrt(of_entries * of_rows)


def _less_for_large(sizes: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Factors by sizes beside the mean of those that count, bool of the same shape."""
    mean = float(sizes.mean(where=counted)) if counted.any() else 0.0
    # Where all are zero none is larger than others.
    return reweighted(sizes, mean) if mean > 0 else np.ones_like(sizes)


def _penalised(problem: TrainingProblem) -> np.ndarray:
    """The free entries of A on which a penalty acts: bool, shape (n, n)."""
    weights = problem.replace(kappa_A=1.0).row_set.weights
    free = problem.pattern.entries("A", problem.shapes["A"])
    return free & (weights > 0) if weights is not None else np.zeros_like(free)


def _on(problem: TrainingProblem, entries: np.ndarray) -> TrainingProblem:
    """The problem with these entries of A alone, of those that were free."""
    free = problem.pattern.entries("A", problem.shapes["A"])
    return problem.replace(pattern={**problem.pattern.free, "A": free & entries})


def _is_dead(problem: TrainingProblem, it: Iterate, random_state: int | None) -> bool:
    """Whether no state varies over the samples, but by rounding, or the inputs hardly reach any."""
    constant = np.ptp(it.X, axis=1) <= DEAD * np.abs(it.X).max(axis=1)
    return bool(constant.all()) or has_faded(problem, it, problem.initial(random_state))


def _check_options(options: dict[str, Any]) -> None:
    for name in ONE_SOLVE:
        if name in options:
            remedy = "Omit it: every model of a path starts from the one before"
            raise InvalidInputError(name, "is an option of solve, not of a path", remedy)


def _check_unseen(problem: TrainingProblem, unseen: Any) -> Samples:
    if not isinstance(unseen, (tuple, list)) or len(unseen) != 2:
        raise InvalidInputError("unseen", f"is of type {type(unseen).__name__}", "Pass a pair (U, Y)")
    U = inputs_by_name("unseen[0]", unseen[0], problem.input_names)
    Y = targets_of("unseen[1]", unseen[1], problem.output_names)
    check_as_many("unseen[1]", len(Y), len(U), "unseen[0]")
    problem.loss.check_targets(Y.T, problem.output_names, "unseen[1]")
    U, Y = problem.standardised(U, Y)
    return U, Y.T


def _losses(results: Sequence[BcdResult], samples: Samples | None) -> tuple[float, ...]:
    """Mean losses on other samples; infinite where one is beyond numbers."""
    if samples is None:
        return ()
    U, Y = samples
    with np.errstate(over="ignore"):
        models = [each.problem.model_of_columns(each.iterate) for each in results]
        found = [float(np.mean(results[0].problem.loss.value(model.outputs(U).T, Y))) for model in models]
    return tuple(loss if math.isfinite(loss) else math.inf for loss in found)
