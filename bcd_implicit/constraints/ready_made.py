"""What a ready-made constraint is, and the checks of its arguments."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_list, check_number
from bcd_implicit.support.display import listed
from bcd_implicit.support.formulas import Shown, number, numbers, written
from bcd_implicit.support.scalars import Scalar, as_number

MATRICES = ("A", "B", "C", "D")
LETTERS = (*MATRICES, "b", "d")
# What a bound of zero is meant for.
FOR_ZEROS = "for exact zeros use fixed_entries"


class ReadyMade:
    """A ready-made constraint or penalty: a named function of the CVXPY variables.

    Attributes
    ----------
    name : str
        The function's name and the matrices, such as "box(B)".
    matrices : tuple of str
        The letters of the matrices that it acts on. By default that of the argument ``matrix``, or A if there is none.
    arguments : dict
        The arguments of the call.
    inputs : tuple or None
        The inputs whose columns it acts on, by name or number; None for all of each matrix.
    latex : str
        Its formula, with the values of the arguments; empty if it has none.
    """

    def __init__(
        self,
        made_by: Callable[..., ReadyMade],
        arguments: dict[str, Any],
        pose: Callable[..., Any],
        matrices: tuple[str, ...] | None = None,
        *,
        latex: Callable[..., str] | None = None,
        bounds: tuple[str, ...] = (),
    ) -> None:
        """``pose`` gets the variables and, as keywords, the ``bounds``: arguments that may become parameters.

        ``latex`` gets the letters and the bounds, these in LaTeX. Without it a formula has the name.
        """
        self.made_by, self._pose, self._latex, self._bounds = made_by, pose, latex, bounds
        self.arguments = copy.deepcopy(arguments)  # arrays that change later change no copy of this constraint
        self.matrices = matrices or (arguments.get("matrix", "A"),)
        self.inputs: tuple[Any, ...] | None = self.arguments.get("inputs")
        self._columns = self.inputs
        self.name = f"{made_by.__name__}({', '.join(self.matrices)}{_in_name(self.inputs)})"

    def on(self, input_names: Sequence[str]) -> ReadyMade:
        """The same for a problem with these inputs: names become numbers of columns.

        Raises
        ------
        InvalidInputError
            An input that the problem does not have.
        """
        if self.inputs is None:
            return self
        known: dict[Any, int] = {j: j for j in range(len(input_names))}
        known |= {name: j for j, name in enumerate(input_names)}
        for name in self.inputs:
            if name not in known:
                raise InvalidInputError("inputs", f"no input {name!r}", f"The inputs are {listed(input_names)}")
        other = copy.copy(self)
        other._columns = tuple(known[name] for name in self.inputs)
        return other

    def __call__(self, variables: Mapping[str, cp.Expression]) -> Any:
        """CVXPY constraints, or a scalar expression that is a penalty."""
        return self.posed(variables, as_number)

    def posed(self, variables: Mapping[str, cp.Expression], scalar: Scalar) -> Any:
        """The same, with each single-number bound replaced by ``scalar`` of its argument's name."""
        # Only entries have bounds of either sign.
        signed = {"signed": True} if {"lower", "upper"} & {*self._bounds} else {}
        held = {k: scalar(k, v, **signed) if _single(v) else v for k, v in self._held().items()}
        return self._pose(*(self._part(variables[letter]) for letter in self.matrices), **held)

    def _part(self, X: cp.Expression) -> cp.Expression:
        if self._columns is None:
            return X
        if any(isinstance(column, str) for column in self._columns):
            raise InvalidInputError("inputs", "are names, which only a problem knows", "Pass it to TrainingProblem")
        return X[:, list(self._columns)]

    def formula(self, shown: Shown) -> str:
        """The formula in LaTeX, with each single-number bound replaced by ``shown`` of its argument's name."""
        if self._latex is None:
            return ""
        held = {k: shown(k, v) if _single(v) else _in_latex(v) for k, v in self._held().items()}
        whole = self._latex(*self.matrices, **held)
        if self.inputs is None:
            return whole
        these = "input" if len(self.inputs) == 1 else "inputs"
        return rf"{whole} \text{{ for the {these} }} {written(listed(list(map(str, self.inputs))))}"

    @property
    def latex(self) -> str:
        return self.formula(numbers)

    def _held(self) -> dict[str, Any]:
        return {name: self.arguments[name] for name in self._bounds}

    def __repr__(self) -> str:
        return f"{self.made_by.__name__}({', '.join(f'{k}={short(v)}' for k, v in self.arguments.items())})"

    def __reduce__(self) -> tuple:
        return _made_again, (self.made_by, self.arguments), {"_columns": self._columns}


