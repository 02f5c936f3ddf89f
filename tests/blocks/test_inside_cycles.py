"""Blocks whose pattern has states on no cycle: the norm bound is on the cycles alone, and ||A||_inf goes beyond 1."""

import numpy as np
import pytest
from patterns import entries_held, iterate_with_large_links, masked_iterate, mixed_masks, network_masks
from problems import OPTIONS, check_native, random_problem, wrong_point
from slow_but import slow_but

from bcd_implicit import NotWellPosedError, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.face import Terms

SIZE = (7, 4, 2, 50)
PATTERNS = {"network": network_masks(4, [4, 3], 2), "mixed": mixed_masks(4, 2)}
CYCLE = np.ix_([2, 3, 4], [2, 3, 4])
ACTIVATIONS = ["relu", "tanh", "sigmoid"]
by_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
by_pattern = pytest.mark.parametrize("pattern", PATTERNS)
USUAL = {"ridge": 1e-3, "ridge_hidden": 1e-4, "pass_through": False, "kappa": 1e-3}


def problem_of(pattern, activation="relu", **options):
    return random_problem(SIZE, **USUAL | {"activation": activation, "pattern": PATTERNS[pattern]} | options)


def norms(problem, A):
    """||A||_inf of all, and of the cycle of the mixed pattern."""
    return np.abs(A).sum(axis=1).max(), np.abs(A[CYCLE]).sum(axis=1).max()


@by_activation
@by_pattern
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_native_is_as_good_as_cvxpy_beyond_a_norm_of_one(block, pattern, activation):
    problem = problem_of(pattern, activation, norm_bound=0.3)
    it = iterate_with_large_links(problem, block)
    native, conic = check_native(problem, it, block)
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)
    whole, on_cycle = norms(problem, native.iterate.A)
    assert whole > 1.3 * problem.row_set.radius
    assert whole > 1
    assert not entries_held(problem, native.iterate).any()
    assert native.dual_values["norm_bound"].shape == conic.dual_values["norm_bound"].shape == (7,)
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], atol=1e-4)
    if pattern == "mixed":
        # Held and felt on the cycle, and nowhere else.
        assert on_cycle <= problem.row_set.radius + 1e-12
        assert native.dual_values["norm_bound"][2:5].max() > 1e-4
    assert not native.dual_values["norm_bound"][[0, 1, 5, 6]].any()


@by_activation
@by_pattern
def test_the_state_block_knows_no_norm(pattern, activation):
    problem = problem_of(pattern, activation)
    it = iterate_with_large_links(problem, "state")
    assert norms(problem, it.A)[0] > 1
    native, conic = check_native(problem, it, "state")
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)


@pytest.mark.parametrize("name", slow_but(["stacked", "largest"], [name for name in OPTIONS if name != "plain"]))
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_in_every_form_of_the_lasso(block, name):
    # Half of the forms have no ridge on A: then nothing bounds the gap.
    problem = random_problem(SIZE, **OPTIONS[name] | {"ridge_hidden": 1e-3}, pattern=PATTERNS["mixed"])
    native, conic = check_native(problem, iterate_with_large_links(problem, block), block)
    assert native.certificate.known
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)


@by_pattern
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_without_a_ridge_only_the_residual_tells(block, pattern):
    problem = problem_of(pattern, ridge_hidden=0.0)
    native, conic = check_native(problem, iterate_with_large_links(problem, block), block)
    assert native.certificate.gap == np.inf
    assert native.certificate.kkt_residual <= 1e-6
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)
    # With one that costs next to nothing there is a gap.
    with_one, _ = check_native(problem.replace(ridge_hidden=1e-9), native.iterate, block)
    assert with_one.certificate.known


