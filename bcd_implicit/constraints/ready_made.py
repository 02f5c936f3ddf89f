"""Ready-made constraints and penalties, each one call: ``constraints=[nonnegative("B"), banded("A", 1, 1)]``.

``matrix`` is the letter of what is constrained: "A" (n, n), "B" (n, p), "b" (n,), "C" (q, n), "D" (q, p) or "d" (q,).
Arguments are checked by the call, and against the problem's shapes by :class:`~bcd_implicit.TrainingProblem`.
"""

from __future__ import annotations

import ast
import copy
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.data import check_number
from bcd_implicit.errors import InvalidInputError, check_choice

MATRICES = ("A", "B", "C", "D")
LETTERS = (*MATRICES, "b", "d")
NORMS: dict[str, Any] = {"1": 1, "2": 2, "inf": "inf"}


class ReadyMade:
    """What the calls of this module return: a function of the variables that has a name.

    Attributes
    ----------
    name : str
        The call and the matrix, such as "box(B)".
    matrix : str
    arguments : dict
        Those of the call.
    """

    def __init__(
        self, made_by: Callable[..., ReadyMade], arguments: dict[str, Any], pose: Callable[[cp.Expression], Any]
    ) -> None:
        self.made_by, self._pose = made_by, pose
        self.arguments = copy.deepcopy(arguments)  # arrays that change later change no copy of this constraint
        self.matrix: str = arguments.get("matrix", "A")
        self.name = f"{made_by.__name__}({self.matrix})"

    def __call__(self, variables: Mapping[str, cp.Expression]) -> Any:
        """CVXPY constraints, or a scalar expression that is a penalty."""
        return self._pose(variables[self.matrix])

    def __repr__(self) -> str:
        return f"{self.made_by.__name__}({', '.join(f'{k}={_short(v)}' for k, v in self.arguments.items())})"

    def __reduce__(self) -> tuple:
        return _made_again, (self.made_by, self.arguments)


def _made_again(made_by: Callable[..., ReadyMade], arguments: dict[str, Any]) -> ReadyMade:
    return made_by(**arguments)


def _short(value: Any) -> str:
    if np.ndim(value) > 1 or np.size(value) > 6:
        return f"<array of shape {np.shape(value)}>"
    return repr(np.asarray(value).tolist()) if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def _array(name: str, value: ArrayLike, dtype: type | None = float) -> np.ndarray:
    """A copy as an array, of numbers that are not NaN unless another type is asked for."""
    try:
        array = np.array(value, dtype=dtype)
    except (TypeError, ValueError):
        raise InvalidInputError(name, "is not a number or an array of numbers", "Give one of these") from None
    if dtype is float and np.isnan(array).any():
        raise InvalidInputError(name, "contains NaN", "Give numbers")
    return array


def _fitting(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"{name} has shape {array.shape}, which does not fit a matrix of shape {shape}") from None


def _positive(name: str, value: float) -> float:
    remedy = "Give a positive number; for exact zeros use fixed_entries"
    return check_number(name, value, 0, boundaries="neither", remedy=remedy)


def nonnegative(matrix: str) -> ReadyMade:
    """Every entry is at least 0.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}

    Raises
    ------
    InvalidInputError
        An unknown matrix.
    """
    check_choice("matrix", matrix, LETTERS)
    return ReadyMade(nonnegative, {"matrix": matrix}, lambda X: X >= 0)


def nonpositive(matrix: str) -> ReadyMade:
    """Every entry is at most 0.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}

    Raises
    ------
    InvalidInputError
        An unknown matrix.
    """
    check_choice("matrix", matrix, LETTERS)
    return ReadyMade(nonpositive, {"matrix": matrix}, lambda X: X <= 0)


