"""Blocks whose A is bounded by its matrix measure: natively, by CVXPY and by certificate, out of the norm's ball."""

import cvxpy as cp
import numpy as np
import pytest
from patterns import mixed_masks
from problems import OPTIONS, check_native, random_iterate, random_problem, wrong_point
from slow_but import slow_but

from bcd_implicit import solve_block
from bcd_implicit.blocks import make_block

SIZE = (5, 4, 2, 50)
# Weights at which blocks follow the states that they are given.
MEASURE = {"well_posedness": "measure", "norm_bound": 0.3, "fenchel_weight": 30.0}
FORMS = {
    name: options
    | MEASURE
    | {"kappa": 5.0 if options.get("group_form") == "constraint" else 1e-3}
    | {"ridge_hidden": min(options.get("ridge_hidden", 1e-4), 1e-3)}
    for name, options in OPTIONS.items()
}
by_block = pytest.mark.parametrize("block", ["hidden", "prox-linear"])


def measure(A):
    """max_i A_ii + sum_{j != i} |A_ij|, in another way than the package's."""
    return max(A[i, i] + sum(abs(A[i, j]) for j in range(len(A)) if j != i) for i in range(len(A)))


def held_back(problem, block, seed=0):
    """About the states of an A with a diagonal far below zero: they excite each other more than a ball allows."""
    rng = np.random.default_rng([seed, 7])
    it = problem.pattern.applied(random_iterate(problem, seed))
    free = problem.pattern.entries("A", it.A.shape)
    A = np.where(free, np.abs(rng.standard_normal(it.A.shape)), 0.0)
    it = problem.at_equilibrium(it.replace(A=problem.row_set.repair(A, np.flatnonzero(free.any(axis=1)))))
    if block == "prox-linear":
        return it
    noise = 0.01 * rng.standard_normal(it.X.shape)
    return it.replace(X=np.clip(it.X + noise, *problem.activation.domain))


@by_block
@pytest.mark.parametrize("name", slow_but(["penalty", "stacked, constraint"], [*OPTIONS]))
def test_native_is_as_good_as_cvxpy(block, name):
    problem = random_problem(SIZE, **FORMS[name])
    it = held_back(problem, block)
    native, conic = check_native(problem, it, block)
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], rtol=1e-3, atol=1e-4)
    A = native.iterate.A
    assert measure(A) <= problem.row_set.radius + 1e-9
    # No model of the ball is as good, and the certificate of one says so.
    ball = solve_block(problem.replace(well_posedness="inf-norm"), it, block)
    above = ball.objective - native.objective
    assert above > 1e-5 * native.objective
    assert np.abs(A).sum(axis=1).max() > 1.1 * problem.row_set.radius
    assert make_block(problem, it, block).certificate(ball.iterate).gap >= above


@by_block
def test_multipliers_are_those_of_lagranges_conditions(block):
    problem = random_problem(SIZE, **FORMS["penalty"])
    it = held_back(problem, block)
    solution, prepared = solve_block(problem, it, block, "native", tol=1e-9), make_block(problem, it, block)
    A, multipliers = solution.iterate.A, solution.dual_values["norm_bound"]
    assert multipliers.max() > 1e-3

    def gradient(i, j, step=1e-5):
        moved = np.zeros_like(A)
        moved[i, j] = step
        ends = [prepared.objective(solution.iterate.replace(A=A + sign * moved)) for sign in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step)

    for i, multiplier in enumerate(multipliers):
        # The diagonal has no kink: its force is the multiplier, whatever its sign.
        assert gradient(i, i) == pytest.approx(-multiplier, rel=1e-4, abs=1e-5)
        for j in range(len(A)):
            if j != i and A[i, j] != 0:
                assert gradient(i, j) == pytest.approx(-multiplier * np.sign(A[i, j]), rel=1e-4, abs=1e-5)
        assert multiplier == 0 or A[i].sum() + (np.abs(A[i]) - A[i]).sum() - abs(A[i, i]) + A[i, i] > 0


@by_block
def test_wrong_points_fail(block):
    problem = random_problem(SIZE, **FORMS["penalty"])
    it = held_back(problem, block)
    best, prepared = solve_block(problem, it, block, "native", tol=1e-8), make_block(problem, it, block)
    assert prepared.certificate(best.iterate).holds(1e-6)
    for size in (1e-4, 1e-2, 1.0):
        point = wrong_point(problem, prepared, best.iterate, size)
        above, certificate = prepared.objective(point) - best.objective, prepared.certificate(point)
        assert above > 0
        assert certificate.gap >= above * (1 - 1e-6) - 1e-12
        assert not certificate.holds(0.1 * above / certificate.scale)
    # Outside, by a diagonal entry that rises: its size would fall.
    A = best.iterate.A.copy()
    i = int(np.argmin(np.diagonal(A)))
    assert A[i, i] < -0.5
    A[i, i] += 0.5
    outside = best.iterate.replace(A=A)
    beyond = measure(A) - problem.row_set.radius
    assert beyond > 0
    assert prepared.certificate(outside).violation == pytest.approx(beyond)
    assert problem.violations(outside)["norm_bound"] == pytest.approx(beyond)
    assert not prepared.certificate(outside).holds(1e-3)
    # Nothing bounds it from below: that breaks no constraint, and costs a gap.
    A[i, i] -= 5
    assert problem.violation(best.iterate.replace(A=A)) <= 1e-14
    assert not prepared.certificate(best.iterate.replace(A=A)).holds(1e-3)


