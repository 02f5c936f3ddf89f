"""What is uncertain: a box of inputs around each sample; and what is asked of it: rows of states and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.robustness.labels import in_order
from bcd_implicit.model.rounding import EPS
from bcd_implicit.support.checks import check_entries, check_matrix

SHAPES = "Give one number, one for each input, or one for each sample and input"


@dataclass(frozen=True)
class Box:
    """Inputs u with ``|u - center| <= radius``, entry by entry.

    Attributes
    ----------
    center, radius : ndarray of shape (p, m)
    """

    center: np.ndarray
    radius: np.ndarray

    def take(self, samples: np.ndarray | slice) -> Box:
        """The boxes of some samples."""
        return Box(self.center[:, samples], self.radius[:, samples])

    @property
    def sizes(self) -> np.ndarray:
        """``|u|`` at most."""
        return np.abs(self.center) + self.radius


def check_radius(radius: Any, shape: tuple[int, int], names: Sequence[str]) -> np.ndarray:
    """A radius for each of m samples and p inputs, shape (m, p), from one, one an input, or as many.

    Labels of a series or a mapping, or of a data frame's columns, are names of inputs, unless they are numbers, or the
    model has none of its own.

    Raises
    ------
    InvalidInputError
        Another shape, a negative number, or no number.
    """
    m, p = shape
    radius = in_order("radius", radius, names, "u")
    if radius is None or isinstance(radius, (str, bool, np.bool_)):
        raise InvalidInputError("radius", f"is {shown(radius)}, no number", SHAPES)
    numbers = check_matrix("radius", radius if np.ndim(radius) else [radius])
    if np.shape(radius) not in {(), (p,), (m, p)}:
        cause = f"has shape {np.shape(radius)}, () or ({p},) or ({m}, {p}) needed"
        raise InvalidInputError("radius", cause, SHAPES)
    if (numbers < 0).any():
        raise InvalidInputError("radius", f"contains {shown(numbers.min())}, a negative number", "Give 0 or more")
    check_entries("radius", numbers, "Choose other units of the inputs")
    return np.broadcast_to(numbers.T if np.ndim(radius) == 1 else numbers, shape)


@dataclass(frozen=True)
class Rows:
    """What is asked: k rows ``x x + u u + c`` of states x and inputs u.

    Attributes
    ----------
    x : ndarray or sparse array of shape (k, n)
    u : ndarray or sparse array of shape (k, p)
    c : ndarray of shape (k,)
    """

    x: Matrix
    u: Matrix
    c: np.ndarray


@dataclass(frozen=True)
class Tasks:
    """The largest value asked of ``sign`` times a row, for a sample each.

    Attributes
    ----------
    rows : Rows
    row, sign, sample : ndarray of shape (K,)
    """

    rows: Rows
    row: np.ndarray
    sign: np.ndarray
    sample: np.ndarray

    @classmethod
    def both_ends(cls, rows: Rows, row: np.ndarray, sample: np.ndarray) -> Tasks:
        """First all largest values, then all least ones."""
        sign = np.repeat([1.0, -1.0], len(row))
        return cls(rows, np.tile(row, 2), sign, np.tile(sample, 2))

    @classmethod
    def each(cls, rows: Rows, n_samples: int) -> Tasks:
        """Both ends of each row for each sample, samples last: reshaped they have shape (2, k, m)."""
        row, sample = np.indices((len(rows.c), n_samples)).reshape(2, -1)
        return cls.both_ends(rows, row, sample)

    def take(self, some: np.ndarray | slice) -> Tasks:
        """Some of them."""
        return Tasks(self.rows, self.row[some], self.sign[some], self.sample[some])

    def __len__(self) -> int:
        return len(self.row)

    @property
    def of_states(self) -> np.ndarray:
        """The signed rows of states, (n, K)."""
        return dense(self.rows.x[self.row]).T * self.sign

    @property
    def of_inputs(self) -> np.ndarray:
        """The signed rows of inputs, (p, K)."""
        return dense(self.rows.u[self.row]).T * self.sign

    @property
    def constants(self) -> np.ndarray:
        """The signed constants, (K,)."""
        return self.rows.c[self.row] * self.sign


@dataclass(frozen=True)
class Ranges:
    """Intervals, entry by entry.

    Attributes
    ----------
    low, high : ndarray of shape (n, m)
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Half-way."""
        return 0.5 * self.low + 0.5 * self.high

    @property
    def radius(self) -> np.ndarray:
        """How far the ends are from :attr:`middle`, rounded up."""
        middle = self.middle
        return np.asarray(np.maximum(self.high - middle, middle - self.low) * (1 + EPS))

    @property
    def sizes(self) -> np.ndarray:
        """The largest absolute values."""
        return np.maximum(np.abs(self.low), np.abs(self.high))
