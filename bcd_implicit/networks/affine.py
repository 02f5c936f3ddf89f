"""Affine functions of the input and of the states made so far: what stands between two activations of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

#: The block of the input; states have 1, 2, ... in the order in which they are made.
INPUT = 0


@dataclass(frozen=True)
class Affine:
    """The rows sum_k P_k x_k + c.

    Attributes
    ----------
    constant : ndarray of shape (size,)
        c.
    parts : dict of int to csr_array
        P_k of shape (size, n_k) for each block k that plays a part: 0 the input, 1, 2, ... blocks of states.
    """

    constant: np.ndarray
    parts: dict[int, sparse.csr_array] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.constant)

    @property
    def nnz(self) -> int:
        """Number of coefficients that are not zero, constants left out."""
        return sum(part.nnz for part in self.parts.values())

    @classmethod
    def of_block(cls, block: int, size: int) -> Affine:
        """The values of a block itself."""
        return cls(np.zeros(size), {block: sparse.eye_array(size, format="csr")})

    def is_finite(self) -> bool:
        """Whether no constant or coefficient has left the range of floating point."""
        return all(np.isfinite(numbers).all() for numbers in (self.constant, *(x.data for x in self.parts.values())))

    def is_plain(self) -> bool:
        """Whether every row is a single input or state, times a number."""
        return self.nnz <= self.size and all(np.all(np.diff(part.indptr) <= 1) for part in self.parts.values())

    def take(self, rows: np.ndarray) -> Affine:
        """Chosen rows, in that order; one may come twice."""
        return Affine(self.constant[rows], {k: part[rows] for k, part in self.parts.items()})

    def apply(self, matrix: sparse.csr_array) -> Affine:
        """Matrix times these rows."""
        with np.errstate(over="ignore", invalid="ignore"):
            constant = matrix @ self.constant
            return Affine(constant, {k: sparse.csr_array(matrix @ part) for k, part in self.parts.items()})

    def scaled(self, factors: np.ndarray) -> Affine:
        """Every row times its own factor, shape (size,)."""
        parts = {k: part.copy() for k, part in self.parts.items()}
        with np.errstate(over="ignore"):
            for part in parts.values():
                part.data *= np.repeat(factors, np.diff(part.indptr))
            return Affine(factors * self.constant, parts)

    def shifted(self, offset: np.ndarray) -> Affine:
        """These rows plus constants, shape (size,)."""
        with np.errstate(over="ignore"):
            return Affine(self.constant + offset, self.parts)

    def __add__(self, other: Affine) -> Affine:
        parts = dict(self.parts)
        for k, part in other.parts.items():
            parts[k] = sparse.csr_array(parts[k] + part) if k in parts else part
        return Affine(other.shifted(self.constant).constant, parts)

    def entries_times(self, matrix: sparse.csr_array) -> int:
        """At most how many coefficients ``apply(matrix)`` has, without the product."""
        uses, total = np.bincount(matrix.indices, minlength=matrix.shape[1]), 0
        for part in self.parts.values():
            total += min(int(uses @ np.diff(part.indptr)), matrix.shape[0] * part.shape[1])
        return total


def concatenated(pieces: Sequence[Affine]) -> Affine:
    """The rows of several, one below the other."""
    widths = {k: part.shape[1] for piece in pieces for k, part in piece.parts.items()}
    parts = {}
    for k, width in widths.items():
        rows = [piece.parts.get(k, sparse.csr_array((piece.size, width))) for piece in pieces]
        parts[k] = sparse.csr_array(sparse.vstack(rows, format="csr"))
    return Affine(np.concatenate([piece.constant for piece in pieces]), parts)


def assembled(
    rows: Sequence[Affine], offsets: dict[int, int], n_states: int, n_inputs: int
) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray]:
    """Rows over all states, rows over the input, and constants: (A, B, b) of blocks, or (C, D, d) of an output.

    Parameters
    ----------
    rows : sequence of Affine
        One below the other.
    offsets : dict of int to int
        The first column of each block of states.
    n_states, n_inputs : int
        n and p.
    """
    size, top = sum(piece.size for piece in rows), 0
    found: dict[bool, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {False: [], True: []}
    for piece in rows:
        for k, part in piece.parts.items():
            entries = part.tocoo()
            found[k == INPUT].append((entries.data, entries.row + top, entries.col + offsets.get(k, 0)))
        top += piece.size
    matrices = []
    for of_input, width in ((False, n_states), (True, n_inputs)):
        data, row, column = (np.concatenate(x) if x else np.zeros(0, dtype=int) for x in _columns(found[of_input]))
        matrix = sparse.csr_array((data.astype(float), (row, column)), shape=(size, width))
        matrix.eliminate_zeros()
        matrices.append(matrix)
    return matrices[0], matrices[1], np.concatenate([piece.constant for piece in rows])


def _columns(entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> list[list[np.ndarray]]:
    return [[entry[i] for entry in entries] for i in range(3)]
