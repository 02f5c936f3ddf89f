"""Models in npz files, without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bcd_implicit.support.archives import Member, read_arrays, write_arrays
from bcd_implicit.terms.activations import Activation, LeakyRelu

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
    "slope": Member("f8"),
    "input_names": Member("U", ("p",)),
    "output_names": Member("U", ("q",)),
}
_FORMAT = "bcd_implicit model 2"
#: The first one was compressed, and otherwise the same.
_FORMATS = {"bcd_implicit model 1": _MEMBERS, _FORMAT: _MEMBERS}


def write_model(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    activation: Activation,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> None:
    """Write a model's arrays, by letter, and what belongs to them; the file appears whole or not at all."""
    rest = {
        "activation": np.array(activation.name),
        "slope": np.array(activation.slope if isinstance(activation, LeakyRelu) else np.nan),
        "input_names": np.array(input_names),
        "output_names": np.array(output_names),
    }
    write_arrays(path, _FORMAT, {**arrays, **rest})


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`write_model` wrote, as the arguments of :class:`~bcd_implicit.ImplicitModel`.

    Raises
    ------
    InvalidInputError
        No such file, or not a model.
    """
    stored = read_arrays(path, _FORMATS, "model file", REMEDY)
    # The other activations have no parameters.
    name = str(stored["activation"])
    return {
        **{letter: stored[letter] for letter in LETTERS},
        "activation": LeakyRelu(float(stored["slope"])) if name == "leaky_relu" else name,
        "input_names": stored["input_names"].tolist(),
        "output_names": stored["output_names"].tolist(),
    }
