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
