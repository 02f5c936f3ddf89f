"""Files of tables: read as people have them, written as their names say."""

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support import table_files
from bcd_implicit.support.delimited import TextFormat
from bcd_implicit.support.table_files import check_table_name, read_table, table_of, write_table

TABLE = pd.DataFrame({"a": [1.5, -2.0 / 3], "b c": [3, 4], "word": ["x", "y,z"]})
STARTS = {
    "t.csv": b"a,b c",
    "t": b"a,b c",
    "t.txt": b"a,b c",
    "t.tsv": b"a\tb c",
    "t.tsv.gz": b"\x1f\x8b",
    "t.csv.gz": b"\x1f\x8b",
    "t.csv.bz2": b"BZh",
    "t.csv.xz": b"\xfd7zXZ",
    "t.csv.zip": b"PK\x03\x04",
    "t.json": b"[\n{",
    "t.parquet": b"PAR1",
    "t.PQ": b"PAR1",
}


def refusal(function, path, *arguments):
    with pytest.raises(InvalidInputError) as caught:
        function(path, *arguments)
    assert caught.value.argument == str(path)
    return caught.value.cause


@pytest.mark.parametrize("name", STARTS)
def test_tables_come_back_from_what_the_name_says(tmp_path, name):
    assert write_table(TABLE, tmp_path / name) == tmp_path / name
    back = read_table(tmp_path / name)
    pd.testing.assert_frame_equal(back.reset_index(drop=True), TABLE, rtol=1e-15)
    counted = "row" if name in ("t.json", "t.parquet", "t.PQ") else "line"
    assert (back.index.name, back.index[0]) == (counted, 1 if counted == "row" else 2)
    assert (tmp_path / name).read_bytes().startswith(STARTS[name])
    assert os.listdir(tmp_path) == [name]


def test_a_zip_holds_a_file_of_the_right_name(tmp_path):
    write_table(TABLE, tmp_path / "t.tsv.zip")
    with zipfile.ZipFile(tmp_path / "t.tsv.zip") as archive:
        assert archive.namelist() == ["t.tsv"]
        assert archive.read("t.tsv").startswith(b"a\tb c")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_known_by_their_contents(tmp_path, pack):
    (tmp_path / "t.csv").write_bytes(pack(b"a;b\n1,5;2\n"))
    assert read_table(tmp_path / "t.csv").to_numpy().tolist() == [[1.5, 2]]
    damaged = bytearray(pack(b"a,b\n1,2\n" * 100))[:-6]
    (tmp_path / "t.csv").write_bytes(damaged)
    assert refusal(read_table, tmp_path / "t.csv").startswith("is damaged: it cannot be unpacked (")


@pytest.mark.parametrize("name", ["t.pkl", "t.xls", "t.csv.zst", "t.parquet.gz", "t.json.zip", "t.csv.tar", "d/t.x"])
def test_endings_that_cannot_be_written(tmp_path, name):
    for function in (check_table_name, lambda path: write_table(TABLE, path)):
        assert refusal(function, tmp_path / name).startswith("has an ending that cannot be written, .")
    assert os.listdir(tmp_path) == []


