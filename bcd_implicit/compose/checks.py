"""The models and matrices that a person passes."""

from __future__ import annotations

from typing import Any

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.operators import is_array


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
        raise InvalidInputError("name", f"must be a text that is not empty, got {shown(name)}", 'Such as name="pump"')
    return name


def check_array(name: str, value: Any, what: str) -> Any:
    """Return the array, or raise an error that says what it should be.

    Raises
    ------
    InvalidInputError
        A single value.
    """
    if not is_array(value):
        raise InvalidInputError(name, f"must be {what}, got {shown(value)}", "Pass an array")
    return value
