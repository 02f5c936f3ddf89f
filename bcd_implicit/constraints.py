"""A user's own constraints: functions from the block's CVXPY variables to CVXPY constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from bcd_implicit.errors import ConstraintError

UserConstraint = Callable[[Mapping[str, cp.Expression]], Any]


class _Absent(Exception):
    pass


class BlockVariables(dict[str, cp.Expression]):
    """The variables of one block; asking for one of another block is noticed."""

    def __missing__(self, name: str) -> cp.Expression:
        raise _Absent(name)


def apply_constraint(constraint: UserConstraint, variables: BlockVariables) -> list[cp.Constraint] | None:
    """The CVXPY constraints on these variables, or None when the function asks for other variables."""
    try:
        made = constraint(variables)
    except _Absent:
        return None
    return list(made) if isinstance(made, (list, tuple)) else [made]


def on_inputs(constraint: UserConstraint, inputs: np.ndarray) -> UserConstraint:
    """The constraint for a problem that keeps some inputs only: it still sees B and D with all p columns.

    Parameters
    ----------
    constraint : function
    inputs : ndarray of bool, shape (p,)
        The inputs kept; the other columns of B and D are zero.
    """
    embed = np.eye(len(inputs))[inputs]

    def embedded(v: Mapping[str, cp.Expression]) -> Any:
        return constraint(BlockVariables({k: x @ embed if k in ("B", "D") else x for k, x in v.items()}))

    return embedded


def check_constraints(
    constraints: Sequence[UserConstraint] | None,
    shapes: Mapping[str, tuple[int, ...]],
    block_letters: Sequence[tuple[str, ...]],
) -> tuple[UserConstraint, ...]:
    """Try each function on variables of the problem's shapes; returns them as a tuple.

    ``block_letters`` are the variables that share a block. X is in none: Picard, not a constraint, decides the state.

    Raises
    ------
    ConstraintError
        A function that is no function, fails, fits no block (unknown names, or variables of two blocks),
        returns no CVXPY constraint, or returns one that is not convex.
    """
    if callable(constraints):
        raise ConstraintError("constraints", "is a function", "Pass a list of functions")
    blocks = [BlockVariables({k: cp.Variable(shapes[k], name=k) for k in names}) for names in block_letters]
    checked = tuple(constraints or ())
    for i, constraint in enumerate(checked):
        _check_constraint(f"constraints[{i}]", constraint, blocks)
    return checked


def _check_constraint(where: str, constraint: UserConstraint, blocks: list[BlockVariables]) -> None:
    if not callable(constraint):
        kind = type(constraint).__name__
        raise ConstraintError(where, f"is a {kind}", 'Pass a function such as lambda v: v["A"] >= 0')
    try:
        made = [c for c in (apply_constraint(constraint, variables) for variables in blocks) if c is not None]
    except Exception as error:  # whatever a person's own function may raise
        raise ConstraintError(
            where, f"failed: {type(error).__name__}: {error}", "It gets the block's CVXPY variables by name"
        ) from error
    if not made:
        raise ConstraintError(
            where,
            "asks for variables that no single block holds",
            "One constraint may use " + ", or ".join(", ".join(block) for block in blocks) + ", not both",
        )
    for c in (c for listed in made for c in listed):
        if not isinstance(c, cp.constraints.constraint.Constraint):
            raise ConstraintError(
                where, f"returned {c!r}, not a CVXPY constraint", "Return a comparison of CVXPY expressions"
            )
        if not c.is_dcp():
            raise ConstraintError(where, f"{c} is not convex by CVXPY's rules", "See www.cvxpy.org/tutorial/dcp")
