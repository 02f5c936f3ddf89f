"""Arrays whose entries are affine functions of a network's input and of its states: their arithmetic and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.affine import INPUT, Affine, concatenated
from bcd_implicit.networks.checks import read_numbers
from bcd_implicit.networks.states import States
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import get_function

Shape = tuple[int, ...]
Kind = TypeVar("Kind", bound="Expression")


class Expression:
    """What a :class:`~bcd_implicit.networks.Node` is without its layers: states, arithmetic and shapes.

    Attributes
    ----------
    shape : tuple of int
    """

    # NumPy leaves array * node and the like to the node.
    __array_ufunc__ = None
    # What stands between a function and its states, if the node is those states.
    _source: tuple[ElementwiseFunction, Self] | None = None

    def __init__(self, states: States, rows: Affine, shape: Shape) -> None:
        self._states, self._rows, self.shape = states, rows, shape

    @classmethod
    def input(cls, states: States, shape: Shape) -> Self:
        """The network's input."""
        return cls(states, Affine.of_block(INPUT, int(np.prod(shape))), shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return self._rows.size

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    # States -------------------------------------------------------------------------------------------------------

    def activate(self, activation: str | ElementwiseFunction) -> Self:
        """A function of every value: a new block of states, except for the identity.

        Parameters
        ----------
        activation : str or ElementwiseFunction
            An activation, or a function without a Fenchel pair such as "square" and "abs".
        """
        function = get_function(activation)
        if function.name == "identity":
            return self
        node = self._node(self._states.add(function, self._rows), self.shape)
        node._source = function, self
        return node

    def keep(self) -> Self:
        """The same values as identity states, so that weights behind are not multiplied into what stands before."""
        return self._node(self._states.add("identity", self._rows), self.shape)

    def times(self, other: Expression) -> Self:
        """The product of two nodes, value by value: ((a + b)^2 - (a - b)^2) / 4, two ``square`` states a product."""
        a, b = _same_shape(self, other)
        squares = concatenate([(a + b).flatten(), (a - b).flatten()]).activate("square")
        return (0.25 * (squares[: a.size] - squares[a.size :])).reshape(a.shape)

    # Arithmetic ---------------------------------------------------------------------------------------------------

    def __add__(self, other: Expression | ArrayLike) -> Self:
        if isinstance(other, Expression):
            a, b = _same_shape(self, other)
            return self._node(a._rows + b._rows, a.shape)
        node, offset = self._with_constant(other)
        return node._node(node._rows.shifted(offset), node.shape)

    def __mul__(self, other: Expression | ArrayLike) -> Self:
        if isinstance(other, Expression):
            return self.times(other)
        node, factors = self._with_constant(other)
        return node._node(node._rows.scaled(factors), node.shape)

    def __neg__(self) -> Self:
        return self * -1.0

    def __sub__(self, other: Expression | ArrayLike) -> Self:
        return self + (-other if isinstance(other, Expression) else -read_numbers("constant", other))

    def __rsub__(self, other: ArrayLike) -> Self:
        return -self + other

    def __truediv__(self, other: ArrayLike) -> Self:
        if isinstance(other, Expression):
            raise InvalidInputError(
                "node", "a quotient of two nodes is no sum of states", "Multiply, or divide by numbers"
            )
        divisor = read_numbers("constant", other)
        if not divisor.all():
            raise InvalidInputError("constant", "is zero, and divides", "Divide by other numbers")
        return self * (1 / divisor)

    def __rtruediv__(self, other: ArrayLike) -> Self:
        raise InvalidInputError("node", "divides, and a quotient is no sum of states", "Multiply, or divide by numbers")

    def __pow__(self, exponent: float) -> Self:
        if exponent != 2:
            raise InvalidInputError(
                "exponent", f"must be 2, got {exponent!r}", "Make other powers of squares and products"
            )
        return self.activate("square")

    __radd__, __rmul__ = __add__, __mul__

    # Shapes -------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Self:
        """The same values in another shape; -1 stands for one length that follows."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        try:
            places = self._places().reshape(wanted)
        except ValueError:
            raise InvalidInputError("shape", f"{tuple(wanted)} does not hold the values of {self.shape}") from None
        return self._rearranged(places)

    def flatten(self) -> Self:
        """The same values along one axis."""
        return self.reshape(-1)

    def transpose(self, *axes: int) -> Self:
        """Axes in another order, reversed without one."""
        return self._rearranged(self._places().transpose(*axes))

    def __getitem__(self, key: Any) -> Self:
        """Some of the values, as NumPy's indexing takes them."""
        try:
            places = np.asarray(self._places()[key])
        except IndexError:
            raise InvalidInputError(
                "node", f"has the shape {self.shape}, and no place {key!r}", "Places count from 0"
            ) from None
        if not places.size:
            raise InvalidInputError("node", f"nothing is left of the shape {self.shape} at {key}")
        return self._rearranged(places)

    def __iter__(self) -> Iterator[Self]:
        return (self[i] for i in range(len(self)))

    def broadcast_to(self, shape: Shape) -> Self:
        """Values repeated along axes of length 1, as NumPy does it."""
        return self if shape == self.shape else self._rearranged(np.broadcast_to(self._places(), shape))

    def _places(self) -> np.ndarray:
        return np.arange(self.size).reshape(self.shape)

    def _rearranged(self, places: np.ndarray) -> Self:
        flat = places.ravel()
        same = len(flat) == self.size and np.array_equal(flat, np.arange(self.size))
        node = self._node(self._rows if same else self._rows.take(flat), places.shape)
        if same and self._source:
            node._source = self._source[0], self._source[1]._rearranged(places)
        return node

    def _with_constant(self, constant: Any) -> tuple[Self, np.ndarray]:
        """The node and a constant in their common shape, the latter flat."""
        array = read_numbers("constant", constant)
        shape = _common_shape(self.shape, array.shape)
        return self.broadcast_to(shape), np.broadcast_to(array, shape).ravel()

    def _node(self, rows: Affine, shape: Shape) -> Self:
        return type(self)(self._states, rows, tuple(int(length) for length in shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, coefficients={self._rows.nnz})"


def concatenate(nodes: Sequence[Kind], axis: int = 0) -> Kind:
    """Nodes joined along an axis.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, or nodes of different graphs.
    """
    nodes = list(nodes)
    if not nodes:
        raise InvalidInputError("nodes", "there are none", "Give one node or more")
    for node in nodes:
        _check_graph(nodes[0], node)
    starts = np.cumsum([0, *(node.size for node in nodes)])
    places = [node._places() + start for node, start in zip(nodes, starts[:-1], strict=True)]
    try:
        joined = np.concatenate(places, axis=axis)
    except ValueError:
        shapes = ", ".join(str(node.shape) for node in nodes)
        raise InvalidInputError("nodes", f"the shapes {shapes} do not fit along axis {axis}") from None
    whole = nodes[0]._node(concatenated([node._rows for node in nodes]), (int(starts[-1]),))
    return whole._rearranged(joined)


def _same_shape(first: Kind, second: Any) -> tuple[Kind, Kind]:
    if not isinstance(second, type(first)):
        raise InvalidInputError("node", f"is no node of a graph: {second!r}", "Multiply by numbers with *")
    _check_graph(first, second)
    shape = _common_shape(first.shape, second.shape)
    a, b = first.broadcast_to(shape), second.broadcast_to(shape)
    return a, b


def _check_graph(first: Expression, second: Expression) -> None:
    if first._states is not second._states:
        raise InvalidInputError("nodes", "belong to different graphs", "Make them from one graph's input")


def _common_shape(first: Shape, second: Shape) -> Shape:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        raise InvalidInputError("node", f"the shapes {first} and {second} do not fit") from None
