"""The group lasso over the columns of B, or of (B; D), as a penalty or as a constraint.

Either has a value, a violation, a proximal map (or projection), a repair that makes a nearly feasible point
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
from bcd_implicit.terms.projections import UPWARDS, l1_multipliers, project_l1_rows

# Dual points are scaled this far into the dual ball.
INSIDE = 1 - 1e-12


def column_norms(B: np.ndarray) -> np.ndarray:
    """Euclidean norm of each column of B (n, p): shape (p,)."""
    return np.sqrt(np.einsum("ij,ij->j", B, B))


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

    def binds(self, B: np.ndarray, tol: float = 0.0) -> bool:
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
