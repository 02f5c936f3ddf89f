"""The loops, and the cycles of those of blocks.

prox-linear
    scale -> output exactly at the equilibrium -> prox-linear block -> states; the step counts if the true objective (T)
    fell, else mu grows and the same linearisation is tried again. While there is far to go a rough step will do, and
    the next cycle looks ahead along it; once rough steps stand still, or at the last cycle, the blocks are solved
    exactly and certified.
fenchel
    output -> state -> hidden on the relaxed objective (F), which never rises.
gradient
    scale -> an epoch of steps of an optimizer on (T), through the equilibrium, each with the projection on the norm
    bound and the proximal map of the group lasso -> states. (T) may rise, and the best iterate is returned
    (:mod:`bcd_implicit.training.gradient_cycle`).

To add a loop, write its cycle, a function that takes an iterate to a better one, and add it to :data:`METHODS`, with
``inexact=True`` if its blocks have :meth:`~bcd_implicit.blocks.base.Block.improve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.matrices import MatricesBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.solution import FAIR_RESIDUAL
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.choices import AUTO, NATIVE
from bcd_implicit.training.gradient_cycle import (
    begin_gradient,
    end_gradient,
    gradient_cycle,
    gradient_ended,
    gradient_unfinished,
    residual_told,
)
from bcd_implicit.training.gradient_options import GradientOptions
from bcd_implicit.training.loop import LEAST_SHARE, Loop
from bcd_implicit.training.result import Status
from bcd_implicit.training.scale import NOTHING, rescaled

# Retries of one linearisation: 4^20 times the curvature moves nothing any more.
MAX_ATTEMPTS = 20
# Attempts with a block that the solver could not solve: more of them would miss as well.
MAX_MISSES = 3
# Rough cycles look ahead once a cycle lowers the objective by less than this share.
LOOK_AHEAD = 0.1
# Below this share of the loss's mean curvature the proximal term only spoils the conditioning: (T) falls no faster.
LEAST_DAMPING = 1e-2


def fenchel_cycle(loop: Loop, it: Iterate) -> tuple[Iterate, float]:
    """Output, state, hidden: each exact with the others fixed. Returns the iterate and (F)."""
    for name in ("output", "state", "hidden"):
        it = loop.descend(it, name)
    return it, loop.problem.objective(it)


def prox_linear_cycle(loop: Loop, it: Iterate) -> tuple[Iterate, float]:
    """Scale, output at the equilibrium, the first prox-linear step that lowers (T). Returns the iterate and (T)."""
    problem, state, objective = loop.problem, loop.state, loop.state.objective
    it = rescaled(problem, it)
    output = loop.solve(loop.block(it, "output"))
    # A solver's rounding must not raise the objective.
    if output.objective <= objective and output.feasible:
        it, objective = output.iterate, output.objective
    # Exact steps are certified where they are, and far from the end long steps lead to worse points.
    if loop.share and state.change < LOOK_AHEAD:
        it, objective = loop.look_ahead(it, objective)
    block, damping, missed = loop.block(it, "prox-linear"), state.damping, 0
    curvature = block.mean_curvature + least_curvature(problem, block)
    for state.attempts in range(1, MAX_ATTEMPTS + 1):
        # The same block every time: its linearisation, and the products formed so far, hold for any mu.
        state.mu = block.mu = damping * curvature
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
            state.damping = max(damping / 3, LEAST_DAMPING)
            state.extrapolation.step = it, trial
            return trial, value
        met = solution.meets(loop.block_tol)
        if not promises and (met or not solution.solved):
            return it, objective  # certified, it is stationary; if not, the next cycle will tell
        missed += solution.solved and not met
        if missed == MAX_MISSES:
            break
        damping *= 4
    state.stalled = not loop.share  # solved exactly, the next cycle may do better
    return it, objective


def least_curvature(problem: TrainingProblem, block: ProxLinearBlock) -> float:
    """A curvature that tells only where features hardly act: C next to zero, as for classes that are rare.

    Nothing else would hold b there, and steps as long as preactivations would be taken for the sake of rounding.
    """
    return NOTHING * problem.loss_of_zero / (block.linearisation.mean_square or 1.0)


def blocks_ended(loop: Loop, before: float) -> Status | None:
    """How a loop of blocks ends after this cycle, if it does; if not, how rough the next one may be.

    ``before`` is the objective before this cycle.
    """
    state = loop.state
    # Before the test of the change, which a cycle without a step may pass.
    if state.stalled:
        return Status.STALLED
    objective, cycle = state.objective, len(state.rows)
    nothing = abs(objective) <= state.nothing
    # A look ahead that fails costs a rough cycle half of what it would gain: hence the mean of two.
    lower = (state.rows[-3]["objective"] - objective) / 2 if loop.share and cycle > 2 else before - objective
    # The first cycle of the prox-linear loop takes a cautious step: a small one says nothing yet. Nor does an exact one
    # that only max_cycles asked for: rough ones had not stood still.
    forced = loop.inexact and loop.certified and not (loop.share or state.finishing)
    small = cycle > 1 and not forced and loop.is_small(lower, before)
    settled = small or nothing
    # Rough steps stand still: finer ones are due.
    if settled and loop.share and 0.1 * state.share >= LEAST_SHARE:
        state.share *= 0.1
        return None
    # At last the blocks are solved exactly.
    if loop.share and loop.certified:
        state.finishing = settled
        return None
    if nothing or (settled and loop.share):
        return Status.CONVERGED
    if small:
        # While a block misses its certificate, a small change may be the solver's standstill.
        solved = all(
            c.holds(max(loop.tol, loop.block_tol)) if c.known else c.kkt_residual <= FAIR_RESIDUAL
            for c in state.certificates.values()
        )
        return Status.CONVERGED if solved else Status.STALLED
    # Exact steps go on where rough ones stood still.
    state.finishing = False
    return None


def nothing_to_begin(loop: Loop, random_state: Any) -> None:
    """A loop of blocks carries nothing else along."""


def end_with_output(loop: Loop, it: Iterate, certified: bool) -> Iterate:
    """The output block exact at the states; cycles have certified the others."""
    return loop.descend(it, "output")


def blocks_unfinished(loop: Loop, status: Status) -> str:
    """What a warning says of a loop of blocks that did not converge."""
    if loop.inexact and status is Status.MAX_CYCLES and loop.state.change <= loop.tol:
        confirmed = "the last change is below tol, but the finer cycles that confirm it were still to come"
        return f"stopped at max_cycles: {confirmed}; raise max_cycles"
    return str(status.value)


def nothing_told(loop: Loop) -> str:
    """Blocks that miss their tolerance warn where they were solved."""
    return ""


@dataclass(frozen=True)
class Method:
    """A loop: its cycle, the block in which it moves (A, B, b), and whether a rough step will do on the way.

    Attributes
    ----------
    cycle : callable
        Of the loop and an iterate; returns the next iterate and its objective.
    matrices_block : type
    inexact : bool
    path_ends : pair of float
        Where its path begins and ends, in multiples of the scale of kappa that the block tells.
    by_blocks : bool
        Whether it solves blocks: then no cycle raises the objective, and a user's constraints are met.
    options : type or None
        A dataclass of its own options, which checks them.
    begin : callable
        Of the loop, whose state is the start, and the random state: changes that state before the first cycle.
    ended : callable
        Of the loop after a cycle and the objective before it: how the loop ends, None where it goes on.
    end : callable
        Of the loop, the iterate that it ended with and whether there is time to certify it; returns the result's.
    unfinished : callable
        Of the loop that has ended and how: what a warning says of it, and advises.
    also_told : callable
        Of the loop that has ended: what a warning adds to the numbers.
    """

    cycle: Callable[[Loop, Iterate], tuple[Iterate, float]]
    matrices_block: type[MatricesBlock]
    inexact: bool = False
    path_ends: tuple[float, float] = (1 / 100, 3.0)
    by_blocks: bool = True
    options: type | None = None
    begin: Callable[[Loop, Any], None] = nothing_to_begin
    ended: Callable[[Loop, float], Status | None] = blocks_ended
    end: Callable[[Loop, Iterate, bool], Iterate] = end_with_output
    unfinished: Callable[[Loop, Status], str] = blocks_unfinished
    also_told: Callable[[Loop], str] = nothing_told


#: The loops, by name.
METHODS: dict[str, Method] = {
    # The scale step makes C, and with it that scale, small.
    "prox-linear": Method(prox_linear_cycle, ProxLinearBlock, inexact=True, path_ends=(1 / 30, 10.0)),
    "fenchel": Method(fenchel_cycle, HiddenBlock),
    "gradient": Method(
        gradient_cycle,
        ProxLinearBlock,
        path_ends=(1 / 30, 10.0),
        by_blocks=False,
        options=GradientOptions,
        begin=begin_gradient,
        ended=gradient_ended,
        end=end_gradient,
        unfinished=gradient_unfinished,
        also_told=residual_told,
    ),
}


def takes_rough_steps(problem: TrainingProblem, method: str, solver: str) -> bool:
    """Whether the loop's steps on the way are native and only as exact as they need to be."""
    # A user's constraints need a conic solver, which knows no rough steps.
    return METHODS[method].inexact and solver in (AUTO, NATIVE) and not problem.constraints
