"""What stands for a tensor: a node, numbers, or what only certain operations take.

A node has no axis of samples, a tensor has it first: axis 1 of a tensor is axis 0 of its node. If a shape is asked
for, samples are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.node import Node
from bcd_implicit.support.arrays import array_of

ONE_SAMPLE = "Keep samples separate, along the first axis"


@dataclass(frozen=True)
class Probabilities:
    """The softmax of a node, or its logarithm: no function of each value, so that only a network's end can be one."""

    node: Node


class Layers(list):
    """The last outputs of a recurrent module's layers: a tensor whose axis of samples is the second."""


class Cells:
    """The cell states of an LSTM, which no states of the model are."""


# What is said where these are computed with, and what to take instead.
WHOLE: dict[type, tuple[str, str, str]] = {
    Probabilities: ("softmax", "is not the last step", "Only the last layer of a network can be a softmax"),
    Layers: (
        "hidden states",
        "of a recurrent layer do not have samples along their first axis",
        "Take the outputs, [0], or the last layer's state alone: [1][0][-1] of an LSTM, [1][-1] of others",
    ),
    Cells: ("cell states", "of an LSTM have no counterpart", "Take its hidden state, [1][0][-1], or its outputs, [0]"),
}


def refuse_whole(arguments: Iterable[Any], taken: tuple[type, ...] = ()) -> None:
    """Raise an error if a step is called with what stands for no tensor.

    Parameters
    ----------
    arguments : iterable
        What it is called with; what tuples and lists hold counts.
    taken : tuple of type
        What it does take.

    Raises
    ------
    InvalidInputError
        A softmax that is not the last step, or states of a recurrent layer as a whole.
    """
    for argument in arguments:
        if isinstance(argument, tuple(WHOLE)):
            if not isinstance(argument, taken):
                raise InvalidInputError(*WHOLE[type(argument)])
        elif isinstance(argument, (tuple, list)):
            refuse_whole(argument, taken)


def array(tensor: Any) -> np.ndarray | None:
    """The numbers of a tensor in double precision; None stays None.

    Raises
    ------
    InvalidInputError
        Complex numbers.
    """
    if tensor is None:
        return None
    if hasattr(tensor, "is_complex") and tensor.is_complex():
        raise InvalidInputError("tensor", f"is of {tensor.dtype}", "Complex numbers have no counterpart: use real ones")
    return np.asarray(array_of("tensor", tensor), dtype=float)


def axis_of(node: Node, dim: int) -> int:
    """The axis of a node that is axis ``dim`` of its tensor.

    Raises
    ------
    InvalidInputError
        The axis of samples.
    """
    axis = dim - 1 if dim > 0 else dim + node.ndim
    if not 0 <= axis < node.ndim:
        raise InvalidInputError(
            "dim", f"{dim} is the axis of samples, or not one of the {node.ndim + 1} axes", ONE_SAMPLE
        )
    return axis


def operand(node: Node, other: Any) -> Any:
    """What is added to a node or multiplied with it: a node, or numbers without the axis of samples."""
    if isinstance(other, Node):
        return other
    numbers = np.asarray(array(other))
    if numbers.ndim > node.ndim:
        if numbers.shape[0] != 1 or numbers.ndim != node.ndim + 1:
            raise InvalidInputError("operand", f"has shape {numbers.shape}, with an axis of samples", ONE_SAMPLE)
        return numbers[0]
    return numbers
