"""Every block: CVXPY value == NumPy objective, solvers agree, certificates hold."""

import warnings

import numpy as np
import pytest
from problems import OPTIONS, TOL, at, check_native, conic_solution, pose_and_solve_case, random_iterate, random_problem
from sizes import SIZES, WIDEST
from slow_but import slow_but

from bcd_implicit import (
    BLOCKS,
    SOLVERS,
    ConvergenceWarning,
    InvalidInputError,
    TrainingProblem,
    block_problem,
    solve_block,
)
from bcd_implicit.blocks import make_block

# What each solver's answer may differ by, relative to the objective.
AGREEMENT = {"CLARABEL": 1e-6, "ECOS": 1e-5, "SCS": 1e-6}


CASES = [(options, size, block) for options in OPTIONS for size in [*SIZES, WIDEST] for block in BLOCKS]
# One size for all options, and one case of the options of each other size.
FAST = [(options, size, block) for options, size, block in CASES if size == SIZES[2] or options == "penalty"]


# One scope, so that the two tests of a case stand next to each other and CVXPY solves it once.
@pytest.mark.parametrize(
    ("options", "size", "block"),
    [pytest.param(*case, marks=[] if case in FAST else pytest.mark.slow) for case in CASES],
    ids=["n{}-p{}-q{}-m{}-{}-{}".format(*size, options, block) for options, size, block in CASES],
    scope="class",
)
class TestEveryBlockOfEveryProblem:
    def test_cvxpy_value_is_the_numpy_objective_at_the_solution(self, options, size, block):
        prepared, posed = pose_and_solve_case(options, size, block)
        assert posed.is_dcp()
        assert posed.is_dcp(dpp=True)
        values = {k: np.array(posed.var_dict[k].value) for k in prepared.letters if k in posed.var_dict}
        numpy_value = prepared.objective(prepared.repair(prepared.it.replace(**values)))
        assert numpy_value == pytest.approx(posed.value, rel=1e-6, abs=1e-9)
        # And not only there: with the variables set to the base point, the problem gives that point's objective.
        for k, v in posed.var_dict.items():
            v.value = getattr(prepared.it, k)
        assert posed.objective.value == pytest.approx(prepared.objective(prepared.it), rel=1e-9)

    def test_native_agrees_with_clarabel(self, options, size, block):
        problem = random_problem(size, **OPTIONS[options])
        native, reference = check_native(problem, at(problem, block), block, conic_solution(options, size, block))
        assert native.objective <= reference.objective * (1 + TOL)
        if reference.certificate.holds(TOL):
            assert native.objective == pytest.approx(reference.objective, rel=TOL)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain"])
@pytest.mark.parametrize("size", slow_but([SIZES[2]], SIZES), ids=str)
def test_solvers_agree_and_the_certificate_holds(block, form, size):
    problem = random_problem(size, **OPTIONS[form])
    it = at(problem, block)
    start = make_block(problem, it, block).objective(it if block != "prox-linear" else problem.at_equilibrium(it))
    solutions = {"CLARABEL": conic_solution(form, size, block), "SCS": solve_block(problem, it, block, "SCS")}
    assert solutions["CLARABEL"].solver == "CLARABEL"
    with warnings.catch_warnings():
        # ECOS turns quadratic terms into cones and loses digits: it may miss the gap, and then says so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solutions["ECOS"] = solve_block(problem, it, block, "ECOS")
    best = min(s.objective for s in solutions.values())
    for name, solution in solutions.items():
        assert solution.objective <= best + AGREEMENT[name] * abs(best)
        assert solution.certificate.holds(1e-4 if name == "ECOS" else 1e-6), (name, solution.certificate)
        assert problem.violation(solution.iterate) <= 1e-8
        assert solution.objective <= start + 1e-9 * abs(start) or form == "constraint"
        # The gap is an upper bound on the distance to the best value known.
        assert solution.objective - best <= solution.certificate.gap + 1e-9 * abs(best)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize(
    "edge", ["norm_bound 0", "kappa 0", "huge kappa", "radius 0", "constant inputs", "zero targets"]
)
def test_edges(block, edge):
    options = {
        "norm_bound 0": {"norm_bound": 0.0}, "kappa 0": {"kappa": 0.0}, "huge kappa": {"kappa": 1e4},
        "radius 0": {"kappa": 0.0, "group_form": "constraint"}, "constant inputs": {}, "zero targets": {},
    }[edge]  # fmt: skip
    problem = random_problem((3, 4, 2, 30), **options)
    if edge == "constant inputs":
        problem.U[1] = 2.0
    if edge == "zero targets":
        problem.Y[:] = 0
    solution = solve_block(problem, at(problem, block), block)
    assert solution.certificate.holds(1e-6)
    if edge == "norm_bound 0":
        assert np.all(solution.iterate.A == 0)
    if edge in ("huge kappa", "radius 0"):
        assert np.all(solution.iterate.B == 0)


