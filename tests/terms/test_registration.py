"""Activations of a person's own: what is asked of them, and that they then work like any other."""

import math

import cvxpy as cp
import numpy as np
import pytest
from problems import at, check_native, random_problem
from scipy.special import erf

import bcd_implicit as bi
from bcd_implicit import ACTIVATIONS, InvalidInputError, register_activation
from bcd_implicit.terms.activations import FormulaActivation, LeakyRelu


@pytest.fixture(autouse=True)
def _forgotten_afterwards():
    before = dict(ACTIVATIONS)
    yield
    ACTIVATIONS.clear()
    ACTIVATIONS.update(before)


def root(z):
    return np.hypot(1, z)


# (z + sqrt(z^2 + 1)) / 2, of which z + sqrt(z^2 + 1) = 1 / (sqrt(z^2 + 1) - z) keeps the digits.
SQUAREPLUS = {
    "phi": lambda z: np.where(z > 0, z + root(z), 1 / (root(z) + np.abs(z))) / 2,
    "derivative": lambda z: np.where(z > 0, 1 + z / root(z), 1 / (root(z) * (root(z) + np.abs(z)))) / 2,
    "g": lambda x: x**2 / 2 - np.log(2 * x) / 4 - 1 / 8,
    "g_derivative": lambda x: x - 1 / (4 * x),
    "g_conjugate": lambda z: z * np.where(z > 0, z + root(z), 1 / (root(z) + np.abs(z))) / 4 + np.arcsinh(z) / 4,
    "domain": (1e-150, np.inf),
}
SOFTSIGN = {
    "phi": lambda z: np.clip(z / (1 + np.abs(z)), -1 + 1e-16, 1 - 1e-16),
    "derivative": lambda z: (1 + np.abs(z)) ** -2.0,
    "g": lambda x: -np.abs(x) - np.log1p(-np.abs(x)),
    "g_derivative": lambda x: x / (1 - np.abs(x)),
    "g_conjugate": lambda z: np.abs(z) - np.log1p(np.abs(z)),
    "domain": (-1 + 1e-16, 1 - 1e-16),
}
RELU = {
    "phi": lambda z: np.maximum(z, 0),
    "derivative": lambda z: (z > 0).astype(float),
    "g": lambda x: x**2 / 2,
    "g_derivative": lambda x: x,
    "g_conjugate": lambda z: np.maximum(z, 0) ** 2 / 2,
    "domain": (0, np.inf),
}
IN_CONES = {"cvxpy_g": lambda x: cp.square(x) / 2, "cvxpy_g_conjugate": lambda z: cp.square(cp.pos(z)) / 2}


