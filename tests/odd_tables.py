"""Tables as people have them, whole and broken, for property-based tests of the front doors."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from scipy import sparse

import bcd_implicit as bi

# Three of them are as small as a problem can be, or smaller.
ROWS = [1, 2, 3, 4, 7, 12, 12, 30, 30]
# Of ten, the units of a column: those of every day, and with some that the door lets in and some that it does not.
USUAL = (0, 0, 0, -1, 1)
ODD = (*[0] * 16, -6, 6, -9, 9, -30, 30, -300, 300, -320)


def _float_frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"c{j}" for j in range(values.shape[1])])


def _read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.setflags(write=False)
    return values


def _narrow(values: np.ndarray, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def _with_column(values: np.ndarray, column: object) -> pd.DataFrame:
    return _float_frame(values).assign(c0=column)


# The same numbers in many dresses. What half precision or whole numbers cannot hold becomes infinity or zero.
WHOLE = {
    "array": lambda v: v,
    "list": lambda v: v.tolist(),
    "objects": lambda v: v.astype(object),
    "texts": lambda v: v.astype(str),
    "float32": lambda v: _narrow(v, np.float32),
    "float16": lambda v: _narrow(v, np.float16),
    "big-endian": lambda v: v.astype(">f8"),
    "long double": lambda v: v.astype(np.longdouble),
    "whole numbers": lambda v: np.clip(np.nan_to_num(v), -1e9, 1e9).astype(int),
    "booleans": lambda v: v > 0,
    "read-only": _read_only,
    "not contiguous": lambda v: np.repeat(v, 2, axis=1)[:, ::2],
    "by columns": np.asfortranarray,
    "backwards": lambda v: v[::-1],
    "masked": lambda v: np.ma.masked_invalid(v),
    "frame": _float_frame,
    "whole-number names": lambda v: pd.DataFrame(v),
    "other row labels": lambda v: _float_frame(v).set_axis(range(len(v))[::-1]),
    "nullable": lambda v: _float_frame(v).astype("Float64"),
    "Arrow types": lambda v: _float_frame(v).astype("float64[pyarrow]"),
    "categories": lambda v: _float_frame(v).astype("category"),
    "pyarrow": lambda v: pa.Table.from_pandas(_float_frame(v)),
}
BROKEN = {
    "missing": lambda v: _with_column(v, [None, *v[1:, 0]]),
    "pandas' NA": lambda v: _with_column(v, pd.array([pd.NA, *v[1:, 0]], dtype="Float64")),
    "masked entry": lambda v: np.ma.array(v, mask=np.arange(v.size).reshape(v.shape) == 0),
    "infinite": lambda v: np.where(np.arange(v.size).reshape(v.shape) == 0, -np.inf, v),
    "words": lambda v: _with_column(v, "word"),
    "dates": lambda v: _with_column(v, pd.Timestamp("2020-01-01")),
    "durations": lambda v: _with_column(v, pd.Timedelta("1s")),
    "complex": lambda v: v + 1j,
    "sparse": sparse.csr_array,
    "sparse columns": lambda v: _with_column(v, pd.arrays.SparseArray(v[:, 0])),
    "one name twice": lambda v: pd.concat([_float_frame(v[:, :1])] * 2, axis=1),
    "three dimensions": lambda v: v[None],
    "rows of two lengths": lambda v: [*v.tolist(), [1.0] * (v.shape[1] + 1)],
    "no rows": lambda v: v[:0],
    "no columns": lambda v: v[:, :0],
    "nothing": lambda v: None,
}


@st.composite
def numbers(draw, m: int, k: int, powers: tuple[int, ...] = ODD) -> np.ndarray:
    """A table (m, k) with columns that vary, are constant, repeat each other, are counts, or stand in odd units."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = rng.standard_normal((m, k))
    for j in range(k):
        kind = draw(st.sampled_from(["normal", "normal", "constant", "duplicate", "counts", "rare", "row number"]))
        if kind == "constant":
            values[:, j] = draw(st.sampled_from([0.0, 1.0, -3.3, 0.1]))
        elif kind == "duplicate":
            values[:, j] = values[:, 0]
        elif kind == "counts":
            values[:, j] = rng.integers(0, 4, m)
        elif kind == "rare":
            values[:, j] = np.arange(m) == m // 2
        elif kind == "row number":
            values[:, j] = np.arange(m)
        with np.errstate(over="ignore"):
            values[:, j] *= 10.0 ** draw(st.sampled_from(powers))
        values[:, j] += draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, 1e6]))
    return values


@st.composite
def odd_samples(draw, words: bool = False, powers: tuple[int, ...] = ODD):
    """Inputs, targets and weights, as a person might pass them; targets are words where asked for."""
    m, p, q = draw(st.sampled_from(ROWS)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    inputs, targets = draw(numbers(m, p, powers)), draw(numbers(m, q, powers))
    kinds = list(WHOLE.values()) * 5 + list(BROKEN.values())
    U = draw(st.sampled_from(kinds))(inputs)
    if words:
        labels = [str(label) for label in draw(st.lists(st.sampled_from("abc"), min_size=m, max_size=m))]
        dress = draw(st.sampled_from([np.array, pd.Series, pd.Categorical, lambda x: [None, *x[1:]], pa.array]))
        Y = dress(labels)
    elif q == 1:
        flat = draw(st.sampled_from([lambda v: v, lambda v: v.astype(object), pd.Series, list, lambda v: v[1:]]))
        Y = flat(targets[:, 0])
    else:
        Y = draw(st.sampled_from([*kinds, np.transpose]))(targets)
    whole = [None, None, np.arange(m) % 3, np.ones(m), pd.Series(np.ones(m)), np.full(m, 1e-300)]
    broken = [[np.nan] * m, np.zeros(m), np.ones(m + 1), -np.ones(m)]
    return U, Y, draw(st.sampled_from(whole * 4 + broken))


def tried(call):
    """What ``call()`` returns, or its InvalidInputError; RuntimeWarnings are errors, and advice is not heard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return call()
        except bi.InvalidInputError as error:
            return error


def refused(result, *arguments) -> bool:
    """Whether it is an InvalidInputError, which then has to name one of the arguments and what to do."""
    if not isinstance(result, bi.InvalidInputError):
        return False
    assert result.argument in arguments, result
    assert result.cause, result
    return True
