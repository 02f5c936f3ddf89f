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
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from bcd_implicit.model.active_set import newton_step
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.robustness.box import Box, Ranges, Rows, Tasks
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
# Less than this share of the rows of a stage is taken out of it.
WORTH_A_CHOICE = 0.8
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

    @cached_property
    def size_z(self) -> np.ndarray:
        """``|z|`` at most."""
        return self.z.sizes

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


#: What makes the largest values of tasks on lines, (K,), and dual vectors, (n, K), better ones.
_Improve = Callable[[BoundedSystem, Box, Lines, Tasks, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Step:
    """A round that tightened ranges of preactivations.

    Attributes
    ----------
    tasks : Tasks
        Rows of preactivations.
    multipliers : ndarray or sparse array of shape (n, K)
        lambda, for each.
    after : Ranges
        Of all preactivations, (n, m).
    """

    tasks: Tasks
    multipliers: Matrix
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
    multipliers : ndarray or sparse array of shape (n, K)
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
    multipliers: Matrix
    cuts: Cuts | None = None
    of_cases: np.ndarray | None = None


def by_intervals(system: BoundedSystem, box: Box, tasks: Tasks) -> tuple[np.ndarray, DualCertificate]:
    """The largest values of tasks, (K,), by intervals of states alone, and what proves it."""
    x, z = state_ranges(system.structure, box, system.b)
    found = _by_ranges(system, box, x, image(system.activation, z).sizes, tasks)
    return found, DualCertificate(x, z, (), tasks, np.zeros((len(system.b), len(tasks))))


def backward(
    system: BoundedSystem, box: Box, tasks: Tasks, rounds: int, n_cuts: int = 0, improve: _Improve | None = None
) -> tuple[np.ndarray, DualCertificate]:
    """The same by backward linear bounds, or by dual vectors that are made better, for ranges and cases too."""
    x, z = state_ranges(system.structure, box, system.b)
    lines, steps = tightened(system, box, x, z, rounds, improve)
    found, multipliers = bounded(system, box, lines, tasks, improve)
    if not n_cuts:
        return found, DualCertificate(x, z, steps, tasks, multipliers)
    found, cuts, of_cases = _by_cases(system, box, lines, tasks, found, dense(multipliers), n_cuts, improve)
    return found, DualCertificate(x, z, steps, tasks, multipliers, cuts, of_cases)


def _by_cases(
    system: BoundedSystem,
    box: Box,
    lines: Lines,
    tasks: Tasks,
    found: np.ndarray,
    multipliers: np.ndarray,
    n_cuts: int,
    improve: _Improve | None,
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
            of_its = Lines.around(system, ranges, x)
            value, of_case = by_lines(system, its_box, of_its, each)
            if improve is not None:
                value, of_case = improve(system, its_box, of_its, each, value, dense(of_case))
            values.append(value)
            of_cases[case, :, part] = dense(of_case)
        worst = np.max(values, axis=0)
        better = worst < found[part]
        found[part] = np.where(better, worst, found[part])
        # Where cases are no better, the bound is that of all of them together.
        of_cases[:, :, part] = np.where(better, of_cases[:, :, part], multipliers[:, part])
        all_cuts.state[:, part], all_cuts.point[:, part] = cuts.state, cuts.point
    return found, all_cuts, of_cases


def tightened(
    system: BoundedSystem, box: Box, x: Ranges, z: Ranges, rounds: int, improve: _Improve | None
) -> tuple[Lines, tuple[Step, ...]]:
    """Lines on ranges of preactivations that are tighter, and how they were found, stage by stage."""
    lines, steps = Lines.around(system, z, x), []
    for stage in system.structure.stages:
        # Of what depends on inputs alone intervals are exact.
        n_rounds = 0 if stage.before is None and stage.cycle is None else rounds
        # Where no input is uncertain, what is left is rounding.
        left = np.asarray((box.radius > 0).any(axis=0))
        for _ in range(n_rounds if stage.cycle is not None else min(n_rounds, 1)):
            step = _tighten(system, box, lines, stage, left, improve)
            if step is None:
                break
            width, new = lines.z.high - lines.z.low, step.after.high - step.after.low
            # Each sample by itself, so that bounds do not depend on the others.
            left &= (new < (1 - WORTH_A_ROUND) * width).any(axis=0)
            lines = Lines.around(system, step.after, lines.x)
            steps.append(step)
    return lines, tuple(steps)


def _tighten(
    system: BoundedSystem, box: Box, lines: Lines, stage: Stage, samples: np.ndarray, improve: _Improve | None
) -> Step | None:
    z = lines.z
    linear = system.activation.is_linear(z.low, z.high)
    open_states = np.zeros_like(linear)
    # Where phi is linear on the range, lines are exact.
    open_states[stage.states] = ~linear[stage.states] & samples
    # Sample by sample: what is done at a time is about few of them.
    sample, row = np.nonzero(open_states.T)
    if not len(row):
        return None
    tasks = Tasks.both_ends(system.preactivations, row, sample)
    found, multipliers = bounded(system, box, lines, tasks, improve)
    low, high, k = z.low.copy(), z.high.copy(), len(row)
    high[row, sample] = np.minimum(high[row, sample], found[:k])
    low[row, sample] = np.maximum(low[row, sample], -found[k:])
    return Step(tasks, multipliers, Ranges(low, np.maximum(low, high)))


def bounded(
    system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks, improve: _Improve | None = None
) -> tuple[np.ndarray, Matrix]:
    """The largest values of tasks, (K,), and for each the multipliers that prove it, (n, K)."""
    found, multipliers = by_lines(system, box, lines, tasks)
    # Intervals, where they are better: through a long chain of states lines may do harm.
    plain = _by_ranges(system, box, lines.x, lines.size, tasks)
    better = plain < found
    found = np.where(better, plain, found)
    if better.any():
        keep = sp.diags_array(1.0 - better)
        multipliers = sp.csc_array(multipliers @ keep) if sp.issparse(multipliers) else multipliers * ~better
    return (found, multipliers) if improve is None else improve(system, box, lines, tasks, found, dense(multipliers))


def _by_ranges(system: BoundedSystem, box: Box, x: Ranges, size: np.ndarray, tasks: Tasks) -> np.ndarray:
    """The largest values of tasks, (K,), by ranges of states alone, which are charged as if they were of some size.

    Those of all rows and samples are found, since tasks share them.
    """
    asked, its_row = np.unique(tasks.row, return_inverse=True)
    rows, (n, p) = Rows(tasks.rows.x[asked], tasks.rows.u[asked], tasks.rows.c[asked]), system.B.shape
    center = rows.x @ x.middle + rows.u @ box.center + rows.c[:, None]
    of_x, of_u = np.abs(rows.x), np.abs(rows.u)
    # As much as the pass below charges for lambda = 0.
    sizes = of_x @ size + of_u @ box.sizes + np.abs(rows.c)[:, None]
    rounding = (2 * SPARE * summation_error(2 * (n + p)) + 24 * EPS) * sizes
    radius = of_x @ x.radius + box.spread(rows.u) + rounding
    place = its_row.ravel(), tasks.sample
    return np.asarray(tasks.sign * center[place] + radius[place])


def by_lines(system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks) -> tuple[np.ndarray, Matrix]:
    """The largest values of tasks, (K,), by their backward passes, and lambda, (n, K); sparse where A is."""
    n, found, multipliers = len(system.b), np.empty(len(tasks)), []
    for part in parts(len(tasks), n):
        check_stop()
        found[part], lam = _backward_pass(system, box, lines, tasks.take(part))
        # Of a large network most states are reached by few tasks.
        multipliers.append(_sparse(lam) if sp.issparse(system.A) else lam)
    if not multipliers:
        return found, np.zeros((n, 0))
    return found, sp.hstack(multipliers, format="csc") if sp.issparse(system.A) else np.hstack(multipliers)


def _sparse(lam: np.ndarray) -> sp.csc_array:
    """The same as a sparse array, soon where most rows are zero."""
    rows = np.flatnonzero(lam.any(axis=1))
    columns = np.ascontiguousarray(lam[rows].T)
    places = np.flatnonzero(columns)
    ends = np.cumsum([0, *np.count_nonzero(columns, axis=1)])
    return sp.csc_array((columns.ravel()[places], rows[places % max(len(rows), 1)], ends), shape=lam.shape)


def _backward_pass(system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """The bounds, (K,), by about the solution of w = r + A^T lambda, lambda = s w+ - a w-, and lambda, (n, K).

    Rounding, and what w is off by, is charged.
    """
    j, (n, p) = tasks.sample, system.B.shape
    # Of one sample each side of the lines is one column.
    one = j[:1] if (j == j[:1]).all() else j
    w, v, total, inputs = tasks.of_states, tasks.of_inputs, tasks.constants, box.sizes
    asked, multipliers = np.flatnonzero(w.any(axis=1)), np.zeros_like(w)
    products = _weighed(lines.size[asked][:, one], np.abs(w[asked])) + _weighed(inputs[:, one], np.abs(v))
    sums, l1 = np.abs(total), np.zeros(len(tasks))
    for stage in reversed(system.structure.stages):
        here, states = w[stage.states], stage.states
        some: np.ndarray | slice = slice(None)
        if stage.cycle is None:
            reached = here.any(axis=1)
            if not reached.any():
                continue
            if reached.mean() < WORTH_A_CHOICE:
                some = np.flatnonzero(reached)
                states, here = np.arange(n)[stage.states][some], here[some]
        above, above_0, below, below_0, size, size_z = (
            side[states][:, one]
            for side in (lines.above, lines.above_0, lines.below, lines.below_0, lines.size, lines.size_z)
        )
        if stage.cycle is not None:
            given, here = here, _in_cycle(stage.cycle.A.T, above, below, here)
            lam = _bent(above, below, here)
            off = np.abs(given + stage.cycle.A.T @ lam - here)
            total, sums = total + _weighed(size, off), sums + _weighed(size, off)
        else:
            # Here w is off by the rounding of the sums alone, which is charged below.
            lam = _bent(above, below, here)
        multipliers[states] = lam
        up, down, sizes = np.maximum(here, 0.0), np.minimum(here, 0.0), np.abs(lam)
        b = system.b[states]
        total = total + _weighed(above_0, up) + _weighed(below_0, down) + b @ lam
        sums = sums + _weighed(size, up - down) + _weighed(size_z, sizes) + np.abs(b) @ sizes
        l1 += sizes.sum(axis=0)
        for incoming, to in ((stage.before, w), (stage.inputs, v)):
            if incoming is not None:
                to[incoming.columns] += incoming.rows[some].T @ lam
    total = total + _weighed(box.center[:, one], v) + box.spread_of(v, one)
    sums = sums + _weighed(inputs[:, one], np.abs(v))
    # What is rounded: sums, the products with A^T and B^T, and phi with the lines.
    of_A, of_B = system.largest_weights
    products = products + l1 * ((of_A @ lines.size)[one] + (of_B @ inputs)[one])
    return total + SPARE * summation_error(2 * (n + p)) * (products + sums) + 24 * EPS * sums, multipliers


def _weighed(side: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The sum over the first axis of the product, (K,), where each, or all, of K columns have weights of their own."""
    return np.asarray(side[:, 0] @ of if side.shape[1] == 1 else np.einsum("ik,ik->k", side, of))


def _bent(above: np.ndarray, below: np.ndarray, w: np.ndarray) -> np.ndarray:
    return above * np.maximum(w, 0.0) + below * np.minimum(w, 0.0)


def _in_cycle(M: np.ndarray, above: np.ndarray, below: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """About the solution of w = asked + M lambda(w), where M = A^T between the states of a cycle."""
    w, left = asked.copy(), np.arange(asked.shape[1])
    s, a = (np.broadcast_to(side, asked.shape) for side in (above, below))
    r = here = asked
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
