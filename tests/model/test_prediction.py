"""Predictions of many samples, which are found in parts."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from bcd_implicit import ConvergenceWarning, ImplicitModel
from bcd_implicit.model import prediction


def drawn(n, seed=0, cycles=False, **options):
    rng = np.random.default_rng(seed)
    A = np.where(rng.random((n, n)) < 5 / n, rng.standard_normal((n, n)), 0.0)
    A = 0.9 * A / np.abs(A).sum(axis=1).max() if cycles else np.triu(A, 1)
    parts = (
        rng.standard_normal((n, 4)),
        rng.standard_normal(n),
        rng.standard_normal((2, n)),
        rng.standard_normal((2, 4)),
    )
    return ImplicitModel(sp.csr_array(A), *parts, rng.standard_normal(2), **options)


@pytest.mark.parametrize("cycles", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_parts_change_nothing(monkeypatch, cycles, activation):
    model, U = drawn(40, cycles=cycles, activation=activation), np.random.default_rng(1).standard_normal((301, 4))
    assert model.structure().acyclic != cycles
    whole = model.predict(U)
    widths = []
    found = prediction.solve_states

    def watched(structure, U, b, **options):
        widths.append(U.shape[1])
        return found(structure, U, b, **options)

    monkeypatch.setattr(prediction, "solve_states", watched)
    monkeypatch.setattr(prediction, "STATES", 40 * 80)
    # Of 80 samples at most, and about equal.
    in_parts = model.predict(U)
    assert widths == [76, 75, 75, 75]
    np.testing.assert_allclose(in_parts, whole, rtol=1e-8 if cycles else 1e-13, atol=1e-8 if cycles else 1e-13)
    states = model.states(U).X
    np.testing.assert_allclose(in_parts, states @ model.C.T + U @ model.D.T + model.d, rtol=1e-8, atol=1e-8)
    # No parts of a few samples, however many states there are.
    widths.clear()
    monkeypatch.setattr(prediction, "STATES", 1)
    model.predict(U)
    assert widths == [76, 75, 75, 75]


def test_not_all_states_are_kept():
    n, m = 2000, 5000
    A = sp.diags_array(np.ones(n - 1000), offsets=1000, shape=(n, n))
    model = ImplicitModel(A, sp.csr_array(np.ones((n, 1))), None, sp.csr_array(np.ones((1, n))))
    U = np.linspace(0, 1, m)[:, None]
    model.predict(U[:1])
    tracemalloc.start()
    found = model.predict(U)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, 3000 * U, rtol=1e-12)
    # All states take 80 MB.
    assert peak < 25e6


def test_a_warning_is_given_once_for_all_parts(monkeypatch):
    monkeypatch.setattr(prediction, "STATES", 2 * 64)
    # Units so far apart that little is known of the error.
    model = ImplicitModel([[0.0, 1e12], [0.999e-12, 0.0]], [[1.0], [1.0]], None, [[1.0, 1.0]], activation="tanh")
    U = np.random.default_rng(0).standard_normal((256, 1))
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        model.predict(U)
    assert [warning.category for warning in given] == [ConvergenceWarning]
    assert given[0].filename == __file__
