"""The cycles of the two block-coordinate descent loops, and what they share.

fenchel
    output -> state -> hidden on the relaxed objective (F), which never rises.
prox-linear
    scale -> output exactly at the equilibrium -> prox-linear block -> states; the step counts if the true objective (T)
    fell, else mu grows and the same linearisation is tried again. While there is far to go a rough step will do, and
    the next cycle looks ahead along it; once rough steps stand still, or at the last cycle, the blocks are solved
    exactly and certified.

To add a loop, write its cycle, a function that takes an iterate to a better one, and add it to :data:`METHODS`, with
``inexact=True`` if its blocks have :meth:`~bcd_implicit.blocks.base.Block.improve`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.matrices import MatricesBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.solution import BlockSolution
from bcd_implicit.blocks.solve import improve, make_block, solve_prepared
from bcd_implicit.blocks.solvers import AUTO, NATIVE
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.training.extrapolation import Extrapolation
from bcd_implicit.training.fenchel_weights import FenchelSchedule
from bcd_implicit.training.scale import NOTHING, rescaled

# Retries of one linearisation: 4^20 times the curvature moves nothing any more.
MAX_ATTEMPTS = 20
# Attempts with a block that the solver could not solve: more of them would miss as well.
MAX_MISSES = 3
# A rough step ends where a native step gains less than this share of what all have gained. It shrinks tenfold where the
# loop stands still, down to the least; then exact steps follow.
FIRST_SHARE, LEAST_SHARE = 0.03, 1e-3
# Rough cycles look ahead once a cycle lowers the objective by less than this share.
LOOK_AHEAD = 0.1
# Below this share of the loss's mean curvature the proximal term only spoils the conditioning: (T) falls no faster.
LEAST_DAMPING = 1e-2


@dataclass
class State:
    """What a run carries from cycle to cycle. With the problem and the loop's arguments it says all that follows.

    Attributes
    ----------
    iterate : Iterate
    objective : float
        The one that the loop never raises.
    rows : list of dict
        The history, a row a cycle.
    nothing : float
        An objective of this size is rounding.
    change : float
        The share by which the last cycle lowered the objective.
    share : float
        How rough the next rough cycle is.
    finishing : bool
        Whether rough cycles are over.
    damping : float
        The proximal weight, in units of the block's mean curvature: like that, it knows no scale.
    mu, attempts, stalled
        Of the last cycle: the proximal weight, how often it was tried, and whether no step was found.
    extrapolation : Extrapolation
    fenchel_weights : ndarray of shape (n,) or None
        Once a schedule has raised them.
    certificates, dual_values, solvers : dict
        Of the last exact solves.
    """

    iterate: Iterate
    objective: float
    rows: list[dict[str, float]] = field(default_factory=list)
    nothing: float = 0.0
    change: float = np.inf
    share: float = 0.0
    finishing: bool = False
    damping: float = 1.0
    mu: float = np.nan
    attempts: int = 0
    stalled: bool = False
    extrapolation: Extrapolation = field(default_factory=Extrapolation)
    fenchel_weights: np.ndarray | None = None
    certificates: dict[str, Certificate] = field(default_factory=dict)
    dual_values: dict[str, Any] = field(default_factory=dict)
    solvers: dict[str, str] = field(default_factory=dict)

    def take(self, it: Iterate, objective: float) -> None:
        """Go on to the iterate to which a cycle led."""
        # An objective of exactly 0 cannot be divided by.
        self.change = (self.objective - objective) / max(abs(self.objective), np.finfo(float).tiny)
        self.iterate, self.objective = it.contiguous(), objective
        if self.extrapolation.step is not None:
            old, new = self.extrapolation.step
            self.extrapolation.step = old.contiguous(), new.contiguous()

    def copy(self) -> State:
        """One that may go on while this one stays."""
        return replace(
            self,
            rows=[*self.rows],
            extrapolation=replace(self.extrapolation),
            certificates={**self.certificates},
            dual_values={**self.dual_values},
            solvers={**self.solvers},
        )


@dataclass
class Loop:
    """What the cycles of one run share: the problem, how to solve a block, and the state.

    While there is far to go a step has to lower (T), not to solve its block: ``share`` says how rough a block's native
    steps may be in this cycle, as in :meth:`~bcd_implicit.blocks.base.Block.improve`. With 0 blocks are solved and
    certified.
    """

    problem: TrainingProblem
    solver: str
    block_tol: float
    solver_options: Mapping[str, Any] | None
    # Whether rough steps may be taken at all.
    inexact: bool
    state: State
    share: float = 0.0

    def block(self, it: Iterate, name: str, **options: Any) -> Any:
        return make_block(self.problem, it, name, **options)

    def solve(self, block: Any) -> BlockSolution:
        if self.share:
            with suppress(BlockSolveError):  # what fails natively is solved
                return improve(block, self.share)
        state, solver = self.state, self.solver
        last, by = state.certificates.get(block.name), state.solvers.get(block.name)
        # The others, which take long, did no better last time.
        if solver == AUTO and by == NATIVE and last is not None and not last.holds(self.block_tol):
            solver = NATIVE
        solution = solve_prepared(block, solver, self.block_tol, self.solver_options)
        state.certificates[block.name], state.solvers[block.name] = solution.certificate, solution.solver
        state.dual_values |= solution.dual_values
        return solution

    def solutions(self, block: Any) -> Iterator[BlockSolution]:
        """A rough one where that is allowed, then, where this cycle asks for it, the exact one."""
        if self.inexact and not self.share:
            with suppress(BlockSolveError):
                yield improve(block, FIRST_SHARE)
        yield self.solve(block)

    @property
    def fenchel_weight(self) -> float:
        """The mean weight of the Fenchel term."""
        return float(self.problem.fenchel_weights.mean())

    def raise_fenchel_weights(self, problem: TrainingProblem, schedule: FenchelSchedule) -> bool:
        """Let the schedule, which began with the problem's weights, raise those of now; whether it did."""
        state, weights = self.state, self.problem.fenchel_weights
        if state.change > schedule.settled:
            return False
        raised = schedule.raised(problem, state.iterate, weights)
        if not np.any(raised > weights):
            return False
        state.fenchel_weights, self.problem = raised, problem.replace(fenchel_weight=raised)
        # From here on cycles are compared on another objective.
        state.objective = self.problem.objective(state.iterate)
        return True

    def descend(self, it: Iterate, name: str) -> Iterate:
        """Solve one block on (F); a solver's rounding must not raise the objective, so the better point is kept."""
        block = self.block(it, name)
        solution = self.solve(block)
        lower = solution.objective <= block.objective(it)
        return solution.iterate if lower and solution.feasible else it

    def look_ahead(self, it: Iterate, objective: float) -> tuple[Iterate, float]:
        """The iterate and (T), or those farther along the last step if (T) is lower there."""
        ahead = self.state.extrapolation.point(self.problem)
        if ahead is None:
            return it, objective
        output = self.solve(self.block(rescaled(self.problem, ahead), "output"))
        lower = output.objective < objective
        self.state.extrapolation.learn(lower)
        return (output.iterate, output.objective) if lower else (it, objective)


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


@dataclass(frozen=True)
class Method:
    """A loop: its cycle, the block in which it moves (A, B, b), and whether a rough step will do on the way.

    ``path_ends`` are where its path begins and ends, in multiples of the scale of kappa that the block tells.
    """

    cycle: Callable[[Loop, Iterate], tuple[Iterate, float]]
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
