"""Whether an activation is one: its Fenchel pair and all that the blocks rely on, at many points.

Derivatives are compared with difference quotients to both sides, between which they lie also at kinks.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.notices import ignored
from bcd_implicit.terms.activation import EPS, Activation

# Preactivations that models meet, and far beyond.
_SIZES = np.concatenate([np.logspace(-8, 0, 25), np.linspace(1.1, 10, 50), np.logspace(1.05, 6, 25)])
PREACTIVATIONS = np.concatenate([-_SIZES[::-1], [0.0], _SIZES])
# Many more, at which functions of one of them are looked at: a dip of phi may be narrow.
CLOSE = np.linspace(-10, 10, 4001)
# Of the sizes of the terms: what formulas may differ by, and CVXPY's forms from them.
TOLERANCE, CVXPY_TOLERANCE = 1e-9, 1e-5
# What a curvature may differ from a difference quotient by, of itself.
CURVATURE_TOLERANCE = 1e-3
# The length of a difference quotient, relative to the point where that is beyond 1.
STEP = 1e-6
REMEDY = "Correct the formulas, the domain or max_slope"


class _Points:
    """Preactivations and states at which an activation is looked at, and its values there."""

    def __init__(self, activation: Activation, z: np.ndarray = PREACTIVATIONS) -> None:
        self.of, self.z = activation, z
        self.phi, self.slopes = activation(self.z), activation.derivative(self.z)
        self.conjugate = activation.g_conjugate(self.z)
        ends = np.array(activation.domain)
        self.x = np.unique(np.concatenate([self.phi, ends[np.isfinite(ends)]]))
        self.step = STEP * np.maximum(np.abs(self.z), 1.0)

    def require(self, holds: np.ndarray, what: str, **values: np.ndarray) -> None:
        """Raise an error that names the activation, what is wrong and, where, values by their names.

        Raises
        ------
        InvalidInputError
            The condition does not hold everywhere.
        """
        # NaN does not hold.
        failing = np.argwhere(~np.asarray(holds, dtype=bool))
        if len(failing):
            here = tuple(failing[len(failing) // 2])
            shape = np.shape(holds)
            facts = ", ".join(f"{name} = {np.broadcast_to(v, shape)[here]:.10g}" for name, v in values.items())
            raise InvalidInputError("activation", f"{self.of.name}: {what}" + (f" ({facts})" if facts else ""), REMEDY)


def check_activation(activation: Activation) -> None:
    """Look at an activation at many points, the ends of its domain among them.

    Raises
    ------
    InvalidInputError
        It is none; the message says which condition fails, at which point, and with which values.
    """
    # What is not finite is noticed.
    with np.errstate(all="ignore"):
        points, of_one = _Points(activation), (_check_phi, _check_derivative, _check_pieces, _check_conjugate, _check_g)
        for check in (*of_one, _check_curvature, _check_pair, _check_divergence):
            check(points)
        close = _Points(activation, CLOSE)
        for check in of_one:
            check(close)
    if activation.conic:
        _check_cvxpy(points)


def _check_phi(points: _Points) -> None:
    z, phi, (low, high) = points.z, points.phi, points.of.domain
    points.require(np.isfinite(phi), "phi is not finite", z=z, phi=phi)
    points.require((low <= phi) & (phi <= high), f"phi leaves the domain ({low:g}, {high:g})", z=z, phi=phi)
    rise, width = np.diff(phi), np.diff(z)
    rounding = 8 * EPS * np.abs(phi[1:])
    values = {"z": z[:-1], "phi": phi[:-1], "next_z": z[1:], "next_phi": phi[1:]}
    points.require(rise >= -rounding, "phi is not monotone", **values)
    steepest = points.of.max_slope
    points.require(np.array(0 < steepest <= 1), f"max_slope = {steepest:g} is not in (0, 1]")
    steep = rise > steepest * width * (1 + STEP) + rounding
    points.require(~steep, f"phi is steeper than max_slope = {steepest:g}", slope=rise / width, **values)
    if points.of.positively_homogeneous:
        twice = points.of(2 * z)
        points.require(np.abs(twice - 2 * phi) <= TOLERANCE * np.abs(twice), "phi(2 z) is not 2 phi(z)", z=z, phi=phi)


def _check_derivative(points: _Points) -> None:
    z, slopes, h = points.z, points.slopes, points.step
    steepest = points.of.max_slope * (1 + STEP)
    points.require((slopes >= 0) & (slopes <= steepest), "derivative is not in [0, max_slope]", z=z, derivative=slopes)
    before, after = points.phi - points.of(z - h), points.of(z + h) - points.phi
    low, high = np.minimum(before, after) / h, np.maximum(before, after) / h
    off = STEP + 8 * EPS * np.abs(points.phi) / h
    between = (low - off <= slopes) & (slopes <= high + off)
    points.require(between, "derivative is not that of phi", z=z, derivative=slopes, difference=high)


def _check_pieces(points: _Points) -> None:
    kinks, curvatures = np.array(points.of.kinks), points.of.curvatures
    if curvatures is None:
        return
    ordered = len(curvatures) == len(kinks) + 1 and (np.diff(kinks) > 0).all()
    points.require(np.array(ordered), "curvatures are not those of the pieces between kinks, in their order")
    piece, beyond = (np.searchsorted(kinks, points.z, side=side) for side in ("left", "right"))
    # Neighbours inside one piece: at a kink itself the derivative is that of either.
    inside = (piece[:-1] == piece[1:]) & (piece == beyond)[:-1] & (piece == beyond)[1:]
    curved, rise = np.array(curvatures)[piece[:-1]], np.diff(points.slopes)
    holds = np.where(curved == 0, np.abs(rise) <= TOLERANCE, curved * rise >= -TOLERANCE)
    points.require(~inside | holds, "curvatures are not those of phi", z=points.z[:-1], next_z=points.z[1:])


def _check_conjugate(points: _Points) -> None:
    z, phi, conjugate, h = points.z, points.phi, points.conjugate, points.step
    points.require(np.isfinite(conjugate), "g_conjugate is not finite", z=z, g_conjugate=conjugate)
    before, after = conjugate - points.of.g_conjugate(z - h), points.of.g_conjugate(z + h) - conjugate
    off = STEP * (1 + np.abs(phi)) + 8 * EPS * (1 + np.abs(conjugate)) / h
    holds = (before / h - off <= phi) & (phi <= after / h + off)
    points.require(holds, "phi is not the derivative of g_conjugate", z=z, phi=phi, difference=after / h)


def _check_g(points: _Points) -> None:
    x, (low, high) = points.x, points.of.domain
    g, inverse, curvature = points.of.g(x), points.of.g_derivative(x), points.of.g_curvature(x)
    points.require(np.isfinite(g), "g is not finite in the domain", x=x, g=g)
    outside = np.array([low - 1e-3, high + 1e-3])
    beyond = np.isposinf(points.of.g(outside)) | np.isinf(outside)
    points.require(beyond, "g is not inf outside of the domain", x=outside, g=points.of.g(outside))
    points.require(np.isfinite(inverse), "g_derivative is not finite", x=x, g_derivative=inverse)
    again = points.of(inverse)
    close = np.abs(again - x) <= TOLERANCE * (1 + np.abs(x))
    points.require(close, "phi(g_derivative(x)) is not x", x=x, g_derivative=inverse, phi=again)
    curved = np.isfinite(curvature) & (curvature >= (1 - STEP) / points.of.max_slope)
    points.require(curved, "g_curvature is below 1 / max_slope, or infinite", x=x, g_curvature=curvature)


def _check_curvature(points: _Points) -> None:
    # g'' is 1 over the slope of phi. If phi is flat, many z belong to one x, and g' has a kink there.
    z, phi, h = points.z, points.phi, points.step
    curvature = points.of.g_curvature(phi)
    before, after = phi - points.of(z - h), points.of(z + h) - phi
    low, high = np.minimum(before, after) / h, np.maximum(before, after) / h
    rounding = 8 * EPS * np.abs(phi) / h
    off = CURVATURE_TOLERANCE * high + rounding
    between = (low - off <= 1 / curvature) & (1 / curvature <= high + off)
    flat = low <= 1e3 * rounding
    points.require(flat | between, "g_curvature is not that of g", x=phi, g_curvature=curvature, difference=1 / high)


def _check_pair(points: _Points) -> None:
    z, phi, conjugate = points.z, points.phi, points.conjugate
    graph = points.of.g(phi) + conjugate - phi * z
    sizes = 1 + np.abs(conjugate) + np.abs(phi * z)
    equal = np.abs(graph) <= TOLERANCE * sizes
    points.require(equal, "g(x) + g_conjugate(z) - x z is not 0 at x = phi(z)", z=z, phi=phi, divergence=graph)
    x = points.x[:, None]
    pair = points.of.g(x) + conjugate - x * z
    above = pair >= -TOLERANCE * (1 + np.abs(points.of.g(x)) + np.abs(conjugate) + np.abs(x * z))
    points.require(above, "g(x) + g_conjugate(z) - x z is negative", x=x, z=z, divergence=pair)


def _check_divergence(points: _Points) -> None:
    x, z = points.x[:, None], points.z
    found, g = points.of.divergence(x, z), points.of.g(x)
    pair = g + points.conjugate - x * z
    off = TOLERANCE * (1 + np.abs(g) + np.abs(points.conjugate) + np.abs(x * z))
    close = (found >= 0) & (np.abs(found - pair) <= off)
    points.require(close, "divergence is not g(x) + g_conjugate(z) - x z", x=x, z=z, divergence=found, sum=pair)


def _check_cvxpy(points: _Points) -> None:
    # Two entries at a time: the forms act on each entry.
    x, z = cp.Variable((1, 2)), cp.Variable((1, 2))
    of_x, domain = points.of.cvxpy_g(x)
    some = np.abs(points.z) < 5
    at_x, at_z = (np.column_stack([at, at[::-1]])[:, None] for at in (points.phi[some][::8], points.z[some][::8]))
    for name, posed, variable, at, wanted in (
        ("cvxpy_g", cp.Problem(cp.Minimize(of_x), domain), x, at_x, points.of.g(at_x).sum(axis=(1, 2))),
        (
            "cvxpy_g_conjugate",
            cp.Problem(cp.Minimize(points.of.cvxpy_g_conjugate(z))),
            z,
            at_z,
            points.of.g_conjugate(at_z).sum(axis=(1, 2)),
        ),
    ):
        points.require(np.array(posed.is_dcp()), f"{name} is not convex by CVXPY's rules")
        found = np.array([_value(posed, variable == value) for value in at])
        close = np.abs(found - wanted) <= CVXPY_TOLERANCE * (1 + np.abs(wanted))
        values = {"at": at[:, 0, 0], "and_at": at[:, 0, 1], "cvxpy": found, "numpy": wanted}
        points.require(close, f"{name} has another value than NumPy's", **values)


def _value(posed: cp.Problem, here: cp.Constraint) -> float:
    """The value at a point of an expression that may have variables of its own."""
    try:
        with ignored("Solution may be inaccurate"):
            return float(cp.Problem(posed.objective, [*posed.constraints, here]).solve(solver="CLARABEL"))
    except cp.SolverError:
        return np.nan
