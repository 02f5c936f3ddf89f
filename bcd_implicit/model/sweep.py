"""States of a model stage by stage: one product with A each, and a fixed point only where there is a cycle."""

from __future__ import annotations

from functools import partial

import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import SOLVERS, FixedPoint, fixed_point
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.model.state_map import missed_by, units_or_none
from bcd_implicit.model.structure import Structure
from bcd_implicit.support.interruption import check_stop

# Later stages may make more of an error: where there are several, each is solved to this share of the tolerance.
OF_SEVERAL = 0.01


def solve_states(
    structure: Structure,
    U: np.ndarray,
    b: np.ndarray,
    *,
    start: np.ndarray | None = None,
    solver: str = "auto",
    tol: float = 1e-10,
) -> FixedPoint:
    """Solve X = phi(AX + BU + b), each component with a cycle by :func:`~bcd_implicit.model.fixed_point.fixed_point`.

    Parameters
    ----------
    structure : Structure
        Of A, B and phi.
    U : ndarray of shape (p, m)
        Inputs.
    b : ndarray of shape (n,)
    start : ndarray of shape (n, m), optional
        Where the components with a cycle begin; at zero by default.
    solver, tol
        For the components with a cycle.

    Returns
    -------
    FixedPoint
        Its solver is "sweep" where no state depends on itself.

    Raises
    ------
    InvalidInputError
        Another solver; states beyond what numbers can hold.
    NotWellPosedError
        A component with a cycle that is not well-posed, named.
    """
    check_choice("solver", solver, SOLVERS)
    structure.check()
    stages = structure.stages
    # Zeros: rows of A reach over states that are not known yet, whose entries are zero.
    X = np.zeros((structure.n_states, U.shape[1]))
    if len(stages) == 1 and (whole := stages[0].cycle) is not None:
        phi, drive = stages[0].function, stages[0].drive(X, U, b)
        # Offsets that B and b take off again cost digits of BU + b itself.
        off = summation_error(stages[0].n_terms) * stages[0].drive_sizes(X, np.abs(U), np.abs(b))
        return fixed_point(
            whole.A, drive, phi, start, solver=solver, weights=units_or_none(whole.weights), tol=tol, drive_error=off
        )
    n_iter, names = 1, []
    for stage in stages:
        check_stop()
        with np.errstate(over="ignore", invalid="ignore"):
            drive = stage.drive(X, U, b)
            here = stage.function(drive) if stage.cycle is None else drive
        if stage.cycle is not None:
            units, finer = units_or_none(stage.cycle.weights), OF_SEVERAL * tol
            begin = None if start is None else start[stage.states]
            point = fixed_point(stage.cycle.A, drive, stage.function, begin, solver=solver, weights=units, tol=finer)
            here, n_iter = point.X, max(n_iter, point.n_iter)
            names.append(point.solver)
        if not np.isfinite(here).all():
            cause = "makes the states for these inputs overflow"
            raise InvalidInputError("A", cause, "Choose units in which entries of A and B, or the inputs, are smaller")
        X[stage.states] = here
    # Of several components the one that took more than the others' solver.
    name = max(names, key=len) if names else "sweep"
    return FixedPoint(X, n_iter, name, partial(_error_bound, structure, U, b, X))


def _error_bound(structure: Structure, U: np.ndarray, b: np.ndarray, X: np.ndarray) -> np.ndarray:
    """For each sample a bound on the error of X, from one that each stage inherits and adds to.

    On a cycle, in units v, the largest ``|e_i| / v_i`` is at most that of what is missed, divided by ``1 - nu``
    (:mod:`~bcd_implicit.model.well_posedness`).
    """
    errors, sizes_of_all = np.zeros_like(X), (np.abs(X), np.abs(U), np.abs(b))
    for stage in structure.stages:
        here, Z, n_terms = X[stage.states], stage.drive(X, U, b), stage.n_terms
        sizes = stage.drive_sizes(*sizes_of_all)
        off = np.zeros_like(here) if stage.before is None else stage.before.sizes_times(errors)
        if stage.cycle is not None:
            Z += stage.cycle.A @ here
            sizes += np.abs(stage.cycle.A) @ np.abs(here)
            n_terms += len(stage.cycle.A)
        off += summation_error(n_terms) * sizes
        off *= 1 + summation_error(n_terms)
        missed = missed_by(stage.function, Z, off, here)
        if stage.cycle is not None:
            v = stage.cycle.weights
            rate = well_posedness.nu(stage.cycle.gains, v, n_terms)
            missed = v[:, None] * (missed / v[:, None]).max(axis=0) / (1 - rate)
        errors[stage.states] = missed
    return errors.max(axis=0)
