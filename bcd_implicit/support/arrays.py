"""The front door of tables: whatever holds numbers becomes an array of floats; all else is refused, by column and row.

Arrays, lists, pandas, and through narwhals polars, pyarrow and others, with their names. Everything that takes samples
reads them here, so that what one refuses the others refuse in the same words.
"""

from __future__ import annotations

import datetime
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.display import listed
from bcd_implicit.support.frames import as_pandas
from bcd_implicit.support.notations import is_number_written_otherwise

# Values in messages are cut.
MOST_LETTERS = 40
DATES = (datetime.date, np.datetime64, pd.Period)
DURATIONS = (datetime.timedelta, np.timedelta64)


class Advice(NamedTuple):
    """What messages advise, by what a table is of: samples, or the weights of a model.

    Attributes
    ----------
    missing, infinite : str
        On entries that are missing or infinite.
    table : str
        On what is no table.
    dimensions, columns : str
        On a wrong number of these.
    empty, number : str or None
        On tables without entries, and on entries that are no numbers. None for what is said of samples.
    """

    missing: str
    infinite: str
    table: str
    dimensions: str
    columns: str
    empty: str | None = None
    number: str | None = None


SAMPLES = Advice(
    missing="Drop these rows, or fill them in first",
    infinite="Drop these rows, or replace it first",
    table="Pass an array or a data frame with samples as rows",
    dimensions="Pass a 2-D array with samples as rows and variables as columns",
    columns="Pass the variables that the model was trained on",
)
WEIGHTS = Advice(
    missing="Replace such entries",
    infinite="Replace such entries",
    table="Pass an array",
    dimensions="Pass a matrix or a vector",
    columns="Pass a vector",
    empty="Give it at least one row and one column",
    number="Pass an array of real numbers",
)


class _NoNumberError(InvalidInputError, TypeError):
    """An entry is neither a number nor text; a TypeError too, as ``float()`` raises and scikit-learn promises."""


class Samples(NamedTuple):
    """A person's table as numbers, one sample per row.

    Attributes
    ----------
    values : ndarray of float, shape (m, k)
        A copy.
    labels : list or None
        The columns as the table called them, texts or not.
    is_vector : bool
        Whether it was a vector rather than one column.
    row_labels : Index or None
        The rows as pandas called them.
    """

    values: np.ndarray
    labels: list[Hashable] | None
    is_vector: bool
    row_labels: pd.Index | None

    @property
    def names(self) -> list[str] | None:
        """The columns' names as text; None for a table without."""
        return None if self.labels is None else [str(label) for label in self.labels]

    @property
    def columns(self) -> np.ndarray:
        """The paper's matrix, one sample per column, shape (k, m)."""
        return np.ascontiguousarray(self.values.T)

    def called(self, column: int) -> str:
        """A column as messages call it: its name in quotes, or its number."""
        return str(column) if self.labels is None else repr(self.labels[column])

    def where(self, column: int) -> str:
        """``in column 'a'``, or nothing where there is only a vector."""
        return "" if self.is_vector else f" in column {self.called(column)}"


def read_samples(
    name: str,
    table: ArrayLike,
    *,
    min_rows: int = 1,
    n_columns: int | None = None,
    may_be_vector: bool = True,
    advice: Advice = SAMPLES,
) -> Samples:
    """Read a table of numbers.

    Parameters
    ----------
    name : str
        What messages call it.
    table : array-like of shape (m, k) or (m,)
        An array, a list, or a data frame or series of pandas, polars, pyarrow, ... Text that reads as numbers, nullable
        and categorical columns are read as numbers.
    min_rows : int
        The fewest samples accepted.
    n_columns : int, optional
        The number of columns required.
    may_be_vector : bool
        Whether a vector stands for one column.
    advice : Advice
        What messages advise.

    Returns
    -------
    Samples

    Raises
    ------
    InvalidInputError
        Text, dates, durations, complex numbers, sparse columns (all of them are named), missing values or infinity,
        two columns of one name as text, a wrong number of dimensions, rows or columns.
    """
    given = as_pandas_or_array(name, table, advice)
    labels: list[Hashable] | None = None
    if isinstance(given, pd.DataFrame):
        labels = list(given.columns)
    elif isinstance(given, pd.Series) and given.name is not None:
        labels = [given.name]
    _check_shape(name, given.shape, min_rows, n_columns, may_be_vector, advice)
    shell = Samples(np.empty(0), labels, given.ndim == 1, getattr(given, "index", None))
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf":
        # A long double may be larger than any float: infinity, which is refused below.
        with np.errstate(over="ignore"):
            values = np.array(given, dtype=float)
    else:
        values = _numbers_of_columns(name, pd.DataFrame(given), shell, advice)
    samples = shell._replace(values=values.reshape(len(values), -1))
    _check_finite(name, samples, advice)
    return samples


