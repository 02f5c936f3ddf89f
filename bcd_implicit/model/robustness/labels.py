"""Labels that a person gives: of inputs with a radius, of outputs with weights, and the classes of samples.

A label that reads as a name is that name. Numbers are places, from 0; where they may be names as well, that is an
error, and not a guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.names import own
from bcd_implicit.support.checks import check_list, check_places
from bcd_implicit.support.display import listed, quoted
from bcd_implicit.support.frames import as_pandas


def in_order(argument: str, given: Any, names: Sequence[str], letter: str) -> Any:
    """The values of a series, a mapping or a data frame's columns in the order of names; anything else as it is.

    As for inputs of a model, labels that are numbers and not names say nothing but the order, and neither do any
    others where the model has no names of its own, unless some of them are names.

    Raises
    ------
    InvalidInputError
        A label that is missing, or there twice.
    """
    if isinstance(given, Mapping):
        given = pd.Series(given)
    given = as_pandas(argument, given)
    if not isinstance(given, (pd.Series, pd.DataFrame)):
        return given
    index, values = (given.index if isinstance(given, pd.Series) else given.columns), given.to_numpy()
    labels = [str(label) for label in index]
    missing = [name for name in names if name not in labels]
    if missing and (is_numeric_dtype(index) or (own(names, letter) is None and missing == list(names))):
        return values
    if missing:
        remedy = f"Give a number for each of {quoted(names)}"
        raise InvalidInputError(argument, f"has the labels {quoted(labels)} but not {missing[0]!r}", remedy)
    if twice := [name for name in names if labels.count(name) > 1]:
        raise InvalidInputError(argument, f"has the label {twice[0]!r} twice", "Rename one of them")
    return values[..., [labels.index(name) for name in names]]


def places_of(argument: str, given: Any, names: Sequence[str]) -> np.ndarray:
    """The places of outputs, by names or numbers, each once.

    Raises
    ------
    InvalidInputError
        Another name or number, or a number that may be a name too.
    """
    chosen = check_list(argument, given, "names or numbers", "Give names or numbers of outputs")
    unknown = [name for name in chosen if isinstance(name, str) and name not in names]
    if unknown:
        remedy = f"Use {listed(names)}, or numbers"
        raise InvalidInputError(argument, f"there is no {shown(unknown[0])}", remedy)
    place = {name: k for k, name in enumerate(names)}
    _check_places_only(argument, [value for value in chosen if not isinstance(value, str)], place)
    numbers = [place[name] if isinstance(name, str) else name for name in chosen]
    return np.asarray(check_places(argument, numbers, len(names)))


def classes_of(y: Any, names: Sequence[str], n_samples: int, argument: str = "y") -> np.ndarray:
    """The number of each sample's class, (m,), from numbers or names of outputs.

    Of one output these are 0 and 1, or the output's name for 1 and one other name for 0.

    Raises
    ------
    InvalidInputError
        Another class, another number of them, or a number that may be a name too.
    """
    n_classes = max(len(names), 2)
    numbers = f"numbers from 0 to {n_classes - 1}"
    known = f"names of outputs or {numbers}" if len(names) > 1 else f"{numbers}, or {names[0]!r} and one other name"
    y = as_pandas(argument, y)
    table = y.to_numpy() if isinstance(y, (pd.Series, pd.DataFrame)) else y
    given = np.asarray(check_list(argument, table, "classes", f"Give {known}"))
    if given.shape == (n_samples, 1):
        given = given[:, 0]
    if given.shape != (n_samples,):
        cause = f"has shape {given.shape}, ({n_samples},) needed"
        raise InvalidInputError(argument, cause, "Give a class for each sample")
    values = given.tolist()
    if any(isinstance(value, str) for value in values):
        return _of_names(argument, [str(value) for value in values], names, known)
    # One output, log odds, has the name of class 1, and the other class has none that is known.
    several = len(names) > 1
    _check_places_only(argument, values, {name: k for k, name in enumerate(names, start=0 if several else 1)})
    if not several and _reads_as_another(names[0], 1):
        raise _ambiguous(argument, values[0], names)
    codes = np.array([float(value) if isinstance(value, (bool, int, float)) else np.nan for value in values])
    wrong = ~np.isin(codes, np.arange(n_classes))
    if wrong.any():
        raise InvalidInputError(argument, f"has the class {shown(values[int(wrong.argmax())])}", f"Use {known}")
    return codes.astype(int)


def _of_names(argument: str, given: list[str], names: Sequence[str], known: str) -> np.ndarray:
    """Places of the classes by names of outputs; of one output, whether it is that."""
    others = sorted({*given} - {*names})
    if others and not (len(names) == 1 and len(others) == 1 and names[0] in given):
        raise InvalidInputError(argument, f"has the class {others[0]!r}", f"Use {known}")
    if len(names) == 1:
        return np.array([int(value == names[0]) for value in given])
    places = {name: k for k, name in enumerate(names)}
    return np.array([places[value] for value in given])


def _check_places_only(argument: str, numbers: Sequence[Any], place: Mapping[str, int]) -> None:
    """Raise an error where a number is the name of another place than itself."""
    for number in dict.fromkeys(value for value in numbers if isinstance(value, (int, float, np.number))):
        told = {str(number), str(float(number)), str(int(number)) if float(number).is_integer() else ""}
        if any(place[name] != number for name in told & place.keys()):
            raise _ambiguous(argument, number, list(place))


def _ambiguous(argument: str, number: Any, names: Sequence[str]) -> InvalidInputError:
    cause = f"has the number {number}, which may be a position, or a name like {quoted(names)}"
    return InvalidInputError(argument, cause, "Give names of outputs, as text")


def _reads_as_another(name: str, number: float) -> bool:
    try:
        return float(name) != number
    except ValueError:
        return False
