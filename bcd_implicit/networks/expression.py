"""Arrays whose entries are affine functions of a network's input and of its states: their arithmetic and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.networks.affine import INPUT, Affine, concatenated
from bcd_implicit.networks.checks import check_lengths, listed_integers, read_numbers
from bcd_implicit.networks.states import States
from bcd_implicit.support.checks import check_list, check_number
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import get_function

Shape = tuple[int, ...]
Kind = TypeVar("Kind", bound="Expression")
# NumPy's functions that are arithmetic, by the names of Python's methods.
ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "matmul": "matmul"}
METHODS = 'Use a node\'s own methods, such as node.linear(W) or node.activate("tanh")'


class Expression:
    """The part of a :class:`~bcd_implicit.networks.Node` other than its layers: states, arithmetic and shapes.

    Attributes
    ----------
    shape : tuple of int
    """

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
        if not self.shape:
            raise TypeError("a node of the shape () has no length")
        return self.shape[0]

    # States -------------------------------------------------------------------------------------------------------

    def activate(self, activation: str | ElementwiseFunction) -> Self:
        """Apply a function to every value: a new block of states, except for the identity.

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
        """The same values as identity states, so that later weights are not multiplied into earlier ones."""
        return self._node(self._states.add("identity", self._rows), self.shape)

    def times(self, other: Expression) -> Self:
        """The product of two nodes, value by value: ((a + b)^2 - (a - b)^2) / 4, two ``square`` states per product.

        It loses digits where a and b have very different sizes: its error is about the rounding of the larger one's
        square. Scale them to about the same size first.
        """
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
            other.__rtruediv__(self)
        divisor = read_numbers("constant", other)
        with np.errstate(divide="ignore", over="ignore"):
            factors = 1 / divisor
        if not np.isfinite(factors).all():
            cause = "is too small to divide by" if divisor.all() else "is zero, and divides"
            raise InvalidInputError("constant", cause, "Divide by other numbers")
        return self * factors

    def __rtruediv__(self, other: Any) -> NoReturn:
        raise InvalidInputError(
            "node", "divides, but a quotient is not a sum of states", "Multiply, or divide by numbers"
        )

    def __pow__(self, exponent: float) -> Self:
        if np.ndim(exponent) or exponent != 2:
            raise InvalidInputError(
                "exponent", f"must be 2, got {shown(exponent)}", "Make other powers of squares and products"
            )
        return self.activate("square")

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: Any) -> NoReturn:
        raise InvalidInputError("node", "has formulas, not values to compare", 'Use "relu", "abs" or "clip"')

    __le__ = __gt__ = __ge__ = __lt__

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """What NumPy does for array + node and the like is left to the node; its other functions are refused."""
        name = function.__name__
        if method != "__call__" or options or not (name in ARITHMETIC or name.startswith(("less", "greater"))):
            raise InvalidInputError("node", f"numpy.{name} accepts arrays, not nodes", METHODS)
        if name not in ARITHMETIC:
            return self < inputs[0]
        # In place of an array comes here what has the node on its right.
        first, second = inputs
        if first is self:
            return getattr(self, f"__{ARITHMETIC[name]}__")(second)
        return getattr(self, f"__r{ARITHMETIC[name]}__")(first)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise InvalidInputError("node", "is not an array: it has formulas instead of values", METHODS)

    # Shapes -------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> Self:
        """The same values in another shape; -1 stands for the one length that follows from the others."""
        wanted = listed_integers("shape", shape, "Give lengths, such as reshape(2, -1)")
        try:
            places = self._places().reshape(wanted)
        except (OverflowError, ValueError):
            raise InvalidInputError("shape", f"{wanted} does not hold the values of {self.shape}") from None
        return self._rearranged(places)

    def flatten(self) -> Self:
        """The same values along one axis."""
        return self.reshape(-1)

    def transpose(self, *axes: int) -> Self:
        """Axes in another order; reversed if no order is given."""
        order = listed_integers("axes", axes, "Give the numbers of the axes, such as transpose(1, 0)")
        try:
            places = self._places().transpose(order or None)
        except (OverflowError, ValueError):
            cause = f"{order} is not an order of the axes of {self.shape}"
            raise InvalidInputError("axes", cause, f"Give each number below {self.ndim} once") from None
        return self._rearranged(places)

    def __getitem__(self, key: Any) -> Self:
        """Some of the values, as NumPy's indexing takes them."""
        try:
            places = np.asarray(self._places()[key])
        except (IndexError, TypeError, ValueError):
            raise InvalidInputError(
                "node", f"has shape {self.shape}, and no element {key!r}", "Places count from 0"
            ) from None
        if not places.size:
            raise InvalidInputError("node", f"has shape {self.shape}, and {key} selects nothing")
        return self._rearranged(places)

    def __iter__(self) -> Iterator[Self]:
        # The length is asked for here, not when the first value is taken.
        length = len(self)
        return (self[i] for i in range(length))

    def broadcast_to(self, shape: int | Sequence[int]) -> Self:
        """Values repeated along axes of length 1, as NumPy does it."""
        if shape == self.shape:
            return self
        lengths = shape if isinstance(shape, (tuple, list)) else [shape]
        wanted = check_lengths("shape", lengths, "Give lengths, such as (2, 3)")
        try:
            places = np.broadcast_to(self._places(), wanted)
        except ValueError:
            cause = f"{wanted} is not a shape to which {self.shape} can be broadcast"
            raise InvalidInputError(
                "shape", cause, "Only axes of length 1, and new axes in front, can be broadcast"
            ) from None
        return self._rearranged(places)

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
        if not rows.is_finite():
            cause = "has weights whose products or sums overflow"
            raise InvalidInputError("node", cause, "Use smaller numbers")
        return type(self)(self._states, rows, tuple(int(length) for length in shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, coefficients={self._rows.nnz})"


def concatenate(nodes: Sequence[Kind], axis: int = 0) -> Kind:
    """Nodes joined along an axis.

    Raises
    ------
    InvalidInputError
        Not a list of nodes, shapes that do not fit, or nodes of different graphs.
    """
    remedy = "Give a list of nodes; 0 * node + array is an array as a node"
    if isinstance(nodes, Expression):
        raise InvalidInputError("nodes", "is a single node", remedy)
    nodes = check_list("nodes", nodes, "nodes", remedy)
    if not nodes:
        raise InvalidInputError("nodes", "there are none", "Give one node or more")
    for k, node in enumerate(nodes):
        if not isinstance(node, Expression):
            raise InvalidInputError("nodes", f"has {shown(node)} at position {k}, which is not a node", remedy)
        _check_graph(nodes[0], node)
    axis = check_number("axis", axis, integer=True)
    starts = np.cumsum([0, *(node.size for node in nodes)])
    places = [node._places() + start for node, start in zip(nodes, starts[:-1], strict=True)]
    try:
        joined = np.concatenate(places, axis=axis)
    except (OverflowError, ValueError):
        shapes = ", ".join(str(node.shape) for node in nodes)
        raise InvalidInputError("nodes", f"have the shapes {shapes}, which do not fit along axis {axis}") from None
    whole = nodes[0]._node(concatenated([node._rows for node in nodes]), (int(starts[-1]),))
    return whole._rearranged(joined)


def _same_shape(first: Kind, second: Any) -> tuple[Kind, Kind]:
    if not isinstance(second, type(first)):
        raise InvalidInputError("other", f"is {shown(second)}, not a node", "Multiply by numbers with *")
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
        cause = f"has shape {first}, which does not fit shape {second}"
        raise InvalidInputError("node", cause, "Lengths must be the same, or 1") from None
