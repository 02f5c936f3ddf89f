"""Models in npz files, without pickle."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.files import write_atomically
from bcd_implicit.terms.activations import Activation, LeakyRelu

#: The matrices and vectors of a model.
LETTERS = ("A", "B", "b", "C", "D", "d")
_FORMAT = "bcd_implicit model 1"
_ZIP_START = b"PK\x03\x04"


def write_model(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    activation: Activation,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> None:
    """Write a model's arrays, by letter, and what belongs to them; the file appears whole or not at all."""
    slope = activation.slope if isinstance(activation, LeakyRelu) else np.nan
    write_atomically(
        path,
        lambda file: np.savez_compressed(
            file,
            format=np.array(_FORMAT),
            activation=np.array(activation.name),
            slope=np.array(slope),
            input_names=np.array(input_names),
            output_names=np.array(output_names),
            **arrays,  # type: ignore[arg-type]  # mypy takes them for allow_pickle
        ),
    )


def read_model(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`write_model` wrote, as the arguments of :class:`~bcd_implicit.ImplicitModel`.

    Raises
    ------
    InvalidInputError
        No such file, or not a model.
    """
    advice = "Give an .npz file written by ImplicitModel.save"
    try:
        with open(path, "rb") as file:
            # np.load would take a lone array too, and of any other file say that pickles are forbidden.
            if file.read(4) != _ZIP_START:
                raise InvalidInputError(str(path), "is not a model file", advice)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                stored = dict(archive)
    except FileNotFoundError:
        raise InvalidInputError(str(path), "no such file", "Check the path") from None
    # What zipfile, zlib and NumPy say of damaged archives; NotImplementedError is for unknown compressions.
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        # The one raised above is a ValueError as well.
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(str(path), f"is damaged or not a model file ({error})", advice) from None
    missing = {"format", "activation", "slope", "input_names", "output_names", *LETTERS} - stored.keys()
    if missing:
        raise InvalidInputError(str(path), f"is not a model file (it lacks {', '.join(sorted(missing))})", advice)
    if str(stored["format"]) != _FORMAT:
        raise InvalidInputError(
            str(path), f"has format {str(stored['format'])!r}, {_FORMAT!r} needed", "Use the version that wrote it"
        )
    # The other activations have no parameters.
    name = str(stored["activation"])
    return {
        **{letter: stored[letter] for letter in LETTERS},
        "activation": LeakyRelu(float(stored["slope"])) if name == "leaky_relu" else name,
        "input_names": [str(s) for s in stored["input_names"]],
        "output_names": [str(s) for s in stored["output_names"]],
    }
