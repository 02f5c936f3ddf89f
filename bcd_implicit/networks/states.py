"""The states that a graph has made so far, block by block."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from bcd_implicit.networks.affine import Affine
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import get_function

# A product of matrices is not formed where keeping the values in between leaves less than one entry in so many.
WORTH_KEEPING = 2


@dataclass(frozen=True)
class Block:
    """States phi(rows): a function, and what it is applied to."""

    function: ElementwiseFunction
    rows: Affine


@dataclass
class States:
    """Blocks of states in the order in which they are made, each a function of the input and of earlier blocks.

    Attributes
    ----------
    keep_affine : bool or "auto"
        Whether affine values that weights are applied to become states of their own.
    blocks : list of Block
        Block k of an :class:`~bcd_implicit.networks.affine.Affine` is ``blocks[k - 1]``.
    """

    keep_affine: bool | str = "auto"
    blocks: list[Block] = field(default_factory=list)

    def add(self, function: str | ElementwiseFunction, rows: Affine) -> Affine:
        """A new block; returns its values."""
        self.blocks.append(Block(get_function(function), rows))
        return Affine.of_block(len(self.blocks), rows.size)

    def before(self, rows: Affine, matrix: sparse.csr_array) -> Affine:
        """What a matrix of weights is best applied to: these rows, or new identity states that hold their values."""
        return self.add("identity", rows) if self._keeps(rows, matrix) else rows

    def _keeps(self, rows: Affine, matrix: sparse.csr_array) -> bool:
        if self.keep_affine != "auto":
            return bool(self.keep_affine) and not rows.is_plain()
        apart = WORTH_KEEPING * (matrix.nnz + rows.nnz)
        # The bound is exact unless entries fall together, and needs no product.
        return rows.entries_times(matrix) > apart and rows.apply(matrix).nnz > apart

    def needed_by(self, rows: Affine) -> np.ndarray:
        """The numbers of the blocks that these rows depend on, in the order in which they were made."""
        needed = np.zeros(len(self.blocks) + 1, dtype=bool)
        needed[list(rows.parts)] = True
        # A block depends on earlier ones alone, so that one pass backwards finds them all.
        for k in range(len(self.blocks), 0, -1):
            if needed[k]:
                needed[list(self.blocks[k - 1].rows.parts)] = True
        return np.flatnonzero(needed[1:]) + 1
