"""Models of one target given as a vector predict vectors, of shape (m,); all others give a column for each output."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.neural_network import MLPRegressor

import bcd_implicit as bi

RNG = np.random.default_rng(2)
U = RNG.standard_normal((30, 3))
Y = np.maximum(U[:, 0], 0) - U[:, 1]
VECTORS = {"array": Y, "list": Y.tolist(), "series": pd.Series(Y, name="y"), "masked": np.ma.array(Y)}


def trained(target):
    return bi.solve(bi.TrainingProblem(U, target, 3, kappa=1e-4), tol=1e-2)


@pytest.fixture(scope="module")
def model():
    return trained(Y).model


@pytest.mark.parametrize("target", VECTORS.values(), ids=VECTORS)
def test_a_vector_gives_vectors(target):
    problem = bi.TrainingProblem(U, target, 3)
    assert problem.model(problem.initial()).predict(U).shape == (30,)


@pytest.mark.parametrize("target", [Y[:, None], pd.DataFrame({"y": Y}), np.column_stack([Y, Y])])
def test_columns_give_columns(target):
    problem = bi.TrainingProblem(U, target, 3)
    assert problem.model(problem.initial()).predict(U).shape == np.shape(target)


def test_errors_are_what_they_look_like(model):
    """FINDINGS' trap: (m, 1) less (m,) is m x m."""
    it = bi.TrainingProblem(U, Y, 3).iterate(model)
    residuals = model.predict(U) - Y
    assert residuals.shape == (30,)
    assert_allclose(residuals, (it.C @ it.X + it.D @ U.T + it.d[:, None])[0] - Y, atol=1e-9)


def test_files_keep_it(model, tmp_path):
    model.save(tmp_path / "m.npz")
    again = bi.ImplicitModel.load(tmp_path / "m.npz")
    assert_array_equal(again.predict(U), model.predict(U))
    column = trained(Y[:, None]).model
    column.save(tmp_path / "c.npz")
    assert bi.ImplicitModel.load(tmp_path / "c.npz").predict(U).shape == (30, 1)


def test_models_made_by_hand_have_columns(model):
    parts = {letter: getattr(model, letter) for letter in "ABbCDd"}
    by_hand = bi.ImplicitModel(**parts)
    assert_array_equal(by_hand.predict(U)[:, 0], model.predict(U))
    assert_array_equal(bi.ImplicitModel(**parts, vector_output=True).predict(U), model.predict(U))
    parts |= {"C": np.ones((2, 3)), "D": None, "d": None}
    with pytest.raises(bi.InvalidInputError, match="vector_output: is True, but the model has 2 outputs"):
        bi.ImplicitModel(**parts, vector_output=True)


def test_compositions(model):
    y, column = model.predict(U), bi.ImplicitModel(model.A, model.B, model.b, model.C)
    for whole, expected in (
        (2 * model, 2 * y),
        (-model + 1, 1 - y),
        (model + model, 2 * y),
        (model - 2 * model, -y),
        (model * model, y**2),
        (model @ np.eye(3), y),
        (model.pruned(), y),
        (model.rescaled(), y),
        (bi.compose.labelled(model, output_names=["cost"]), y),
        (bi.compose.stack(model), y),
    ):
        assert_allclose(whole.predict(U), expected, atol=1e-9)
    assert (model @ (np.ones((3, 1)) @ column)).predict(U).shape == (30,)
    for whole in (model | model, np.eye(1) @ model, model + column, bi.compose.parallel(model, model)):
        inputs = np.hstack([U, U])[:, : whole.B.shape[1]]
        assert whole.predict(inputs).shape == (30, len(whole.d))
    assert model.feedback(np.zeros((3, 1))).predict(U).shape == (30,)
    assert model.feedback(bi.compose.affine(np.zeros((3, 1)))).predict(U).shape == (30,)


def test_all_else_has_an_axis_of_outputs(model):
    y = model.predict(U)
    assert_array_equal(model.outputs(U), y[:, None])
    assert model.jacobian(U).shape == (30, 1, 3)
    assert_array_equal(model.vjp(U, np.ones(30)).d, model.vjp(U, np.ones((30, 1))).d)
    bounds = model.bounds(U, 0.01)
    assert bounds.lower.shape == (30, 1)
    assert (bounds.lower[:, 0] <= y).all()
    attack = model.attack(U, 0.01, towards=[1])
    assert attack.predictions.shape == (30, 1)
    assert model.response(U).shape == (30,)


def test_compression_and_choices(model):
    smaller = bi.compress(model, U, target=0.5)
    assert smaller.model.predict(U).shape == (30,)
    assert np.corrcoef(smaller.model.predict(U), model.predict(U))[0, 1] > 0.5
    result = trained(Y)
    path = bi.kappa_path(result.problem, kappas=[1e-5, 1e-4], start=result)
    assert path.select(n_features=2, grow_hidden=False).model.predict(U).shape == (30,)


def test_estimators():
    fast = {"n_hidden": 3, "alpha": 0.1, "n_init": 1, "tol": 1e-2}
    for target in (Y, Y[:, None]):
        fitted = bi.ImplicitRegressor(**fast).fit(U, target)
        assert fitted.predict(U).shape == fitted.model_.predict(U).shape == target.shape
        assert fitted.score(U, target) > 0.8
    classifier = bi.ImplicitClassifier(**fast).fit(U, Y > 0)
    assert classifier.predict(U).shape == classifier.decision_function(U).shape == (30,)
    assert classifier.model_.predict(U).shape == (30, 1)


def test_perceptrons():
    mlp = MLPRegressor(hidden_layer_sizes=(4,), max_iter=5000, tol=1e-2, random_state=0).fit(U, Y)
    assert_allclose(bi.from_sklearn(mlp).predict(U), mlp.predict(U), atol=1e-9)
