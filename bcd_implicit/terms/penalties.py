"""The convex terms on A and B: row l1 balls and the group lasso over the columns of B, or of (B; D).

Each has a value, a violation, a proximal map (or projection), a repair that makes a nearly feasible point
feasible, a conjugate (for duality gaps) and its CVXPY form. With a ridge term r/2 ||.||^2 added,
the conjugate at G is  sup_T <G, T> - h(T) - r/2 ||T||^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cvxpy as cp
import numpy as np
from scipy.optimize import minimize_scalar

from bcd_implicit.terms.group_norms import GROUP_NORMS, ROOM, Facet, GroupNorm
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.projections import l1_multipliers, project_l1_rows

# Sums of terms that are not negative, rounded down at most by so much, are bounds again.
UPWARDS = 1 + 1e-13
# Dual points are scaled this far into the dual ball.
INSIDE = 1 - 1e-12


def column_norms(B: np.ndarray) -> np.ndarray:
    """Euclidean norm of each column of B (n, p): shape (p,)."""
    return np.sqrt(np.einsum("ij,ij->j", B, B))


@dataclass(frozen=True, eq=False)
class RowBall:
    """``||A||_inf = max_i sum_j |A_ij| <= radius``: every row of A in the l1 ball (well-posedness).

    Parameters
    ----------
    radius : float
    inside : ndarray of bool, shape (n, n), or None
        The entries that the bound is on, those inside cycles: sums and norms are of these alone, and all others are
        free of it. None where it is on all.
    """

    radius: float
    inside: np.ndarray | None = None

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

    def norm(self, A: np.ndarray) -> float:
        """||A||_inf of the entries inside."""
        return float(np.abs(self.bounded(A)).sum(axis=1).max())

    def violation(self, A: np.ndarray) -> float:
        """How far the largest absolute row sum exceeds the radius; 0 when feasible."""
        return max(0.0, self.norm(A) - self.radius)

    def prox(self, A: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Projection, in the metric of the steps where they differ by column."""
        # Shrinking turns no entry round: zeros in place of others change nothing.
        steps = step if np.ndim(step) else None
        return self.with_bounded(A, project_l1_rows(self.bounded(A), self.radius, steps))  # type: ignore[arg-type]

    def binding(self, A: np.ndarray) -> np.ndarray:
        """Which rows are on the boundary, to rounding; bool, shape (n,)."""
        found = np.zeros(len(A), dtype=bool)
        found[self.rows] = True
        return found & (np.abs(self.bounded(A)).sum(axis=1) >= self.radius * (1 - 1e-12))

    def repair(self, A: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """Scale back the rows that a solver left slightly outside; scale those of ``onto`` to the boundary."""
        sums = np.abs(self.bounded(A)).sum(axis=1)
        scaled = sums > self.radius
        if onto is not None:
            # A zero row has no direction in which to reach the boundary.
            scaled[onto] = sums[onto] > 0
        factors = np.where(scaled, self.radius / np.where(scaled, sums, 1.0), 1.0)
        return self.with_bounded(A, A * factors[:, None])

    def smooth_at(self, A: np.ndarray) -> np.ndarray:
        """The entries near which row sums are smooth, bool: a zero has a kink there, if it is inside."""
        return A != 0 if self.inside is None else (A != 0) | ~self.inside

    def settle(self, A: np.ndarray, start: np.ndarray, onto: np.ndarray | None = None) -> np.ndarray:
        """A after a step from ``start``, repaired: an entry that turned round is zero, if it is inside."""
        # Zeros first: they shorten a row, which is then scaled back to its boundary.
        return self.repair(self.with_bounded(A, np.where(A * start <= 0, 0.0, A)), onto)

    def conjugate(self, G: np.ndarray, ridge: float = 0.0) -> float:
        """Sup over feasible A of <G, A> - ridge/2 ||A||_F^2, or a little more: never less, in floating point.

        By duality it is, row by row, the least over t >= 0 of ``radius t + sum_j max(|g_j| - t, 0)^2 / (2 ridge)``.
        Every t gives an upper bound, and around the best one the value is flat: an error in t hardly shows. Projecting
        G/ridge and taking <G, A> - ridge/2 ||A||^2 there would cancel all digits where ridge * radius is far below G.
        Of an entry that is free of the bound it is ``g^2 / (2 ridge)``, and without ridge infinite unless g is 0.
        """
        size, free = np.abs(self.bounded(G)), 0.0
        if self.inside is not None:
            outside = np.where(self.inside, 0.0, G)
            if ridge == 0 and outside.any():
                return np.inf
            free = 0.5 * float(np.sum(outside / ridge * outside)) if ridge > 0 else 0.0
        largest = size.max(axis=1)
        values = self.radius * largest  # of t = max_j |g_j|
        if ridge > 0:
            # Rounding may take t beyond the largest entry, from where the bound only grows.
            t = np.minimum(l1_multipliers(size, ridge * self.radius), largest)
            beyond = np.maximum(size - t[:, None], 0.0)
            values = np.minimum(values, self.radius * t + 0.5 * np.sum(beyond / ridge * beyond, axis=1))
        return UPWARDS * (float(values.sum()) + free)

    def cvxpy(self, A: cp.Expression) -> list[cp.Constraint]:
        """The constraint on a CVXPY variable; none where no entry is inside.

        (cp.norm_inf would be the largest *entry*.) A radius of 0 would leave conic solvers no interior point: it says
        that the entries are zero.
        """
        inside = self.inside
        if inside is None:
            return [cp.norm1(A, axis=1) <= self.radius if self.radius > 0 else A == 0]
        if not inside.any():
            return []
        if self.radius == 0:
            return [A[inside] == 0]
        return [cp.norm1(cp.multiply(inside[self.rows], A[self.rows]), axis=1) <= self.radius]

    def multipliers(self, duals: np.ndarray) -> np.ndarray:
        """One a row of A, shape (n,), from the dual values of what :meth:`cvxpy` says."""
        inside = self.inside
        if self.radius > 0:
            if inside is None:
                return duals
            found = np.zeros(len(inside))
            found[self.rows] = duals
            return found
        entries = duals
        if inside is not None:
            entries = np.zeros(inside.shape)
            entries[inside] = duals
        return np.asarray(np.abs(entries).max(axis=1))

    @property
    def in_words(self) -> str:
        """What is asked of ||A||_inf, such as "at most 0.5"."""
        if self.inside is None:
            return f"at most {self.radius:g}"
        return f"at most {self.radius:g} inside cycles" if self.inside.any() else "not bounded, as there is no cycle"


@dataclass(frozen=True)
class GroupLasso:
    """The weighted sum of the groups' norms, times kappa or bounded by kappa.

    Parameters
    ----------
    kappa : float
    groups : Groups
    norm : GroupNorm
    """

    kappa: float
    groups: Groups
    norm: GroupNorm = GROUP_NORMS["2"]
    form: ClassVar[str]

    def sum_of_norms(self, B: np.ndarray) -> float:
        """The weighted sum of the groups' norms."""
        return float(self.groups.weights @ self.norm.of(B, self.groups))

    @property
    def bounded(self) -> np.ndarray:
        """The columns whose group has a weight: bool, shape (p,)."""
        return self.groups.spread(self.groups.weights > 0)

    def scaled(self, B: np.ndarray, factor: float) -> np.ndarray:
        """B with the columns whose group has a weight multiplied by a factor."""
        return B * np.where(self.bounded, factor, 1.0)

    def steepest(self, G: np.ndarray) -> float:
        """The largest dual norm over weight, of the groups that have a weight."""
        weighted = self.groups.weights > 0
        return float((self.norm.dual(G, self.groups)[weighted] / self.groups.weights[weighted]).max())

    def facet(self, B: np.ndarray) -> Facet:
        """Where the sum of norms is smooth, at B."""
        return self.norm.facet(B, self.groups)

    def settle(self, B: np.ndarray, start: np.ndarray, facet: Facet) -> np.ndarray:
        """B after a step inside the facet of ``start``."""
        return self.norm.settle(B, start, self.groups, facet)


class GroupLassoPenalty(GroupLasso):
    """The term kappa * sum_g weight_g ||B_g|| in the objective."""

    form = "penalty"

    def value(self, B: np.ndarray) -> float:
        """Kappa times the weighted sum of norms."""
        return self.kappa * self.sum_of_norms(B)

    def violation(self, B: np.ndarray) -> float:
        """A penalty cannot be violated: 0."""
        return 0.0

    def repair(self, B: np.ndarray, onto: bool = False) -> np.ndarray:
        """Nothing to repair."""
        return B

    def prox(self, B: np.ndarray, step: float | np.ndarray) -> np.ndarray:
        """Group soft thresholding; one step, or one a column, equal inside a group, or one an entry."""
        groups = self.groups
        if np.ndim(step) == 2:
            return self.norm.shrink_in(B, groups, self.kappa * groups.weights, 1 / np.asarray(step))
        return self.norm.shrink(B, groups, self.kappa * groups.weights * _of_groups(step, groups))

    def conjugate(self, G: np.ndarray, ridge: float | np.ndarray = 0.0) -> float:
        """sup_B <G, B> - kappa sum_g weight_g ||B_g|| - 1/2 sum_i ridge_i ||row i of B||^2.

        Infinite without ridge outside the dual ball.
        """
        groups = self.groups
        ridge = np.broadcast_to(np.asarray(ridge, dtype=float), len(G))
        return UPWARDS * float(self.norm.conjugate(G, groups, self.kappa * groups.weights, ridge).sum())

    def dual_scale(self, G: np.ndarray) -> float:
        """Largest s <= 1 for which s G lies in the dual ball, ||G_g||* <= kappa weight_g for all groups.

        A hair less where that is below 1, so that s G is inside whatever its rounding.
        """
        groups = self.groups
        limits, norms = self.kappa * groups.weights, self.norm.dual(G, groups)
        beyond = norms > limits
        # Of those beyond only: a limit and a norm of 0 cannot be divided, and ask for nothing.
        return INSIDE * float((limits[beyond] / norms[beyond]).min()) if beyond.any() else 1.0

    def multiplier(self, G: np.ndarray, B: np.ndarray) -> float:
        """The penalty weight itself."""
        return self.kappa

    def binds(self, B: np.ndarray) -> bool:
        """A penalty is no constraint."""
        return False

    def cvxpy(self, B: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective term and constraints; kappa is a cp.Parameter named "kappa"."""
        # As a parameter it can be changed without compiling again: it multiplies a term as a whole.
        kappa, groups = cp.Parameter(nonneg=True, name="kappa", value=self.kappa), self.groups
        return kappa * (groups.weights @ self.norm.cvxpy(B, groups)), []


class GroupLassoConstraint(GroupLasso):
    """The constraint sum_g weight_g ||B_g|| <= kappa."""

    form = "constraint"

    def value(self, B: np.ndarray) -> float:
        """A constraint adds nothing to the objective: 0."""
        return 0.0

    def violation(self, B: np.ndarray) -> float:
        """How far the weighted sum of norms exceeds kappa."""
        return max(0.0, self.sum_of_norms(B) - self.kappa)

    def repair(self, B: np.ndarray, onto: bool = False) -> np.ndarray:
        """Scale B back when a solver left it slightly outside; with ``onto``, to the boundary in any case."""
        total = self.sum_of_norms(B)
        # What has no weight is not bounded, and stays: a radius of 0 would make it zero.
        return self.scaled(B, self.kappa / total) if total > self.kappa or (onto and total > 0) else B

    def prox(self, B: np.ndarray, step: float | np.ndarray = 1.0) -> np.ndarray:
        """Projection, in the metric of the steps where they differ by group or by entry."""
        groups, weights, norms = self.groups, self.groups.weights, self.norm.of(B, self.groups)
        if weights @ norms <= self.kappa:
            return B.copy()
        if self.norm.name == "2" and np.ndim(step) < 2:
            steps = _of_groups(step, groups) * np.ones(len(weights))
            # The norms are projected, the directions stay. What has no weight is not bounded.
            w = np.where(weights > 0, weights, 1.0)
            shrunk = project_l1_rows((weights * norms)[None, :], self.kappa, w**2 * steps)[0] / w
            factors = np.where(weights > 0, shrunk / np.where(norms > 0, norms, 1.0), 1.0)
            return B * groups.spread(factors)

        metric = np.broadcast_to(1 / np.asarray(step), B.shape)
        multiplier = self.norm.multiplier(B, groups, weights, metric, self.kappa)
        # From outside the projection is on the boundary: the multiplier is known to rounding only, which may be much
        # beside a small radius.
        return self.repair(self.norm.shrink_in(B, groups, multiplier * weights, metric), onto=True)

    def conjugate(self, G: np.ndarray, ridge: float | np.ndarray = 0.0) -> float:
        """Sup over feasible B of <G, B> - 1/2 sum_i ridge_i ||row i of B||^2; never less, in floating point.

        By duality in the radius: the least over t >= 0 of kappa t plus the penalty's conjugate at weight t. Any t gives
        an upper bound.
        """
        ridge = np.broadcast_to(np.asarray(ridge, dtype=float), len(G))
        groups, without = self.groups, G[ridge == 0]
        if np.any(without[:, groups.spread(groups.weights == 0)]):
            return np.inf  # not bounded
        most = self.steepest(G)
        # Without ridge the conjugate of the penalty is infinite for t below ``most``, and 0 from there on.
        if (ridge == 0).all() or most == 0:
            return UPWARDS * (self.kappa * most + self._conjugate_of_free(G, ridge))

        def bound(multiplier: float) -> float:
            values = self.norm.conjugate(G, groups, multiplier * groups.weights, ridge)
            return self.kappa * multiplier + float(values.sum())

        if self.norm.name == "2" and (ridge == ridge[0]).all():
            # Where the derivative is zero, sum_g weight_g max(|G_g| - t weight_g, 0) = kappa ridge.
            weights = groups.weights[groups.weights > 0]
            sizes = weights * self.norm.of(G, groups)[groups.weights > 0]
            found = float(l1_multipliers(sizes[None], self.kappa * ridge[0], weights**2)[0])
            return UPWARDS * min(bound(min(found, most)), bound(most))
        # Below ``least`` the rows without ridge are beyond the dual ball.
        least = self.steepest(without) / ROOM**2
        if least >= most:
            return UPWARDS * bound(least)
        found = minimize_scalar(bound, bounds=(least, most), method="bounded", options={"xatol": 1e-12 * most})
        return UPWARDS * min(float(found.fun), bound(least), bound(most))

    def _conjugate_of_free(self, G: np.ndarray, ridge: np.ndarray) -> float:
        """Of the groups without weight, which only a ridge bounds."""
        values = self.norm.conjugate(G, self.groups, np.zeros(len(self.groups.weights)), ridge)
        return float(values[self.groups.weights == 0].sum())

    def dual_scale(self, G: np.ndarray) -> float:
        """The conjugate is finite everywhere: no scaling is needed."""
        return 1.0

    def multiplier(self, G: np.ndarray, B: np.ndarray) -> float:
        """Equivalent penalty weight: the largest dual norm over weight of G, minus the gradient of the smooth terms.

        Zero while the constraint is not active.
        """
        return self.steepest(G) if self.binds(B, 1e-6) else 0.0

    def binds(self, B: np.ndarray, tol: float = 1e-12) -> bool:
        """Whether B lies on the boundary, to the relative tolerance."""
        return self.sum_of_norms(B) >= self.kappa * (1 - tol)

    def cvxpy(self, B: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective term and constraints; kappa is a cp.Parameter named "kappa"."""
        kappa, groups = cp.Parameter(nonneg=True, name="kappa", value=self.kappa), self.groups
        return cp.Constant(0.0), [groups.weights @ self.norm.cvxpy(B, groups) <= kappa]


def _of_groups(step: float | np.ndarray, groups: Groups) -> float | np.ndarray:
    """Steps of columns, equal inside a group, as steps of groups."""
    if np.ndim(step) == 0 or groups.alone:
        return step
    return np.asarray(step)[[m[0] for m in groups.members]]


#: The forms of the group lasso, by name.
GROUP_FORMS: dict[str, type[GroupLassoPenalty] | type[GroupLassoConstraint]] = {
    "penalty": GroupLassoPenalty,
    "constraint": GroupLassoConstraint,
}
