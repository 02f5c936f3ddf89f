"""Bounds where only the matrix measure proves a model, against its states by mpmath: they hold, and are proved."""

from __future__ import annotations

import warnings
from dataclasses import replace

import mpmath
import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.model.robustness.bounds import PROOFS

QUICK = ("perron-frobenius", "interval", "backward")
PHI = {"softplus": lambda z: mpmath.log1p(mpmath.exp(z)), "tanh": mpmath.tanh, "arctan": mpmath.atan}


def one(a, activation="relu", d=0.0, **options):
    return bi.ImplicitModel([[a]], [[1.0]], [0.0], [[1.0]], None, [d], activation, **options)


def root(phi, a, drive):
    """The solution of x = phi(a x + drive), a < 0, by bisection."""
    low, high = mpmath.mpf(-2), mpmath.mpf(40)
    for _ in range(160):
        middle = (low + high) / 2
        low, high = (middle, high) if phi(a * middle + drive) > middle else (low, middle)
    return float(low), float(high)


@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize("a", [-1e3, -1e4, -1e6])
def test_bounds_hold_whatever_the_states_that_they_start_from(activation, a):
    least, largest = root(PHI[activation], a, mpmath.mpf(1))
    model = one(a, activation)
    for method in QUICK:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.ConvergenceWarning)
            found = model.bounds([[1.0]], 0.0, method=method)
        assert found.lower <= least, method
        assert largest <= found.upper, method
        assert found.check()


def test_what_states_miss_is_not_divided_by_what_holds_them_back():
    # A relu that is off at -1: its state is 0, and one that is said to be 0.1 misses that by 0.1, whatever A.
    found = one(-1e3).bounds([[-1.0]], 0.0, method="perron-frobenius")
    assert found.check()
    wrong = replace(found.certificate, states=np.array([[0.1]]))
    for reach, proved in ((0.001, False), (0.09, False), (0.11, True)):
        # The state itself is 0: from 0.1 - reach to 0.1 + reach.
        ends = np.array([0.1 + reach, reach - 0.1])
        assert PROOFS[type(wrong)](found._system, found._box, wrong, ends) is proved


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "softplus", "elu", "sigmoid", "tanh"])
def test_every_certificate_passes(activation):
    rng = np.random.default_rng(0)
    for _ in range(6):
        n = int(rng.integers(1, 3))
        A = 0.3 * rng.normal(size=(n, n)) - np.diag(10 ** rng.uniform(0.2, 2, n))
        model = bi.ImplicitModel(A, rng.normal(size=(n, 2)), None, np.eye(n), activation=activation)
        U = rng.normal(size=(2, 2)) * rng.choice([0, 1, 100], (2, 1))
        for radius in (0.0, 1.0):
            for method in QUICK:
                assert model.bounds(U, radius, method=method).check(), (A, method, radius)


@pytest.mark.parametrize("a", [-3.0, -10.0])
@pytest.mark.parametrize("options", [{}, {"n_cuts": 2}, {"method": "interval"}, {"method": "sdp"}], ids=str)
def test_a_bound_that_is_attained_at_a_kink_is_proved(a, options):
    model = one(a)
    found = model.bounds([[0.0]], 1.0, **options)
    assert found.check()
    # Intervals end where a step is worth little.
    assert -1e-3 <= found.lower <= 0
    assert found.upper == pytest.approx(1 / (1 - a), rel=1e-6)
    # What is a little too tight is not.
    assert not replace(found, upper=found.upper - 1e-3).check()
