"""Data frames of polars and pyarrow: the names, numbers and messages of pandas' ones."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bcd_implicit as bi
from bcd_implicit.support.arrays import read_samples
from bcd_implicit.support.frames import as_pandas

pl = pytest.importorskip("polars")

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.standard_normal((40, 3)), columns=["age", "bmi", "dose"])
Y = pd.Series(X["age"] - np.maximum(X["dose"], 0), name="risk")
LIBRARIES = {"polars": pl.from_pandas, "pyarrow": lambda t: pa.table({c: t[c] for c in t}) if t.ndim == 2 else t}


@pytest.fixture(scope="module", params=LIBRARIES)
def data(request):
    convert = LIBRARIES[request.param]
    return convert(X), convert(Y)


@pytest.fixture(scope="module")
def fitted(data):
    problem = bi.TrainingProblem(*data, 3, standardize=True)
    return bi.solve(problem, tol=1e-2)


def test_a_problem_and_its_model_keep_the_names(data, fitted):
    assert fitted.problem.input_names == ["age", "bmi", "dose"]
    assert fitted.problem.output_names == ["risk"]
    expected = fitted.model.predict(X)
    assert_allclose(fitted.model.predict(data[0]), expected)
    # By name: other columns and another order do not matter.
    turned = pl.from_pandas(X[["dose", "age", "bmi"]].assign(other="text"))
    assert_allclose(fitted.model.predict(turned), expected)
    with pytest.raises(bi.InvalidInputError, match="lacks the model's input column 'bmi'"):
        fitted.model.predict(turned.drop("bmi"))


def test_what_a_model_is_asked_beside_predictions(data, fitted):
    model, (U, y) = fitted.model, data
    assert list(model.importance(U, y, n_repeats=2).table.index) == list(
        model.importance(X, Y, n_repeats=2).table.index
    )
    assert_allclose(model.bounds(U, 0.1).lower, model.bounds(X, 0.1).lower)
    assert_allclose(model.jacobian(U), model.jacobian(X))
    assert_allclose(model.attack(U, 0.1, towards=[1]).inputs, model.attack(X, 0.1, towards=[1]).inputs)
    bi.plots.residuals(model, U, y)
    bi.plots.bounds(model.bounds(U, 0.1), truth=y)


def test_estimators(data):
    fast = {"alpha": 0.1, "n_init": 1, "tol": 1e-2}
    ours, theirs = bi.ImplicitRegressor(3, **fast).fit(*data), bi.ImplicitRegressor(3, **fast).fit(X, Y)
    assert list(ours.feature_names_in_) == list(X.columns)
    assert ours.predict(data[0]).shape == (40,)
    assert_allclose(ours.predict(data[0]), theirs.predict(X))
    assert ours.score(*data) == pytest.approx(theirs.score(X, Y))
    labels = pl.Series("kind", ["low" if value < 0 else "high" for value in Y])
    classifier = bi.ImplicitClassifier(3, **fast).fit(data[0], labels)
    assert list(classifier.classes_) == ["high", "low"]
    assert classifier.score(data[0], labels) > 0.8


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, None, 3.0]}, r"missing values \(NaN\): 1 in column 'a' \(first at row 1\)"),
        ({"a": [1, 2, None]}, r"missing values \(NaN\): 1 in column 'a' \(first at row 2\)"),
        ({"a": [1.0, float("inf"), 3.0]}, "contains infinity: 1 in column 'a'"),
        ({"a": ["x", "y", "z"]}, "column 'a' is not numeric: text, row 0 holds 'x'"),
        ({"a": [True, None, False]}, "missing values .*first at row 1"),
        ({"a": pd.to_datetime(["2020-01-01"] * 3)}, "column 'a' is not numeric: dates"),
        ({"a": pd.Categorical(["u", "v", "u"])}, "column 'a' is not numeric: text, row 0 holds 'u'"),
    ],
)
def test_messages_are_those_of_pandas(columns, message):
    frame = pd.DataFrame({"b": [0.0, 1.0, 2.0]} | columns)
    said = []
    for table in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        with pytest.raises(bi.InvalidInputError, match=message) as error:
            read_samples("U", table)
        said.append(str(error.value))
    assert len({text.replace("00:00:00", "").replace(" ", "") for text in said}) == 1


def test_numbers_in_whatever_form():
    frame = pl.DataFrame(
        {
            "whole": pl.Series([1, 2], dtype=pl.UInt8),
            "true": [True, False],
            "decimal": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 2)),
            "text": ["1e3", " 2 "],
            "category": pl.Series(["3", "4"], dtype=pl.Categorical),
            "enum": pl.Series(["3", "4"], dtype=pl.Enum(["4", "3"])),
        }
    )
    samples = read_samples("U", frame)
    assert samples.names == frame.columns
    assert_array_equal(samples.values, [[1, 1, 1.5, 1000, 3, 3], [2, 0, 2.5, 2, 4, 4]])
    assert as_pandas("y", frame["category"]).dtype == "category"


def test_a_series_is_a_vector_and_a_lazy_frame_is_refused():
    samples = read_samples("y", pl.Series("risk", [1.0, 2.0]))
    assert samples.is_vector
    assert samples.names == ["risk"]
    assert read_samples("y", pl.Series([1.0, 2.0])).names is None
    assert not read_samples("y", pl.DataFrame({"risk": [1.0, 2.0]})).is_vector
    with pytest.raises(bi.InvalidInputError, match=r"U: is a lazy frame, which holds no values. Pass U.collect\(\)"):
        read_samples("U", pl.LazyFrame({"a": [1.0]}))


def test_two_columns_of_one_name():
    twice = pa.Table.from_arrays([pa.array([1.0, 2.0])] * 2, names=["a", "a"])
    with pytest.raises(bi.InvalidInputError, match="has two columns named 'a'"):
        read_samples("U", twice)
