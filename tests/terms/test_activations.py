import cvxpy as cp
import numpy as np
import pytest
from draws import entries
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar

from bcd_implicit import ACTIVATIONS, InvalidInputError
from bcd_implicit.terms.activation_checks import check_activation
from bcd_implicit.terms.activations import LeakyRelu, SoftThreshold, get_activation

ALL = [*ACTIVATIONS.values(), LeakyRelu(0.5), LeakyRelu(1.0), SoftThreshold(2.0)]
CONIC = [phi for phi in ALL if phi.conic]
KINKS = np.array([0.0, -1.0, 1.0, -0.5, 0.5, -2.0, 2.0])
points = arrays(float, 7, elements=entries(-20, 20))


def names(activations):
    return [f"{phi.name}{[*phi.parameters.values()] or ''}" for phi in activations]


def inside(phi, x):
    return np.clip(x, *phi.domain)


class TestFenchelPair:
    """Each draw is put to all functions: drawing costs more than what is tested."""

    @given(x=points, z=points)
    def test_divergence_is_bounded_below_by_the_squared_distance(self, x, z):
        # g is 1/max_slope-strongly convex because phi is max_slope-Lipschitz; the state certificate rests on this.
        for phi in ALL:
            state = inside(phi, x)
            least = 0.5 / phi.max_slope * (state - phi(z)) ** 2
            assert np.all(phi.divergence(state, z) >= least * (1 - 1e-9) - 1e-14 * (1 + z**2))

    @given(x=points, z=points)
    def test_divergence_is_the_sum_of_its_terms(self, x, z):
        for phi in ALL:
            state = inside(phi, x)
            terms = phi.g(state) + phi.g_conjugate(z) - state * z
            np.testing.assert_allclose(phi.divergence(state, z), terms, atol=1e-12 * (1 + np.max(z**2 + state**2)))

    @given(z=points)
    def test_divergence_is_zero_at_phi(self, z):
        for phi in ALL:
            # To what the last digit of phi(z) counts.
            last_digit = np.finfo(float).eps * np.abs(phi(z))
            assert np.all(phi.divergence(phi(z), z) <= phi.g_curvature(phi(z)) * last_digit**2)

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

    @given(x=points)
    def test_g_derivative_and_curvature_match_differences(self, x):
        h = 1e-6
        for phi in ALL:
            state = inside(phi, x)
            low, high = phi.domain
            state = state[(state > low + 1e-2) & (state < high - 1e-2) & (np.abs(state) > 1e-3)]
            slope = (phi.g(state + h) - phi.g(state - h)) / (2 * h)
            np.testing.assert_allclose(slope, phi.g_derivative(state), rtol=1e-6, atol=1e-6)
            curvature = (phi.g_derivative(state + h) - phi.g_derivative(state - h)) / (2 * h)
            np.testing.assert_allclose(curvature, phi.g_curvature(state), rtol=1e-5, atol=1e-6)

    @given(z=points, w=points)
    def test_phi_is_monotone_and_no_steeper_than_declared(self, z, w):
        for phi in ALL:
            step = phi(z) - phi(w)
            assert np.all(step * (z - w) >= 0)
            assert np.all(np.abs(step) <= phi.max_slope * np.abs(z - w) + 1e-12)

    @given(z=points)
    def test_derivative_matches_differences_away_from_kinks(self, z):
        h = 1e-6
        z = z[np.min(np.abs(z[:, None] - KINKS), axis=1) > 1e-3]
        for phi in ALL:
            np.testing.assert_allclose((phi(z + h) - phi(z - h)) / (2 * h), phi.derivative(z), atol=1e-6)

    @given(z=points, t=st.floats(0.01, 50))
    def test_positive_homogeneity_is_as_declared(self, z, t):
        for phi in ALL:
            if phi.positively_homogeneous:
                np.testing.assert_allclose(phi(t * z), t * phi(z), atol=1e-9)
            else:
                assert phi(np.array([-50.0])) != 50 * phi(np.array([-1.0]))


@pytest.mark.parametrize("phi", ALL, ids=names(ALL))
def test_g_is_the_conjugate_of_g_conjugate(phi):
    bounds, options = np.clip(phi.domain, -50, 50), {"xatol": 1e-9}
    for z in (-3.0, -0.4, 0.2, 1.7):
        least = minimize_scalar(lambda x, z=z: phi.g(x) - z * x, bounds=bounds, method="bounded", options=options)
        assert -least.fun == pytest.approx(float(phi.g_conjugate(z)), abs=1e-7)


@pytest.mark.parametrize("phi", ALL, ids=names(ALL))
def test_all_pass_the_checks_of_registration(phi):
    check_activation(phi)


@pytest.mark.parametrize("phi", ALL, ids=names(ALL))
def test_all_is_finite_however_large_and_small(phi):
    z = np.concatenate([-np.logspace(100, -300, 200), [0.0], np.logspace(-300, 100, 200)])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        x, slopes = phi(z), phi.derivative(z)
        assert np.all((phi.domain[0] <= x) & (x <= phi.domain[1]))
        assert np.all((slopes >= 0) & (slopes <= phi.max_slope * (1 + 1e-12)))
        ends = np.array([end for end in phi.domain if np.isfinite(end)])
        x = np.concatenate([x, ends])
        for values in (phi.g(x), phi.g_derivative(x), phi.g_curvature(x), phi.g_conjugate(z)):
            assert np.isfinite(values).all()
        assert np.all(phi.g_curvature(x) >= (1 - 1e-12) / phi.max_slope)
        usual = z[np.abs(z) < 1e6]
        divergence = phi.divergence(np.clip(x, -1e6, 1e6)[:, None], usual)
    assert np.isfinite(divergence).all()
    assert np.all(divergence >= 0)


