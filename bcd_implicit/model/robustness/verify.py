"""Whether certificates prove bounds: by plain NumPy, from the model's matrices, and by other code than found them.

No stages and no iteration here: each claim follows from the claims before it by one formula. What is claimed has to
hold with the rounding of this file charged; what found it charged more.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bcd_implicit.model.matrices import Matrix, dense, scaled
from bcd_implicit.model.robustness.backward import DualCertificate
from bcd_implicit.model.robustness.box import Box, Ranges, Tasks
from bcd_implicit.model.robustness.branches import by_task
from bcd_implicit.model.robustness.perron_frobenius import GainCertificate, missed
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.support.parts import parts


def proves_gains(system: BoundedSystem, box: Box, certificate: GainCertificate, found: np.ndarray) -> bool:
    """Whether gains prove the largest values of the tasks, (K,).

    With ``T (I - G) >= |R|`` and T >= 0 rows move by ``(T L |B| + |Q|) |u - u0|``, Q their part of inputs, and by T
    times what the states miss, times what holds them back.
    """
    X, T, (n, p) = certificate.states, certificate.gains, system.B.shape
    tasks, rows = certificate.tasks, certificate.tasks.rows
    G = sp.csr_array(np.abs(scaled(system.A, rows=system.slopes)))
    G = G - sp.diags_array(2 * G.diagonal() * system.structure.held_back)
    through = T @ np.abs(G)
    # Nothing is rounded where nothing is taken off.
    rounding = _rounding(G.T) * through + 2 * EPS * T * (through > 0)
    if (T < 0).any() or (T - T @ G - rounding < np.abs(rows.x)).any():
        return False
    gains = (T * system.slopes) @ np.abs(system.B) + np.abs(dense(rows.u))
    moved = box.spread(gains) + T @ missed(system, X, box.center)
    center = rows.x @ X + rows.u @ box.center + rows.c[:, None]
    sizes = np.abs(rows.x) @ np.abs(X) + np.abs(rows.u) @ np.abs(box.center) + np.abs(rows.c)[:, None]
    wide = moved + summation_error(n + p) * (sizes + moved)
    place = tasks.row, tasks.sample
    return bool((tasks.sign * center[place] + wide[place] <= found).all())


def proves_duals(system: BoundedSystem, box: Box, certificate: DualCertificate, found: np.ndarray) -> bool:
    """Whether dual vectors prove the largest values of the tasks, (K,)."""
    z = certificate.preactivations
    if not _holds_states(system, box, certificate.states, z):
        return False
    for step in certificate.steps:
        tasks, k = step.tasks, len(step.tasks) // 2
        values = lagrangian(system, box, certificate.states, z, tasks, step.multipliers)
        low, high = z.low.copy(), z.high.copy()
        np.minimum.at(high, (tasks.row[:k], tasks.sample[:k]), values[:k])
        np.maximum.at(low, (tasks.row[k:], tasks.sample[k:]), -values[k:])
        if (tasks.rows.x is not system.A) or (step.after.high < high).any() or (step.after.low > low).any():
            return False
        z = step.after
    tasks = certificate.tasks
    if certificate.cuts is None or certificate.of_cases is None:
        return bool((lagrangian(system, box, certificate.states, z, tasks, certificate.multipliers) <= found).all())
    # An input is in one of the cases, so each of them has to keep below.
    j, each = tasks.sample, by_task(tasks)
    z, x = (Ranges(ranges.low[:, j], ranges.high[:, j]) for ranges in (z, certificate.states))
    cases = list(certificate.cuts.cases(z))
    if len(cases) != len(certificate.of_cases):
        return False
    of_cases = zip(cases, certificate.of_cases, strict=True)
    return all((lagrangian(system, box.take(j), x, case, each, lam) <= found).all() for case, lam in of_cases)


def _holds_states(system: BoundedSystem, box: Box, x: Ranges, z: Ranges) -> bool:
    """Whether the intervals hold the states, and preactivations, of all inputs of each box.

    With state i at an end of its interval, and the others anywhere in theirs, phi(z_i) may not leave the interval.
    """
    own = system.A.diagonal()[:, None]
    others = sp.csr_array(system.A)
    others = others - sp.diags_array(others.diagonal())
    middle, spread = system.B @ box.center + system.b[:, None], box.spread(system.B)
    low, high = _least(others, x) + middle - spread, -_least(-others, x) + middle + spread
    # Inputs of a ball move no row as far as those of its box: what is rounded is that of the ball, as is the spread.
    of_x, of_u = np.abs(system.A) @ x.sizes, np.abs(system.B) @ np.abs(box.center) + spread
    off = _rounding(system.A)[:, None] * of_x + _rounding(system.B)[:, None] * of_u
    off += summation_error(3) * (of_x + of_u + np.abs(system.b)[:, None])
    at_low, at_high = own * x.low, own * x.high
    least = low + np.minimum(at_low, at_high) - off
    largest = high + np.maximum(at_low, at_high) + off
    least_x = outward(*system.activation.image(low + at_low - off, high + at_low + off))[0]
    largest_x = outward(*system.activation.image(low + at_high - off, high + at_high + off))[1]
    holds = (x.low <= least_x) & (largest_x <= x.high)
    return bool((holds & (z.low <= least) & (largest <= z.high)).all())


def outward(least: np.ndarray, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of what phi takes on, which is right to four units in the last place, as far out as they may be."""
    return least - 2 * EPS * np.abs(least), largest + 2 * EPS * np.abs(largest)


