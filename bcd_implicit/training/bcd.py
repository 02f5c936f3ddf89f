"""Training by block-coordinate descent, or by gradients: cycle after cycle, until one gains next to nothing.

A cycle takes an iterate to a better one: :mod:`bcd_implicit.training.cycles` has one for each loop. All end with states
at equilibrium and, unless asked otherwise, the output block exact at them.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.blocks.solvers import check_solver
from bcd_implicit.errors import BlockSolveError, InvalidInputError, check_choice, see
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.support.choices import AUTO, NATIVE
from bcd_implicit.support.interruption import INTERRUPTED, Stop, check_stop, finishing, stoppable
from bcd_implicit.support.log import logger
from bcd_implicit.support.notices import collected, told_once, warn_convergence
from bcd_implicit.support.progress import Progress, never_back, show_progress
from bcd_implicit.support.threads import one_blas_thread
from bcd_implicit.training.checkpoint import Checkpoint, described
from bcd_implicit.training.cycles import METHODS, takes_rough_steps
from bcd_implicit.training.digits import warn_of_lost_digits
from bcd_implicit.training.fenchel_weights import FenchelSchedule, check_schedule
from bcd_implicit.training.fenchel_weights import described as schedule_described
from bcd_implicit.training.loop import FIRST_SHARE, Loop, State
from bcd_implicit.training.method_options import check_method_options
from bcd_implicit.training.method_options import described as options_described
from bcd_implicit.training.result import HISTORY, BcdResult, Status
from bcd_implicit.training.start import CYCLES, TOL, feasible, given_start, smoothed, wants_smoothed

Callback = Callable[[int, float, Iterate], Any]
# An objective this far below that of predicting zero is nothing but rounding.
NOTHING_LEFT = 1e-12


def check_loop(method: Any, solver: Any, max_cycles: Any, tol: Any) -> tuple[str, str, int, float]:
    """Return these arguments of :func:`~bcd_implicit.solve`, or raise an error that names the bad one.

    Raises
    ------
    InvalidInputError
        An unknown method or solver, or a number out of its range.
    """
    return (
        check_choice("method", method, METHODS),
        check_solver(solver),
        check_number("max_cycles", max_cycles, 1, integer=True, remedy="Give 1 or more cycles"),
        check_number("tol", tol, 0, remedy="Choose 0 or a small positive number"),
    )


def solve(
    problem: TrainingProblem,
    method: str = "prox-linear",
    solver: str = AUTO,
    max_cycles: int = 100,
    tol: float = 1e-5,
    random_state: int | np.random.Generator | None = 0,
    *,
    start: Iterate | BcdResult | ImplicitModel | None = None,
    callback: Callback | None = None,
    progress: bool | Progress = False,
    block_tol: float | None = 1e-6,
    atol: float = 0.0,
    solver_options: Mapping[str, Any] | None = None,
    fenchel_schedule: str | FenchelSchedule = "fixed",
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    resume: bool = True,
    **method_options: Any,
) -> BcdResult:
    """Train an implicit model by block-coordinate descent, or by gradients through the equilibrium.

    Ctrl-C ends training with the best iterate so far; a second Ctrl-C raises KeyboardInterrupt.

    Parameters
    ----------
    problem : TrainingProblem
    method : {"prox-linear", "fenchel", "gradient"}
        The first two solve blocks; "gradient" takes steps of Adam or SGD on (T).
    solver : {"auto", "native", "cvxpy", "CLARABEL", "ECOS", "SCS"} or another solver that CVXPY has installed
        As in :func:`~bcd_implicit.solve_block`: blocks affected by the user's constraints or penalties always go
        through CVXPY.
    max_cycles : int
        The largest number of cycles.
    tol : float
        Stop when a cycle lowers the objective by less than this, relatively. With "gradient", stop when a cycle changes
        it by less and the best iterate so far is stationary.
    random_state : int, Generator or None
        Seed of the start, and of the batches of "gradient".
    start : Iterate, BcdResult or ImplicitModel, optional
        Warm start, e.g. another run's result or a network to fine-tune; replaces the random start. If its loss
        overflows, C, D and d start at zero instead.
    callback : callable, optional
        ``callback(cycle, objective, iterate)`` after every cycle; a true return value stops the loop. The iterate's
        arrays cannot be written to: copy those that you change.
    progress : bool, int or callable
        True shows a progress bar in a terminal or a notebook. A function is called with the share done (0 to 1) and a
        text. The estimators' ``verbose`` accepts the same values, and numbers mean the same in both. For log files use
        ``logging.getLogger("bcd_implicit")``: it has one line per cycle at the level INFO.
    block_tol : float or None
        Relative duality gap required of every block in the last cycle. Before that, the prox-linear loop solves blocks
        only as exactly as lowering (T) needs, unless a conic solver is used (by ``solver``, or because of the user's
        constraints). The history's column "asked" has the tolerance of each cycle. With None there are only these
        inexact steps, and only the output block is certified: use it for fits that are only compared. If every step is
        exact, None means 1e-6. With "gradient", an iterate is stationary if the KKT residuals of the output and the
        prox-linear block are at most the square root of this (residuals fall with the square root of the gap), 1e-3 by
        default; with None, a small change is enough to stop.
    atol : float
        Stop also when a cycle lowers the objective by less than this, in the units of the objective.
    solver_options : mapping, optional
        The solver's own options.
    fenchel_schedule : {"fixed", "continuation", "dual-ascent"} or object
        How the weights of the Fenchel term grow while the method "fenchel" runs. "fixed": not at all. "continuation":
        all geometrically (:class:`~bcd_implicit.Continuation`). "dual-ascent": each while its hidden feature is far
        from equilibrium (:class:`~bcd_implicit.DualAscent`). The loop ends only once they no longer grow. The history
        has their mean, and the result's problem the last ones.
    max_seconds : float, optional
        Stop after this many seconds, with the best iterate so far. Running work ends within about a second.
    checkpoint : path, optional
        A file to which the state is written about twice a minute, and at the end.
    resume : bool
        Continue from that file if it exists. The result is the same, to the last bit, as without the break (except for
        the seconds in the history). Only ``max_cycles``, ``max_seconds``, ``callback`` and ``progress`` may differ
        (with ``schedule="cosine"``, which depends on it, not ``max_cycles``). A run stopped by a callback continues,
        too. With a loss that has kinks, training begins with up to 30 cycles on a smoothed loss; for these the
        ``max_cycles`` of the first call still applies. The gradient loop has no such cycles.
    **method_options
        Only for "gradient": ``batch_size``, ``n_steps``, ``gradient``, ``n_terms``, ``optimizer``, ``learning_rate``,
        ``schedule`` and ``exact_output``, as in :class:`~bcd_implicit.training.gradient_options.GradientOptions`.

    Returns
    -------
    BcdResult
        For every method, its states are at equilibrium and the output block is solved at these states. Its objective
        may therefore be lower than the last one in the history. With "fenchel" it is (T), while the history has (F).
        With "gradient" it is the best iterate of the history.

    Raises
    ------
    InvalidInputError
        A bad argument, named; an unknown keyword; the user's constraints with "gradient"; a checkpoint of another run,
        with what differs.
    BlockSolveError
        A block is infeasible (the message names the constraints in conflict) or unbounded, no feasible start was found
        (the error's ``iterate`` is the start as it was), or the named solver does not support a cone. If no solver
        gives a point, the last good iterate is returned instead.

    Warns
    -----
    ConvergenceWarning
        The loop ended without meeting ``tol``, a block missed ``block_tol``, a solver failed, or C is so large
        (possible without a ridge) that rounding affects the predictions. The warning gives the numbers. A problem in
        many cycles is reported once, at the end.
    """
    check_problem(problem)
    method, solver, max_cycles, tol = check_loop(method, solver, max_cycles, tol)
    certified = block_tol is not None
    block_tol = 1e-6 if block_tol is None else block_tol
    block_tol = check_number("block_tol", block_tol, 0, 1, boundaries="neither", remedy="Choose a number such as 1e-6")
    atol = check_number("atol", atol, 0, remedy="Choose 0 or a small positive number")
    if callback is not None and not callable(callback):
        kind = type(callback).__name__
        raise InvalidInputError("callback", f"is of type {kind}", "Pass a function of cycle, objective and iterate")
    schedule = check_schedule(fenchel_schedule, method)
    options = check_method_options(problem, method, method_options, solve)
    first = None if start is None else given_start(problem, start)
    # A path's is its own, and tells of many solves.
    whole = not isinstance(checkpoint, Checkpoint)
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        asked = {"tol": tol, "atol": atol, "block_tol": block_tol if certified else None}
        origin: dict[str, Any] = {"random_state": random_state} if first is None else {"start": first}
        if schedule != FenchelSchedule():
            asked |= {"fenchel_schedule": schedule_described(schedule)}
        if options is not None:
            asked |= options_described(options, max_cycles)
            # Batches are drawn by it whatever the start.
            origin |= {"random_state": random_state}
        run = described(problem, method=method, solver=solver, solver_options=solver_options, **asked, **origin)
        checkpoint = Checkpoint(checkpoint, run, check_flag("resume", resume))

    status: Status | None
    with stoppable(max_seconds) as limits, told_once(), one_blas_thread(), show_progress(progress, "training") as show:
        tell, level = never_back(show), logging.INFO if limits.outermost else logging.DEBUG
        inexact = takes_rough_steps(problem, method, solver)
        kept = checkpoint and checkpoint.state(problem, max_cycles)
        if kept:
            state, status = kept
        else:
            # Quick, so that there always is an iterate to return.
            with finishing():
                it = feasible(problem, problem.initial(random_state) if first is None else first)
            if METHODS[method].by_blocks and wants_smoothed(problem, it):
                it = _trained_on_smoothed(problem, it, method, solver, min(max_cycles, CYCLES))
            objective = problem.objective(it)
            # Targets that are all zero give no scale.
            nothing = NOTHING_LEFT * (problem.loss_of_zero or abs(objective))
            state, status = State(it, objective, nothing=nothing, share=FIRST_SHARE if inexact else 0.0), None
        ending: dict[str, Any] = {"max_cycles": max_cycles, "tol": tol, "atol": atol, "certified": certified}
        loop = Loop(problem, solver, block_tol, solver_options, inexact, state, options=options, **ending)
        if not kept:
            METHODS[method].begin(loop, random_state)
        if state.fenchel_weights is not None:
            loop.problem = problem.replace(fenchel_weight=state.fenchel_weights)
        cycles = range(len(state.rows) + 1, max_cycles + 1) if status in (None, Status.MAX_CYCLES) else range(0)
        status, ended, before_last = status or Status.MAX_CYCLES, None, None
        for cycle in cycles:
            # What is returned is solved and certified: the last cycle's blocks.
            loop.share = 0.0 if certified and (state.finishing or cycle == max_cycles) else state.share
            # A cycle that is finer only because it is the last has no place in a longer run.
            before_last = state if loop.share != state.share and not state.finishing else None
            began, loop.state = time.perf_counter(), state.copy()
            try:
                check_stop()
                it, objective = METHODS[method].cycle(loop, state.iterate)
            except Stop as stop:
                # Nothing of a cycle that was broken off stays.
                loop.state, status = state, Status[stop.status]
                break
            except BlockSolveError as error:
                if error.infeasible or error.unfit:  # nothing that another iterate would mend
                    raise
                warn_convergence(f"{error} {see(error.section)}", stacklevel=2)
                # Where the block began that failed: blocks before it may have gained something.
                best = min((state.iterate, error.iterate or state.iterate), key=loop.problem.objective)
                loop.state = state = replace(state, iterate=best)
                status = Status.SOLVER_FAILED
                break
            before, state = state.objective, loop.state
            state.take(it, objective)
            state.rows.append(_history_row(loop, cycle, time.perf_counter() - began))
            words = f"cycle {cycle}, objective {objective:.6g}"
            tell(max(cycle / max_cycles, _nearness(state.change, tol)), words)
            logger.log(level, "%s: %s, relative change %.1e", method, words, state.change)
            stopped = callback is not None and callback(cycle, objective, state.iterate.read_only())
            ended = METHODS[method].ended(loop, before)
            if ended in (None, Status.CONVERGED) and loop.raise_fenchel_weights(problem, schedule):
                ended = None
            if checkpoint is not None:
                checkpoint.keep(state, before=before_last)
            if stopped or ended is not None:
                status = Status.STOPPED if stopped else ended or status
                break
        # Where no cycle was taken the file has it all.
        if checkpoint is not None and not (kept and state is kept[0]):
            # Whom a callback stopped goes on, unless the loop would have ended here by itself.
            own = ended if status is Status.STOPPED else status
            checkpoint.keep(state, own, at_once=whole or status.cut_short, before=before_last)
        # Every method ends alike: states at equilibrium, and the output block exact at them.
        with finishing():
            it, loop.share = problem.at_equilibrium(state.best), 0.0
        # A solver that gave up a moment ago is not asked again: the last good iterate is the answer. Nor is one that
        # may take its time when there is none.
        quick = solver in (AUTO, NATIVE) and not problem.constraints
        if status is not Status.SOLVER_FAILED and (quick or not status.cut_short):
            try:
                with finishing() if status.cut_short else nullcontext():
                    it = METHODS[method].end(loop, it, certified and not status.cut_short)
            except BlockSolveError as error:
                warn_convergence(f"{error} {see(error.section)}", stacklevel=2)
                status = Status.SOLVER_FAILED
            except Stop as stop:
                status = Status[stop.status]
        # Ctrl-C at the very end is not to go by unheard.
        status = Status.INTERRUPTED if limits.reached == INTERRUPTED else status
        rows, state = pd.DataFrame(state.rows, columns=HISTORY), loop.state
        known = state.certificates, state.dual_values, state.solvers
        result = BcdResult(loop.problem, method, solver, status, it, rows, *known)
        if certified:
            warn_of_lost_digits(loop.problem, it)
        tell(1.0, f"{len(rows)} cycles, objective {result.objective:.6g}")
        logger.log(level, "%s: %s; %d cycles, objective %.6g", method, status.cause, len(rows), result.objective)
    # Calls around this one tell how they ended themselves.
    if not status.ok and (limits.outermost or not status.cut_short):
        words = METHODS[method].unfinished(loop, status)
        warn_convergence(
            f"{method}: {words} (cycles: {len(rows)}, objective at the end: {result.objective:.6g}, "
            f"last relative change: {state.change:.1e}, tol: {tol:.0e}{METHODS[method].also_told(loop)}).",
            stacklevel=2,
        )
    return result


def _trained_on_smoothed(problem: TrainingProblem, it: Iterate, method: str, solver: str, cycles: int) -> Iterate:
    """An iterate with which a loss with kinks can begin; where there is no time left, the one given."""
    with collected():  # that this ends early is meant
        result = solve(smoothed(problem), method, solver, cycles, TOL, start=it, block_tol=None)
    return min((it, result.iterate), key=problem.objective)


def _nearness(change: float, tol: float) -> float:
    """The share of the digits lost, on the way from 1 to tol, that a relative change has lost; 0.95 at most."""
    return min(max(math.log(change) / math.log(tol), 0.0), 0.95) if 0 < tol < 1 and change > 0 else 0.0


def _history_row(loop: Loop, cycle: int, seconds: float) -> dict[str, float]:
    state = loop.state
    # Of the blocks of this cycle: those of a rough one are not certified.
    certificates = [] if loop.share else list(state.certificates.values())
    violations = loop.problem.violations(state.iterate).values()
    return {
        "cycle": cycle,
        "objective": state.objective,
        "change": state.change,
        "asked": loop.share or (loop.block_tol if certificates else np.nan),
        "gap": max((c.relative_gap for c in certificates), default=np.nan),
        "kkt_residual": max((c.kkt_residual for c in certificates), default=np.nan),
        "violation": max([*violations, *(c.violation for c in certificates)]),
        "fenchel_weight": loop.fenchel_weight,
        "n_selected": int(loop.problem.selected(state.iterate).sum()),
        "mu": state.mu,
        "attempts": state.attempts,
        "learning_rate": state.learning_rate,
        "seconds": seconds,
    }
