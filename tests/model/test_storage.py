"""Model files: their versions, and what a file that is no model ends in."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array

from bcd_implicit import ACTIVATIONS, ImplicitModel, InvalidInputError, register_activation
from bcd_implicit.terms.activations import LeakyRelu, SoftThreshold


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    return ImplicitModel(
        rng.random((2, 2)) / 9,
        rng.random((2, 3)),
        None,
        rng.random((1, 2)),
        activation=LeakyRelu(0.3),
        input_names=["ä", "b c", "x=1"],
    )


def changed(path, model, **members):
    """A file with other members."""
    model.save(path)
    with np.load(path) as archive:
        arrays = dict(archive) | members
    np.savez(path, **arrays)
    return path


def of_first_version(path, model, **members):
    """A file as version 1 wrote it: compressed, without a link, and of the activations' parameters only a slope."""
    model.save(path)
    slope = model.activation.parameters.get("slope", np.nan)
    with np.load(path) as archive:
        arrays = dict(archive) | {"format": np.array("bcd_implicit model 1"), "slope": np.array(slope)}
    for name in ("activations", "parameters", "sizes", "link"):
        del arrays[name]
    np.savez_compressed(path, **arrays | {"activation": np.array(model.activation.name)} | members)
    return path


def of_third_version(path, model):
    """A file as version 3 wrote it: one activation for all states."""
    model.save(path)
    with np.load(path) as archive:
        arrays = dict(archive) | {"format": np.array("bcd_implicit model 3")}
    arrays |= {"activation": arrays.pop("activations")[0], "parameters": arrays["parameters"][0]}
    del arrays["sizes"]
    np.savez(path, **arrays)
    return path


def test_files_of_the_third_version_load(tmp_path, model):
    again = ImplicitModel.load(of_third_version(tmp_path / "m.npz", model))
    for letter in "ABbCDd":
        np.testing.assert_array_equal(getattr(again, letter), getattr(model, letter))
    assert again.activation.slope == 0.3


def test_files_of_the_first_version_load(tmp_path, model):
    again = ImplicitModel.load(of_first_version(tmp_path / "m.npz", model))
    for letter in "ABbCDd":
        np.testing.assert_array_equal(getattr(again, letter), getattr(model, letter))
    assert again.input_names == ["ä", "b c", "x=1"]
    assert again.activation.slope == 0.3
    assert again.link == "identity"
    path = of_first_version(tmp_path / "m.npz", model, slope=np.array(2.0))
    with pytest.raises(InvalidInputError, match=r"slope: must lie in \(0, 1\], got 2.0"):
        ImplicitModel.load(path)
    path = of_first_version(tmp_path / "m.npz", model, activation=np.array("relu"), slope=np.array(np.nan))
    assert ImplicitModel.load(path).activation is ACTIVATIONS["relu"]


@pytest.mark.parametrize(
    "activation",
    [*ACTIVATIONS.values(), LeakyRelu(0.3), SoftThreshold(0.2)],
    ids=lambda phi: f"{phi.name}{phi.parameters}",
)
def test_activations_keep_their_parameters(tmp_path, model, activation):
    saved = ImplicitModel(model.A, model.B, model.b, model.C, activation=activation)
    saved.save(tmp_path / "m.npz")
    again = ImplicitModel.load(tmp_path / "m.npz")
    assert type(again.activation) is type(activation)
    assert again.activation.parameters == activation.parameters
    U = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_array_equal(again.predict(U), saved.predict(U))


def test_registered_activations_are_saved_by_name(tmp_path, model, monkeypatch):
    registered = dict(ACTIVATIONS)
    monkeypatch.setattr("bcd_implicit.terms.activations.ACTIVATIONS", registered)
    monkeypatch.setattr("bcd_implicit.model.storage.ACTIVATIONS", registered)
    asinh = register_activation(
        "asinh",
        phi=np.arcsinh,
        derivative=lambda z: 1 / np.hypot(1, z),
        g=lambda x: 2 * np.sinh(x / 2) ** 2,
        g_derivative=np.sinh,
        g_conjugate=lambda z: z * np.arcsinh(z) - z**2 / (1 + np.hypot(1, z)),
    )
    ImplicitModel(model.A, model.B, model.b, model.C, activation="asinh").save(tmp_path / "m.npz")
    assert ImplicitModel.load(tmp_path / "m.npz").activation is asinh
    del registered["asinh"]
    with pytest.raises(InvalidInputError, match="activation 'asinh', which is not registered. Register it first"):
        ImplicitModel.load(tmp_path / "m.npz")