def test_softsign_by_hand_is_the_built_in_one():
    mine, built_in = register_activation("mine", **SOFTSIGN), ACTIVATIONS["softsign"]
    assert ACTIVATIONS["mine"] is mine
    z = np.linspace(-9, 9, 31)
    x = built_in(z[::-1])
    for function in ("__call__", "derivative", "g_conjugate"):
        np.testing.assert_allclose(getattr(mine, function)(z), getattr(built_in, function)(z), atol=1e-14)
    for function in ("g", "g_derivative", "g_curvature"):
        np.testing.assert_allclose(getattr(mine, function)(x), getattr(built_in, function)(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(mine.divergence(x, z), built_in.divergence(x, z), rtol=1e-10, atol=1e-15)
    near = x + 1e-6 * (1 - np.abs(x))
    np.testing.assert_allclose(
        mine.divergence(near, built_in.g_derivative(x)), built_in.divergence(near, built_in.g_derivative(x)), rtol=1e-6
    )
    assert not mine.conic
    assert repr(mine) == "<activation mine>"


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_a_registered_activation_trains_by_its_name(method, tmp_path):
    register_activation("squareplus", **SQUAREPLUS)
    problem = random_problem((3, 4, 2, 40), activation="squareplus", kappa=0.02)
    result = bi.solve(problem, method=method, tol=1e-2, random_state=0)
    assert result.status.ok
    assert (result.history["objective"].diff().dropna() <= 0).all()
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    result.model.save(tmp_path / "m.npz")
    again = bi.ImplicitModel.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(again.predict(problem.U.T), result.model.predict(problem.U.T))


def test_with_cvxpy_halves_conic_solvers_serve_too():
    phi = register_activation("mine", **RELU, **IN_CONES, positively_homogeneous=True)
    assert phi.conic
    problem = random_problem((3, 4, 2, 30), activation="mine", kappa=0.1)
    it = at(problem, "hidden")
    native, reference = check_native(problem, it, "hidden")
    built_in = bi.solve_block(problem.replace(activation="relu"), it, "hidden", "native")
    assert native.objective == pytest.approx(built_in.objective, rel=1e-9)
    assert reference.solver == "CLARABEL"


class Steep(LeakyRelu):
    """phi of slope 1.2."""

    name = "steep"

    def __call__(self, z):
        return 1.2 * super().__call__(z)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phi": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2}, "mine: phi leaves the domain"),
        (
            {"phi": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2, "domain": (-1, np.inf)},
            r"mine: phi is not monotone \(z = -\d.*, next_z = -\d.*, next_phi = -",
        ),
        ({"phi": lambda z: 1.2 * np.maximum(z, 0)}, r"mine: phi is steeper than max_slope = 1 \(slope = 1.2, z = "),
        ({"max_slope": 0.5}, "mine: phi is steeper than max_slope = 0.5"),
        ({"phi": lambda z: np.where(np.abs(z) > 5, np.nan, 0)}, r"mine: phi is not finite \(z = -?\d.*, phi = nan\)"),
        ({"domain": (1, np.inf)}, r"mine: phi leaves the domain \(1, inf\)"),
        ({"domain": (-1, np.inf)}, r"phi\(g_derivative\(x\)\) is not x \(x = -1, g_derivative = -1, phi = 0\)"),
        ({"derivative": lambda z: 0.5 * (z > 0)}, "derivative is not that of phi .* derivative = 0.5, difference = 1"),
        ({"derivative": lambda z: np.where(z > 0, 2.0, 0.0)}, r"derivative is not in \[0, max_slope\]"),
        ({"g_conjugate": lambda z: 0.4 * np.maximum(z, 0) ** 2}, "phi is not the derivative of g_conjugate"),
        ({"g_conjugate": lambda z: 1 + np.maximum(z, 0) ** 2 / 2}, r"is not 0 at x = phi\(z\) .*divergence = 1\)"),
        ({"g": lambda x: x**2}, r"g\(x\) \+ g_conjugate\(z\) - x z is not 0 at x = phi\(z\)"),
        ({"g_derivative": lambda x: 2 * x}, r"phi\(g_derivative\(x\)\) is not x"),
        ({"g_curvature": lambda x: 0.5 + 0 * x}, "g_curvature is below 1 / max_slope"),
        # Above 1 / max_slope everywhere, but not g''.
        ({"g_curvature": lambda x: 5.0 + 0 * x}, "g_curvature is not that of g .*g_curvature = 5, difference = 1"),
        ({"divergence": lambda x, z: (x - z) ** 2 / 2}, r"divergence is not g\(x\) \+ g_conjugate\(z\) - x z"),
        (IN_CONES | {"cvxpy_g": cp.square}, "cvxpy_g has another value than NumPy's .* cvxpy = .* numpy = "),
        (IN_CONES | {"cvxpy_g": lambda x: -cp.square(x)}, "cvxpy_g is not convex by CVXPY's rules"),
        (IN_CONES | {"cvxpy_g_conjugate": lambda z: cp.square(z) / 2}, "cvxpy_g_conjugate has another value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "changed",
)
def test_what_is_no_activation_is_refused_with_the_reason(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        register_activation("mine", **RELU | changes)
    assert "mine" not in ACTIVATIONS


def test_homogeneity_that_is_claimed_is_checked():
    with pytest.raises(InvalidInputError, match=r"phi\(2 z\) is not 2 phi\(z\)"):
        register_activation("mine", **SOFTSIGN, positively_homogeneous=True)


def test_subclasses_are_checked_alike():
    with pytest.raises(InvalidInputError, match="steep: phi is steeper than max_slope = 1"):
        register_activation(Steep())
    mild = LeakyRelu(0.3)
    mild.name = "mild"
    assert register_activation(mild) is ACTIVATIONS["mild"]


def test_g_that_ends_nowhere_is_refused():
    class Open(type(ACTIVATIONS["relu"])):
        name = "open"

        def g(self, x):
            return np.square(x) / 2

    with pytest.raises(InvalidInputError, match=r"open: g is not inf outside of the domain \(x = -0.001"):
        register_activation(Open())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: register_activation("relu", **RELU), "activation: relu is built in. Choose another name"),
        (lambda: register_activation("relu", **RELU, overwrite=True), "relu is built in"),
        (lambda: register_activation("", **RELU), "activation: has the name ''"),
        (lambda: register_activation(LeakyRelu(), **RELU), "is an Activation, but formulas are given too"),
        (
            lambda: register_activation("mine", **RELU | {"phi": 1.0}),
            "phi: is of type float. Give a function of an array",
        ),
        (lambda: register_activation("mine", **RELU | {"domain": 1.0}), "domain: got 1.0. Give the smallest"),
        (lambda: register_activation("mine", **RELU | {"domain": (1, 0)}), r"domain: \(1, 0\) is empty"),
        (lambda: register_activation("mine", **RELU, max_slope=1.5), "max_slope"),
        (lambda: register_activation("mine", **RELU, cvxpy_g=cp.square), "cvxpy_g: and cvxpy_g_conjugate belong"),
        (lambda: register_activation("mine", **RELU | {"phi": np.max}), r"phi: gives shape \(\) for arrays of shape"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_a_name_is_given_once_unless_overwritten():
    first = register_activation("mine", **RELU)
    with pytest.raises(InvalidInputError, match="mine is registered already. Choose another name, or overwrite=True"):
        register_activation("mine", **SOFTSIGN)
    assert ACTIVATIONS["mine"] is first
    second = register_activation("mine", **SOFTSIGN, overwrite=True)
    assert (
        ACTIVATIONS["mine"] is second is bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]], activation="mine").activation
    )
    assert isinstance(second, FormulaActivation)


