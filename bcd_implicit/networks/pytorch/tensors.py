"""What stands for a tensor: a node, numbers, or what only certain operations take.

A node has no axis of samples, a tensor has it first: axis 1 of a tensor is axis 0 of its node. Where a shape is asked
for, samples are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.node import Node

ONE_SAMPLE = "Let samples stay apart, along the first axis"


@dataclass(frozen=True)
class Probabilities:
    """The softmax of a node, or its logarithm: no function of each value, so that only a network's end can be one."""

    node: Node


class Layers(list):
    """The last outputs of a recurrent module's layers: a tensor whose axis of samples is the second."""


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
    return np.asarray(tensor.detach().cpu().double().numpy() if hasattr(tensor, "detach") else tensor, dtype=float)


def axis_of(node: Node, dim: int) -> int:
    """The axis of a node that is axis ``dim`` of its tensor.

    Raises
    ------
    InvalidInputError
        The axis of samples.
    """
    axis = dim - 1 if dim > 0 else dim + node.ndim
    if not 0 <= axis < node.ndim:
        raise InvalidInputError("dim", f"{dim} is the axis of samples, or none of {node.ndim + 1}", ONE_SAMPLE)
    return axis


def operand(node: Node, other: Any) -> Any:
    """What is added to a node or multiplied with it: a node, or numbers without the axis of samples."""
    if isinstance(other, Node):
        return other
    if isinstance(other, (Probabilities, Layers)):
        raise InvalidInputError("operand", f"is {type(other).__name__}", "Nothing is computed from these")
    numbers = np.asarray(array(other))
    if numbers.ndim > node.ndim:
        if numbers.shape[0] != 1 or numbers.ndim != node.ndim + 1:
            raise InvalidInputError("operand", f"has the shape {numbers.shape}, with an axis of samples", ONE_SAMPLE)
        return numbers[0]
    return numbers
