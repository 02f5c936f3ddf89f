"""Checks of what a person passes: each returns the value in the form that the package uses, or names what was wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_scalar

from bcd_implicit.errors import InvalidInputError

# Squares of larger numbers, summed, come near the end of floating point.
LARGEST = 1e100


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, or raise an error that names the argument.

    Raises
    ------
    InvalidInputError
        Anything else: a text, even "no", would count as true.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(name, f"must be True or False, got {value!r}", "")
    return bool(value)


def check_number(
    name: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    integer: bool = False,
    boundaries: str = "both",
    remedy: str = "",
) -> Any:
    """Return the number if it lies in the interval, or raise an error that names it.

    Parameters
    ----------
    name : str
        The argument's name, used in the message.
    value : int or float
        The number given.
    low, high : float, optional
        Ends of the interval.
    integer : bool
        Whether only whole numbers are accepted (booleans never are).
    boundaries : {"both", "left", "right", "neither"}
        Which ends belong to the interval.
    remedy : str
        What a person should do instead.

    Raises
    ------
    InvalidInputError
        Wrong type, not finite, or outside the interval.
    """
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    if isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(name, f"must be a number, got {value!r}", remedy)
    try:
        check_scalar(value, name, kinds, min_val=low, max_val=high, include_boundaries=boundaries)
    except TypeError:
        wanted = "a whole number" if integer else "a number"
        raise InvalidInputError(name, f"must be {wanted}, got {value!r}", remedy) from None
    except ValueError as error:
        raise InvalidInputError(name, str(error).rstrip(".").replace(f"{name} ==", "got"), remedy) from None
    if not np.isfinite(value):
        raise InvalidInputError(name, f"must be finite, got {value!r}", remedy)
    return int(value) if integer else float(value)


def check_matrix(name: str, array: ArrayLike, *, min_rows: int = 1, n_columns: int | None = None) -> np.ndarray:
    """Return a person's table as a new float array with samples as rows.

    Parameters
    ----------
    name : str
        The argument's name, used in messages.
    array : array-like of shape (m, k) or (m,)
        A vector is taken as one column.
    min_rows : int
        The fewest samples accepted.
    n_columns : int, optional
        The number of columns required.

    Returns
    -------
    ndarray of shape (m, k)

    Raises
    ------
    InvalidInputError
        Text, NaN or infinity, wrong number of dimensions or columns, or too few samples.
    """
    if hasattr(array, "toarray"):
        raise InvalidInputError(name, "is a sparse matrix", f"Pass {name}.toarray()")
    if isinstance(array, pd.DataFrame):
        _check_numeric_columns(name, array)
    if np.ma.isMaskedArray(array):
        array = np.ma.filled(np.ma.asarray(array, dtype=float), np.nan)  # a bare conversion would drop the mask
    try:
        kind = np.asarray(array).dtype.kind
        if kind in "cmM":  # NumPy would drop imaginary parts, and count days or nanoseconds
            raise TypeError({"c": "complex", "m": "durations", "M": "dates"}[kind])
        values = np.array(array, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(name, f"is not a table of numbers ({error})", "Encode text as numbers first") from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise InvalidInputError(
            name, f"has {values.ndim} dimensions", "Pass a 2-D array with samples as rows and variables as columns"
        )
    if values.shape[1] == 0:
        raise InvalidInputError(name, "has no columns", "Pass at least one variable")
    if values.shape[0] < min_rows:
        raise InvalidInputError(
            name, f"has {values.shape[0]} sample(s), at least {min_rows} needed", "Samples are rows; pass more of them"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        label = array.columns[column] if isinstance(array, pd.DataFrame) else int(column)
        raise InvalidInputError(
            name,
            f"contains {values[row, column]} at row {row}, column {label!r} "
            f"({int((~np.isfinite(values)).sum())} such entries in all)",
            "Drop or impute them first",
        )
    if n_columns is not None and values.shape[1] != n_columns:
        raise InvalidInputError(
            name,
            f"has {values.shape[1]} columns, {n_columns} needed",
            "Pass the variables that the model was made with",
        )
    return values


def _check_numeric_columns(name: str, table: pd.DataFrame) -> None:
    if table.shape[1] and not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise InvalidInputError(name, f"has two columns named {twice!r}", "Rename one of them")
    for column in table.columns:
        dtype = table[column].dtype
        if dtype.kind in "cmM":
            raise InvalidInputError(
                name, f"column {column!r} holds {dtype} values", "Encode it as numbers or leave it out"
            )
        if not pd.api.types.is_numeric_dtype(dtype):
            bad = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
            if not bad.any():
                continue
            row = int(np.argmax(bad.to_numpy()))
            raise InvalidInputError(
                name,
                f"column {column!r} is not numeric (row {row} holds {table[column].iloc[row]!r})",
                "Encode it as numbers or leave it out",
            )


def check_sizes(name: str, values: np.ndarray) -> None:
    """Raise an error that names the array if its entries are so large that sums of squares would overflow.

    Raises
    ------
    InvalidInputError
        An entry is beyond 1e100.
    """
    if (largest := np.abs(values).max()) > LARGEST:
        raise InvalidInputError(name, f"has entries as large as {largest:.1e}", "Scale its columns to about 1")


def check_arrays(U: ArrayLike, Y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Turn inputs and targets with samples as rows into the paper's matrices with samples as columns.

    Parameters
    ----------
    U : array-like of shape (m, p)
        Inputs, one sample a row.
    Y : array-like of shape (m, q) or (m,)
        Targets.

    Returns
    -------
    U : ndarray of shape (p, m)
    Y : ndarray of shape (q, m)

    Raises
    ------
    InvalidInputError
        See :func:`check_matrix`; also when U and Y differ in length. At least two samples are needed.
    """
    inputs, targets = check_matrix("U", U, min_rows=2), check_matrix("Y", Y, min_rows=2)
    check_sizes("U", inputs)
    check_sizes("Y", targets)
    if len(inputs) != len(targets):
        raise InvalidInputError(
            "Y", f"has {len(targets)} samples but U has {len(inputs)}", "Give both the same rows in the same order"
        )
    return np.ascontiguousarray(inputs.T), np.ascontiguousarray(targets.T)


