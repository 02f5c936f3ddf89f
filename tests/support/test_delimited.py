"""Text with separators, as people have it."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.delimited import TextFormat, decode, read_delimited


def read(text, **form):
    return read_delimited("t.csv", text if isinstance(text, bytes) else text.encode(), TextFormat(**form))


def refusal(text, **form):
    with pytest.raises(InvalidInputError) as caught:
        read(text, **form)
    assert caught.value.argument == "t.csv"
    return str(caught.value).removeprefix("t.csv: ")


def assert_reads(table, columns, values, lines):
    assert list(table.columns) == columns
    assert table.to_numpy().tolist() == values
    assert table.index.tolist() == lines
    assert table.index.name == "line"


NUMBERS = [[1.5, 2.0], [2.5, 3.0]]


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n1.5,2\n2.5,3\n",
        "x;y\n1.5;2\n2.5;3\n",
        "x;y\n1,5;2\n2,5;3\n",
        "x\ty\n1,5\t2\n2,5\t3",
        "x|y\n1.5|2\n2.5|3\n\n\n",
        "x, y\n1.5,  2\n 2.5 , 3\n",
        '"x"; "y"\n"1,5"; "2"\n"2,5"; "3"\n',
        '"x","y"\n"1,5","2"\n"2,5","3"\n',
        "x,y,\n1.5,2,\n2.5,3,\n",
        "x,y\n1.5,2,\n2.5,3,\n",
        "x,y,,\n1.5,2\n2.5,3,,\n,,,\n,\n",
        "x,y\r\n1.5,2\r\n2.5,3\r\n\x1a",
        "x,y\r1.5,2\r2.5,3\r",
    ],
)
def test_separators_and_decimal_marks(text):
    assert_reads(read(text), ["x", "y"], NUMBERS, [2, 3])


@pytest.mark.parametrize("mark", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_first_line_that_names_the_separator(mark):
    assert_reads(read(f"{mark}\nx, a;y\n1,5;2\n2,5;3\n"), ["x, a", "y"], NUMBERS, [3, 4])


def test_commas_in_names_and_texts_separate_nothing():
    assert_reads(read("length, cm;mass, kg\n1,5;2,0\n2,5;3,0\n"), ["length, cm", "mass, kg"], NUMBERS, [2, 3])
    assert_reads(read("name;x\nA, B;1\nC, D;2\n"), ["name", "x"], [["A, B", 1], ["C, D", 2]], [2, 3])
    assert_reads(read("name\nA, B\nC, D\n"), ["name"], [["A, B"], ["C, D"]], [2, 3])
    assert_reads(read("u\n1,5\n2,5\n"), ["u"], [[1.5], [2.5]], [2, 3])


def test_what_is_told_goes_before_what_is_guessed():
    assert_reads(read("x y\n1 2\n3  4\n", sep="space"), ["x", "y"], [[1, 2], [3, 4]], [2, 3])
    assert_reads(read("x.y\n1.2\n", sep="."), ["x", "y"], [[1, 2]], [2])
    assert_reads(read("x\ty,z\n1\t2\n", sep="tab"), ["x", "y,z"], [[1, 2]], [2])
    assert_reads(read("x;y\n1,234;2,345\n", decimal=","), ["x", "y"], [[1.234, 2.345]], [2])
    assert_reads(read("x;y\n1,5;2,5\n", decimal="."), ["x", "y"], [["1,5", "2,5"]], [2])
    assert_reads(read("é\n1\n".encode("mac-roman"), encoding="mac-roman"), ["é"], [[1]], [2])
    with pytest.raises(InvalidInputError, match="t.csv: line 2 has 1 field, the header has 2 fields"):
        read("x,y\n1;2\n", sep=",")


def test_numbers_that_may_be_thousands_are_left_as_text():
    assert_reads(read("x;y\n1,234;2\n12,345;3\n"), ["x", "y"], [["1,234", 2], ["12,345", 3]], [2, 3])
    assert_reads(read("x;y\n1.234,5;2\n"), ["x", "y"], [["1.234,5", 2]], [2])
    # Points beside commas: one of them separates thousands.
    assert_reads(read("x;y\n1,5;2.345\n"), ["x", "y"], [["1,5", 2.345]], [2])
    # One number that cannot be thousands tells them all.
    assert_reads(read("x;y\n1,234;2\n12,34;3\n"), ["x", "y"], [[1.234, 2], [12.34, 3]], [2, 3])


ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings(encoding):
    assert_reads(read("größe;y\n1,5;2\n2,5;3\n".encode(encoding)), ["größe", "y"], NUMBERS, [2, 3])


@pytest.mark.parametrize(
    ("above", "shown"),
    [
        ("Messung 2019", "line 1, 'Messung 2019'"),
        ("Run 3, 12.5.2019, Lab 7", "line 1, 'Run 3, 12.5.2019, Lab 7'"),
        ("Messung;", "line 1, 'Messung'"),
        ("# made by\n# a machine", "2 lines from line 1 on, '# made by'"),
        ("\nMessung\n", "line 2, 'Messung'"),
    ],
)
def test_titles_above_the_header_are_skipped_with_a_word(above, shown):
    with pytest.warns(UserWarning, match=f"^t.csv: skipped {shown}, above the header\\.$"):
        table = read(f"{above}\nx;y\n1,5;2\n2,5;3\n")
    start = above.count("\n") + 3
    assert_reads(table, ["x", "y"], NUMBERS, [start, start + 1])


def test_an_empty_line_parts_a_title_with_commas_from_the_header():
    for text in (
        "Measurements, all\nof 2020\n\nx,z,y\n1,2,3\n2,3,1\n",
        "Measurements, all,\nof 2020,,\n,,\nx,z,y\n1,2,3\n2,3,1\n",
        "Measurements, all\nof 2020\n\nx;z;y\n1;2;3\n2;3;1\n",
    ):
        with pytest.warns(UserWarning, match=r"^t\.csv: skipped 2 lines from line 1 on, 'Measurements"):
            assert_reads(read(text), ["x", "z", "y"], [[1, 2, 3], [2, 3, 1]], [5, 6])


def test_what_may_be_a_title_is_said_to_be_one():
    remedy = "if the lines above the column names are a title, remove them."
    for text, line in (
        ("Measurements, all\nof 2020\nx,z,y\n1,2,3\n2,3,1\n", "line 2 has 1 field, the header has 2 fields. Correct"),
        ("x,z\n\n1,2,3\n2,3,1\n", "line 2 is empty. Remove the line, or fill it; if the lines"),
        ("Weights, all\n\nx,y\n1,2\n3,4\n", "line 2 is empty. Remove the line, or fill it; if the lines"),
    ):
        message = refusal(text)
        assert message.startswith(line)
        assert message.endswith(remedy)
    assert "title" not in refusal("a,b\n1,2\n1,2,3\n")
    assert "title" not in refusal("a,b\n1,2\n\n1,2\n")


def test_what_is_no_title():
    assert_reads(read(",y\n0,1\n1,3\n"), ["column 1", "y"], [[0, 1], [1, 3]], [2, 3])
    assert_reads(read("2019,2020\n1,2\n"), ["2019", "2020"], [[1, 2]], [2])


def test_lines_are_counted_as_in_the_file():
    table = read('a,b\n"x ""q""\nz",2\n3,4\n')
    assert_reads(table, ["a", "b"], [['x "q"\nz', 2], ["3", 4]], [2, 4])
    assert read("a,b\n1,\n,2\n").isna().to_numpy().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty. Give a file with a header and rows."),
        ("\n \n", "is empty. Give"),
        ("a,b\n", "has a header but no rows. Give a file with rows."),
        ("a,b", "has a header but no rows."),
        (",,\n", "has no header."),
        (b"\x89PNG\xff\xfe\x00\x01", "is not text. Give a CSV, Parquet, JSON or Excel file."),
        (b"\x00" * 40, "is not text."),
        (b"\x01\x02\x03,\n", "is not text."),
        ("u\n1\n\n3\n", "line 3 is empty. Remove the line, or fill it."),
        ("a,b\n1,2\n\n3,4\n", "line 3 is empty."),
        ("a,b\n1,2\n,\n3,4\n", "line 3 is empty."),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, the header has 2 fields. Correct the line, or give the separator"),
        ("a,b\n1,2,3\n4,5,6\n", "line 2 has 3 fields, the header has 2 fields."),
        ("a,b\n1\n2,3\n", "line 2 has 1 field, the header has 2 fields."),
        ('a,b\n"1\n2",3\n4\n', "line 4 has 1 field, the header has 2 fields."),
        ('a,"b\n1,2\n3,4\n', "cannot be read from line 1 on (unexpected end of data). Look for a quote"),
        ('a,b\n1,"2\n3,4\n', "cannot be read from line 2 on (unexpected end of data)."),
        ('a,b\n1,"' + 200_000 * "2" + '"\n', "cannot be read from line 2 on (field larger than field limit"),
    ],
)
def test_texts_that_hold_no_table(text, message):
    assert refusal(text).startswith(message)


def test_formats_that_are_not_text():
    assert refusal("ä,y\n1,2\n".encode("latin-1"), encoding="utf-8").startswith("is not text in the encoding utf-8.")
    for options, message in (
        ({"sep": "ab"}, "sep: got 'ab'. Give one character, or tab."),
        ({"sep": ""}, "sep: got ''."),
        ({"sep": '"'}, "sep: got '\"'."),
        ({"decimal": ";"}, "decimal: got ';'. Give a point or a comma."),
        ({"encoding": "nope"}, "encoding: unknown encoding 'nope'."),
        ({"encoding": "a\0b"}, "encoding: unknown"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            TextFormat(**options)
        assert str(caught.value).startswith(message)
    with pytest.raises(InvalidInputError, match="t: is not text in the encoding hex"):
        decode("t", b"ab", "hex")


def test_numbers_come_back_to_the_last_digit():
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((300, 4)) * 10.0 ** np.arange(-200, 200, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = read(table.to_csv(index=False))
    np.testing.assert_allclose(back.to_numpy(), table.to_numpy(), rtol=1e-15)
    comma = read(table.to_csv(index=False, sep=";", decimal=","))
    np.testing.assert_allclose(comma.to_numpy(), table.to_numpy(), rtol=1e-15)
