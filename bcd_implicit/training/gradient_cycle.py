"""The gradient loop: steps of an optimizer on (T), with gradients through the equilibrium.

A step takes some samples, solves for their states from those that they had last, and moves A, B, b, C, D and d by the
gradient of the loss and the ridges there, as the optimizer says. Then come the proximal maps of the norm bound with the
penalty of A and of the group lasso, in the optimizer's metric. A cycle is an epoch, and ends with the states of all
samples at equilibrium and (T). If it changes next to nothing, the best iterate is certified: the residuals of the
output block and of the prox-linear block, which no step has computed, tell whether it is stationary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from bcd_implicit.errors import BlockSolveError, InvalidInputError, NotWellPosedError
from bcd_implicit.model.structure import OneCycle, Staged, Structure
from bcd_implicit.problem.gradient import data_gradient
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.layout import Layout
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.checks import LARGEST_ENTRY, random_generator
from bcd_implicit.support.interruption import Stop, check_stop, finishing
from bcd_implicit.support.notices import collected, warn_convergence
from bcd_implicit.training.descent import Descent
from bcd_implicit.training.gradient_options import GradientOptions
from bcd_implicit.training.loop import Loop
from bcd_implicit.training.optimizers import Moments, Optimizer
from bcd_implicit.training.result import Status
from bcd_implicit.training.scale import best_scale, scaled_by

# States of a step are solved this well, relatively: finer ones lead no lower (the gradient's noise is larger).
STEP_TOL = 1e-6
# Cycles without a lower objective after which "plateau" halves the learning rate. After one the noise of batches would
# have halved it away long before the end.
PATIENCE = 10
# Halved so often, the learning rate moves nothing any more.
MOST_HALVINGS = 12


class Steps:
    """The steps of one cycle, and the unknowns, states and moments that they move.

    Parameters
    ----------
    problem : TrainingProblem
    options : GradientOptions
    it : Iterate
        Where they begin.
    moments : Moments
    """

    def __init__(self, problem: TrainingProblem, options: GradientOptions, it: Iterate, moments: Moments) -> None:
        self.problem, self.options, self.moments = problem, options, moments
        self.optimizer: Optimizer = options.optimizer  # type: ignore[assignment]
        self.layout = Layout(problem)
        self.theta, self.X = self.layout.vector(it), it.X.copy()
        # Views: they move with the vector.
        self.parts = self.layout.parts(self.theta)
        # Without a pattern all states count as one cycle: looking for smaller ones at every step would take longer.
        self.patterned = "A" in problem.pattern.free

    def iterate(self, X: np.ndarray) -> Iterate:
        """The unknowns of now with these states."""
        return Iterate(**self.parts, X=X)

    def step(self, samples: np.ndarray | None, learning_rate: float) -> bool:
        """One step by the gradient at some samples, or at all; whether its numbers can be gone on from."""
        gradient = self.gradient(samples)
        mean, scales = self.optimizer.moves(self.moments, gradient)
        steps = learning_rate * scales
        self.theta -= steps * mean
        # Not >: what is not a number is none, either.
        if not np.abs(self.theta).max() <= LARGEST_ENTRY:
            return False
        self._prox(steps)
        return True

    def gradient(self, samples: np.ndarray | None) -> np.ndarray:
        """The gradient of the smooth part; some samples give an estimate, whose mean by samples is exact."""
        problem, X, weight = self.problem, self.X, 1.0
        if samples is not None:
            weight = float(problem.shares[samples].sum()) * problem.n_samples / len(samples)
            problem, X = problem.subset(samples), X[:, samples]
        X = problem.states_near(self.iterate(X), STEP_TOL)
        self.X[:, slice(None) if samples is None else samples] = X
        it, options, A = self.iterate(X), self.options, self.parts["A"]
        structure: Staged = (Structure if self.patterned else OneCycle)(A, problem.activation)
        data = data_gradient(problem, it, structure, options.gradient, options.n_terms, weight)
        return self.layout.with_ridges(data, it)

    def _prox(self, steps: float | np.ndarray) -> None:
        """The proximal maps of norm bound and penalty of A, and of the group lasso, in the metric of the steps."""
        problem, parts, lasso = self.problem, self.parts, self.problem.group_lasso
        on_A: float | np.ndarray = steps
        on_groups: float | np.ndarray = steps
        if isinstance(steps, np.ndarray):
            of = Iterate(**self.layout.parts(steps), X=self.X)
            on_A, on_groups = of.A, problem.grouped(of)
        # Repaired: the projection of what is far outside is known to few digits.
        parts["A"][:] = problem.row_set.repair(problem.row_set.prox(parts["A"], on_A))
        if problem.kappa == 0 and lasso.form == "penalty":
            return
        it = self.iterate(self.X)
        moved = problem.with_grouped(it, lasso.prox(problem.grouped(it), on_groups))
        for letter in "BD" if problem.stacked else "B":
            parts[letter][:] = getattr(moved, letter)

    def ended(self) -> Iterate:
        """Where they led, rounding repaired, with the states of all samples at equilibrium."""
        problem, it = self.problem, self.iterate(self.X)
        return problem.at_equilibrium(problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it))))


def batches(
    problem: TrainingProblem, options: GradientOptions, rng: np.random.Generator
) -> Sequence[np.ndarray | None]:
    """The samples of each step of a cycle; None stands for all."""
    size, m = options.batch_size, problem.n_samples
    if size is None or size >= m:
        return [None] * options.n_steps
    return np.array_split(rng.permutation(m), math.ceil(m / size))


def begin_gradient(loop: Loop, random_state: Any) -> None:
    """The output block exact where C is zero: else nothing tells what a group of B is worth, and kappa empties it."""
    state, options = loop.state, loop.options
    if not state.iterate.C.any():
        # It is quick, and without it there is a start all the same.
        with suppress(BlockSolveError, Stop), finishing():
            it = loop.descend(state.iterate, "output")
            state.iterate, state.objective = it, loop.problem.objective_at_states(it)
        state.certificates = {}
    rng = random_generator(random_state)
    state.descent = Descent.begin(state.iterate, state.objective, options.learning_rate, rng)


def gradient_cycle(loop: Loop, it: Iterate) -> tuple[Iterate, float]:
    """From the best scale, an epoch of steps; then the states of all samples. Returns the iterate and (T)."""
    problem, options, state = loop.problem, loop.options, loop.state
    start, before, objective, descent = it, state.objective, np.inf, state.descent
    assert descent is not None
    rng, rate = descent.generator(), descent.learning_rate
    if options.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * len(state.rows) / loop.max_cycles))
    t = best_scale(problem, it)
    steps = Steps(problem, options, scaled_by(t, it), descent.moments.scaled(_units(problem, t)))
    state.certificates, state.learning_rate = {}, rate
    # States beyond numbers are refused as if a person had asked for them, and what else is beyond them is noticed.
    with (
        np.errstate(over="ignore", invalid="ignore"),
        suppress(InvalidInputError, NotWellPosedError),
        collected() as messages,
    ):
        if all(_taken(steps, samples, rate) for samples in batches(problem, options, rng)):
            it, moments = steps.ended(), steps.moments
            objective = problem.objective_at_states(it)
    # Not >: what is not a number is astray, too.
    state.stalled = not objective <= max(before, problem.loss_of_zero)
    if state.stalled:
        # Far too long steps: back to where they began, with shorter ones.
        it, objective, moments, messages = start, before, Moments.none(len(steps.theta)), []
    for message in messages:
        warn_convergence(message, stacklevel=2)
    patience = PATIENCE if options.schedule == "plateau" else None
    # Whatever the schedule, a rate that has led astray is halved.
    descent = descent.after(it, objective, moments, rng.bit_generator.state, patience, halve=state.stalled)
    state.descent = descent
    if loop.certified and not descent.checked and _settled(loop, objective, before):
        end_gradient(loop, descent.best, True)
        state.descent = replace(descent, checked=True)
    return it, objective


def _taken(steps: Steps, samples: np.ndarray | None, rate: float) -> bool:
    check_stop()
    return steps.step(samples, rate)


def _units(problem: TrainingProblem, t: float) -> np.ndarray:
    """By what the gradients grow where (B, b) is divided by t and C multiplied, in one vector."""
    factors = {"B": t, "b": t, "C": 1 / t}
    layout = Layout(problem)
    vector = np.ones(layout.n_unknowns)
    for letter, part in layout.parts(vector).items():
        part *= factors.get(letter, 1.0)
    return vector


def gradient_ended(loop: Loop, before: float) -> Status | None:
    """How the loop ends after this cycle, if it does."""
    state, options = loop.state, loop.options
    assert state.descent is not None
    if abs(state.objective) <= state.nothing:
        return Status.CONVERGED
    stationary = not loop.certified or _residual(loop) <= math.sqrt(loop.block_tol)
    if stationary and _settled(loop, state.objective, before):
        return Status.CONVERGED
    halvings = math.log2(options.learning_rate / state.descent.learning_rate)
    return Status.STALLED if halvings > MOST_HALVINGS else None


def _settled(loop: Loop, objective: float, before: float) -> bool:
    """Whether a cycle that was not taken back has changed the objective by next to nothing."""
    return not loop.state.stalled and loop.is_small(abs(objective - before), before)


def _residual(loop: Loop) -> float:
    """The larger KKT residual of the two blocks, where both have been looked at; it falls with the root of a gap."""
    found = loop.state.certificates
    return max(c.kkt_residual for c in found.values()) if "prox-linear" in found else math.inf


def gradient_unfinished(loop: Loop, status: Status) -> str:
    """What a warning says of a run that did not converge: a larger tol would not have ended it where it was steep."""
    remedy = 'try another learning_rate, or finish with the method "prox-linear"'
    if status is Status.STALLED:
        return f"stopped without progress: the learning rate was halved to zero; {remedy}"
    if status is Status.MAX_CYCLES and math.sqrt(loop.block_tol) < _residual(loop) < math.inf:
        return f"stopped at max_cycles before the KKT residual was small; raise max_cycles, {remedy}"
    return str(status.value)


def residual_told(loop: Loop) -> str:
    """The residual for a warning, where it is known."""
    residual = _residual(loop)
    return f", KKT residual: {residual:.1e}, asked for: {math.sqrt(loop.block_tol):.0e}" if residual < math.inf else ""


def end_gradient(loop: Loop, it: Iterate, certified: bool) -> Iterate:
    """The output block exact at the states, unless that is to stay the optimizer's; both blocks' certificates."""
    if loop.options.exact_output:
        it = loop.descend(it, "output")
    elif certified:
        loop.state.certificates["output"] = loop.block(it, "output").certificate(it)
    if certified:
        block = loop.block(it, "prox-linear")
        loop.state.certificates["prox-linear"] = block.certificate(block.it)
    return it
