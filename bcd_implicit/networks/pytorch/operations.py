"""PyTorch's functions and methods on tensors as expressions, by name. PyTorch itself is not imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.pytorch import elementwise, shapes
from bcd_implicit.networks.pytorch.tensors import ONE_SAMPLE, Probabilities, array, axis_of, operand


def linear(input: Node, weight: Any, bias: Any = None) -> Node:
    """torch.nn.functional.linear."""
    return input.linear(np.asarray(array(weight)), array(bias))


def convolution(
    input: Node, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Node:
    """torch.nn.functional.conv1d and conv2d."""
    weight = np.asarray(array(weight))
    convolve: Any = {1: input.conv1d, 2: input.conv2d}[weight.ndim - 2]
    return convolve(weight, array(bias), stride=stride, padding=padding, dilation=dilation, groups=groups)


def batch_norm(
    input: Node,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Node:
    """torch.nn.functional.batch_norm."""
    _refuse_training("batch_norm", training)
    mean, var = np.asarray(array(running_mean)), np.asarray(array(running_var))
    return input.batch_norm(mean, var, array(weight), array(bias), eps)


def dropout(input: Node, p: float = 0.5, training: bool = True, inplace: bool = False) -> Node:
    """torch.nn.functional.dropout."""
    _refuse_training("dropout", training and p > 0)
    return input


def _refuse_training(name: str, training: bool) -> None:
    if training:
        cause = f"{name} is called with training=True"
        raise InvalidInputError("training", cause, "Pass training=self.training, and call module.eval() first")


def average_pool(
    input: Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
) -> Node:
    """torch.nn.functional.avg_pool1d and avg_pool2d."""
    _refuse(ceil_mode=ceil_mode, divisor_override=divisor_override)
    pool = input.avg_pool1d if input.ndim == 2 else input.avg_pool2d
    return pool(kernel_size, stride or None, padding, count_padding=count_include_pad)


def max_pool(
    input: Node,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Node:
    """torch.nn.functional.max_pool1d and max_pool2d."""
    _refuse(ceil_mode=ceil_mode, return_indices=return_indices)
    pool = input.max_pool1d if input.ndim == 2 else input.max_pool2d
    return pool(kernel_size, stride or None, padding, dilation)


def adaptive_average_pool(input: Node, output_size: Any) -> Node:
    """torch.nn.functional.adaptive_avg_pool1d and adaptive_avg_pool2d."""
    n_axes = input.ndim - 1
    sizes = output_size if isinstance(output_size, (tuple, list)) else [output_size] * n_axes
    # None leaves an axis as it is.
    return input.adaptive_avg_pool([n if k is None else k for k, n in zip(sizes, input.shape[1:], strict=True)])


def _refuse(**options: Any) -> None:
    for name, value in options.items():
        if value:
            raise InvalidInputError(name, f"{value!r} has no counterpart", "Leave it out")


def softmax(input: Node, dim: int | None = None, *_: Any, **__: Any) -> Probabilities:
    """The softmax over all values of a sample, or its logarithm."""
    if input.ndim != 1 or dim not in (None, 1, -1):
        cause = f"{dim} of the shape {input.shape}: a softmax is supported only over all outputs of a sample"
        raise InvalidInputError("dim", cause, "Omit it, or flatten first")
    return Probabilities(input)


def _arithmetic(operation: Callable[[Any, Any], Node]) -> Callable[..., Node]:
    def operate(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Node:
        if out is not None:
            raise InvalidInputError("out", "has no counterpart", "Leave it out")
        node = input if isinstance(input, Node) else other
        first, second = operand(node, input), operand(node, other)
        return operation(first, second if alpha == 1 else second * alpha)

    return operate


def product(input: Any, other: Any) -> Node:
    """The product x @ W with numbers W of shape (features in, features out) or (features in,)."""
    if not isinstance(input, Node) or not isinstance(other, np.ndarray) or other.ndim not in (1, 2):
        what = "is supported only as x @ W, with x computed from the input and W a constant matrix or vector"
        raise InvalidInputError("product", what, "Use * for products of each value")
    return input @ other


def mean(input: Node, dim: Any = None, keepdim: bool = False) -> Node:
    """The mean along axes."""
    axes = _axes(input, dim)
    return total(input, dim, keepdim) / float(np.prod([input.shape[axis] for axis in axes]))


def total(input: Node, dim: Any = None, keepdim: bool = False) -> Node:
    """The sum along axes."""
    node, axes = input, _axes(input, dim)
    for axis in axes:
        order = [*(k for k in range(node.ndim) if k != axis), axis]
        summed = node.transpose(*order).linear(np.ones((1, node.shape[axis])))
        node = summed.reshape(tuple(1 if k == axis else n for k, n in enumerate(node.shape)))
    return node if keepdim else node.reshape(tuple(n for k, n in enumerate(node.shape) if k not in axes))


def _axes(node: Node, dim: Any) -> list[int]:
    if dim is None:
        raise InvalidInputError("dim", "None adds up samples", ONE_SAMPLE)
    return [axis_of(node, d) for d in (dim if isinstance(dim, (tuple, list)) else [dim])]


#: By name, for functions, methods and operators alike.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "conv1d": convolution,
    "conv2d": convolution,
    "batch_norm": batch_norm,
    "dropout": dropout,
    "avg_pool1d": average_pool,
    "avg_pool2d": average_pool,
    "max_pool1d": max_pool,
    "max_pool2d": max_pool,
    "adaptive_avg_pool1d": adaptive_average_pool,
    "adaptive_avg_pool2d": adaptive_average_pool,
    "relu": elementwise.relu,
    "relu6": elementwise.relu6,
    "leaky_relu": elementwise.leaky_relu,
    "tanh": elementwise.tanh,
    "sigmoid": elementwise.sigmoid,
    "softplus": elementwise.softplus,
    "elu": elementwise.elu,
    "hardtanh": elementwise.hardtanh,
    "softsign": elementwise.softsign,
    "softshrink": elementwise.softshrink,
    "silu": elementwise.silu,
    "abs": elementwise.absolute,
    "square": elementwise.square,
    "pow": elementwise.power,
    "clamp": elementwise.clamp,
    "clip": elementwise.clamp,
    "clamp_min": elementwise.clamp_min,
    "clamp_max": elementwise.clamp_max,
    "maximum": elementwise.maximum,
    "minimum": elementwise.minimum,
    "softmax": softmax,
    "log_softmax": softmax,
    "add": _arithmetic(lambda a, b: a + b),
    "iadd": _arithmetic(lambda a, b: a + b),
    "sub": _arithmetic(lambda a, b: a - b),
    "mul": _arithmetic(lambda a, b: a * b),
    "imul": _arithmetic(lambda a, b: a * b),
    "div": _arithmetic(lambda a, b: a / b),
    "truediv": _arithmetic(lambda a, b: a / b),
    "isub": _arithmetic(lambda a, b: a - b),
    "itruediv": _arithmetic(lambda a, b: a / b),
    "matmul": product,
    "mm": product,
    "neg": lambda input: -input,
    "mean": mean,
    "sum": total,
    "flatten": shapes.flatten,
    "reshape": shapes.reshape,
    "view": shapes.reshape,
    "permute": shapes.permute,
    "transpose": shapes.transpose,
    "squeeze": shapes.squeeze,
    "unsqueeze": shapes.unsqueeze,
    "size": shapes.size,
    "getattr": shapes.attribute,
    "getitem": shapes.item,
    "chunk": shapes.chunk,
    "split": shapes.split,
    "cat": shapes.join,
    "concat": shapes.join,
    "concatenate": shapes.join,
    "stack": shapes.stack,
    "t": shapes.turned,
    "contiguous": shapes.same,
    "clone": shapes.same,
    "double": shapes.same,
}
