"""Every block: CVXPY value == NumPy objective, solvers agree, certificates hold, wrong points fail."""

import warnings

import numpy as np
import pytest
from problems import OPTIONS, at, conic_solution, pose_and_solve, random_iterate, random_problem

from bcd_implicit import (
    BLOCKS,
    SOLVERS,
    BlockSolveError,
    ConvergenceWarning,
    InvalidInputError,
    TrainingProblem,
    block_problem,
    solve_block,
)
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.state import StateBlock

# What each solver's answer may differ by, relative to the objective.
AGREEMENT = {"CLARABEL": 1e-6, "ECOS": 1e-5, "SCS": 1e-6}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("options", OPTIONS)
def test_cvxpy_value_is_the_numpy_objective_at_the_solution(block, options, size):
    prepared, posed = pose_and_solve(options, size, block)
    assert posed.is_dcp()
    assert posed.is_dcp(dpp=True)
    values = {k: np.array(posed.var_dict[k].value) for k in prepared.letters if k in posed.var_dict}
    numpy_value = prepared.objective(prepared.repair(prepared.it.replace(**values)))
    assert numpy_value == pytest.approx(posed.value, rel=1e-6, abs=1e-9)
    # And not only there: with the variables set to the base point, the problem gives that point's objective.
    for k, v in posed.var_dict.items():
        v.value = getattr(prepared.it, k)
    assert posed.objective.value == pytest.approx(prepared.objective(prepared.it), rel=1e-9)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain"])
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


class TestStateBlock:
    def test_proximal_term_is_the_smallest_that_makes_it_convex(self, size):
        problem = random_problem(size, norm_bound=0.9)
        it = random_iterate(problem)
        block = make_block(problem, it, "state")
        n = problem.n_hidden
        M = problem.fenchel_weight * (np.eye(n) - it.A - it.A.T) + it.C.T @ it.C
        lowest = np.linalg.eigvalsh(M).min()
        assert np.linalg.eigvalsh(M + block.proximal).min() >= -1e-12
        np.testing.assert_allclose(block.convex_root.T @ block.convex_root, M + block.proximal, atol=1e-10)
        assert np.linalg.norm(block.proximal, 2) == pytest.approx(max(0.0, -lowest), abs=1e-10)

    def test_without_the_proximal_term_the_block_need_not_be_convex(self):
        problem = random_problem((12, 6, 3, 60), norm_bound=0.99)
        it = random_iterate(problem)
        it = it.replace(A=0.99 * np.roll(np.eye(12), 1, axis=1), C=np.zeros((3, 12)))
        assert np.linalg.norm(make_block(problem, it, "state").proximal, 2) == pytest.approx(0.98, abs=1e-2)

    def test_objective_is_majorised(self):
        problem = random_problem((5, 8, 20, 40), norm_bound=0.9)
        it = random_iterate(problem)
        block = make_block(problem, it, "state")
        rng = np.random.default_rng(0)
        for _ in range(10):
            other = it.replace(X=np.abs(it.X + rng.standard_normal(it.X.shape)))
            assert block.objective(other) >= problem.objective(other) - 1e-12
        assert block.objective(it) == pytest.approx(problem.objective(it))

    def test_samples_are_separate(self):
        problem = random_problem((3, 4, 2, 30))
        it = random_iterate(problem)
        some = np.arange(5)
        whole = solve_block(problem, it, "state", "CLARABEL").iterate.X[:, some]
        part = solve_block(problem.subset(some), it.replace(X=it.X[:, some]), "state", "CLARABEL").iterate.X
        np.testing.assert_allclose(whole, part, atol=1e-5)


