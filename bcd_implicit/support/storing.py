"""Functions that pickle cannot store, lambdas and local ones, are stored by value, through joblib's cloudpickle."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import joblib

from bcd_implicit.errors import InvalidInputError


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
            remedy = "Use a function of a module"
            if self.name.startswith("constraint"):
                remedy += ', or a text such as "nonnegative(B)", or save result.model alone'
            raise InvalidInputError(self.name, cause, remedy) from error

    def __copy__(self) -> _ByValue:
        return self

    def __deepcopy__(self, memo: Any) -> _ByValue:
        return self


class KeepsFunctions:
    """For classes with an attribute that holds the user's functions: pickle stores these too."""

    #: The attribute, and what messages call one of the functions.
    _functions: ClassVar[tuple[str, str]] = ("constraints", "constraint")

    def __getstate__(self) -> Any:
        attribute, word = self._functions
        state: Any = super().__getstate__()
        return state | {attribute: _storable(getattr(self, attribute), word)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        attribute = self._functions[0]
        state = state | {attribute: _restored(state[attribute])}
        above = getattr(super(), "__setstate__", vars(self).update)
        above(state)


def _storable(functions: Any, name: str) -> Any:
    """Functions, one or many, in a form that pickle can store; all else as it is.

    Parameters
    ----------
    functions : function, or list, tuple or mapping of functions
    name : str
        What messages call one of them.
    """
    if isinstance(functions, Mapping):
        return {key: _storable(each, f"{name} {key!r}") for key, each in functions.items()}
    if isinstance(functions, (list, tuple)):
        return type(functions)(_storable(each, f"{name} {i}") for i, each in enumerate(functions))
    if not callable(functions):
        return functions
    try:
        pickle.dumps(functions)
    except Exception:  # pickle has several for what it cannot store
        return _ByValue(name, functions)
    return functions


def _restored(functions: Any) -> Any:
    """What :func:`_storable` was given."""
    if isinstance(functions, Mapping):
        return {key: _restored(each) for key, each in functions.items()}
    if isinstance(functions, (list, tuple)):
        return type(functions)(_restored(each) for each in functions)
    return functions.function if isinstance(functions, _ByValue) else functions
