"""The matrices of a model, dense or sparse: what both kinds are asked for."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.checks import check_entries, check_matrix

#: A dense array, or a sparse one by rows (``csr_array``), of which SciPy has no types.
Matrix: TypeAlias = Any
UNITS = "Choose other units for inputs, outputs or states"


def check_part(name: str, value: Any) -> Matrix:
    """A matrix of a model, called so in messages: sparse ones stay sparse, by rows and without explicit zeros.

    Raises
    ------
    InvalidInputError
        No matrix of real numbers, NaN or infinity, entries beyond 1e100.
    """
    if sp.issparse(value):
        return _check_sparse(name, value)
    matrix = check_matrix(name, value)
    check_entries(name, matrix, UNITS)
    return matrix


def _check_sparse(name: str, value: Any) -> sp.csr_array:
    if value.ndim != 2 or value.dtype.kind not in "fiub":
        cause = f"is a sparse array of {value.ndim} dimensions and {value.dtype}"
        raise InvalidInputError(name, cause, "Pass a matrix of real numbers")
    if not min(value.shape):
        raise InvalidInputError(name, f"has shape {value.shape}", "Give it one row and one column at the least")
    # A copy: what the caller does with its own is no matter here.
    matrix = sp.csr_array(value, dtype=float, copy=True)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        row = int(np.searchsorted(matrix.indptr, np.flatnonzero(~np.isfinite(matrix.data))[0], side="right") - 1)
        raise InvalidInputError(name, f"contains NaN or infinity, first in row {row}", "Replace such entries")
    matrix.eliminate_zeros()
    if matrix.nnz:
        check_entries(name, matrix.data, UNITS)
    return matrix


def used_columns(matrix: Matrix) -> np.ndarray:
    """Which columns are not zero throughout: bool, shape (n_columns,)."""
    if not sp.issparse(matrix):
        return np.asarray(matrix.any(axis=0))
    used = np.zeros(matrix.shape[1], dtype=bool)
    used[matrix.indices[matrix.data != 0]] = True
    return used


def scaled(matrix: Matrix, *, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Matrix:
    """The matrix with its rows and columns multiplied by these factors."""
    if not sp.issparse(matrix):
        matrix = matrix if rows is None else matrix * rows[:, None]
        return matrix if columns is None else matrix * columns
    data = matrix.data.copy()
    if rows is not None:
        data *= np.repeat(rows, np.diff(matrix.indptr))
    if columns is not None:
        data *= columns[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def dense(matrix: Matrix) -> np.ndarray:
    """The matrix as a dense array."""
    return matrix.toarray() if sp.issparse(matrix) else matrix


def n_nonzero(matrix: Matrix) -> int:
    """How many entries are not zero."""
    return int(matrix.nnz if sp.issparse(matrix) else np.count_nonzero(matrix))
