"""Odd tables at every door: a finite, certified result, or an error that names what is wrong with what was passed."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from odd_tables import ODD, USUAL, odd_samples, refused, tried

import bcd_implicit as bi

pytestmark = pytest.mark.hard

# These tables take milliseconds. Units far apart take seconds; a hang takes longer than the busiest machine.
LONGEST = 60.0
many = settings(max_examples=200, suppress_health_check=list(HealthCheck))


def is_finite(model):
    return all(np.isfinite(getattr(model, letter)).all() for letter in "ABbCDd")


@pytest.mark.parametrize("powers", [ODD, USUAL], ids=["odd units", "usual units"])
@pytest.mark.parametrize("group_over", ["B", "BD"])
def test_problems(group_over, powers):
    ends = []

    @many
    @given(odd_samples(powers=powers))
    def check(samples):
        U, Y, weight = samples
        began = time.perf_counter()

        def train():
            problem = bi.TrainingProblem(U, Y, 2, kappa=0.01, sample_weight=weight, group_over=group_over)
            return bi.solve(problem, max_cycles=3)

        result = tried(train)
        ends.append(result)
        assert time.perf_counter() - began < LONGEST
        if refused(result, "U", "Y", "sample_weight"):
            return
        assert is_finite(result.model)
        assert np.isfinite(result.objective)
        assert np.isfinite(tried(lambda: result.model.predict(U))).all()
        for certificate in result.certificates.values():
            assert certificate.violation <= 1e-8
            if powers is USUAL:
                assert certificate.holds(1e-6)

    check()
    # A test of errors alone, or of whole tables alone, would say little.
    share = np.mean([isinstance(end, bi.BcdResult) for end in ends])
    assert 0.2 < share < 0.8


@many
@given(odd_samples())
def test_regressors_take_and_refuse_what_problems_do(samples):
    X, y, weight = samples
    fitted = tried(lambda: bi.ImplicitRegressor(2, alpha=0.1, max_cycles=3, n_init=1).fit(X, y, weight))
    problem = tried(lambda: bi.TrainingProblem(X, y, 2, sample_weight=weight))
    if refused(fitted, "X", "y", "sample_weight"):
        assert isinstance(problem, bi.InvalidInputError)
        if y is not None:
            assert fitted.cause.replace("X", "U") == problem.cause
        return
    assert isinstance(problem, bi.TrainingProblem)
    assert is_finite(fitted.model_)
    assert np.isfinite(tried(lambda: fitted.predict(X))).all()
    assert np.isfinite(fitted.feature_importances_).all()


@many
@given(odd_samples(words=True))
def test_classifiers(samples):
    X, y, weight = samples
    fitted = tried(lambda: bi.ImplicitClassifier(2, alpha=0.1, max_cycles=3, n_init=1).fit(X, y, weight))
    if not refused(fitted, "X", "y", "sample_weight"):
        assert is_finite(fitted.model_)
        assert np.isin(tried(lambda: fitted.predict(X)), fitted.classes_).all()


@pytest.mark.parametrize("words", [False, True])
def test_selectors(words):
    @settings(many, max_examples=40)
    @given(odd_samples(words=words))
    def check(samples):
        X, y, weight = samples
        selector = bi.ImplicitFeatureSelector(2, n_kappas=2, rule="plateau", level=None)
        fitted = tried(lambda: selector.fit(X, y, weight))
        if not refused(fitted, "X", "y", "sample_weight"):
            assert is_finite(fitted.selection_.model)
            assert tried(lambda: fitted.transform(X)).shape[1] == fitted.support_.sum()

    check()
