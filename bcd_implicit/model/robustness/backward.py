"""Backward linear bounds at equilibrium, for many rows and samples at once.

Let z = Ax + Bu + b lie in [l, u] on the box of inputs. For any vector lambda,

    r^T x + g^T u = [w^T phi(z) - lambda^T z] + v^T u + lambda^T b,    w = r + A^T lambda,  v = g + B^T lambda,

so the largest value on the box is at most the Lagrangian dual of the equilibrium equation::

    sum_i max_z (w_i phi(z) - lambda_i z) + v^T u0 + |v|^T radius + lambda^T b.

lambda is a certificate, whoever found it, and lambda = 0 gives interval bounds. A good one comes from two lines that
enclose phi on [l, u], with slopes s above and a below: lambda = s w+ - a w-, an equation in w that is solved backwards,
stage by stage. For a feedforward network this is CROWN (Zhang et al., arXiv 1811.00866); on a component with a cycle it
is solved by iteration, and by Newton's method where that is slow.

The same bound of the rows of (A, B), that is of z itself, tightens [l, u], and with them all later bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bcd_implicit.model.active_set import newton_step
from bcd_implicit.model.robustness.box import Box, Ranges, Tasks
from bcd_implicit.model.robustness.branches import Cuts, by_task, cuts_of
from bcd_implicit.model.robustness.intervals import SPARE, image, state_ranges
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.structure import Stage
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.parts import parts

# Iteration for w ends at this share of it, or after so many steps; then Newton takes over, for so many rounds.
ENOUGH, MOST_STEPS, MOST_ROUNDS = 1e-10, 40, 8
#: How often preactivations of a component with a cycle are bounded anew, by the ranges that the last time gave.
ROUNDS = 3
# Another round has to take this share off some range.
WORTH_A_ROUND = 0.01


@dataclass(frozen=True)
class Lines:
    """Two lines that enclose phi on ranges of z: ``a z + a0 <= phi(z) <= s z + s0``, each (n, m).

    Attributes
    ----------
    above, above_0, below, below_0 : ndarray of shape (n, m)
        s, s0, a and a0.
    z, x : Ranges
        Of preactivations and states.
    size : ndarray of shape (n, m)
        ``|phi(z)|`` at most on the ranges of z, which may be more than that of x.
    """

    above: np.ndarray
    above_0: np.ndarray
    below: np.ndarray
    below_0: np.ndarray
    z: Ranges
    x: Ranges
    size: np.ndarray

    @classmethod
    def around(cls, system: BoundedSystem, z: Ranges, x: Ranges) -> Lines:
        """Those of :meth:`~bcd_implicit.terms.function.ElementwiseFunction.envelope_slopes`."""
        phi, one = system.activation, np.ones_like(z.low)
        below, above = phi.envelope_slopes(z.low, z.high)
        above_0 = phi.tilted_max(one, above, z.low, z.high)
        below_0 = -phi.tilted_max(-one, -below, z.low, z.high)
        reached = image(phi, z)
        x = Ranges(np.maximum(x.low, reached.low), np.minimum(x.high, reached.high))
        return cls(above, above_0, below, below_0, z, x, reached.sizes)


#: What bounds tasks on lines: the largest values, (K,), and dual vectors, (n, K).
_Finder = Callable[[BoundedSystem, Box, Lines, Tasks], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Step:
    """A round that tightened ranges of preactivations.

    Attributes
    ----------
    tasks : Tasks
        Rows of preactivations.
    multipliers : ndarray of shape (n, K)
        lambda, for each.
    after : Ranges
        Of all preactivations, (n, m).
    """

    tasks: Tasks
    multipliers: np.ndarray
    after: Ranges


@dataclass(frozen=True)
class DualCertificate:
    """What proves bounds, without the solver.

    Attributes
    ----------
    states, preactivations : Ranges
        By intervals alone, (n, m).
    steps : tuple of Step
        How ranges of preactivations were tightened, one after the other.
    tasks : Tasks
        What was asked.
    multipliers : ndarray of shape (n, K)
        The dual vectors lambda, for each task.
    cuts : Cuts or None
        The cases that were bounded each for itself, if there are some.
    of_cases : ndarray of shape (2^k, n, K) or None
        The dual vectors of each case.
    """

    states: Ranges
    preactivations: Ranges
    steps: tuple[Step, ...]
    tasks: Tasks
    multipliers: np.ndarray
    cuts: Cuts | None = None
    of_cases: np.ndarray | None = None


def by_intervals(system: BoundedSystem, box: Box, tasks: Tasks) -> tuple[np.ndarray, DualCertificate]:
    """The largest values of tasks, (K,), by intervals of states alone, and what proves it."""
    x, z = state_ranges(system.structure, box, system.b)
    lines = _flat(z, x)
    found, multipliers = bounded(system, box, lines, tasks)
    return found, DualCertificate(x, z, (), tasks, multipliers)


def backward(
    system: BoundedSystem, box: Box, tasks: Tasks, rounds: int, n_cuts: int = 0, find: _Finder | None = None
) -> tuple[np.ndarray, DualCertificate]:
    """The same by backward linear bounds, or by other dual vectors on the same ranges."""
    find = find or bounded
    x, z = state_ranges(system.structure, box, system.b)
    lines, steps = tightened(system, box, x, z, rounds, find)
    found, multipliers = find(system, box, lines, tasks)
    if not n_cuts:
        return found, DualCertificate(x, z, steps, tasks, multipliers)
    found, cuts, of_cases = _by_cases(system, box, lines, tasks, found, multipliers, min(n_cuts, len(system.b)))
    return found, DualCertificate(x, z, steps, tasks, multipliers, cuts, of_cases)


def _by_cases(
    system: BoundedSystem,
    box: Box,
    lines: Lines,
    tasks: Tasks,
    found: np.ndarray,
    multipliers: np.ndarray,
    n_cuts: int,
) -> tuple[np.ndarray, Cuts, np.ndarray]:
    """The largest values of tasks by cases, where that is less, the cuts and the dual vectors of each case."""
    points = system.activation.cut_points(lines.z.low, lines.z.high)
    at = system.activation(points)
    too_high, too_low = lines.above * points + lines.above_0 - at, at - lines.below * points - lines.below_0
    found, of_cases = found.copy(), np.repeat(multipliers[None], 2**n_cuts, axis=0)
    all_cuts = Cuts(np.zeros((n_cuts, len(tasks)), dtype=int), np.zeros((n_cuts, len(tasks))))
    for part in parts(len(tasks), len(points)):
        check_stop()
        some = tasks.take(part)
        w, j, each = some.of_states + system.A.T @ multipliers[:, part], some.sample, by_task(some)
        gains = np.maximum(w, 0.0) * too_high[:, j] - np.minimum(w, 0.0) * too_low[:, j]
        cuts, its_box = cuts_of(gains, points[:, j], n_cuts), box.take(j)
        x, z = (Ranges(side.low[:, j], side.high[:, j]) for side in (lines.x, lines.z))
        values = []
        for case, ranges in enumerate(cuts.cases(z)):
            value, of_case = bounded(system, its_box, Lines.around(system, ranges, x), each)
            values.append(value)
            of_cases[case, :, part] = of_case
        worst = np.max(values, axis=0)
        better = worst < found[part]
        found[part] = np.where(better, worst, found[part])
        # Where cases are no better, the bound is that of all of them together.
        of_cases[:, :, part] = np.where(better, of_cases[:, :, part], multipliers[:, part])
        all_cuts.state[:, part], all_cuts.point[:, part] = cuts.state, cuts.point
    return found, all_cuts, of_cases


def tightened(
    system: BoundedSystem, box: Box, x: Ranges, z: Ranges, rounds: int, find: _Finder
) -> tuple[Lines, tuple[Step, ...]]:
    """Lines on ranges of preactivations that are tighter, and how they were found, stage by stage."""
    lines, steps = Lines.around(system, z, x), []
    for stage in system.structure.stages:
        # Of what depends on inputs alone intervals are exact.
        n_rounds = 0 if stage.before is None and stage.cycle is None else rounds
        # Where no input is uncertain, what is left is rounding.
        left = np.asarray((box.radius > 0).any(axis=0))
        for _ in range(n_rounds if stage.cycle is not None else min(n_rounds, 1)):
            step = _tighten(system, box, lines, stage, left, find)
            if step is None:
                break
            width, new = lines.z.high - lines.z.low, step.after.high - step.after.low
            # Each sample by itself, so that bounds do not depend on the others.
            left &= (new < (1 - WORTH_A_ROUND) * width).any(axis=0)
            lines = Lines.around(system, step.after, lines.x)
            steps.append(step)
    return lines, tuple(steps)


def _tighten(
    system: BoundedSystem, box: Box, lines: Lines, stage: Stage, samples: np.ndarray, find: _Finder
) -> Step | None:
    z = lines.z
    linear = system.activation.is_linear(z.low, z.high)
    open_states = np.zeros_like(linear)
    # Where phi is linear on the range, lines are exact.
    open_states[stage.states] = ~linear[stage.states] & samples
    row, sample = np.nonzero(open_states)
    if not len(row):
        return None
    tasks = Tasks.both_ends(system.preactivations, row, sample)
    found, multipliers = find(system, box, lines, tasks)
    low, high, k = z.low.copy(), z.high.copy(), len(row)
    high[row, sample] = np.minimum(high[row, sample], found[:k])
    low[row, sample] = np.maximum(low[row, sample], -found[k:])
    return Step(tasks, multipliers, Ranges(low, np.maximum(low, high)))


def bounded(system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """The largest values of tasks, (K,), and for each the multipliers that prove it, (n, K)."""
    n = len(system.b)
    found, multipliers = np.empty(len(tasks)), np.empty((n, len(tasks)))
    for part in parts(len(tasks), n):
        check_stop()
        some = tasks.take(part)
        w, multipliers[:, part] = backward_pass(system, lines, some)
        found[part] = _value(system, box, lines, some, w, multipliers[:, part])
        # Intervals, where they are better: through a long chain of states lines may do harm.
        none = np.zeros_like(w)
        plain = _value(system, box, _flat(lines.z, lines.x), some, some.of_states, none)
        better = plain < found[part]
        found[part] = np.where(better, plain, found[part])
        multipliers[:, part] = np.where(better, 0.0, multipliers[:, part])
    return found, multipliers


def _flat(z: Ranges, x: Ranges) -> Lines:
    """The horizontal lines at the ends of the ranges of states."""
    zeros = np.zeros_like(z.low)
    return Lines(zeros, x.high, zeros, x.low, z, x, x.sizes)


def backward_pass(system: BoundedSystem, lines: Lines, tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """About the solution of w = r + A^T lambda, lambda = s w+ - a w-: w and lambda, each of shape (n, K)."""
    w = tasks.of_states
    multipliers = np.empty_like(w)
    for stage in reversed(system.structure.stages):
        above, below = (side[stage.states][:, tasks.sample] for side in (lines.above, lines.below))
        here = w[stage.states]
        if stage.cycle is not None:
            w[stage.states] = here = _in_cycle(stage.cycle.A.T, above, below, here)
        multipliers[stage.states] = here = _bent(above, below, here)
        if stage.before is not None:
            w[stage.before.columns] += stage.before.rows.T @ here
    return w, multipliers


def _bent(above: np.ndarray, below: np.ndarray, w: np.ndarray) -> np.ndarray:
    return above * np.maximum(w, 0.0) + below * np.minimum(w, 0.0)


def _in_cycle(M: np.ndarray, above: np.ndarray, below: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """About the solution of w = asked + M lambda(w), where M = A^T between the states of a cycle."""
    w, left = asked.copy(), np.arange(asked.shape[1])
    a, s, r, here = below, above, asked, asked
    for step in range(MOST_STEPS + MOST_ROUNDS):
        if step < MOST_STEPS:
            new = r + M @ _bent(s, a, here)
        else:
            slopes = np.where(here > 0, s, a)
            new = r + M @ newton_step(M, slopes, slopes * r)
            new = np.where(np.isfinite(new).all(axis=0), new, here)
        size = np.abs(new).max(axis=0, initial=0.0)
        # Where this diverges nothing is kept of it.
        new = np.where(np.isfinite(size), new, r)
        w[:, left] = new
        open_tasks = np.abs(new - here).max(axis=0, initial=0.0) > ENOUGH * size
        if not open_tasks.any():
            break
        here = new
        if open_tasks.mean() < 0.7 or step == MOST_STEPS - 1:
            left, here = left[open_tasks], new[:, open_tasks]
            s, a, r = s[:, open_tasks], a[:, open_tasks], r[:, open_tasks]
    return w


def _value(
    system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks, w: np.ndarray, multipliers: np.ndarray
) -> np.ndarray:
    """The bound by lambda = s w+ - a w-, (K,), rounding and what w is off charged."""
    j, (n, p) = tasks.sample, system.B.shape
    U, radius = box.center[:, j], box.radius[:, j]
    r, g, c, lam = tasks.of_states, tasks.of_inputs, tasks.constants, multipliers
    largest, v = lines.size[:, j], g + system.B.T @ lam
    off = r + system.A.T @ lam - w
    ends = np.maximum(w, 0.0) * lines.above_0[:, j] + np.minimum(w, 0.0) * lines.below_0[:, j]
    total = (ends + np.abs(off) * largest).sum(axis=0) + (v * U + np.abs(v) * radius).sum(axis=0)
    total += system.b @ lam + c
    # What is rounded: sums, the products with A^T and B^T, and phi with the lines.
    of_A, of_B = system.largest_weights
    inputs, l1 = np.abs(U) + radius, np.abs(lam).sum(axis=0)
    products = (np.abs(r) * largest).sum(axis=0) + (np.abs(g) * inputs).sum(axis=0)
    products += l1 * ((of_A @ lines.size)[j] + (of_B @ box.sizes)[j])
    sums = (np.abs(w) * largest + np.abs(lam) * lines.z.sizes[:, j] + np.abs(off) * largest).sum(axis=0)
    sums += (np.abs(v) * inputs).sum(axis=0) + np.abs(system.b) @ np.abs(lam) + np.abs(c)
    return np.asarray(total + SPARE * summation_error(2 * (n + p)) * (products + sums) + 24 * EPS * sums)
