"""What is uncertain: a box or a ball of inputs around each sample; and what is asked: rows of states and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice, shown
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.robustness.labels import in_order
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.support.arrays import SAMPLES
from bcd_implicit.support.checks import check_entries, check_matrix

# Squares of shares below this are lost.
TINY = 1e-150
SHAPES = "Give one number, one for each input, a column with one for each sample, or one for each sample and input"
RADII = SAMPLES._replace(
    missing="Give 0 for inputs that are certain",
    infinite="Give a finite radius: a multiple of how far the input varies, for instance",
    table=SHAPES,
    dimensions=SHAPES,
    empty=SHAPES,
    number=SHAPES,
)


@dataclass(frozen=True)
class Box:
    """Inputs u with ``|u - center| <= radius``, entry by entry, or with ``|(u - center) / radius|_2 <= 1``, a ball.

    A ball, whose axes are the radii, is inside the box. How far something moves on it is no more than on the box, and
    is rounded up; on a box what is rounded there is left to be charged.

    Attributes
    ----------
    center, radius : ndarray of shape (p, m)
    euclidean : bool
        Whether it is a ball.
    """

    center: np.ndarray
    radius: np.ndarray
    euclidean: bool = False

    @classmethod
    def around(cls, inputs: np.ndarray, radius: Any, norm: Any, names: Sequence[str]) -> Box:
        """The boxes, or balls, around inputs (m, p), checked."""
        return cls(inputs.T, check_radius(radius, inputs.shape, names).T, check_norm(norm))

    def take(self, samples: np.ndarray | slice) -> Box:
        """The boxes of some samples."""
        return Box(self.center[:, samples], self.radius[:, samples], self.euclidean)

    def spread(self, rows: Matrix, inputs: np.ndarray | slice = slice(None)) -> np.ndarray:
        """How far rows (k, p) of some inputs move from their value in the middle, at most: shape (k, m)."""
        radius, sizes = self.radius[inputs], np.abs(rows)
        if not self.euclidean:
            return np.asarray(sizes @ radius)
        # In units in which squares do not overflow, and with more than underflows of them.
        most, reach = float(sizes.max(initial=0.0) if isinstance(sizes, np.ndarray) else sizes.max()), self._largest
        if most == 0:
            return np.zeros((rows.shape[0], radius.shape[1]))
        shares = sizes / most
        squares = (shares * shares) @ (radius / reach) ** 2
        # Inputs that a row does without are not charged: who leaves them out finds the same.
        n_terms = np.asarray((sizes != 0).sum(axis=1)).reshape(-1, 1)
        return np.asarray((np.sqrt(squares) + TINY * n_terms) * most * reach * _up(n_terms))

    def spread_of(self, weights: np.ndarray, sample: np.ndarray) -> np.ndarray:
        """The same of weights (p, K), each for the box of one sample, or all for that of one: shape (K,)."""
        moves = np.abs(weights) * self.radius[:, sample]
        if not self.euclidean:
            return np.asarray(moves.sum(axis=0))
        most = moves.max(axis=0, initial=0.0)
        most[most == 0] = 1.0
        return np.asarray(np.sqrt(((moves / most) ** 2).sum(axis=0)) * most * _up(len(moves)))

    @property
    def _largest(self) -> np.ndarray:
        """The largest radius of each sample, (m,); 1 where all are 0."""
        largest = self.radius.max(axis=0, initial=0.0)
        return np.where(largest > 0, largest, 1.0)

    @property
    def sizes(self) -> np.ndarray:
        """``|u|`` at most."""
        return np.abs(self.center) + self.radius


def _up(n_terms: int | np.ndarray) -> float | np.ndarray:
    """What lengths of so many terms are multiplied by, to be no less than the exact ones.

    A square is off by up to six roundings and a sum by one a term, of which the root halves both; the root and the
    length's units are up to four more. This charges half a unit for 16 and each term, and so more.
    """
    return 1 + summation_error(n_terms + 8)


def check_norm(norm: Any) -> bool:
    """Whether the norm, "inf" or 2, is the Euclidean one.

    Raises
    ------
    InvalidInputError
        Another norm.
    """
    known = {"inf": "inf", str(np.inf): "inf", "2": "2", "2.0": "2"}
    return check_choice("norm", known.get(str(norm), norm), ["inf", "2"]) == "2"


def check_radius(radius: Any, shape: tuple[int, int], names: Sequence[str]) -> np.ndarray:
    """A radius for each of m samples and p inputs, shape (m, p), from one, one an input, one a sample, or as many.

    Labels of a series or a mapping, or of a data frame's columns, are names of inputs, unless they are numbers, or the
    model has none of its own.

    Raises
    ------
    InvalidInputError
        Another shape, a negative number, or no number.
    """
    m, p = shape
    radius = in_order("radius", radius, names, "u")
    true_or_false = isinstance(radius, bool) or getattr(radius, "dtype", None) == np.bool_
    if radius is None or isinstance(radius, str) or true_or_false:
        raise InvalidInputError("radius", f"is {shown(radius)}, not a number", SHAPES)
    numbers = check_matrix("radius", radius if np.ndim(radius) else [radius], advice=RADII)
    if np.shape(radius) not in {(), (p,), (m, 1), (m, p)}:
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
