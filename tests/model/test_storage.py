"""Model files: their versions, and what a file that is no model ends in."""

import numpy as np
import pytest

from bcd_implicit import ImplicitModel, InvalidInputError
from bcd_implicit.terms.activations import LeakyRelu


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
    """A file as version 1 wrote it, compressed, with other members."""
    model.save(path)
    with np.load(path) as archive:
        arrays = dict(archive) | {"format": np.array("bcd_implicit model 1")} | members
    np.savez_compressed(path, **arrays)
    return path


def test_files_of_the_first_version_load(tmp_path, model):
    again = ImplicitModel.load(changed(tmp_path / "m.npz", model))
    for letter in "ABbCDd":
        np.testing.assert_array_equal(getattr(again, letter), getattr(model, letter))
    assert again.input_names == ["ä", "b c", "x=1"]
    assert again.activation.slope == 0.3


def test_the_version_is_in_the_file(tmp_path, model):
    model.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        assert str(archive["format"]) == "bcd_implicit model 2"
    path = changed(tmp_path / "m.npz", model, format=np.array("bcd_implicit model 3"))
    with pytest.raises(InvalidInputError, match=r"its format is 'bcd_implicit model 3', .* needed: use the"):
        ImplicitModel.load(path)


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ({"A": np.full((2, 2), np.nan)}, "A: contains missing values (NaN)"),
        ({"b": np.array([np.inf, 0])}, "b: contains inf"),
        ({"input_names": np.array(["a", "a", "b"])}, "input_names: has 'a' twice"),
        ({"activation": np.array("gelu")}, "activation: unknown activation 'gelu'"),
        ({"slope": np.array(2.0)}, "slope: must lie in (0, 1], got 2.0"),
        ({"input_names": np.array("abc")}, "input_names has shape ()"),
        ({"input_names": np.array(["a"])}, "input_names has shape (1,), (3,) needed"),
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
