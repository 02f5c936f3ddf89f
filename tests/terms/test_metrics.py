"""Proximal maps of the group lasso in a metric with a number for every entry."""

from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import accumulate

import cvxpy as cp
import numpy as np
import pytest

from bcd_implicit.terms.group_norms import GROUP_NORMS, _root
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GroupLassoConstraint, GroupLassoPenalty

NAMES = list("abcde")
GROUPS = {
    "alone": Groups.singles(5),
    "pairs, one free": Groups.parse(["p", "q", "p", "q", "r"], {"p": 1.0, "q": 2.0, "r": 0.0}, NAMES),
}


def draw(seed, spread=2.0):
    rng = np.random.default_rng(seed)
    return 3 * rng.standard_normal((4, 5)), 10 ** rng.uniform(-spread, spread, (4, 5))


def reference(B, metric, groups, norm, kappa, form):
    """By CLARABEL."""
    V = cp.Variable(B.shape)
    near = 0.5 * cp.sum(cp.multiply(metric, cp.square(V - B)))
    total = groups.weights @ GROUP_NORMS[norm].cvxpy(V, groups)
    if form == "penalty":
        problem = cp.Problem(cp.Minimize(near + kappa * total))
    else:
        problem = cp.Problem(cp.Minimize(near), [total <= kappa])
    problem.solve("CLARABEL")
    return V.value


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize(
    ("term", "kappa"), [(GroupLassoPenalty, 0.5), (GroupLassoPenalty, 20.0), (GroupLassoConstraint, 4.0)]
)
def test_the_proximal_map_in_a_metric_is_cvxpys(term, kappa, groups, norm, seed):
    B, metric = draw(seed, 1.0)
    lasso = term(kappa, groups, GROUP_NORMS[norm])
    found = lasso.prox(B, 1 / metric)
    other = reference(B, metric, groups, norm, kappa, lasso.form)
    np.testing.assert_allclose(found, other, atol=1e-3)
    # The minimiser, whatever CLARABEL's last digits.
    mine, theirs = (0.5 * np.sum(metric * (V - B) ** 2) + lasso.value(V) for V in (found, lasso.repair(other)))
    assert mine <= theirs * (1 + 1e-10)
    # What has no weight does not move.
    free = groups.spread(groups.weights == 0)
    np.testing.assert_array_equal(found[:, free], B[:, free])
    if lasso.form == "constraint":
        assert lasso.sum_of_norms(found) <= kappa * (1 + 1e-12)


@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize("term", [GroupLassoPenalty, GroupLassoConstraint])
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_one_number_a_group_is_the_formula(groups, term, norm):
    B, _ = draw(3)
    steps = groups.spread(np.array([0.5, 2.0, 1.0, 0.3, 4.0])[: len(groups.weights)])
    lasso = term(3.0, groups, GROUP_NORMS[norm])
    np.testing.assert_allclose(lasso.prox(B, np.broadcast_to(steps, B.shape)), lasso.prox(B, steps), atol=1e-12)


