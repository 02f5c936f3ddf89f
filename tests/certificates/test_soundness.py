"""Certificates in floating point: no wrong point passes, and good points pass in any units."""

from collections import Counter
from functools import cache

import mpmath
import numpy as np
import pytest
from exact import DIGITS
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import random_iterate, random_problem
from wrong_points import draw_and_judge

from bcd_implicit import TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GroupLassoConstraint, GroupLassoPenalty
from bcd_implicit.terms.row_sets import RowBall

units = st.floats(-12, 12).map(lambda exponent: float(10**exponent))
ridges = st.one_of(st.just(0.0), units)
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, unit: float) -> np.ndarray:
    """Gradients of shape (3, 4), some rows of which have two entries of nearly the same size."""
    rng = np.random.default_rng(seed)
    G = unit * rng.standard_normal((3, 4))
    if seed % 2:
        G[0, 1] = G[0, 0] * (1 - 10 ** rng.uniform(-16, -1))
    return G


def multiplier(size, total):
    """The t >= 0 with sum max(size - t, 0) = total, by trying how many entries stay; mpmath's numbers."""
    if sum(size) <= total:
        return mpmath.mpf(0)
    largest, candidates = sorted(size, reverse=True), []
    for kept in range(1, len(size) + 1):
        candidates.append((sum(largest[:kept]) - total) / kept)
    return max(candidates)


def exact_row_set(G, radius, ridge):
    """sup <G, A> - ridge/2 ||A||^2 over rows in the l1 ball, each row by its multiplier."""
    total, radius, ridge = mpmath.mpf(0), mpmath.mpf(radius), mpmath.mpf(ridge)
    for row in G:
        size = [abs(mpmath.mpf(float(g))) for g in row]
        if ridge == 0:
            total += radius * max(size)
            continue

        t = multiplier(size, ridge * radius)
        a = [max(g - t, 0) / ridge for g in size]
        total += sum(g * x - ridge / 2 * x**2 for g, x in zip(size, a, strict=True))
    return total


def exact_of_group(size, norm, threshold, ridge):
    """sup <G, T> - threshold |T| - ridge/2 |T|_2^2 for one group, by the absolute values of its entries of G."""
    dual = mpmath.sqrt(sum(g**2 for g in size)) if norm == "2" else sum(size)
    if dual <= threshold:
        return mpmath.mpf(0)
    if ridge == 0:
        return mpmath.inf
    if norm == "2":
        return (dual - threshold) ** 2 / (2 * ridge)
    t = multiplier(size, threshold) / ridge
    T = [min(g / ridge, t) for g in size]
    return sum(g * x - ridge / 2 * x**2 for g, x in zip(size, T, strict=True)) - threshold * t


def exact_groups(G, norm, form, kappa, ridge):
    """The conjugate of the group lasso over pairs of columns, each pair of weight sqrt(2)."""
    pairs = [[abs(mpmath.mpf(float(g))) for g in pair.ravel()] for pair in (G[:, :2], G[:, 2:])]
    weight = mpmath.mpf(float(np.sqrt(2)))
    kappa, ridge = mpmath.mpf(kappa), mpmath.mpf(ridge)

    def at(t):
        return sum(exact_of_group(pair, norm, t * weight, ridge) for pair in pairs)

    if form is GroupLassoPenalty:
        return at(kappa)
    largest = max(mpmath.sqrt(sum(g**2 for g in pair)) if norm == "2" else sum(pair) for pair in pairs)
    if ridge == 0:
        return kappa * largest / weight
    low, high = mpmath.mpf(0), 2 * largest  # kappa t + at(t) is convex
    for _ in range(150):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if kappa * a + at(a) < kappa * b + at(b) else (a, high)
    return kappa * low + at(low)


def test_the_row_set_of_the_finding():
    """Projecting G/ridge gave 0, and the certificate passed points whose loss was 1e30 above another's."""
    assert RowBall(0.5).conjugate(np.array([[1e12, 0.999e12]]), 1e-4) == pytest.approx(5e11, rel=1e-6)


@given(seed=seeds, unit=units, ridge=ridges, radius=st.sampled_from([1e-9, 0.5, 0.99]))
def test_the_row_sets_conjugate_is_an_upper_bound_at_every_scale(seed, unit, ridge, radius):
    G = draw(seed, unit)
    with mpmath.workdps(DIGITS):
        exact = exact_row_set(G, radius, ridge)
        found = RowBall(radius).conjugate(G, ridge)
        assert found >= exact
        assert found <= exact * (1 + mpmath.mpf("1e-9"))


