"""The two block-coordinate descent loops.

fenchel
    output -> state -> hidden on the relaxed objective (F), which never rises.
prox-linear
    scale -> output exactly at the equilibrium -> prox-linear block -> states; the step counts if the true objective (T)
    fell, else mu grows and the same linearisation is tried again. While there is far to go a rough step will do, and
    the next cycle looks ahead along it; once rough steps stand still, or at the last cycle, the blocks are solved
    exactly and certified.

Both end with states at equilibrium and the output block exact at them.

Each is one function below: a cycle that takes an iterate to a better one. To add a loop, write its cycle and
add it to :data:`METHODS`, with ``inexact=True`` if its blocks have :meth:`~bcd_implicit.blocks.base.Block.improve`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.blocks.feasibility import feasible_start
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.matrices import MatricesBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.solution import FAIR_RESIDUAL, BlockSolution
from bcd_implicit.blocks.solve import improve, make_block, solve_prepared
from bcd_implicit.blocks.solvers import AUTO, NATIVE, check_solver
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.errors import BlockSolveError, ConvergenceWarning, InvalidInputError, check_choice
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.progress import Progress, show_progress
from bcd_implicit.support.threads import one_blas_thread
from bcd_implicit.training.extrapolation import Extrapolation
from bcd_implicit.training.result import HISTORY, BcdResult, Status
from bcd_implicit.training.scale import rescaled

Callback = Callable[[int, float, Iterate], Any]
# Retries of one linearisation: 4^20 times the curvature moves nothing any more.
MAX_ATTEMPTS = 20
# Attempts with a block that the solver could not solve: more of them would miss as well.
MAX_MISSES = 3
# A rough step ends where a native step gains less than this share of what all have gained. It shrinks tenfold where the
# loop stands still, down to the least; then exact steps follow.
FIRST_SHARE, LEAST_SHARE = 0.03, 1e-3
# An objective this far below that of predicting zero is nothing but rounding.
NOTHING_LEFT = 1e-12
# Rough cycles look ahead once a cycle lowers the objective by less than this share.
LOOK_AHEAD = 0.1
# Below this share of the loss's mean curvature the proximal term only spoils the conditioning: (T) falls no faster.
LEAST_DAMPING = 1e-2


@dataclass
class _Loop:
    """What the cycles of one run share: how to solve a block, the proximal weight, the last certificates.

    While there is far to go a step has to lower (T), not to solve its block: ``share`` says how rough a block's native
    steps may be, as in :meth:`~bcd_implicit.blocks.base.Block.improve`. With 0 blocks are solved and certified.
    """

    problem: TrainingProblem
    solver: str
    block_tol: float
    solver_options: Mapping[str, Any] | None
    # Whether rough steps may be taken at all.
    inexact: bool
    objective: float
    # The share by which the last cycle lowered the objective.
    change: float = np.inf
    share: float = 0.0
    # The proximal weight, in units of the block's mean curvature: like that, it knows no scale.
    damping: float = 1.0
    mu: float = np.nan
    attempts: int = 0
    stalled: bool = False
    extrapolation: Extrapolation = field(default_factory=Extrapolation)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    dual_values: dict[str, Any] = field(default_factory=dict)
    solvers: dict[str, str] = field(default_factory=dict)

    def block(self, it: Iterate, name: str, **options: Any) -> Any:
        return make_block(self.problem, it, name, **options)

    def solve(self, block: Any) -> BlockSolution:
        if self.share:
            with suppress(BlockSolveError):  # what fails natively is solved
                return improve(block, self.share)
        solution = solve_prepared(block, self.solver, self.block_tol, self.solver_options)
        self.certificates[block.name], self.solvers[block.name] = solution.certificate, solution.solver
        self.dual_values |= solution.dual_values
        return solution

    def solutions(self, block: Any) -> Iterator[BlockSolution]:
        """A rough one where that is allowed, then, where this cycle asks for it, the exact one."""
        if self.inexact and not self.share:
            with suppress(BlockSolveError):
                yield improve(block, FIRST_SHARE)
        yield self.solve(block)

    def descend(self, it: Iterate, name: str) -> Iterate:
        """Solve one block on (F); a solver's rounding must not raise the objective, so the better point is kept."""
        solution = self.solve(self.block(it, name))
        lower = self.problem.objective(solution.iterate) <= self.problem.objective(it)
        return solution.iterate if lower and solution.feasible else it

    def look_ahead(self, it: Iterate, objective: float) -> tuple[Iterate, float]:
        """The iterate and (T), or those farther along the last step if (T) is lower there."""
        ahead = self.extrapolation.point(self.problem)
        if ahead is None:
            return it, objective
        output = self.solve(self.block(rescaled(self.problem, ahead), "output"))
        lower = output.objective < objective
        self.extrapolation.learn(lower)
        return (output.iterate, output.objective) if lower else (it, objective)