def as_pandas_or_array(name: str, table: Any, advice: Advice = SAMPLES) -> Any:
    """The table as a data frame, a series, or an array of numbers or objects.

    Raises
    ------
    InvalidInputError
        A sparse matrix, rows of different lengths, a tensor without values, or no table at all.
    """
    if hasattr(table, "toarray"):
        raise InvalidInputError(name, "is a sparse matrix", f"Pass {name}.toarray()")
    table = as_pandas(name, table)
    if isinstance(table, (pd.DataFrame, pd.Series)):
        return table
    # Others that narwhals does not know.
    if hasattr(table, "to_pandas"):
        return table.to_pandas()
    if hasattr(table, "__arrow_c_stream__"):
        import pyarrow

        return pyarrow.table(table).to_pandas()
    if isinstance(table, pd.api.extensions.ExtensionArray):
        return pd.Series(table)
    array = array_of(name, table)
    if array.ndim == 0:
        kind = "None" if table is None else f"one {type(table).__name__}"
        raise InvalidInputError(name, f"is {kind}, not a table", advice.table)
    return array


def array_of(name: str, value: Any) -> np.ndarray:
    """A value of any number of axes as an array of numbers or objects, masked entries as None.

    Raises
    ------
    InvalidInputError
        Rows of different lengths, or a tensor without values.
    """
    if np.ma.isMaskedArray(value):
        # A bare conversion would drop the mask. Dates are refused anyway, and as objects some would be whole numbers.
        entries, mask = np.ma.getdata(value), np.ma.getmaskarray(value)
        if mask.any() and entries.dtype.kind not in "mM":
            entries = entries.astype(object)
            entries[mask] = None
        return entries
    value = _without_gradients(name, value)
    try:
        array = np.asarray(value)
    except InvalidInputError:
        # What refuses to be an array says why.
        raise
    except (TypeError, ValueError):
        raise InvalidInputError(
            name, "has rows of different lengths", "Give every row one entry for each column"
        ) from None
    if array.dtype.kind == "U" and not isinstance(value, np.ndarray):
        # NumPy would make texts of all that stands beside one: True would be 'True'.
        entries = np.asarray(value, dtype=object)
        if any(not isinstance(entry, str) for entry in entries.ravel()):
            array = entries
    return array


def _without_gradients(name: str, value: Any) -> Any:
    """A tensor of PyTorch, which is not imported here, or a list of such, as arrays; all else as it is."""
    if isinstance(value, (list, tuple)) and any(_is_tensor(part) for part in value):
        return [_without_gradients(name, part) for part in value]
    if not _is_tensor(value):
        return value
    tensor = value.detach()
    try:
        # In double precision first: NumPy does not know all of its kinds of numbers.
        return (tensor.double() if tensor.is_floating_point() else tensor).numpy(force=True)
    except (NotImplementedError, RuntimeError, TypeError):
        cause = f"is a tensor of layout {tensor.layout} on the device {tensor.device}, whose values cannot be read"
        raise InvalidInputError(name, cause, "Pass a dense tensor with values") from None


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def kind_of(entry: Any) -> str:
    """What an entry is that is no number, in a message's words."""
    if isinstance(entry, (str, bytes)):
        return "text"
    if isinstance(entry, (complex, np.complexfloating)):
        return "complex numbers"
    if isinstance(entry, DURATIONS):
        return "durations"
    return "dates" if isinstance(entry, DATES) else type(entry).__name__


def _check_shape(
    name: str, shape: tuple[int, ...], min_rows: int, n_columns: int | None, may_be_vector: bool, advice: Advice
) -> None:
    if len(shape) == 1 and not may_be_vector and shape[0]:
        raise InvalidInputError(
            name,
            f"is a vector of {shape[0]} numbers",
            f"Reshape your data: {name}.reshape(-1, 1) is one column, {name}.reshape(1, -1) one sample",
        )
    if len(shape) > 2:
        raise InvalidInputError(name, f"has {len(shape)} dimensions", advice.dimensions)
    if 0 in shape and advice.empty:
        raise InvalidInputError(name, f"has shape {shape}", advice.empty)
    k = shape[1] if len(shape) == 2 else 1
    if k == 0:
        # In the words that scikit-learn asks of its estimators.
        cause = f"has 0 feature(s) (shape=({shape[0]}, 0)) while a minimum of 1 is required"
        raise InvalidInputError(name, cause, "Pass at least one column")
    if shape[0] < min_rows:
        raise InvalidInputError(
            name, f"has {shape[0]} sample(s), at least {min_rows} needed", "Samples are rows; pass more of them"
        )
    if n_columns is not None and k != n_columns:
        raise InvalidInputError(name, f"has {k} columns, {n_columns} needed", advice.columns)