class TestProxLinearBlock:
    def test_the_linearisation_is_the_derivative_of_the_equilibrium(self, size):
        problem = random_problem(size, activation="leaky_relu", kappa=0.0, ridge_hidden=0.0)
        it = random_iterate(problem, relaxed=False)
        block = make_block(problem, it, "prox-linear", mu=0.0)
        rng = np.random.default_rng(0)
        dA, dB, db = (rng.standard_normal(problem.shapes[k]) for k in ("A", "B", "b"))

        def along(t):
            return it.replace(A=it.A + t * dA, B=it.B + t * dB, b=it.b + t * db)

        def slope(t):
            return (problem.equilibrium_objective(along(t)) - problem.equilibrium_objective(along(-t))) / (2 * t)

        model_slope = (block.objective(along(1e-6)) - block.objective(along(-1e-6))) / 2e-6
        assert model_slope == pytest.approx(slope(1e-7), rel=1e-3, abs=1e-6)

    def test_gram_matrix_sample_by_sample(self):
        problem = random_problem((3, 4, 2, 30))
        block = make_block(problem, random_iterate(problem, relaxed=False), "prox-linear")
        it, n = block.it, 3
        Z = problem.preactivation(it)
        K = 0.0
        for k in range(30):
            D = np.diag((Z[:, k] > 0).astype(float))
            N = np.linalg.inv(np.eye(n) - D @ it.A) @ D
            w = np.concatenate([it.X[:, k] - it.X.mean(axis=1), problem.U[:, k] - problem.U.mean(axis=1), [1.0]])
            J = np.kron(w[None, :], it.C @ N)
            K = K + J.T @ J / 30
        np.testing.assert_allclose(block.linearisation.gram(np.arange(8), 0.0).reshape(24, 24), K, atol=1e-10)

    def test_products_with_and_without_the_gram_matrix_agree(self, size, monkeypatch):
        problem = random_problem(size)
        block = make_block(problem, random_iterate(problem, relaxed=False), "prox-linear", mu=0.3)
        linearisation = block.linearisation
        V = np.random.default_rng(0).standard_normal(linearisation.k.shape)
        matrix_free = linearisation.product(V, 0.3)
        monkeypatch.setattr("bcd_implicit.blocks.linearisation.LARGEST_KEPT", 0)
        monkeypatch.setattr("bcd_implicit.support.parts.PART", 3 * problem.n_hidden**2)  # three samples at a time
        in_parts = make_block(problem, block.it, "prox-linear", mu=0.3).linearisation
        np.testing.assert_allclose(in_parts.product(V, 0.3), matrix_free, atol=1e-11)
        columns = np.arange(V.shape[1])
        np.testing.assert_allclose(in_parts.gram(columns, 0.3), linearisation.gram(columns, 0.3), atol=1e-11)
        np.testing.assert_allclose(linearisation.product(V, 0.3), matrix_free, atol=1e-11)  # now through the matrix

    def test_mu_shortens_the_step(self):
        problem = random_problem((3, 4, 2, 30))
        it = random_iterate(problem, relaxed=False)
        steps = [
            np.linalg.norm(solve_block(problem, it, "prox-linear", mu=mu).iterate.B - it.B) for mu in (0.1, 10, 1e3)
        ]
        assert steps[0] > steps[1] > steps[2]

    def test_states_are_solved_first(self):
        problem = random_problem((3, 4, 2, 30))
        relaxed = random_iterate(problem, relaxed=True)
        block = make_block(problem, relaxed, "prox-linear")
        assert problem.fenchel_term(block.it) < 1e-20


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


def test_solver_options_reach_the_solver():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    with pytest.warns(ConvergenceWarning, match=r"block 'hidden': SCS ended 'user_limit|inaccurate.*asked for 1e-06"):
        starved = solve_block(problem, it, "hidden", "SCS", solver_options={"max_iters": 3})
    assert starved.certificate.relative_gap > 1e-6
    assert problem.violation(starved.iterate) <= 1e-8
    with pytest.raises((InvalidInputError, BlockSolveError)):
        solve_block(problem, it, "hidden", "CLARABEL", solver_options={"no_such_option": 1})