def fenchel_cycle(loop: _Loop, it: Iterate) -> tuple[Iterate, float]:
    """Output, state, hidden: each exact with the others fixed. Returns the iterate and (F)."""
    for name in ("output", "state", "hidden"):
        it = loop.descend(it, name)
    return it, loop.problem.objective(it)


def prox_linear_cycle(loop: _Loop, it: Iterate) -> tuple[Iterate, float]:
    """Scale, output at the equilibrium, the first prox-linear step that lowers (T). Returns the iterate and (T)."""
    problem, objective = loop.problem, loop.objective
    it = rescaled(problem, it)
    output = loop.solve(loop.block(it, "output"))
    # A solver's rounding must not raise the objective.
    if output.objective <= objective and output.feasible:
        it, objective = output.iterate, output.objective
    # Exact steps are certified where they are, and far from the end long steps lead to worse points.
    if loop.share and loop.change < LOOK_AHEAD:
        it, objective = loop.look_ahead(it, objective)
    block, damping, missed = loop.block(it, "prox-linear"), loop.damping, 0
    for loop.attempts in range(1, MAX_ATTEMPTS + 1):
        # The same block every time: its linearisation, and the products formed so far, hold for any mu.
        loop.mu = block.mu = damping * block.mean_curvature
        for solution in loop.solutions(block):
            trial = problem.at_equilibrium(solution.iterate)
            value = problem.objective_at_states(trial)
            falls = value < objective and solution.feasible
            # At its start the block's objective is (T): the difference is what the block promises.
            promises = solution.objective < objective - 1e-9 * abs(objective)
            if promises and not falls:
                break  # so far the linearisation does not reach: solving it exactly will not help
        if falls:
            # By less than it grows: after a refusal and a success it stays above what was refused.
            loop.damping = max(damping / 3, LEAST_DAMPING)
            loop.extrapolation.step = it, trial
            return trial, value
        met = solution.meets(loop.block_tol)
        if not promises and (met or not solution.solved):
            return it, objective  # certified, it is stationary; if not, the next cycle will tell
        missed += solution.solved and not met
        if missed == MAX_MISSES:
            break
        damping *= 4
    loop.stalled = not loop.share  # solved exactly, the next cycle may do better
    return it, objective


@dataclass(frozen=True)
class Method:
    """A loop: its cycle, the block in which it moves (A, B, b), and whether a rough step will do on the way.

    ``path_ends`` are where its path begins and ends, in multiples of the scale of kappa that the block tells.
    """

    cycle: Callable[[_Loop, Iterate], tuple[Iterate, float]]
    matrices_block: type[MatricesBlock]
    inexact: bool = False
    path_ends: tuple[float, float] = (1 / 100, 3.0)


#: The loops, by name.
METHODS: dict[str, Method] = {
    # The scale step makes C, and with it that scale, small.
    "prox-linear": Method(prox_linear_cycle, ProxLinearBlock, inexact=True, path_ends=(1 / 30, 10.0)),
    "fenchel": Method(fenchel_cycle, HiddenBlock),
}


