"""Entries that are no numbers: all columns in one message, with what to do."""

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.entries import BadEntries
from bcd_implicit.support.notations import kind_of_entry

LINES = pd.Index([2, 3, 7], name="line")


def refusal(table, categorical=(), remedies=None):
    with pytest.raises(InvalidInputError) as caught:
        BadEntries.find(table, categorical).refuse("t.csv", remedies)
    return str(caught.value)


def test_all_bad_columns_are_named_with_their_lines():
    table = pd.DataFrame(
        {
            "good": [1, 2, 3],
            "word": ["1", "2", "many"],
            "hole": [1, np.nan, np.nan],
            "both": [None, "?", "3"],
            "huge": [1, np.inf, -np.inf],
            "when": pd.to_datetime(["2020-01-01"] * 3),
        },
        index=LINES,
    )
    assert refusal(table) == (
        "t.csv: not numeric: column 'word' (line 7 holds 'many'), column 'both' (line 3 holds '?'), column 'huge' "
        "(line 3 holds inf), column 'when' (line 2 holds 2020-01-01 00:00:00); missing values: column 'hole' (line 3, "
        "2 in all), column 'both' (line 2, 1 in all). Leave a field empty where a value is missing. Replace infinite "
        "values. Give numbers. Fill in missing values, or remove their rows."
    )


def test_numbers_that_are_too_large_are_named_with_their_lines():
    table = pd.DataFrame({"a": [1, 2e40, -1e300], "b": [1.0, 2.0, 1e40], "c": ["1e41", "2", "x"]}, index=LINES)
    assert refusal(table) == (
        "t.csv: not numeric: column 'c' (line 7 holds 'x'); beyond 1e+40: column 'a' (line 3 holds 2e+40), column 'c' "
        "(line 2 holds '1e41'). Scale these columns to about 1. Give numbers."
    )
    BadEntries.find(table[["b", "c"]], ["c"]).refuse("t.csv")


def test_categories_may_be_anything_but_missing():
    table = pd.DataFrame({"a": ["x", "y", None], "b": ["x", "y", "z"]}, index=LINES)
    assert refusal(table, ["a", "b"]).startswith("t.csv: missing values: column 'a' (line 7, 1 in all). Fill")
    BadEntries.find(table[["b"]], ["b"]).refuse("t.csv")
    assert refusal(table, ["a"], {"text": "T", "missing": "M"}).endswith("column 'a' (line 7, 1 in all). T. M.")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *(("1,5", "comma"), ("-,5e3", "comma"), ("1,234", "comma")),
        *(("1,234.5", "thousands"), ("1.234,5", "thousands"), ("12 345", "thousands"), ("1'234'567", "thousands")),
        *(("?", "mark"), ("--", "mark"), ("", "mark")),
        *(("red", "text"), ("12 %", "text"), ("2020-01-01", "text"), (pd.Timestamp(0), "text")),
        *((np.inf, "infinite"), (-np.inf, "infinite")),
    ],
)
def test_kinds_of_entries(value, kind):
    assert kind_of_entry(value) == kind
