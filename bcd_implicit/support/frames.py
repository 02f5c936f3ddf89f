"""Data frames of other libraries than pandas: through narwhals they keep their names, and need no Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError


def as_pandas(name: str, table: Any) -> Any:
    """A data frame or series of polars, pyarrow or another library as one of pandas; all else as it is.

    Raises
    ------
    InvalidInputError
        A lazy frame.
    """
    if isinstance(table, (pd.DataFrame, pd.Series, np.ndarray, list, tuple)):
        return table
    # Only here: its import takes time that most calls need not spend.
    import narwhals.stable.v2 as nw

    try:
        given = nw.from_native(table, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError:
        # pandas takes two columns of one name, and what reads them says which.
        return table
    if isinstance(given, nw.LazyFrame):
        raise InvalidInputError(name, "is a lazy frame, which holds no values", f"Pass {name}.collect()")
    if isinstance(given, nw.DataFrame):
        return pd.DataFrame({column: _pandas_column(given[column], nw) for column in given.columns})
    if isinstance(given, nw.Series):
        return _pandas_column(given, nw).rename(given.name or None)
    return table


def _pandas_column(column: Any, nw: Any) -> pd.Series:
    """A series of narwhals as one of pandas. Polars' own conversion needs Arrow."""
    dtype = column.dtype
    is_number = dtype.is_integer() or dtype.is_float()
    if is_number and not column.is_null().any():
        return pd.Series(column.to_numpy())
    values = column.to_list()
    if is_number:
        return pd.Series([np.nan if value is None else value for value in values], dtype=float)
    # Categories are classes; texts may be numbers.
    return pd.Series(values, dtype="category" if dtype in (nw.Categorical, nw.Enum) else object)
