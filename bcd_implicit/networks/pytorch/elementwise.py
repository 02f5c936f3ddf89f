"""PyTorch's functions of each value as expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.pytorch.tensors import operand
from bcd_implicit.terms.functions import function_with_parameters


def relu(input: Node, inplace: bool = False) -> Node:
    """max(z, 0)."""
    return input.activate("relu")


def relu6(input: Node, inplace: bool = False) -> Node:
    """min(max(z, 0), 6)."""
    return hardtanh(input, 0.0, 6.0)


def leaky_relu(input: Node, negative_slope: float = 0.01, inplace: bool = False) -> Node:
    """max(z, slope z); of any slope by two relus where the activation takes none."""
    if 0 < negative_slope <= 1:
        return input.activate(function_with_parameters("leaky_relu", {"slope": float(negative_slope)}))
    return input.activate("relu") - (-input).activate("relu") * negative_slope


def tanh(input: Node) -> Node:
    """The hyperbolic tangent."""
    return input.activate("tanh")


def sigmoid(input: Node) -> Node:
    """1 / (1 + e^-z)."""
    return input.activate("sigmoid")


def softplus(input: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """log(1 + e^(beta z)) / beta; PyTorch takes z itself beyond a threshold, off by 2e-9 at the most if that is 20."""
    if threshold < 20:
        cause = f"{threshold!r} is not supported: the function jumps at the threshold"
        raise InvalidInputError("threshold", cause, "Use threshold=20 or more")
    return input.activate("softplus") if beta == 1 else (input * beta).activate("softplus") / beta


def elu(input: Node, alpha: float = 1.0, inplace: bool = False) -> Node:
    """Above 0 z, below alpha (e^z - 1)."""
    if alpha == 1:
        return input.activate("elu")
    return input.activate("elu") * alpha + input.activate("relu") * (1 - alpha)


def hardtanh(input: Node, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Node:
    """Between two bounds z, beyond them the nearer one."""
    if not np.isfinite([min_val, max_val]).all() or min_val >= max_val:
        return clamp(input, min_val, max_val)
    middle, half = (min_val + max_val) / 2, (max_val - min_val) / 2
    if (middle, half) == (0, 1):
        return input.activate("clip")
    return ((input - middle) / half).activate("clip") * half + middle


def softsign(input: Node) -> Node:
    """Value by value ``z / (1 + |z|)``."""
    return input.activate("softsign")


def softshrink(input: Node, lambd: float = 0.5) -> Node:
    """Each value nearer to zero by lambd, or zero."""
    if lambd == 0:
        return input
    return input.activate(function_with_parameters("soft_threshold", {"threshold": float(lambd)}))


def silu(input: Node, inplace: bool = False) -> Node:
    """Value by value z / (1 + e^-z), a product."""
    return input.times(input.activate("sigmoid"))


def absolute(input: Node) -> Node:
    """``|z|``."""
    return input.activate("abs")


def square(input: Node) -> Node:
    """z^2."""
    return input.activate("square")


def power(input: Node, exponent: float) -> Node:
    """z^2 again."""
    return input**exponent


def clamp(input: Node, min: Any = None, max: Any = None) -> Node:
    """hardtanh, or a relu that starts at each bound if there is one alone, or other numbers than two in order."""
    numbers = [bound for bound in (min, max) if isinstance(bound, (int, float)) and np.isfinite(bound)]
    if len(numbers) == 2 and min < max:
        return hardtanh(input, min, max)
    node = input if min is None or _is(min, -np.inf) else maximum(input, min)
    return node if max is None or _is(max, np.inf) else minimum(node, max)


def _is(bound: Any, number: float) -> bool:
    return isinstance(bound, float) and bound == number


def clamp_min(input: Node, min: Any) -> Node:
    """The larger one of a value and a lower bound."""
    return clamp(input, min=min)


def clamp_max(input: Node, max: Any) -> Node:
    """The smaller one of a value and an upper bound."""
    return clamp(input, max=max)


def maximum(input: Any, other: Any) -> Node:
    """max(a, b) = b + relu(a - b)."""
    input, other = (input, other) if isinstance(input, Node) else (other, input)
    b = operand(input, other)
    return (input - b).activate("relu") + b


def minimum(input: Any, other: Any) -> Node:
    """min(a, b) = b - relu(b - a)."""
    input, other = (input, other) if isinstance(input, Node) else (other, input)
    b = operand(input, other)
    return -((-input + b).activate("relu")) + b