@pytest.mark.parametrize("group_norm", [2, "inf"])
@pytest.mark.parametrize("kappa", [0.0, 0.05])
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_a_radius_does_not_bound_inputs_of_weight_zero(block, kappa, group_norm):
    problem = random_problem(
        (3, 4, 2, 30), kappa=kappa, group_form="constraint", group_weights=[0, 1, 1, 1], group_norm=group_norm
    )
    it = at(problem, block)
    native, reference = (solve_block(problem, it, block, solver) for solver in ("native", "CLARABEL"))
    for solution in (native, reference):
        assert solution.certificate.holds(1e-6)
        assert solution.iterate.B[:, 0].any()
        assert solution.iterate.B[:, 1:].any() == (kappa > 0)
    assert native.objective == pytest.approx(reference.objective, rel=1e-6)
    assert native.dual_values["group_lasso"] == pytest.approx(reference.dual_values["group_lasso"], rel=1e-2)
    # Nor does what moves a point into the radius touch them.
    outside = 100 * np.ones((3, 4))
    inside = problem.group_lasso.repair(outside)
    assert np.all(inside[:, 0] == 100)
    assert problem.group_lasso.sum_of_norms(inside) == pytest.approx(kappa)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_constraint_form_and_its_multiplier_as_penalty_give_the_same_B(block):
    for size in [(3, 4, 2, 30), (5, 8, 20, 40)]:
        base = random_problem(size)
        it = at(base, block)
        radius = 0.5 * base.group_lasso.sum_of_norms(solve_block(base.replace(kappa=1e-3), it, block).iterate.B)
        constrained = base.replace(group_form="constraint", kappa=radius)
        by_radius = solve_block(constrained, it, block, "CLARABEL", mu=1.0) if block == "prox-linear" else (
            solve_block(constrained, it, block, "CLARABEL")
        )  # fmt: skip
        weight = float(by_radius.dual_values["group_lasso"])
        assert weight > 1e-3
        options = {"mu": 1.0} if block == "prox-linear" else {}
        by_weight = solve_block(base.replace(kappa=weight), it, block, "CLARABEL", **options)
        np.testing.assert_allclose(by_weight.iterate.B, by_radius.iterate.B, atol=2e-4)
        assert base.group_lasso.sum_of_norms(by_weight.iterate.B) == pytest.approx(radius, rel=1e-4)
        # The multiplier from the data alone says the same.
        prepared = make_block(constrained, it, block, **options)
        G = -(prepared.gradient_of_groups(by_radius.iterate) + base.ridge_hidden * by_radius.iterate.B)
        if block == "prox-linear":
            found, start = by_radius.iterate, prepared.it
            dZ = base.preactivation(start.replace(A=found.A, B=found.B, b=found.b)) - base.preactivation(start)
            G -= prepared.mu * dZ @ (base.U.T - base.U.mean(axis=1)) / base.n_samples
        assert constrained.group_lasso.multiplier(G, by_radius.iterate.B) == pytest.approx(weight, rel=1e-3)


