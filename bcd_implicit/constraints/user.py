"""A user's own functions of the block's CVXPY variables: their names, what they return, and whether it can be used."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.constraints.constraint import Constraint

from bcd_implicit.constraints.ready_made import READY_MADE, argument_names
from bcd_implicit.errors import ConstraintError

UserFunction = Callable[[Mapping[str, cp.Expression]], Any]

# The problem's own constraints, whose violations and dual values stand beside those of the user.
OWN_NAMES = ("norm_bound", "group_lasso")


class _Absent(Exception):
    pass


class BlockVariables(dict[str, cp.Expression]):
    """The variables of one block; asking for one of another block is noticed."""

    def __missing__(self, name: str) -> cp.Expression:
        raise _Absent(name)


@dataclass(frozen=True)
class UserTerms:
    """What the functions make of some variables, by the functions' names."""

    constraints: dict[str, list[Constraint]]
    penalties: dict[str, cp.Expression]

    def __bool__(self) -> bool:
        return bool(self.constraints or self.penalties)

    @property
    def all_constraints(self) -> list[Constraint]:
        """Those of every function, in one list."""
        return [c for made in self.constraints.values() for c in made]

    @property
    def letters(self) -> set[str]:
        """Names of the variables on which they act."""
        terms = [*self.all_constraints, *self.penalties.values()]
        return {variable.name() for term in terms for variable in term.variables()}

    def penalty(self) -> float:
        """Sum of the penalties at their variables' values; infinite where one is not defined."""
        with np.errstate(all="ignore"):
            return float(sum(_largest(p.value) for p in self.penalties.values()))

    def violations(self) -> dict[str, float]:
        """The largest violation of each function's constraints at their variables' values; infinite as above."""
        with np.errstate(all="ignore"):
            return {name: max(_largest(c.violation()) for c in made) for name, made in self.constraints.items()}

    def dual_values(self) -> dict[str, Any]:
        """CVXPY's dual values: an array for a function with one constraint, else a list of them."""
        duals = {name: [_dual_value(c) for c in made] for name, made in self.constraints.items()}
        return {name: values[0] if len(values) == 1 else values for name, values in duals.items()}


def _largest(values: Any) -> float:
    """The largest number, infinite for NaN: the logarithm of a negative number, for instance."""
    largest = float(np.max(values))
    return np.inf if np.isnan(largest) else largest


def _dual_value(constraint: Constraint) -> Any:
    value = constraint.dual_value
    return [np.asarray(part) for part in value] if isinstance(value, list) else np.asarray(value)


def user_terms(functions: Mapping[str, UserFunction], variables: BlockVariables) -> UserTerms:
    """Constraints and penalties of the functions that these variables suffice for."""
    constraints: dict[str, list[Constraint]] = {}
    penalties: dict[str, cp.Expression] = {}
    for name, function in functions.items():
        made = _returned(function, variables) or []
        if constraining := [term for term in made if isinstance(term, Constraint)]:
            constraints[name] = constraining
        if penalising := [term for term in made if isinstance(term, cp.Expression)]:
            penalties[name] = cp.sum([cp.sum(term) for term in penalising])  # sums of one: shapes (1, 1) become ()
    return UserTerms(constraints, penalties)


def terms_at(functions: Mapping[str, UserFunction], point: Any, letters: Iterable[str]) -> UserTerms:
    """The terms on some letters with a point's arrays in the place of variables, so that all have values."""
    if not functions:
        return UserTerms({}, {})
    return user_terms(functions, BlockVariables({k: cp.Constant(getattr(point, k)) for k in letters}))


def _returned(function: UserFunction, variables: Mapping[str, cp.Expression]) -> list[Any] | None:
    """What a function returns, as a list, or None when it asks for other variables."""
    try:
        made = function(variables)
    except _Absent:
        return None
    return list(made) if isinstance(made, (list, tuple)) else [made]


@dataclass(frozen=True, eq=False)
class OnInputs:
    """A function for a problem that keeps some inputs only: it still sees B and D with all p columns.

    Attributes
    ----------
    function : function
    inputs : ndarray of bool, shape (p,)
        The inputs kept; the other columns of B and D are zero.
    """

    function: UserFunction
    inputs: np.ndarray

    def __call__(self, v: Mapping[str, cp.Expression]) -> Any:
        """What the function makes of the variables."""
        embed = np.eye(len(self.inputs))[self.inputs]
        return self.function(BlockVariables({k: x @ embed if k in ("B", "D") else x for k, x in v.items()}))


def check_constraints(
    constraints: Sequence[UserFunction] | Mapping[str, UserFunction] | None,
    shapes: Mapping[str, tuple[int, ...]],
    block_letters: Sequence[tuple[str, ...]],
) -> dict[str, UserFunction]:
    """Give every function its name, and try it on variables of the problem's shapes.

    ``block_letters`` are the variables that share a block. X is in none: the equilibrium decides the state.

    Raises
    ------
    ConstraintError
        A function that is no function, fails, fits no block (unknown names, or variables of two blocks), returns
        neither CVXPY constraints nor scalar expressions, or something that is not convex; two of one name.
    """
    functions = _named(constraints)
    blocks = [BlockVariables({k: cp.Variable(shapes[k], name=k) for k in names}) for names in block_letters]
    for name, function in functions.items():
        where = name if name.startswith("constraints[") else f"constraint {name!r}"
        _check_function(where, function, blocks, shapes)
    return functions


