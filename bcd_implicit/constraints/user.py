"""A user's own functions of the block's CVXPY variables: their names, what they return, and whether it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bcd_implicit.constraints.ready_made import ReadyMade
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.formulas import Shown
from bcd_implicit.support.scalars import Scalar, as_number

UserFunction = Callable[[Mapping[str, "cp.Expression"]], Any]


class AbsentVariable(Exception):
    """A function asked for a variable that the block does not hold."""


class BlockVariables(dict[str, "cp.Expression"]):
    """The variables of one block; asking for one of another block is noticed."""

    def __missing__(self, name: str) -> cp.Expression:
        raise AbsentVariable(name)


@dataclass(frozen=True)
class UserTerms:
    """What the functions make of some variables, by the functions' names."""

    constraints: dict[str, list[cp.Constraint]]
    penalties: dict[str, cp.Expression]

    def __bool__(self) -> bool:
        return bool(self.constraints or self.penalties)

    @property
    def all_constraints(self) -> list[cp.Constraint]:
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


def _dual_value(constraint: cp.Constraint) -> Any:
    value = constraint.dual_value
    return [np.asarray(part) for part in value] if isinstance(value, list) else np.asarray(value)


def user_terms(
    functions: Mapping[str, UserFunction], variables: BlockVariables, scalar: Scalar = as_number
) -> UserTerms:
    """Constraints and penalties of the functions that these variables suffice for.

    The bounds of ready-made ones are what ``scalar`` makes of them, under names such as "box(B).lower".
    """
    constraints: dict[str, list[cp.Constraint]] = {}
    penalties: dict[str, cp.Expression] = {}
    for name, function in functions.items():
        made = returned(_with_bounds(function, partial(_named_bound, scalar, name)), variables) or []
        if constraining := [term for term in made if isinstance(term, cp.Constraint)]:
            constraints[name] = constraining
        if penalising := [term for term in made if isinstance(term, cp.Expression)]:
            penalties[name] = cp.sum([cp.sum(term) for term in penalising])  # sums of one: shapes (1, 1) become ()
    return UserTerms(constraints, penalties)


def _named_bound(scalar: Scalar, function: str, argument: str, value: float, **signs: bool) -> Any:
    return scalar(f"{function}.{argument}", value, **signs)


def _with_bounds(function: UserFunction, scalar: Scalar) -> UserFunction:
    """The function with its bounds as ``scalar`` gives them, where it is a ready-made one."""
    if not isinstance(function, (ReadyMade, OnInputs)):
        return function
    return lambda variables: function.posed(variables, scalar)


def terms_at(functions: Mapping[str, UserFunction], point: Any, letters: Iterable[str]) -> UserTerms:
    """The terms on some letters with a point's arrays in the place of variables, so that all have values."""
    if not functions:
        return UserTerms({}, {})
    return user_terms(functions, BlockVariables({k: cp.Constant(getattr(point, k)) for k in letters}))


def returned(function: UserFunction, variables: Mapping[str, cp.Expression]) -> list[Any] | None:
    """What a function returns, as a list, or None when it asks for other variables."""
    try:
        made = function(variables)
    except AbsentVariable:
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
        return self.function(self._embedded(v))

    def formula(self, shown: Shown) -> str:
        """That of the function, where it has one."""
        return self.function.formula(shown) if isinstance(self.function, (ReadyMade, OnInputs)) else ""

    def posed(self, v: Mapping[str, cp.Expression], scalar: Scalar) -> Any:
        """The same with bounds as ``scalar`` gives them."""
        return _with_bounds(self.function, scalar)(self._embedded(v))

    def _embedded(self, v: Mapping[str, cp.Expression]) -> BlockVariables:
        embed = np.eye(len(self.inputs))[self.inputs]
        return BlockVariables({k: x @ embed if k in ("B", "D") else x for k, x in v.items()})
