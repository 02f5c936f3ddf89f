"""Tables, names and numbers that a person gives, and the words with which others are refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bcd_implicit import InvalidInputError
from bcd_implicit.support.checks import check_arrays, check_matrix, check_names, check_number


def test_rows_become_columns():
    rows, targets = np.arange(6.0).reshape(3, 2), np.arange(9).reshape(3, 3)
    U, Y = check_arrays(rows, targets)
    np.testing.assert_array_equal(U, [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(Y, targets.T)
    assert U.dtype == Y.dtype == float
    assert U.flags.c_contiguous
    assert Y.flags.c_contiguous
    U[:] = -1
    assert rows[0, 1] == 1  # a copy: the caller's array stays


def test_a_vector_of_targets_is_one_output():
    _, Y = check_arrays(np.zeros((4, 2)), [1, 2, 3, 4])
    np.testing.assert_array_equal(Y, [[1.0, 2.0, 3.0, 4.0]])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": ["1", "2.5"], "b": [True, False]}),
        pd.DataFrame({"a": pd.array([1.0, 2.5], dtype="Float64"), "b": pd.array([1, 0], dtype="Int64")}),
        pd.DataFrame({"a": pd.Categorical([1.0, 2.5]), "b": np.array([1, 0], dtype=object)}),
    ],
    ids=["text of numbers and booleans", "nullable", "categories and objects"],
)
def test_numbers_in_disguise_are_numbers(table):
    np.testing.assert_array_equal(check_matrix("U", table), [[1.0, 1.0], [2.5, 0.0]])


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, r"missing values \(NaN\)"), (np.inf, "infinity"), (-np.inf, "infinity")]
)
def test_not_finite_names_rows_and_columns(value, shown):
    U = np.zeros((4, 3))
    U[2, 1] = U[3, 1] = U[3, 0] = value
    first = r"1 in column 0 \(first at row 3\), 2 in column 1 \(first at row 2\)\. Drop these rows, or"
    with pytest.raises(InvalidInputError, match=f"^U: contains {shown}: {first}"):
        check_arrays(U, np.zeros(4))
    with pytest.raises(InvalidInputError, match=f"^Y: contains {shown}: .* 2 in column 'b'"):
        check_arrays(np.zeros((4, 3)), pd.DataFrame(U, columns=["a", "b", "c"]))


@pytest.mark.parametrize(
    ("U", "message"),
    [
        (np.zeros((0, 3)), r"^U: has 0 sample\(s\), at least 2 needed\. Samples are rows"),
        ([], r"^U: has 0 sample\(s\)"),
        (np.zeros((1, 3)), r"^U: has 1 sample\(s\), at least 2 needed"),
        (
            np.zeros((3, 0)),
            r"^U: has 0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1 is required\. Pass",
        ),
        (np.zeros((3, 2, 2)), r"^U: has 3 dimensions\. Pass a 2-D array with samples as rows"),
        (None, r"^U: is None, not a table\. Pass an array or a data frame with samples as rows"),
        (sparse.csr_matrix(np.eye(3)), r"^U: is a sparse matrix\. Pass U\.toarray\(\)"),
        (
            np.array([["1", "x"], ["2", "3"]]),
            r"^U: column 1 is not numeric: text, row 0 holds .*'x'",
        ),
        ([[1, 2], [3]], r"^U: has rows of different lengths"),
        (
            np.array([[1 + 2j], [0]]),
            r"^U: .* numeric: complex numbers, row 0 holds \(1\+2j\)\. Complex data not",
        ),
        (np.array([["2020-01-01"], ["2020-01-02"]], dtype="M8[D]"), r"^U: column 0 .*: dates, row 0 holds 2020-01-01"),
        (
            np.ma.masked_equal([[1.0], [7.0]], 7),
            r"^U: contains missing .* 1 in column 0 \(first at row 1\)",
        ),
        (
            pd.DataFrame({"a": [1, 2], "b": ["3", "x"]}),
            r"^U: column 'b' is not numeric: text, row 1 holds 'x'\. Encode it",
        ),
        (pd.DataFrame({"a": pd.Categorical(["u", "v"])}), r"^U: column 'a' is not numeric: text, row 0 holds 'u'"),
        (
            pd.DataFrame({"a": [1.0, 2], "w": pd.to_datetime(["2020-01-01"] * 2)}),
            r"^U: .*'w' is not numeric: dates",
        ),
        (
            pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
            r"^U: contains .* 1 in column 'a' \(first at row 1\)",
        ),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), r"^U: has two columns named 'a'\. Rename one"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(U, message):
    with pytest.raises(InvalidInputError, match=message):
        check_arrays(U, np.zeros(2))


def test_different_lengths():
    with pytest.raises(InvalidInputError, match=r"^Y: has 3 samples but U has 4\. Give both the same rows"):
        check_arrays(np.zeros((4, 2)), np.zeros(3))


def test_wrong_number_of_columns():
    with pytest.raises(InvalidInputError, match=r"^U: has 2 columns, 3 needed\. Pass the variables"):
        check_matrix("U", np.zeros((4, 2)), n_columns=3)


def test_names():
    assert check_names("input_names", None, 3, "u") == ["u0", "u1", "u2"]
    assert check_names("input_names", [1, "b"], 2, "u") == ["1", "b"]
    with pytest.raises(InvalidInputError, match=r"^input_names: has 1 names for 2 variables"):
        check_names("input_names", ["a"], 2, "u")


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (0, {}, 0.0),
        (np.float32(0.5), {}, 0.5),
        (1, {"boundaries": "both"}, 1.0),
        (np.int64(1), {"integer": True}, 1),
    ],
)
def test_numbers_within_the_interval(value, options, expected):
    number = check_number("k", value, 0, 1, **options)
    assert number == expected
    assert type(number) is type(expected)


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (True, {}, r"^k: must be a number, got True\."),
        (np.bool_(True), {"integer": True}, r"^k: must be a whole number, got .*True"),
        ("3", {}, r"^k: must be a number, got '3'\."),
        (None, {}, r"^k: must be a number, got None\."),
        (1j, {}, r"^k: must be a number, got 1j\."),
        (np.nan, {}, r"^k: must be finite, got nan\. Do this\.$"),
        (np.inf, {"high": None}, r"^k: must be finite, got inf\."),
        (-0.1, {}, r"^k: got -0\.1, must be >= 0\. Do this\.$"),
        (1.5, {}, r"^k: got 1\.5, must be <= 1\. Do this\.$"),
        (1.0, {"boundaries": "left"}, r"^k: got 1\.0, must be < 1\."),
        (0, {"boundaries": "neither"}, r"^k: got 0, must be > 0\."),
        (1.0, {"integer": True}, r"^k: must be a whole number, got 1\.0\. Do this\.$"),
        (2, {"integer": True}, r"^k: got 2, must be <= 1\."),
    ],
)
def test_numbers_outside(value, options, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        check_number("k", value, **{"low": 0, "high": 1, "remedy": "Do this"} | options)
    assert caught.value.argument == "k"
