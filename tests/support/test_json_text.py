"""JSON without numbers that JSON does not know."""

import json
import math

import numpy as np
import pytest

from bcd_implicit.support.json_text import json_text


def test_numbers_that_are_not_finite_are_null_wherever_they_stand():
    value = {
        "a": math.nan,
        "b": [1.5, (math.inf, {"c": -math.inf})],
        "d": np.array([1.0, np.nan]),
        "e": np.float64("nan"),
    }
    found = json.loads(json_text(value), parse_constant=pytest.fail)
    assert found == {"a": None, "b": [1.5, [None, {"c": None}]], "d": [1.0, None], "e": None}


def test_everything_else_is_as_it_was():
    value = {"text": "nan", "yes": True, "none": None, "n": 3, "x": 0.1}
    assert json_text(value) == json.dumps(value)
    assert json_text({"n": np.int64(3), "yes": np.bool_(True)}) == '{"n": 3, "yes": true}'
    assert json_text([1, 2], indent=1) == json.dumps([1, 2], indent=1)
