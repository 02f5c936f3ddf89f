"""Checks of the weights and shapes that a person gives to a network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.matrices import Matrix, check_part
from bcd_implicit.support.arrays import array_of, kind_of
from bcd_implicit.support.checks import check_number

# More values of a node, or entries of a matrix, would take several gigabytes while they are put together.
MOST_ENTRIES = 200_000_000


def check_fit(name: str, given: int, wanted: int, what: str, shape: tuple[int, ...]) -> None:
    """Raise an error that names the weights if they are for another number of values than a node has.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if given != wanted:
        raise InvalidInputError(name, f"is for {given} {what}, but the node of shape {shape} has {wanted}")


def check_size(name: str, n_entries: int, what: str, remedy: str) -> None:
    """Raise an error, before anything is allocated, if there were more than 200 million entries.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if n_entries > MOST_ENTRIES:
        cause = f"makes {what} of {n_entries:,} entries, but the limit is {MOST_ENTRIES:,}"
        raise InvalidInputError(name, cause, remedy)


def check_lengths(name: str, shape: Iterable[Any], remedy: str) -> tuple[int, ...]:
    """The lengths of a node's axes.

    Raises
    ------
    InvalidInputError
        No whole numbers of 1 or more, or more than 200 million values.
    """
    lengths = tuple(check_number(name, k, 1, integer=True, remedy=remedy) for k in shape)
    check_size(name, math.prod(lengths), "a node", "Give a smaller shape")
    return lengths


def listed_integers(name: str, given: tuple[Any, ...], remedy: str) -> tuple[int, ...]:
    """Whole numbers that are arguments of their own, or one tuple or list.

    Raises
    ------
    InvalidInputError
        Anything else.
    """
    values = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    return tuple(check_number(name, value, integer=True, remedy=remedy) for value in values)


def read_numbers(name: str, value: Any, ndim: int | None = None) -> np.ndarray:
    """Finite real numbers as an array of floats.

    Raises
    ------
    InvalidInputError
        No numbers, none at all, another number of axes, NaN or infinity.
    """
    wanted = "numbers" if ndim is None else f"an array of numbers with {ndim} axes" if ndim > 1 else "a list of numbers"
    given = array_of(name, value)
    if given.dtype.kind not in "biuf":
        # One by one: NumPy drops imaginary parts, reads text as numbers and None as NaN.
        for entry in given.astype(object).flat:
            if not isinstance(entry, (Real, Decimal)):
                raise InvalidInputError(name, f"must be {wanted}, got {kind_of(entry)}", "Give real numbers")
    if ndim is not None and given.ndim != ndim:
        raise InvalidInputError(name, f"must be {wanted}, got shape {given.shape}")
    if not given.size:
        raise InvalidInputError(name, f"is empty (shape {given.shape})", "Give one entry or more")
    try:
        # A long double may be larger than any float: infinity.
        with np.errstate(over="ignore"):
            array = given.astype(float)
    except OverflowError:
        array = np.array(np.inf)
    if not np.isfinite(array).all():
        raise InvalidInputError(name, "contains NaN or infinity", "Replace such entries")
    return array


def read_weight(name: str, value: Any, n_in: int, shape: tuple[int, ...]) -> Matrix:
    """A matrix of weights for the features of a node, dense or sparse.

    Raises
    ------
    InvalidInputError
        No matrix of finite numbers, or one for another number of features.
    """
    weight = check_part(name, value) if sparse.issparse(value) else read_numbers(name, value, 2)
    check_fit(name, weight.shape[1], n_in, "features", shape)
    return weight


def read_bias(name: str, value: Any, n_out: int, shape: tuple[int, ...]) -> np.ndarray:
    """A constant for each output of a layer.

    Raises
    ------
    InvalidInputError
        No list of finite numbers, or another number of them.
    """
    bias = read_numbers(name, value, 1)
    check_fit(name, len(bias), n_out, "outputs", shape)
    return bias