def check_sample_weight(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Return the samples' weights relative to the largest, or ones when none were given.

    Parameters
    ----------
    sample_weight : array-like of shape (m,) or None
    n_samples : int
        The number m of samples.

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    InvalidInputError
        See :func:`check_matrix`; also another number of weights, a negative one, or fewer than two positive ones.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    listed: Any = [sample_weight] if np.isscalar(sample_weight) else sample_weight
    weights = check_matrix("sample_weight", listed)
    if weights.shape != (n_samples, 1):
        size = f"{len(weights)} weights" if weights.shape[1] == 1 else f"shape {weights.shape}"
        raise InvalidInputError("sample_weight", f"has {size} for {n_samples} samples", "Give one number a sample")
    weights = weights[:, 0]
    if weights.min() < 0:
        row = int(weights.argmin())
        raise InvalidInputError("sample_weight", f"is {weights[row]:g} at row {row}", "Weights are 0 or more")
    n_positive = np.count_nonzero(weights)
    if n_positive < 2:
        raise InvalidInputError(
            "sample_weight",
            f"is positive for {n_positive} sample(s), at least 2 needed",
            "A sample of weight zero is left out",
        )
    return weights / weights.max()


def random_generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, None (fresh randomness) or a generator, which passes through.

    Raises
    ------
    InvalidInputError
        Anything else, or a negative seed.
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            "random_state", f"got {random_state!r} ({error})", "Give a whole number of 0 or more, a Generator or None"
        ) from None


def check_names(argument: str, names: Sequence[str] | None, length: int, letter: str) -> list[str]:
    """Names as text, one for each variable; ``u0, u1, ...`` when none were given."""
    if names is None:
        return [f"{letter}{j}" for j in range(length)]
    if len(names) != length:
        raise InvalidInputError(argument, f"has {len(names)} names for {length} variables", "Give one name a variable")
    names = [str(name) for name in names]
    if len(set(names)) < length:
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(argument, f"has {twice!r} twice", "Give every variable a name of its own")
    return names


def column_names(array: Any) -> list[str] | None:
    """Column names of a data frame, or the name of a series; None for anything without."""
    if isinstance(array, pd.Series) and array.name is not None:
        return [str(array.name)]
    return [str(c) for c in array.columns] if isinstance(array, pd.DataFrame) else None
