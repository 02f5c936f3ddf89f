"""Windows that slide along axes, and the sparse matrices of convolution and average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.networks.checks import check_size
from bcd_implicit.support.checks import check_number


@dataclass(frozen=True)
class Windows:
    """Windows along one axis: at output position i, tap a looks at input position i stride + a dilation - padding.

    Attributes
    ----------
    n_in, n_out : int
        Positions of the input, and of the output.
    out, tap, place : ndarray of int
        Output position, tap and input position of all taps that do not fall upon padding; ordered by output position.
    """

    n_in: int
    n_out: int
    out: np.ndarray
    tap: np.ndarray
    place: np.ndarray

    @classmethod
    def along(cls, n_in: int, size: int, stride: int, padding: int, dilation: int = 1) -> Windows:
        """The windows of a convolution or a pool.

        Raises
        ------
        InvalidInputError
            The input is shorter than a window.
        """
        reach = dilation * (size - 1) + 1
        if n_in + 2 * padding < reach:
            raise InvalidInputError(
                "size",
                f"a window reaches over {reach} positions, but the padded input has {n_in + 2 * padding}",
                "Use a smaller window or more padding",
            )
        n_out = (n_in + 2 * padding - reach) // stride + 1
        place = np.arange(n_out)[:, None] * stride + np.arange(size) * dilation - padding
        out, tap = np.nonzero((place >= 0) & (place < n_in))
        return cls(n_in, n_out, out, tap, place[out, tap])

    @classmethod
    def adaptive(cls, n_in: int, n_out: int) -> Windows:
        """Windows from floor(i n_in / n_out) to ceil((i+1) n_in / n_out), as an adaptive pool has them."""
        first = np.arange(n_out) * n_in // n_out
        lengths = -(-np.arange(1, n_out + 1) * n_in // n_out) - first
        out = np.repeat(np.arange(n_out), lengths)
        tap = np.arange(len(out)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return cls(n_in, n_out, out, tap, first[out] + tap)

    def mean_matrix(self, divisor: int | None = None) -> sparse.csr_array:
        """The mean of every window, shape (n_out, n_in): over a number of taps, or over those inside the input."""
        counts = np.bincount(self.out, minlength=self.n_out) if divisor is None else np.full(self.n_out, divisor)
        return sparse.csr_array((1 / counts[self.out], (self.out, self.place)), shape=(self.n_out, self.n_in))

    def table(self) -> np.ndarray:
        """Input positions of the windows, shape (n_out, most taps), -1 behind those of a window that has fewer."""
        counts = np.bincount(self.out, minlength=self.n_out)
        table = np.full((self.n_out, counts.max(initial=0)), -1)
        table[self.out, np.arange(len(self.out)) - np.repeat(np.cumsum(counts) - counts, counts)] = self.place
        return table


def for_axes(name: str, value: Any, n_axes: int, low: int = 1) -> list[int]:
    """One whole number for each axis, from a single one for all of them or a list.

    Raises
    ------
    InvalidInputError
        Another number of them, or one below ``low``.
    """
    values = list(value) if isinstance(value, (tuple, list)) else [value] * n_axes
    if len(values) != n_axes:
        raise InvalidInputError(name, f"has {len(values)} numbers for {n_axes} axes", "Give one, or one for each axis")
    return [check_number(name, number, low, integer=True) for number in values]


def paddings(value: Any, sizes: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """The padding of each axis on both sides; "same" keeps its length, and "valid" is none.

    Raises
    ------
    InvalidInputError
        Another name or number, or "same" where one number does not do it.
    """
    if not isinstance(value, str):
        return for_axes("padding", value, len(sizes), 0)
    if check_choice("padding", value, ("same", "valid")) == "valid":
        return [0] * len(sizes)
    reaches = [d * (k - 1) for d, k in zip(dilations, sizes, strict=True)]
    if any(reach % 2 for reach in reaches):
        cause = f"'same' with the kernel {tuple(sizes)} would pad one side more than the other"
        raise InvalidInputError("padding", cause, "Use a kernel of odd lengths, or pad by a number")
    if any(stride > 1 for stride in strides):
        raise InvalidInputError("padding", "'same' keeps lengths, but strides divide them", "Pad by a number")
    return [reach // 2 for reach in reaches]


def convolution_matrix(weight: np.ndarray, axes: Sequence[Windows], groups: int = 1) -> sparse.csr_array:
    """The matrix T(w) of a convolution, rows (channel out, position), columns (channel in, position).

    Its entries are constant along diagonals: the stripes of a network's picture.

    Parameters
    ----------
    weight : ndarray of shape (channels out, channels in / groups, taps along the first axis, ...)
    axes : sequence of Windows
        One for each axis of positions.
    groups : int
        Number of groups into which output and input channels are divided, each with its own weights.

    Raises
    ------
    InvalidInputError
        More than 200 million entries.
    """
    out, tap, place = np.zeros((3, 1), dtype=int)
    for size, axis in zip(weight.shape[2:], axes, strict=True):
        out = np.add.outer(out * axis.n_out, axis.out).ravel()
        tap = np.add.outer(tap * size, axis.tap).ravel()
        place = np.add.outer(place * axis.n_in, axis.place).ravel()
    n_out, n_in = (int(np.prod([getattr(axis, name) for axis in axes])) for name in ("n_out", "n_in"))
    channels, of_group = weight.shape[:2]
    remedy = "Shared weights are written out: use smaller images or fewer channels"
    check_size("weight", channels * of_group * len(out), "a matrix", remedy)
    first = np.arange(channels) // (channels // groups) * of_group
    source = first[:, None] + np.arange(of_group)
    rows = np.broadcast_to(np.arange(channels)[:, None, None] * n_out + out, (channels, of_group, len(out)))
    entries = weight.reshape(channels, of_group, -1)[:, :, tap]
    columns = source[:, :, None] * n_in + place
    shape = (channels * n_out, groups * of_group * n_in)
    matrix = sparse.csr_array((entries.ravel(), (rows.ravel(), columns.ravel())), shape=shape)
    matrix.eliminate_zeros()
    return matrix


def per_channel(channels: int, matrices: Sequence[sparse.csr_array]) -> sparse.csr_array:
    """The same matrix along each axis, for every channel: a Kronecker product."""
    whole = reduce(lambda x, y: sparse.kron(x, y, format="csr"), matrices)
    return sparse.csr_array(sparse.kron(sparse.eye_array(channels), whole, format="csr"))
