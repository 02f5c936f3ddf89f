"""Blocks under a zero pattern: against CVXPY, against formulas, and what their certificates say of wrong points."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from losses import OTHER_LOSSES, loss_problem
from patterns import entries_held, masked_iterate, random_masks
from problems import OPTIONS, by_clarabel, check_native, random_problem, wrong_point

import bcd_implicit as bi
from bcd_implicit import BlockSolveError, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.face import Terms
from bcd_implicit.constraints import nonnegative
from bcd_implicit.problem import newton_system

SIZE = (3, 5, 3, 40)
SHAPES = {"A": (3, 3), "B": (3, 5), "C": (3, 3), "D": (3, 5)}
BLOCKS = ["output", "hidden", "prox-linear"]
by_block = pytest.mark.parametrize("block", BLOCKS)


def masked_problem(name="penalty", seed=0, **options):
    masks = random_masks(SHAPES, seed, pass_through=OPTIONS[name].get("pass_through", True))
    return random_problem(SIZE, seed, **OPTIONS[name] | {"pattern": masks} | options)


def check_masked(problem, block, **options):
    it = masked_iterate(problem, block)
    native, conic = check_native(problem, it, block, **options)
    assert conic is not None
    for found in (native, conic):
        assert not entries_held(problem, found.iterate).any()
        assert found.objective == pytest.approx(native.objective, rel=1e-6)
    # Of a loss with kinks it is the gradient of one subgradient.
    if problem.loss.smooth or block != "output":
        assert native.certificate.kkt_residual <= 1e-4
    return native, conic


@pytest.mark.parametrize("name", OPTIONS)
@by_block
def test_native_is_as_good_as_cvxpy(name, block):
    native, conic = check_masked(masked_problem(name), block)
    for key, value in conic.dual_values.items():
        if key in native.dual_values:
            np.testing.assert_allclose(native.dual_values[key], value, atol=1e-4 * max(1, np.max(value)))


@pytest.mark.parametrize("name", ["penalty", "stacked"])
@pytest.mark.parametrize("loss", OTHER_LOSSES[1:], ids=repr)
@by_block
def test_native_is_as_good_as_cvxpy_under_every_loss(loss, name, block):
    if block == "hidden" and (name == "penalty" or not loss.smooth):
        pytest.skip("the loss is no part of it, or it has no native solver")
    check_masked(loss_problem(loss, SIZE, **OPTIONS[name], pattern=random_masks(SHAPES)), block)


@pytest.mark.parametrize("ridge", [0.0, 1e-2])
def test_outputs_are_ridge_regressions_on_what_is_free(ridge):
    problem = masked_problem(ridge=ridge, sample_weight=np.random.default_rng(0).uniform(0.1, 2, 40))
    it = solve_block(problem, masked_iterate(problem, "output"), "output").iterate
    W, masks = np.vstack([it.X, problem.U]), np.hstack([problem.pattern.free[letter] for letter in "CD"])
    for i, mask in enumerate(masks):
        R = np.vstack([W[mask], np.ones(problem.n_samples)])
        penalty = np.diag([ridge] * mask.sum() + [0.0])
        wanted = np.linalg.solve((R * problem.shares) @ R.T + penalty, R @ (problem.shares * problem.Y[i]))
        np.testing.assert_allclose([*np.hstack([it.C, it.D])[i, mask], it.d[i]], wanted, rtol=1e-9, atol=1e-11)


def test_more_free_regressors_than_samples():
    problem = random_problem((3, 60, 3, 20), pattern={"D": np.random.default_rng(0).random((3, 60)) < 0.8})
    check_masked(problem, "output")


@pytest.mark.parametrize("alike", [True, False])
def test_classes_by_outputs_and_together_are_the_same(alike, monkeypatch):
    masks = random_masks(SHAPES)
    if alike:
        masks = {letter: np.tile(mask[0], (len(mask), 1)) for letter, mask in masks.items()}
    problem = loss_problem(OTHER_LOSSES[-2], SIZE, pattern=masks)
    it = masked_iterate(problem, "output")
    whole = solve_block(problem, it, "output", "native")
    # As where there are too many coefficients for one matrix.
    monkeypatch.setattr(newton_system, "LARGEST_COUPLED", 0)
    by_outputs = solve_block(problem, it, "output", "native")
    assert by_outputs.certificate.holds(1e-6)
    np.testing.assert_allclose(by_outputs.iterate.C, whole.iterate.C, rtol=1e-4, atol=1e-5)


@by_block
@pytest.mark.parametrize("name", ["penalty", "constraint", "stacked"])
def test_an_entry_of_the_pattern_that_moves_is_a_violation(name, block):
    problem = masked_problem(name)
    solution = solve_block(problem, masked_iterate(problem, block), block)
    assert solution.certificate.holds(1e-6)
    prepared = make_block(problem, solution.iterate, block)
    for letter in prepared.letters:
        if letter not in "ABCD":
            continue
        moved = getattr(solution.iterate, letter).copy()
        moved[tuple(np.argwhere(~problem.pattern.free[letter])[0])] = 1e-3
        certificate = prepared.certificate(solution.iterate.replace(**{letter: moved}))
        assert certificate.violation >= 1e-3 / np.abs(moved).max() * (1 - 1e-12)
        assert not certificate.holds(1e-2)


@by_block
@pytest.mark.parametrize("name", ["penalty", "constraint", "largest", "stacked"])
def test_gaps_of_wrong_points_are_true(name, block):
    problem = masked_problem(name)
    it = masked_iterate(problem, block)
    best = solve_block(problem, it, block, "native", tol=1e-9)
    prepared = make_block(problem, it, block)
    for size in (1e-6, 1e-3, 1.0):
        point = prepared.repair(problem.pattern.applied(wrong_point(problem, prepared, best.iterate, size)))
        certificate = prepared.certificate(point)
        above = prepared.objective(point) - best.objective
        assert above > 0
        assert certificate.gap >= above * (1 - 1e-6) - 1e-12
        assert certificate.violation <= 1e-8
        # And it is of use: near the optimum it is small.
        assert certificate.relative_gap <= 1e3 * size


@pytest.mark.parametrize("loss", [OTHER_LOSSES[1], *OTHER_LOSSES[-3:]], ids=repr)
def test_gaps_near_the_optimum_are_small_under_every_smooth_loss(loss):
    problem = loss_problem(loss, SIZE, pattern=random_masks(SHAPES))
    it = masked_iterate(problem, "output")
    best = solve_block(problem, it, "output", "native", tol=1e-9).iterate
    prepared, optimum = make_block(problem, it, "output"), make_block(problem, it, "output").objective(best)
    for size in (1e-6, 1e-4):
        point = problem.pattern.applied(wrong_point(problem, prepared, best, size))
        certificate, above = prepared.certificate(point), prepared.objective(point) - optimum
        # A dual point that is corrected for the entries that are free; uncorrected ones leave a gradient.
        assert above <= certificate.gap <= 100 * size**2 * certificate.scale + 1e-11


def test_what_is_held_costs_a_gap_where_it_is_let_go():
    problem = masked_problem(kappa=1e-3)
    open_ = problem.replace(pattern=None)
    for block in BLOCKS:
        it = masked_iterate(problem, block)
        # Without the pattern the bound is on all of A.
        it = problem.at_equilibrium(it.replace(A=open_.row_set.project(it.A)))
        solution = solve_block(problem, it, block).iterate
        solution = solution.replace(A=open_.row_set.project(solution.A))
        assert make_block(open_, it, block).certificate(solution).relative_gap > 1e-4


@by_block
def test_a_start_beside_the_pattern_is_led_back(block):
    problem = masked_problem()
    it = masked_iterate(problem, block)
    beside = it.replace(B=it.B + 1e-2) if block != "output" else it.replace(C=it.C + 1.0, D=it.D - 1.0)
    for solver in ("native", "CLARABEL"):
        found = solve_block(problem, beside, block, solver).iterate
        assert not any(getattr(found, k)[~problem.pattern.free[k]].any() for k in ("CD" if block == "output" else "AB"))


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_no_entry_of_A_is_a_norm_bound_of_zero(block):
    none = {"A": np.zeros((3, 3))}
    held, bounded = random_problem(SIZE, pattern=none, kappa=0.1), random_problem(SIZE, norm_bound=0.0, kappa=0.1)
    it = masked_iterate(held, block)
    one, other = (solve_block(problem, it, block, "native") for problem in (held, bounded))
    assert not one.iterate.A.any()
    assert one.objective == pytest.approx(other.objective, rel=1e-9)
    # Both at once leave conic solvers one constraint, not two.
    check_native(held.replace(norm_bound=0.0), it, block)


@pytest.mark.parametrize("name", ["penalty", "constraint", "largest"])
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_a_column_that_is_held_is_an_input_left_out(name, block):
    mask, kept = np.ones((3, 5)), np.arange(5) != 2
    mask[:, 2] = 0
    problem = random_problem(SIZE, **OPTIONS[name], pass_through=False, pattern={"B": mask})
    it = masked_iterate(problem, block)
    smaller = problem.replace(pattern=None).subset(inputs=kept)
    whole = solve_block(problem, it, block, "native")
    part = solve_block(smaller, it.replace(B=it.B[:, kept], D=it.D[:, kept]), block, "native")
    assert whole.objective == pytest.approx(part.objective, rel=1e-7)
    np.testing.assert_allclose(whole.iterate.B[:, kept], part.iterate.B, atol=1e-4)


@pytest.mark.parametrize("name", ["penalty", "largest", "stacked"])
def test_the_largest_kappa_does_not_see_what_is_held(name):
    problem = masked_problem(name)
    # The strongest input may not be used at all.
    U = problem.U * np.array([100.0, 1, 1, 1, 1])[:, None]
    problem = bi.TrainingProblem(U.T, problem.Y.T, 3, **OPTIONS[name], pattern=random_masks(SHAPES) | {
        "D": np.arange(5) * np.ones((3, 1)) > 0})  # fmt: skip
    it = masked_iterate(problem, "hidden")
    empty = solve_block(problem.replace(kappa=1e6), it, "hidden", "native").iterate
    assert not problem.grouped(empty).any()
    block = make_block(problem, empty, "hidden")
    largest = problem.group_lasso.steepest(block.gradient_of_groups(empty))
    for factor in (0.98, 1.02):
        near = problem.replace(kappa=factor * largest)
        for found in (solve_block(near, it, "hidden", "native"), by_clarabel(near, it, "hidden")):
            assert near.selected(found.iterate).any() == (factor < 1)


@pytest.mark.parametrize("block", ["hidden", "prox-linear", "output"])
def test_with_constraints_of_a_user(block):
    problem = masked_problem(constraints=[nonnegative("B"), lambda v: cp.sum(v["C"]) <= 1])
    it = masked_iterate(problem, block)
    it = it.replace(B=np.abs(it.B), C=np.minimum(it.C, 0))
    solution = solve_block(problem, it, block)
    assert solution.solver != "native"
    assert solution.certificate.holds(1e-6)
    held = problem.pattern.free
    for letter in "CD" if block == "output" else "AB":
        assert not getattr(solution.iterate, letter)[~held[letter]].any()


def test_a_constraint_that_the_pattern_forbids_is_named():
    problem = masked_problem(constraints={"first": lambda v: v["B"][0, 0] >= 1})
    with pytest.raises(BlockSolveError, match="No point meets pattern of B and 'first' together"):
        bi.solve(problem)
    with pytest.raises(bi.ConstraintError, match="the name of one of the problem's own"):
        masked_problem(constraints={"pattern": lambda v: v["A"] >= 0})


@given(st.integers(0, 10_000), st.sampled_from(["penalty", "constraint", "largest", "stacked", "pairs"]))
def test_the_proximal_map_is_that_of_the_free_entries(seed, name):
    problem = masked_problem(name, seed, kappa=2.0)
    terms, rng = Terms(problem), np.random.default_rng(seed)
    T = rng.standard_normal(terms.ridge.shape)
    step = 0.3
    found = terms.prox(T, np.full(terms.width, step))
    assert not found[~terms.free].any()

    # Of points with the same zeros none is nearer: the objective of the map's own problem, at random ones.
    def value(P):
        return 0.5 * np.sum((P - T)[terms.free] ** 2) / step + terms.group_lasso.value(terms.B(P))

    for size in (1e-3, 0.1, 1.0):
        other = np.where(terms.free, found + size * rng.standard_normal(T.shape), 0.0)
        terms.A(other)[:] = problem.row_set.repair(terms.A(other))
        terms.B(other)[:] = terms.group_lasso.repair(terms.B(other))
        assert value(found) <= value(other) + 1e-12
