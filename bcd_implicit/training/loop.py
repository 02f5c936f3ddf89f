"""What the cycles of one run share: the state that goes from cycle to cycle, and the loop that solves blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bcd_implicit.blocks.solution import BlockSolution
from bcd_implicit.blocks.solve import improve, make_block, solve_prepared
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.choices import AUTO, NATIVE
from bcd_implicit.training.descent import Descent
from bcd_implicit.training.extrapolation import Extrapolation
from bcd_implicit.training.fenchel_weights import FenchelSchedule
from bcd_implicit.training.scale import rescaled

# A rough step ends where a native step gains less than this share of what all have gained. It shrinks tenfold where the
# loop stands still, down to the least; then exact steps follow.
FIRST_SHARE, LEAST_SHARE = 0.03, 1e-3


@dataclass
class State:
    """What a run carries from cycle to cycle. With the problem and the loop's arguments it says all that follows.

    Attributes
    ----------
    iterate : Iterate
    objective : float
        The one that the loop lowers.
    rows : list of dict
        The history, one row per cycle.
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
    learning_rate : float
        Of the last cycle, where it took steps of an optimizer.
    descent : Descent or None
        What such a loop carries along.
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
    learning_rate: float = np.nan
    descent: Descent | None = None

    @property
    def best(self) -> Iterate:
        """What the loop would return now: where it may go up, the lowest so far."""
        return self.iterate if self.descent is None else self.descent.best

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
    # Of the method; None where it has none.
    options: Any = None
    # What ends the loop, and whether what it returns is certified.
    max_cycles: int = 100
    tol: float = 0.0
    atol: float = 0.0
    certified: bool = True

    def is_small(self, change: float, before: float) -> bool:
        """Whether a change of the objective, which was ``before``, is within the tolerance."""
        return change <= max(self.tol * abs(before), self.atol)

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
