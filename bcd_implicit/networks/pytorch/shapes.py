"""PyTorch's ways to another shape as expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.expression import concatenate
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.pytorch.tensors import ONE_SAMPLE, Layers, axis_of


def flatten(input: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    """Axes from one to another become one."""
    first, last = axis_of(input, start_dim), axis_of(input, end_dim)
    return input.reshape(*input.shape[:first], -1, *input.shape[last + 1 :])


def reshape(input: Node, *shape: Any) -> Node:
    """Another shape, whose first length is that of samples."""
    lengths = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    try:
        wanted = np.empty((1, *input.shape), dtype=bool).reshape(lengths).shape
    except (TypeError, ValueError):
        raise InvalidInputError("shape", f"{lengths} does not hold the values of {(1, *input.shape)}") from None
    if not wanted or wanted[0] != 1:
        raise InvalidInputError("shape", f"{lengths} of {('samples', *input.shape)} mixes samples", ONE_SAMPLE)
    return input.reshape(wanted[1:])


def permute(input: Node, *dims: Any) -> Node:
    """Axes in another order."""
    order = tuple(dims[0]) if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    if len(order) != input.ndim + 1 or order[0] not in (0, -input.ndim - 1):
        raise InvalidInputError("dims", f"{order} do not keep the axis of samples first", ONE_SAMPLE)
    return input.transpose(*(axis_of(input, dim) for dim in order[1:]))


def transpose(input: Node, dim0: int, dim1: int) -> Node:
    """Two axes change places."""
    order = list(range(input.ndim))
    first, second = axis_of(input, dim0), axis_of(input, dim1)
    order[first], order[second] = second, first
    return input.transpose(*order)


def squeeze(input: Node | Layers, dim: Any = None) -> Node:
    """Axes of length 1 go."""
    if isinstance(input, Layers):
        if dim != 0 or len(input) != 1:
            raise InvalidInputError(
                "dim", f"{dim} of {len(input)} layers' last outputs", "Take the last layer's by [-1]"
            )
        return input[0]
    if dim is None:
        return input.reshape(tuple(n for n in input.shape if n != 1))
    axes = [axis_of(input, d) for d in (dim if isinstance(dim, (tuple, list)) else [dim])]
    return input.reshape(tuple(n for k, n in enumerate(input.shape) if k not in axes or n != 1))


def unsqueeze(input: Node, dim: int) -> Node:
    """A new axis of length 1."""
    place = dim - 1 if dim > 0 else dim + input.ndim + 1
    if not 0 <= place <= input.ndim:
        raise InvalidInputError("dim", f"{dim} is the axis of samples, or does not exist", ONE_SAMPLE)
    return input.reshape(*input.shape[:place], 1, *input.shape[place:])


def size(input: Node, dim: int | None = None) -> Any:
    """The lengths of the axes, samples counted as one."""
    lengths = (1, *input.shape)
    return lengths if dim is None else lengths[dim]


def attribute(input: Any, name: str) -> Any:
    """``shape`` and ``ndim`` of a tensor, and ``T`` of a constant one."""
    if name == "T" and isinstance(input, np.ndarray):
        return input.T
    if not isinstance(input, Node) or name not in ("shape", "ndim"):
        raise InvalidInputError(name, f"of a {type(input).__name__} has no counterpart")
    return size(input) if name == "shape" else input.ndim + 1


def item(input: Any, key: Any) -> Any:
    """Slices of a tensor, or an entry of a tuple."""
    if not isinstance(input, Node):
        if isinstance(input, Layers) and not isinstance(key, int):
            raise InvalidInputError("index", f"{key!r} of layers' last outputs", "Take the last layer's by [-1]")
        return input[key]
    keys = key if isinstance(key, tuple) else (key,)
    if keys[0] is Ellipsis:
        if sum(k is not None for k in keys[1:]) > input.ndim:
            raise InvalidInputError("index", f"{key!r} reaches the axis of samples", ONE_SAMPLE)
        return input[keys]
    if keys[0] != slice(None):
        raise InvalidInputError("index", f"{key!r} chooses among samples", ONE_SAMPLE)
    return input[keys[1:]]


def join(tensors: Sequence[Node], dim: int = 0) -> Node:
    """Tensors one behind the other along an axis."""
    return concatenate(tensors, axis_of(tensors[0], dim))


def stack(tensors: Sequence[Node], dim: int = 0) -> Node:
    """Tensors side by side along a new axis."""
    return join([unsqueeze(tensor, dim) for tensor in tensors], dim)


def turned(input: Any) -> np.ndarray:
    """Rows of a constant matrix as columns."""
    if not isinstance(input, np.ndarray):
        raise InvalidInputError("t", "would reorder samples", ONE_SAMPLE)
    return input.T


def same(input: Node, *_: Any, **__: Any) -> Node:
    """What changes no values."""
    return input


def chunk(input: Node, chunks: int, dim: int = 0) -> tuple[Node, ...]:
    """Parts of the same length along an axis, the last one perhaps shorter."""
    axis = axis_of(input, dim)
    length = -(-input.shape[axis] // chunks)
    return split(input, length, dim)


def split(input: Node, split_size: Any, dim: int = 0) -> tuple[Node, ...]:
    """Parts along an axis, of one length or of several."""
    axis = axis_of(input, dim)
    n = input.shape[axis]
    ends = (
        np.cumsum(split_size)
        if isinstance(split_size, (tuple, list))
        else np.arange(split_size, n + split_size, split_size)
    )
    starts = [0, *ends[:-1]]
    before = (slice(None),) * axis
    return tuple(input[(*before, slice(int(i), int(j)))] for i, j in zip(starts, ends, strict=True))
