"""Native solves against CVXPY, and on the cases that break solvers."""

import numpy as np
import pytest
from problems import TOL, at, check_native, random_iterate, random_problem
from slow_but import every_pair, slow_but
from tables import table

from bcd_implicit import BLOCKS, InvalidInputError, TrainingProblem, solve_block


@pytest.mark.parametrize("block", BLOCKS)
def test_auto_is_native_without_constraints(block):
    problem = random_problem((3, 4, 2, 30))
    it = at(problem, block)
    by_auto, by_name = solve_block(problem, it, block), solve_block(problem, it, block, "native")
    assert by_auto.solver == by_name.solver == "native"
    assert by_auto.objective == by_name.objective


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


@pytest.mark.parametrize("start", slow_but(["random"], ["initial", "random"]))
@pytest.mark.parametrize(
    ("case", "block"), [*every_pair(HARD, ["output", "state"]), *every_pair(HARD, ["hidden", "prox-linear"])]
)
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
@pytest.mark.parametrize("seed", slow_but([0], range(8)))
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


@pytest.mark.parametrize("solver", ["native", "auto"])
@pytest.mark.parametrize("block", BLOCKS)
def test_native_takes_no_solver_options(solver, block):
    problem = random_problem((3, 4, 2, 30))
    with pytest.raises(InvalidInputError, match="solver_options"):
        solve_block(problem, at(problem, block), block, solver, solver_options={"max_iter": 3})
