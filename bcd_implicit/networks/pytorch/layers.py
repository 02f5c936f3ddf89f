"""PyTorch's layers as expressions, by the name of their class. PyTorch itself is not imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.pytorch import elementwise, operations, shapes
from bcd_implicit.networks.pytorch.tensors import Cells, Layers, Probabilities, array, axis_of
from bcd_implicit.networks.recurrent import gru, lstm, rnn

Layer = Callable[[Node, Any], Any]
RECURRENT = {"RNN": rnn, "LSTM": lstm, "GRU": gru}


def _refuse(layer: Any, **supported: Any) -> None:
    """Raise an error that names an option of a layer which is set to anything but this."""
    for option, value in supported.items():
        if getattr(layer, option, value) != value:
            cause = f"{getattr(layer, option)!r} of {type(layer).__name__} has no counterpart"
            raise InvalidInputError(option, cause, f"Use {option}={value!r}")


def _linear(node: Node, layer: Any) -> Node:
    return operations.linear(node, layer.weight, layer.bias)


def _convolution(node: Node, layer: Any) -> Node:
    _refuse(layer, padding_mode="zeros")
    options = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return operations.convolution(node, layer.weight, layer.bias, *options)


def _batch_norm(node: Node, layer: Any) -> Node:
    if layer.running_mean is None:
        cause = "normalises by the statistics of the batch, not those of one sample"
        raise InvalidInputError("track_running_stats", cause, "Use track_running_stats=True")
    parts = (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    return operations.batch_norm(node, *parts, eps=layer.eps)


def _flatten(node: Node, layer: Any) -> Node:
    return shapes.flatten(node, layer.start_dim, layer.end_dim)


def _unflatten(node: Node, layer: Any) -> Node:
    axis = axis_of(node, layer.dim)
    return node.reshape(*node.shape[:axis], *layer.unflattened_size, *node.shape[axis + 1 :])


def _average(node: Node, layer: Any) -> Node:
    _refuse(layer, divisor_override=None)
    options = (layer.kernel_size, layer.stride, layer.padding)
    return operations.average_pool(node, *options, layer.ceil_mode, layer.count_include_pad)


def _largest(node: Node, layer: Any) -> Node:
    options = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return operations.max_pool(node, *options, ceil_mode=layer.ceil_mode, return_indices=layer.return_indices)


def _recurrent(node: Node, layer: Any) -> tuple[Node, Any]:
    """All outputs, and the last ones of each layer; an LSTM's cells are not to be had."""
    kind = type(layer).__name__
    _refuse(layer, bidirectional=False, proj_size=0)
    if not layer.batch_first:
        raise InvalidInputError("batch_first", f"False of {kind} has no counterpart", "Use batch_first=True")
    options = {"activation": layer.nonlinearity} if kind == "RNN" else {}
    last = []
    for k in range(layer.num_layers):
        names = [f"weight_ih_l{k}", f"weight_hh_l{k}", f"bias_ih_l{k}", f"bias_hh_l{k}"]
        weights = [array(getattr(layer, name, None)) for name in names]
        node = RECURRENT[kind](node, *weights, **options)  # type: ignore[arg-type]
        last.append(node[-1])
    states = Layers(last)
    return (node, (states, Cells())) if kind == "LSTM" else (node, states)


def _same(node: Node, layer: Any) -> Node:
    return node


def _softmax(node: Node, layer: Any) -> Probabilities:
    return operations.softmax(node, layer.dim)


def _elementwise(operation: Callable[..., Node], *options: str) -> Layer:
    """A layer that is a function of each value, with these of its attributes as arguments."""
    return lambda node, layer: operation(node, *(getattr(layer, option) for option in options))


def _prelu(node: Node, layer: Any) -> Node:
    slope = np.asarray(array(layer.weight))
    if len(slope) > 1:
        slope = slope.reshape(-1, *(1,) * (node.ndim - 1))
    return node.activate("relu") - (-node).activate("relu") * slope


#: By the name of a class in ``torch.nn``.
LAYERS: dict[str, Layer] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "AvgPool1d": _average,
    "AvgPool2d": _average,
    "AdaptiveAvgPool1d": _elementwise(operations.adaptive_average_pool, "output_size"),
    "AdaptiveAvgPool2d": _elementwise(operations.adaptive_average_pool, "output_size"),
    "MaxPool1d": _largest,
    "MaxPool2d": _largest,
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "RNN": _recurrent,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "Identity": _same,
    "Dropout": _same,
    "Dropout1d": _same,
    "Dropout2d": _same,
    "AlphaDropout": _same,
    "ReLU": _elementwise(elementwise.relu),
    "ReLU6": _elementwise(elementwise.relu6),
    "LeakyReLU": _elementwise(elementwise.leaky_relu, "negative_slope"),
    "PReLU": _prelu,
    "Tanh": _elementwise(elementwise.tanh),
    "Sigmoid": _elementwise(elementwise.sigmoid),
    "Softplus": _elementwise(elementwise.softplus, "beta", "threshold"),
    "ELU": _elementwise(elementwise.elu, "alpha"),
    "Hardtanh": _elementwise(elementwise.hardtanh, "min_val", "max_val"),
    "Softsign": _elementwise(elementwise.softsign),
    "Softshrink": _elementwise(elementwise.softshrink, "lambd"),
    "SiLU": _elementwise(elementwise.silu),
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
}
