"""Tables in files, and their division into inputs and targets."""

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.tables import read_table, split_targets, write_table


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
