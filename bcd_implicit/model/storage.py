"""Models in npz files, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.archives import Member, read_arrays, write_arrays
from bcd_implicit.terms.activations import ACTIVATIONS, Activation, with_parameters

#: The matrices and vectors of a model.
LETTERS = ("A", "B", "b", "C", "D", "d")
REMEDY = "Give an .npz file written by ImplicitModel.save"
_MEMBERS = {
    "A": Member("f8", ("n", "n")),
    "B": Member("f8", ("n", "p")),
    "b": Member("f8", ("n",)),
    "C": Member("f8", ("q", "n")),
    "D": Member("f8", ("q", "p")),
    "d": Member("f8", ("q",)),
    "activation": Member("U"),
    "input_names": Member("U", ("p",)),
    "output_names": Member("U", ("q",)),
}
_FORMAT = "bcd_implicit model 3"
#: The first one was compressed, and otherwise as the second, whose models had no link, and whose activations had no
#: parameter but that of leaky_relu.
_FORMATS = {
    "bcd_implicit model 1": _MEMBERS | {"slope": Member("f8")},
    "bcd_implicit model 2": _MEMBERS | {"slope": Member("f8")},
    _FORMAT: _MEMBERS | {"parameters": Member("U"), "link": Member("U")},
}


def write_model(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    activation: Activation,
    link: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> None:
    """Write a model's arrays, by letter, and what belongs to them; the file appears whole or not at all."""
    rest = {
        "activation": np.array(activation.name),
        "parameters": np.array(json.dumps(activation.parameters)),
        "link": np.array(link),
        "input_names": np.array(input_names),
        "output_names": np.array(output_names),
    }
    write_arrays(path, _FORMAT, {**arrays, **rest})


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`write_model` wrote, as the arguments of :class:`~bcd_implicit.ImplicitModel`.

    Raises
    ------
    InvalidInputError
        No such file, not a model, or one of an activation that is not registered.
    """
    stored = read_arrays(path, _FORMATS, "model file", REMEDY)
    return {
        **{letter: stored[letter] for letter in LETTERS},
        "activation": _activation(path, str(stored["activation"]), stored),
        "link": str(stored.get("link", "identity")),
        "input_names": stored["input_names"].tolist(),
        "output_names": stored["output_names"].tolist(),
    }


def _activation(path: str | os.PathLike[str], name: str, stored: Mapping[str, np.ndarray]) -> Activation:
    if name not in ACTIVATIONS:
        cause = f"holds a model of the activation {name!r}, which is not known here"
        raise InvalidInputError(str(path), cause, "Register it first: bcd_implicit.register_activation")
    return with_parameters(name, _parameters(name, stored))


def _parameters(name: str, stored: Mapping[str, np.ndarray]) -> dict[str, float]:
    if "slope" in stored:
        return {"slope": float(stored["slope"])} if name == "leaky_relu" else {}
    try:
        return {str(key): float(value) for key, value in json.loads(str(stored["parameters"])).items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidInputError("parameters", f"cannot be read ({error!r})") from None
