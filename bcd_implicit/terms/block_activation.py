"""An activation for each block of states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from bcd_implicit.terms.function import ElementwiseFunction

# At most this many blocks are named.
NAMED = 4


class BlockActivation(ElementwiseFunction):
    """One function for each block of states, in their order.

    Parameters
    ----------
    blocks : sequence of (ElementwiseFunction, int)
        Functions and numbers of states. Neighbours with the same function become one block.

    Attributes
    ----------
    blocks : list of (ElementwiseFunction, int)
    n_states : int
    """

    def __init__(self, blocks: Sequence[tuple[ElementwiseFunction, int]]) -> None:
        self.blocks: list[tuple[ElementwiseFunction, int]] = []
        for function, size in blocks:
            if self.blocks and self.blocks[-1][0] is function:
                size += self.blocks.pop()[1]
            self.blocks.append((function, size))
        self.n_states = sum(size for _, size in self.blocks)
        # Which block each state is in, and where blocks begin and end.
        self._owners = np.repeat(np.arange(len(self.blocks)), [size for _, size in self.blocks])
        self._ends = np.cumsum([0, *(size for _, size in self.blocks)])

    @property
    def name(self) -> str:  # type: ignore[override]
        """The functions and their numbers of states."""
        told = [f"{function.name} ({size})" for function, size in self.blocks[:NAMED]]
        return ", ".join([*told, f"{len(self.blocks) - NAMED} more"] if len(self.blocks) > NAMED else told)

    @property
    def max_slope(self) -> float:  # type: ignore[override]
        """The largest of all blocks."""
        return max(function.max_slope for function, _ in self.blocks)

    @property
    def positively_homogeneous(self) -> bool:  # type: ignore[override]
        """Whether all of them are."""
        return all(function.positively_homogeneous for function, _ in self.blocks)

    @property
    def nondecreasing(self) -> bool:  # type: ignore[override]
        """Whether all of them never fall."""
        return all(function.nondecreasing for function, _ in self.blocks)

    def _parts(self) -> Iterator[tuple[ElementwiseFunction, slice]]:
        for (function, _), begin, end in zip(self.blocks, self._ends[:-1], self._ends[1:], strict=True):
            yield function, slice(begin, end)

    def _by_block(self, call: Callable[[ElementwiseFunction, slice], np.ndarray], like: np.ndarray) -> np.ndarray:
        found = np.empty_like(like, dtype=float)
        for function, part in self._parts():
            found[part] = call(function, part)
        return found

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return self._by_block(lambda function, part: function(z[part]), z)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return self._by_block(lambda function, part: function.derivative(z[part]), z)

    def image(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least, largest = np.empty_like(low), np.empty_like(high)
        for function, part in self._parts():
            least[part], largest[part] = function.image(low[part], high[part])
        return least, largest

    @property
    def piecewise_linear(self) -> bool:
        return all(function.piecewise_linear for function, _ in self.blocks)

    def tilted_max(self, w: np.ndarray, tilt: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self._by_block(lambda phi, part: phi.tilted_max(w[part], tilt[part], low[part], high[part]), low)

    def envelope_slopes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below, above = np.empty_like(low), np.empty_like(high)
        for function, part in self._parts():
            below[part], above[part] = function.envelope_slopes(low[part], high[part])
        return below, above

    def outline(self, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        found = [(function.outline(low[part], high[part]), part) for function, part in self._parts()]
        points = [high.copy() for _ in range(max(len(some) for some, _ in found))]
        for some, part in found:
            for whole, own in zip(points, some, strict=False):
                whole[part] = own
        return points

    def cut_points(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self._by_block(lambda phi, part: phi.cut_points(low[part], high[part]), low)

    def is_linear(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self._by_block(lambda phi, part: phi.is_linear(low[part], high[part]), low) > 0

    def slopes(self, n: int) -> np.ndarray:
        return np.array([function.max_slope for function, _ in self.blocks])[self._owners]

    def rises(self, n: int) -> np.ndarray:
        return np.array([function.nondecreasing for function, _ in self.blocks])[self._owners]

    def take(self, states: np.ndarray | slice) -> ElementwiseFunction:
        owners = self._owners[states]
        begins = np.flatnonzero(np.diff(owners, prepend=-1))
        sizes = np.diff([*begins, len(owners)])
        some = BlockActivation([(self.blocks[owners[i]][0], int(k)) for i, k in zip(begins, sizes, strict=True)])
        return some.blocks[0][0] if len(some.blocks) == 1 else some

    def __repr__(self) -> str:
        return f"<activation of blocks: {self.name}>"