@by_pattern
@by_activation
@pytest.mark.parametrize("block", ["hidden", "prox-linear", "state"])
def test_gaps_of_wrong_points_are_true(block, activation, pattern):
    problem = problem_of(pattern, activation)
    it = iterate_with_large_links(problem, block)
    best = solve_block(problem, it, block, "native", tol=1e-7)
    prepared = make_block(problem, it, block)
    for size in (1e-5, 1e-2, 1.0):
        point = prepared.repair(problem.pattern.applied(wrong_point(problem, prepared, best.iterate, size)))
        above, certificate = prepared.objective(point) - best.objective, prepared.certificate(point)
        assert above > 0
        assert certificate.gap >= above * (1 - 1e-6) - 1e-12
        assert not certificate.holds(0.1 * above / certificate.scale)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_a_cycle_beyond_its_bound_is_a_violation_and_a_link_is_none(block):
    problem = problem_of("mixed")
    it = iterate_with_large_links(problem, block)
    solution, prepared = solve_block(problem, it, block), make_block(problem, it, block)
    A = solution.iterate.A
    assert prepared.certificate(solution.iterate).holds(1e-6)
    for place, violated in (((2, 3), True), ((2, 0), False), ((6, 4), False)):
        moved = A.copy()
        moved[place] += np.copysign(0.5, moved[place])
        it = solution.iterate.replace(A=moved)
        beyond = max(np.abs(moved[CYCLE]).sum(axis=1).max() - 0.5, 0)
        assert problem.violations(it)["norm_bound"] == pytest.approx(beyond, abs=1e-14)
        assert prepared.certificate(it).violation == pytest.approx(beyond, abs=1e-14)
        assert (beyond > 0) == violated
        # What breaks no constraint costs a gap.
        assert violated or not prepared.certificate(it).holds(1e-3)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@by_pattern
def test_a_norm_bound_of_zero_is_one_on_cycles(block, pattern):
    problem = problem_of(pattern, norm_bound=0.0)
    it = iterate_with_large_links(problem, block)
    native, conic = check_native(problem, it, block)
    for solution in (native, conic):
        assert not problem.row_set.bounded(solution.iterate.A).any()
        assert norms(problem, solution.iterate.A)[0] > 1
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], atol=1e-4)
    assert native.dual_values["norm_bound"].any() == (pattern == "mixed")
    # Without cycles it says nothing.
    if pattern == "network":
        other = solve_block(problem.replace(norm_bound=0.9), it, block)
        assert other.objective == pytest.approx(native.objective, rel=1e-6)


def test_faces_leave_what_no_ball_bounds_free():
    problem = problem_of("mixed")
    terms, it = Terms(problem), iterate_with_large_links(problem, "hidden")
    T = np.hstack([problem.row_set.repair(0.5 * it.A, np.array([3])), it.B, it.b[:, None]])
    T[2, 0] = T[2, 3] = 0.0
    face, _ = terms.face(T, np.zeros_like(T))
    # Row 3 is on its boundary, whose normal has the signs of the cycle alone.
    np.testing.assert_array_equal(face.rows, [3])
    np.testing.assert_array_equal(face.normals[0], np.sign(problem.row_set.bounded(T[:, :7])[3]))
    assert not face.normals[0, :2].any()
    assert face.free[2, 0]
    assert not face.free[2, 3]
    # A link may turn round in one step, an entry on the cycle stops at zero.
    step = np.zeros_like(T)
    step[4, 0], step[4, 2] = -2 * T[4, 0], -2 * T[4, 2]
    moved = terms.move(T, step, face)
    assert moved[4, 0] == -T[4, 0]
    assert moved[4, 2] == 0


def test_cycles_that_are_not_contracted_are_refused():
    problem = problem_of("mixed")
    it = iterate_with_large_links(problem, "state")
    A = it.A.copy()
    A[CYCLE] = 0.6 * (1 - np.eye(3))
    with pytest.raises(NotWellPosedError, match="is not below 1. Scale its rows to norm_bound"):
        make_block(problem, it, "state").certificate(it.replace(A=A))
    # Nor are states of a model that leaves the pattern.
    with pytest.raises(NotWellPosedError, match="spectral radius of .A. is 7"):
        problem.at_equilibrium(masked_iterate(problem, "output").replace(A=np.ones((7, 7))))
