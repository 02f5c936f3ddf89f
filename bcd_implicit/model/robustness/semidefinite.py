"""Bounds of relu models by a semidefinite program (Raghunathan et al., arXiv 1811.01057), at equilibrium.

Let e with ``|e_k| <= 1`` stand for all states and inputs, each in units of half its range. On the box

    x >= 0,  x >= z,  x (x - z) = 0,  x <= s z + t (a chord),  1 - e_k^2 >= 0.

With multipliers of these, not negative but that of the equation, ``r^T x + g^T u`` is at most a quadratic function of
e. If that is concave, its largest value is a bound: any such multipliers are a certificate. The program finds the best
ones. What rounding leaves of convexity is met by larger multipliers of ``1 - e_k^2``, which is rigorous.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness.backward import DualCertificate, backward
from bcd_implicit.model.robustness.box import Box, Ranges, Tasks
from bcd_implicit.model.robustness.intervals import SPARE
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.robustness.verify import proves_duals
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.interruption import check_stop


@dataclass(frozen=True)
class Multipliers:
    """For each of K tasks.

    Attributes
    ----------
    positive, above, product, chord : ndarray of shape (n, K)
        Of x, x - z, x (x - z) and s z + t - x.
    unit : ndarray of shape (n + p, K)
        Of 1 - e^2.
    """

    positive: np.ndarray
    above: np.ndarray
    product: np.ndarray
    chord: np.ndarray
    unit: np.ndarray


@dataclass(frozen=True)
class QuadraticCertificate:
    """What proves bounds by semidefinite programs.

    Attributes
    ----------
    linear : DualCertificate
        That of backward bounds, which prove the ranges, and of tasks for which they are better.
    linear_bounds : ndarray of shape (K,)
        These bounds.
    multipliers : Multipliers
    """

    linear: DualCertificate
    linear_bounds: np.ndarray
    multipliers: Multipliers


class _Box:
    """The affine functions of e that a sample's box has, for whatever is asked: rows (constant, slopes)."""

    def __init__(self, system: BoundedSystem, box: Box, z: Ranges, j: int) -> None:
        self.low, self.high = z.low[:, j], z.high[:, j]
        phi, one = system.activation, np.ones_like(self.low)
        states = Ranges(phi(self.low), phi(self.high))
        self.x_0, self.u_0 = states.middle, box.center[:, j]
        radius_x, radius_u = states.radius, box.radius[:, j]
        self.n, p = len(self.x_0), len(self.u_0)
        self.x = np.hstack([np.diag(radius_x), np.zeros((self.n, p))])
        self.u = np.hstack([np.zeros((p, self.n)), np.diag(radius_u)])
        A, B = dense(system.A), dense(system.B)
        self.z_0 = A @ self.x_0 + B @ self.u_0 + system.b
        self.z = A @ self.x + B @ self.u
        # With rounding of z, which the products below see as sizes.
        self.z_size = np.abs(A) @ states.sizes + np.abs(B) @ box.sizes[:, j] + np.abs(system.b)
        _, self.chord = phi.envelope_slopes(self.low, self.high)
        self.chord_0 = phi.tilted_max(one, self.chord, self.low, self.high)
        # Where a state is 0, or z, on all of its range, the sign of that multiplier is free.
        self.open_below, self.open_above = self.high > 0, self.low < 0

    def lagrangian(self, r: Any, g: Any, lam: dict[str, Any]) -> tuple[Any, Any, Any]:
        """The quadratic function ``c + q^T e + e^T Q e`` of multipliers: c, q and Q, as NumPy or CVXPY has them."""
        symbolic = isinstance(lam["product"], cp.Expression)
        times: Any
        diagonal: Any
        times, diagonal = (cp.multiply, cp.diag) if symbolic else (np.multiply, np.diag)
        of_x = r + lam["positive"] + lam["above"] - lam["chord"]
        of_z = times(self.chord, lam["chord"]) - lam["above"]
        gap_0, gap, product = self.x_0 - self.z_0, self.x - self.z, lam["product"]
        constant = of_x @ self.x_0 + of_z @ self.z_0 + g @ self.u_0 + lam["chord"] @ self.chord_0
        constant += product @ (self.x_0 * gap_0) + np.ones(len(self.u[0])) @ lam["unit"]
        slopes = self.x.T @ (of_x + times(gap_0, product)) + self.z.T @ of_z + self.u.T @ g
        slopes += gap.T @ times(self.x_0, product)
        half = self.x.T @ (diagonal(product) @ gap)
        return constant, slopes, 0.5 * (half + half.T) - diagonal(lam["unit"])


