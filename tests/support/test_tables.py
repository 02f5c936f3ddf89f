"""Columns by name, categories as indicators."""

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.tables import (
    categories_of,
    class_column,
    indicators,
    pick_columns,
    split_targets,
    to_numbers,
)


def test_split_targets():
    table = pd.DataFrame({"a": [1], "y": [2], "id": [3], "b": [4], "z": [5]})
    inputs, targets = split_targets(table, ["z", "y"], ["id"])
    assert list(inputs.columns) == ["a", "b"]
    assert list(targets.columns) == ["z", "y"]  # in the order asked for
    with pytest.raises(InvalidInputError, match=r"^target: no column named 'x'\. The columns are 'a', 'y', 'id',"):
        split_targets(table, ["y", "x"])
    with pytest.raises(InvalidInputError, match=r"^ignore: no column named 'x'"):
        split_targets(table, ["y"], ["x"])
    with pytest.raises(InvalidInputError, match=r"^target: leaves no input column"):
        split_targets(table, ["y", "z"], ["a", "b", "id"])
    wide = pd.DataFrame(np.zeros((1, 30)), columns=[f"c{j}" for j in range(30)])
    with pytest.raises(InvalidInputError, match=r"'c18', 'c19' and 10 more\.$"):
        split_targets(wide, ["x"])


def test_whole_numbers_are_the_same_category_however_they_are_stored():
    for column in ([1, 2, 3], [1.0, 2.0, 3.0], ["1", " 2 ", "3"], pd.array([1, 2, 3], "Int64")):
        assert list(categories_of(pd.Series(column))) == ["1", "2", "3"]
    assert list(categories_of(pd.Series([1.5, np.nan, 1e20]))) == ["1.5", None, "100000000000000000000"]
    assert list(categories_of(pd.Series([True, False]))) == ["True", "False"]


def test_indicators_and_the_names_of_classes():
    column = pd.Series(["red", "blue", "red"], [2, 3, 5], name="color")
    table = indicators(column, ["blue", "red"])
    assert table.to_dict("list") == {"color=blue": [0, 1, 0], "color=red": [1, 0, 1]}
    assert table.index.tolist() == [2, 3, 5]
    assert class_column(list(table.columns)) == "color"
    for names in (["y"], ["color=red"], ["color=red", "y"], ["color=red", "size=3"], ["a", "b"]):
        assert class_column(names) is None


def test_missing_indicators_are_made_where_columns_are_picked():
    table = pd.DataFrame({"color": ["red", "blue"], "x": [1, 2]})
    wanted = ["x", "color=blue", "color=red", "color=green"]
    picked = pick_columns("t", table, wanted)
    assert picked.to_numpy().tolist() == [[1, 0, 1, 0], [2, 1, 0, 0]]
    assert list(picked.columns) == wanted
    # A column that is there goes first.
    there = pick_columns("t", table.assign(**{"color=red": [5, 6]}), ["color=red", "x"])
    assert there.to_numpy().tolist() == [[5, 1], [6, 2]]
    with pytest.raises(InvalidInputError, match=r"^t: column 'color' holds 'blue' in row 1\. The categories .* 'red'"):
        pick_columns("t", table, ["color=red"])
    with pytest.raises(InvalidInputError, match="column 'color' has a missing value in line 7"):
        pick_columns("t", table.assign(color=["red", None]).set_index(pd.Index([3, 7], name="line")), ["color=red"])
    with pytest.raises(InvalidInputError, match="lacks the model's input column 'size=1'"):
        pick_columns("t", table, ["x", "size=1"])


def test_numbers_of_every_dtype():
    for values in ([1, None], pd.array([1, None], "Int64"), ["1", "x"], [1.0, None], pd.Categorical([1, None])):
        np.testing.assert_array_equal(to_numbers(pd.Series(values)), [1, np.nan])
    np.testing.assert_array_equal(to_numbers(pd.Series([True, False])), [1, 0])
    for values in (pd.to_datetime(["2020-01-01"]), pd.to_timedelta([1]), [1j]):
        assert np.isnan(to_numbers(pd.Series(values))).all()
