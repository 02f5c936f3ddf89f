"""Bounds by linear and by mixed-integer programs, of models whose functions are piecewise linear.

On its range z_i lies on one of the pieces of phi: ``z_i = sum_k z_ik`` and ``x_i = sum_k (s_k z_ik + t_k d_ik)`` with
``l_k d_ik <= z_ik <= u_k d_ik`` and ``sum_k d_ik = 1``. With every d_ik 0 or 1 that is phi itself; with d_ik from 0 to
1 it is the convex hull of its graph, and the linear program is the tightest of all relaxations that take states one by
one. Its multipliers of z = Ax + Bu + b are dual vectors as :mod:`~bcd_implicit.model.robustness.backward` has them: the
bound is recomputed from them and does not depend on the solver's accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.robustness.backward import DualCertificate, Lines, backward
from bcd_implicit.model.robustness.box import Box, Tasks
from bcd_implicit.model.robustness.dual import improved
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.rounding import EPS
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.notices import warn_convergence

# HiGHS ends when it knows the largest value to this share.
RELATIVE_GAP = 1e-9
#: An input attains what the mixed-integer program found if its prediction misses it by no more than this share.
ATTAINED = 1e-5


@dataclass(frozen=True)
class AttainedCertificate:
    """Inputs at which the bounds of the exact method are attained.

    They prove that no bounds are tighter. That no input goes beyond is the word of the solver, to its tolerances.

    Attributes
    ----------
    inputs : ndarray of shape (p, K)
    tasks : Tasks
    """

    inputs: np.ndarray
    tasks: Tasks


@dataclass(frozen=True)
class _Pieces:
    """The pieces of all states of one sample on their ranges, in the order of the states."""

    owner: np.ndarray
    low: np.ndarray
    high: np.ndarray
    slope: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, system: BoundedSystem, low: np.ndarray, high: np.ndarray) -> _Pieces:
        owner, ends, slopes, offsets = [], [], [], []
        for i, (begin, end) in enumerate(zip(low, high, strict=True)):
            phi = system.activation.take(slice(i, i + 1))
            points = np.array([begin, *(kink for kink in phi.kinks if begin < kink < end), end])
            slope = phi.derivative(0.5 * points[:-1] + 0.5 * points[1:])
            owner += [i] * len(slope)
            ends.append((points[:-1], points[1:]))
            slopes.append(slope)
            offsets.append(phi(points[:-1]) - slope * points[:-1])
        lows, highs = zip(*ends, strict=True)
        return cls(np.array(owner), *map(np.concatenate, (lows, highs, slopes, offsets)))

    def states(self, n: int) -> sp.csr_array:
        """The states from what belongs to pieces, (z_k, d_k): a matrix of shape (n, 2 k)."""
        k = np.arange(len(self.owner))
        entries = np.concatenate([self.slope, self.offset]), (np.tile(self.owner, 2), np.concatenate([k, k + len(k)]))
        return sp.csr_array(entries, shape=(n, 2 * len(k)))


class _Program:
    """The program of one sample's box: its constraints, for whatever is asked.

    The solver's tolerances are absolute. So what lies on a piece is in units of the most that it may be there, inputs
    in those of their radii, from the middle on, an equation in that of its preactivation, and what is asked in that of
    its largest coefficient.
    """

    def __init__(self, system: BoundedSystem, box: Box, low: np.ndarray, high: np.ndarray, j: int) -> None:
        n, pieces = len(system.b), _Pieces.of(system, low, high)
        k, owner = len(pieces.owner), pieces.owner
        self.u, self.s = box.center[:, j], box.radius[:, j]
        self.units, of_pieces = (
            np.where(size > 0, size, 1.0)
            for size in (np.maximum(np.abs(a), np.abs(b)) for a, b in ((low, high), (pieces.low, pieces.high)))
        )
        one = np.ones(k)
        self.states = pieces.states(n) @ sp.diags_array(np.concatenate([of_pieces, one]))
        A, B = sp.csr_array(system.A), sp.csr_array(system.B)
        of_state = sp.csr_array((one, (owner, np.arange(k))), shape=(n, k))
        zeros = sp.csr_array((n, k))
        inputs = sp.csr_array((n, B.shape[1]))
        per_unit = sp.diags_array(1 / self.units)
        drawn = -per_unit @ (B @ sp.diags_array(self.s))
        preactivations = sp.hstack([of_state @ sp.diags_array(of_pieces), zeros])
        equilibrium = sp.hstack([per_unit @ (preactivations - A @ self.states), drawn])
        self.equalities = sp.csr_array(sp.vstack([equilibrium, sp.hstack([zeros, of_state, inputs])]))
        self.sides = np.concatenate([(system.b + B @ self.u) / self.units, np.ones(n)])
        several = np.bincount(owner)[owner] > 1
        first, last = pieces.low / of_pieces, pieces.high / of_pieces
        unit, nothing = sp.eye_array(k), sp.csr_array((k, B.shape[1]))
        below = sp.hstack([-unit, sp.diags_array(first), nothing])
        above = sp.hstack([unit, -sp.diags_array(last), nothing])
        self.inequalities = sp.csr_array(sp.vstack([below, above]))
        # Where there is one piece, z is in its range and no more is to choose.
        least = np.where(several, np.minimum(first, 0.0), first)
        largest = np.where(several, np.maximum(last, 0.0), last)
        whole_box = np.ones_like(self.s)
        self.low = np.concatenate([least, 1.0 * ~several, -whole_box])
        self.high = np.concatenate([largest, one, whole_box])
        self.whole = np.concatenate([np.zeros(k), several, 0 * whole_box])

    def asked(self, r: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
        """What is to be least, minus r^T x + g^T (u - u0), and in which unit."""
        given = -np.concatenate([self.states.T @ r, g * self.s])
        unit = float(np.abs(given).max()) or 1.0
        return given / unit, unit

    def multipliers(self, r: np.ndarray, g: np.ndarray) -> np.ndarray:
        """lambda, (n,); zeros where the solver finds none."""
        goal, unit = self.asked(r, g)
        found = scipy.optimize.linprog(
            goal,
            A_ub=self.inequalities,
            b_ub=np.zeros(self.inequalities.shape[0]),
            A_eq=self.equalities,
            b_eq=self.sides,
            bounds=np.column_stack([self.low, self.high]),
            method="highs",
        )
        if found.status != 0:
            return np.zeros(len(self.units))
        return np.asarray(-found.eqlin.marginals[: len(self.units)] * unit / self.units)

    def exact(self, r: np.ndarray, g: np.ndarray, seconds: float | None) -> tuple[float, np.ndarray | None]:
        """The largest value that the solver leaves possible, and an input that attains about it, if it has one."""
        limits = {} if seconds is None else {"time_limit": seconds}
        goal, unit = self.asked(r, g)
        found = scipy.optimize.milp(
            goal,
            integrality=self.whole,
            bounds=scipy.optimize.Bounds(self.low, self.high),
            constraints=[
                scipy.optimize.LinearConstraint(self.inequalities, -np.inf, 0.0),
                scipy.optimize.LinearConstraint(self.equalities, self.sides, self.sides),
            ],
            options={"mip_rel_gap": RELATIVE_GAP, **limits},
        )
        value = np.inf if found.mip_dual_bound is None else float(g @ self.u) - unit * float(found.mip_dual_bound)
        return value, None if found.x is None else self.u + self.s * found.x[-len(self.s) :]


def check_piecewise_linear(system: BoundedSystem, method: str) -> None:
    """Raise an error where a function has no pieces that are linear.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if not system.activation.piecewise_linear:
        cause = f"{system.activation.name} is not piecewise linear, as method={method!r} needs"
        raise InvalidInputError("activation", cause, 'Use method="backward"')


