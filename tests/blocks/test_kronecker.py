"""The Kronecker model against its own definition, and its steps against exact solutions."""

from itertools import pairwise

import numpy as np
import pytest
from problems import OPTIONS, at, random_problem

from bcd_implicit import TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.kronecker import KroneckerModel, approach


def random_model(n, P, m, seed=0):
    rng = np.random.default_rng(seed)
    M, W = rng.standard_normal((n, n)), rng.standard_normal((P, m)) * np.exp(rng.standard_normal((P, 1)))
    return M @ M.T, W


@pytest.mark.parametrize(("P", "m"), [(6, 40), (40, 6)])
def test_the_operator_is_the_kronecker_product_and_its_bound_holds(P, m):
    rows, W = random_model(3, P, m)
    matrix = np.kron(rows, W @ W.T)  # of V row by row
    V = np.random.default_rng(1).standard_normal((3, P))
    for H in (None, W @ W.T):
        model = KroneckerModel(rows, W, H)
        np.testing.assert_allclose(model.product(V).ravel(), matrix @ V.ravel(), rtol=1e-10)
        bound = np.diag(np.tile(model.curvature, 3))
        # A power method's eigenvalue may fall short of the largest by what its margin covers.
        assert np.linalg.eigvalsh(bound - matrix)[0] >= -1e-8 * np.linalg.norm(matrix)
        assert np.linalg.eigvalsh(0.5 * bound - matrix)[0] < 0  # half of it is none


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("size", [(3, 4, 2, 30), pytest.param((4, 30, 3, 20), marks=pytest.mark.slow)])
def test_rough_points_are_feasible_lower_and_near_the_optimum(name, size):
    problem = random_problem(size, **OPTIONS[name])
    it = at(problem, "prox-linear")
    exact = solve_block(problem, it, "prox-linear", "native").objective
    block = make_block(problem, it, "prox-linear")
    values = [block.objective(block.repaired(it))]
    for share in (0.3, 0.03, 1e-4):
        point = block.improve(share)
        assert problem.violation(point) <= 1e-9
        values.append(block.objective(point))
    slack = 1e-9 * abs(exact)
    assert all(after <= before + slack for before, after in pairwise(values))
    assert values[-1] >= exact - 1e-6 * abs(exact)
    gone = (values[0] - np.array(values)) / (values[0] - exact)
    assert gone[1] >= 0.5
    assert gone[3] >= 0.97


def test_a_model_far_too_flat_is_stretched_until_the_objective_falls():
    problem = random_problem((5, 8, 3, 60), kappa=0.05)
    block = make_block(problem, at(problem, "prox-linear"), "prox-linear")
    smooth, terms, T = block.smooth(), block.terms, block.joined(block.it)
    value, gradient = smooth.value_and_gradient(T)

    honest = smooth.model()
    flat = KroneckerModel(1e-4 * honest.M, honest.W, honest.H)
    found = approach(smooth, flat, terms, T, gradient, 1e-3, 60)
    assert smooth.value_and_gradient(found)[0] + terms.value(found) < value + terms.value(T)
    # Without the check a first step of that model goes far astray.
    astray = terms.prox(T - gradient / flat.curvature, 1 / flat.curvature)
    assert smooth.value_and_gradient(astray)[0] + terms.value(astray) > value + terms.value(T)


def complements(n_pairs: int) -> np.ndarray:
    """Random 0/1 inputs, each beside its complement: centred, ones are orthogonal to all that they span."""
    half = np.random.default_rng(0).integers(0, 2, (40, n_pairs)).astype(float)
    return np.hstack([half, 1 - half])


@pytest.mark.parametrize("n_pairs", [1, 5, 60])
def test_the_bound_holds_for_inputs_and_their_complements(n_pairs):
    U = complements(n_pairs).T
    W = np.vstack([U - U.mean(axis=1, keepdims=True), np.ones(40)])
    model = KroneckerModel(np.eye(1), W, None)
    scaled = W / np.sqrt(model.curvature)[:, None]
    assert np.linalg.eigvalsh(scaled @ scaled.T)[-1] <= 1.0


def test_a_bound_that_is_short_is_found_out_by_the_first_step():
    problem = TrainingProblem(complements(60), np.random.default_rng(1).standard_normal((40, 3)), 4, kappa=1e-3)
    it = problem.initial(0)
    it = it.replace(B=np.zeros_like(it.B), b=np.ones_like(it.b))  # states that are the same for all samples
    block = make_block(problem, it, "prox-linear")
    T, smooth, found = block.joined(block.it), block.smooth(), []
    gradient = smooth.value_and_gradient(T)[1]
    for short in (1.0, 0.1):
        model = smooth.model()
        model.curvature = short * model.curvature
        found.append(block.objective(block.parted(approach(smooth, model, block.terms, T, gradient, 1e-3, 50))))
    start, best = block.objective(block.it), solve_block(problem, block.it, "prox-linear", "native").objective
    for objective in found:
        assert start - objective >= 0.9 * (start - best)


def test_at_the_optimum_nothing_moves():
    problem = random_problem((3, 5, 2, 40), kappa=0.05)
    block = make_block(problem, at(problem, "prox-linear"), "prox-linear")
    best = solve_block(problem, block.it, "prox-linear", "native", tol=1e-10).iterate
    T, smooth = block.joined(best), block.smooth()
    found = approach(smooth, smooth.model(), block.terms, T, smooth.value_and_gradient(T)[1], 0.1, 50)
    assert block.objective(block.parted(found)) == pytest.approx(block.objective(best), rel=1e-9)


@pytest.mark.parametrize("name", ["penalty", "pairs", "largest", "stacked"])
def test_a_step_on_the_active_groups_leaves_the_others_and_what_is_left_says_so(name):
    problem = random_problem((4, 30, 3, 40), **OPTIONS[name])
    it = at(problem, "prox-linear")
    it = problem.with_grouped(it, np.where(np.arange(30) < 4, problem.grouped(it), 0.0))
    gradient = make_block(problem, it, "prox-linear").gradient_of_groups(it)
    lasso, groups = problem.group_lasso, problem.group_lasso.groups
    problem = problem.replace(kappa=1.6 * np.median(lasso.norm.dual(gradient, groups) / groups.weights))
    block = make_block(problem, it, "prox-linear")
    T, smooth = block.joined(block.it), block.smooth()
    gradient = smooth.value_and_gradient(T)[1]
    active = block.terms.active(T, gradient)
    assert 0 < active.sum() < len(active)  # or there is nothing to see
    assert active[np.unique(groups.labels[:4])].all()
    # A group that is left out would not enter: its gradient is below its limit.
    dual = block.terms.group_lasso.norm.dual(block.terms.B(gradient), groups)
    assert (dual[~active] < problem.kappa * groups.weights[~active]).all()
    terms, columns = block.terms.on(active)
    some = smooth.on(columns, T, gradient)
    V = np.zeros_like(T)
    V[:, columns] = 0.1 * np.random.default_rng(0).standard_normal((len(T), len(columns)))
    V[block.terms.n :, : block.terms.n] = 0.0
    rise = smooth.value_and_gradient(T + V)[0] - smooth.value_and_gradient(T)[0]
    of_some = [some.value_and_gradient(at_point[:, columns]) for at_point in (T, T + V)]
    assert of_some[1][0] - of_some[0][0] == pytest.approx(rise, rel=1e-9)
    np.testing.assert_allclose(of_some[0][1], gradient[:, columns], atol=1e-12)
    assert terms.value((T + V)[:, columns]) == pytest.approx(block.terms.value(T + V), rel=1e-12)
