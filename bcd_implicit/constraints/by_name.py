"""The ready-made constraints by name, and from text on the command line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from bcd_implicit.constraints.entries import box, fixed_entries, monotone, nonnegative, nonpositive
from bcd_implicit.constraints.gains import margin_gain_bound, output_gain_bound, state_gain_bound
from bcd_implicit.constraints.norms import (
    column_norm_bound,
    convex_state,
    l1_bound,
    l1_penalty,
    nuclear_norm_bound,
    row_norm_bound,
    spectral_norm_bound,
)
from bcd_implicit.constraints.patterns import banded, feedforward, symmetric
from bcd_implicit.constraints.ready_made import ReadyMade
from bcd_implicit.errors import ConstraintError, InvalidInputError

READY_MADE: dict[str, Callable[..., ReadyMade | list[ReadyMade]]] = {
    call.__name__: call
    for call in (
        banded, box, column_norm_bound, convex_state, feedforward, l1_bound, l1_penalty, fixed_entries,
        margin_gain_bound, monotone, nonnegative, nonpositive, nuclear_norm_bound, output_gain_bound,
        row_norm_bound, spectral_norm_bound, state_gain_bound, symmetric,
    )
}  # fmt: skip


def argument_names(made_by: Callable[..., Any]) -> str:
    """The names of the arguments of a ready-made constraint, for messages."""
    return ", ".join(inspect.signature(made_by).parameters)


def from_text(text: str) -> ReadyMade | list[ReadyMade]:
    """The ready-made constraint that a text such as "box(B, lower=0, upper=0.5)" stands for. Nothing is evaluated.

    "monotone(increasing=[age])" stands for several. Names in lists need no quotes if they are names in Python.

    Raises
    ------
    ConstraintError
        Not a call of a ready-made constraint with letters, numbers and lists.
    """

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.List, ast.Tuple)):
            return [value(element) for element in node.elts]
        if isinstance(node, ast.UnaryOp) and ast.unparse(node) == "-inf":
            return -np.inf
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f"{ast.unparse(node)} is not a letter, number or list") from None

    known = f"Write one of {', '.join(READY_MADE)} with its arguments, such as nonnegative(B)"
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in READY_MADE:
            raise ValueError("no ready-made constraint")
        known = f"Its arguments are {argument_names(READY_MADE[call.func.id])}"
        named: dict[Any, Any] = {k.arg: value(k.value) for k in call.keywords}
        return READY_MADE[call.func.id](*map(value, call.args), **named)
    except InvalidInputError as error:
        raise ConstraintError(f"constraint {text}", f"{error.argument}: {error.cause}", error.remedy) from None
    except (SyntaxError, ValueError, TypeError) as error:
        cause = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConstraintError(f"constraint {text}", f"cannot be read ({cause})", known) from None
