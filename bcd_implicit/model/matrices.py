"""The matrices of a model, dense or sparse: what both kinds are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.arrays import WEIGHTS
from bcd_implicit.support.checks import check_entries, check_matrix

#: A dense array, or a sparse one by rows (``csr_array``), of which SciPy has no types.
Matrix: TypeAlias = Any
UNITS = "Choose other units for inputs, outputs or states"


class Unchanging:
    """An object with attributes that can be set only once, so that cached results stay valid."""

    _set_once: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._set_once and name in vars(self):
            kind = type(self).__name__
            raise AttributeError(f"{name} of an {kind} cannot be changed: make a new {kind} with the new values")
        super().__setattr__(name, value)


def read_only(matrix: Matrix) -> Matrix:
    """The matrix, which from now on cannot be written to."""
    for part in (matrix.data, matrix.indices, matrix.indptr) if sp.issparse(matrix) else (matrix,):
        part.flags.writeable = False
    return matrix


def check_part(name: str, value: Any) -> Matrix:
    """A matrix of a model, called so in messages, read-only: sparse ones stay sparse, by rows, without explicit zeros.

    Raises
    ------
    InvalidInputError
        No matrix of real numbers, NaN or infinity, entries beyond 1e100.
    """
    return read_only(_check_sparse(name, value) if sp.issparse(value) else check_weights(name, value))


def check_vector(name: str, value: Any, length: int) -> np.ndarray:
    """A vector of a model, read-only; None stands for so many zeros."""
    return read_only(np.zeros(length) if value is None else check_weights(name, value, n_columns=1)[:, 0])


def check_weights(name: str, value: Any, *, n_columns: int | None = None) -> np.ndarray:
    """A dense matrix of numbers that models may have, or a vector of such as a column."""
    matrix = check_matrix(name, value, n_columns=n_columns, advice=WEIGHTS)
    check_entries(name, matrix, UNITS)
    return matrix


def _check_sparse(name: str, value: Any) -> sp.csr_array:
    if value.ndim != 2:
        raise InvalidInputError(name, f"is a sparse array of shape {value.shape}", "Pass a matrix")
    if value.dtype.kind not in "fiub":
        raise InvalidInputError(name, f"is a sparse array of {value.dtype}", "Pass a matrix of real numbers")
    if not min(value.shape):
        raise InvalidInputError(name, f"has shape {value.shape}", "Give it at least one row and one column")
    # A copy: what the caller does with its own is no matter here.
    matrix = sp.csr_array(value, dtype=float, copy=True)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        first = np.flatnonzero(~np.isfinite(matrix.data))[0]
        row, column = np.searchsorted(matrix.indptr, first, side="right") - 1, matrix.indices[first]
        cause = f"contains NaN or infinity, first in row {row}, column {column}"
        raise InvalidInputError(name, cause, WEIGHTS.missing)
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


# Of rows with entries in the same columns, a dense block of at least so many entries: its product, columns gathered
# first, takes half the time of the sparse one.
WORTH_A_BLOCK = 1000
# For fewer samples than this sparse products are as quick.
WORTH_BLOCKS = 16


class SharedColumns:
    """A sparse matrix as dense blocks of the rows that have their entries in the same columns.

    So have the channels of a convolution at one place, which PyTorch multiplies as a matrix too.

    Parameters
    ----------
    matrix : sparse array of shape (n_rows, n_columns)
    """

    def __init__(self, matrix: Matrix) -> None:
        alike: dict[bytes, list[int]] = {}
        for row, (begin, end) in enumerate(pairwise(matrix.indptr)):
            alike.setdefault(matrix.indices[begin:end].tobytes(), []).append(row)
        self._matrix = matrix
        self._rows = [np.array(rows) for rows in alike.values()]

    @property
    def pays(self) -> bool:
        """Whether the blocks are large enough, on average."""
        return bool(self._matrix.nnz >= WORTH_A_BLOCK * len(self._rows))

    @cached_property
    def _blocks(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, columns and entries of each."""
        M = self._matrix
        columns = [M.indices[M.indptr[rows[0]] : M.indptr[rows[0] + 1]] for rows in self._rows]
        return [
            (rows, used, M.data[M.indptr[rows][:, None] + np.arange(len(used))])
            for rows, used in zip(self._rows, columns, strict=True)
        ]

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        if X.shape[1] < WORTH_BLOCKS:
            return np.asarray(self._matrix @ X)
        found = np.empty((self._matrix.shape[0], X.shape[1]))
        for rows, columns, entries in self._blocks:
            found[rows] = entries @ X[columns]
        return found


# Matrices put together of several are sparse if a part is, or if they have so many entries and of these so few in use:
# below, a dense product is as quick, and larger ones of zeros would not fit into memory.
LARGE = 2**20
FEW = 0.1


def entries(model: Any) -> dict[str, int]:
    """How many entries of a model's A, B, C and D are not zero."""
    return {letter: n_nonzero(getattr(model, letter)) for letter in "ABCD"}


def times(left: Matrix, right: Matrix) -> Matrix:
    """The product of two matrices, sparse if one of them is."""
    shape = left.shape[0], right.shape[1]
    if 0 in (*shape, left.shape[1]):
        return np.zeros(shape)
    if sp.issparse(left) or sp.issparse(right):
        return sp.csr_array(left) @ sp.csr_array(right)
    return left @ right


def plus(left: Matrix, right: Matrix) -> Matrix:
    """The sum of two matrices, sparse if one of them is."""
    if sp.issparse(left) or sp.issparse(right):
        return sp.csr_array(left) + sp.csr_array(right)
    return left + right


def assembled(blocks: Sequence[Sequence[Matrix | None]]) -> Matrix:
    """A matrix of blocks, None for zeros; each row and each column has a block that tells its size."""
    heights = [next(block.shape[0] for block in row if block is not None) for row in blocks]
    widths = [next(block.shape[1] for block in column if block is not None) for column in zip(*blocks, strict=True)]
    rows, columns = np.cumsum([0, *heights]), np.cumsum([0, *widths])
    shape = int(rows[-1]), int(columns[-1])
    placed = [
        (int(rows[i]), int(columns[j]), block)
        for i, row in enumerate(blocks)
        for j, block in enumerate(row)
        if block is not None and 0 not in block.shape
    ]
    if 0 not in shape and _is_to_be_sparse(shape, [block for _, _, block in placed]):
        parts = [(top, left, sp.coo_array(block)) for top, left, block in placed]
        row = np.concatenate([top + part.coords[0] for top, _, part in parts])
        column = np.concatenate([left + part.coords[1] for _, left, part in parts])
        return sp.csr_array((np.concatenate([part.data for *_, part in parts]), (row, column)), shape=shape)
    matrix = np.zeros(shape)
    for top, left, block in placed:
        matrix[top : top + block.shape[0], left : left + block.shape[1]] = block
    return matrix


def _is_to_be_sparse(shape: tuple[int, int], parts: Sequence[Matrix]) -> bool:
    size = shape[0] * shape[1]
    return any(map(sp.issparse, parts)) or (size > LARGE and sum(map(n_nonzero, parts)) < FEW * size)
