"""Models in npz files, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.archives import Member, read_arrays, write_arrays
from bcd_implicit.terms.activations import ACTIVATIONS
from bcd_implicit.terms.block_activation import BlockActivation
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import FUNCTIONS, function_with_parameters

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
_FORMAT = "bcd_implicit model 4"
_MATRICES = {"A": ("n", "n"), "B": ("n", "p"), "C": ("q", "n"), "D": ("q", "p")}
_VECTORS = {name: _MEMBERS[name] for name in ("input_names", "output_names", "b", "d")}
_ROWS = ("data", "indices", "starts")
#: A matrix is there as it is, or as its rows in SciPy's CSR format.
_SPARSE = {
    f"{letter}_{part}": Member(dtype, (length,), optional=True)
    for letter, (rows, _) in _MATRICES.items()
    for part, dtype, length in (
        (_ROWS[0], "f8", f"nnz of {letter}"),
        (_ROWS[1], "i8", f"nnz of {letter}"),
        (_ROWS[2], "i8", f"{rows} + 1"),
    )
}
#: The first one was compressed, and otherwise as the second, whose models had no link, and whose activations had no
#: parameter but that of leaky_relu. The third had one activation for all states, and dense matrices.
_FORMATS = {
    "bcd_implicit model 1": _MEMBERS | {"slope": Member("f8")},
    "bcd_implicit model 2": _MEMBERS | {"slope": Member("f8")},
    "bcd_implicit model 3": _MEMBERS | {"parameters": Member("U"), "link": Member("U")},
    _FORMAT: {
        **_VECTORS,
        **{letter: Member("f8", shape, optional=True) for letter, shape in _MATRICES.items()},
        **_SPARSE,
        "activations": Member("U", ("blocks",)),
        "parameters": Member("U", ("blocks",)),
        "sizes": Member("i8", ("blocks",)),
        "link": Member("U"),
        # There for a model that predicts a vector.
        "vector_output": Member("i8", optional=True),
    },
}


def write_model(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Any],
    activation: ElementwiseFunction,
    link: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    vector_output: bool = False,
) -> None:
    """Write a model's arrays, by letter, and what belongs to them; the file appears whole or not at all."""
    whole = [(activation, arrays["A"].shape[0])]
    blocks = activation.blocks if isinstance(activation, BlockActivation) else whole
    rest = {
        "activations": np.array([function.name for function, _ in blocks]),
        "parameters": np.array([json.dumps(function.parameters) for function, _ in blocks]),
        "sizes": np.array([size for _, size in blocks]),
        "link": np.array(link),
        "input_names": np.array(input_names),
        "output_names": np.array(output_names),
        **({"vector_output": np.array(1)} if vector_output else {}),
    }
    parts: dict[str, np.ndarray] = {}
    for letter, array in arrays.items():
        if sp.issparse(array):
            rows = (array.data, array.indices.astype(np.int64), array.indptr.astype(np.int64))
            parts |= {f"{letter}_{part}": of for part, of in zip(_ROWS, rows, strict=True)}
        else:
            parts[letter] = array
    write_arrays(path, _FORMAT, {**parts, **rest})


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`write_model` wrote, as the arguments of :class:`~bcd_implicit.ImplicitModel`.

    Raises
    ------
    InvalidInputError
        No such file, not a model, or one of a function that is not registered.
    """
    stored = read_arrays(path, _FORMATS, "model file", REMEDY)
    if "activations" in stored:
        lengths = {"n": len(stored["b"]), "p": len(stored["input_names"]), "q": len(stored["d"])}
        shapes = {letter: (lengths[rows], lengths[columns]) for letter, (rows, columns) in _MATRICES.items()}
        matrices = {letter: _matrix(letter, stored, shape) for letter, shape in shapes.items()}
        parts = zip(*(stored[name].tolist() for name in ("activations", "parameters", "sizes")), strict=True)
        activation: Any = [(_function(path, name, _parameters(text)), size) for name, text, size in parts]
    else:
        matrices = {letter: stored[letter] for letter in _MATRICES}
        name = str(stored["activation"])
        if "slope" in stored:
            parameters = {"slope": float(stored["slope"])} if name == "leaky_relu" else {}
        else:
            parameters = _parameters(str(stored["parameters"]))
        activation = _function(path, name, parameters)
    return {
        **matrices,
        "b": stored["b"],
        "d": stored["d"],
        "activation": activation,
        "link": str(stored.get("link", "identity")),
        "input_names": stored["input_names"].tolist(),
        "output_names": stored["output_names"].tolist(),
        "vector_output": bool(stored.get("vector_output", False)),
    }


def _matrix(letter: str, stored: Mapping[str, np.ndarray], shape: tuple[int, int]) -> Any:
    """A matrix that is stored in either way.

    Raises
    ------
    InvalidInputError
        It is there in none, in both, or the rows are not those of a matrix of this shape.
    """
    rows = [stored.get(f"{letter}_{part}") for part in _ROWS]
    whole = stored.get(letter)
    if (whole is None) == (rows[0] is None) or any((part is None) != (rows[0] is None) for part in rows):
        raise InvalidInputError(letter, "is missing, or not stored in one of the two ways", REMEDY)
    if whole is not None:
        return whole
    try:
        matrix = sp.csr_array((rows[0], rows[1], rows[2]), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, IndexError, OverflowError) as error:
        raise InvalidInputError(letter, f"cannot be read ({error})", REMEDY) from None
    return matrix


def _function(path: str | os.PathLike[str], name: str, parameters: Mapping[str, float]) -> ElementwiseFunction:
    if name not in ACTIVATIONS and name not in FUNCTIONS:
        cause = f"holds a model of the activation {name!r}, which is not registered"
        remedy = (
            "Register it first: bcd_implicit.register_activation; or put it into bcd_implicit.terms.functions.FUNCTIONS"
        )
        raise InvalidInputError(str(path), cause, remedy)
    return function_with_parameters(name, parameters)


def _parameters(text: str) -> dict[str, float]:
    try:
        return {str(key): float(value) for key, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidInputError("parameters", f"cannot be read ({error!r})") from None
