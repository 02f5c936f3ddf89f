"""Native solves against CVXPY, against formulas by hand, and on the cases that break solvers."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from problems import OPTIONS, TOL, at, by_clarabel, check_native, conic_solution, random_iterate, random_problem
from threadpoolctl import threadpool_info, threadpool_limits

from bcd_implicit import (
    BLOCKS,
    InvalidInputError,
    TrainingProblem,
    solve_block,
)
from bcd_implicit.blocks import make_block
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.penalties import GroupLassoConstraint
from bcd_implicit.terms.projections import project_l1_rows


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """On matrices this small a second thread costs far more time than it saves."""
    with threadpool_limits(1, "blas"):
        yield


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("options", OPTIONS)
def test_native_agrees_with_clarabel(block, options, size):
    problem = random_problem(size, **OPTIONS[options])
    native, reference = check_native(problem, at(problem, block), block, conic_solution(options, size, block))
    assert native.objective <= reference.objective * (1 + TOL)
    if reference.certificate.holds(TOL):
        assert native.objective == pytest.approx(reference.objective, rel=TOL)


@pytest.mark.parametrize("block", BLOCKS)
def test_auto_is_native_without_constraints(block):
    problem = random_problem((3, 4, 2, 30))
    it = at(problem, block)
    by_auto, by_name = solve_block(problem, it, block), solve_block(problem, it, block, "native")
    assert by_auto.solver == by_name.solver == "native"
    assert by_auto.objective == by_name.objective


def test_output_block_is_the_ridge_formula():
    problem = random_problem((3, 4, 2, 30), ridge=0.1)
    it = at(problem, "output")
    W = np.vstack([it.X, problem.U, np.ones((1, 30))])
    H = W @ W.T / 30 + np.diag([0.1] * 7 + [0.0])
    by_hand = np.linalg.solve(H, W @ problem.Y.T / 30).T
    found = solve_block(problem, it, "output", "native").iterate
    np.testing.assert_allclose(np.hstack([found.C, found.D, found.d[:, None]]), by_hand, atol=1e-10)


def test_state_of_one_hidden_feature_without_feedback_is_a_formula():
    # A = 0, relu, a sample: 1/2 (y - c x)^2 + weight (1/2 x^2 - x z) over x >= 0.
    problem = random_problem((1, 3, 1, 40), fenchel_weight=2.0, norm_bound=0.0, pass_through=False)
    it = at(problem, "state")
    c = it.C[0, 0]
    z = it.B @ problem.U + it.b[:, None]
    by_hand = np.maximum((c * (problem.Y - it.d[:, None]) + 2 * z) / (c**2 + 2), 0)
    np.testing.assert_allclose(solve_block(problem, it, "state", "native", tol=1e-10).iterate.X, by_hand, atol=1e-5)


# Hard cases ----------------------------------------------------------------------------------------------------


def table(p=6, m=40, q=3, seed=0):
    rng = np.random.default_rng([seed, p, m, q])
    U = rng.standard_normal((m, p))
    Y = np.maximum(U[:, :2] @ rng.standard_normal((2, q)), 0) + 0.1 * rng.standard_normal((m, q))
    return U, Y


def hard_problem(case):
    U, Y = table()
    n, options = 4, {}
    if case.startswith("wide"):
        U, Y = table(p=120, m=15)
    match case:
        case "collinear inputs":
            U = np.hstack([U, U, U[:, :2]])
        case "collinear inputs, no ridge":
            U, options = np.hstack([U, U, U[:, :2]]), {"ridge": 0.0, "ridge_hidden": 0.0}
        case "constant input":
            U[:, 1] = 2.0
        case "constant inputs":
            U[:] = 3.0
        case "constant input, no intercept":
            U[:, 1] = 2.0
            options = {"fit_intercept": False}
        case "wide, no ridge":
            options = {"ridge_hidden": 0.0}
        case "wide, constraint":
            options = {"kappa": 0.5, "group_form": "constraint"}
        case "one hidden unit":
            n = 1
        case "kappa 0":
            options = {"kappa": 0.0}
        case "kappa 0, no ridge":
            options = {"kappa": 0.0, "ridge_hidden": 0.0}
        case "kappa 0, constraint":
            options = {"kappa": 0.0, "group_form": "constraint"}
        case "huge kappa":
            options = {"kappa": 1e4}
        case "huge kappa, no ridge":
            options = {"kappa": 1e4, "ridge_hidden": 0.0, "fit_intercept": False}
        case "huge kappa, constraint":
            options = {"kappa": 1e4, "group_form": "constraint"}
        case "norm_bound 0":
            options = {"norm_bound": 0.0}
        case "norm_bound 0.99":
            options = {"norm_bound": 0.99, "kappa": 0.01}
        case "tiny inputs":
            U = 1e-6 * U
        case "huge inputs":
            U = 1e6 * U
        case "one tiny input":
            U[:, 0] *= 1e-6
        case "one huge input":
            U[:, 0] *= 1e6
        case "large offsets":
            U = U + 1e5
        case "zero targets":
            Y[:] = 0.0
        case "identity":
            options = {"activation": "identity"}
        case "more samples than anything":
            U, Y = table(p=2, m=400)
    return TrainingProblem(U, Y, n, **options)


HARD = [
    "collinear inputs", "collinear inputs, no ridge", "constant input", "constant inputs",
    "constant input, no intercept", "wide", "wide, no ridge", "wide, constraint", "one hidden unit", "kappa 0",
    "kappa 0, no ridge", "kappa 0, constraint", "huge kappa", "huge kappa, no ridge", "huge kappa, constraint",
    "norm_bound 0", "norm_bound 0.99", "tiny inputs", "huge inputs", "one tiny input", "one huge input",
    "large offsets", "zero targets", "dead hidden unit", "equal hidden units", "identity",
    "more samples than anything",
]  # fmt: skip


@pytest.mark.parametrize("start", ["initial", "random"])
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("case", HARD)
def test_hard_cases(case, block, start):
    problem = hard_problem(case)
    if start == "initial":
        it = problem.initial(1)
    else:
        scale = np.abs(problem.U).max(axis=1) if "inputs" in case or "input" in case else 1.0
        it = at(problem, block)
        it = it.replace(B=it.B / scale, D=it.D / scale)
        if block == "prox-linear":
            it = problem.at_equilibrium(it)
    if case == "dead hidden unit":
        it = it.replace(X=np.where(np.arange(4)[:, None] == 1, 0.0, it.X), b=it.b - 1e3 * (np.arange(4) == 1))
    if case == "equal hidden units":
        it = it.replace(**{k: getattr(it, k)[[0, 0, 2, 3]] for k in ("A", "B", "b", "X")})
    native, _ = check_native(problem, it, block)
    if block in ("hidden", "prox-linear"):
        if case in ("huge kappa", "huge kappa, no ridge", "kappa 0, constraint"):
            assert not native.iterate.B.any()
        if case == "norm_bound 0":
            assert not native.iterate.A.any()
        if case == "dead hidden unit" and block == "hidden" and start == "initial":
            assert problem.activation(problem.preactivation(native.iterate))[1].max() < 0.3
    if block == "output" and case == "zero targets":
        assert np.abs(problem.prediction(native.iterate)).max() < 1e-9


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("seed", range(8))
def test_few_samples_and_many_inputs(seed, block):
    rng = np.random.default_rng(seed)
    n, p, q, m = rng.choice([1, 5, 10]), rng.choice([20, 50]), rng.choice([1, 5]), rng.choice([2, 5, 10])
    U, Y = table(p, m, q, seed)
    options = {"norm_bound": rng.choice([0.0, 0.5, 0.99]), "kappa": rng.choice([1e-3, 0.01, 0.1])}
    options |= {"ridge_hidden": rng.choice([0.0, 1e-4]), "fenchel_weight": rng.choice([1.0, 100.0])}
    problem = TrainingProblem(U, Y, n, fit_intercept=bool(seed % 2), **options)
    check_native(problem, at(problem, block), block)


@pytest.mark.parametrize("block", BLOCKS)
def test_two_samples_and_saturated_units(block):
    U, Y = table(p=4, m=2, q=1)
    U[:, 0] *= 1e-6
    problem = TrainingProblem(U, Y, 10, activation="clip", ridge_hidden=0.0, ridge=1.0)
    for seed in range(6):
        it = problem.initial(seed)
        if block == "state":
            it = it.replace(C=np.random.default_rng(seed).standard_normal((1, 10)))
        check_native(problem, it, block)


@pytest.mark.parametrize("seed", range(6))
def test_zero_targets_need_no_luck_with_rounding(seed):
    U, Y = table(p=2 + seed, m=3 + 3 * seed, seed=seed)
    problem = TrainingProblem(U, 0 * Y, 8, kappa=0.0, ridge_hidden=0.0)  # the optimum is exactly 0
    native = solve_block(problem, random_iterate(problem, seed), "output", "native")
    assert native.certificate.holds(TOL)
    assert np.abs(problem.prediction(native.iterate)).max() < 1e-9


@pytest.mark.parametrize("units", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("ridge", [1e-6, 1e-2])
def test_output_block_with_fewer_samples_than_inputs(units, ridge):
    # The targets can be met exactly; in large units the ridge is next to nothing beside the Gram matrix.
    U, Y = table(p=20, m=5, q=4)
    problem = TrainingProblem(units * U, Y, 1, ridge=ridge)
    it = problem.initial(0)
    check_native(problem, it, "output")
    # What the start adds across the samples costs nothing but ridge, and only the ridge removes it.
    rng = np.random.default_rng(0)
    it = it.replace(C=rng.standard_normal((4, 1)), D=0.3 * rng.standard_normal((4, 20)))
    check_native(problem, it, "output")


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("seed", range(3))
def test_a_loose_constraint_and_no_ridge(seed, block):
    # The gap contains the radius times the gradient: digits of the objective alone do not make that small.
    U, Y = table(p=20, m=10, q=2, seed=seed)
    problem = TrainingProblem(U, Y, 10, kappa=1e4, group_form="constraint", ridge_hidden=0.0)
    check_native(problem, at(problem, block, seed), block)


def test_equilibria_at_norm_bound_close_to_one_do_not_warn():
    # Picard alternates here in the last digits, and the error bound is the step times 99.
    U = np.random.default_rng(0).standard_normal((30, 4))
    problem = TrainingProblem(U, U[:, :2], 3, norm_bound=0.99, fit_intercept=False)
    check_native(problem, random_iterate(problem, relaxed=False), "prox-linear")


@pytest.mark.parametrize("start", [1.0, 1e3, 1e6])
def test_a_far_start_does_not_loosen_the_prox_linear_tolerance(start):
    U, Y = table(p=3, m=20)
    U[:, 0] *= 1e-6
    problem = TrainingProblem(U, Y, 2, kappa=1e-6, ridge_hidden=0.1, ridge=1.0)
    it = random_iterate(problem, relaxed=False)
    it = problem.at_equilibrium(it.replace(B=it.B * [start / np.abs(it.B[:, 0]).max(), 1, 1]))
    native, reference = check_native(problem, it, "prox-linear")
    assert reference.certificate.holds(TOL)
    scale = max(native.objective, problem.mean_loss(it))
    assert native.objective <= reference.objective + TOL * scale


@pytest.mark.parametrize("units", [1e-6, 1e6])
def test_units_of_the_targets_play_no_part(units):
    U, Y = table()
    problem = TrainingProblem(U, units * Y, 4, ridge_hidden=0.0, kappa=0.01 * units**2)
    for block in ("output", "prox-linear"):
        it = random_iterate(problem, relaxed=False)
        it = it.replace(C=units * it.C, D=units * it.D, d=units * it.d)
        check_native(problem, it, block)


@pytest.mark.parametrize("mu", [0.0, 1e-6, 1.0, 1e6])
def test_any_proximal_weight(mu):
    for size in [(3, 4, 2, 30), (4, 30, 2, 12)]:
        problem = random_problem(size)
        native, reference = check_native(problem, at(problem, "prox-linear"), "prox-linear", mu=mu)
        assert native.objective == pytest.approx(reference.objective, rel=1e-5)


def test_solved_once_and_solved_again():
    problem = random_problem((5, 8, 20, 40))
    for block in ("output", "hidden"):
        once = solve_block(problem, at(problem, block), block, "native")
        again = solve_block(problem, once.iterate, block, "native")
        assert again.objective == pytest.approx(once.objective, rel=TOL)
        assert again.certificate.holds(TOL)


# Wrong points --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain", "clip"])
def test_a_wrong_point_fails_and_the_gap_covers_its_loss(block, form):
    problem = random_problem((5, 8, 20, 40), **OPTIONS[form])
    prepared = make_block(problem, at(problem, block), block)
    solution = solve_block(problem, prepared.it, block, "native", tol=1e-8)
    assert prepared.certificate(solution.iterate).holds(TOL)
    rng = np.random.default_rng(0)
    for letter in prepared.letters:
        value = getattr(solution.iterate, letter)
        if not value.any():
            continue
        noise = 0.05 * np.abs(value).max() * rng.standard_normal(value.shape)
        wrong = solution.iterate.replace(**{letter: value + noise})
        wrong = prepared.repair(wrong)
        certificate = prepared.certificate(wrong)
        assert not certificate.holds(TOL)
        assert certificate.kkt_residual > 10 * solution.certificate.kkt_residual
        assert certificate.gap >= (prepared.objective(wrong) - solution.objective) * (1 - 1e-6)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_a_point_outside_the_constraints_fails(block):
    problem = random_problem((5, 8, 20, 40), kappa=0.1, group_form="constraint")
    prepared = make_block(problem, at(problem, block), block)
    found = solve_block(problem, prepared.it, block, "native").iterate
    assert np.isclose(problem.group_lasso.sum_of_norms(found.B), 0.1)
    for wrong in (found.replace(B=found.B * (1 + 1e-6)), found.replace(A=found.A + 0.5 * np.eye(5))):
        assert prepared.certificate(wrong).violation > 5e-8
        assert not prepared.certificate(wrong).holds(TOL)


# Multipliers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("form", ["penalty", "constraint"])
@pytest.mark.parametrize("shape", [(1, 30, 2, 20), (3, 4, 2, 30), (5, 8, 20, 40), (12, 6, 3, 60)], ids=str)
def test_dual_values_are_clarabels(block, form, shape):
    options = {"kappa": 0.1, "group_form": form}
    problem = random_problem(shape, norm_bound=0.2, **options)
    it = at(problem, block)
    native = solve_block(problem, it, block, "native", tol=1e-10)
    reference = by_clarabel(problem, it, block, tol=1e-9)
    duals = np.asarray(reference.dual_values["norm_bound"], dtype=float)
    assert np.shape(native.dual_values["norm_bound"]) == (shape[0],)
    np.testing.assert_allclose(
        native.dual_values["norm_bound"], duals.ravel(), rtol=1e-4, atol=1e-5 * max(duals.max(), 1e-3)
    )
    if form == "constraint":
        assert reference.dual_values["group_lasso"] > 1e-3
        assert native.dual_values["group_lasso"] == pytest.approx(float(reference.dual_values["group_lasso"]), rel=1e-4)
    else:
        assert "group_lasso" not in native.dual_values


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_the_multiplier_of_a_loose_constraint_is_zero(block):
    problem = random_problem((3, 4, 2, 30), kappa=1e3, group_form="constraint", norm_bound=0.9, ridge_hidden=10.0)
    native = solve_block(problem, at(problem, block), block, "native")
    assert native.dual_values["group_lasso"] == 0
    assert np.abs(native.iterate.A).sum(axis=1).max() < 0.8
    assert not np.any(native.dual_values["norm_bound"])


# Order and start -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint"])
@pytest.mark.parametrize("shape", [(1, 30, 2, 20), (5, 8, 20, 40)], ids=str)
def test_order_of_samples_and_inputs_plays_no_part(block, form, shape):
    problem = random_problem(shape, **OPTIONS[form])
    it = at(problem, block)
    objective = solve_block(problem, it, block, "native", tol=1e-10).objective
    rng = np.random.default_rng(0)
    samples, inputs = rng.permutation(problem.n_samples), rng.permutation(problem.n_inputs)
    by_samples = TrainingProblem(problem.U.T[samples], problem.Y.T[samples], problem.n_hidden, **OPTIONS[form])
    found = solve_block(by_samples, it.replace(X=it.X[:, samples]), block, "native", tol=1e-10)
    assert found.objective == pytest.approx(objective, rel=1e-9)
    by_inputs = TrainingProblem(problem.U.T[:, inputs], problem.Y.T, problem.n_hidden, **OPTIONS[form])
    moved = it.replace(B=it.B[:, inputs], D=it.D[:, inputs])
    found = solve_block(by_inputs, moved, block, "native", tol=1e-10)
    assert found.objective == pytest.approx(objective, rel=1e-9)


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("shape", [(3, 4, 2, 30), (4, 30, 2, 20), (12, 6, 3, 60)], ids=str)
def test_start_of_the_hidden_block_plays_no_part(form, shape):
    problem = random_problem(shape, **OPTIONS[form])
    it = at(problem, "hidden")
    rng = np.random.default_rng(0)
    zero = {k: np.zeros(problem.shapes[k]) for k in ("A", "B", "b")}
    far = {k: 100 * rng.standard_normal(problem.shapes[k]) for k in ("A", "B", "b")}
    if not problem.fit_intercept:
        far["b"] = zero["b"]
    solutions = [solve_block(problem, it.replace(**parts), "hidden", "native") for parts in ({}, zero, far)]
    best = min(s.objective for s in solutions)
    for solution in solutions:
        assert solution.certificate.holds(TOL)
        assert solution.objective - best <= solution.certificate.gap + 1e-12 * abs(best)


@pytest.mark.parametrize("block", ["output", "state"])
def test_start_of_the_other_blocks_plays_no_part(block):
    problem = random_problem((3, 4, 2, 30), norm_bound=0.3)
    it = at(problem, block)
    if block == "output":
        far = it.replace(C=1e3 * it.C, D=-1e3 * it.D, d=it.d + 1e3)
    else:
        it = it.replace(A=0.3 * it.A)
        assert not make_block(problem, it, block).proximal.any()  # with it, the block depends on its start
        far = it.replace(X=1e3 * it.X)
    first, second = (solve_block(problem, start, block, "native") for start in (it, far))
    assert abs(first.objective - second.objective) <= first.certificate.gap + second.certificate.gap + 1e-12


# Constraints and options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["native", "auto"])
@pytest.mark.parametrize("block", BLOCKS)
def test_native_takes_no_solver_options(solver, block):
    problem = random_problem((3, 4, 2, 30))
    with pytest.raises(InvalidInputError, match="solver_options"):
        solve_block(problem, at(problem, block), block, solver, solver_options={"max_iter": 3})


# Projections in the metric of steps ----------------------------------------------------------------------------

matrices = arrays(float, (4, 3), elements=st.floats(-10, 10))
step_sizes = arrays(float, 3, elements=st.floats(1e-3, 1e3))
radii = st.floats(0, 5)


@given(A=matrices, other=matrices, steps=step_sizes, radius=radii)
def test_row_projection_in_a_metric_is_the_nearest_feasible_point(A, other, steps, radius):
    P = project_l1_rows(A, radius, steps)
    assert np.abs(P).sum(axis=1).max() <= radius * (1 + 1e-12) + 1e-12
    Q = project_l1_rows(other, radius)
    # <A - P, Q - P> <= 0 in the metric, for each feasible Q and each row by itself.
    weighted = (A - P) / steps
    assert np.all(np.sum(weighted * (Q - P), axis=1) <= 1e-9 * (1 + np.abs(weighted).max()) * (1 + radius))
    inside = np.abs(A).sum(axis=1) <= radius
    np.testing.assert_array_equal(P[inside], A[inside])


@given(B=matrices, other=matrices, steps=step_sizes, kappa=radii)
def test_group_projection_in_a_metric_is_the_nearest_feasible_point(B, other, steps, kappa):
    term = GroupLassoConstraint(kappa, Groups.singles(3))
    P, Q = term.prox(B, steps), term.prox(other)
    assert term.violation(P) <= 1e-12 * (1 + kappa)
    weighted = (B - P) / steps
    assert float(np.sum(weighted * (Q - P))) <= 1e-9 * (1 + np.abs(weighted).max()) * (1 + kappa)


@pytest.mark.parametrize(
    ("A", "steps", "radius"),
    [
        ([[1.0, -2.0, 3.0], [0.1, 0.2, -0.1], [5.0, 5.0, -5.0]], [1.0, 10.0, 0.1], 1.5),
        ([[0.3, 0.0, -0.9], [2.0, 2.0, 2.0], [-9.0, 1.0, 0.1]], [0.2, 1.0, 5.0], 0.7),
    ],
)
def test_projections_in_a_metric_against_cvxpy(A, steps, radius):
    A, steps, Q = np.array(A), np.array(steps), cp.Variable((3, 3))
    distance = cp.sum_squares((Q - A) @ np.diag(1 / np.sqrt(steps)))
    options = {"tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
    cp.Problem(cp.Minimize(distance), [cp.norm1(Q, axis=1) <= radius]).solve("CLARABEL", **options)
    np.testing.assert_allclose(project_l1_rows(A, radius, steps), Q.value, atol=1e-5)
    cp.Problem(cp.Minimize(distance), [cp.sum(cp.norm(Q, 2, axis=0)) <= radius]).solve("CLARABEL", **options)
    np.testing.assert_allclose(GroupLassoConstraint(radius, Groups.singles(3)).prox(A, steps), Q.value, atol=1e-5)


# How it is done ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain"])
def test_conjugate_gradients_and_factorisations_find_the_same(block, form, size, monkeypatch):
    problem = random_problem(size, **OPTIONS[form])
    it = at(problem, block)
    module = "bcd_implicit.blocks.newton_direction"
    monkeypatch.setattr(f"{module}.LEAST_STEPS", 10**9)  # never worth starting
    factorised = solve_block(problem, it, block, "native")
    monkeypatch.setattr(f"{module}.LEAST_STEPS", 0)
    monkeypatch.setattr(f"{module}.LARGEST_SYSTEM", 0)  # nothing fits
    matrix_free = solve_block(problem, it, block, "native")
    for solution in (factorised, matrix_free):
        assert solution.certificate.holds(TOL)
    assert matrix_free.objective == pytest.approx(factorised.objective, rel=TOL)


def test_what_does_not_fit_into_memory_is_computed_anew(monkeypatch):
    problem = random_problem((5, 8, 20, 40))
    it = at(problem, "prox-linear")
    kept = solve_block(problem, it, "prox-linear", "native")
    for module in ("certificates.responses", "blocks.linearisation"):
        monkeypatch.setattr(f"bcd_implicit.{module}.LARGEST_KEPT", 0)
    monkeypatch.setattr("bcd_implicit.support.parts.PART", 7 * 25)  # seven samples at a time
    anew = solve_block(problem, it, "prox-linear", "native")
    assert anew.objective == pytest.approx(kept.objective, rel=1e-9)
    assert anew.certificate.holds(TOL)


def test_one_blas_thread_while_solving_and_the_old_number_after(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = at(problem, "output")
    during = []

    def certificate(*arguments):
        during.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return output_certificate(*arguments)

    monkeypatch.setattr("bcd_implicit.blocks.output.output_certificate", certificate)
    with threadpool_limits(2, "blas"):
        before = threadpool_info()
        solve_block(problem, it, "output")
        assert threadpool_info() == before
    assert during
    assert set(during) == {1}
