"""States of a model stage by stage: one product with A each, and a fixed point only where there is a cycle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import SOLVERS, FixedPoint, fixed_point
from bcd_implicit.model.state_map import missed_by, summation_error
from bcd_implicit.model.structure import Cycle, Structure
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.terms.function import ElementwiseFunction

# Later stages may make more of an error: where there are several, each is solved to this share of the tolerance.
OF_SEVERAL = 0.01


def solve_states(
    structure: Structure,
    drive: np.ndarray,
    function: ElementwiseFunction,
    *,
    start: np.ndarray | None = None,
    solver: str = "auto",
    tol: float = 1e-10,
    drive_error: Callable[[], np.ndarray] = lambda: np.zeros(()),
) -> FixedPoint:
    """Solve X = phi(A X + drive), each component with a cycle by :func:`~bcd_implicit.model.fixed_point.fixed_point`.

    Parameters
    ----------
    structure : Structure
        Of A and phi.
    drive : ndarray of shape (n, m)
    function : ElementwiseFunction
        phi.
    start : ndarray of shape (n, m), optional
        Where the components with a cycle begin; at zero by default.
    solver, tol
        For the components with a cycle.
    drive_error : callable, optional
        Of nothing: how far off the drive may be, (n, m), counted in the error bound. By default it is exact.

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
    if len(stages) == 1 and (whole := stages[0].cycle) is not None:
        off = np.broadcast_to(drive_error(), drive.shape)
        return fixed_point(
            whole.A, drive, function, start, solver=solver, weights=_units(whole), tol=tol, drive_error=off
        )
    X = np.zeros_like(drive)
    n_iter, names = 1, []
    for stage in stages:
        check_stop()
        own, phi = drive[stage.states], function.take(stage.states)
        if stage.before is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                own = own + stage.before.times(X)
        if stage.cycle is None:
            with np.errstate(over="ignore", invalid="ignore"):
                X[stage.states] = here = phi(own)
        else:
            begin = None if start is None else start[stage.states]
            units, finer = _units(stage.cycle), OF_SEVERAL * tol
            point = fixed_point(stage.cycle.A, own, phi, begin, solver=solver, weights=units, tol=finer)
            X[stage.states] = here = point.X
            n_iter = max(n_iter, point.n_iter)
            names.append(point.solver)
        if not np.isfinite(here).all():
            cause = "takes states of these inputs beyond what numbers can hold"
            raise InvalidInputError("A", cause, "Choose units in which entries of A and B, or the inputs, are smaller")
    # Of several components the one that took more than the others' solver.
    name = max(names, key=len) if names else "sweep"
    return FixedPoint(X, n_iter, name, lambda: _error_bound(structure, drive, function, X, drive_error()))


def _units(cycle: Cycle) -> np.ndarray | None:
    """The units in which a stage contracts, None where those of the states will do."""
    return cycle.weights if np.any(cycle.weights != 1) else None


def _error_bound(
    structure: Structure,
    drive: np.ndarray,
    function: ElementwiseFunction,
    X: np.ndarray,
    drive_error: np.ndarray,
) -> np.ndarray:
    """For each sample a bound on the error of X, from one that each stage inherits and adds to.

    On a cycle, in units v: ``|e| <= missed + L |A_KK| |e|``, so that the largest ``|e_i| / v_i`` is at most that of
    what is missed, divided by ``1 - nu``.
    """
    errors, drive_error = np.zeros_like(X), np.broadcast_to(drive_error, X.shape)
    for stage in structure.stages:
        own, phi, here = drive[stage.states], function.take(stage.states), X[stage.states]
        off = drive_error[stage.states].copy()
        size, n_terms = np.abs(own), 1
        if stage.before is not None:
            own = own + stage.before.times(X)
            n_terms += stage.before.n_terms
            off += stage.before.sizes_times(errors)
            size = size + stage.before.sizes_times(np.abs(X))
        if stage.cycle is not None:
            own = own + stage.cycle.A @ here
            n_terms += len(stage.cycle.A)
            size = size + np.abs(stage.cycle.A) @ np.abs(here)
        off += summation_error(n_terms) * size
        off *= 1 + summation_error(n_terms)
        missed = missed_by(phi, own, off, here)
        if stage.cycle is not None:
            v = stage.cycle.weights
            rate = well_posedness.contraction(stage.cycle.gains, v) * (1 + summation_error(n_terms))
            missed = v[:, None] * (missed / v[:, None]).max(axis=0) / (1 - rate)
        errors[stage.states] = missed
    return errors.max(axis=0)
