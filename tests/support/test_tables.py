"""Columns by name, categories as indicators."""

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.tables import split_targets


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
