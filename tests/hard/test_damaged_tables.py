"""Damaged tables of every kind, and tables written in every way: one clear error, or the right values."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from damage import damaged_bytes

from bcd_implicit import InvalidInputError
from bcd_implicit.support.table_files import read_table, write_table

pytestmark = pytest.mark.hard

KINDS = ["t.csv", "t.tsv", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zip", "t.json", "t.parquet"]


def make_table(rng, n_rows=12):
    table = pd.DataFrame(rng.standard_normal((n_rows, 3)).round(4), columns=["a", "länge [cm]", "c"])
    table["n"] = rng.integers(-5, 2000, n_rows)
    table["word"] = rng.choice(['say "so"', "x, y; z", "ä|ö", "tab\there", "two\nlines", "?"], n_rows)
    return table


def damaged(content, rng):
    yield from damaged_bytes(content, rng, 30, 40, 5, 15, 50)
    for _ in range(10):
        # Lines and marks where they do not belong.
        place, odd = rng.integers(len(content)), [b"\n", b'"', b",", b";", b"\0", b"\xff", b"\r\n\r\n", b"sep=;\n"]
        yield content[:place] + odd[rng.integers(len(odd))] + content[place:]
    yield content[:40] + b"\xfe\xff" + content[40:]
    yield rng.bytes(300)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path, kind):
    rng = np.random.default_rng(0)
    write_table(make_table(rng), tmp_path / kind)
    content = (tmp_path / kind).read_bytes()
    refused = 0
    for number, changed in enumerate(damaged(content, rng)):
        (tmp_path / kind).write_bytes(changed)
        with warnings.catch_warnings():
            # Of lines above the header; anything else is an error.
            warnings.filterwarnings("ignore", message=".*above the header", category=UserWarning)
            table, culprit = read(tmp_path / kind)
        if table is None:
            assert culprit == str(tmp_path / kind), number
            refused += 1
        else:
            assert len(table) > 0, number
            assert table.columns.is_unique, number
            assert all(isinstance(column, str) for column in table.columns), number
    assert refused > 10


def read(path):
    try:
        return read_table(path), ""
    except InvalidInputError as error:
        return None, error.argument


ENCODINGS = ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be"]
WAYS = list(itertools.product([",", ";", "\t", "|"], [".", ","], ENCODINGS, ["\n", "\r\n", "\r"]))


@pytest.mark.parametrize(("sep", "decimal", "encoding", "newline"), WAYS)
def test_tables_written_in_every_way(tmp_path, sep, decimal, encoding, newline):
    rng = np.random.default_rng(len(encoding))
    table = make_table(rng)
    table["word"] = table["word"].str.replace("\n", " ")
    for title, ending in itertools.product(["", "A title" + newline], ["", sep]):
        text = table.to_csv(None, index=False, sep=sep, decimal=decimal, lineterminator=ending + newline)
        (tmp_path / "t.csv").write_bytes((title + text).encode(encoding))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*above the header", category=UserWarning)
            back = read_table(tmp_path / "t.csv")
        assert back.index[0] == 2 + bool(title)
        pd.testing.assert_frame_equal(back.reset_index(drop=True), table)