def box(matrix: str, lower: ArrayLike | None = None, upper: ArrayLike | None = None) -> ReadyMade:
    """Every entry lies between ``lower`` and ``upper``.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    lower, upper : float or array that fits the matrix, optional
        Absent or infinite where there is no bound; one of them is needed. Dual values come in this order, of the
        finite bounds alone where some are infinite (row by row).

    Raises
    ------
    InvalidInputError
        An unknown matrix, no bound at all, NaN, or a lower bound above the upper one.
    """
    check_choice("matrix", matrix, LETTERS)
    low = _array("lower", -np.inf if lower is None else lower)
    high = _array("upper", np.inf if upper is None else upper)
    if (low == np.inf).any() or (high == -np.inf).any():
        raise InvalidInputError("lower", "is inf, or upper -inf, which no entry can meet", "Exchange their signs")
    if not (np.isfinite(low).any() or np.isfinite(high).any()):
        raise InvalidInputError("lower", "and upper are absent or infinite", "Give at least one finite bound")
    try:
        crossed = bool((low > high).any())
    except ValueError:
        raise InvalidInputError(
            "lower", f"has shape {low.shape}, upper {high.shape}", "Give arrays of the matrix's shape, or numbers"
        ) from None
    if crossed:
        raise InvalidInputError("lower", "is above upper", "Exchange them")

    def pose(X: cp.Expression) -> list[cp.Constraint]:
        made = []
        for name, bound, compare in (("lower", low, operator.ge), ("upper", high, operator.le)):
            bounds = _fitting(name, bound, X.shape)
            finite = np.isfinite(bounds)
            if finite.all():
                made.append(compare(X, bounds))
            elif finite.any():
                made.append(compare(X[finite], bounds[finite]))
        return made

    return ReadyMade(box, {"matrix": matrix, "lower": lower, "upper": upper}, pose)


def fixed_entries(matrix: str, mask: ArrayLike, values: ArrayLike = 0.0) -> ReadyMade:
    """Some entries are known.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    mask : array of bool, of the matrix's shape
        True where an entry is fixed. Dual values come in its order, row by row.
    values : float or array that fits the matrix
        Read where the mask is True.

    Raises
    ------
    InvalidInputError
        An unknown matrix, a mask that is not of booleans or has no True, values that are not finite or do not fit.
    """
    check_choice("matrix", matrix, LETTERS)
    fixed = _array("mask", mask, None)
    if fixed.dtype != bool or not fixed.ndim or not fixed.any():
        cause = "has no True" if fixed.dtype == bool and fixed.ndim else f"is not an array of booleans ({_short(mask)})"
        raise InvalidInputError("mask", cause, "Give an array of the matrix's shape, True where an entry is fixed")
    try:
        known = np.broadcast_to(np.array(values, dtype=float), fixed.shape)[fixed]
    except (TypeError, ValueError):
        raise InvalidInputError("values", f"do not fit the mask's shape {fixed.shape}", "Give one an entry") from None
    if not np.isfinite(known).all():
        raise InvalidInputError("values", "are not finite where the mask is True", "Give finite numbers")

    def pose(X: cp.Expression) -> cp.Constraint:
        if fixed.shape != X.shape:
            raise ValueError(f"mask has shape {fixed.shape}, {matrix} has {X.shape}")
        return X[fixed] == known

    return ReadyMade(fixed_entries, {"matrix": matrix, "mask": mask, "values": values}, pose)


def _zero_where(X: cp.Expression, mask: np.ndarray) -> list[cp.Constraint]:
    return [X[mask] == 0] if mask.any() else []


def banded(matrix: str = "A", lower: int = 1, upper: int = 1) -> ReadyMade:
    """Entries more than ``lower`` places below or ``upper`` above the diagonal are zero.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    lower, upper : int
        Number of diagonals kept below and above the main one.

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bandwidth that is no whole number from 0 on.
    """
    check_choice("matrix", matrix, MATRICES)
    for name, width in (("lower", lower), ("upper", upper)):
        check_number(name, width, 0, integer=True, remedy="Give 0 or more diagonals")

    def pose(X: cp.Expression) -> list[cp.Constraint]:
        rows, columns = np.indices(X.shape)
        return _zero_where(X, (rows - columns > lower) | (columns - rows > upper))

    return ReadyMade(banded, {"matrix": matrix, "lower": lower, "upper": upper}, pose)


