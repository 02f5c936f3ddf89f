"""The ridge that cross-validation chooses is the best for the implicit model, not for the linear one inside it."""

from __future__ import annotations

import numpy as np
import pytest

from bcd_implicit.estimators import ImplicitRegressor


@pytest.fixture
def curve():
    """A curve that no line fits: the state must do everything."""
    x = np.random.default_rng(0).uniform(-1, 1, (120, 1))
    return x, np.sin(4 * x[:, 0])


@pytest.mark.slow
def test_a_large_ridge_on_the_list_does_not_empty_the_others(curve):
    small = ImplicitRegressor(alpha=[1e-3, 1e-2], tol=1e-2).fit(*curve)
    large = ImplicitRegressor(alpha=[1e-3, 1e-2, 1.0], tol=1e-2).fit(*curve)
    assert large.cv_errors_[1.0] > 0.9  # C = 0, a line
    assert {alpha: large.cv_errors_[alpha] for alpha in small.cv_errors_} == small.cv_errors_
    assert large.alpha_ == small.alpha_
    assert large.score(*curve) > 0.9


def test_of_equal_errors_the_largest_alpha_is_taken():
    X = np.random.default_rng(0).standard_normal((20, 2))
    assert ImplicitRegressor(2, alpha=[0.1, 1.0, 0.3]).fit(X, np.ones(20)).alpha_ == 1.0


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 0.1), (0.5, 1.0)])
def test_the_largest_alpha_within_a_standard_error_of_the_difference_is_taken(monkeypatch, spread, expected):
    # Errors of 20 samples under the alphas 0.01, 0.1, 1 and 10; that of alpha 1 is 0.1 larger in the mean.
    noise = np.tile([1.0, -1.0], 10)
    errors = np.array([1.0 + 0 * noise, 0.9 + 5 * noise, 1.0 + 5 * noise + spread * noise, 3.0 + 0 * noise])

    def cross_validate(problem, chain, *args):
        assert [what.ridge_hidden for what in chain] == [0.01, 0.1, 1.0, 10.0]
        return errors

    monkeypatch.setattr("bcd_implicit.estimators.base.cross_validate", cross_validate)
    X = np.random.default_rng(0).standard_normal((20, 2))
    fitted = ImplicitRegressor(2, alpha=[10.0, 1.0, 0.1, 0.01], max_cycles=200, tol=1e-2).fit(X, X[:, 0])
    # The standard error of the difference is spread / sqrt(19), 0.11 for 0.5.
    assert fitted.alpha_ == expected
    assert fitted.cv_errors_ == pytest.approx({0.01: 1.0, 0.1: 0.9, 1.0: 1.0, 10.0: 3.0})