ASINH = {
    "phi": np.arcsinh,
    "derivative": lambda z: 1 / root(z),
    "g": lambda x: 2 * np.sinh(x / 2) ** 2,
    "g_derivative": np.sinh,
    "g_conjugate": lambda z: z * np.arcsinh(z) - z**2 / (1 + root(z)),
}


def test_a_narrow_dip_is_found():
    with pytest.raises(InvalidInputError, match="dip: phi is not monotone"):
        register_activation(
            "dip", **ASINH | {"phi": lambda z: np.arcsinh(z) - 0.5 * np.exp(-(((z - 0.333) / 0.02) ** 2))}
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phi": None}, "phi: is missing. Give phi, derivative, g, g_derivative, g_conjugate"),
        ({"phi": 3}, "phi: is of type int"),
        ({"phi": math.asinh}, r"phi: failed for an array of shape \(201,\): TypeError: "),
        ({"phi": lambda z, other: z}, "phi: failed for an array .*TypeError: .* missing 1 required"),
        ({"phi": lambda z: 1 / 0}, "phi: failed for an array .*ZeroDivisionError: division by zero. Give a function"),
        ({"phi": lambda z: "a"}, "phi: gives 'a', no real ones"),
        ({"phi": lambda z: None}, "phi: gives None, no real ones"),
        ({"phi": lambda z: np.arcsinh(z + 0j)}, r"phi: gives complex numbers, no real ones"),
        ({"derivative": lambda z: 1.0}, r"derivative: gives shape \(\) for arrays"),
        ({"g_derivative": math.sinh}, r"g_derivative: failed for an array of shape \(2,\)"),
        ({"domain": None}, "domain: got None"),
        # Halves of cones.
        ({"cvxpy_g": lambda x: None}, r"cvxpy_g: gives None for a variable of shape \(1, 2\)"),
        ({"cvxpy_g": lambda x: x.nope}, "cvxpy_g: failed for Variable of shape .*AttributeError"),
        ({"cvxpy_g": lambda x: cp.sum_squares(x) / 2}, "cvxpy_g: gives .* for a variable of shape"),
        ({"cvxpy_g": lambda x: cp.square(x) * 0 + cp.sum_squares(x) / 2}, "cvxpy_g has another value than NumPy's"),
        ({"cvxpy_g": lambda x: cp.square(x), "cvxpy_g_conjugate": None}, "cvxpy_g: and cvxpy_g_conjugate belong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "changed",
)
def test_formulas_that_fail_are_named(changes, message):
    formulas = (RELU | IN_CONES if "cvxpy_g" in changes else ASINH) | changes
    with pytest.raises(InvalidInputError, match=message):
        register_activation("mine", **formulas)
    assert "mine" not in ACTIVATIONS


def test_missing_and_unknown_formulas_are_named():
    with pytest.raises(InvalidInputError, match="derivative: is missing"):
        register_activation("k", phi=np.tanh)
    with pytest.raises(TypeError, match=r"register_activation\(\) got an unexpected keyword argument 'gprime'"):
        register_activation("k", gprime=np.sinh)
    for name in (None, 3):
        with pytest.raises(InvalidInputError, match=f"activation: has the name {name}. Give it a name"):
            register_activation(name, **ASINH)


def test_a_subclass_that_lacks_methods_says_which():
    class Half(bi.Activation):
        name = "half"

        def g(self, x):
            return x**2

    lacking = "activation: the class Half does not define __call__, derivative, g_derivative, g_conjugate. Define"
    for asked in (lambda: register_activation(Half()), lambda: random_problem((2, 2, 1, 9), activation=Half())):
        with pytest.raises(InvalidInputError, match=lacking):
            asked()
    with pytest.raises(NotImplementedError, match="the class Half does not define g_conjugate"):
        Half().g_conjugate(np.zeros(2))


def test_what_is_no_activation_by_its_name_or_class():
    for asked in (lambda a: random_problem((2, 2, 1, 9), activation=a), register_activation):
        with pytest.raises(InvalidInputError, match=r"is the class LeakyRelu. Pass an instance, such as LeakyRelu\(\)"):
            asked(LeakyRelu)
    ACTIVATIONS["bad"] = 3
    with pytest.raises(
        InvalidInputError, match="activation: 'bad' refers to something that is of type int. Give that name an"
    ):
        random_problem((2, 2, 1, 9), activation="bad")


@pytest.mark.parametrize(
    ("kinks", "curvatures", "words"),
    [
        ((0.0,), (0, 1), "curvatures are not those of phi"),
        ((), (-1,), "curvatures are not those of phi"),
        ((0.5,), (1, -1), "curvatures are not those of phi"),
        ((0.0,), (1,), "not those of the pieces between kinks"),
        ((1.0, 0.0), (1, 1, -1), "not those of the pieces between kinks"),
    ],
)
def test_pieces_have_to_be_those_of_phi(kinks, curvatures, words):
    # Bounds of a model rely on them.
    tanh = type("Mine", (type(bi.ACTIVATIONS["tanh"]),), {"name": "mine", "kinks": kinks, "curvatures": curvatures})()
    with pytest.raises(bi.InvalidInputError, match=words):
        bi.register_activation(tanh)