def feedforward(layer_sizes: Sequence[int]) -> ReadyMade:
    """A is strictly upper block-triangular: a feedforward network, whose states are its layers.

    The state is x = (x_L, ..., x_1), the last layer first (arXiv 1908.06315, the section on feedforward networks), so
    a layer sees those that come before it, and every layer may see the inputs. Picard's iteration ends after L steps.
    The model would be well-posed without the norm bound, which stays in force all the same.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of states in layers 1 to L, from the inputs on; their sum is ``n_hidden``.

    Raises
    ------
    InvalidInputError
        Sizes that are no whole numbers from 1 on.
    """
    if not isinstance(layer_sizes, (list, tuple, np.ndarray)) or not len(layer_sizes):
        raise InvalidInputError("layer_sizes", f"is {_short(layer_sizes)}", "Give a list of sizes such as [4, 3]")
    sizes = [check_number("layer_sizes", s, 1, integer=True, remedy="Give whole sizes") for s in layer_sizes]
    layer = np.repeat(np.arange(len(sizes)), sizes)[::-1]

    def pose(A: cp.Expression) -> list[cp.Constraint]:
        if len(layer) != A.shape[0]:
            raise ValueError(f"layer_sizes sum to {len(layer)}, n_hidden is {A.shape[0]}")
        return _zero_where(A, layer[:, None] <= layer)

    return ReadyMade(feedforward, {"layer_sizes": layer_sizes}, pose)


def symmetric(matrix: str = "A") -> ReadyMade:
    """The matrix, which must be square, equals its transpose.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}

    Raises
    ------
    InvalidInputError
        An unknown matrix.
    """
    check_choice("matrix", matrix, MATRICES)

    def pose(X: cp.Expression) -> list[cp.Constraint]:
        if X.shape[0] != X.shape[1]:
            raise ValueError(f"{matrix} has shape {X.shape}, which is not square")
        i, j = np.triu_indices(X.shape[0], 1)
        return [X[i, j] == X[j, i]] if len(i) else []

    return ReadyMade(symmetric, {"matrix": matrix}, pose)


def l1_bound(matrix: str, bound: float) -> ReadyMade:
    """The sum of the absolute values of all entries is at most ``bound``: few entries are not zero.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, LETTERS)
    _positive("bound", bound)
    return ReadyMade(l1_bound, {"matrix": matrix, "bound": bound}, lambda X: cp.sum(cp.abs(X)) <= bound)


def l1_penalty(matrix: str, weight: float) -> ReadyMade:
    """The objective gains ``weight`` times the sum of the absolute values of all entries.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    weight : float >= 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a negative weight.
    """
    check_choice("matrix", matrix, LETTERS)
    check_number("weight", weight, 0, remedy="Give 0 or more")
    return ReadyMade(l1_penalty, {"matrix": matrix, "weight": weight}, lambda X: weight * cp.sum(cp.abs(X)))


def nuclear_norm_bound(matrix: str, bound: float) -> ReadyMade:
    """The sum of the singular values is at most ``bound``: low rank. Its blocks need CLARABEL or SCS.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, MATRICES)
    _positive("bound", bound)
    return ReadyMade(nuclear_norm_bound, {"matrix": matrix, "bound": bound}, lambda X: cp.normNuc(X) <= bound)


