"""The seam between a person's tables and the paper's matrices, and files that appear whole or not at all."""

import errno
import os
import stat

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from bcd_implicit import ImplicitModel, InvalidInputError
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.support.checks import check_arrays, check_matrix, check_names, check_number
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.tables import read_table, split_targets, write_table

# check_arrays and check_matrix ---------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_not_finite_names_row_and_column(value, shown):
    U = np.zeros((4, 3))
    U[2, 1] = U[3, 0] = value
    with pytest.raises(
        InvalidInputError, match=rf"^U: contains {shown} at row 2, column 1 \(2 such entries in all\)\. Drop or impute"
    ):
        check_arrays(U, np.zeros(4))
    with pytest.raises(InvalidInputError, match=rf"^Y: contains {shown} at row 2, column 'b'"):
        check_arrays(np.zeros((4, 3)), pd.DataFrame(U, columns=["a", "b", "c"]))


@pytest.mark.parametrize(
    ("U", "message"),
    [
        (np.zeros((0, 3)), r"^U: has 0 sample\(s\), at least 2 needed\. Samples are rows"),
        ([], r"^U: has 0 sample\(s\)"),
        (np.zeros((1, 3)), r"^U: has 1 sample\(s\), at least 2 needed"),
        (np.zeros((3, 0)), r"^U: has no columns\. Pass at least one variable"),
        (np.zeros((3, 2, 2)), r"^U: has 3 dimensions\. Pass a 2-D array with samples as rows"),
        (None, r"^U: has 0 dimensions"),
        (sparse.csr_matrix(np.eye(3)), r"^U: is a sparse matrix\. Pass U\.toarray\(\)"),
        (np.array([["1", "x"], ["2", "3"]]), r"^U: is not a table of numbers \(could not convert string .*'x'"),
        ([[1, 2], [3]], r"^U: is not a table of numbers"),
        (np.array([[1 + 2j], [0]]), r"^U: is not a table of numbers \(complex\)"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), r"^U: is not a table of numbers \(dates\)"),
        (np.ma.masked_equal([[1.0], [7.0]], 7), r"^U: contains nan at row 1, column 0"),
        (pd.DataFrame({"a": [1, 2], "b": ["3", "x"]}), r"^U: column 'b' is not numeric \(row 1 holds 'x'\)\. Encode"),
        (pd.DataFrame({"a": pd.Categorical(["u", "v"])}), r"^U: column 'a' is not numeric \(row 0 holds 'u'\)"),
        (pd.DataFrame({"a": [1.0, 2], "w": pd.to_datetime(["2020-01-01"] * 2)}), r"^U: column 'w' holds datetime64"),
        (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), r"^U: contains nan at row 1, column 'a'"),
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


# check_number --------------------------------------------------------------------------------------------------


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
        (np.bool_(True), {"integer": True}, r"^k: must be a number, got .*True"),
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


# Files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.PQ"])
def test_tables_come_back(tmp_path, name):
    table = pd.DataFrame({"a": [1.5, -2.0], "b c": [3, 4], "word": ["x", "y,z"]})
    assert write_table(table, tmp_path / name) == tmp_path / name
    pd.testing.assert_frame_equal(read_table(tmp_path / name), table)
    assert (tmp_path / name).read_bytes().startswith(b"a,b c" if name.endswith("csv") else b"PAR1")


