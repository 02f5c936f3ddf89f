"""Names of inputs and outputs where models are put together: which go with which, and what the whole calls its own.

A model without names of its own calls them u0, u1, ... and y0, y1, ...; such names are None here, and say nothing but
the order. Names of one's own are matched by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.checks import check_names
from bcd_implicit.support.display import quoted

#: The names of inputs or outputs, None where they are only numbered.
Names: TypeAlias = list[str] | None
BY_ORDER = "Use the model's names, or pass an array, which is matched by position"
RENAME = "Give them the same names with bi.compose.labelled, or select and order them by a matrix: M @ f, f @ N"


def own(names: Sequence[str], letter: str) -> Names:
    """The names, or None if they are those that a model without names has."""
    return None if list(names) == check_names("names", None, len(names), letter) else list(names)


def labels_of(index: pd.Index) -> Names:
    """The names that rows or columns of a data frame have, as text; None if they only count 0, 1, ..."""
    names = [str(label) for label in index]
    return None if _only_count(names) else names


def _only_count(names: Sequence[str]) -> bool:
    return list(names) == [str(j) for j in range(len(names))]


def matched(given: Names, wanted: Sequence[str], what: str, letter: str, argument: str, has: str) -> list[int] | None:
    """Where the wanted variables stand among as many given ones; None for their order as it is.

    Names count if both sides have them; names that only number, as those that nobody gave, say nothing but the order.

    Parameters
    ----------
    given : list of str or None
    wanted : sequence of str
    what : {"inputs", "outputs"}
    letter : {"u", "y"}
        With which names begin that are only numbered.
    argument, has : str
        Whose names these are, and the verb: "pattern", "of B has".

    Raises
    ------
    InvalidInputError
        Names on both sides that are not the same.
    """
    if given is None or given == list(wanted):
        return None
    if {*given} == {*wanted}:
        return [given.index(name) for name in wanted]
    if any(own(names, letter) is None or _only_count(names) for names in (given, wanted)):
        return None
    cause = f"{has} the {what} {quoted(given)}, but the problem {quoted(wanted)}"
    raise InvalidInputError(
        argument, cause, "Give them the problem's names, or no names: they are then matched by position"
    )


def places(
    wanted: tuple[int, Names],
    given: tuple[int, Names],
    who: tuple[str, str],
    what: str,
    argument: str = "models",
    remedy: str = RENAME,
) -> list[int] | None:
    """Where the wanted variables stand among the given ones; None for all of them in their order.

    Parameters
    ----------
    wanted, given : (int, list of str or None)
        How many there are, and their names.
    who : (str, str)
        Who wants, and who gives, with verbs, as messages say it: "the second takes", "the first gives".
    what : str
        What is wanted: "inputs" or "outputs".
    argument, remedy : str
        As messages have them.

    Raises
    ------
    InvalidInputError
        A name that is not there, or, without names on both sides, another number of variables.
    """
    if wanted[1] is None or given[1] is None:
        if wanted[0] != given[0]:
            raise InvalidInputError(argument, f"{who[0]} {wanted[0]} {what}, but {who[1]} {given[0]}", remedy)
        return None
    if missing := [name for name in wanted[1] if name not in given[1]]:
        cause = f"{who[0]} the {what} {quoted(missing)}, but {who[1]} {quoted(given[1])}"
        raise InvalidInputError(argument, cause, remedy)
    return None if wanted[1] == given[1] else [given[1].index(name) for name in wanted[1]]


def side_by_side(parts: Sequence[tuple[int, Names]], letter: str) -> Names:
    """Names of several models' variables in a row: those that occur twice get the number of their model, as in "1.y0".

    Parameters
    ----------
    parts : sequence of (int, list of str or None)
        For each model how many variables it has, and their names.
    letter : {"u", "y"}
        With which names begin that are only numbered.
    """
    if all(names is None for _, names in parts):
        return None
    known = [check_names("names", names, count, letter) for count, names in parts]
    counts = Counter(name for names in known for name in names)
    numbered = [[f"{k}.{name}" for name in names] for k, names in enumerate(known, start=1)]
    joined = [
        long if counts[name] > 1 else name
        for names, longs in zip(known, numbered, strict=True)
        for name, long in zip(names, longs, strict=True)
    ]
    # "1.y" may have been somebody's name already.
    return joined if len(set(joined)) == len(joined) else [name for names in numbered for name in names]
