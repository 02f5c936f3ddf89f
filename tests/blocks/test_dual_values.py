"""Dual values: the sensitivities of the optimum, the same from every solver."""

import cvxpy as cp
import numpy as np
import pytest
from constrained import MASK, METHODS, SIZE, N, P, Q, problem_with, start_of, train
from problems import at, by_clarabel, random_iterate, random_problem

from bcd_implicit import constraints as ready
from bcd_implicit.blocks import solve_block


def test_radii_of_zero_have_the_same_dual_values_by_all_solvers():
    it = random_iterate(random_problem(SIZE))
    it = it.replace(A=0 * it.A)
    for options in ({"norm_bound": 0.0}, {"norm_bound": 0.0, "group_form": "constraint"}):
        problem = random_problem(SIZE, **{"kappa": 0.3} | options)
        native, conic = (solve_block(problem, it, "hidden", solver).dual_values for solver in ("native", "CLARABEL"))
        assert native["norm_bound"].shape == (N,)
        assert native["norm_bound"].max() > 1e-3
        for name in native:
            np.testing.assert_allclose(native[name], conic[name], rtol=1e-3, atol=1e-5)


def test_a_group_bound_of_zero_has_one_dual_value():
    problem = random_problem(SIZE, kappa=0.0, group_form="constraint")
    it = random_iterate(random_problem(SIZE)).replace(B=np.zeros((N, P)))  # states that only inputs could explain
    native, conic = (solve_block(problem, it, "hidden", s).dual_values["group_lasso"] for s in ("native", "CLARABEL"))
    assert float(native) == pytest.approx(float(conic), rel=1e-3)
    assert native > 1e-3


def slope(make, value, block, step=5e-3):
    """Change of the block's optimal objective per unit of a constraint's bound, and the dual values there."""
    problems = [problem_with(make(value + shift)) for shift in (-step, 0.0, step)]
    it = start_of(problems[1], block)
    low, here, high = (solve_block(p, it, block, "CLARABEL") for p in problems)
    (name,) = problems[1].constraints
    return (high.objective - low.objective) / (2 * step), here.dual_values[name]


@pytest.mark.parametrize(
    ("make", "value", "block", "sign"),
    [
        (lambda t: ready.box("C", upper=t), 0.2, "output", -1),
        (lambda t: ready.box("B", lower=t), 0.05, "hidden", 1),
        (lambda t: ready.box("A", upper=t), 0.02, "prox-linear", -1),
        (lambda t: ready.nuclear_norm_bound("C", t), 0.5, "output", -1),
        (lambda t: ready.nuclear_norm_bound("B", t), 0.5, "hidden", -1),
        (lambda t: ready.spectral_norm_bound("A", t), 0.1, "prox-linear", -1),
        (lambda t: ready.l1_bound("D", t), 0.3, "output", -1),
        (lambda t: ready.l1_bound("B", t), 0.5, "prox-linear", -1),
        (lambda t: ready.fixed_entries("D", MASK, t), 0.2, "output", -1),
        (lambda t: ready.column_norm_bound("C", t), 0.2, "output", -1),
        (lambda t: lambda v: cp.sum(v["A"]) == t, 0.3, "hidden", -1),
    ],
)
def test_dual_values_are_the_sensitivities_of_the_blocks_optimum(make, value, block, sign):
    rate, duals = slope(make, value, block)
    assert abs(rate) > 1e-3
    assert sign * float(np.sum(duals)) == pytest.approx(rate, rel=2e-2)


def test_dual_values_of_inequalities_are_nonnegative_and_zero_where_slack():
    problem = problem_with(ready.box("C", -0.3, 0.3))
    solution = solve_block(problem, start_of(problem, "output"), "output", "CLARABEL")
    lower, upper = solution.dual_values["box(C)"]
    C = solution.iterate.C
    assert lower.shape == upper.shape == (Q, N)
    assert min(lower.min(), upper.min()) >= -1e-9
    assert max(lower[C > -0.29].max(initial=0), upper[C < 0.29].max(initial=0)) <= 1e-6
    assert max(lower.max(), upper.max()) > 5e-3


@pytest.mark.parametrize("method", METHODS)
def test_dual_values_of_a_run_are_those_of_the_last_solved_blocks(method):
    problem = problem_with(ready.box("B", -0.1, 0.1), ready.l1_bound("C", 0.5), ready.l1_penalty("b", 0.1))
    result = train(problem, method)
    assert set(result.dual_values) == {"norm_bound", "box(B)", "l1_bound(C)"}
    assert [part.shape for part in result.dual_values["box(B)"]] == [(N, P), (N, P)]
    # The loops end with the output block at the final states, so its dual value can be had again.
    again = solve_block(problem, result.iterate, "output")
    assert float(result.dual_values["l1_bound(C)"]) == pytest.approx(float(again.dual_values["l1_bound(C)"]), rel=1e-3)


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
