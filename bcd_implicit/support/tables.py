"""Data frames of inputs and targets: columns by name, categories as indicators, and which entries are no numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.display import quoted


def pick_columns(name: str, table: pd.DataFrame, wanted: Sequence[str], what: str = "input") -> pd.DataFrame:
    """The wanted columns of a table, in that order.

    A column that is not there, such as ``color=red``, is made from a column ``color``: 1 where that holds red, else 0.

    Parameters
    ----------
    name : str
        What messages call the table.
    what : {"input", "output"}
        What of a model its columns are.

    Raises
    ------
    InvalidInputError
        A wanted column is missing, or one of categories holds another category.
    """
    table = table.set_axis([str(c) for c in table.columns], axis=1)
    for twice in table.columns[table.columns.duplicated()]:
        if any(column == twice or column.startswith(f"{twice}=") for column in wanted):
            raise InvalidInputError(name, f"has two columns named {twice!r}", "Rename one of them")
    table = _with_indicators(name, table, [column for column in wanted if column not in table.columns])
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        lacking = _sources(missing, wanted)
        raise InvalidInputError(
            name,
            f"lacks the model's {what} column {lacking[0]!r} ({len(lacking)} missing in all)",
            f"The model needs: {quoted(_sources(wanted, wanted))}",
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
        A named column is missing, or no input column is left.
    """
    check_columns(table, target=targets, ignore=ignore)
    inputs = table.drop(columns=[*targets, *ignore])
    if inputs.shape[1] == 0:
        raise InvalidInputError("target", "leaves no input column", "Name fewer columns as targets")
    return inputs, table[list(targets)]


def check_columns(table: pd.DataFrame, **names: Sequence[str]) -> None:
    """Raise an error that names the argument if a column that it names is not in the table.

    Raises
    ------
    InvalidInputError
        No such column.
    """
    for argument, wanted in names.items():
        for column in wanted:
            if column not in table.columns:
                remedy = f"The columns are {quoted(table.columns)}"
                if _look_like_a_row(table.columns):
                    remedy += ". If these are values, add a first row with the names of the columns"
                raise InvalidInputError(argument, f"no column named {column!r}", remedy)


def _look_like_a_row(names: pd.Index) -> bool:
    """Whether half of the names or more are numbers, as where a file has no header."""
    return bool(2 * np.isfinite(to_numbers(names.to_series())).sum() >= len(names))


def place(table: pd.DataFrame | pd.Series, row: int) -> str:
    """Where a row is, as a person counts: "line 7" of a text file, or "row 7"."""
    counted = table.index.name in ("line", "row")
    return f"{table.index.name} {table.index[row]}" if counted else f"row {row}"


def to_numbers(column: pd.Series) -> np.ndarray:
    """The numbers in a column; NaN where there are none. Dates and durations are no numbers."""
    if column.dtype.kind in "mMc":
        return np.full(len(column), np.nan)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan)
    return pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=float, na_value=np.nan)


def categories_of(column: pd.Series) -> pd.Series:
    """A column's values as text, missing ones as None; whole numbers are written alike however they are stored."""
    return pd.Series([_category(value) for value in column.astype(object)], index=column.index, dtype=object)


def _category(value: Any) -> str | None:
    if pd.isna(value):
        return None
    is_whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if is_whole else str(value).strip()


def indicators(column: pd.Series, categories: Sequence[str]) -> pd.DataFrame:
    """A column for each category, named ``column=category``: 1 where it is, else 0."""
    found = categories_of(column)
    return pd.DataFrame({f"{column.name}={c}": np.where(found == c, 1.0, 0.0) for c in categories}, index=column.index)


def class_column(names: Sequence[str]) -> str | None:
    """The column whose classes such names are of, ``column=class``; None if they are of none or of several."""
    columns = {name.partition("=")[0] for name in names if "=" in name}
    return min(columns) if len(names) > 1 and len(columns) == 1 and all("=" in name for name in names) else None


def _sources(columns: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The columns, and in the place of indicators the one that they are made from: ``color`` for ``color=red``."""
    stems = [column.partition("=")[0] for column in wanted if "=" in column]
    several = {stem for stem in stems if stems.count(stem) > 1}
    return list(dict.fromkeys(stem if (stem := c.partition("=")[0]) in several else c for c in columns))


def _with_indicators(name: str, table: pd.DataFrame, missing: Sequence[str]) -> pd.DataFrame:
    """The table and, of the missing columns, those that are categories of a column that is there."""
    made = []
    for column in table.columns if missing else []:
        known = [wanted.removeprefix(f"{column}=") for wanted in missing if wanted.startswith(f"{column}=")]
        if not known:
            continue
        found = categories_of(table[column])
        unknown = np.flatnonzero(~found.isin(known))
        if len(unknown):
            value, where = found.iloc[unknown[0]], place(table, unknown[0])
            held = f"holds {value!r}" if value is not None else "has a missing value"
            raise InvalidInputError(
                name, f"column {column!r} {held} in {where}", f"The categories that the model knows are {quoted(known)}"
            )
        made.append(indicators(table[column], known))
    return pd.concat([table, *made], axis=1) if made else table
