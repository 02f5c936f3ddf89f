"""The file DATA of a command, which may be standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bcd_implicit.cli.console import print_note
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.text_format import TextFormat

if TYPE_CHECKING:
    import pandas as pd

#: What - stands for. Path("-") would be the file ./- as well.
STANDARD_INPUT, STANDARD_OUTPUT = Path("/dev/stdin"), Path("/dev/stdout")


def name_of(data: Path) -> str:
    """The file as messages name it."""
    return "standard input" if data == STANDARD_INPUT else str(data)


def title_of(data: Path) -> str:
    """The same without its folder."""
    return name_of(data) if data == STANDARD_INPUT else data.name


def check_data(data: Path) -> None:
    """Raise an error unless there is such a file, before the imports that reading it needs, which take longer.

    Raises
    ------
    InvalidInputError
        As in :func:`~bcd_implicit.support.files.check_is_file`.
    """
    if data != STANDARD_INPUT:
        check_is_file(data)


def read_data(data: Path, form: TextFormat) -> pd.DataFrame:
    """The data in the file or on standard input, where the contents say what they are: text, unless told otherwise.

    Raises
    ------
    InvalidInputError
        As in :func:`~bcd_implicit.support.table_files.read_table`.
    """
    from bcd_implicit.support.table_files import read_table, table_of

    if data != STANDARD_INPUT:
        return read_table(data, form)
    if sys.stdin.isatty():
        print_note("reading data from the terminal; Ctrl-D ends them.")
    return table_of(name_of(data), sys.stdin.buffer.read(), form)
