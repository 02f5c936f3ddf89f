"""Exceptions and warnings. Each message names the argument or block, the cause and the remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any, ClassVar

# How the status of a solver begins that lacks a cone.
UNFIT = "cannot take"
# The page that explains messages. Its headings are the sections.
TROUBLESHOOTING = "docs/troubleshooting.md"


def see(section: str) -> str:
    """Where a message is explained, to stand at its end."""
    return f"See {TROUBLESHOOTING}#{section}."


class BcdError(Exception):
    """Base class of every error that this package raises on purpose.

    If the documentation explains the error, a note with the link is shown below the message.
    """

    #: The section of the troubleshooting page that explains the error; empty where its message says it all.
    section: ClassVar[str] = ""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        if self.section:
            self.add_note(see(self.section))


class InvalidInputError(BcdError, ValueError):
    """An argument, a data set or a file cannot be used; the message says which, why and what to do.

    Parameters
    ----------
    argument : str
        Name of the offending argument, column or file.
    cause : str
        What is wrong with it, with the value.
    remedy : str, optional
        What to do about it.
    """

    def __init__(self, argument: str, cause: str, remedy: str = "") -> None:
        self.argument = argument
        self.cause = cause
        self.remedy = remedy
        super().__init__(f"{argument}: {cause}." + (f" {remedy}." if remedy else ""))

    def __reduce__(self) -> tuple:
        return type(self), (self.argument, self.cause, self.remedy)


class _Short(reprlib.Repr):
    """Plain numbers, arrays by their shape, and what is long cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 6
        self.maxstring = self.maxother = 80

    def repr1(self, x: Any, level: int) -> str:
        # Only here: the command line uses these errors before NumPy.
        import numpy as np

        if isinstance(x, type):
            return f"the class {x.__name__}"
        if getattr(x, "shape", ()):
            kind = "an array" if isinstance(x, np.ndarray) else type(x).__name__
            return f"{kind} of shape {x.shape}"
        if isinstance(x, (np.generic, np.ndarray)):
            x = x.item()
            # A long double is no number of Python's.
            if isinstance(x, np.generic):
                return str(x)
        return super().repr1(x, level)


_short = _Short()


def shown(value: object) -> str:
    """A value as messages show it: nan and not np.float64(nan), an array by its shape, what is long cut."""
    return _short.repr(value)


def check_choice(argument: str, value: object, choices: Iterable[str], what: str = "") -> str:
    """Return the value if it is one of the names, or raise an error that lists them.

    Raises
    ------
    InvalidInputError
        Another name, or no text at all.
    """
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise InvalidInputError(
            argument, f"unknown {what or argument} {shown(value)}", f"Use one of {', '.join(names)}"
        )
    return value


class ConstraintError(InvalidInputError):
    """A user's constraint is not convex, not a constraint, or couples variables of different blocks."""

    section = "a-constraint-is-refused"


class NotWellPosedError(BcdError, ValueError):
    """The equilibrium x = phi(Ax + Bu + b) is not certified to exist and be unique."""

    section = "not-well-posed"


class BlockSolveError(BcdError, RuntimeError):
    """A solver gave no usable point for a block.

    Attributes
    ----------
    block, solver, status : str
        Block name, solver name and the status that CVXPY reported.
    infeasible : bool
        True when the block has no feasible point (or is unbounded): trying again cannot help.
    unfit : bool
        True when the solver does not support this kind of problem.
    iterate : Iterate or None
        The last good iterate, from which the block started. If no start was found that meets the user's constraints,
        the start that was given or drawn; it need not meet them.
    """

    section = "a-solver-failed"

    def __init__(self, block: str, solver: str, status: str, remedy: str, iterate: Any = None) -> None:
        self.block, self.solver, self.status, self.remedy, self.iterate = block, solver, status, remedy, iterate
        self.infeasible = "infeasible" in status or "unbounded" in status
        self.unfit = status.startswith(UNFIT)
        super().__init__(f"block '{block}': solver {solver} ended with status '{status}'. {remedy}.")

    def __reduce__(self) -> tuple:
        return type(self), (self.block, self.solver, self.status, self.remedy, self.iterate)


class NothingYetError(BcdError, TimeoutError):
    """``max_seconds`` passed before there was a result to return: allow more time."""

    section = "it-takes-too-long"


class _Explained(UserWarning):
    """A warning whose message ends with a link to its explanation, unless it already has one."""

    section: ClassVar[str]

    def __str__(self) -> str:
        message = super().__str__()
        return message if TROUBLESHOOTING in message else f"{message} {see(self.section)}"


class ConvergenceWarning(_Explained):
    """A computation did not reach the requested tolerance; the message gives the numbers."""

    section = "training-did-not-converge"


class DataWarning(_Explained):
    """Data can be used but look wrong, such as a column that only numbers the rows; the message says what to do."""

    section = "the-data-look-wrong"
