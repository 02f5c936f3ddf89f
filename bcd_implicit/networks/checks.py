"""Checks of the weights that a person gives to a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError


def check_fit(name: str, given: int, wanted: int, what: str, shape: tuple[int, ...]) -> None:
    """Raise an error that names the weights if they are for another number of values than a node has.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if given != wanted:
        raise InvalidInputError(name, f"is for {given} {what}, the node of shape {shape} has {wanted}")


def read_numbers(name: str, value: Any, ndim: int | None = None) -> np.ndarray:
    """Finite numbers as an array of floats.

    Raises
    ------
    InvalidInputError
        No numbers, another number of axes, NaN or infinity.
    """
    wanted = "numbers" if ndim is None else f"an array of numbers with {ndim} axes" if ndim > 1 else "a list of numbers"
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InvalidInputError(name, f"must be {wanted}, got {type(value).__name__}") from None
    if ndim is not None and array.ndim != ndim:
        raise InvalidInputError(name, f"must be {wanted}, got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise InvalidInputError(name, "contains NaN or infinity", "Replace such entries")
    return array
