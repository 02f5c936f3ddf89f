import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bcd_implicit import ACTIVATIONS, InvalidInputError
from bcd_implicit.terms.activations import LeakyRelu, get_activation

ALL = [*ACTIVATIONS.values(), LeakyRelu(0.5), LeakyRelu(1.0)]
points = arrays(float, 7, elements=st.floats(-20, 20))


def inside(phi, x):
    return np.clip(x, *phi.domain)


class TestFenchelPair:
    """Each draw is put to all functions: drawing costs more than what is tested."""

    @given(x=points, z=points)
    def test_divergence_is_bounded_below_by_half_the_squared_distance(self, x, z):
        # g is 1-strongly convex because phi is 1-Lipschitz; the state certificate rests on this inequality.
        for phi in ALL:
            state = inside(phi, x)
            assert np.all(phi.divergence(state, z) >= 0.5 * (state - phi(z)) ** 2 - 1e-9 * (1 + z**2))

    @given(z=points)
    def test_divergence_is_zero_at_phi(self, z):
        for phi in ALL:
            np.testing.assert_allclose(phi.divergence(phi(z), z), 0, atol=1e-12 * (1 + np.max(z**2)))

    @given(z=points)
    def test_phi_is_the_gradient_of_the_conjugate(self, z):
        h = 1e-5
        for phi in ALL:
            slope = (phi.g_conjugate(z + h) - phi.g_conjugate(z - h)) / (2 * h)
            np.testing.assert_allclose(slope, phi(z), atol=1e-4)

    @given(x=points)
    def test_g_derivative_inverts_phi(self, x):
        for phi in ALL:
            state = 0.999 * inside(phi, x)
            np.testing.assert_allclose(phi(phi.g_derivative(state)), state, atol=1e-12)

    @given(z=points, w=points)
    def test_phi_is_monotone_and_1_lipschitz(self, z, w):
        for phi in ALL:
            step = phi(z) - phi(w)
            assert np.all(step * (z - w) >= 0)
            assert np.all(np.abs(step) <= np.abs(z - w) + 1e-12)

    @given(z=points)
    def test_derivative_matches_differences_away_from_kinks(self, z):
        h = 1e-6
        kinks = np.array([0.0, -1.0, 1.0])
        z = z[np.min(np.abs(z[:, None] - kinks), axis=1) > 1e-3]
        for phi in ALL:
            np.testing.assert_allclose((phi(z + h) - phi(z - h)) / (2 * h), phi.derivative(z), atol=1e-6)

    @given(z=points, t=st.floats(0.01, 50))
    def test_positive_homogeneity_is_as_declared(self, z, t):
        for phi in ALL:
            if phi.positively_homogeneous:
                np.testing.assert_allclose(phi(t * z), t * phi(z), atol=1e-9)
            else:
                assert phi(np.array([50.0])) != 50 * phi(np.array([1.5]))


@pytest.mark.parametrize("phi", ALL, ids=repr)
def test_cvxpy_halves_equal_numpy(phi):
    rng = np.random.default_rng(0)
    z = cp.Variable(9, value=3 * rng.standard_normal(9))
    x = cp.Variable(9, value=inside(phi, 2 * rng.standard_normal(9)))
    assert cp.sum(phi.cvxpy_g_conjugate(z)).value == pytest.approx(phi.g_conjugate(z.value).sum())
    whole, constraints = phi.cvxpy_g(x)
    assert whole.value == pytest.approx(phi.g(x.value).sum())
    assert all(c.is_dcp() and c.value() for c in constraints)
    rest, _ = phi.cvxpy_g_rest(x)
    assert rest.is_convex()
    assert phi.cvxpy_g_conjugate(z).is_convex()


@pytest.mark.parametrize(("name", "outside"), [("relu", -0.5), ("clip", -1.5), ("clip", 1.01)])
def test_cvxpy_domain_refuses_what_g_refuses(name, outside):
    phi = get_activation(name)
    assert np.isinf(phi.g(np.array([outside]))).all()
    x = cp.Variable(1, value=np.array([outside]))
    assert not all(c.value() for c in phi.cvxpy_g(x)[1])


def test_relu_values_by_hand():
    relu = get_activation("relu")
    np.testing.assert_array_equal(relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])
    np.testing.assert_array_equal(relu.g_conjugate(np.array([-2.0, 3.0])), [0, 4.5])
    np.testing.assert_array_equal(relu.g(np.array([-1e-9, 3.0])), [np.inf, 4.5])
    # F(x, z) = 1/2 + 9/2 - 3 = 2 at x = 1, z = 3: half the squared distance, as z > 0
    assert relu.divergence(np.array([1.0]), np.array([3.0]))[0] == 2.0


def test_unknown_activation_lists_the_known():
    with pytest.raises(InvalidInputError, match="activation: unknown activation 'gelu'.*relu, leaky_relu"):
        get_activation("gelu")


@pytest.mark.parametrize("slope", [0, -0.1, 1.5])
def test_leaky_slope_is_checked(slope):
    with pytest.raises(InvalidInputError, match=r"slope: must lie in \(0, 1\]"):
        LeakyRelu(slope)