def test_live_problem_for_a_notebook():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    names = {b: set(block_problem(problem, it, b).var_dict) for b in BLOCKS}
    assert names == {
        "output": {"C", "D", "d"}, "state": {"X"}, "hidden": {"A", "B", "b"}, "prox-linear": {"A", "B", "b"}
    }  # fmt: skip
    live = block_problem(problem, it, "hidden")
    assert set(live.param_dict) == {"kappa", "fenchel_weight"}
    live.solve(solver="CLARABEL")
    before = np.linalg.norm(live.var_dict["B"].value)
    live.param_dict["kappa"].value = 100.0
    live.solve(solver="CLARABEL")
    assert np.linalg.norm(live.var_dict["B"].value) < 1e-4 < before


def test_fixed_parts_are_no_variables():
    problem = random_problem((3, 4, 2, 30), fit_intercept=False, pass_through=False)
    it = random_iterate(problem)
    assert set(block_problem(problem, it, "output").var_dict) == {"C"}
    assert set(block_problem(problem, it, "hidden").var_dict) == {"A", "B"}
    assert np.all(solve_block(problem, it, "output").iterate.D == 0)


def test_no_warning_of_too_many_parameters_reaches_a_user():
    problem = random_problem((10, 20, 30, 300))
    it = random_iterate(problem)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in BLOCKS:
            solve_block(problem, it, block, "SCS")


def test_columns_near_zero_become_zero_and_useful_ones_stay():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 6))
    problem = TrainingProblem(U, np.maximum(U[:, :2] @ [[1.0], [1e-3]], 0), 2, kappa=1e-7, ridge_hidden=0.0)
    it = problem.initial(0)
    it = it.replace(X=np.maximum(np.array([[1.0, 1e-3], [0.5, -1e-3]]) @ problem.U[:2], 0))
    B = solve_block(problem, it, "hidden", "CLARABEL", tol=1e-8).iterate.B
    norms = np.linalg.norm(B, axis=0)
    assert norms[0] > 0.5
    assert 5e-4 < norms[1] < 5e-3  # a thousandth of the largest, and kept
    assert np.all(norms[2:] < 1e-4)
    sparse = solve_block(problem.replace(kappa=0.01), it, "hidden", "CLARABEL").iterate.B
    assert np.all(sparse[:, 2:] == 0)


# Inputs, outputs and hidden features: fewer residuals than variables, then more, so that CVXPY gets a singular K.
@pytest.mark.parametrize(("p", "q", "n"), [(40, 1, 5), (30, 5, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_wide_tables_leave_the_gram_matrix_singular_and_every_solver_copes(seed, p, q, n):
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((20, p))
    Y = U[:, :1] + np.abs(U[:, 1 : q + 1])
    problem = TrainingProblem(U, Y, n, kappa=0.01, ridge_hidden=0.0, pass_through=False)
    it = random_iterate(problem, relaxed=False)
    objectives = []
    for solver in SOLVERS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            objectives.append(solve_block(problem, it, "prox-linear", solver).objective)
    assert max(objectives) <= min(objectives) * (1 + 1e-4)


def test_options_of_blocks_are_checked():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    with pytest.raises(InvalidInputError, match="mu: is not an option of block 'hidden'. It has no options"):
        solve_block(problem, it, "hidden", mu=1.0)
    with pytest.raises(InvalidInputError, match="sover: is not an option of block 'prox-linear'. Its options are: mu"):
        solve_block(problem, it, "prox-linear", sover="SCS")
    with pytest.raises(InvalidInputError, match="iterate.X: has values from -1 .*outside the range of relu"):
        solve_block(problem, it.replace(X=it.X * 0 - 1), "hidden")
    with pytest.raises(InvalidInputError, match="block: unknown block"):
        solve_block(problem, it, ["hidden"])
    with pytest.raises(InvalidInputError, match="problem: is of type ndarray"):
        solve_block(problem.U, it, "hidden")
    assert repr(solve_block(problem, it, "output")).startswith("BlockSolution(block='output', solver='native'")