def by_programs(
    system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks, found: np.ndarray, multipliers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The largest values of tasks and their multipliers, (K,) and (n, K), by a linear program each."""
    r, g, better = tasks.of_states, tasks.of_inputs, np.empty_like(multipliers)
    for j in np.unique(tasks.sample):
        check_stop()
        program = _Program(system, box, lines.z.low[:, j], lines.z.high[:, j], j)
        for k in np.flatnonzero(tasks.sample == j):
            better[:, k] = program.multipliers(r[:, k], g[:, k])
    return improved(system, box, lines.z, tasks, found, multipliers, better)


def linear(system: BoundedSystem, box: Box, tasks: Tasks, rounds: int) -> tuple[np.ndarray, DualCertificate]:
    """The same, on ranges that are tightened by linear programs too, and what proves it.

    Raises
    ------
    InvalidInputError
        A function that is not piecewise linear.
    """
    check_piecewise_linear(system, "lp")
    return backward(system, box, tasks, rounds, improve=by_programs)


def exact(
    system: BoundedSystem, box: Box, tasks: Tasks, rounds: int, max_seconds: float | None
) -> tuple[np.ndarray, AttainedCertificate]:
    """The largest values of tasks, (K,), by a mixed-integer program each, and inputs that attain them.

    Warns
    -----
    ConvergenceWarning
        Some programs did not end in time, or not exactly: their bounds hold all the same.
    """
    check_piecewise_linear(system, "exact")
    found, relaxed = backward(system, box, tasks, rounds)
    z = relaxed.steps[-1].after if relaxed.steps else relaxed.preactivations
    r, g, inputs = tasks.of_states, tasks.of_inputs, np.full((system.B.shape[1], len(tasks)), np.nan)
    for j in np.unique(tasks.sample):
        program = _Program(system, box, z.low[:, j], z.high[:, j], j)
        for k in np.flatnonzero(tasks.sample == j):
            check_stop()
            value, u = program.exact(r[:, k], g[:, k], max_seconds)
            found[k] = min(found[k], value + tasks.constants[k])
            if u is not None:
                inputs[:, k] = np.clip(u, box.center[:, j] - box.radius[:, j], box.center[:, j] + box.radius[:, j])
    certificate = AttainedCertificate(inputs, tasks)
    if (missed := ~attains(system, certificate, found)).any():
        told = f"{missed.sum()} of {len(tasks)} bounds are not attained by any input that was found"
        if max_seconds is None:
            why = ". The solver's tolerances are about 1e-6: choose units in which inputs and states are about 1."
        else:
            why, told = ". Allow more seconds.", f"{told} in max_seconds={max_seconds:g}"
        warn_convergence(f"{told}: they hold, but may not be exact{why}", stacklevel=3)
    return found, certificate


def attains(system: BoundedSystem, certificate: AttainedCertificate, found: np.ndarray) -> np.ndarray:
    """Whether inputs attain the values that were found, to the solver's tolerances: bool, (K,)."""
    U, tasks = certificate.inputs, certificate.tasks
    there = np.isfinite(U).all(axis=0)
    X = system.states(np.where(there, U, 0.0))
    terms = tasks.of_states * X, tasks.of_inputs * np.where(there, U, 0.0)
    values = sum(part.sum(axis=0) for part in terms) + tasks.constants
    sizes = sum(np.abs(part).sum(axis=0) for part in terms) + np.abs(tasks.constants)
    return np.asarray(there & (np.abs(values - found) <= ATTAINED * (1e-3 + sizes)))


def proves_attained(system: BoundedSystem, box: Box, certificate: AttainedCertificate, found: np.ndarray) -> bool:
    """Whether inputs of the boxes attain all values."""
    its = box.take(certificate.tasks.sample)
    # Of a large input with a small radius the last digit may be more than that.
    inside = (np.abs(certificate.inputs - its.center) <= its.radius + 2 * EPS * its.sizes).all()
    return bool(inside and attains(system, certificate, found).all())
