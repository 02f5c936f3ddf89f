"""Perceptrons of scikit-learn as implicit models."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

import bcd_implicit as bi

rng = np.random.default_rng(0)
U = rng.normal(3, 2, size=(60, 5))


def fitted(estimator, U, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps are enough to have weights
        return estimator.fit(U, y)


def agree(found, wanted):
    return np.abs(found - wanted).max() <= 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("y", [U[:, 0] ** 2, U[:, :2]], ids=["one", "two"])
def test_a_regressor_predicts_the_same(activation, y):
    mlp = MLPRegressor(hidden_layer_sizes=(7, 4), activation=activation, max_iter=5, random_state=0)
    model = bi.from_sklearn(fitted(mlp, U, y))
    wanted = mlp.predict(U)
    assert agree(model.predict(U), wanted)
    # Not by chance: another network says something else.
    mlp.coefs_[0][0, 0] += 0.1
    assert not agree(model.predict(U), mlp.predict(U))
    assert model.structure().acyclic
    if activation != "identity":
        assert (model.n_hidden, model.structure().depth) == (11, 2)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_a_classifier_gives_the_same_probabilities(activation):
    options = {"hidden_layer_sizes": (6,), "activation": activation, "max_iter": 5, "random_state": 0}
    three = fitted(MLPClassifier(**options), U, np.array(["a", "b", "c"])[np.digitize(U[:, 1], [2, 4])])
    model = bi.from_sklearn(three)
    assert agree(model.response(U), three.predict_proba(U))
    assert (model.link, model.output_names) == ("softmax", ["a", "b", "c"])
    two = fitted(MLPClassifier(**options), U, np.where(U[:, 1] > 3, "yes", "no"))
    model = bi.from_sklearn(two)
    assert agree(model.response(U)[:, 0], two.predict_proba(U)[:, 1])
    assert (model.link, model.output_names) == ("logit", ["yes"])
    several = fitted(MLPClassifier(**options), U, U[:, :2] > 3)
    model = bi.from_sklearn(several)
    assert agree(model.response(U), several.predict_proba(U))
    assert (model.link, len(model.output_names)) == ("logit", 2)


@pytest.mark.skipif("loss" not in MLPRegressor().get_params(), reason="from scikit-learn 1.7 on")
def test_a_regressor_of_counts_gives_the_same_rates():
    mlp = fitted(MLPRegressor(loss="poisson", hidden_layer_sizes=(4,), max_iter=5, random_state=0), U, np.abs(U[:, 0]))
    model = bi.from_sklearn(mlp)
    assert model.link == "log"
    assert agree(model.response(U), mlp.predict(U))


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 2)),
        "passthrough",
    ],
)
def test_a_pipeline_that_scales_takes_inputs_as_they_are(scaler):
    frame = pd.DataFrame(U, columns=list("abcde"))
    pipe = fitted(
        make_pipeline(scaler, MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0)), frame, U[:, 0]
    )
    model = bi.from_sklearn(pipe)
    assert agree(model.predict(frame), pipe.predict(frame))
    assert model.input_names == list("abcde")


@pytest.mark.parametrize(
    ("estimator", "part"),
    [
        (LinearRegression(), "is LinearRegression"),
        (MLPRegressor, "is the class MLPRegressor"),
        (MLPRegressor(), "this MLPRegressor is not fitted. Call fit first"),
        (make_pipeline(StandardScaler(), LinearRegression()), "is LinearRegression"),
    ],
)
def test_what_is_no_fitted_perceptron_is_named(estimator, part):
    with pytest.raises(bi.InvalidInputError) as caught:
        bi.from_sklearn(estimator)
    assert caught.value.argument == "estimator"
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("step", "part"),
    [(PolynomialFeatures(), "PolynomialFeatures"), (MinMaxScaler(clip=True), "MinMaxScaler with clip")],
)
def test_steps_that_are_not_affine_are_named(step, part):
    pipe = fitted(make_pipeline(step, MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)), U, U[:, 0])
    with pytest.raises(bi.InvalidInputError, match=f"has the step {part}"):
        bi.from_sklearn(pipe)
