"""Intervals of states and preactivations for boxes of inputs, stage by stage.

If no state depends on itself the interval of phi(z) follows from that of z, and so on. On a component with a cycle a
box ``[low, high]`` holds the state of every input if, whenever state i is at an end of its interval and the others are
anywhere in theirs, phi(z_i) does not leave the interval there: by the theorem of Poincare and Miranda there is an
equilibrium in the box then, and there is only one. Such a box is found by steps from one around the equilibrium of the
middle, as wide as the Perron-Frobenius theorem has it. What is found holds because the condition is tested at the end,
rounding included, and not because of how it was found.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import fixed_point
from bcd_implicit.model.robustness.box import Box, Ranges
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.structure import Cycle, Stage, Structure
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.terms.function import ElementwiseFunction

#: So many times the rounding that is possible is charged by what finds a bound: what checks it rounds too, but less.
SPARE = 3
# Steps end where they take less than this share off the widest interval, or after so many.
WORTH_A_STEP, MOST_STEPS = 1e-3, 300
# A box that fails its test by rounding grows so many times, each time to ten times as much.
MOST_GROWTH = 12


def state_ranges(structure: Structure, box: Box, b: np.ndarray) -> tuple[Ranges, Ranges]:
    """The intervals of states and of preactivations for each sample, each of shape (n, m).

    Raises
    ------
    NotWellPosedError
        A component with a cycle has no equilibrium that is certified.
    """
    shape = structure.n_states, box.center.shape[1]
    x, z = (Ranges(np.zeros(shape), np.zeros(shape)) for _ in range(2))
    for stage in structure.stages:
        check_stop()
        middle, radius = drive_range(stage, x, box, b)
        if stage.cycle is None:
            here_z = Ranges(middle - radius, middle + radius)
            here = image(stage.function, here_z)
        else:
            here = _in_cycle(stage.cycle, stage.function, middle, radius)
            here_z = _preactivations(stage.cycle.A, here, middle, radius)
        for ranges, found in ((x, here), (z, here_z)):
            ranges.low[stage.states], ranges.high[stage.states] = found.low, found.high
    return x, z


def drive_range(stage: Stage, x: Ranges, box: Box, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle and the radius of a stage's drive, rounding charged: each of shape (k, m)."""
    middle, spread = x.middle, x.radius
    drive = stage.drive(middle, box.center, b)
    off = stage.drive_sizes(np.abs(middle), np.abs(box.center), np.abs(b))
    radius = stage.drive_sizes(spread, np.zeros_like(box.radius), np.zeros_like(b))
    if stage.inputs is not None:
        radius += box.spread(stage.inputs.rows, stage.inputs.columns)
    share = SPARE * summation_error(stage.n_terms)
    return drive, radius * (1 + share) + share * off


def image(phi: ElementwiseFunction, z: Ranges) -> Ranges:
    """The interval of phi(z), rounded outward."""
    low, high = phi.image(z.low, z.high)
    return Ranges(low - SPARE * 2 * EPS * np.abs(low), high + SPARE * 2 * EPS * np.abs(high))


def _preactivations(A: np.ndarray, x: Ranges, middle: np.ndarray, radius: np.ndarray) -> Ranges:
    """The interval of ``A x`` plus what lies within ``radius`` of ``middle``."""
    center, spread, sizes = x.middle, x.radius, np.abs(A)
    z, share = A @ center + middle, SPARE * summation_error(len(A))
    wide = (sizes @ spread + radius) * (1 + share) + share * (sizes @ np.abs(center) + np.abs(middle))
    return Ranges(z - wide, z + wide)


def _at_ends(A: np.ndarray, phi: ElementwiseFunction, x: Ranges, middle: np.ndarray, radius: np.ndarray) -> Ranges:
    """The least value of phi(z_i) with state i at its low end, and the largest with it at its high one."""
    own, others = np.diagonal(A)[:, None], A - np.diag(np.diagonal(A))
    # Where phi may fall, steps from such ends need not stay in the box: there all of the interval counts.
    rises = phi.rises(len(A))[:, None]
    z = _preactivations(others, x, middle, radius)
    at_low, at_high = own * x.low, own * x.high
    # A state's own part may be large beside what is left of it: it is charged as the others' sum is.
    off = SPARE * summation_error(len(A)) * (np.abs(own) * x.sizes + z.sizes)
    least, most = np.minimum(at_low, at_high) - off, np.maximum(at_low, at_high) + off
    ends = [
        image(phi, Ranges(z.low + np.where(rises, at - off, least), z.high + np.where(rises, at + off, most)))
        for at in (at_low, at_high)
    ]
    return Ranges(ends[0].low, ends[1].high)


def _in_cycle(cycle: Cycle, phi: ElementwiseFunction, middle: np.ndarray, radius: np.ndarray) -> Ranges:
    A, v, n = cycle.A, cycle.weights[:, None], len(cycle.A)
    units = cycle.weights if np.any(cycle.weights != 1) else None
    point = fixed_point(A, middle, phi, weights=units, tol=1e-12)
    # The Perron-Frobenius bound: (I - G) |x - x0| <= L |c - c0|.
    slopes = phi.slopes(n)[:, None]
    reach = well_posedness.inverse_bound(cycle.gains, slopes * radius)
    reach += point.error_bound + 1e-14 * np.abs(point.X)
    low, high = point.X - reach, point.X + reach
    # Where a state holds itself back, steps as far as that does not overtake what they go to.
    held = (np.diagonal(A) < 0) & phi.rises(n)
    share = np.where(held, 1 / (1 + slopes[:, 0] * np.abs(np.diagonal(A))), 1.0)[:, None]
    # Each sample takes its own steps: bounds do not depend on what others are asked for along with it.
    left = np.arange(middle.shape[1])
    for _ in range(MOST_STEPS):
        check_stop()
        here = Ranges(low[:, left], high[:, left])
        to = _at_ends(A, phi, here, middle[:, left], radius[:, left])
        # Not the old end plus a difference, in which a large one would leave nothing of the new.
        new_low = np.maximum(here.low, (1 - share) * here.low + share * to.low)
        new_high = np.minimum(here.high, (1 - share) * here.high + share * to.high)
        low[:, left], high[:, left] = np.minimum(new_low, new_high), np.maximum(new_low, new_high)
        taken = ((new_low - here.low) + (here.high - new_high)).max(axis=0)
        left = left[taken > WORTH_A_STEP * (here.high - here.low).max(axis=0)]
        if not left.size:
            break
    x = Ranges(low, high)
    return _grown(A, phi, x, middle, radius, v)


def _grown(
    A: np.ndarray, phi: ElementwiseFunction, x: Ranges, middle: np.ndarray, radius: np.ndarray, v: np.ndarray
) -> Ranges:
    """The box, as much larger as it takes to pass the test."""
    step = np.full(x.low.shape[1], summation_error(len(A)))
    size = (np.maximum(x.sizes, np.abs(middle)) / v).max(axis=0)
    for _ in range(MOST_GROWTH):
        to = _at_ends(A, phi, x, middle, radius)
        fails = ~((to.low >= x.low) & (to.high <= x.high)).all(axis=0)
        if not fails.any():
            return x
        by = np.where(fails, step * size, 0.0) * v
        x, step = Ranges(x.low - by, x.high + by), 10 * step
    raise NotWellPosedError("A: no intervals of states are certified: the contraction factor is too near to 1")
