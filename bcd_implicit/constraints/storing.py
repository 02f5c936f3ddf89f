"""Functions that pickle cannot store, lambdas and local ones, are stored by value, through joblib's cloudpickle."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import joblib

from bcd_implicit.errors import ConstraintError


class _ByValue:
    """Stands for a function while an object is pickled; loading gives the function. Copies keep the very function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    def __reduce__(self) -> Any:
        wrapped = joblib.wrap_non_picklable_objects(self.function, keep_wrapper=False)
        try:
            return wrapped.__reduce__()
        except Exception as error:  # whatever a function may refer to
            cause = f"cannot be stored ({str(error).rstrip('.')})"
            remedy = 'Use a function of a module, or a text such as "nonnegative(B)", or save result.model alone'
            raise ConstraintError(f"constraint {self.name}", cause, remedy) from error

    def __copy__(self) -> _ByValue:
        return self

    def __deepcopy__(self, memo: Any) -> _ByValue:
        return self


def storable(constraints: Any, name: str = "constraints") -> Any:
    """The constraints, one or many, in a form that pickle can store."""
    if isinstance(constraints, Mapping):
        return {key: storable(each, repr(key)) for key, each in constraints.items()}
    if isinstance(constraints, (list, tuple)):
        return type(constraints)(storable(each, f"{name}[{i}]") for i, each in enumerate(constraints))
    if not callable(constraints):
        return constraints
    try:
        pickle.dumps(constraints)
    except Exception:  # pickle has several for what it cannot store
        return _ByValue(name, constraints)
    return constraints


def restored(constraints: Any) -> Any:
    """What :func:`storable` was given."""
    if isinstance(constraints, Mapping):
        return {key: restored(each) for key, each in constraints.items()}
    if isinstance(constraints, (list, tuple)):
        return type(constraints)(restored(each) for each in constraints)
    return constraints.function if isinstance(constraints, _ByValue) else constraints
