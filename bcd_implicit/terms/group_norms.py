"""The norms that measure each group's columns of B, or of (B; D) stacked.

To add a norm, write a subclass of :class:`GroupNorm` and add it to :data:`GROUP_NORMS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.formulas import written
from bcd_implicit.terms.facet import Facet
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.projections import clipping_multiplier, l1_multipliers, project_l1_rows

BISECTIONS, NEWTON_STEPS = 200, 50
# Entries this near to a group's largest are tied with it.
TIED = 1e-10
# Multipliers of conjugates use this share of a threshold, so that rounding does not take them beyond the whole.
ROOM = 1 - 1e-12
# A multiplier is known to so much, relatively.
ROUNDING = 1e-14


class GroupNorm:
    """A norm for the columns of each group. B has shape (n, p), values of groups (n_groups,)."""

    name: ClassVar[str]
    # Whether it can :meth:`shrink_in` a metric; without, the solvers take one step for all entries of a group.
    has_metrics: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def latex(self, group: str) -> str:
        """The norm of a group's entries, in LaTeX; one without a formula shows its name."""
        return rf"\|{group}\|_{{{written(self.name)}}}"

    def of(self, B: np.ndarray, groups: Groups) -> np.ndarray:
        """The norm of each group."""
        raise NotImplementedError

    def dual(self, G: np.ndarray, groups: Groups) -> np.ndarray:
        """The dual norm of each group."""
        raise NotImplementedError

    def shrink(self, B: np.ndarray, groups: Groups, thresholds: np.ndarray) -> np.ndarray:
        """The proximal map of the sum of thresholds * norms."""
        raise NotImplementedError

    def lengths(
        self, B: np.ndarray, groups: Groups, thresholds: np.ndarray, metric: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The norms of what :meth:`shrink_in` returns, and their derivatives by the thresholds, 0 where unknown."""
        return self.of(self.shrink_in(B, groups, thresholds, metric), groups), np.zeros_like(thresholds)

    def shrink_in(self, B: np.ndarray, groups: Groups, thresholds: np.ndarray, metric: np.ndarray) -> np.ndarray:
        """The proximal map in a metric of shape (n, p), positive: squares of differences are weighted by it.

        Mostly no formula but a root, one a group: :meth:`shrink` is the quick way where a group has one number, and
        what a norm without its own does with the largest of the group.
        """
        largest = np.zeros(len(thresholds))
        np.maximum.at(largest, groups.labels, metric.max(axis=0))
        return self.shrink(B, groups, thresholds / largest)

    def multiplier(
        self, B: np.ndarray, groups: Groups, weights: np.ndarray, metric: np.ndarray, radius: float
    ) -> float:
        """The one with which, times the weights, thresholds leave :meth:`lengths` of the weighted sum ``radius``.

        Newton's steps on that sum, which falls in the multiplier, and bisection where one goes too far.
        """
        weighted = weights > 0
        low, high = 0.0, float((self.dual(metric * B, groups)[weighted] / weights[weighted]).max())
        multiplier = low
        for _ in range(NEWTON_STEPS):
            lengths, slopes = self.lengths(B, groups, multiplier * weights, metric)
            excess, slope = float(weights @ lengths) - radius, float(weights**2 @ slopes)
            low, high = (multiplier, high) if excess > 0 else (low, multiplier)
            if abs(excess) <= ROUNDING * radius or high - low <= ROUNDING * high:
                break
            newton = multiplier - excess / slope if slope < 0 else high
            multiplier = newton if low < newton < high else 0.5 * (low + high)
        return multiplier

    def conjugate(self, G: np.ndarray, groups: Groups, thresholds: np.ndarray, ridge: np.ndarray) -> np.ndarray:
        """``sup_T <G, T> - threshold |T| - 1/2 sum_i ridge_i |T_i|^2`` for each group; ridge has a value a row.

        Certificates need an upper bound in floating point: evaluate the dual form, a sum of terms that are not negative
        and that holds for every multiplier, not the differences of this formula at the best T.
        """
        raise NotImplementedError

    def cvxpy(self, B: cp.Expression, groups: Groups) -> cp.Expression:
        """The norm of each group, as a CVXPY vector."""
        if groups.alone:
            return self.cvxpy_of_columns(B)
        # One atom for all groups of a size: compiling an atom a group takes CVXPY long.
        sizes = np.array([len(m) for m in groups.members])
        order = np.argsort(sizes, kind="stable")
        norms = []
        for size in np.unique(sizes):
            alike = order[sizes[order] == size]
            entries = B[:, np.concatenate([groups.members[g] for g in alike])]
            norms.append(self.cvxpy_of_columns(cp.reshape(entries, (-1, len(alike)), order="F")))
        return cp.hstack(norms)[np.argsort(order)]

    def cvxpy_of_columns(self, B: cp.Expression) -> cp.Expression:
        """The norm of each column, as a CVXPY vector."""
        raise NotImplementedError

    def facet(self, B: np.ndarray, groups: Groups) -> Facet:
        """The facet on which B lies."""
        raise NotImplementedError

    def settle(self, B: np.ndarray, start: np.ndarray, groups: Groups, facet: Facet) -> np.ndarray:
        """B after a step inside the facet of ``start``: groups that turned round are zero, ties are exact."""
        raise NotImplementedError


class EuclideanNorm(GroupNorm):
    """The root of the sum of squares."""

    name = "2"
    has_metrics = True

    def latex(self, group):
        return rf"\|{group}\|_2"

    def of(self, B, groups):
        return np.sqrt(groups.sums(np.einsum("ij,ij->j", B, B)))

    dual = of

    def shrink(self, B, groups, thresholds):
        norms = self.of(B, groups)
        # A zero group stays zero, without 0/0.
        safe = np.where(norms > 0, norms, 1.0)
        return B * groups.spread(np.maximum(1.0 - thresholds / safe, 0.0))

    def lengths(self, B, groups, thresholds, metric):
        # With s = metric B / (metric t + threshold), entry by entry, the shrunk group is t s, and |s| = 1.
        pull = metric * B
        stays = self.of(pull, groups) > thresholds
        limits = groups.spread(thresholds)

        def parts(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """The sum of squares of s, and minus half of its derivatives by t and by the threshold."""
            below = metric * groups.spread(t) + limits
            squares = np.divide(pull, below, out=np.zeros_like(pull), where=below > 0) ** 2
            bent = np.divide(squares, below, out=np.zeros_like(pull), where=below > 0)
            return tuple(groups.sums(part.sum(axis=0)) for part in (squares, metric * bent, bent))

        # From below, as in the conjugate: 1/|s| is concave in t, and no step goes too far.
        t, rising = np.where(stays & (thresholds <= 0), self.of(B, groups), 0.0), stays
        for _ in range(NEWTON_STEPS):
            total, by_t, _ = parts(t)
            step = np.divide(total * (np.sqrt(total) - 1), by_t, out=np.zeros_like(t), where=rising & (by_t > 0))
            t = np.maximum(t + step, 0.0)
            rising = _rising(step, t)
            if not rising.any():
                break
        _, by_t, by_threshold = parts(t)
        return t, -np.divide(by_threshold, by_t, out=np.zeros_like(t), where=stays & (by_t > 0))

    def shrink_in(self, B, groups, thresholds, metric):
        t = groups.spread(self.lengths(B, groups, thresholds, metric)[0])
        below = metric * t + groups.spread(thresholds)
        return B * np.divide(metric * t, below, out=np.zeros_like(B), where=below > 0)

    def conjugate(self, G, groups, thresholds, ridge):
        distinct = np.unique(ridge)
        if len(distinct) == 1:
            excess = np.maximum(self.of(G, groups) - thresholds, 0.0)
            return _halved_square(excess, distinct[0])
        # By duality: the least over V, |V| <= threshold, of sum_i |G_i - V_i|^2 / (2 ridge_i), V_i = G_i without ridge.
        # It is V_i = threshold G_i / (ridge_i t + threshold) with the t at which |V| = threshold; a larger t leaves V
        # inside, so that what it gives is a bound all the same.
        squares, r = np.array([self.of(G[ridge == r], groups) for r in distinct]) ** 2, distinct[:, None]
        room = thresholds**2 * ROOM
        unbounded = squares[0] > room if distinct[0] == 0 else np.zeros(len(thresholds), bool)

        lengths = np.sqrt(squares)

        def shares(t: np.ndarray) -> np.ndarray:
            below = r * t + thresholds
            return np.divide(lengths, below, out=np.zeros_like(lengths), where=below > 0) ** 2

        def newton(t: np.ndarray) -> np.ndarray:
            # On the sum's root turned upside down, which is nearly linear in t, and concave: no step goes too far.
            each, below = shares(t), r * t + thresholds
            total = each.sum(axis=0)
            slope = np.divide(r * each, below, out=np.zeros_like(each), where=below > 0).sum(axis=0)
            return np.divide(total * (np.sqrt(total / ROOM) - 1), slope, out=np.zeros_like(t), where=slope > 0)

        # Dividing by threshold^2 the condition on |V| is that the shares' sum is at most 1. Without threshold that is a
        # formula; a start of any one size would be too far from roots of another.
        formula = np.sqrt(np.sum(np.divide(lengths, r, out=np.zeros_like(lengths), where=r > 0) ** 2, axis=0))
        start = np.where(thresholds > 0, 0.0, formula)
        t = _root(lambda t: shares(t).sum(axis=0) - ROOM, newton, start, squares.sum(axis=0) > room, unbounded)
        return np.where(unbounded, np.inf, 0.5 * t**2 * np.sum(r * shares(t), axis=0))

    def cvxpy_of_columns(self, B):
        return cp.norm(B, 2, axis=0)

    def facet(self, B, groups):
        norms = self.of(B, groups)
        present = norms > 0
        safe = np.where(present, norms, 1.0)
        units = B / groups.spread(safe)
        kept = groups.spread(present | (groups.weights == 0))
        # A zero group is at the kink and has no curvature: its columns are not kept, or weigh nothing.
        bend = groups.spread(np.where(present, groups.weights / safe, 0.0))
        return Facet(kept, groups.spread(groups.weights) * units, units, bend, np.zeros((0, *B.shape)))

    def settle(self, B, start, groups, facet):
        turned = groups.sums(np.einsum("ij,ij->j", B, start)) <= 0
        return np.where(groups.spread(turned & (groups.weights > 0)), 0.0, B)


class MaxNorm(GroupNorm):
    """The largest absolute entry: a group pays for one row of B and gets all."""

    name = "inf"
    has_metrics = True

    def latex(self, group):
        return rf"\|{group}\|_{{\max}}"

    def of(self, B, groups):
        return np.abs(groups.rows(B)).max(axis=1)

    def dual(self, G, groups):
        return groups.sums(np.abs(G).sum(axis=0))

    def shrink(self, B, groups, thresholds):
        rows = groups.rows(B)
        # Moreau: what the projection on the dual ball leaves. Ties by clipping, so that they are exact.
        rest = np.abs(rows - project_l1_rows(rows, thresholds)).max(axis=1, keepdims=True)
        rest[self.dual(B, groups) <= thresholds] = 0.0
        return groups.columns(np.clip(rows, -rest, rest), len(B))

    @staticmethod
    def _entries(B: np.ndarray, groups: Groups, metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Absolute values and metric of each group's entries, in a row."""
        weights = groups.rows(np.broadcast_to(metric, B.shape))
        # What fills up the rows is zero: any weight will do.
        return np.abs(groups.rows(B)), np.where(weights > 0, weights, 1.0)

    def lengths(self, B, groups, thresholds, metric):
        # Clipped at t, with sum_i metric_i max(|b_i| - t, 0) = threshold.
        size, weights = self._entries(B, groups, metric)
        t = np.minimum(l1_multipliers(weights * size, thresholds, weights), size.max(axis=1))
        t[np.sum(weights * size, axis=1) <= thresholds] = 0.0
        above = np.where(size >= t[:, None], weights, 0.0).sum(axis=1)
        return t, np.where(t > 0, -1 / above, 0.0)

    def shrink_in(self, B, groups, thresholds, metric):
        t = groups.spread(self.lengths(B, groups, thresholds, metric)[0])
        return np.clip(B, -t, t)

    def multiplier(self, B, groups, weights, metric, radius):
        size, inner = self._entries(B, groups, metric)
        weighted = weights > 0
        return clipping_multiplier(size[weighted], weights[weighted], inner[weighted], radius)

    def conjugate(self, G, groups, thresholds, ridge):
        size, distinct = np.abs(groups.rows(G)), np.unique(ridge)
        # By duality: the least over V, |V|_1 <= threshold, of sum (|G| - V)^2 / (2 ridge): V = max(|G| - ridge t, 0).
        if len(distinct) == 1:
            rest = np.minimum(size, l1_multipliers(size, thresholds)[:, None])
            return _halved_square(np.sqrt(np.sum(rest**2, axis=1)), distinct[0])
        r = groups.rows(np.broadcast_to(ridge[:, None], G.shape))
        unbounded = np.where(r == 0, size, 0.0).sum(axis=1) > thresholds * ROOM

        def excess(t: np.ndarray) -> np.ndarray:
            return np.maximum(size - r * t[:, None], 0.0).sum(axis=1) - thresholds * ROOM

        def newton(t: np.ndarray) -> np.ndarray:
            slope = np.where(size > r * t[:, None], r, 0.0).sum(axis=1)
            return np.divide(excess(t), slope, out=np.zeros_like(t), where=slope > 0)

        t = _root(excess, newton, np.zeros(len(size)), size.sum(axis=1) > thresholds * ROOM, unbounded)
        rest = np.minimum(size, r * t[:, None])
        values = np.divide(rest**2, 2 * r, out=np.zeros(rest.shape), where=r > 0).sum(axis=1)
        return np.where(unbounded, np.inf, values)

    def cvxpy_of_columns(self, B):
        return cp.max(cp.abs(B), axis=0)

    def facet(self, B, groups):
        norms = self.of(B, groups)
        kept = groups.spread((norms > 0) | (groups.weights == 0))
        tied = (np.abs(B) >= groups.spread(norms) * (1 - TIED)) & groups.spread(norms > 0)
        signs = np.where(tied, np.sign(B), 0.0)
        counts = groups.sums(tied.sum(axis=0).astype(float))
        # Any shares of sum 1 have the same slope along the facet; equal ones need no choice.
        slope = signs * groups.spread(groups.weights / np.maximum(counts, 1.0))
        ties = []
        for members in groups.members:
            rows, columns = np.nonzero(tied[:, members])
            # All equal to the first: one condition fewer than entries tied.
            for i in range(1, len(rows)):
                tie = np.zeros(B.shape)
                for k, sign in ((0, 1.0), (i, -1.0)):
                    place = rows[k], members[columns[k]]
                    tie[place] = sign * signs[place]
                ties.append(tie)
        # The norm is polyhedral: inside a facet it does not bend.
        flat = np.zeros(B.shape)
        return Facet(kept, slope, flat, flat[0], np.array(ties).reshape(len(ties), *B.shape))

    def settle(self, B, start, groups, facet):
        signs = np.sign(facet.slope)
        counts = groups.sums(np.abs(signs).sum(axis=0))
        # Their mean, so that rounding does not untie them; below 0 the group turned round.
        largest = groups.sums((signs * B).sum(axis=0)) / np.maximum(counts, 1.0)
        free = groups.spread((groups.weights == 0) | (counts == 0))
        limit = groups.spread(np.maximum(largest, 0.0))
        return np.where(free, B, np.where(signs != 0, signs * limit, np.clip(B, -limit, limit)))


def _halved_square(excess: np.ndarray, ridge: float) -> np.ndarray:
    """Excess^2 / (2 ridge); without ridge 0 for no excess, else infinity."""
    if ridge == 0:
        return np.where(excess > 0, np.inf, 0.0)
    return 0.5 * (excess / ridge) * excess  # the square alone might overflow


def _root(
    excess: Callable[[np.ndarray], np.ndarray],
    newton: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    positive: np.ndarray,
    unbounded: np.ndarray,
) -> np.ndarray:
    """Where decreasing functions are no longer positive; 0 where they are not positive at 0.

    By Newton's steps from the left, and where rounding leaves their end on the wrong side, by bisection.
    """
    wanted = rising = positive & ~unbounded
    t = start
    for _ in range(NEWTON_STEPS):
        step = np.where(rising, newton(t), 0.0)
        t = t + step
        rising = _rising(step, t)
        if not rising.any():
            break
    t = t * (1 + 1e-12)
    beyond = wanted & (excess(t) > 0)
    if not beyond.any():
        return np.where(wanted, t, 0.0)
    # What is left of the excess is rounding, or nearly: one more step is its unit.
    low, high, width = t, t, np.maximum(np.maximum(1e-12 * t, newton(t)), np.finfo(float).tiny)
    for _ in range(BISECTIONS):
        if not beyond.any():
            break
        low, high, width = np.where(beyond, high, low), np.where(beyond, high + width, high), 4 * width
        beyond &= excess(high) > 0
    for _ in range(BISECTIONS):
        if np.all(high - low <= 1e-12 * high):
            break
        middle = 0.5 * (low + high)
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(wanted, high, 0.0)  # not the middle: there the function might be positive


def _rising(step: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Which of Newton's steps from the left are not the last: one that leads back, or nowhere, is rounding.

    By their length alone some would go on for ever: where the threshold is most of a divisor, a last digit of the sum
    is many of t.
    """
    return step > 1e-14 * t


#: The norms of a group, by name.
GROUP_NORMS: dict[str, GroupNorm] = {norm.name: norm for norm in (EuclideanNorm(), MaxNorm())}