def test_packages_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files.importlib.util, "find_spec", lambda name: None)
    assert refusal(check_table_name, tmp_path / "t.xlsx") == "cannot be written without openpyxl"
    assert refusal(check_table_name, tmp_path / "t.parquet") == "cannot be written without pyarrow"

    def lacking(*arguments, **options):
        raise ImportError("Missing", name="openpyxl")

    monkeypatch.setattr(pd, "ExcelFile", lacking)
    (tmp_path / "t.xlsx").touch()
    assert refusal(read_table, tmp_path / "t.xlsx") == "cannot be read without openpyxl"
    with pytest.raises(InvalidInputError, match=r"Install it \(pip install 'bcd-implicit\[excel\]'\)"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(InvalidInputError, match=r"Install it \(pip install 'bcd-implicit\[parquet\]'\)"):
        check_table_name(tmp_path / "t.pq")


class Book:
    """What pandas finds in a spreadsheet."""

    sheet_names = ("data", "notes")

    def __init__(self, file):
        assert file.read() == b"book"

    def parse(self):
        rows = [["x", "größe\n[cm] ", None], [1, 2.5, None], [2, "a, b", None], [3, 0.1, None]]
        return pd.DataFrame(rows, dtype=object)


def test_spreadsheets(tmp_path, monkeypatch):
    monkeypatch.setattr(pd, "ExcelFile", Book)
    monkeypatch.setattr(pd, "read_excel", lambda book, header: book.parse())
    (tmp_path / "t.xlsx").write_bytes(b"book")
    with pytest.warns(UserWarning, match=r"t\.xlsx: read the first sheet, 'data'\.$"):
        table = read_table(tmp_path / "t.xlsx")
    assert list(table.columns) == ["x", "größe [cm]"]
    assert table.index.tolist() == [2, 3, 4]
    assert table.index.name == "row"
    assert table["x"].dtype.kind == "i"
    for rows, words in (
        ([["x", "x"], [1, 2]], "has two columns named 'x'"),
        ([["x", None], [1, 2]], "line 2 has 2 fields, the header has 1 field"),
        ([["x", "y"], [None, None], [1, 2]], "line 2 is empty"),
        ([["x", "y"]], "has a header but no rows"),
    ):
        monkeypatch.setattr(Book, "sheet_names", ["data"])
        monkeypatch.setattr(Book, "parse", lambda *a, rows=rows, **b: pd.DataFrame(rows, dtype=object))
        assert refusal(read_table, tmp_path / "t.xlsx") == words
    monkeypatch.setattr(Book, "parse", lambda *a, **b: pd.DataFrame())
    assert refusal(read_table, tmp_path / "t.xlsx") == "is empty"


def test_a_spreadsheet_comes_back_as_it_was_written(tmp_path):
    pytest.importorskip("openpyxl")
    table = read_table(write_table(TABLE, tmp_path / "t.xlsx"))
    pd.testing.assert_frame_equal(table.reset_index(drop=True), TABLE)


def test_labels_of_rows_in_parquet_are_columns(tmp_path):
    path = tmp_path / "t.parquet"
    TABLE.set_index("b c").to_parquet(path)
    assert list(read_table(path).columns) == ["b c", "a", "word"]
    assert read_table(path).index.tolist() == [1, 2]
    TABLE.set_axis([7, 7], axis=0).to_parquet(path)  # labels without a name are none
    assert list(read_table(path).columns) == ["a", "b c", "word"]
    assert read_table(path).index.tolist() == [1, 2]


def test_what_a_mac_adds_to_a_zip_is_no_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", "a,b\n1,2\n")
        archive.writestr("__MACOSX/._t.csv", b"\0")
    assert read_table(tmp_path / "t.zip").to_numpy().tolist() == [[1, 2]]


def test_json(tmp_path):
    path = tmp_path / "t.json"
    for content in ('{"a": [0.1, null], "1": [1, 2]}', '[{"a": 0.1, "1": 1}, {"1": 2}]'):
        path.write_text(content)
        assert list(read_table(path).columns) == ["a", "1"]
        np.testing.assert_array_equal(read_table(path).to_numpy(), [[0.1, 1], [np.nan, 2]])
    for content in ("{", "3", '[{"a": 1, "a": 2}]', "[" * 100_000, '{"a": [1, 2], "b": [1]}'):
        path.write_text(content)
        assert refusal(read_table, path).startswith("cannot be read as JSON (")
    path.write_text("[]")
    assert refusal(read_table, path) == "has 0 columns and 0 rows"
    # Written to the last digit.
    numbers = pd.DataFrame({"a": np.random.default_rng(0).standard_normal(50), "n": np.arange(50), "s": "é"})
    write_table(numbers, path)
    assert len(json.loads(path.read_text())) == 50
    pd.testing.assert_frame_equal(read_table(path).reset_index(drop=True), numbers, check_exact=True)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PAR1" + bytes(50) + b"PAR1"])
def test_damaged_parquet(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    assert refusal(read_table, tmp_path / "t.parquet").startswith("cannot be read as Parquet (")


def test_two_columns_of_one_name_and_accents_typed_otherwise(tmp_path):
    (tmp_path / "t.csv").write_text("x,y,y\n1,2,3\n")
    assert refusal(read_table, tmp_path / "t.csv") == "has two columns named 'y'"
    (tmp_path / "t.csv").write_text("o\u0308,y\n1,2\n")
    assert list(read_table(tmp_path / "t.csv").columns) == ["ö", "y"]
    (tmp_path / "t.csv").write_text("o\u0308,ö\n1,2\n")
    assert refusal(read_table, tmp_path / "t.csv") == "has two columns named 'ö'"
    pd.DataFrame({"o\u0308": [1]}).to_parquet(tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["ö"]


def test_the_format_reaches_the_text(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"x y\n1,234 2\n"))
    table = read_table(tmp_path / "t.csv.gz", TextFormat(sep=" ", decimal=","))
    assert table.to_dict("list") == {"x": [1.234], "y": [2]}


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    assert refusal(read_table, tmp_path / "gone.csv") == "no such file"
    assert refusal(read_table, tmp_path) == "is a folder"
    os.mkfifo(tmp_path / "pipe.csv")
    assert refusal(read_table, tmp_path / "pipe.csv") == "is a pipe or a device"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n")
        archive.writestr("b.csv", "a,b\n1,2\n")
    (tmp_path / "t.zip").write_bytes(buffer.getvalue())
    assert refusal(read_table, tmp_path / "t.zip") == "is a zip archive of 2 files"
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")

    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refusal(read_table, tmp_path / "t.csv") == "cannot be read (Permission denied)"


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "a,y\n1,2\n3,4\n")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # A spreadsheet is one although it is a zip archive of several files.
        (zipped("docProps/app.xml", "[Content_Types].xml"), "cannot be read"),
        (zipped("mimetype", "content.xml"), "cannot be read"),
        (zipped("a.csv", "b.csv"), "is a zip archive of 2 files"),
        (b"PAR1 but no more", "cannot be read as Parquet"),
        (b'{"a": [1, 2], "a": [3, 4]}', "cannot be read as JSON (a name is there twice"),
    ],
)
def test_contents_without_a_name_say_what_they_are(content, words):
    with pytest.raises(InvalidInputError, match=r"standard input: ") as refused:
        table_of("standard input", content)
    assert words in str(refused.value)


@pytest.mark.parametrize("content", [b"a,y\n1,2\n3,4\n", b'[{"a": 1, "y": 2}, {"a": 3, "y": 4}]', zipped("t.csv")])
def test_contents_without_a_name_are_read(content):
    assert table_of("standard input", content).to_dict("list") == {"a": [1, 3], "y": [2, 4]}


def test_text_that_begins_like_json_is_text():
    assert list(table_of("standard input", b"[cm],y\n1,2\n3,4\n").columns) == ["[cm]", "y"]