@pytest.mark.parametrize("norm", GROUP_NORMS)
@pytest.mark.parametrize("form", [GroupLassoPenalty, GroupLassoConstraint])
@settings(max_examples=25)
@given(seed=seeds, unit=units, kappa=units, ridge=ridges)
def test_the_groups_conjugates_are_upper_bounds_at_every_scale(norm, form, seed, unit, kappa, ridge):
    G = draw(seed, unit)
    groups = Groups(np.array([0, 0, 1, 1]), np.sqrt([2.0, 2.0]), ["first", "second"])
    lasso = form(kappa, groups, GROUP_NORMS[norm])
    with mpmath.workdps(30):
        exact, found = exact_groups(G, norm, form, kappa, ridge), lasso.conjugate(G, ridge)
        assert found >= exact * (1 - mpmath.mpf("1e-15"))  # the exact one comes from a search too
        # Beyond the dual ball without ridge it is infinite, and how near the boundary decides rounding.
        if np.isfinite(found):
            rounding = mpmath.mpf("1e-13") * np.abs(G).max() ** 2 / (ridge or 1.0)
            assert found <= exact * (1 + mpmath.mpf("1e-9")) + rounding
        else:
            assert float(lasso.steepest(G)) >= kappa * (1 - 1e-9)


@pytest.mark.parametrize("norm", GROUP_NORMS)
@given(seed=seeds, unit=units, kappa=units, first=ridges, second=units)
def test_conjugates_with_a_ridge_of_its_own_a_row_bound_every_point(norm, seed, unit, kappa, first, second):
    G, r = draw(seed, unit), np.array([first, second, second])
    lasso = GroupLassoPenalty(kappa, Groups.singles(4), GROUP_NORMS[norm])
    found = lasso.conjugate(G, r)
    # The best point, as far as a search on a ray and scaled rows of G find it.
    scales = np.geomspace(1e-6, 1e6, 49) * unit
    T = np.concatenate([G / np.maximum(r[:, None], second * 1e-9) / (1 + s / unit) for s in scales]).reshape(-1, 3, 4)
    values = [np.sum(G * t) - lasso.value(t) - 0.5 * np.sum(r[:, None] * t**2) for t in T]
    assert found >= max(values) * (1 - 1e-12)


def check_that_none_is_certified(seeds, at_least, **options):
    counts = sum((draw_and_judge(seed, **options) for seed in seeds), start=Counter())
    assert counts["wrong points"] > at_least
    assert counts["LIES"] == counts["wrong points certified"] == 0


def test_no_wrong_point_is_certified():
    check_that_none_is_certified(range(17), 60)


def test_no_wrong_point_is_certified_under_a_penalty_of_a():
    check_that_none_is_certified(range(7), 30, penalty_of_A=True)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(3000, 3600, 200))
def test_no_wrong_point_of_many_is_certified_under_a_penalty_of_a(first):
    check_that_none_is_certified(range(first, first + 200), 900, penalty_of_A=True)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2200, 200))
def test_no_wrong_point_of_many_is_certified(first):
    check_that_none_is_certified(range(first, first + 200), 900)


@pytest.mark.parametrize("name", ["hidden", "prox-linear"])
def test_a_point_outside_a_tiny_radius_is_not_certified(name):
    """Beyond the constraint by 1e-9, which is nothing beside 1 but a thousand times the radius."""
    problem = random_problem((3, 4, 2, 30), kappa=1e-12, group_form="constraint")
    it = random_iterate(problem, relaxed=name != "prox-linear")
    solution = solve_block(problem, it, name, "native")
    assert solution.certificate.holds(1e-6)
    outside = solution.iterate.replace(B=solution.iterate.B + 1e-10)
    assert problem.group_lasso.violation(outside.B) < 1e-8
    assert not make_block(problem, it, name).certificate(outside).holds(1e-6)


# Changes of units by powers of two change no digit: the certificate must say the same.
POWERS = [-40, -13, 40]
KINDS = {
    "penalty": {"kappa": 0.1},
    "penalty, largest": {"kappa": 0.1, "group_norm": "inf", "groups": "pairs"},
    "constraint": {"kappa": 0.5, "group_form": "constraint"},
    "constraint, largest": {"kappa": 0.5, "group_form": "constraint", "group_norm": "inf"},
    "no intercept": {"kappa": 0.1, "fit_intercept": False},
}


