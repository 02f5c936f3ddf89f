"""What the shell completes beyond the names of options and files."""

from __future__ import annotations

import warnings
from contextlib import suppress
from pathlib import Path

import click

#: So much of a file is read for the names of its columns, in bytes.
BEGINNING = 2**16


def columns_of_the_file(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The columns of the text file DATA that begin with what was typed; none where it cannot be read."""
    # The shell calls this at each press of Tab: nothing heavy is loaded before it is needed, and nothing is printed.
    # An option that still lacks its value keeps click from telling arguments apart.
    given = [context.params.get("data"), *context.args]
    data = next(filter(None, given), None)
    if data is None or not Path(data).is_file():
        return []
    from bcd_implicit.errors import InvalidInputError
    from bcd_implicit.support.delimited import read_delimited
    from bcd_implicit.support.text_format import TextFormat

    with Path(data).open("rb") as file:
        beginning = file.read(BEGINNING)
    if len(beginning) == BEGINNING:
        beginning = beginning[: beginning.rfind(b"\n") + 1]
    with suppress(InvalidInputError), warnings.catch_warnings(action="ignore"):
        names = read_delimited(str(data), beginning, TextFormat()).columns
        return [name for name in names if name.startswith(incomplete)]
    return []