@by_block
def test_a_bound_of_zero_is_one_on_the_measure(block):
    problem = random_problem(SIZE, **FORMS["penalty"] | {"norm_bound": 0.0})
    native, conic = check_native(problem, held_back(problem, block), block)
    for solution in (native, conic):
        assert measure(solution.iterate.A) <= 1e-12
        assert np.diagonal(solution.iterate.A).min() < -0.2
        assert np.abs(solution.iterate.A - np.diag(np.diagonal(solution.iterate.A))).max() > 0.1
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], rtol=1e-3, atol=1e-4)


def test_without_a_ridge_only_a_conic_solver_knows_a_gap():
    problem = random_problem(SIZE, **FORMS["penalty"] | {"ridge_hidden": 0.0})
    it = held_back(problem, "prox-linear")
    native, conic = check_native(problem, it, "prox-linear")
    assert native.certificate.gap == np.inf
    assert native.certificate.kkt_residual <= 1e-6
    assert conic.certificate.holds(1e-6)
    ball = problem.replace(well_posedness="inf-norm")
    assert solve_block(ball, problem.initial(), "prox-linear", "native").certificate.known


def masks_with_diagonals(*held):
    """Those of seven states, three of which are on a cycle and may act on themselves, but for some."""
    masks = mixed_masks(4, 2)
    for i in {2, 3, 4} - set(held):
        masks["A"][i, i] = True
    return masks


@by_block
@pytest.mark.parametrize("norm_bound", [0.0, 0.3])
def test_under_a_pattern_it_is_that_of_cycles(block, norm_bound):
    options = {"kappa": 1e-4, "pass_through": False, "pattern": masks_with_diagonals(3)}
    problem = random_problem((7, 4, 2, 50), **MEASURE | options | {"norm_bound": norm_bound})
    native, conic = check_native(problem, held_back(problem, block), block)
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], rtol=1e-3, atol=1e-4)
    for solution in (native, conic):
        A = solution.iterate.A
        assert not A[~problem.pattern.free["A"]].any()
        assert measure(A[2:5, 2:5]) <= norm_bound + 1e-12
        assert A[[2, 4], [2, 4]].min() < -0.3
        # The state that may not act on itself has a row in the ball: of radius 0 it is zero.
        assert np.abs(A[3, 2:5]).sum() <= norm_bound + 1e-12
        assert np.abs(A).sum(axis=1).max() > 1
    assert not native.dual_values["norm_bound"][[0, 1, 5, 6]].any()


def test_diagonal_entries_that_a_pattern_holds_stay_zero_on_one_cycle_of_all():
    ring = np.ones((5, 5), dtype=bool)
    ring[1, 1] = ring[4, 4] = False
    problem = random_problem(SIZE, **MEASURE, kappa=0.02, pattern={"A": ring})
    assert problem.replace(well_posedness="inf-norm").row_set.inside is None
    np.testing.assert_array_equal(problem.row_set.inside, ring)
    it = held_back(problem, "prox-linear")
    native, conic = check_native(problem, it, "prox-linear")
    for A in (it.A, native.iterate.A, conic.iterate.A):
        assert not A[~ring].any()
        assert measure(A) <= 0.3 + 1e-12


def test_with_constraints_of_the_user():
    constraints = {"small": lambda v: cp.abs(v["A"]) <= 0.8, "B >= 0": lambda v: v["B"] >= 0}
    problem = random_problem(SIZE, **FORMS["penalty"], constraints=constraints)
    it = held_back(problem.replace(constraints=()), "prox-linear")
    solution = solve_block(problem, it, "prox-linear", tol=1e-6)
    assert solution.certificate.holds(1e-5)
    A, B = solution.iterate.A, solution.iterate.B
    assert measure(A) <= 0.3 + 1e-8
    assert np.abs(A).max() == pytest.approx(0.8, abs=1e-5)
    assert np.abs(A).sum(axis=1).max() > 0.5
    assert B.min() >= -1e-8
    # By hand: the block's own smooth part with the same sets.
    live = make_block(problem.replace(constraints=()), it, "prox-linear").cvxpy_problem()
    a, b = live.var_dict["A"], live.var_dict["B"]
    posed = cp.Problem(live.objective, [*live.constraints, cp.abs(a) <= 0.8, b >= 0])
    assert solution.objective == pytest.approx(posed.solve(solver="CLARABEL"), rel=1e-6)


def test_the_state_block_is_certified_where_the_norm_is_large():
    problem = random_problem(SIZE, **FORMS["penalty"])
    it = held_back(problem, "state")
    assert np.abs(it.A).sum(axis=1).max() > 3
    native, conic = check_native(problem, it, "state")
    assert native.objective == pytest.approx(conic.objective, rel=1e-6)
    prepared = make_block(problem, it, "state")
    for size in (1e-3, 0.1):
        point = prepared.repair(wrong_point(problem, prepared, native.iterate, size))
        above = prepared.objective(point) - native.objective
        assert prepared.certificate(point).gap >= above > 0
