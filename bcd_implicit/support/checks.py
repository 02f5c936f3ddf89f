"""Checks of what a person passes: each returns the value in the form that the package uses, or names what was wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support.arrays import SAMPLES, Advice, read_samples
from bcd_implicit.support.samples import read_inputs, read_targets

# Inputs end at 1e40, and so do the states' products with C at 1e240 or so: predictions cannot overflow.
LARGEST_ENTRY = 1e100


def check_flag(name: str, value: Any) -> bool:
    """Return True or False, or raise an error that names the argument.

    Raises
    ------
    InvalidInputError
        Anything else: a text, even "no", would count as true.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(name, f"must be True or False, got {shown(value)}", "")
    return bool(value)


def check_number(
    name: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    integer: bool = False,
    boundaries: str = "both",
    remedy: str = "",
) -> Any:
    """Return the number if it lies in the interval, or raise an error that names it.

    Parameters
    ----------
    name : str
        The argument's name, used in the message.
    value : int or float
        The number given.
    low, high : float, optional
        Ends of the interval.
    integer : bool
        Whether only whole numbers are accepted (booleans never are).
    boundaries : {"both", "left", "right", "neither"}
        Which ends belong to the interval.
    remedy : str
        What a person should do instead.

    Raises
    ------
    InvalidInputError
        Wrong type, not finite, or outside the interval.
    """
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    wanted = "a whole number" if integer else "a number"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kinds):
        raise InvalidInputError(name, f"must be {wanted}, got {shown(value)}", remedy)
    # scikit-learn's check_scalar would do the same after an import that takes half a second.
    with_low, with_high = boundaries in ("both", "left"), boundaries in ("both", "right")
    if low is not None and (value < low or (value == low and not with_low)):
        raise InvalidInputError(name, f"got {value}, must be {'>=' if with_low else '>'} {low}", remedy)
    if high is not None and (value > high or (value == high and not with_high)):
        raise InvalidInputError(name, f"got {value}, must be {'<=' if with_high else '<'} {high}", remedy)
    # NumPy cannot tell of Python's whole numbers, which may be of any size.
    finite = abs(value) <= sys.float_info.max if isinstance(value, int) else np.isfinite(value)
    if not (integer or finite):
        raise InvalidInputError(name, f"must be finite, got {shown(value)}", remedy)
    return int(value) if integer else float(value)


def check_places(name: str, places: Any, length: int) -> np.ndarray | slice:
    """Return places in something of that length, by a slice, a mask or numbers of which each occurs once.

    Raises
    ------
    InvalidInputError
        Anything else.
    """
    if isinstance(places, slice):
        return places
    remedy = f"Give numbers from 0 to {length - 1}, each once, or a mask of {length}"
    array = np.asarray(check_list(name, places, "numbers", remedy))
    if array.dtype.kind == "b" and array.shape == (length,):
        return np.flatnonzero(array)
    good = array.ndim == 1 and array.size and array.dtype.kind in "iu"
    if not good or array.size != np.unique(array).size or array.min() < 0 or array.max() >= length:
        raise InvalidInputError(name, f"got {shown(places)}", remedy)
    return array


def check_list(argument: str, values: Any, what: str, remedy: str) -> list[Any]:
    """Return the values as a list, or raise an error that names the argument.

    Raises
    ------
    InvalidInputError
        A single value, or a text, which would pass for as many as it has letters.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise InvalidInputError(argument, f"must be a list of {what}, got {shown(values)}", remedy)
    return list(values)


def check_matrix(name: str, array: ArrayLike, *, n_columns: int | None = None, advice: Advice = SAMPLES) -> np.ndarray:
    """The numbers of :func:`~bcd_implicit.support.arrays.read_samples` alone, where names do not matter."""
    return read_samples(name, array, n_columns=n_columns, advice=advice).values


def check_entries(name: str, matrix: np.ndarray, remedy: str) -> None:
    """Raise an error that names the matrix of a model if an entry is beyond 1e100.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if (largest := np.abs(matrix).max()) > LARGEST_ENTRY:
        cause = f"has entries as large as {largest:.1e}, but the limit is {LARGEST_ENTRY:.0e}"
        raise InvalidInputError(name, cause, remedy)


def check_arrays(U: ArrayLike, Y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (p, m) and targets (q, m) as the paper has them, one sample per column, from a person's tables of rows."""
    inputs = read_inputs("U", U, quiet=True)
    return inputs.columns, read_targets("Y", Y, inputs, "U").columns


def random_generator(random_state: Any) -> np.random.Generator:
    """A generator from a seed, None (fresh randomness) or a generator, which passes through.

    Raises
    ------
    InvalidInputError
        Anything else, or a negative seed.
    """
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        remedy = "Give a whole number of 0 or more, a Generator or None"
        raise InvalidInputError("random_state", f"got {shown(random_state)}", remedy) from None


def check_names(argument: str, names: Sequence[str] | None, length: int, letter: str) -> list[str]:
    """Names as text, one for each variable; ``u0, u1, ...`` when none were given.

    Raises
    ------
    InvalidInputError
        No list of names, another number of them, or one twice.
    """
    if names is None:
        return [f"{letter}{j}" for j in range(length)]
    listed = [str(name) for name in check_list(argument, names, "names", "Give one name for each variable")]
    if len(listed) != length:
        raise InvalidInputError(
            argument, f"has {len(listed)} names for {length} variables", "Give one name for each variable"
        )
    if len(set(listed)) < length:
        twice = next(name for name in listed if listed.count(name) > 1)
        raise InvalidInputError(argument, f"has {twice!r} twice", "Give every variable a name of its own")
    return listed
