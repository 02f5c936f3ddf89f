"""The functions of states, by name: the activations, and those that have no Fenchel pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support.by_name import named_or_given
from bcd_implicit.support.checks import check_list, check_number
from bcd_implicit.terms import activations
from bcd_implicit.terms.block_activation import BlockActivation
from bcd_implicit.terms.function import ElementwiseFunction

BLOCKS = 'Give a name, or blocks such as [("relu", 20), ("tanh", 5)]'


class Square(ElementwiseFunction):
    """phi(z) = z^2, of which products are made: 4 a b = (a + b)^2 - (a - b)^2."""

    name = "square"
    latex = r"z^2"
    curvatures = (1,)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.square(z)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return 2 * z

    def image(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        least, largest = Abs().image(low, high)
        return least**2, largest**2


class Abs(ElementwiseFunction):
    """``phi(z) = |z|``."""

    name = "abs"
    latex = r"|z|"
    kinks = (0.0,)
    curvatures = (0, 0)
    max_slope = 1.0
    positively_homogeneous = True

    def __call__(self, z: np.ndarray) -> np.ndarray:
        return np.abs(z)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return np.sign(z)

    def image(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum(np.maximum(low, -high), 0.0), np.maximum(np.abs(low), np.abs(high))


#: The functions that are no activations, by name.
FUNCTIONS: dict[str, ElementwiseFunction] = {function.name: function for function in (Square(), Abs())}


def get_function(function: Any) -> ElementwiseFunction:
    """Look a function of states up by name; an object passes through.

    Raises
    ------
    InvalidInputError
        The name is not known (the message lists those that are), a class, or an object that is no function of states.
    """
    known = activations.ACTIVATIONS | FUNCTIONS
    return named_or_given("activation", function, ElementwiseFunction, known, ("__call__", "derivative"))


def function_with_parameters(name: str, parameters: Mapping[str, Any]) -> ElementwiseFunction:
    """The function of a name with other parameters.

    Raises
    ------
    InvalidInputError
        The name is not known, or the parameters are not those of the function.
    """
    return FUNCTIONS[name] if name in FUNCTIONS and not parameters else activations.with_parameters(name, parameters)


def state_function(activation: Any, n: int) -> ElementwiseFunction:
    """The function of n states, from a name, an object, or pairs of these and numbers of states.

    Raises
    ------
    InvalidInputError
        An unknown name, a block that is no such pair, or blocks of another number of states altogether.
    """
    if isinstance(activation, (str, type, ElementwiseFunction)):
        function = get_function(activation)
        blocks = function.blocks if isinstance(function, BlockActivation) else [(function, n)]
    else:
        blocks = [_block(i, block) for i, block in enumerate(_blocks(activation))]
    # Before anything of their size is made.
    if (total := sum(size for _, size in blocks)) != n:
        told = [str(size) for _, size in blocks]
        sizes = " + ".join([*told[:6], "..."] if len(told) > 6 else told)
        cause = f"has blocks of {sizes} = {total} states, but A has {n}"
        raise InvalidInputError("activation", cause, "Give each block the number of its states")
    together = BlockActivation(blocks)
    # One function throughout is that function.
    return together.blocks[0][0] if len(together.blocks) == 1 else together


def _blocks(activation: Any) -> Sequence[Any]:
    blocks = check_list("activation", activation, "blocks of states", BLOCKS)
    if not blocks:
        raise InvalidInputError("activation", "has no blocks", BLOCKS)
    return blocks


def _block(i: int, block: Any) -> tuple[ElementwiseFunction, int]:
    if isinstance(block, str) or not isinstance(block, Sequence) or len(block) != 2:
        cause = f"has {shown(block)} as block {i}, not a function and a number of states"
        raise InvalidInputError("activation", cause, BLOCKS)
    function, size = block
    return get_function(function), check_number(
        f"activation, states of block {i}", size, 1, integer=True, remedy="Give each block the number of its states"
    )