@pytest.mark.parametrize("phi", CONIC, ids=names(CONIC))
def test_cvxpy_halves_equal_numpy(phi):
    rng = np.random.default_rng(0)
    z, x = cp.Variable((3, 4)), cp.Variable((3, 4))
    at_z, at_x = 3 * rng.standard_normal((3, 4)), phi(2 * rng.standard_normal((3, 4)))
    for weights in (1.0, rng.random(4), rng.random((3, 4))):
        # Solved, as an expression may have variables of its own.
        half = cp.Problem(cp.Minimize(phi.cvxpy_g_conjugate(z, weights)), [z == at_z])
        assert half.is_dcp()
        wanted = float(np.sum(weights * phi.g_conjugate(at_z)))
        assert half.solve(solver="CLARABEL") == pytest.approx(wanted, rel=1e-6)
        rest, domain = phi.cvxpy_g_rest(x, weights)
        half = cp.Problem(cp.Minimize(rest), [*domain, x == at_x])
        assert half.is_dcp()
        wanted = float(np.sum(weights * (phi.g(at_x) - 0.5 * phi.quadratic_part * at_x**2)))
        assert half.solve(solver="CLARABEL") == pytest.approx(wanted, rel=1e-6, abs=1e-7)
    whole, domain = phi.cvxpy_g(x)
    half = cp.Problem(cp.Minimize(whole), [*domain, x == at_x])
    assert half.solve(solver="CLARABEL") == pytest.approx(phi.g(at_x).sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["softplus", "arctan"])
def test_what_no_cone_can_say_is_refused_by_name(name):
    phi, x = get_activation(name), cp.Variable(2)
    assert not phi.conic
    for pose in (phi.cvxpy_g_rest, phi.cvxpy_g, phi.cvxpy_g_conjugate):
        with pytest.raises(InvalidInputError, match=f"activation: {name} has no CVXPY form.*native only.*Use solver"):
            pose(x)


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        *(("relu", -0.5), ("clip", -1.5), ("clip", 1.01), ("tanh", 1.01), ("tanh", -2.0), ("sigmoid", -0.1)),
        *(("sigmoid", 1.1), ("elu", -1.01), ("softsign", 1.1)),
    ],
)
def test_cvxpy_domain_refuses_what_g_refuses(name, outside):
    phi = get_activation(name)
    assert np.isinf(phi.g(np.array([outside]))).all()
    assert np.isinf(phi.divergence(np.array([outside]), np.array([0.5]))).all()
    x = cp.Variable(1)
    whole, domain = phi.cvxpy_g(x)
    half = cp.Problem(cp.Minimize(whole), [*domain, x == outside])
    half.solve(solver="CLARABEL")
    assert half.status in ("infeasible", "infeasible_inaccurate")


@pytest.mark.parametrize(("name", "outside"), [("softplus", -0.1), ("arctan", 1.6)])
def test_divergence_is_infinite_outside_of_the_domain(name, outside):
    phi = get_activation(name)
    assert np.isinf(phi.g(outside))
    assert np.isinf(phi.divergence(np.array([outside]), np.array([0.5]))).all()


def test_relu_values_by_hand():
    relu = get_activation("relu")
    np.testing.assert_array_equal(relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])
    np.testing.assert_array_equal(relu.g_conjugate(np.array([-2.0, 3.0])), [0, 4.5])
    np.testing.assert_array_equal(relu.g(np.array([-1e-9, 3.0])), [np.inf, 4.5])
    # F(x, z) = 1/2 + 9/2 - 3 = 2 at x = 1, z = 3: half the squared distance, as z > 0
    assert relu.divergence(np.array([1.0]), np.array([3.0]))[0] == 2.0


def test_smooth_values_by_hand():
    def at(name):
        return get_activation(name)

    assert at("sigmoid")(np.log(3)) == pytest.approx(0.75)
    assert at("sigmoid").g(0.5) == pytest.approx(-np.log(2))
    assert at("tanh").g(1.0) == pytest.approx(np.log(2))
    # Li2(1) = pi^2/6 and Li2(-1) = -pi^2/12
    assert at("softplus").g(0.0) == 0
    assert at("softplus").g_conjugate(0.0) == pytest.approx(np.pi**2 / 12)
    assert at("elu").g(-1.0) == pytest.approx(1.0)
    assert at("arctan").g(np.pi / 3) == pytest.approx(np.log(2))
    assert at("softsign")(np.array([-3.0])) == -0.75
    assert at("soft_threshold")(np.array([-2.0, 0.4])).tolist() == [-1.5, 0.0]


def test_limits():
    z = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(SoftThreshold(1e-9)(z), get_activation("identity")(z), atol=1e-9)
    np.testing.assert_allclose(get_activation("tanh")(z), 2 * get_activation("sigmoid")(2 * z) - 1)


def test_unknown_activation_lists_the_known():
    with pytest.raises(InvalidInputError, match="activation: unknown activation 'gelu'.*relu, leaky_relu"):
        get_activation("gelu")


@pytest.mark.parametrize("slope", [0, -0.1, 1.5])
def test_leaky_slope_is_checked(slope):
    with pytest.raises(InvalidInputError, match=r"slope: must lie in \(0, 1\]"):
        LeakyRelu(slope)


@pytest.mark.parametrize("threshold", [-0.1, 0, np.inf, "0.5"])
def test_threshold_is_checked(threshold):
    with pytest.raises(InvalidInputError, match="threshold: .* Give a positive number"):
        SoftThreshold(threshold)