def test_a_comma_at_the_end_of_every_row_does_no_harm(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2,\n3,4,\n")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), pd.DataFrame({"a": [1, 3], "b": [2, 4]}))


def test_column_names_become_text(tmp_path):
    (tmp_path / "t.csv").write_text("0,1\n2,3\n")
    assert list(read_table(tmp_path / "t.csv").columns) == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", r"cannot be read as a table \(No columns to parse from file\)\. Give a CSV file with a header"),
        ("t.csv", b"a,b\n", r"holds 0 rows and 2 columns\. Give a filled table"),
        ("t.csv", b"\x89PNG\xff\xfe\x00", r"cannot be read as a table \('utf-8' codec"),
        ("t.csv", b"\x00" * 40, r"holds 0 rows|cannot be read as a table"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", r"cannot be read as a table \(.*Expected 2 fields in line 3, saw 3"),
        ("t.csv", b"a,b\n1,2,3\n4,5,6\n", r"cannot be read as a table \(rows are longer than the header line\)"),
        ("t.csv", b"a,b\n0,2,3\n1,5,6\n", r"cannot be read as a table \(rows are longer than the header line\)"),
        ("t.parquet", b"a,b\n1,2\n", r"cannot be read as a table \(.*Parquet"),
        ("t.parquet", b"", r"cannot be read as a table \(.*Parquet"),
    ],
)
def test_files_that_hold_no_table(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_table(path)
    assert caught.value.argument == str(path)


def test_no_file(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone\.csv: no such file\. Check the path"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(InvalidInputError, match=r": is a folder\. Check the path"):
        read_table(tmp_path)


def test_split_targets():
    table = pd.DataFrame({"a": [1], "y": [2], "id": [3], "b": [4], "z": [5]})
    inputs, targets = split_targets(table, ["z", "y"], ["id"])
    assert list(inputs.columns) == ["a", "b"]
    assert list(targets.columns) == ["z", "y"]  # in the order asked for
    with pytest.raises(InvalidInputError, match=r"^target: no column named 'x'\. The table has: a, y, id, b, z\."):
        split_targets(table, ["y", "x"])
    with pytest.raises(InvalidInputError, match=r"^ignore: no column named 'x'"):
        split_targets(table, ["y"], ["x"])
    with pytest.raises(InvalidInputError, match=r"^target: leaves no input column"):
        split_targets(table, ["y", "z"], ["a", "b", "id"])
    wide = pd.DataFrame(np.zeros((1, 20)), columns=[f"c{j}" for j in range(20)])
    with pytest.raises(InvalidInputError, match=r"c10, c11, \.\.\.\.$"):
        split_targets(wide, ["x"])


# Standardization -----------------------------------------------------------------------------------------------


def test_standardization_is_numpys():
    rng = np.random.default_rng(0)
    U, Y = 3 + 2 * rng.standard_normal((50, 3)), 1e3 * rng.standard_normal((50, 2))
    U[:, 1] = 7.0  # constant: no scale to divide by
    scales = Standardization.fit(U, Y)
    V, Z = scales.apply(U, Y)
    np.testing.assert_allclose(V[:, [0, 2]], (U - U.mean(axis=0))[:, [0, 2]] / U.std(axis=0)[[0, 2]], atol=1e-12)
    np.testing.assert_allclose(Z, (Y - Y.mean(axis=0)) / Y.std(axis=0), atol=1e-12)
    np.testing.assert_array_equal(V[:, 1], 0.0)
    assert scales.input_scale[1] == 1.0
    np.testing.assert_allclose(V * scales.input_scale + scales.input_mean, U)
    np.testing.assert_allclose(Z * scales.target_scale + scales.target_mean, Y)


@pytest.mark.parametrize("activation", ["relu", "clip"])
def test_raw_model_predicts_as_the_standardised_one(activation):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((30, 4)) * [1, 100, 0.01, 0] + [5, -3, 0, 2]
    Y = rng.standard_normal((30, 2)) * [10, 0.1] + [0, 50]
    scales = Standardization.fit(U, Y)
    n = 5
    A = rng.uniform(-1, 1, (n, n)) * 0.9 / n
    parts = (rng.standard_normal(shape) for shape in ((n, 4), n, (2, n), (2, 4), 2))
    model = ImplicitModel(A, *parts, activation, input_names=list("abcd"), output_names=["s", "t"])
    raw = scales.raw_model(model)
    new = U + rng.standard_normal(U.shape)
    standardised = model.predict((new - scales.input_mean) / scales.input_scale)
    np.testing.assert_allclose(raw.predict(new), standardised * scales.target_scale + scales.target_mean, rtol=1e-7)
    np.testing.assert_array_equal(raw.A, model.A)
    assert (raw.input_names, raw.output_names) == (model.input_names, model.output_names)


# write_atomically ----------------------------------------------------------------------------------------------


def test_writing_replaces_the_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old and longer")
    assert write_atomically(path, lambda file: file.write(b"new")) == path
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        assert path.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
        raise error("on the way")

    with pytest.raises(error, match="on the way"):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_is_named(tmp_path):
    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InvalidInputError, match=r"f: cannot be written \(No space left on device\)\. Choose another"):
        write_atomically(tmp_path / "f", write)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone/f: cannot be written \(No such file or directory\)"):
        write_atomically(tmp_path / "gone" / "f", lambda file: None)
    with pytest.raises(InvalidInputError, match=r": is a folder\. Give the name of a file"):
        write_atomically(tmp_path, lambda file: None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_permissions_are_those_of_open(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "ours", lambda file: None)
        (tmp_path / "theirs").write_bytes(b"")
        assert os.umask(mask) == mask  # left as it was
    finally:
        os.umask(before)
    ours, theirs = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs"))
    assert ours == theirs == 0o666 & ~mask
