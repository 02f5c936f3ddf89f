"""Ready-made constraints on single entries: signs, boxes, known values.

``matrix`` is the letter of what is constrained: "A" (n, n), "B" (n, p), "b" (n,), "C" (q, n), "D" (q, p) or "d" (q,).
Arguments are checked by the call, and against the problem's shapes by :class:`~bcd_implicit.TrainingProblem`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.constraints.ready_made import LETTERS, ReadyMade, as_array, entry, fitting, on_inputs, short
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_list
from bcd_implicit.support.formulas import number


def nonnegative(matrix: str, inputs: Sequence[str | int] | None = None) -> ReadyMade:
    """Every entry is at least 0.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    inputs : sequence of str or int, optional
        Only the columns of these inputs, by name or number; for "B" and "D".

    Raises
    ------
    InvalidInputError
        An unknown matrix, or inputs for a matrix that has no column for each input.
    """
    check_choice("matrix", matrix, LETTERS)
    arguments = {"matrix": matrix, **on_inputs(matrix, inputs)}
    return ReadyMade(nonnegative, arguments, lambda X: X >= 0, latex=lambda X: rf"{entry(X)} \ge 0")


def nonpositive(matrix: str, inputs: Sequence[str | int] | None = None) -> ReadyMade:
    """Every entry is at most 0.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    inputs : sequence of str or int, optional
        Only the columns of these inputs, by name or number; for "B" and "D".

    Raises
    ------
    InvalidInputError
        An unknown matrix, or inputs for a matrix that has no column for each input.
    """
    check_choice("matrix", matrix, LETTERS)
    arguments = {"matrix": matrix, **on_inputs(matrix, inputs)}
    return ReadyMade(nonpositive, arguments, lambda X: X <= 0, latex=lambda X: rf"{entry(X)} \le 0")


def monotone(increasing: Sequence[str | int] = (), decreasing: Sequence[str | int] = ()) -> list[ReadyMade]:
    """No output decreases where one of the increasing inputs rises, and none increases where a decreasing one does.

    The condition is sufficient, not necessary: A >= 0 and C >= 0, and the columns of B and D are nonnegative for each
    increasing input and nonpositive for each decreasing one. Because phi does not decrease, Picard's iteration then
    keeps the order of states, and so do the equilibria.

    Parameters
    ----------
    increasing, decreasing : sequence of str or int
        Inputs, by name or number; at least one.

    Returns
    -------
    list of ReadyMade
        To pass as ``constraints``, alone or in a list with others.

    Raises
    ------
    InvalidInputError
        No input, or one that is named twice.

    Examples
    --------
    >>> import bcd_implicit as bi
    >>> [constraint.name for constraint in bi.constraints.monotone(["dose"])]
    ['nonnegative(A)', 'nonnegative(C)', 'nonnegative(B: dose)', 'nonnegative(D: dose)']
    """
    for argument, inputs in (("increasing", increasing), ("decreasing", decreasing)):
        check_list(argument, inputs, "names", 'Give a list such as ["age"]')
    if not (inputs := [*increasing, *decreasing]):
        raise InvalidInputError("increasing", "and decreasing are empty", "Name at least one input")
    on_inputs("B", inputs)  # each once
    made = [nonnegative("A"), nonnegative("C")]
    for sign, some in ((nonnegative, increasing), (nonpositive, decreasing)):
        made += [sign(matrix, some) for matrix in ("B", "D")] if len(some) else []
    return made


def box(
    matrix: str,
    lower: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    inputs: Sequence[str | int] | None = None,
) -> ReadyMade:
    """Every entry lies between ``lower`` and ``upper``.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    lower, upper : float or array that fits the matrix, optional
        None or infinite means no bound; at least one is needed. Dual values come in this order. If some bounds are
        infinite, they are those of the finite bounds only, row by row.
    inputs : sequence of str or int, optional
        Only the columns of these inputs, by name or number; for "B" and "D". Arrays of bounds fit these columns.

    Raises
    ------
    InvalidInputError
        An unknown matrix, no bound at all, NaN, or a lower bound above the upper one.
    """
    check_choice("matrix", matrix, LETTERS)
    low = as_array("lower", -np.inf if lower is None else lower)
    high = as_array("upper", np.inf if upper is None else upper)
    if (low == np.inf).any() or (high == -np.inf).any():
        raise InvalidInputError("lower", "is inf, or upper -inf, which no entry can meet", "Exchange their signs")
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        raise InvalidInputError("lower", "and upper are missing or infinite", "Give at least one finite bound")
    try:
        crossed = bool((low > high).any())
    except ValueError:
        raise InvalidInputError(
            "lower", f"has shape {low.shape}, upper {high.shape}", "Give arrays of the matrix's shape, or numbers"
        ) from None
    if crossed:
        raise InvalidInputError("lower", "is above upper", "Exchange them")

    def pose(X: cp.Expression, lower: Any, upper: Any) -> list[cp.Constraint]:
        made = []
        for name, posed, bound, compare in (
            ("lower", lower, low, operator.ge),
            ("upper", upper, high, operator.le),
        ):
            if isinstance(posed, cp.Parameter):
                made.append(compare(X, posed))
                continue
            bounds = fitting(name, bound, X.shape)
            finite = np.isfinite(bounds)
            if finite.all():
                made.append(compare(X, bounds))
            elif finite.any():
                made.append(compare(X[finite], bounds[finite]))
        return made

    def latex(X: str, lower: str | None, upper: str | None) -> str:
        below, above = f"{lower} \\le " if lower else "", f" \\le {upper}" if upper else ""
        return f"{below}{entry(X)}{above}"

    arguments = {"matrix": matrix, "lower": lower, "upper": upper, **on_inputs(matrix, inputs)}
    return ReadyMade(box, arguments, pose, latex=latex, bounds=("lower", "upper"))


def fixed_entries(matrix: str, mask: ArrayLike, values: ArrayLike = 0.0) -> ReadyMade:
    """Fix some entries at given values.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    mask : array of bool, of the matrix's shape
        True for the entries that are fixed. Dual values come row by row.
    values : float or array that fits the matrix
        Only the values where the mask is True are used.

    Raises
    ------
    InvalidInputError
        An unknown matrix, a mask that is not of booleans or has no True, values that are not finite or do not fit.
    """
    check_choice("matrix", matrix, LETTERS)
    fixed = as_array("mask", mask, None)
    if fixed.dtype != bool or not fixed.ndim or not fixed.any():
        cause = "has no True" if fixed.dtype == bool and fixed.ndim else f"is not an array of booleans ({short(mask)})"
        raise InvalidInputError("mask", cause, "Give an array of the matrix's shape, True where an entry is fixed")
    try:
        known = np.broadcast_to(np.array(values, dtype=float), fixed.shape)[fixed]
    except (TypeError, ValueError):
        raise InvalidInputError("values", f"do not fit the mask's shape {fixed.shape}", "Give one an entry") from None
    if not np.isfinite(known).all():
        raise InvalidInputError("values", "are not finite where the mask is True", "Give finite numbers")

    def pose(X: cp.Expression) -> cp.Constraint:
        if fixed.shape != X.shape:
            cause = f"has shape {fixed.shape}, and {matrix} has {X.shape}"
            raise InvalidInputError("mask", cause, "Give an array of the matrix's shape")
        return X[fixed] == known

    def latex(X: str) -> str:
        value = number(known[0]) if np.ptp(known) == 0 else r"\text{known values}"
        return rf"{entry(X)} = {value} \text{{ for {fixed.sum()} of {fixed.size} entries}}"

    return ReadyMade(fixed_entries, {"matrix": matrix, "mask": mask, "values": values}, pose, latex=latex)