def test_auto_falls_back_until_the_certificate_holds(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    assert solve_block(problem, it, "hidden", "auto").solver == "native"
    constrained = problem.replace(constraints=[lambda v: v["A"] >= 0])
    assert solve_block(constrained, it, "hidden", "auto").solver == "SCS"
    assert solve_block(constrained, it, "hidden", "native").solver == "SCS"
    assert solve_block(constrained, it, "output", "auto").solver == "native"
    assert solve_block(problem, it, "hidden", "cvxpy").solver == "SCS"
    monkeypatch.setitem(SOLVERS, "SCS", lambda tol: {"max_iters": 3})
    solution = solve_block(constrained, it, "hidden", "auto")
    assert solution.solver == "CLARABEL"
    assert solution.certificate.violation <= 1e-6


def test_unknown_names_list_the_known():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    with pytest.raises(InvalidInputError, match="unknown solver 'gurobi'. Use one of auto, native, cvxpy, CLARABEL"):
        solve_block(problem, it, "hidden", "gurobi")
    with pytest.raises(InvalidInputError, match='solver_options: are one conic solver.s own, but solver is "auto"'):
        solve_block(problem, it, "hidden", solver_options={"max_iters": 3})
    with pytest.raises(InvalidInputError, match="unknown block 'X'. Use one of output, state, hidden, prox-linear"):
        block_problem(problem, it, "X")
    with pytest.raises(InvalidInputError, match="tol: got 0"):
        solve_block(problem, it, "hidden", tol=0)
    with pytest.raises(InvalidInputError, match="tol: got 1e"):
        solve_block(problem, it, "hidden", tol=1e300)
    with pytest.raises(InvalidInputError, match="solver: is a list"):
        solve_block(problem, it, "hidden", ["native"])
    with pytest.raises(InvalidInputError, match="solver_options: is a list. Pass a dict"):
        solve_block(problem, it, "hidden", "SCS", solver_options=[1])
    assert solve_block(problem, it, "hidden", "Native").solver == "native"


def test_auto_turns_to_the_conic_solvers_where_the_native_one_misses(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    # A native solver that gives up where it starts.
    monkeypatch.setattr(HiddenBlock, "solve_native", lambda self, tol, met: (self.it, met(self.it), {}))
    assert solve_block(problem, it, "hidden", "auto").solver == "SCS"
    with pytest.warns(ConvergenceWarning, match="block 'hidden': native ended 'no further progress'"):
        assert solve_block(problem, it, "hidden", "native").solver == "native"


def test_a_block_without_a_native_solver_goes_through_cvxpy(monkeypatch):
    problem = random_problem((3, 4, 2, 30))
    monkeypatch.setattr(StateBlock, "solve_native", Block.solve_native)
    for solver in ("auto", "native"):
        assert solve_block(problem, random_iterate(problem), "state", solver).solver == "CLARABEL"


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


@pytest.mark.parametrize("seed", range(3))
def test_wide_tables_leave_the_gram_matrix_singular_and_every_solver_copes(seed):
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((20, 40))
    problem = TrainingProblem(U, U[:, :1] + np.abs(U[:, 1:2]), 5, kappa=0.01, ridge_hidden=0.0, pass_through=False)
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
    with pytest.raises(InvalidInputError, match="mu: is no option of block 'hidden'. It has no options"):
        solve_block(problem, it, "hidden", mu=1.0)
    with pytest.raises(InvalidInputError, match="sover: is no option of block 'prox-linear'. Its options are: mu"):
        solve_block(problem, it, "prox-linear", sover="SCS")
    with pytest.raises(InvalidInputError, match="iterate.X: has values from -1 .*outside the range of relu"):
        solve_block(problem, it.replace(X=it.X * 0 - 1), "hidden")
    with pytest.raises(InvalidInputError, match="block: unknown block"):
        solve_block(problem, it, ["hidden"])
    with pytest.raises(InvalidInputError, match="problem: is a ndarray"):
        solve_block(problem.U, it, "hidden")
    assert repr(solve_block(problem, it, "output")).startswith("BlockSolution(block='output', solver='native'")


@pytest.mark.parametrize("raw", [{"info": {"exitFlag": -4}}, {"info": {"status_val": -5}}], ids=["ECOS", "SCS"])
def test_an_interrupted_solver_is_an_interrupt_and_not_a_failure(raw, monkeypatch):
    from cvxpy.reductions.solvers.solving_chain import SolvingChain

    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    monkeypatch.setattr(SolvingChain, "solve_via_data", lambda *args, **options: raw)
    with pytest.raises(KeyboardInterrupt):
        solve_block(problem, it, "hidden", "SCS")