def takes_rough_steps(problem: TrainingProblem, method: str, solver: str) -> bool:
    """Whether the loop's steps on the way are native and only as exact as they need to be."""
    # A user's constraints need a conic solver, which knows no rough steps.
    return METHODS[method].inexact and solver in (AUTO, NATIVE) and not problem.constraints


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
    start: Iterate | BcdResult | None = None,
    callback: Callback | None = None,
    progress: bool | Progress = False,
    block_tol: float | None = 1e-6,
    atol: float = 0.0,
    solver_options: Mapping[str, Any] | None = None,
) -> BcdResult:
    """Train an implicit model by block-coordinate descent.

    Parameters
    ----------
    problem : TrainingProblem
    method : {"prox-linear", "fenchel"}
    solver : {"auto", "native", "cvxpy", "CLARABEL", "ECOS", "SCS"} or another solver that CVXPY has installed
        As in :func:`~bcd_implicit.solve_block`: a block on which a constraint or penalty of the user acts goes
        through CVXPY in any case.
    max_cycles : int
        The most cycles to take.
    tol : float
        Stop when a cycle lowers the objective by less than this, relatively.
    random_state : int, Generator or None
        Seed of the start.
    start : Iterate or BcdResult, optional
        Warm start, e.g. another run's result; takes the place of the random start.
    callback : callable, optional
        ``callback(cycle, objective, iterate)`` after every cycle; a true return value stops the loop. The iterate is
        the loop's own: copy its arrays before you change them.
    progress : bool or callable
        True shows a bar while it runs, in a terminal or a notebook; a function gets the share done (0 to 1) and a text.
    block_tol : float or None
        Relative duality gap asked of every block of the last cycle. The prox-linear loop's steps before are only as
        exact as lowering (T) needs, unless ``solver`` names another than "auto" and "native" or the user's constraints
        ask for one; the history's column "asked" says what was asked. None leaves it at such steps and certifies the
        output block alone, for fits that are only compared; where every step is exact it means 1e-6.
    atol : float
        Stop also when a cycle lowers the objective by less than this, in the objective's own units.
    solver_options : mapping, optional
        The solver's own options.

    Returns
    -------
    BcdResult
        Its states are at equilibrium, whatever the method, and its output block is solved at them: its objective may be
        lower than the history's last, and with "fenchel" it is (T) while the history has (F).

    Raises
    ------
    InvalidInputError
        A bad argument, named.
    BlockSolveError
        A block is infeasible (the message names the constraints in conflict) or unbounded, no feasible start was found,
        or the named solver lacks a cone. Where no solver gives a point the last good iterate is returned instead.

    Warns
    -----
    ConvergenceWarning
        The loop ended without meeting ``tol``, a block missed ``block_tol``, or a solver failed; with the numbers.
    """
    check_problem(problem)
    method, solver, max_cycles, tol = check_loop(method, solver, max_cycles, tol)
    certified = block_tol is not None
    block_tol = 1e-6 if block_tol is None else block_tol
    block_tol = check_number("block_tol", block_tol, 0, 1, boundaries="neither", remedy="Choose a number such as 1e-6")
    atol = check_number("atol", atol, 0, remedy="Choose 0 or a small positive number")
    if callback is not None and not callable(callback):
        kind = type(callback).__name__
        raise InvalidInputError("callback", f"is a {kind}", "Pass a function of cycle, objective and iterate")
    start = start.iterate if isinstance(start, BcdResult) else start
    it = (
        problem.initial(random_state)
        if start is None
        else check_iterate(start, problem.shapes, problem.activation, "start")
    )

    rows: list[dict[str, float]] = []
    status = Status.MAX_CYCLES
    with one_blas_thread(), show_progress(progress, "training") as tell:
        # Feasible first: states need ||A||_inf below 1.
        it = problem.at_equilibrium(feasible_start(problem, it))
        objective = problem.objective(it)
        inexact = takes_rough_steps(problem, method, solver)
        loop = _Loop(problem, solver, block_tol, solver_options, inexact, objective)
        share, finishing = FIRST_SHARE if inexact else 0.0, False
        # Targets that are all zero give no scale.
        nothing = NOTHING_LEFT * (problem.loss_of_zero or abs(objective))
        for cycle in range(1, max_cycles + 1):
            began, before = time.perf_counter(), objective
            # What is returned is solved and certified: the last cycle's blocks.
            loop.share = 0.0 if certified and (finishing or cycle == max_cycles) else share
            loop.objective = objective
            try:
                it, objective = METHODS[method].cycle(loop, it)
            except BlockSolveError as error:
                if error.infeasible or error.unfit:  # nothing that another iterate would mend
                    raise
                warnings.warn(str(error), ConvergenceWarning, stacklevel=2)
                status = Status.SOLVER_FAILED
                # Where the block began that failed: blocks before it may have gained something.
                it = min((it, error.iterate or it), key=problem.objective)
                break
            # An objective of exactly 0 cannot be divided by.
            loop.change = (before - objective) / max(abs(before), np.finfo(float).tiny)
            rows.append(_history_row(loop, it, cycle, objective, time.perf_counter() - began))
            tell(cycle / max_cycles, f"cycle {cycle}, objective {objective:.6g}")
            if callback is not None and callback(cycle, objective, it):
                status = Status.STOPPED
                break
            # Before the test of the change, which a cycle without a step may pass.
            if loop.stalled:
                status = Status.STALLED
                break
            # A look ahead that fails costs a rough cycle half of what it would gain: hence the mean of two.
            lower = (rows[-3]["objective"] - objective) / 2 if loop.share and cycle > 2 else before - objective
            # The first cycle of the prox-linear loop takes a cautious step: a small one says nothing yet. Nor does an
            # exact one that only max_cycles asked for: rough ones had not stood still.
            forced = inexact and certified and not (loop.share or finishing)
            small = cycle > 1 and not forced and lower <= max(tol * abs(before), atol)
            settled = small or abs(objective) <= nothing
            # Rough steps stand still: finer ones are due.
            if settled and loop.share and 0.1 * share >= LEAST_SHARE:
                share *= 0.1
                continue
            # At last the blocks are solved exactly.
            if loop.share and certified:
                finishing = settled
                continue
            if abs(objective) <= nothing or (settled and loop.share):
                status = Status.CONVERGED
                break
            if small:
                # While a block misses its certificate, a small change may be the solver's standstill.
                solved = all(
                    c.holds(max(tol, block_tol)) if c.known else c.kkt_residual <= FAIR_RESIDUAL
                    for c in loop.certificates.values()
                )
                status = Status.CONVERGED if solved else Status.STALLED
                break
            # Exact steps go on where rough ones stood still.
            finishing = False
        # Every method ends alike: states at equilibrium, and the output block exact at them.
        it, loop.share = problem.at_equilibrium(it), 0.0
        # A solver that gave up a moment ago is not asked again: the last good iterate is the answer.
        if status is not Status.SOLVER_FAILED:
            try:
                it = loop.descend(it, "output")
            except BlockSolveError as error:
                warnings.warn(str(error), ConvergenceWarning, stacklevel=2)
                status = Status.SOLVER_FAILED
        known = pd.DataFrame(rows, columns=HISTORY), loop.certificates, loop.dual_values, loop.solvers
        result = BcdResult(problem, method, solver, status, it, *known)
        tell(1.0, f"{len(rows)} cycles, objective {result.objective:.6g}")
    if not status.ok:
        warnings.warn(
            f"{method}: {status.value} (cycles: {len(rows)}, objective at the end: {result.objective:.6g}, "
            f"last relative change: {loop.change:.1e}, tol: {tol:.0e}).",
            ConvergenceWarning,
            stacklevel=2,
        )
    return result


def _history_row(loop: _Loop, it: Iterate, cycle: int, objective: float, seconds: float) -> dict[str, float]:
    # Of the blocks of this cycle: those of a rough one are not certified.
    certificates = [] if loop.share else list(loop.certificates.values())
    return {
        "cycle": cycle,
        "objective": objective,
        "change": loop.change,
        "asked": loop.share or loop.block_tol,
        "gap": max((c.relative_gap for c in certificates), default=np.nan),
        "kkt_residual": max((c.kkt_residual for c in certificates), default=np.nan),
        "violation": max([*loop.problem.violations(it).values(), *(c.violation for c in certificates)]),
        "n_selected": int(loop.problem.selected(it).sum()),
        "mu": loop.mu,
        "attempts": loop.attempts,
        "seconds": seconds,
    }
