"""The file DATA of a command, which may be standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from bcd_implicit.cli.console import print_note
from bcd_implicit.support.delimited import TextFormat
from bcd_implicit.support.table_files import read_table, table_of

STANDARD_INPUT = Path("-")


def name_of(data: Path) -> str:
    """The file as messages name it."""
    return "standard input" if data == STANDARD_INPUT else str(data)


def title_of(data: Path) -> str:
    """The same without its folder."""
    return name_of(data) if data == STANDARD_INPUT else data.name


def read_data(data: Path, form: TextFormat) -> pd.DataFrame:
    """The data in the file or on standard input, where the contents say what they are: text, unless told otherwise.

    Raises
    ------
    InvalidInputError
        As of :func:`~bcd_implicit.support.table_files.read_table`.
    """
    if data != STANDARD_INPUT:
        return read_table(data, form)
    if sys.stdin.isatty():
        print_note("reading data from the terminal; Ctrl-D ends them.")
    return table_of(name_of(data), sys.stdin.buffer.read(), form)
