"""The operators of models: ``g @ f``, ``f + g``, ``f | g``, ``f & g``, ``f * g`` and their kin give one model.

``bi.compose`` has the same as functions of any number of models, and what is no operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model import algebra, pruning
from bcd_implicit.model.algebra import System
from bcd_implicit.model.declared import Declared
from bcd_implicit.model.matrices import Matrix, check_part, check_weights, n_nonzero
from bcd_implicit.model.names import BY_ORDER, Names, labels_of, own, places
from bcd_implicit.support.checks import check_number
from bcd_implicit.terms.functions import get_function

NUMBERS = (int, float, np.integer, np.floating)
THE_MODEL = "the model has"
ARRAYS = (np.ndarray, pd.Series, pd.DataFrame)


class Operators(Declared):
    """Operators that combine models; :class:`~bcd_implicit.ImplicitModel` inherits them.

    Operators act on predictions, on the scale given by ``link``. ``g @ f`` keeps the link of g; ``M @ f`` and ``f * g``
    have none; the others require parts with the same link, and keep it.
    """

    # NumPy and pandas leave operators between their arrays and a model to the model.
    __array_ufunc__ = None
    __pandas_priority__ = 5000

    @property
    def _system(self) -> System:
        """The parts, without states if all matrices of the only one are zero, as those of an affine map are."""
        if len(self.b) == 1 and not any(map(n_nonzero, (self.A, self.B, self.C))):
            system = algebra.affine(self.D, self.d)
        else:
            blocks = algebra.blocks_of(self.activation, len(self.b))
            system = System(self.A, self.B, self.b, self.C, self.D, self.d, blocks)
            system = replace(system, parts=self._parts) if self._parts else system.as_part()
        input_names, output_names = own(self.input_names, "u"), own(self.output_names, "y")
        return replace(
            system,
            link=self.link,
            input_names=input_names,
            output_names=output_names,
            vector_output=self.vector_output,
        )

    @classmethod
    def _of(cls, system: System) -> Self:
        """The model of these parts; one without states gets one that is 0 and that nothing reads."""
        if not system.n_states:
            q, p = system.D.shape
            zero, blocks = np.zeros(1), [(get_function("identity"), 1)]
            system = replace(system, A=np.zeros((1, 1)), B=np.zeros((1, p)), b=zero, C=np.zeros((q, 1)), blocks=blocks)
        make: Callable[..., Self] = cls
        model = make(
            *(getattr(system, letter) for letter in ("A", "B", "b", "C", "D", "d")),
            system.blocks,
            link=system.link,
            input_names=system.input_names,
            output_names=system.output_names,
            vector_output=system.vector_output,
        )
        model._parts = system.parts
        return model

    def __matmul__(self, other: Any) -> Self:
        """``self @ other``: this model on the predictions of another, or on ``N u`` for an array N of shape (p, k)."""
        if isinstance(other, Operators):
            return self._of(algebra.cascade(other._system, self._system))
        if not is_array(other):
            return NotImplemented
        system = self._system
        return self._of(algebra.cascade(affine_of("N", other, outputs=system.inputs, column=True), system))

    def __rmatmul__(self, other: Any) -> Self:
        """``M @ self``: the outputs M y, for an array M of shape (k, q)."""
        if not is_array(other):
            return NotImplemented
        system = self._system
        return self._of(algebra.cascade(system, affine_of("M", other, inputs=system.outputs)))

    def __add__(self, other: Any) -> Self:
        """``self + other``: the sum of two models on the same inputs, or this one with its outputs moved."""
        if isinstance(other, Operators):
            return self._of(algebra.total([self._system, other._system]))
        if not _is_number_or_array(other):
            return NotImplemented
        return self._of(replace(self._system, d=self.d + self._for_outputs("c", other)))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Self:
        """``self - other``."""
        if isinstance(other, Operators):
            return self + -other
        if not _is_number_or_array(other):
            return NotImplemented
        return self + -self._for_outputs("c", other)

    def __rsub__(self, other: Any) -> Self:
        """``c - self``."""
        return NotImplemented if not _is_number_or_array(other) else -self + other

    def __neg__(self) -> Self:
        return self * -1.0

    def __mul__(self, other: Any) -> Self:
        """``self * other``: outputs times those of another model on the same inputs, or times numbers.

        Products of models are differences of squares, ``((y1 + y2)^2 - (y1 - y2)^2) / 4``, and as accurate as these:
        to about 1e-16 (y1^2 + y2^2). Bring factors of different size to the same one first.
        """
        if isinstance(other, Operators):
            return self._of(algebra.product(self._system, other._system))
        if not _is_number_or_array(other):
            return NotImplemented
        return self._of(algebra.multiplied(self._system, self._for_outputs("factors", other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Self:
        """``self / c``, for a number or one for each output."""
        if not _is_number_or_array(other):
            return NotImplemented
        divisors = self._for_outputs("divisors", other)
        if not divisors.all():
            raise InvalidInputError("divisors", "contain 0", "Divide by other numbers")
        return self * (1 / divisors)

    def __or__(self, other: Any) -> Self:
        """``self | other``: both on the same inputs, outputs side by side."""
        return (
            self._of(algebra.stack([self._system, other._system])) if isinstance(other, Operators) else NotImplemented
        )

    def __and__(self, other: Any) -> Self:
        """``self & other``: each on its own inputs, inputs and outputs side by side."""
        if not isinstance(other, Operators):
            return NotImplemented
        return self._of(algebra.parallel([self._system, other._system]))

    def feedback(self, K: Any) -> Self:
        """The model on u = w + K y, where w are the new inputs and y its own predictions.

        Parameters
        ----------
        K : array of shape (p, q), sparse or not, or float, or ImplicitModel
            A number means that multiple of the identity. A model of q inputs and p outputs feeds back its predictions
            of y. Labels of a data frame are matched by name.

        Returns
        -------
        ImplicitModel
            ``structure().reason`` says whether it is well-posed and, if not, which parts the states of the cycle belong
            to. :func:`~bcd_implicit.compose.small_gain` explains this by the two gains.

        Raises
        ------
        InvalidInputError
            K has a wrong shape or wrong names, or makes I - DK singular, so that outputs are not determined.
        """
        system = self._system
        (p, _), (q, _) = system.inputs, system.outputs
        if isinstance(K, Operators):
            return self._of(algebra.feedback_through(system, K._system))
        if not is_array(K) and not isinstance(K, NUMBERS):
            raise InvalidInputError("K", f"must be a matrix, a number or a model, got {shown(K)}", "Pass one of these")
        if isinstance(K, NUMBERS):
            if p != q:
                cause = f"is a number, but there are {p} inputs and {q} outputs"
                raise InvalidInputError("K", cause, f"Give an array of shape ({p}, {q})")
            K = check_number("K", K) * np.eye(p)
        return self._of(algebra.feedback(system, affine_of("K", K, system.outputs, system.inputs).D))

    def pruned(self) -> Self:
        """The model without states that predictions do not need. Predictions stay the same, up to rounding.

        States that no output depends on are removed. States that depend on no input and no cycle are constants, and are
        added to b and d. States that are equal for all inputs are merged, in the largest groups that exact equality of
        weights proves. Inputs and outputs do not change. :func:`~bcd_implicit.compose.pruning` lists the states that
        were removed.

        Raises
        ------
        NotWellPosedError
            The model has no certified equilibrium, and so no predictions to keep.
        """
        self.structure().check()
        return self._of(pruning.pruned(self._system)[0])

    def _for_outputs(self, name: str, value: Any) -> np.ndarray:
        """A number for each output, from one for all, or from as many."""
        q = len(self.d)
        value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
        if isinstance(value, NUMBERS):
            return np.full(q, check_number(name, value))
        numbers = check_weights(name, value)
        if numbers.shape != (q, 1):
            cause = f"has shape {np.shape(value)}, ({q},) needed"
            raise InvalidInputError(name, cause, "Give one number, or one for each output; matrices go with M @ f")
        labels = _labels(value, column=True)[0]
        order = places(
            self._system.outputs, (q, labels), (THE_MODEL, f"labels of {name} are"), "outputs", name, BY_ORDER
        )
        return numbers[:, 0] if order is None else numbers[order, 0]


def matrix_of(
    name: str, value: Any, *, rows: int | None = None, columns: int | None = None, column: bool = False
) -> Matrix:
    """A matrix of so many rows and columns; a vector is a row, or a column if one is asked for.

    Raises
    ------
    InvalidInputError
        Another shape, or entries that are no numbers.
    """
    matrix = check_part(name, value)
    if not sp.issparse(value) and np.ndim(value) == 1 and not column:
        matrix = matrix.T
    if (rows or matrix.shape[0]) != matrix.shape[0] or (columns or matrix.shape[1]) != matrix.shape[1]:
        needed = f"({rows or 'any'}, {columns or 'any'})"
        raise InvalidInputError(
            name, f"has shape {np.shape(value)}, {needed} needed", "Its sizes are numbers of inputs and outputs"
        )
    return matrix


def affine_of(
    name: str,
    value: Any,
    inputs: tuple[int, Names] | None = None,
    outputs: tuple[int, Names] | None = None,
    *,
    column: bool = False,
) -> System:
    """The system y = M u of a matrix that a person gives; a data frame's labels name what it takes and gives.

    Parameters
    ----------
    name, value, column
        As for :func:`matrix_of`.
    inputs, outputs : (int, list of str or None), optional
        Outputs of a model that the columns have to stand for, and inputs that the rows have to: they are brought into
        the model's order.

    Raises
    ------
    InvalidInputError
        Another shape, other names, or entries that are no numbers.
    """
    height, width = (side and side[0] for side in (outputs, inputs))
    M = matrix_of(name, value, rows=height, columns=width, column=column)
    rows, columns = _labels(value, column)
    system = replace(algebra.affine(M, np.zeros(M.shape[0])), input_names=columns, output_names=rows)
    if outputs is not None:
        order = places(outputs, system.outputs, (THE_MODEL, f"rows of {name} are"), "inputs", name, BY_ORDER)
        system = replace(system.with_outputs(order), output_names=None)
    if inputs is not None:
        order = places(inputs, system.inputs, (THE_MODEL, f"columns of {name} are"), "outputs", name, BY_ORDER)
        system = replace(system.with_inputs(order), input_names=None)
    return system


def _labels(value: Any, column: bool) -> tuple[Names, Names]:
    """The names of rows and columns; a series is a row, or a column."""
    if isinstance(value, pd.DataFrame):
        return labels_of(value.index), labels_of(value.columns)
    names = labels_of(value.index) if isinstance(value, pd.Series) else None
    return (names, None) if column else (None, names)


def is_array(value: Any) -> bool:
    """Whether it is an array, a list or a table rather than a single value."""
    # Not the number of dimensions of a list: of rows of different lengths there is none.
    return sp.issparse(value) or isinstance(value, (list, tuple)) or (isinstance(value, ARRAYS) and value.ndim > 0)


def _is_number_or_array(value: Any) -> bool:
    return (isinstance(value, (*NUMBERS, np.ndarray)) and not isinstance(value, bool)) or is_array(value)