def _made_again(made_by: Callable[..., ReadyMade], arguments: dict[str, Any]) -> ReadyMade:
    return made_by(**arguments)


def on_inputs(matrix: str, inputs: Sequence[str | int] | None) -> dict[str, Any]:
    """The argument ``inputs`` of a ready-made constraint, checked: one of ``arguments`` where it is given."""
    if inputs is None:
        return {}
    if matrix not in ("B", "D"):
        raise InvalidInputError("inputs", f"{matrix} has no columns of inputs", 'Choose "B" or "D", or omit inputs')
    names = tuple(check_list("inputs", inputs, "names", 'Give a list such as ["age"]'))
    if not names or len(set(names)) < len(names):
        cause = f"names {max(names, key=names.count)!r} twice" if names else "is empty"
        raise InvalidInputError("inputs", cause, "Give each input once, or omit inputs for all of them")
    return {"inputs": names}


def _in_name(inputs: tuple[Any, ...] | None) -> str:
    """Which inputs, in a constraint's name."""
    if inputs is None:
        return ""
    return f": {', '.join(map(str, inputs))}" if len(inputs) <= 3 else f": {len(inputs)} inputs"


def _single(value: Any) -> bool:
    """Whether it is one number, and finite: an infinite bound is none."""
    return value is not None and np.ndim(value) == 0 and math.isfinite(value)


def _in_latex(value: Any) -> str | None:
    if value is None or np.ndim(value) == 0:
        return None
    listed = np.asarray(value)
    return written("bounds") if listed.size > 6 else f"({', '.join(map(number, listed.ravel()))})"


def entry(letter: str) -> str:
    """An entry of a matrix or of an intercept, in LaTeX."""
    return f"{letter}_{{ij}}" if letter in MATRICES else f"{letter}_i"


def short(value: Any) -> str:
    """An argument in few characters, for messages."""
    if np.ndim(value) > 1 or np.size(value) > 6:
        return f"<array of shape {np.shape(value)}>"
    return repr(np.asarray(value).tolist()) if isinstance(value, (np.ndarray, np.generic)) else repr(value)


def as_array(name: str, value: ArrayLike, dtype: type | None = float) -> np.ndarray:
    """A copy as an array, of numbers that are not NaN unless another type is asked for."""
    try:
        array = np.array(value, dtype=dtype)
        # True is 1, and "1" is 1, to NumPy alone.
        if dtype is float and np.asarray(value).dtype.kind in "bUS":
            raise TypeError
    except (TypeError, ValueError):
        raise InvalidInputError(name, "is not a number or an array of numbers", "Give one of these") from None
    if dtype is float and np.isnan(array).any():
        raise InvalidInputError(name, "contains NaN", "Give numbers")
    return array


def fitting(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array broadcast to a matrix's shape, or an error that names both shapes."""
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        cause = f"has shape {array.shape}, which does not fit a matrix of shape {shape}"
        raise InvalidInputError(name, cause, "Give one number, or an array of that shape") from None


def positive(name: str, value: float, remedy: str = f"Give a positive number; {FOR_ZEROS}") -> float:
    """The number if it is positive, or an error that names the argument."""
    return check_number(name, value, 0, boundaries="neither", remedy=remedy)


def positive_each(name: str, value: ArrayLike, remedy: str) -> np.ndarray:
    """One positive number, or a list of them, as an array; or an error that names the argument."""
    numbers = as_array(name, value)
    if numbers.ndim > 1 or not numbers.size:
        raise InvalidInputError(name, f"has shape {numbers.shape}", remedy)
    if not ((numbers > 0) & np.isfinite(numbers)).all():
        raise InvalidInputError(name, "is not positive and finite", remedy)
    return numbers
