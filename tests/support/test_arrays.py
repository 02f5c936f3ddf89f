"""The front door of tables: the same numbers in many dresses, and what is refused, by column and row."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from odd_tables import BROKEN, WHOLE
from scipy import sparse

from bcd_implicit import InvalidInputError
from bcd_implicit.support.arrays import read_samples
from bcd_implicit.support.row_numbers import like_row_numbers, row_numbers

VALUES = np.array([[1.0, 2.0], [3.0, 4.5], [-6.0, 0.0]])


@pytest.mark.parametrize("dress", [d for d in WHOLE if d not in ("whole numbers", "booleans", "backwards")])
def test_numbers_are_read_from_whatever_holds_them(dress):
    given = WHOLE[dress](VALUES)
    samples = read_samples("U", given)
    np.testing.assert_array_equal(samples.values, VALUES)
    assert samples.values.dtype == np.float64
    assert samples.values.dtype.isnative
    # a copy, which may be written to
    samples.values[:] = 0.0
    np.testing.assert_array_equal(read_samples("U", given).values, VALUES)


def test_names_are_kept_from_every_kind_of_data_frame():
    frame = pd.DataFrame(VALUES, columns=["a", "b"])
    for table in (frame, pa.Table.from_pandas(frame), frame.astype("float64[pyarrow]")):
        assert read_samples("U", table).names == ["a", "b"]
    assert read_samples("U", pd.DataFrame(VALUES, columns=[2019, 2020])).names == ["2019", "2020"]
    assert read_samples("U", pd.Series([1.0, 2.0], name="t")).names == ["t"]
    assert read_samples("U", VALUES).names is None
    assert read_samples("U", pd.Series([1.0, 2.0])).names is None


class Library:
    """A data frame of another library, such as polars'."""

    def to_pandas(self):
        return pd.DataFrame(VALUES, columns=["a", "b"])


class Stream:
    """One that only offers Arrow's interface."""

    def __arrow_c_stream__(self, requested_schema=None):
        return pa.table({"a": VALUES[:, 0], "b": VALUES[:, 1]}).__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("table", [Library(), Stream()])
def test_other_libraries_are_asked_for_their_numbers_and_names(table):
    samples = read_samples("U", table)
    np.testing.assert_array_equal(samples.values, VALUES)
    assert samples.names == ["a", "b"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([decimal.Decimal("1.5"), True, "2"], [1.5, 1.0, 2.0]),
        ([b"1", " 2 ", 3], [1.0, 2.0, 3.0]),
        (pd.array(["1", "2", "3.5"], dtype="string"), [1.0, 2.0, 3.5]),
        (pd.Categorical([4, 4, 5]), [4.0, 4.0, 5.0]),
    ],
)
def test_entries_that_read_as_numbers(entries, expected):
    np.testing.assert_array_equal(read_samples("U", pd.DataFrame({"a": entries})).values[:, 0], expected)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            BROKEN["missing"](VALUES),
            r"contains missing values \(NaN\): 1 in column 'c0' \(first at row 0\)\. Drop these",
        ),
        (pd.DataFrame({"a": [pd.NaT] * 2}), r"contains missing values \(NaN\): 2 in column 'a' \(first at row 0\)"),
        (pd.DataFrame({"a": ["1", "nan"]}), r"contains missing values \(NaN\): 1 in column 'a' \(first at row 1\)"),
        ([[1.0, None], [2.0, 3.0]], r"contains missing values \(NaN\): 1 in column 1 \(first at row 0\)"),
        (BROKEN["masked entry"](VALUES), r"contains missing values \(NaN\): 1 in column 0 \(first at row 0\)"),
        ([1.0, np.nan, pd.NA], r"contains missing values \(NaN\): 2 \(first at row 1\)"),
        (pd.DataFrame({"a": [10**400]}), r"contains infinity: 1 in column 'a' \(first at row 0\)"),
        (np.array([1, np.longdouble("1e400")]), r"contains infinity: 1 \(first at row 1\)"),
        (
            pd.DataFrame({"a": ["1_0"]}),
            r"column 'a' is not numeric: text, row 0 holds '1_0'\. Encode it as numbers, or",
        ),
        (
            pd.DataFrame({"a": pd.period_range("2020", periods=2)}),
            r"column 'a' is not numeric: dates, row 0 holds 2020",
        ),
        (pd.DataFrame({"a": pd.to_timedelta([1, 2])}), r"column 'a' is not numeric: durations, row 0 holds 0 days"),
        ([datetime.timedelta(1)], r"is not numeric: durations, row 0 holds 1 day"),
        (
            ["52,5"],
            r"text, row 0 holds '52,5'\. Write numbers with a decimal point and without .* thousands\. Encode it",
        ),
        (pd.DataFrame({"a": ["1 234"]}), r"row 0 holds '1 234'\. Write numbers with a decimal point and without"),
        (pd.DataFrame({"a": [1.0, "x" * 99]}), r"text, row 1 holds 'x{39}\.\.\.\. Encode it"),
        (pd.DataFrame({"a": [1j]}), r"Complex data not supported: pass real and imaginary parts"),
        (["a", "b"], r"is not numeric: text, row 0 holds 'a'\. Encode it as numbers\.$"),
        (sparse.csr_array(VALUES), r"is a sparse matrix\. Pass U\.toarray\(\)\.$"),
        (BROKEN["sparse columns"](VALUES), r"has sparse columns: 'c0'\. Pass U\.sparse\.to_dense\(\)\.$"),
        ({"a": [1.0]}, r"is one dict, not a table\."),
        (iter([1.0]), r"is one list_iterator, not a table\."),
        (pd.DataFrame(VALUES, columns=["a", "a"]), r"has two columns named 'a'\. Rename one of them"),
        (pd.DataFrame(VALUES, columns=[1, "1"]), r"has two columns named '1'\. Rename one of them"),
    ],
)
def test_what_holds_no_numbers_is_refused_by_column_and_row(table, message):
    with pytest.raises(InvalidInputError, match=f"^U: .*{message}"):
        read_samples("U", table)


