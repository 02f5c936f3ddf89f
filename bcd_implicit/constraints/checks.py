"""Whether a user's function can be used as a constraint or penalty, checked before any solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from bcd_implicit.constraints.by_name import READY_MADE, argument_names, from_text
from bcd_implicit.constraints.ready_made import ReadyMade
from bcd_implicit.constraints.user import BlockVariables, UserFunction, returned
from bcd_implicit.errors import ConstraintError, InvalidInputError, shown
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.notices import ignored

# The problem's own constraints, whose violations and dual values stand beside those of the user.
OWN_NAMES = ("norm_bound", "group_lasso", "pattern")
# What a person may give: one, a list, or some by name; a text stands for a ready-made one.
Constraints: TypeAlias = (
    UserFunction
    | str
    | Sequence[UserFunction | str | Sequence[UserFunction]]
    | Mapping[str, UserFunction]
    | Mapping[str, UserFunction | str]
)


def check_constraints(
    constraints: Constraints | None,
    shapes: Mapping[str, tuple[int, ...]],
    block_letters: Sequence[tuple[str, ...]],
    input_names: Sequence[str],
) -> dict[str, UserFunction]:
    """Give every function its name, and try it on variables of the problem's shapes.

    ``block_letters`` are the variables that share a block. X is in none: the equilibrium decides the state.

    Raises
    ------
    ConstraintError
        A function that is no function, fails, fits no block (unknown names, or variables of two blocks), returns
        neither CVXPY constraints nor scalar expressions, or something that is not convex; two of one name.
    """
    functions = {name: _on(name, function, input_names) for name, function in _named(constraints).items()}
    if not functions:
        return functions
    blocks = [BlockVariables({k: cp.Variable(shapes[k], name=k) for k in names}) for names in block_letters]
    for name, function in functions.items():
        where = name if name.startswith("constraints[") else f"constraint {name!r}"
        _check_function(where, function, blocks, shapes)
    return functions


def _named(constraints: Any) -> dict[str, UserFunction]:
    if callable(constraints) or isinstance(constraints, str):
        constraints = [constraints]
    if isinstance(constraints, Mapping):
        pairs = [(name, _read(given)) for name, given in constraints.items()]
    elif isinstance(constraints, (list, tuple)) or constraints is None:
        functions = [function for given in constraints or () for function in _all_of(_read(given))]
        pairs = [(_own_name(f) or f"constraints[{i}]", f) for i, f in enumerate(functions)]
    else:
        kind = type(constraints).__name__
        remedy = 'Pass a function, a text such as "nonnegative(B)", a list of these, or a mapping from names to them'
        raise ConstraintError("constraints", f"is of type {kind}", remedy)
    named: dict[str, UserFunction] = {}
    for name, function in pairs:
        if not isinstance(name, str):
            raise ConstraintError("constraints", f"has the name {shown(name)}, which is not text", "Use text for names")
        if name in OWN_NAMES:
            raise ConstraintError(
                "constraints", f"{name!r} is the name of one of the problem's own constraints", "Rename yours"
            )
        if name in named:
            raise ConstraintError(
                "constraints", f"two have the name {name!r}", "Pass a mapping {name: function} with other names"
            )
        named[name] = function
    return named


def _all_of(given: Any) -> list[Any]:
    """One function, or the several that make one constraint."""
    return given if isinstance(given, list) else [given]


def _on(name: str, function: Any, input_names: Sequence[str]) -> Any:
    try:
        return function.on(input_names) if isinstance(function, ReadyMade) else function
    except InvalidInputError as error:
        raise ConstraintError(f"constraint {name!r}", f"{error.argument}: {error.cause}", error.remedy) from None


def _read(given: Any) -> Any:
    return from_text(given) if isinstance(given, str) else given


def _own_name(function: Any) -> str | None:
    """That of a ready-made constraint, or of a function with one."""
    name = getattr(function, "name", None) or getattr(function, "__name__", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def _check_function(
    where: str, function: Any, blocks: list[BlockVariables], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    if not callable(function):
        kind = type(function).__name__
        raise ConstraintError(where, f"is of type {kind}", 'Pass a function such as lambda v: v["A"] >= 0')
    if function in READY_MADE.values():
        raise ConstraintError(where, "is not called", f"Call it with its arguments ({argument_names(function)})")
    try:
        with ignored("Forming a nonconvex expression"):  # it becomes an error below
            made = [terms for block in blocks if (terms := returned(function, block)) is not None]
    except InvalidInputError as error:  # a ready-made one that does not fit
        raise ConstraintError(where, f"{error.argument} {error.cause}", error.remedy) from error
    except Exception as error:  # whatever a person's own function may raise
        known = ", ".join(f"{k} {shapes[k]}" for block in blocks for k in block)
        raise ConstraintError(
            where,
            f"failed: {type(error).__name__}: {str(error).rstrip('.')}",
            f"CVXPY variables have the shapes {known}",
        ) from error
    if not made:
        raise _fits_no_block(where, function, blocks, shapes)
    ids = {x.id for block in blocks for variable in block.values() for x in variable.variables()}
    for term in (term for terms in made for term in terms):
        if not isinstance(term, (cp.Constraint, cp.Expression)):
            raise ConstraintError(
                where,
                f"returned {shown(term)}, not a CVXPY constraint or penalty",
                "Return a comparison of CVXPY expressions (a constraint), or a scalar expression (a penalty)",
            )
        _check_term(where, term, ids)


def _check_term(where: str, term: cp.Constraint | cp.Expression, ids: set[int]) -> None:
    variables = term.variables()
    own = [x.name() for x in variables if x.id not in ids]
    if own or not variables:
        cause = f"has its own variables, {', '.join(own)}" if own else f"{term} depends on none of the variables"
        raise ConstraintError(where, cause, "Use only the variables passed to it, and constants")
    if not all(np.isfinite(constant.value).all() for constant in term.constants() if constant.value is not None):
        raise ConstraintError(where, f"{term} contains NaN or infinity", "Omit infinite bounds")
    unset = [p.name() for p in term.parameters() if p.value is None]
    if unset:
        raise ConstraintError(where, f"parameter {', '.join(unset)} has no value", "Set its .value first")
    if isinstance(term, cp.Expression) and not term.is_scalar():
        raise ConstraintError(
            where,
            f"returned the expression {term} of shape {term.shape}, but a penalty is one number",
            "Take its cp.sum or a norm, or compare it with a bound to make it a constraint",
        )
    if not (term.is_dcp() if isinstance(term, cp.Constraint) else term.is_convex()):
        raise ConstraintError(
            where,
            f"{term} is not convex by CVXPY's rules: {_why_not_convex(term)}",
            "See www.cvxpy.org/tutorial/dcp",
        )


def _why_not_convex(term: cp.Constraint | cp.Expression) -> str:
    culprit = _neither_convex_nor_concave(term)
    if culprit is not None:
        return f"{culprit} is neither convex nor concave"
    if isinstance(term, cp.Expression):
        return "it is concave, but a penalty is minimised"
    if isinstance(term, cp.constraints.Inequality):
        return "it bounds a convex expression from below, or a concave one from above"
    return "this kind of constraint needs affine expressions"


def _neither_convex_nor_concave(term: Any) -> cp.Expression | None:
    """The innermost expression that breaks the rules, if there is one."""
    if isinstance(term, cp.Expression) and term.is_dcp():
        return None
    inner = next((found for arg in term.args if (found := _neither_convex_nor_concave(arg)) is not None), None)
    return term if inner is None and isinstance(term, cp.Expression) else inner


class _Asked(dict[str, "cp.Expression"]):
    """All variables; remembers which were asked for."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__({k: cp.Variable(shape, name=k) for k, shape in shapes.items()})
        self.names: list[str] = []

    def __getitem__(self, name: str) -> cp.Expression:
        self.names.append(name)
        return super().__getitem__(name)


def _fits_no_block(
    where: str, function: UserFunction, blocks: list[BlockVariables], shapes: Mapping[str, tuple[int, ...]]
) -> ConstraintError:
    """The error for a function that no single block could serve, by what it asks for when it gets everything."""
    everything = _Asked(shapes)
    with suppress(Exception):  # an unknown name, or shapes that do not fit: the names asked for are what counts
        function(everything)
    asked = list(dict.fromkeys(everything.names))
    unknown = [str(name) for name in asked if name not in shapes]
    blocks_in_words = ", or ".join(", ".join(block) for block in blocks)
    if unknown:
        return ConstraintError(where, f"uses {unknown[0]}, which is not a variable", f"Choose from {blocks_in_words}")
    if "X" in asked:
        return ConstraintError(where, "uses X, which the equilibrium determines", f"Choose from {blocks_in_words}")
    return ConstraintError(
        where,
        f"couples {' and '.join(asked)}, which are not in one block",
        f"One constraint may use {blocks_in_words}, not both",
    )