def _numbers_of_columns(name: str, frame: pd.DataFrame, shell: Samples, advice: Advice) -> np.ndarray:
    """The columns' numbers, NaN where values are missing, or an error that names every column that has others."""
    # As text, which names are from here on: 1 and "1" are one.
    if shell.names is not None and (twice := pd.Index(shell.names)[pd.Index(shell.names).duplicated()]).size:
        raise InvalidInputError(name, f"has two columns named {twice[0]!r}", "Rename one of them")
    sparse = [shell.called(j) for j, dtype in enumerate(frame.dtypes) if isinstance(dtype, pd.SparseDtype)]
    if sparse:
        raise InvalidInputError(name, f"has sparse columns: {listed(sparse)}", f"Pass {name}.sparse.to_dense()")
    values, refused = np.empty(frame.shape), {}
    for j in range(frame.shape[1]):
        values[:, j], entry = numbers_in(frame.iloc[:, j])
        if entry is not None:
            refused[j] = entry
    if refused:
        raise _no_numbers(name, shell, refused, advice)
    return values


def _no_numbers(name: str, shell: Samples, refused: dict[int, tuple[int, Any]], advice: Advice) -> InvalidInputError:
    """The error for the first entry, with its row, that is no number in each of some columns."""
    kinds = {kind_of(entry) for _, entry in refused.values()}
    what = {j: f"{kind_of(entry)}, row {row} holds {_shortened(entry)}" for j, (row, entry) in refused.items()}
    remedy = "Encode it as numbers, or drop it"
    if shell.is_vector:
        cause, remedy = f"is not numeric: {what[0]}", "Encode it as numbers"
    elif len(what) == 1:
        cause = "".join(f"column {shell.called(j)} is not numeric: {shown}" for j, shown in what.items())
    else:
        each = listed([f"{shell.called(j)} ({shown})" for j, shown in what.items()])
        cause, remedy = f"{len(what)} columns are not numeric: {each}", remedy.replace("it", "them")
    if advice.number:
        return InvalidInputError(name, cause, advice.number)
    if kinds == {"complex numbers"}:
        return InvalidInputError(
            name, cause, "Complex data not supported: pass real and imaginary parts as columns of their own"
        )
    if kinds <= {"text", "dates", "durations", "complex numbers"}:
        written_otherwise = any(is_number_written_otherwise(entry) for _, entry in refused.values())
        commas = "Write numbers with a decimal point and without separators of thousands. " if written_otherwise else ""
        return InvalidInputError(name, cause, commas + remedy)
    return _NoNumberError(name, cause, f"{remedy}: an argument must be a string that reads as a number, or a number")


def numbers_in(column: pd.Series) -> tuple[np.ndarray, tuple[int, Any] | None]:
    """A column's numbers, NaN where values are missing; and the first entry, with its row, that is no number."""
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        with np.errstate(over="ignore"):
            return column.to_numpy(dtype=float, na_value=np.nan), None
    # One by one: pandas counts nanoseconds of dates, and NumPy drops imaginary parts.
    missing, values, refused = column.isna().to_numpy(), np.full(len(column), np.nan), None
    for row, entry in enumerate(column.astype(object)):
        if not missing[row]:
            number = _number(entry)
            if number is None:
                refused = refused or (row, entry)
            else:
                values[row] = number
    return values, refused


def _number(entry: Any) -> float | None:
    if isinstance(entry, (*DATES, *DURATIONS, np.ndarray)) or (isinstance(entry, str) and "_" in entry):
        return None
    try:
        return float(entry)
    except OverflowError:
        return np.inf
    except (TypeError, ValueError):
        return None


def _shortened(entry: Any) -> str:
    if isinstance(entry, np.generic) and not isinstance(entry, (*DATES, *DURATIONS)):
        entry = entry.item()
    text = str(entry) if isinstance(entry, (*DATES, *DURATIONS)) else repr(entry)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _check_finite(name: str, samples: Samples, advice: Advice) -> None:
    for found, what, remedy in (
        (np.isnan, "missing values (NaN)", advice.missing),
        (np.isinf, "infinity", advice.infinite),
    ):
        if (bad := found(samples.values)).any():
            rows, counts = bad.argmax(axis=0), bad.sum(axis=0)
            each = [f"{counts[j]}{samples.where(j)} (first at row {rows[j]})" for j in range(len(counts)) if counts[j]]
            raise InvalidInputError(name, f"contains {what}: {listed(each)}", remedy)
