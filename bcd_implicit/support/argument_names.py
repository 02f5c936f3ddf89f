"""Names of arguments that a function does not have: which one was perhaps meant."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence

from bcd_implicit.errors import InvalidInputError

#: Arguments by the names that other libraries give them.
OTHERWISE = {
    "verbose": "progress",
    "max_iter": "max_cycles",
    "n_iter": "max_cycles",
    "seed": "random_state",
    "timeout": "max_seconds",
    "x0": "start",
    "init": "start",
    "alpha": "kappa",
    "lam": "kappa",
}


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that was perhaps meant, or an empty text."""
    if OTHERWISE.get(name) in known:
        return OTHERWISE[name]
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


def names_of_arguments(call: Callable[..., object]) -> list[str]:
    """The arguments that a caller can pass by name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        name
        for name, parameter in inspect.signature(call).parameters.items()
        if parameter.kind in kinds and name != "self"
    ]


def check_argument_names(called: str, names: Iterable[str], call: Callable[..., object]) -> None:
    """Raise an error that names the first of the names that the call does not have as an argument.

    Raises
    ------
    InvalidInputError
        As said, with the name that was perhaps meant.
    """
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(call).parameters.values()):
        return
    known = names_of_arguments(call)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            remedy = f"Perhaps {near} was meant" if near else f"The arguments are {', '.join(known)}"
            raise InvalidInputError(name, f"is not an argument of {called}", remedy)
