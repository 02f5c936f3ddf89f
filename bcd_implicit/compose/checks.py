"""The models that a person passes."""

from __future__ import annotations

from typing import Any

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel


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
