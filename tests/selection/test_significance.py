"""The score test: its tail formula against simulation, its level and its power."""

import numpy as np
import pytest
from scipy.stats import chi2

import bcd_implicit as bi
from bcd_implicit.selection.refits import Refit, run_refit
from bcd_implicit.selection.significance import entry_p_values, weighted_chi_squared_tail

OPTIONS = {"max_cycles": 30, "tol": 1e-2}


@pytest.mark.parametrize("value", [5.0, 20.0, 60.0])
@pytest.mark.parametrize("degrees", [1, 2, 7])
def test_equal_weights_are_a_chi_squared_variable(value, degrees):
    expected = chi2.sf(value, degrees)
    if value > degrees:
        assert weighted_chi_squared_tail(3 * value, np.full(degrees, 3.0)) == pytest.approx(expected, rel=0.1)


def test_unequal_weights_against_simulation():
    weights, rng = np.array([4.0, 1.0, 0.3, 0.01]), np.random.default_rng(0)
    sums = weights @ rng.chisquare(1, (4, 400_000))
    for level in (0.1, 0.01, 0.001):
        value = np.quantile(sums, 1 - level)
        assert weighted_chi_squared_tail(value, weights) == pytest.approx(level, rel=0.15)
    assert weighted_chi_squared_tail(5.0, weights) == 1.0  # below the mean
    assert weighted_chi_squared_tail(1.0, np.zeros(3)) == 1.0


def fitted(U, Y, support, **options):
    problem = bi.TrainingProblem(U, Y, 3, **({"pass_through": False} | options))
    start = problem.initial(0)
    return problem, run_refit(problem, Refit(support, 3, 1e-3), start, 0, OPTIONS)


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
def test_p_values_of_inputs_without_a_part_are_uniform_in_the_tail():
    found = []
    for seed in range(8):
        data = bi.datasets.make_column_sparse(120, 42, 5, 4, 2, noise=0.5, correlation=0.5, random_state=seed)
        problem, result = fitted(data.U, data.Y, data.support)
        p_values = entry_p_values(problem, result, data.support)
        assert (p_values[data.support] == 1).all()
        found.append(p_values[~data.support])
    found = np.concatenate(found)  # 320 of them; two tests each, doubled
    for level in (0.1, 0.02):
        share = np.mean(found < level)
        assert share <= level + 3 * np.sqrt(level / len(found))
    assert np.mean(found < 0.2) >= 0.05


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
@pytest.mark.parametrize("effect", ["of the model", "even", "through D"])
def test_an_input_with_a_part_is_found(effect):
    data = bi.datasets.make_column_sparse(200, 8, 5, 4, 3, noise=0.3, random_state=0)
    support, Y, pass_through = data.support.copy(), data.Y, False
    if effect == "of the model":
        j = int(np.flatnonzero(support)[0])
        support[j] = False
    else:
        j = int(np.flatnonzero(~support)[0])
        shape = data.U[:, [j]] ** 2 if effect == "even" else data.U[:, [j]]
        Y, pass_through = Y + 0.5 * shape @ np.array([[1.0, -1.0, 0.5, 1.0, 0.3]]), effect == "through D"
    problem, result = fitted(data.U, Y, support, pass_through=pass_through)
    p_values = entry_p_values(problem, result, support)
    assert p_values.argmin() == j
    assert p_values[j] < 1e-6
    others = p_values[~support & (np.arange(8) != j)]
    assert (others > 1e-3).all()


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
def test_an_input_that_the_support_determines_is_never_found():
    data = bi.datasets.make_column_sparse(80, 4, 3, 3, 2, noise=0.3, random_state=0)
    U = np.hstack([data.U, data.U[:, data.support].sum(axis=1, keepdims=True), np.ones((80, 1))])
    support = np.append(data.support, [False, False])
    problem, result = fitted(U, data.Y, support)
    assert (entry_p_values(problem, result, support)[-2:] == 1).all()


def test_only_what_is_asked_for_is_tested():
    data = bi.datasets.make_column_sparse(120, 8, 5, 4, 3, noise=0.3, random_state=0)
    problem = bi.TrainingProblem(data.U, data.Y, 3, pass_through=False)
    nothing, asked = np.zeros(8, dtype=bool), np.arange(8) % 3 == 0
    some, all_of_them = (entry_p_values(problem, None, nothing, which) for which in (asked, None))
    np.testing.assert_allclose(some[asked], all_of_them[asked], rtol=1e-9)
    assert (some[~asked] == 1).all()
    assert (all_of_them[~asked] < 1).any()
