"""Labels of radii and weights, names and numbers of outputs and classes: matched by name, or refused, never guessed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from boxes import drawn

import bcd_implicit as bi
from bcd_implicit.model.robustness.labels import classes_of, in_order, places_of

NUMBERED, NAMED = ["1", "2", "3"], ["cat", "dog", "cow"]


@pytest.mark.parametrize(
    ("y", "names", "classes"),
    [
        (["2", "1", "3"], NUMBERED, [1, 0, 2]),
        (pd.DataFrame({"y": ["cow", "cat"]}), NAMED, [2, 0]),
        (np.array([[2], [0]]), NAMED, [2, 0]),
        (pd.Series([1.0, 0.0], index=[7, 9]), NAMED, [1, 0]),
        # A number that is a name of its own place is no question, nor is one that is no name.
        ([0, 2], ["0", "1", "2"], [0, 2]),
        ([0.0, 1.0], ["0.0", "1.0", "2.0"], [0, 1]),
        ([0, 0], NUMBERED, [0, 0]),
        ([True, False], ["dog"], [1, 0]),
        (["cat", "dog", "dog"], ["dog"], [0, 1, 1]),
        ([1, 0], ["1"], [1, 0]),
        (["1", "2"], ["2"], [0, 1]),
    ],
)
def test_classes_are_names_or_places(y, names, classes):
    np.testing.assert_array_equal(classes_of(y, names, len(classes)), classes)


@pytest.mark.parametrize(
    ("y", "names", "words"),
    [
        ([1, 2], NUMBERED, "has the number 1, which may be a position, or a name like '1', '2', '3'. Give names"),
        ([0, 3], NUMBERED, "has the number 3, which may be a position"),
        ([2.0, 1.0], ["1.0", "2.0", "3.0"], "has the number 2.0, which may be a position"),
        ([1, 1], ["2"], "has the number 1, which may be a position, or a name like '2'"),
        ([0, 1], ["-1"], "which may be a position"),
        (["pig", "dog"], NAMED, "has the class 'pig'. Use names of outputs or numbers from 0 to 2"),
        (["cat", "cow", "dog"], ["dog"], "has the class 'cat'. Use numbers from 0 to 1, or 'dog' and one other"),
        (["cat", "cat"], ["dog"], "has the class 'cat'"),
        ([3, 0], NAMED, "has the class 3"),
        ([None, 0], NAMED, "has the class None"),
        ([[0, 1]], NAMED, r"has shape \(1, 2\), \(1,\) needed"),
    ],
)
def test_classes_that_may_be_either_or_nothing_are_refused(y, names, words):
    with pytest.raises(bi.InvalidInputError, match=f"y: .*{words}"):
        classes_of(y, names, len(y))


def test_outputs_are_names_or_places():
    np.testing.assert_array_equal(places_of("outputs", ["cow", 0], NAMED), [2, 0])
    np.testing.assert_array_equal(places_of("outputs", ["3", 0], NUMBERED), [2, 0])
    np.testing.assert_array_equal(places_of("outputs", [0], ["2"]), [0])
    with pytest.raises(bi.InvalidInputError, match="outputs: has the number 1, which may be a position"):
        places_of("outputs", [1], NUMBERED)
    with pytest.raises(bi.InvalidInputError, match="outputs: there is no 'pig'"):
        places_of("outputs", ["pig"], NAMED)


def test_values_with_labels_are_in_the_order_of_names():
    series = pd.Series({"cow": 3.0, "cat": 1.0, "dog": 2.0, "more": 4.0})
    for given in (series, dict(series), series[::-1]):
        np.testing.assert_array_equal(in_order("towards", given, NAMED, "y"), [1, 2, 3])
    np.testing.assert_array_equal(in_order("towards", pd.DataFrame([series]), NAMED, "y"), [[1, 2, 3]])
    np.testing.assert_array_equal(in_order("towards", pd.Series({3: 3, 1: 1, 2: 2}), NUMBERED, "y"), [1, 2, 3])
    # Numbers that are no names, and labels of a model without names, are in order.
    np.testing.assert_array_equal(in_order("towards", pd.Series([5, 6, 7]), NAMED, "y"), [5, 6, 7])
    np.testing.assert_array_equal(in_order("radius", pd.Series({"b": 5, "a": 6}), ["u0", "u1"], "u"), [5, 6])
    np.testing.assert_array_equal(in_order("radius", pd.Series({"u1": 5, "u0": 6}), ["u0", "u1"], "u"), [6, 5])
    with pytest.raises(bi.InvalidInputError, match="towards: has the labels 'cow', 'cat' but not 'dog'. Give a num"):
        in_order("towards", series[["cow", "cat"]], NAMED, "y")
    with pytest.raises(bi.InvalidInputError, match="towards: has the label 'cow' twice"):
        in_order("towards", pd.concat([series, series[:1]]), NAMED, "y")


def test_models_take_labels_of_weights_and_of_a_radius():
    rng = np.random.default_rng(0)
    model, U = drawn(rng, q=3, output_names=NUMBERED, input_names=["a", "b", "c"]), rng.normal(size=(4, 3))
    expected = model.attack(U, 0.1, towards=[0, 0, 1]).gained
    np.testing.assert_array_equal(model.attack(U, 0.1, towards={"3": 1, "1": 0, "2": 0}).gained, expected)
    by_name = model.bounds(U, {"b": 0.1, "c": 0, "a": 0.2}).upper
    np.testing.assert_array_equal(by_name, model.bounds(U, [0.2, 0.1, 0]).upper)
    for radius in ("0.1", True, None):
        with pytest.raises(bi.InvalidInputError, match="radius: is .*, not a number. Give one number"):
            model.bounds(U, radius)


def test_what_has_no_classes_is_no_classifier():
    model = drawn(np.random.default_rng(1), q=1)
    with pytest.raises(bi.InvalidInputError, match="model: has one output, which is not log odds"):
        bi.certified_accuracy(model, np.zeros((1, 3)), [0], 0.1)
    with pytest.raises(bi.InvalidInputError, match=r"Pass result.model, model_ of an estimator"):
        bi.certified_accuracy(bi.ImplicitClassifier(), np.zeros((1, 3)), [0], 0.1)
