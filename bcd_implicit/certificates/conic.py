"""Certificate of a block on which a user's constraint or penalty acts: from the compiled problem's dual values.

CVXPY compiles the block, whatever the user added to it, to::

    min 1/2 x'Px + c'x + d    s.t.  Ax + b in K, a product of cones

of which the block's own variables are a part of x. For y in the dual cone and any x, the Lagrangian is convex in x, so
that with the residual r = Px + c - A'y::

    optimum >= d - 1/2 x'Px - b'y + <r, x*>

The x and y that a solver claims are good for a bound if r is small; that they are is computed here, from the compiled
data alone, and it does not matter which solver claims them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from bcd_implicit.certificates.certificate import Certificate, ratio
from bcd_implicit.certificates.cones import Cone
from bcd_implicit.certificates.regressors import EPS

# Nothing bounds what a user's problem leaves free. The bound covers every x whose variables are at most this many times
# as long as the claimed one's; the block is convex, so a point k times farther is better by at most k times the gap.
REACH = 10.0
# A claim with larger residuals, relative to the sizes of their terms, says nothing: its x is not even feasible.
WORST_RESIDUAL = 1e-3
# A residual this far below the largest force is none.
NEGLIGIBLE = 1e-9
# A user's own constraints cannot be repaired as ours are: a point that violates one by more is not accepted.
USER_VIOLATION = 1e-6


@dataclass(frozen=True)
class ConicClaim:
    """A compiled problem with the primal and dual values that a solver claims are optimal.

    Attributes
    ----------
    P : sparse array of shape (N, N)
    c, x : ndarray of shape (N,)
    d : float
    A : sparse array of shape (M, N)
    b, y : ndarray of shape (M,)
    cones : sequence of (Cone, int, int)
        In the order of the rows: a cone, how many of it there are, and the size of one.
    parts : ndarray of int
        Where in x the parts begin that have one unit each: a CVXPY variable, or a column of it.
    """

    P: sparse.sparray
    c: np.ndarray
    d: float
    A: sparse.sparray
    b: np.ndarray
    cones: Sequence[tuple[Cone, int, int]]
    parts: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def in_cones(self, values: np.ndarray, dual: bool) -> np.ndarray:
        """Values near these that lie in the cones, or in the dual ones."""
        nearest, start = np.empty_like(values), 0
        for cone, count, size in self.cones:
            rows = slice(start, start + count * size)
            part = values[rows].reshape(count, size)
            nearest[rows] = (cone.dual(part) if dual else cone.inside(part)).ravel()
            start = rows.stop
        return nearest

    def bound(self, scale: float) -> tuple[float, float, float]:
        """A lower bound on the optimum, what may have to be taken off it, and how far the claim is from consistent.

        Parameters
        ----------
        scale : float
            The size of the objective.

        Returns
        -------
        value : float
            d - 1/2 x'Px - b'y, for the y nearest to the claimed one in the dual cones.
        allowance : float
            Bounds -<r, x*> and rounding.
        residual : float
            How far Ax + b is from K, relative to the sizes of its terms.
        """
        x, y = self.x, self.in_cones(self.y, dual=True)
        Px, slack = self.P @ x, self.A @ x + self.b
        r = Px + self.c - self.A.T @ y
        forces = abs(self.P) @ np.abs(x) + np.abs(self.c) + abs(self.A).T @ np.abs(y)
        outside = float(np.linalg.norm(slack - self.in_cones(slack, dual=False)))
        sizes = float(np.linalg.norm(abs(self.A) @ np.abs(x) + np.abs(self.b)))
        rounding = 10 * EPS * (abs(self.d) + float(np.abs(x) @ forces) + float(np.abs(self.b) @ np.abs(y)))
        return (
            self.d - 0.5 * float(x @ Px) - float(self.b @ y),
            self._left_over(r, forces, scale) + rounding,
            ratio(outside, sizes),
        )

    def _left_over(self, r: np.ndarray, forces: np.ndarray, scale: float) -> float:
        """A bound on -<r, x*> - 1/2 (x* - x)'P (x* - x), part by part.

        ||r|| ||x*||, where x* is taken to be no longer than ``REACH`` allows. If r is no small part of the forces, x
        may be short because the claim is wrong: then x* may also be as long as the constants of its rows make it or,
        where there are none, until the forces amount to the objective. (What no force acts on has a small r all the
        same.) If P is curved by at least k the bound is also -<r, x> + r^2 / 2k, wherever x* is.
        """
        off, length, force = (np.sqrt(np.add.reduceat(part**2, self.parts)) for part in (r, self.x, forces))
        reach = REACH * length
        squares = self.A.multiply(self.A).tocsc()
        columns = np.sqrt(np.add.reduceat(squares.sum(axis=0), self.parts))
        unit = np.where(columns > 0, columns, 1.0)
        doubtful = (off > WORST_RESIDUAL * force) & (off / unit > NEGLIGIBLE * np.max(force / unit))
        ends = np.append(self.parts[1:], len(r))
        for g in np.flatnonzero(doubtful):
            rows = np.unique(squares[:, self.parts[g] : ends[g]].indices)
            constants = float(np.linalg.norm(self.b[rows]))
            reach[g] = max(reach[g], constants / unit[g] if constants > 0 else scale / force[g])
        curvature = 2 * self.P.diagonal() - abs(self.P).sum(axis=1)  # Gershgorin's bound
        curved = np.divide(0.5 * r**2, curvature, out=np.full_like(r, np.inf), where=curvature > 0)
        curved = np.add.reduceat(curved, self.parts) + np.abs(np.add.reduceat(r * self.x, self.parts))
        return float(np.sum(np.minimum(off * reach, curved)))


def conic_certificate(
    own: Certificate, claim: ConicClaim | None, objective: float, penalty: float, violation: float
) -> Certificate:
    """The certificate of a point by a lower bound on the compiled problem's optimum.

    Parameters
    ----------
    own : Certificate
        As if the user had added nothing: its scale and its violation of the problem's own constraints remain.
    claim : ConicClaim or None
        None where a solver gives no dual values: the gap is then unknown.
    objective : float
        The block's at the point, computed in NumPy and not by CVXPY.
    penalty : float
        The user's part of it.
    violation : float
        The largest of a user's constraint at the point.
    """
    gap = residual = np.inf
    scale = own.scale + abs(penalty)
    if claim is not None:
        with np.errstate(all="ignore"):
            value, allowance, residual = claim.bound(scale)
        # Far below the bound a point is as wrong as far above it.
        gap = abs(objective - value) + allowance
        if not (np.isfinite(gap) and residual <= WORST_RESIDUAL):
            gap = residual = np.inf
    return replace(
        own,
        gap=gap,
        scale=scale,
        kkt_residual=residual,
        violation=max(own.violation, violation),
        allowed_violation=USER_VIOLATION,
    )