class _Program:
    """The semidefinite program of one sample's box."""

    def __init__(self, box: _Box) -> None:
        n, size = box.n, box.x.shape[1]
        self.r, self.g = cp.Parameter(n), cp.Parameter(size - n)
        names = ("positive", "above", "product", "chord")
        self.variables = {name: cp.Variable(n) for name in names} | {"unit": cp.Variable(size, nonneg=True)}
        bound, (c, q, Q) = cp.Variable(), box.lagrangian(self.r, self.g, self.variables)
        q = cp.reshape(q, (size, 1), order="C")
        whole = cp.bmat([[cp.reshape(bound - c, (1, 1), order="C"), -0.5 * q.T], [-0.5 * q, -Q]])
        signs = [
            cp.multiply(box.open_below.astype(float), self.variables["positive"]) >= 0,
            cp.multiply(box.open_above.astype(float), self.variables["above"]) >= 0,
            self.variables["chord"] >= 0,
        ]
        self.problem = cp.Problem(cp.Minimize(bound), [whole >> 0, *signs])

    def solve(self, r: np.ndarray, g: np.ndarray) -> dict[str, np.ndarray]:
        """Multipliers; zeros where the solver finds none."""
        self.r.value, self.g.value = r, g
        with suppress(cp.error.SolverError):
            self.problem.solve(solver="CLARABEL")
        found = {name: variable.value for name, variable in self.variables.items()}
        return {name: np.zeros(self.variables[name].shape) if x is None else x for name, x in found.items()}