@pytest.mark.parametrize("norm", GROUP_NORMS.values(), ids=GROUP_NORMS)
@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
def test_lengths_are_those_of_the_map_and_their_slopes_those_of_differences(groups, norm):
    B, metric = draw(4)
    thresholds = 0.3 * groups.weights
    lengths, slopes = norm.lengths(B, groups, thresholds, metric)
    np.testing.assert_allclose(lengths, norm.of(norm.shrink_in(B, groups, thresholds, metric), groups), rtol=1e-10)
    more, less = (norm.lengths(B, groups, thresholds * (1 + h), metric)[0] for h in (1e-6, -1e-6))
    weighted = groups.weights > 0
    differences = (more - less)[weighted] / (2e-6 * thresholds[weighted])
    np.testing.assert_allclose(slopes[weighted], differences, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize("seed", range(5))
def test_units_of_many_powers_of_ten_keep_the_optimality(seed, norm):
    """With 24 powers of ten between the entries of a group the condition of the optimum still holds."""
    B, metric = draw(seed, 12.0)
    B /= np.sqrt(metric)
    groups, lasso = GROUPS["pairs, one free"], GroupLassoPenalty(1e-3, GROUPS["pairs, one free"], GROUP_NORMS[norm])
    V = lasso.prox(B, 1 / metric)
    assert np.isfinite(V).all()
    force = metric * (B - V)
    for g in range(2):
        members = groups.labels == g
        pull, limit = lasso.norm.dual(np.where(members, force, 0.0), groups)[g], lasso.kappa * groups.weights[g]
        if V[:, members].any():
            # The force is a subgradient of the norm: as long as the weight, and along the group.
            assert pull == pytest.approx(limit, rel=1e-9)
            along = np.vdot(force[:, members], V[:, members])
            assert along == pytest.approx(limit * lasso.norm.of(V, groups)[g], rel=1e-6)
        else:
            assert pull <= limit * (1 + 1e-12)


def test_lengths_end_where_a_last_digit_of_the_sum_is_many_of_theirs(monkeypatch):
    """Newton's last steps would lead to and fro for ever where the threshold is most of the divisor."""
    rounds = []
    spread = Groups.spread
    monkeypatch.setattr(Groups, "spread", lambda self, values: rounds.append(1) or spread(self, values))
    groups, norm = GROUPS["alone"], GROUP_NORMS["2"]
    for share in (0.99, 0.999):
        for seed in range(100):
            B, metric = draw(seed)
            rounds.clear()
            lengths, _ = norm.lengths(B, groups, share * norm.of(metric * B, groups), metric)
            assert (lengths > 0).all()
            assert len(rounds) < 15


def exact_lengths(B, metric, groups, radius):
    """Of the largest entries of groups after the projection, in fractions: knot by knot of the piecewise linear sum."""
    rows = []
    for g in np.flatnonzero(groups.weights > 0):
        members = groups.labels == g
        size, m = np.abs(B[:, members]).ravel(), metric[:, members].ravel()
        order = np.argsort(-size)
        rows.append([*map(Fraction, size[order]), Fraction(0)])
        rows.append([*map(Fraction, m[order])])
    weights = [*map(Fraction, groups.weights[groups.weights > 0])]
    pieces = []
    for w, size, m in zip(weights, rows[::2], rows[1::2], strict=True):
        knots, above = [Fraction(0)], list(accumulate(m))
        for j in range(len(m)):
            knots.append(knots[-1] + above[j] * (size[j] - size[j + 1]) / w)
        pieces.append((w, size, above, knots))

    def lengths(s):
        found = []
        for w, size, above, knots in pieces:
            j = bisect_right(knots, s) - 1
            found.append(size[j] - w * (s - knots[j]) / above[j] if j < len(above) else Fraction(0))
        return found

    def total(s):
        return sum(w * t for w, t in zip(weights, lengths(s), strict=True))

    knots = sorted({s for *_, each in pieces for s in each})
    after = bisect_left(knots, -Fraction(radius), key=lambda s: -total(s))
    low, high = knots[after - 1], knots[after]
    at_low, at_high = total(low), total(high)
    s = low + (high - low) * (at_low - Fraction(radius)) / (at_low - at_high)
    return np.array([float(t) for t in lengths(s)])


@pytest.mark.parametrize("unit", [1e-100, 1e-12, 1.0, 1e12, 1e100])
@pytest.mark.parametrize("share", [0.0, 1e-14, 1e-5, 0.3, 1 - 1e-12])
@pytest.mark.parametrize("groups", [*GROUPS.values(), Groups.parse([0] * 5, None, NAMES)], ids=[*GROUPS, "one"])
@pytest.mark.parametrize("kind", ["usual", "ties", "zeros", "far apart", "far apart in the metric"])
def test_projections_of_largest_entries_are_those_of_fractions(kind, groups, share, unit):
    B, metric = draw(6, 12.0 if kind == "far apart in the metric" else 1.0)
    if kind == "ties":
        B, metric = np.sign(B) * np.ceil(np.abs(B) / 2), np.ones(B.shape)
    elif kind == "zeros":
        B *= np.array([0.0, 1.0, 0.0, 0.0, 1.0]) * np.array([1.0, 0.0, 1.0, 1.0])[:, None]
    elif kind == "far apart":
        B /= np.sqrt(draw(7, 12.0)[1])
    B, norm = unit * B, GROUP_NORMS["inf"]
    radius = share * float(groups.weights @ norm.of(B, groups))
    lasso = GroupLassoConstraint(radius, groups, norm)
    found = lasso.prox(B, 1 / metric)
    bounded, usual = groups.weights > 0, np.abs(B).max()
    np.testing.assert_allclose(found[:, ~lasso.bounded], B[:, ~lasso.bounded], rtol=1e-15)
    if radius == 0:
        assert not found[:, lasso.bounded].any()
        return
    expected = exact_lengths(B, 1 / (1 / metric), groups, radius)  # the map gets steps, and inverts them
    np.testing.assert_allclose(norm.of(found, groups)[bounded], expected, rtol=1e-9, atol=1e-14 * usual)
    # All other entries stay: they are clipped, and at most scaled with the rest by what rounding left of the radius.
    kept = np.abs(B) < groups.spread(np.where(bounded, norm.of(found, groups), np.inf))
    np.testing.assert_allclose(found[kept], B[kept], rtol=1e-9, atol=1e-14 * usual)
    assert lasso.sum_of_norms(found) == pytest.approx(radius, rel=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_projections_of_stacked_largest_entries_are_cvxpys(seed):
    """As in the blocks with stacked groups: rows of D have their own curvature, far from that of B."""
    rng = np.random.default_rng(seed)
    groups = Groups.parse([int(j // 2) for j in range(9)], None, [str(j) for j in range(9)])
    B, metric = rng.standard_normal((7, 9)), rng.uniform(1, 2, (7, 9))
    metric[4:] *= 30.0
    lasso = GroupLassoConstraint(
        0.2 * float(groups.weights @ GROUP_NORMS["inf"].of(B, groups)), groups, GROUP_NORMS["inf"]
    )
    V = cp.Variable(B.shape)
    distance = 0.5 * cp.sum(cp.multiply(metric, cp.square(V - B)))
    constraint = groups.weights @ lasso.norm.cvxpy(V, groups) <= lasso.kappa
    options = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
    cp.Problem(cp.Minimize(distance), [constraint]).solve("CLARABEL", **options)
    np.testing.assert_allclose(lasso.prox(B, 1 / metric), V.value, atol=1e-7)


@pytest.mark.parametrize("norm", ["2", "inf"])
@pytest.mark.parametrize("share", [1e-14, 1e-9, 1e-3])
@pytest.mark.parametrize("seed", range(5))
def test_projections_on_small_radii_are_on_the_boundary(seed, share, norm):
    """The face of the point is found by that, and beside a small radius the rounding of a multiplier is much."""
    B, metric = draw(seed)
    groups = GROUPS["pairs, one free"]
    radius = share * float(groups.weights @ GROUP_NORMS[norm].of(B, groups))
    lasso = GroupLassoConstraint(radius, groups, GROUP_NORMS[norm])
    found = lasso.prox(B, 1 / metric)
    assert lasso.binds(found)
    assert lasso.violation(found) <= 1e-14 * radius


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1.0, 1e12])
def test_roots_are_never_too_small_and_cost_little(unit):
    """Newton sees nothing of the last millionth, which rounding hides, and the function is positive up to its root."""
    calls = []

    def excess(t):
        calls.append(t)
        return np.ceil((1 - t / unit) * 1e6) / 1e6

    def newton(t):
        return 0.5 * np.floor((1 - t / unit) * 1e6) / 1e6 * unit

    wanted = np.array([True, False, True])
    t = _root(excess, newton, np.array([0.0, 0.0, 0.3 * unit]), wanted, np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(t > 0, wanted)
    assert (excess(t[wanted]) <= 0).all()
    np.testing.assert_allclose(t[wanted], unit, rtol=1e-5)
    assert len(calls) < 60


@pytest.mark.parametrize("norm", GROUP_NORMS.values(), ids=GROUP_NORMS)
@pytest.mark.parametrize("unit", [1e-60, 1e-18, 1.0, 1e18])
def test_conjugates_of_groups_without_weight_know_no_units(unit, norm):
    """Of a quadratic that differs by row: a bound on it must not vanish where gradients are small."""
    G, ridge = draw(5)[0], np.array([1.0, 1.0, 3.0, 3.0])
    found = norm.conjugate(unit * G, Groups.singles(5), np.zeros(5), ridge)
    np.testing.assert_allclose(found, unit**2 * np.sum(G**2 / (2 * ridge[:, None]), axis=0), rtol=1e-9)
