"""Explanations by estimators: of raw inputs, with labels as they were given."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from bcd_implicit import ImplicitClassifier, ImplicitRegressor, InvalidInputError

QUICK = {"n_hidden": 2, "alpha": 0.01, "n_init": 1, "tol": 1e-1}
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.standard_normal((60, 3)) * [1, 100, 0.01] + [0, 1000, 0], columns=["a", "b", "c"])
Y = np.column_stack([np.abs(X["a"]) + 0.01 * X["b"], 30 * X["c"]])
IRIS, SPECIES = (part[::3] for part in load_iris(return_X_y=True))
WORDS = np.array(["setosa", "versicolor", "virginica"])[SPECIES]


def test_a_regressor_explains_its_predictions_in_the_units_of_the_data():
    fitted = ImplicitRegressor(**QUICK).fit(X, Y[:, 0])
    found = fitted.explain(X.iloc[3], 0.1 * X.std())
    assert found.check()
    assert_allclose(found.prediction[0, 0], fitted.predict(X.iloc[[3]])[0])
    assert_allclose(found.lower, fitted.model_.explain(X.iloc[[3]], 0.1 * X.std()).lower)
    assert set(found.table["input"]) == {"a", "b", "c"}
    with pytest.raises(NotFittedError):
        ImplicitRegressor().explain(X.iloc[3], 0.1)


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute"])
def test_scores_of_importance_are_those_of_the_regressor(loss):
    fitted = ImplicitRegressor(**QUICK, loss=loss).fit(X, Y[:, 0])
    found = fitted.importance(X, Y[:, 0], n_repeats=3)
    assert found.score == pytest.approx(fitted.score(X, Y[:, 0]))
    assert found.names == ["a", "b", "c"]
    assert found.table["input"].iloc[-1] == "c"
    with pytest.raises(InvalidInputError, match="y: has 59 samples but X has 60"):
        fitted.importance(X, Y[1:, 0])


@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
def test_a_classifier_explains_classes_by_their_labels(loss):
    fitted = ImplicitClassifier(**QUICK, loss=loss).fit(IRIS, WORDS)
    found = fitted.explain(IRIS[[0, 25, 46]], 1.5)
    assert found.check()
    first = found.table.groupby("sample")["output"].first()
    assert_array_equal(first, fitted.predict(IRIS[[0, 25, 46]]))
    changed = found.table[found.table["class_changes"] == "yes"]
    assert len(changed)
    assert set(changed["becomes"]) <= set(WORDS)
    values = fitted.explain(IRIS[0], 0.1, about="values", outputs=["virginica", "setosa"], rounds=1)
    assert values.check()
    assert_allclose(values.prediction[0], fitted.model_.predict(IRIS[:1])[0, [2, 0]])
    with pytest.raises(InvalidInputError, match="about: unknown about 'odds'"):
        fitted.explain(IRIS[0], 0.1, about="odds")
    by_words = fitted.importance(IRIS, WORDS, n_repeats=2)
    assert by_words.measures["permutation"].max() > 0
    with pytest.raises(
        InvalidInputError, match="y: has the class 'rose', which was not in the training data. The classes are"
    ):
        fitted.importance(IRIS, np.where(WORDS == "setosa", "rose", WORDS))
    with pytest.raises(InvalidInputError, match=r"y: has shape \(50, 2\)"):
        fitted.importance(IRIS, np.zeros((50, 2)))


@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
def test_two_classes_and_several_labels_have_a_side_of_zero_each(loss):
    two = ImplicitClassifier(**QUICK, loss=loss).fit(IRIS, WORDS == "setosa")
    assert set(two.explain(IRIS[[0, 33]], 0.1).table["output"]) == {"True", "not True"}
    assert two.importance(IRIS, WORDS == "setosa", n_repeats=2).score > 0.5
    labels = np.column_stack([SPECIES == 0, SPECIES == 2]).astype(int)
    several = ImplicitClassifier(**QUICK, loss=loss).fit(IRIS, labels)
    found = several.explain(IRIS[[0]], 0.1)
    assert found.prediction.shape == (1, 2)
    assert set(found.table["output"]) == {"y0", "not y1"}
    assert several.importance(IRIS, labels, n_repeats=2).score > 0.3
