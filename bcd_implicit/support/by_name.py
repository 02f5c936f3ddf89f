"""Things that a person names or brings along: losses, activations, schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from bcd_implicit.errors import InvalidInputError, check_choice

Kind = TypeVar("Kind")


def named_or_given(
    argument: str, value: object, kind: type[Kind], known: Mapping[str, Kind], needed: Sequence[str] = ()
) -> Kind:
    """What the name stands for; an object of the kind passes through.

    Parameters
    ----------
    argument : str
        What messages call it.
    value : str or object
    kind : type
        The base class.
    known : mapping
        The objects by name.
    needed : sequence of str
        The methods that the base class leaves to its subclasses.

    Raises
    ------
    InvalidInputError
        An unknown name, a class in place of an object, anything else than an object of the kind, or one whose class
        lacks a method.
    """
    if isinstance(value, type) and issubclass(value, kind):
        raise InvalidInputError(
            argument, f"is the class {value.__name__}", f"Pass an instance, such as {value.__name__}()"
        )
    found = value if isinstance(value, kind) else known[check_choice(argument, value, known)]
    if not isinstance(found, kind):
        what = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
        cause = f"{value!r} refers to something that is {what}"
        raise InvalidInputError(argument, cause, f"Give that name an instance of a subclass of {kind.__name__}")
    check_defined(argument, found, kind, needed)
    return found


def check_defined(argument: str, value: object, kind: type, needed: Sequence[str]) -> None:
    """Raise an error that names the methods which an object's class lacks, and ``name``.

    Raises
    ------
    InvalidInputError
        As said.
    """
    lacking = [name for name in needed if getattr(type(value), name) is getattr(kind, name)]
    lacking += [] if isinstance(getattr(value, "name", None), str) else ["name"]
    if lacking:
        cause = f"the class {type(value).__name__} does not define {', '.join(lacking)}"
        raise InvalidInputError(argument, cause, f"Define all abstract methods of bcd_implicit.{kind.__name__}")


def undefined(value: object, method: str) -> NotImplementedError:
    """What a method raises that a base class leaves to its subclasses."""
    return NotImplementedError(f"the class {type(value).__name__} does not define {method}")
