"""Anderson's and Broyden's corrections, and what keeps them safe."""

import numpy as np
import pytest
from contracting import batch

from bcd_implicit.model.accelerated import accelerated
from bcd_implicit.model.broyden import _Inverse
from bcd_implicit.model.fixed_point import fixed_point
from bcd_implicit.model.state_map import StateMap
from bcd_implicit.model.well_posedness import weights as find_weights
from bcd_implicit.terms.activations import get_activation


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
def test_where_picard_crawls_they_do_not(solver):
    A, drive = batch(0.999, n=10, signs=False)
    relu = get_activation("relu")
    point = fixed_point(A, drive, relu, solver=solver, tol=1e-13)
    # The contraction says 30,000 for Picard.
    assert point.n_iter < 300
    exact = fixed_point(A, drive, relu, solver="newton", tol=1e-13)
    assert np.all(np.abs(point.X - exact.X).max(axis=0) <= point.error_bound + exact.error_bound)


@pytest.mark.parametrize("scale", [1e-120, 1e-150, 1e-156, 1e-165])
def test_numbers_whose_squares_underflow_spoil_no_system(scale):
    A, drive = batch(0.7, n=4, m=3)
    identity = get_activation("identity")
    point = fixed_point(A, scale * drive, identity, solver="anderson")
    exact = np.linalg.solve(np.eye(4) - A, drive)
    assert np.abs(point.X - scale * exact).max() <= 1e-9 * scale * np.abs(exact).max()


@pytest.mark.parametrize("correction", [np.zeros_like, np.sin, lambda c: 1e6 + c, lambda c: c * np.nan])
def test_whatever_the_corrections_are_samples_settle(correction):
    """Of samples in which phi is curved, flat and steep, with units that are far apart."""

    class Spoilt:
        def correction(self, change):
            return correction(change)

        def append(self, moved, turned):
            assert moved.shape == turned.shape

        def take(self, samples):
            assert samples.any()

    A, drive = batch(0.9, n=5, m=40)
    units = np.array([1.0, 1e4, 1e-3, 30.0, 0.5])
    A, drive = A * units[:, None] / units, drive * units[:, None]
    for name in ("relu", "tanh", "soft_threshold"):
        states = StateMap(A, drive, get_activation(name), find_weights(np.abs(A)), 1e-12)
        reached = accelerated(states, states.step(np.zeros_like(drive)), 100_000, Spoilt(), "spoilt")
        assert reached.settled
        reference = fixed_point(A, drive, states.activation, weights=states.weights, tol=1e-13)
        error = np.abs(reached.new - reference.X).max(axis=0)
        assert np.all(error <= states.error_bound(reached.X, reached.new) + reference.error_bound)


def test_broydens_guess_takes_the_last_change_to_the_last_step_and_is_kept_for_the_rest():
    rng = np.random.default_rng(0)
    inverse = _Inverse((6, 4))
    H = np.repeat(-np.eye(6)[None], 4, axis=0)
    for _ in range(5):
        moved, turned = rng.standard_normal((2, 6, 4))
        inverse.append(moved, turned)
        for k in range(4):  # the formula, a sample at a time
            s, t = moved[:, k], turned[:, k]
            H[k] += np.outer(s - H[k] @ t, s @ H[k]) / (s @ H[k] @ t)
    for probe in (turned, rng.standard_normal((6, 4))):
        found = inverse.correction(probe) - probe
        np.testing.assert_allclose(found, np.einsum("kab,bk->ak", H, probe), rtol=1e-9)
    np.testing.assert_allclose(inverse.correction(turned) - turned, moved, rtol=1e-9)
    # A step of a sample that says nothing changes nothing.
    moved[:, 0] = 0.0
    before = inverse.correction(probe)
    inverse.append(moved, turned)
    np.testing.assert_array_equal(inverse.correction(probe)[:, 0], before[:, 0])
