"""Options of one method alone, which are keywords of :func:`~bcd_implicit.solve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.argument_names import names_of_arguments, nearest
from bcd_implicit.training.cycles import METHODS
from bcd_implicit.training.optimizers import Optimizer


def names_of_options(method: str) -> list[str]:
    """The options that a method knows."""
    kind = METHODS[method].options
    return [] if kind is None else [field.name for field in fields(kind)]


def check_method_options(
    problem: TrainingProblem, method: str, given: Mapping[str, Any], call: Callable[..., Any]
) -> Any:
    """The method's options as an object of its own, None where it has none; the method takes such problems.

    Parameters
    ----------
    problem : TrainingProblem
    method : str
    given : mapping
        By name.
    call : callable
        Whose other arguments a name may have been meant for.

    Raises
    ------
    InvalidInputError
        A name that is no option of the method, an option out of its range, or constraints of the user that the method
        cannot meet.
    """
    known = names_of_options(method)
    for name in given:
        if name not in known:
            raise _unknown(name, method, known, names_of_arguments(call))
    if problem.constraints and not METHODS[method].by_blocks:
        able = " or ".join(f'"{name}"' for name, other in METHODS.items() if other.by_blocks)
        cause = f"{method!r} does not support your own constraints and penalties, but the problem has some"
        raise InvalidInputError("method", cause, f"Use {able}")
    kind = METHODS[method].options
    return None if kind is None else kind(**given)


def _unknown(name: str, method: str, known: list[str], arguments: list[str]) -> InvalidInputError:
    owners = [other for other in METHODS if name in names_of_options(other)]
    if owners:
        cause = f"applies only to method={owners[0]!r}, but method is {method!r}"
        return InvalidInputError(name, cause, f"Omit it, or choose method={owners[0]!r}")
    everywhere = {option: other for other in METHODS for option in names_of_options(other)}
    if near := nearest(name, [*arguments, *everywhere]):
        of = f" of method={everywhere[near]!r}" if near in everywhere else ""
        rest = f"Perhaps {near}{of} was meant"
    else:
        rest = f"method={method!r} has " + (f"the options {', '.join(known)}" if known else "no options of its own")
    return InvalidInputError(name, "is not an argument of solve", rest)


def described(options: Any, max_cycles: int) -> dict[str, Any]:
    """The options by name, for a checkpoint; with ``max_cycles`` where the rate depends on it."""
    found: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        if not isinstance(value, Optimizer):
            found[field.name] = value
            continue
        found[field.name] = value.name
        found |= {f"{field.name} {parameter}": each for parameter, each in vars(value).items()}
    return found | ({"max_cycles": max_cycles} if options.schedule == "cosine" else {})