def _named(constraints: Any) -> dict[str, UserFunction]:
    if callable(constraints):
        raise ConstraintError("constraints", "is a function", "Pass a list of functions")
    if isinstance(constraints, Mapping):
        pairs = list(constraints.items())
    elif isinstance(constraints, (list, tuple)) or constraints is None:
        pairs = [(_own_name(f) or f"constraints[{i}]", f) for i, f in enumerate(constraints or ())]
    else:
        kind = type(constraints).__name__
        raise ConstraintError("constraints", f"is a {kind}", "Pass a list of functions, or a mapping {name: function}")
    named: dict[str, UserFunction] = {}
    for name, function in pairs:
        if not isinstance(name, str):
            raise ConstraintError("constraints", f"has the name {name!r}, which is not text", "Use text for names")
        if name in OWN_NAMES:
            raise ConstraintError("constraints", f"{name!r} is the name of one of the problem's own", "Rename yours")
        if name in named:
            raise ConstraintError(
                "constraints", f"two have the name {name!r}", "Pass a mapping {name: function} with names of your own"
            )
        named[name] = function
    return named


def _own_name(function: Any) -> str | None:
    """That of a ready-made constraint, or of a function with one."""
    name = getattr(function, "name", None) or getattr(function, "__name__", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def _check_function(
    where: str, function: Any, blocks: list[BlockVariables], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    if not callable(function):
        kind = type(function).__name__
        raise ConstraintError(where, f"is a {kind}", 'Pass a function such as lambda v: v["A"] >= 0')
    if function in READY_MADE.values():
        raise ConstraintError(where, "is not called", f"Call it with its arguments ({argument_names(function)})")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Forming a nonconvex expression")  # it becomes an error below
            made = [terms for block in blocks if (terms := _returned(function, block)) is not None]
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
        if not isinstance(term, (Constraint, cp.Expression)):
            raise ConstraintError(
                where,
                f"returned {term!r}, not a CVXPY constraint or penalty",
                "Return a comparison of CVXPY expressions (a constraint), or a scalar expression (a penalty)",
            )
        _check_term(where, term, ids)


def _check_term(where: str, term: Constraint | cp.Expression, ids: set[int]) -> None:
    variables = term.variables()
    own = [x.name() for x in variables if x.id not in ids]
    if own or not variables:
        cause = f"has variables of its own, {', '.join(own)}" if own else f"{term} depends on none of the variables"
        raise ConstraintError(where, cause, "Write it in the variables that it is given, and in constants")
    if not all(np.isfinite(constant.value).all() for constant in term.constants() if constant.value is not None):
        raise ConstraintError(where, f"{term} contains NaN or infinity", "Leave out bounds that are infinite")
    unset = [p.name() for p in term.parameters() if p.value is None]
    if unset:
        raise ConstraintError(where, f"parameter {', '.join(unset)} has no value", "Set its .value first")
    if isinstance(term, cp.Expression) and not term.is_scalar():
        raise ConstraintError(
            where,
            f"returned the expression {term} of shape {term.shape}, and a penalty is one number",
            "Take its cp.sum or a norm, or compare it with a bound to make it a constraint",
        )
    if not (term.is_dcp() if isinstance(term, Constraint) else term.is_convex()):
        raise ConstraintError(
            where,
            f"{term} is not convex by CVXPY's rules: {_why_not_convex(term)}",
            "See www.cvxpy.org/tutorial/dcp",
        )


def _why_not_convex(term: Constraint | cp.Expression) -> str:
    culprit = _neither_convex_nor_concave(term)
    if culprit is not None:
        return f"{culprit} is neither convex nor concave"
    if isinstance(term, cp.Expression):
        return "it is concave, and a penalty is minimised"
    if isinstance(term, cp.constraints.Inequality):
        return "it bounds a convex expression from below, or a concave one from above"
    return "this kind of constraint needs affine expressions"


def _neither_convex_nor_concave(term: Any) -> cp.Expression | None:
    """The innermost expression that breaks the rules, if there is one."""
    if isinstance(term, cp.Expression) and term.is_dcp():
        return None
    inner = next((found for arg in term.args if (found := _neither_convex_nor_concave(arg)) is not None), None)
    return term if inner is None and isinstance(term, cp.Expression) else inner


class _Asked(dict[str, cp.Expression]):
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
        return ConstraintError(where, f"asks for {unknown[0]}, which is no variable", f"Choose from {blocks_in_words}")
    if "X" in asked:
        return ConstraintError(where, "asks for X, which the equilibrium decides", f"Choose from {blocks_in_words}")
    return ConstraintError(
        where,
        f"couples {' and '.join(asked)}, which no single block holds",
        f"One constraint may use {blocks_in_words}, not both",
    )
