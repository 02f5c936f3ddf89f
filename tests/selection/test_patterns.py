"""Selection under a zero pattern: what may not be used is neither the scale of kappa, nor tested, nor selected."""

import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit.selection.family_wise import by_permutation, excess_variance
from bcd_implicit.selection.permutation import Exchange
from bcd_implicit.selection.refits import Refit, run_refit
from bcd_implicit.selection.significance import Scores, entry_p_values, weighted_chi_squared_tail

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
NONE = np.zeros(6, dtype=bool)


def data(seed=0):
    """The first and the second of six inputs matter, the first most."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((120, 6))
    signal = np.column_stack([3 * U[:, 0] + U[:, 1], np.maximum(U[:, 1], 0) - U[:, 0]])
    return U, signal + 0.3 * rng.standard_normal((120, 2))


def problem_without_the_first(pass_through=False, **options):
    U, Y = data()
    free = np.arange(6) > 0
    masks = {"B": np.tile(free, (4, 1))} | ({"D": np.tile(free, (2, 1))} if pass_through else {})
    return bi.TrainingProblem(U, Y, 4, pass_through=pass_through, pattern=masks, **options)


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_the_scale_of_kappa_is_that_of_what_is_free(method):
    problem = problem_without_the_first()
    U, Y = problem.U.T.copy(), problem.Y.T
    U[:, 0] *= 1e3
    louder = bi.TrainingProblem(U, Y, 4, pass_through=False, pattern={"B": problem.pattern.free["B"]})
    one, other = (bi.reference_kappa(each, method) for each in (problem, louder))
    assert one == pytest.approx(other, rel=1e-6)
    assert bi.reference_kappa(problem.replace(pattern=None), method) > one


@pytest.mark.slow
def test_a_path_and_its_choice_do_without_it():
    path = bi.kappa_path(problem_without_the_first(), 6, max_cycles=10)
    assert not any(result.iterate.B[:, 0].any() for result in path.results)
    assert any(result.iterate.B[:, 1].any() for result in path.results)
    chosen = path.select()
    assert "u1" in chosen.names
    assert "u0" not in chosen.names
    # No other number of hidden features would fit the masks.
    assert chosen.model.n_hidden == 4
    free = bi.kappa_path(problem_without_the_first().replace(pattern=None), 3, max_cycles=5)
    assert free.results[0].iterate.B[:, 0].any()


@pytest.mark.parametrize("pass_through", [False, True])
def test_what_may_not_enter_has_a_p_value_of_one(pass_through):
    problem = problem_without_the_first(pass_through)
    for support in (NONE, np.arange(6) == 1):
        result = run_refit(problem, Refit(support, 4, 1e-3), problem.initial(0), 0, {"max_cycles": 20, "tol": 1e-2})
        held = entry_p_values(problem, result, support)
        free = entry_p_values(problem.replace(pattern=None), result, support)
        assert held[0] == 1
        assert free[0] < 1e-6
        np.testing.assert_array_equal(held[1:], free[1:])
        scores = Scores.of(problem, result, support)
        by_orders = by_permutation(scores, Exchange.of(120), 0.05)
        assert by_orders[0] == 1
        assert np.isfinite(excess_variance(scores))


def test_an_input_is_tested_by_the_rows_that_it_may_move():
    U, Y = data()
    rows = np.array([True, False, True, False])
    problem = bi.TrainingProblem(U, Y, 4, pass_through=False, pattern={"B": np.tile(rows[:, None], 6)})
    support = np.arange(6) == 1
    result = run_refit(problem, Refit(support, 4, 1e-3), problem.initial(0), 0, {"max_cycles": 20, "tol": 1e-2})
    whole = Scores.of(problem.replace(pattern=None), result, support)
    P = whole.residuals[rows]
    weights = np.linalg.eigvalsh(P * whole.shares @ P.T) / whole.expected
    p_values = entry_p_values(problem, result, support)
    for k, j in enumerate(whole.inputs):
        squares = [np.sum((P @ f) ** 2) / np.sum(f**2) for f in whole.features[:, k]]
        assert p_values[j] == pytest.approx(min(1.0, 2 * weighted_chi_squared_tail(max(squares), weights)), rel=1e-9)


def test_without_a_pattern_orders_are_those_of_before():
    problem = random_problem((3, 6, 2, 50), pattern={"B": np.ones((3, 6))})
    assert Scores.of(problem, None, NONE).free is None


def test_the_estimators_pass_it_on():
    U, Y = data()
    # Two layers of three, and inputs act through them alone.
    last = np.arange(6) < 3
    masks = {"A": np.outer(last, ~last), "B": np.tile(~last[:, None], 6), "C": np.tile(last, (2, 1))}
    fit = bi.ImplicitRegressor(6, alpha=1e-3, pattern=masks | {"D": np.zeros((2, 6))}, n_init=1).fit(U, Y)
    for letter, mask in masks.items():
        assert not getattr(fit.model_, letter)[~mask].any()
    assert not fit.model_.D.any()
    assert fit.model_.A.any()
    assert fit.score(U, Y) > 0.95
    with pytest.raises(bi.InvalidInputError, match="pattern: of A has shape"):
        bi.ImplicitRegressor(5, alpha=1e-3, pattern=masks).fit(U, Y)
    classes = bi.ImplicitClassifier(6, alpha=1e-2, pattern={"A": masks["A"]}, n_init=1).fit(U, Y.argmax(axis=1))
    assert not classes.model_.A[~masks["A"]].any()
