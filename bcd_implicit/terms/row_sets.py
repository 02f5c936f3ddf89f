"""What is asked of A: convex sets in which it is well-posed, every row bounded by itself, and an entrywise penalty.

For a phi that never falls, with slopes up to L, the equation x = phi(Ax + c) has one solution for every c if, in every
row i, either of these sums is at most a radius below 1/L::

    "inf-norm"   sum_j |A_ij|                   a ball: ||A||_inf <= radius
    "measure"    A_ii + sum_{j != i} |A_ij|     larger: the matrix measure mu_inf(A) <= radius

(El Ghaoui et al., arXiv 1908.06315, section 2; Jafarpour et al., arXiv 2106.03194.) Entries count with their size, or,
if they are *signed*, with their sign. The signed ones have no kink at zero, and nothing bounds them from below. That
is all in which the sets differ: one set of formulas serves both.

The penalty is ``sum_ij weight_ij |A_ij|``, of all entries but the signed ones. It goes well with either set: its
proximal map is to shrink first and to project then, as a projection only shrinks further what counts with its size, and
its conjugate is that of the set at ``max(|g_ij| - weight_ij, 0)`` in place of ``|g_ij|``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.scalars import Scalar, as_number
from bcd_implicit.terms.projections import NONE, UPWARDS, l1_multipliers, project_l1_rows, shrunk, sizes

# So near to the radius, relative to what the row sums, it is the boundary.
NEAR = 1e-12
# So little inside of where the conjugate becomes infinite rounding does not matter.
WITHIN = 1 - 1e-14


@dataclass(frozen=True, eq=False)
class RowSet:
    """Every row of A has a sum of at most a radius: of sizes of entries, or on the diagonal of the entries themselves.

    Parameters
    ----------
    radius : float
        0 or more.
    inside : ndarray of bool, shape (n, n), or None
        The entries that the bound is on, those inside cycles: sums are of these alone, and all others are free of it.
        None where it is on all.
    weights : ndarray of shape (n, n), or None
        Of the penalty: 0 or more, and 0 for signed entries (:meth:`penalised` sees to that). None where there is none.
    """

    radius: float
    inside: np.ndarray | None = None
    weights: np.ndarray | None = None
    #: What is bounded, as results and tables call it.
    symbol: ClassVar[str]
    #: The same in LaTeX, and what it stands for.
    formula: ClassVar[str]

    def signed(self, n: int) -> np.ndarray:
        """The rows, of n, whose diagonal entry counts with its sign; int."""
        raise NotImplementedError

    @property
    def rows(self) -> np.ndarray | slice:
        """The rows that have entries inside."""
        return slice(None) if self.inside is None else np.flatnonzero(self.inside.any(axis=1))

    def bounded(self, A: np.ndarray) -> np.ndarray:
        """A with zeros in place of the entries that are free of the bound."""
        return A if self.inside is None else np.where(self.inside, A, 0.0)

    def with_bounded(self, A: np.ndarray, bounded: np.ndarray) -> np.ndarray:
        """A with :meth:`bounded` exchanged."""
        return bounded if self.inside is None else np.where(self.inside, bounded, A)

    @property
    def everywhere(self) -> Self:
        """The same with all entries inside."""
        return replace(self, inside=None)

    def penalised(self, weights: float | np.ndarray, n: int) -> Self:
        """The same with a penalty: one weight for all entries of A, of shape (n, n), or one for each."""
        weights, signed = np.array(np.broadcast_to(weights, (n, n)), dtype=float), self.signed(n)
        weights[signed, signed] = 0.0
        return replace(self, weights=weights if weights.any() else None)

    def value(self, A: np.ndarray) -> float:
        """The penalty."""
        return 0.0 if self.weights is None else float(np.sum(self.weights * np.abs(A)))

    def slope(self, A: np.ndarray) -> np.ndarray | float:
        """The penalty's gradient where it is smooth, shape (n, n); 0 at its kinks, or where there is none."""
        return 0.0 if self.weights is None else self.weights * np.sign(A)

    @property
    def _penalised(self) -> np.ndarray | bool:
        return False if self.weights is None else self.weights > 0

    def bounds(self, entries: np.ndarray) -> bool:
        """Whether entries, bool of shape (n, n), are all bounded from either side."""
        bounded = np.ones_like(entries) if self.inside is None else self.inside.copy()
        signed = self.signed(len(entries))
        bounded[signed, signed] = False
        return not np.any(entries & ~bounded)

    def sums(self, A: np.ndarray) -> np.ndarray:
        """What is bounded of each row, shape (n,)."""
        return np.asarray(sizes(self.bounded(A), self.signed(len(A))).sum(axis=1))

    def size(self, A: np.ndarray) -> float:
        """The largest of these sums: a norm, or a matrix measure."""
        return float(self.sums(A).max())

    def violation(self, A: np.ndarray) -> float:
        """How far the largest sum exceeds the radius; 0 when feasible."""
        return max(0.0, self.size(A) - self.radius)

    def prox(self, A: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Proximal map of bound and penalty, in the metric of the steps where they differ by column or by entry."""
        return self.project(A if self.weights is None else shrunk(A, step * self.weights), step)

    def project(self, A: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Projection on the bound, in that metric: the proximal map without penalty."""
        # Shrinking turns no entry round: zeros in place of others change nothing.
        steps = np.asarray(step) if np.ndim(step) else None
        return self.with_bounded(A, project_l1_rows(self.bounded(A), self.radius, steps, self.signed(len(A))))

    def binding(self, A: np.ndarray) -> np.ndarray:
        """Which rows are on the boundary, to rounding; bool, shape (n,)."""
        found = np.zeros(len(A), dtype=bool)
        found[self.rows] = True
        terms = np.maximum(np.abs(self.bounded(A)).sum(axis=1), self.radius)
        return found & (self.sums(A) >= self.radius - NEAR * terms)

    def normals(self, A: np.ndarray) -> np.ndarray:
        """Of each row's boundary at A, where sums are smooth: the gradients of the sums, shape (n, n)."""
        found, signed = np.sign(self.bounded(A)), self.signed(len(A))
        found[signed, signed] = 1.0
        return found

    def repair(self, A: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """Move back the rows that a solver left slightly outside, and those of ``onto`` to the boundary.

        By their diagonal entry where that counts with its sign: scaling leads nowhere if it is negative. Others are
        scaled.
        """
        sums = self.sums(A)
        moved = sums > self.radius
        if onto is not None:
            moved[onto] = True
        return self._moved(A, moved, sums, np.full_like(sums, self.radius))

    def refilled(self, A: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """A with its rows moved in that way to these sums, shape (n,): what other entries had left is used again."""
        return self._moved(A, np.ones(len(A), dtype=bool), self.sums(A), sums)

    def _moved(self, A: np.ndarray, moved: np.ndarray, sums: np.ndarray, to: np.ndarray) -> np.ndarray:
        signed = self.signed(len(A))
        shifts = np.where(moved, to - sums, 0.0)[signed]
        moved[signed] = False
        # A zero row has no direction in which to reach the boundary.
        moved &= sums > 0
        factors = np.where(moved, to / np.where(moved, sums, 1.0), 1.0)
        repaired = self.with_bounded(A, A * factors[:, None])
        repaired[signed, signed] += shifts
        return repaired

    def smooth_at(self, A: np.ndarray) -> np.ndarray:
        """The entries near which sums and penalty are smooth, bool: a zero has a kink, unless it is signed or free."""
        found, signed = A != 0, self.signed(len(A))
        found[signed, signed] = True
        return found if self.inside is None else found | ~(self.inside | self._penalised)

    def settle(self, A: np.ndarray, start: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """A after a step from ``start``, repaired: an entry that has turned round at a kink is zero."""
        turned, signed = A * start <= 0, self.signed(len(A))
        turned[signed, signed] = False
        if self.inside is not None:
            turned &= self.inside | self._penalised
        # Zeros first: they shorten a row, which is then brought back to its boundary.
        return self.repair(np.where(turned, 0.0, A), onto)

    def dual_scale(self, G: np.ndarray) -> float:
        """Largest s <= 1 for which :meth:`conjugate` of s G is finite without a ridge, to rounding.

        An entry that nothing bounds may have no gradient beyond its weight. (Of a signed one it would have to be the
        largest of its row, to the last digit.)
        """
        size, free = np.abs(G), ~self._inside(len(G))
        signed = self.signed(len(G))
        free[signed, signed] = True
        pulled = free & (size > 0)
        if not pulled.any():
            return 1.0
        weights = np.zeros_like(size) if self.weights is None else self.weights
        return min(1.0, WITHIN * float(np.min(weights[pulled] / size[pulled])))

    def conjugate(self, G: np.ndarray, ridge: float = 0.0, off: float | np.ndarray = 0.0) -> float:
        """Sup over feasible A of <G, A> - penalty - ridge/2 ||A||_F^2, or a little more: never less, in floating point.

        By duality it is, row by row, the least over t >= 0 of ``radius t + sum_j max(|g_j| - t, 0)^2 / (2 ridge)``,
        with ``(g_j - t)^2`` for a signed entry. Every t gives an upper bound, and around the best one the value is
        flat: an error in t hardly shows. Projecting G/ridge and taking <G, A> - ridge/2 ||A||^2 there would cancel all
        digits where ridge * radius is far below G. Of an entry that is free of the bound it is ``g^2 / (2 ridge)``, and
        without ridge infinite unless g is 0. With a penalty every ``|g_j|`` is first brought down by its weight.

        Parameters
        ----------
        G : ndarray of shape (n, n)
        ridge : float
        off : float or ndarray of shape (n, n)
            The bound holds for all that differ from G by so much, entry by entry.
        """
        signed, off, free = self.signed(len(G)), np.broadcast_to(off, G.shape), 0.0
        pull = np.abs(G) + off
        if self.weights is not None:
            # The sum is rounded, and the difference may be all that rounding: upwards.
            pull = np.where(self.weights > 0, np.maximum(np.nextafter(pull, np.inf) - self.weights, 0.0), pull)
        size, off_signed = self.bounded(pull), off[signed, signed]
        if self.inside is not None:
            outside = np.where(self.inside, 0.0, pull)
            if ridge == 0 and outside.any():
                return np.inf
            free = 0.5 * float(np.sum(outside / ridge * outside)) if ridge > 0 else 0.0
        size[signed, signed] = G[signed, signed]
        # Of t = max_j |g_j|, from where on no other entry adds anything.
        largest = np.maximum(size.max(axis=1), 0.0)
        values = self.radius * largest
        # A signed entry adds something for all other t.
        missed = (largest[signed] != size[signed, signed]) | (off_signed > 0)
        values[signed[missed]] = np.inf
        if ridge > 0:
            # Rounding may take t beyond the largest entry, from where the bound only grows.
            t = np.minimum(l1_multipliers(size, ridge * self.radius, signed=signed), largest)
            beyond = np.maximum(size - t[:, None], 0.0)
            beyond[signed, signed] = np.abs(size[signed, signed] - t[signed]) + off_signed
            values = np.minimum(values, self.radius * t + 0.5 * np.sum(beyond / ridge * beyond, axis=1))
        return UPWARDS * (float(values.sum()) + free)

    def cvxpy(self, A: cp.Expression, radius: cp.Expression | None = None) -> list[cp.Constraint]:
        """The constraints on a CVXPY variable, one a kind of row; none where no entry is inside.

        (cp.norm_inf would be the largest *entry*.) With a radius of 0 conic solvers would find no interior point in
        rows without a signed entry: there it says that the entries are zero. A ``radius`` with a parameter stands in
        place of the set's own, and is posed as any other, as it may be positive later.
        """
        if radius is not None:
            return replace(self, radius=np.inf)._posed(A, radius)
        return self._posed(A, self.radius)

    def _posed(self, A: cp.Expression, radius: cp.Expression | float) -> list[cp.Constraint]:
        n = A.shape[0]
        zero, rows, signed = self.zeros(n), self._summed(n), self.signed(n)
        constraints = [A[zero] == 0] if zero.any() else []
        if rows.size:
            kinks, signs = self._inside(n).astype(float), np.zeros((n, n))
            kinks[signed, signed], signs[signed, signed] = 0.0, 1.0
            sums = cp.norm1(cp.multiply(kinks[rows], A[rows]), axis=1)
            if signed.size:
                sums += cp.sum(cp.multiply(signs[rows], A[rows]), axis=1)
            constraints.append(sums <= radius)
        return constraints

    @property
    def one_weight(self) -> bool:
        """Whether all penalised entries have the same weight."""
        return self.weights is None or bool(np.isin(self.weights, (0, self.weights.max())).all())

    def cvxpy_penalty(self, A: cp.Expression, scalar: Scalar = as_number) -> cp.Expression:
        """The penalty of a CVXPY variable; one weight for all entries is what ``scalar`` makes of "kappa_A"."""
        if self.weights is None:
            return cp.Constant(0.0)
        sizes, largest = cp.abs(A), float(self.weights.max())
        if self.one_weight:
            return scalar("kappa_A", largest) * cp.sum(cp.multiply((self.weights > 0).astype(float), sizes))
        return cp.sum(cp.multiply(self.weights, sizes))

    def latex(self, radius: str) -> str:
        """The bound in LaTeX; empty where no entry is inside."""
        return "" if self.inside is not None and not self.inside.any() else rf"{self.formula} \le {radius}"

    def latex_penalty(self, weight: str) -> str:
        """The penalty in LaTeX, ``weight`` the one that all penalised entries have, if it is one."""
        penalised = np.asarray(self._penalised)
        if not self.one_weight:
            return r"\sum_{i,j} \kappa_{A,ij} |A_{ij}|"
        off_diagonal = np.array_equal(penalised, ~np.eye(len(penalised), dtype=bool))
        over = "i,j" if penalised.all() else r"i \ne j" if off_diagonal else r"(i,j) \in P"
        return rf"{weight} \sum_{{{over}}} |A_{{ij}}|"

    def multipliers(self, n: int, duals: Sequence[np.ndarray]) -> np.ndarray:
        """One a row of A, shape (n,), from the dual values of what :meth:`cvxpy` says."""
        zero, rows, entries = self.zeros(n), self._summed(n), np.zeros((n, n))
        if zero.any():
            entries[zero] = duals[0]
        found = np.abs(entries).max(axis=1)
        if rows.size:
            found[rows] = duals[-1]
        return found

    def _inside(self, n: int) -> np.ndarray:
        return np.ones((n, n), dtype=bool) if self.inside is None else self.inside

    def zeros(self, n: int) -> np.ndarray:
        """The entries that a radius of 0 holds at zero: bool, shape (n, n)."""
        free = np.full(n, self.radius > 0)
        free[self.signed(n)] = True
        return self._inside(n) & ~free[:, None]

    def _summed(self, n: int) -> np.ndarray:
        """The other rows that have entries inside; int."""
        return np.flatnonzero((self._inside(n) & ~self.zeros(n)).any(axis=1))

    def pressing(self, force: np.ndarray) -> np.ndarray:
        """One a row of A, shape (n,), from the force that presses against its boundary, minus a gradient."""
        size = np.abs(self.bounded(force))
        if self.weights is not None:
            size = np.maximum(size - self.weights, 0.0)
        found, signed = size.max(axis=1), self.signed(len(force))
        # Where all else is at rest it is the largest; this one is never at a kink.
        found[signed] = np.maximum(force[signed, signed], 0.0)
        return np.asarray(found)

    @property
    def in_words(self) -> str:
        """What is asked of the largest sum, such as "at most 0.5"."""
        if self.inside is None:
            return f"at most {self.radius:g}"
        return f"at most {self.radius:g} inside cycles" if self.inside.any() else "not bounded, as there is no cycle"


class RowBall(RowSet):
    """``||A||_inf = max_i sum_j |A_ij| <= radius``: every row of A in the l1 ball."""

    symbol = "||A||_inf"
    formula = r"\|A\|_\infty = \max_i \sum_j |A_{ij}|"

    def signed(self, n: int) -> np.ndarray:
        return NONE


class RowMeasure(RowSet):
    """``mu_inf(A) = max_i (A_ii + sum_{j != i} |A_ij|) <= radius``: the matrix measure of the norm ||.||_inf.

    It contains the ball of the same radius. If an entry of the diagonal is not inside, and so is zero, its row is in
    the ball.
    """

    symbol = "mu_inf(A)"
    formula = r"\mu_\infty(A) = \max_i \,(A_{ii} + \sum_{j \ne i} |A_{ij}|)"

    def signed(self, n: int) -> np.ndarray:
        return np.arange(n) if self.inside is None else np.flatnonzero(np.diagonal(self.inside))


#: What makes a model well-posed, by name.
WELL_POSEDNESS: dict[str, type[RowSet]] = {"inf-norm": RowBall, "measure": RowMeasure}
