"""Tables in files: reading, writing, and picking columns by name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.files import write_atomically

_PARQUET = {".parquet", ".pq"}


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV or Parquet file.

    Raises
    ------
    InvalidInputError
        No such file, no table in it, rows longer than the header line, or no rows.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidInputError(str(path), "is a folder" if path.is_dir() else "no such file", "Check the path")
    try:
        table = pd.read_parquet(path) if path.suffix.lower() in _PARQUET else _read_csv(path)
    except (ValueError, OSError) as error:  # pandas' parser errors and pyarrow's are ValueErrors or OSErrors
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidInputError(
            str(path),
            f"cannot be read as a table ({first_line})",
            "Give a CSV file with a header line or a Parquet file",
        ) from None
    if table.empty:
        raise InvalidInputError(
            str(path), f"holds {len(table)} rows and {table.shape[1]} columns", "Give a filled table"
        )
    table.columns = [str(c) for c in table.columns]
    if table.shape[1] == 1 and any(mark in table.columns[0] for mark in ";\t"):
        raise InvalidInputError(str(path), f"has the single column {table.columns[0]!r}", "Separate columns by commas")
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    # By default pandas takes surplus fields for row labels, and every column holds its neighbour's values.
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(path, index_col=False)
        except pd.errors.ParserWarning:
            raise ValueError("rows are longer than the header line") from None


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a CSV or Parquet file, by the ending of its name, whole or not at all."""
    if Path(path).suffix.lower() in _PARQUET:
        return write_atomically(path, lambda file: table.to_parquet(file, index=False))
    return write_atomically(path, lambda file: table.to_csv(file, index=False))


def pick_columns(name: str, table: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The wanted columns of a table, in that order.

    Parameters
    ----------
    name : str
        What messages call the table.

    Raises
    ------
    InvalidInputError
        A wanted column is missing.
    """
    table = table.set_axis([str(c) for c in table.columns], axis=1)
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise InvalidInputError(
            name,
            f"lacks the model's input column {missing[0]!r} ({len(missing)} missing in all)",
            f"The model needs: {', '.join(wanted[:12])}{', ...' if len(wanted) > 12 else ''}",
        )
    return table[list(wanted)]


def split_targets(
    table: pd.DataFrame, targets: Sequence[str], ignore: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table into inputs and targets by column name.

    Parameters
    ----------
    table : DataFrame
    targets : sequence of str
        The columns to predict.
    ignore : sequence of str
        Columns that are neither.

    Raises
    ------
    InvalidInputError
        A named column is missing, no input column is left, or a column holds text.
    """
    for argument, names in (("target", targets), ("ignore", ignore)):
        for name in names:
            if name not in table.columns:
                shown = ", ".join(map(str, table.columns[:12])) + (", ..." if table.shape[1] > 12 else "")
                raise InvalidInputError(argument, f"no column named {name!r}", f"The table has: {shown}")
    both = set(targets) & set(ignore)
    if both:
        raise InvalidInputError("ignore", f"names the target {min(both)!r}", "Name a column once")
    inputs = table.drop(columns=[*targets, *ignore])
    if inputs.shape[1] == 0:
        raise InvalidInputError("target", "leaves no input column", "Name fewer columns as targets")
    return inputs, table[list(targets)]
