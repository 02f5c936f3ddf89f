"""Bounds by the gains of a model: ``|y - y0| <= S |u - u0|``, one matrix S for all inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness.box import Box, Tasks
from bcd_implicit.model.robustness.gains import check_lipschitz, gains_to_rows
from bcd_implicit.model.robustness.intervals import SPARE
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.state_map import missed_by
from bcd_implicit.model.well_posedness import holding

if TYPE_CHECKING:
    from bcd_implicit.model.robustness.system import BoundedSystem


@dataclass(frozen=True)
class GainCertificate:
    """What proves bounds by gains.

    Attributes
    ----------
    states : ndarray of shape (n, m)
        At the middle of each box, about: what they miss their equation by is counted.
    gains : ndarray of shape (k, n)
        T with ``T (I - G) >= |R|``, R the rows asked for.
    tasks : Tasks
        What was asked.
    """

    states: np.ndarray
    gains: np.ndarray
    tasks: Tasks


def missed(system: BoundedSystem, X: np.ndarray, U: np.ndarray) -> np.ndarray:
    """How far off ``T (I - G) >= |R|`` lets states X be that miss their equation at inputs U: T times this, (n, m).

    That is by how much they miss it at most, rounding included, times their
    :func:`~bcd_implicit.model.well_posedness.holding`.
    """
    Z = system.A @ X + system.B @ U + system.b[:, None]
    sizes = np.abs(system.A) @ np.abs(X) + np.abs(system.B) @ np.abs(U) + np.abs(system.b)[:, None]
    diagonal = np.where(system.structure.held_back, system.slopes * system.A.diagonal(), 0.0)
    off = missed_by(system.activation, Z, summation_error(sum(system.B.shape)) * sizes, X)
    return np.asarray(holding(diagonal)[:, None] * off * (1 + 8 * EPS))


def perron_frobenius(system: BoundedSystem, box: Box, tasks: Tasks) -> tuple[np.ndarray, GainCertificate]:
    """The largest values of tasks, (K,), and what proves them.

    Raises
    ------
    InvalidInputError
        A state's function has no Lipschitz constant.
    """
    check_lipschitz(system.structure, system.slopes)
    X, U, rows = system.states(box.center), box.center, tasks.rows
    T, through = gains_to_rows(system.structure, system.slopes, rows.x, system.B)
    moved = box.spread(through + np.abs(dense(rows.u))) + T @ missed(system, X, U)
    sizes = np.abs(rows.x) @ np.abs(X) + np.abs(rows.u) @ np.abs(U) + np.abs(rows.c)[:, None] + moved
    wide = moved + SPARE * summation_error(2 * sum(system.B.shape)) * sizes
    center = rows.x @ X + rows.u @ U + rows.c[:, None]
    place = tasks.row, tasks.sample
    return tasks.sign * center[place] + wide[place], GainCertificate(X, T, tasks)
