"""Refits, their errors, the rules and the choice look at the weights."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from problems import random_problem
from weights import SIZE, random_weights

import bcd_implicit as bi
from bcd_implicit import TrainingProblem, solve
from bcd_implicit.problem import statistics
from bcd_implicit.selection.path import kappa_path
from bcd_implicit.selection.refits import Refit, constant_model, folds
from bcd_implicit.selection.rules import RULES


def test_refits_and_their_errors_are_weighted():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights)
    result = constant_model(solve(problem, tol=1.0))
    np.testing.assert_allclose(result.iterate.d, np.average(problem.Y, axis=1, weights=weights))
    fold = folds(problem, 3, 0)[0]
    errors, _ = fold.run([Refit(np.zeros(6, dtype=bool), 4, 1e-4)], 0, {"tol": 1.0})
    centre = np.average(problem.Y[:, fold.train], axis=1, weights=weights[fold.train])[:, None]
    mean = np.average(problem.Y, axis=1, weights=weights)[:, None]
    variance = np.average((problem.Y - mean) ** 2, axis=1, weights=weights)[:, None]
    np.testing.assert_allclose(errors[0], np.mean((problem.Y[:, fold.test] - centre) ** 2 / variance, axis=0))


@pytest.mark.parametrize("rule", ["min", "bic"])
def test_rules_weigh_the_errors(rule):
    weights = np.where(np.arange(30) < 3, 100.0, 1.0)
    problem = random_problem(SIZE, sample_weight=weights)
    heavy_first = np.where(weights > 1, 0.1, 1.0)  # misses of a candidate that is good where the weight is
    misses = np.array([heavy_first, 1.1 - heavy_first])
    results = [
        SimpleNamespace(problem=SimpleNamespace(prediction=lambda it: it), iterate=problem.Y + miss) for miss in misses
    ]
    evidence = SimpleNamespace(
        path=SimpleNamespace(problem=problem),
        standard_error=lambda values: statistics.standard_error(values, problem.shares),
        errors=misses**2,
        refits=results,
        sizes=np.array([2, 2]),
        supports=np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=bool),
    )
    assert (misses**2).mean(axis=1).argmin() == 1  # without weights the other one would be chosen
    choice = RULES[rule](evidence)
    np.testing.assert_array_equal(choice.support, evidence.supports[0])
    if rule == "min":
        np.testing.assert_allclose(choice.columns["error"], np.average(misses**2, axis=1, weights=weights))
        np.testing.assert_allclose(
            choice.columns["standard_error"], statistics.standard_error(misses**2, problem.shares)
        )


@pytest.fixture(scope="module")
def spoilt():
    """Targets of 2 of 8 inputs, and where samples are bad of a stranger among the others as well."""
    data = bi.datasets.make_column_sparse(120, 8, 4, 4, 2, noise=0.1, random_state=0)
    Y, bad = data.Y.copy(), np.arange(120) % 4 == 0
    stranger = int(np.flatnonzero(~data.support)[0])
    Y[bad] += 3 * data.U[bad][:, [stranger]]
    return data, Y, bad, stranger


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_select_looks_at_the_weights(spoilt):
    data, Y, bad, stranger = spoilt

    def select(**options):
        problem = TrainingProblem(data.U, Y, 3, pass_through=False, **options)
        return kappa_path(problem, 2, tol=2e-2).select(
            n_folds=2, ridges=[1e-4], grow_hidden=False, max_cycles=20, tol=0.1
        )

    plain, equal = select(), select(sample_weight=np.full(120, 3.0))
    assert plain.support[stranger]
    np.testing.assert_array_equal(equal.support, plain.support)
    np.testing.assert_array_equal(equal.table["error"], plain.table["error"])
    weighted = select(sample_weight=np.where(bad, 1e-3, 1.0))
    np.testing.assert_array_equal(weighted.support, data.support)


@pytest.fixture(scope="module")
def weighted_path(spoilt):
    """Of the spoilt targets, where the bad samples weigh next to nothing."""
    data, Y, bad, _ = spoilt
    problem = TrainingProblem(data.U, Y, 4, pass_through=False, sample_weight=np.where(bad, 1e-3, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        return kappa_path(problem, 4, tol=2e-2)


@pytest.mark.parametrize("rule", ["paired-one-se", "one-se", "bic"])
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_other_rules_look_at_the_weights(spoilt, weighted_path, rule):
    data, _, _, stranger = spoilt
    chosen = weighted_path.select(rule, level=None, ridges=[1e-4], grow_hidden=False, max_cycles=20, tol=0.1)
    assert chosen.support[data.support].all()
    assert not chosen.support[stranger]
