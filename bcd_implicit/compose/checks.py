"""The models and matrices that a person passes."""

from __future__ import annotations

from typing import Any

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.operators import is_array, matrix_of


def check_model(name: str, model: Any) -> ImplicitModel:
    """Return the model, or raise an error that names the argument.

    Raises
    ------
    InvalidInputError
        Anything else.
    """
    if not isinstance(model, ImplicitModel):
        raise InvalidInputError(name, f"is {type(model).__name__}, not an ImplicitModel", "Pass a model")
    return model


def check_name(name: Any) -> str:
    """Return the name of a model, or raise an error.

    Raises
    ------
    InvalidInputError
        No text, or an empty one.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidInputError("name", f"must be a text that says something, got {shown(name)}", 'Such as name="pump"')
    return name


def read_matrix(name: str, value: Any, *, column: bool = False) -> Matrix:
    """Return weights as a matrix, or as a column if one is asked for; a vector is a row, or that column.

    Raises
    ------
    InvalidInputError
        A single value, or entries that are no finite numbers.
    """
    if not is_array(value):
        what = "one number for each row" if column else "a matrix"
        raise InvalidInputError(name, f"must be {what}, got {shown(value)}", "Pass an array")
    return matrix_of(name, value, columns=1 if column else None, column=column)