def spectral_norm_bound(matrix: str, bound: float) -> ReadyMade:
    """The largest singular value is at most ``bound``. Its blocks need CLARABEL or SCS.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, MATRICES)
    _positive("bound", bound)
    return ReadyMade(spectral_norm_bound, {"matrix": matrix, "bound": bound}, lambda X: cp.sigma_max(X) <= bound)


def row_norm_bound(matrix: str, bound: ArrayLike, norm: float | str = 2) -> ReadyMade:
    """The norm of each row is at most ``bound``.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0, or one for each row
    norm : {1, 2, "inf"}

    Raises
    ------
    InvalidInputError
        An unknown matrix or norm, or a bound that is not positive and finite.
    """
    return _line_norm_bound(row_norm_bound, matrix, bound, norm, axis=1)


def column_norm_bound(matrix: str, bound: ArrayLike, norm: float | str = 2) -> ReadyMade:
    """The norm of each column is at most ``bound``.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0, or one for each column
    norm : {1, 2, "inf"}

    Raises
    ------
    InvalidInputError
        An unknown matrix or norm, or a bound that is not positive and finite.
    """
    return _line_norm_bound(column_norm_bound, matrix, bound, norm, axis=0)


def _line_norm_bound(
    made_by: Callable[..., ReadyMade], matrix: str, bound: ArrayLike, norm: float | str, axis: int
) -> ReadyMade:
    check_choice("matrix", matrix, MATRICES)
    p = NORMS[check_choice("norm", f"{norm:g}" if isinstance(norm, (int, float)) else norm, NORMS)]
    bounds = _array("bound", bound)
    if not ((bounds > 0) & np.isfinite(bounds)).all():
        raise InvalidInputError("bound", "is not positive and finite", "For exact zeros use fixed_entries")

    def pose(X: cp.Expression) -> cp.Constraint:
        n_lines = X.shape[1 - axis]
        if bounds.shape not in ((), (n_lines,)):
            raise ValueError(f"bound has shape {bounds.shape}, {matrix} has {n_lines} {('columns', 'rows')[axis]}")
        return cp.norm(X, p, axis=axis) <= bounds

    return ReadyMade(made_by, {"matrix": matrix, "bound": bound, "norm": norm}, pose)


def convex_state() -> ReadyMade:
    """lambda_max(A + A') <= 1, which makes the state block convex. Blocks in A then need CLARABEL or SCS.

    The block's Hessian M = fenchel_weight (I - A - A') + C'C is then positive semidefinite, and the block needs no
    proximal term, for piecewise-linear activations. For tanh and sigmoid g's curvature of at least 1 makes it convex
    as well, but CVXPY knows their g only as a whole, and a proximal term stays.
    """
    return ReadyMade(convex_state, {}, lambda A: cp.lambda_max(A + A.T) <= 1)


READY_MADE: dict[str, Callable[..., ReadyMade]] = {
    call.__name__: call
    for call in (
        banded, box, column_norm_bound, convex_state, feedforward, l1_bound, l1_penalty, fixed_entries, nonnegative,
        nonpositive, nuclear_norm_bound, row_norm_bound, spectral_norm_bound, symmetric,
    )
}  # fmt: skip


def argument_names(made_by: Callable[..., ReadyMade]) -> str:
    """The names of the arguments of a ready-made constraint, for messages."""
    return ", ".join(inspect.signature(made_by).parameters)


def from_text(text: str) -> ReadyMade:
    """The ready-made constraint that a text such as "box(B, lower=0, upper=0.5)" stands for. Nothing is evaluated.

    Raises
    ------
    InvalidInputError
        Not a call of a ready-made constraint with letters, numbers and lists.
    """

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.UnaryOp) and ast.unparse(node) == "-inf":
            return -np.inf
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f"{ast.unparse(node)} is no letter, number or list") from None

    known = f"Write one of {', '.join(READY_MADE)} with its arguments, such as nonnegative(B)"
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in READY_MADE:
            raise ValueError("no ready-made constraint")
        known = f"Its arguments are {argument_names(READY_MADE[call.func.id])}"
        named: dict[Any, Any] = {k.arg: value(k.value) for k in call.keywords}
        return READY_MADE[call.func.id](*map(value, call.args), **named)
    except InvalidInputError as error:
        raise InvalidInputError(f"constraint {text}", f"{error.argument}: {error.cause}", error.remedy) from None
    except (SyntaxError, ValueError, TypeError) as error:
        cause = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidInputError(f"constraint {text}", f"cannot be read ({cause})", known) from None