def _signed(box: _Box, lam: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Multipliers with the signs that they have to have, and concave: what is missing is added to those of 1 - e^2."""
    lam = dict(lam)
    for name, is_open in (("positive", box.open_below), ("above", box.open_above)):
        lam[name] = np.where(is_open, np.maximum(lam[name], 0.0), lam[name])
    lam["chord"], lam["unit"] = np.maximum(lam["chord"], 0.0), np.maximum(lam["unit"], 0.0)
    _, _, Q = box.lagrangian(np.zeros(box.n), np.zeros(len(box.u_0)), lam)
    # With as much to spare as the test of it takes, twice.
    excess = np.linalg.eigvalsh(Q)[-1] + 3 * _uncertain(box, lam)
    return lam | {"unit": lam["unit"] + max(excess, 0.0)}


def _uncertain(box: _Box, lam: dict[str, np.ndarray]) -> float:
    """What rounding may change of the eigenvalues of Q."""
    sizes = np.abs(box.x).T @ (np.abs(lam["product"])[:, None] * (np.abs(box.x) + np.abs(box.z)))
    size = len(sizes)
    return 4 * summation_error(2 * size) * float(np.linalg.norm(sizes) + np.linalg.norm(lam["unit"])) + 1e-300


def quadratic_bound(box: _Box, task: Tasks, lam: dict[str, np.ndarray], spare: float = 1.0) -> float:
    """The bound that multipliers prove; infinity where the quadratic is not concave, or a sign wrong.

    At any point the tangent of a concave function is above it, and its largest value on the box is known: at a point
    where the function is about largest, next to nothing is lost. Rounding is charged ``spare`` times.
    """
    wrong = (box.open_below & (lam["positive"] < 0)).any() or (box.open_above & (lam["above"] < 0)).any()
    if wrong or (lam["chord"] < 0).any() or (lam["unit"] < 0).any():
        return np.inf
    r, g, c = task.of_states[:, 0], task.of_inputs[:, 0], float(task.constants[0])
    constant, q, Q = box.lagrangian(r, g, lam)
    try:
        np.linalg.cholesky(-Q - _uncertain(box, lam) * np.eye(len(Q)))
    except np.linalg.LinAlgError:
        return np.inf
    e = np.clip(np.linalg.solve(-2 * Q, q), -1.0, 1.0)
    slopes = q + 2 * Q @ e
    value = constant + c + q @ e + e @ Q @ e + np.abs(slopes).sum() - slopes @ e
    size_x, size_z = np.abs(box.x_0) + np.abs(box.x).sum(axis=1), box.z_size
    sizes = (np.abs(r) + np.abs(lam["positive"]) + np.abs(lam["above"]) + np.abs(lam["chord"])) @ size_x
    sizes += (np.abs(lam["above"]) + np.abs(box.chord * lam["chord"]) + np.abs(lam["product"]) * size_x) @ size_z
    sizes += np.abs(lam["product"]) @ size_x**2 + np.abs(lam["chord"]) @ np.abs(box.chord_0) + lam["unit"].sum()
    sizes += np.abs(g) @ (np.abs(box.u_0) + np.abs(box.u).sum(axis=1)) + abs(c)
    return float(value + spare * 16 * summation_error(4 * len(Q)) * sizes)


def semidefinite(system: BoundedSystem, box: Box, tasks: Tasks, rounds: int) -> tuple[np.ndarray, QuadraticCertificate]:
    """The largest values of tasks, (K,), by a semidefinite program each, and what proves them.

    Raises
    ------
    InvalidInputError
        A state's function that is not relu.
    """
    if system.activation.name != "relu":
        cause = f"is {system.activation.name}, but semidefinite programs are only for relu"
        raise InvalidInputError("activation", cause, 'Use method="backward", with n_cuts')
    found, linear = backward(system, box, tasks, rounds)
    z, n, K = _ranges(linear), len(system.b), len(tasks)
    widths = {"positive": n, "above": n, "product": n, "chord": n, "unit": sum(system.B.shape)}
    all_of_them = {name: np.zeros((width, K)) for name, width in widths.items()}
    bounds = found.copy()
    for j in np.unique(tasks.sample):
        its = _Box(system, box, z, j)
        program = _Program(its)
        for k in np.flatnonzero(tasks.sample == j):
            check_stop()
            task = tasks.take(slice(k, k + 1))
            lam = _signed(its, program.solve(task.of_states[:, 0], task.of_inputs[:, 0]))
            for name, values in lam.items():
                all_of_them[name][:, k] = values
            bounds[k] = min(bounds[k], quadratic_bound(its, task, lam, SPARE))
    return bounds, QuadraticCertificate(linear, found, Multipliers(**all_of_them))


def _ranges(certificate: DualCertificate) -> Ranges:
    return certificate.steps[-1].after if certificate.steps else certificate.preactivations


def proves_quadratic(system: BoundedSystem, box: Box, certificate: QuadraticCertificate, found: np.ndarray) -> bool:
    """Whether multipliers prove the largest values of the tasks, (K,), on ranges that dual vectors prove."""
    linear, bounds = certificate.linear, certificate.linear_bounds
    if not proves_duals(system, box, linear, bounds):
        return False
    z, tasks = _ranges(linear), linear.tasks
    for k in np.flatnonzero(found < bounds):
        its = _Box(system, box, z, int(tasks.sample[k]))
        lam = {name: values[:, k] for name, values in vars(certificate.multipliers).items()}
        if not quadratic_bound(its, tasks.take(slice(k, k + 1)), lam) <= found[k]:
            return False
    return True