def test_the_version_is_in_the_file(tmp_path, model):
    model.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        assert str(archive["format"]) == "bcd_implicit model 4"
    path = changed(tmp_path / "m.npz", model, format=np.array("bcd_implicit model 5"))
    with pytest.raises(InvalidInputError, match=r"its format is 'bcd_implicit model 5', .* needed: use the"):
        ImplicitModel.load(path)


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"A": np.full((2, 2), np.nan)}, "A: contains missing values (NaN)"),
        ({"b": np.array([np.inf, 0])}, "b: contains inf"),
        ({"input_names": np.array(["a", "a", "b"])}, "input_names: has 'a' twice"),
        ({"parameters": np.array(['{"slope": 2.0}'])}, "slope: must lie in (0, 1], got 2.0"),
        (
            {"parameters": np.array(['{"slope": 0.3, "a": 1}'])},
            "leaky_relu has the parameters ['slope'], not ['slope', 'a']",
        ),
        ({"parameters": np.array(["{}"])}, "leaky_relu has the parameters ['slope'], not []"),
        ({"parameters": np.array(['{"slope": "steep"}'])}, "parameters: cannot be read (ValueError"),
        ({"parameters": np.array(["[1]"])}, "parameters: cannot be read (AttributeError"),
        ({"parameters": np.array(["{"])}, "parameters: cannot be read (JSONDecodeError"),
        ({"input_names": np.array("abc")}, "input_names has shape ()"),
        ({"input_names": np.array(["a"])}, "B has shape (2, 3), (2, 1) needed"),
        ({"A": np.zeros((0, 0)), "B": np.zeros((0, 3)), "b": np.zeros(0), "C": np.zeros((1, 0))}, "A: has"),
    ],
)
def test_errors_name_the_file(tmp_path, model, members, cause):
    path = changed(tmp_path / "m.npz", model, **members)
    with pytest.raises(InvalidInputError) as caught:
        ImplicitModel.load(path)
    assert caught.value.argument == str(path)
    assert cause in caught.value.cause
    assert caught.value.remedy == "Give an .npz file written by ImplicitModel.save"


@pytest.mark.parametrize("link", ["identity", "logit", "softmax", "log"])
def test_the_scale_of_the_outputs_is_in_the_file(tmp_path, model, link):
    parts = {letter: getattr(model, letter) for letter in "ABbCDd"}
    ImplicitModel(**parts, link=link).save(tmp_path / "m.npz")
    again = ImplicitModel.load(tmp_path / "m.npz")
    assert again.link == link
    U = np.random.default_rng(1).standard_normal((5, 3))
    f = again.predict(U)
    expected = {"identity": f, "logit": 1 / (1 + np.exp(-f)), "softmax": np.ones_like(f), "log": np.exp(f)}
    np.testing.assert_allclose(again.response(U), expected[link], rtol=1e-12)


def test_a_link_that_is_not_known(model):
    parts = {letter: getattr(model, letter) for letter in "ABbCDd"}
    with pytest.raises(InvalidInputError, match="link: unknown link 'probit'"):
        ImplicitModel(**parts, link="probit")


@pytest.fixture
def sparse():
    """Three layers of two functions, their matrices sparse."""
    rng = np.random.default_rng(1)
    A = np.zeros((5, 5))
    A[:2, 2:], A[0, 3] = rng.standard_normal((2, 3)), 0.0
    B = np.zeros((5, 4))
    B[2:, 1:] = rng.standard_normal((3, 3))
    return ImplicitModel(
        csr_array(A), coo_array(B), rng.standard_normal(5), csr_array(rng.standard_normal((2, 5))), csr_array((2, 4)),
        activation=[("tanh", 2), (LeakyRelu(0.3), 3)],
    )  # fmt: skip


def test_sparse_matrices_stay_sparse(tmp_path, sparse):
    sparse.save(tmp_path / "m.npz")
    again = ImplicitModel.load(tmp_path / "m.npz")
    for letter in "ABCD":
        assert isinstance(getattr(again, letter), csr_array)
        np.testing.assert_array_equal(getattr(again, letter).toarray(), getattr(sparse, letter).toarray())
    assert [(phi.name, size) for phi, size in again.activation.blocks] == [("tanh", 2), ("leaky_relu", 3)]
    U = np.random.default_rng(0).standard_normal((7, 4))
    np.testing.assert_array_equal(again.predict(U), sparse.predict(U))


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"A_data": np.array([1.0, np.nan, 1, 1, 1])}, "A: contains NaN or infinity, first in row 0"),
        ({"A_indices": np.array([0, 1, 2, 3, 9])}, "A: cannot be read"),
        ({"A_indices": np.array([0, 1, 2, 3, -1])}, "A: cannot be read"),
        ({"A_starts": np.array([0, 3, 2, 5, 5, 5])}, "A: cannot be read"),
        ({"A_starts": np.array([0, 2, 5, 5])}, "_starts has shape"),
        ({"A_data": np.ones(4)}, "has shape (5,), (4,) needed"),
        ({"A": np.zeros((5, 5))}, "A: is missing, or not stored in one of the two ways"),
        ({"sizes": np.array([2, 4])}, "has blocks of 2 + 4 = 6 states, but A has 5"),
        ({"sizes": np.array([5, 0])}, "activation, states of block 1: got 0"),
        ({"activations": np.array(["tanh", "sine"])}, "activation 'sine', which is not registered"),
    ],
)
def test_damaged_sparse_files_are_refused(tmp_path, sparse, members, cause):
    path = changed(tmp_path / "m.npz", sparse, **members)
    with pytest.raises(InvalidInputError) as caught:
        ImplicitModel.load(path)
    assert cause in str(caught.value)