def with_units(problem: TrainingProblem, it, *, u=1.0, x=1.0, y=1.0, **changes):
    """The same problem and point in other units of inputs, states (of a positively homogeneous phi) and targets."""
    penalty = problem.group_form == "penalty"
    settings = {
        "n_hidden": problem.n_hidden,
        "norm_bound": problem.norm_bound,
        "kappa": problem.kappa * (y**2 * u / x if penalty else x / u),
        "group_form": problem.group_form,
        "fenchel_weight": problem.fenchel_weight * (y / x) ** 2,
        "ridge": problem.ridge * x**2,  # of C alone: D is fixed at zero
        "ridge_hidden": problem.ridge_hidden * y**2,  # of A; used where B keeps its units
        "fit_intercept": problem.fit_intercept,
        "pass_through": False,
        "groups": problem.groups,
        "group_weights": problem.group_weights,
        "group_norm": problem.group_norm,
    }
    scaled = TrainingProblem(problem.U.T * u, problem.Y.T * y, **settings)
    point = it.replace(B=it.B * (x / u), b=it.b * x, C=it.C * (y / x), d=it.d * y, X=it.X * x)
    return scaled, point


@cache
def solved(name: str, kind: str, ridge_hidden: float):
    """A problem, a block's point to start from, and the block's solution."""
    problem = random_problem((3, 4, 2, 30), pass_through=False, ridge_hidden=ridge_hidden, **KINDS[kind])
    it = random_iterate(problem, relaxed=name != "prox-linear")
    mu = {"mu": 0.1} if name == "prox-linear" else {}
    solution = solve_block(problem, it, name, "native", tol=1e-9 if name != "state" else 1e-7, **mu)
    start = make_block(problem, it, name, **mu)
    return problem, start, [solution.iterate, start.it]


@pytest.mark.parametrize("name", ["output", "state", "hidden", "prox-linear"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", POWERS)
def test_certificates_do_not_depend_on_units(name, kind, power):
    t = 2.0**power
    for ridge_hidden, changes in (
        (1e-3, [{"y": t}]),
        (0.0, [{"y": t}, {"u": t}, {"x": t}, {"u": 1 / t, "x": t, "y": t}]),
    ):
        problem, start, points = solved(name, kind, ridge_hidden)
        plain = [start.certificate(point) for point in points]
        assert plain[0].relative_gap <= 1e-7 < 1e-6 < plain[1].relative_gap
        for change in changes:
            scaled, base = with_units(problem, start.it, **change)
            in_units = {"mu": 0.1 * (change.get("y", 1.0) / change.get("x", 1.0)) ** 2} if name == "prox-linear" else {}
            block = make_block(scaled, base, name, **in_units)
            there = [block.certificate(with_units(problem, point, **change)[1]) for point in points]
            for before, after in zip(plain, there, strict=True):
                # The rounding of a state block's eigenvalues and of Picard's end may differ a little.
                assert after.relative_gap == pytest.approx(before.relative_gap, rel=1e-3, abs=1e-9)
            assert there[0].holds(1e-6)


@pytest.mark.parametrize("ridge", [0.0, 1e-15, 1e-6])
@pytest.mark.parametrize("exponent", [-16, -15, -13, -11, -9, -6])
def test_the_output_gap_of_nearly_equal_regressors_is_exact(exponent, ridge):
    """Squared in a Gram matrix, regressors that differ in their ninth digit are the same."""
    rng = np.random.default_rng(0)
    problem = random_problem((2, 3, 2, 12), ridge=ridge, pass_through=False, fit_intercept=False)
    it = random_iterate(problem)
    X = it.X.copy()
    X[1] = X[0] * (1 + 10.0**exponent * rng.random(12)) if exponent > -16 else X[0]
    it = it.replace(X=X)
    found = output_certificate(problem, it)
    with mpmath.workdps(DIGITS):
        W, Y, C = (mpmath.matrix(part.tolist()) for part in (X, problem.Y, it.C))
        H = W * W.T / 12 + mpmath.mpf(ridge) * mpmath.eye(2)
        G = (C * W - Y) * W.T / 12 + mpmath.mpf(ridge) * C
        if ridge == 0 and exponent == -16:  # equal regressors: the one that they are, with the sum of coefficients
            g = G[:, 0]
            exact = sum(g[i] ** 2 for i in range(2)) / (2 * H[0, 0])
        else:
            exact = sum((G[i, :] * mpmath.inverse(H) * G[i, :].T)[0] for i in range(2)) / 2
        loss = mpmath.mpf(found.scale)
        # Without ridge, regressors that differ in their last digits alone are taken for equal.
        if ridge > 0 or exponent not in (-15, -13):
            assert found.gap >= exact * (1 - mpmath.mpf("1e-12"))
        # What is seen of the difference is uncertain by its last digits.
        if ridge > 0 or exponent in (-16, -9, -6):
            assert found.gap <= exact * (1 + mpmath.mpf("1e-3")) + loss * mpmath.mpf("1e-9")