def test_all_bad_columns_are_named_at_once():
    table = pd.DataFrame({"city": ["Oslo", "3"], "x": [1.0, 2.0], "when": pd.to_datetime(["2020-01-01"] * 2)})
    with pytest.raises(
        InvalidInputError,
        match=r"^U: 2 columns are not numeric: 'city' \(text, row 0 holds 'Oslo'\), 'when' \(dates, row 0 holds "
        r"2020-01-01 00:00:00\)\. Encode them as numbers, or drop them\.$",
    ):
        read_samples("U", table)
    wide = pd.DataFrame({f"c{j}": ["x"] for j in range(25)})
    with pytest.raises(InvalidInputError, match=r"25 columns .* 'c19' \(text, row 0 holds 'x'\) and 5 more\. Encode"):
        read_samples("U", wide)


def test_entries_that_are_neither_numbers_nor_text_are_also_type_errors():
    with pytest.raises(TypeError, match="column 0 is not numeric: dict, row 0 holds {}"):
        read_samples("X", np.array([[{}], [1.0]], dtype=object))


def test_a_vector_of_inputs_could_be_a_row_or_a_column():
    with pytest.raises(
        InvalidInputError, match=r"^X: is a vector of 3 numbers\. Reshape your data: X\.reshape\(-1, 1\)"
    ):
        read_samples("X", VALUES[:, 0], may_be_vector=False)


def test_columns_that_only_number_the_rows_are_found():
    m = 20
    count = np.arange(m)
    columns = {
        "from 0": count,
        "from 1": count + 1,
        "backwards": count[::-1],
        "from 501": count + 501,
        "halves": count + 0.5,
        "steps of 2": 2 * count,
        "shuffled": np.random.default_rng(0).permutation(m),
        "counts": count % 7,
        "constant": np.ones(m),
    }
    values = np.column_stack(list(columns.values()))
    assert row_numbers(values, list(columns)) == ["from 0", "from 1", "backwards", "from 501"]
    assert row_numbers(values[:19], list(columns)) == []
    assert like_row_numbers(values, list(columns)) == ["shuffled"]
    assert like_row_numbers(values[:19], list(columns)) == []


def test_row_numbers_of_which_some_are_missing_are_found_and_counts_are_not():
    rng = np.random.default_rng(0)
    some = rng.permutation(200)[:140]
    years = np.delete(np.arange(1900, 2050), 7)[:140]
    columns = {
        "some": some,
        "in order": np.sort(some),
        "years": years,
        "ages": rng.integers(18, 90, 140),
        "large counts": rng.integers(0, 1000, 140),
        "halves": some / 2,
        "once twice": np.append(some[:-1], some[0]),
    }
    assert like_row_numbers(np.column_stack(list(columns.values())), list(columns)) == ["some", "in order", "years"]