def _least(matrix: Matrix, of: Ranges) -> np.ndarray:
    """The least values of a matrix times what lies in ranges."""
    positive = matrix.maximum(0.0) if sp.issparse(matrix) else np.maximum(matrix, 0.0)
    return np.asarray(positive @ of.low + (matrix - positive) @ of.high)


def _rounding(matrix: Matrix, more: int = 0) -> np.ndarray:
    """For each row the share by which a product with it may be off; so many terms are added to it."""
    n_terms = np.asarray((matrix != 0).sum(axis=1)).reshape(-1)
    return summation_error(n_terms + more)


def lagrangian(
    system: BoundedSystem,
    box: Box,
    x: Ranges | None,
    z: Ranges,
    tasks: Tasks,
    multipliers: Matrix,
    spare: float = 1.0,
) -> np.ndarray:
    """The bound of each task by its dual vector lambda, (K,), rounding charged ``spare`` times.

    ``sum_i max_z (w_i phi(z) - lambda_i z) + v^T u0 + |v|^T radius + lambda^T b + c``, with w = r + A^T lambda and
    v = g + B^T lambda, and for balls ``|v * radius|_2`` in the place of ``|v|^T radius``; if ranges of states are
    known, with the largest values of w_i x and of -lambda_i z apart where these are less. States lie in these ranges
    and in the image of those of z.
    """
    found, (n, p) = np.empty(len(tasks)), system.B.shape
    of_A, of_B = _rounding(system.A.T, 1)[:, None], _rounding(system.B.T, 1)[:, None]
    for part in parts(len(tasks), n):
        some, lam = tasks.take(part), dense(multipliers[:, part])
        low, high, U, radius = (side[:, some.sample] for side in (z.low, z.high, box.center, box.radius))
        r, g = some.of_states, some.of_inputs
        w, v = r + system.A.T @ lam, g + system.B.T @ lam
        w_off = of_A * (np.abs(r) + np.abs(system.A).T @ np.abs(lam))
        v_off = of_B * (np.abs(g) + np.abs(system.B).T @ np.abs(lam))
        least, largest = outward(*system.activation.image(low, high))
        if x is not None:
            least, largest = np.maximum(least, x.low[:, some.sample]), np.minimum(largest, x.high[:, some.sample])
        size = np.maximum(np.abs(least), np.abs(largest))
        values = system.activation.tilted_max(w, lam, low, high)
        if x is not None:
            # Of a case without inputs the ends have crossed, and any bound is right.
            apart = np.maximum(w, 0.0) * largest + np.minimum(w, 0.0) * least + np.maximum(-lam * low, -lam * high)
            apart += 2 * EPS * (np.abs(w) * size + np.abs(lam) * np.maximum(np.abs(low), np.abs(high)))
            values = np.minimum(values, apart)
        inputs = np.abs(U) + radius
        total = (values + w_off * size).sum(axis=0) + (v * U + v_off * inputs).sum(axis=0)
        total += box.spread_of(v, some.sample)
        sizes = np.abs(values).sum(axis=0) + (np.abs(v) * inputs).sum(axis=0)
        sizes += (np.abs(system.b[:, None]) * np.abs(lam)).sum(axis=0) + np.abs(some.constants)
        total = total + system.b @ lam + some.constants
        found[part] = total + spare * summation_error(2 * n + 2 * p) * sizes
    return found
