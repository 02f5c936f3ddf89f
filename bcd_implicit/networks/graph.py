"""A network as a graph of expressions that becomes one implicit model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.affine import assembled
from bcd_implicit.networks.checks import check_lengths
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.states import States


class Graph:
    """A network that is assembled from its input and built into one implicit model.

    With layer maps z_l = W_l x_{l-1} + b_l the model's states are all layers' outputs, the last layer's first, so that
    A is strictly block upper triangular (El Ghaoui et al., arXiv 1908.06315, section 3).

    Parameters
    ----------
    input_shape : int or tuple of int
        The input's shape without the axis of samples, such as (features,) or (channels, height, width).
    keep_affine : bool or "auto"
        Affine values, such as the means of an average pool, are multiplied into the weights that follow and cost no
        states. If that creates many more entries, it is better to keep them as identity states. "auto" does so if it at
        least halves the number of entries, True always, False never.

    Attributes
    ----------
    input : Node
        The input, from which all other nodes are made.

    Examples
    --------
    >>> import numpy as np
    >>> import bcd_implicit as bi
    >>> graph = bi.networks.Graph(2)
    >>> weights = [[1.0, -1.0], [0.5, 2.0]]
    >>> hidden = graph.input.linear(weights, [0.0, 1.0]).activate("relu")
    >>> model = graph.build(hidden.linear([[1.0, 1.0]]))
    >>> model.predict(np.array([[3.0, 1.0]]))
    array([[6.5]])
    """

    def __init__(self, input_shape: int | Sequence[int], *, keep_affine: bool | str = "auto") -> None:
        lengths = input_shape if isinstance(input_shape, (tuple, list)) else [input_shape]
        remedy = "Give lengths, such as (1, 32, 32), without the axis of samples"
        if not lengths:
            raise InvalidInputError("input_shape", "is empty", remedy)
        shape = check_lengths("input_shape", lengths, remedy)
        if not isinstance(keep_affine, bool) and keep_affine != "auto":
            raise InvalidInputError("keep_affine", f"unknown {keep_affine!r}", 'Use True, False or "auto"')
        self._states = States(keep_affine)
        self.input = Node.input(self._states, shape)

    def build(
        self,
        output: Node,
        *,
        link: str = "identity",
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> ImplicitModel:
        """The model x = phi(Ax + Bu + b), y = Cx + Du + d whose output y is a node.

        Inputs and outputs with several axes are flattened with the last axis varying fastest, as in NumPy. Blocks of
        states that the output does not depend on are dropped. In a purely affine network the outputs become states.

        Parameters
        ----------
        output : Node
        link : {"identity", "logit", "softmax", "log"}
            The scale of the outputs, for ``model.response``.
        input_names, output_names : sequence of str, optional

        Raises
        ------
        InvalidInputError
            Not a node of this graph, or names that do not fit.
        """
        if not isinstance(output, Node) or output._states is not self._states:
            raise InvalidInputError("output", "is not a node of this graph", "Make it from graph.input")
        rows, states = output._rows, self._states
        live = states.needed_by(rows)
        if not live.size:
            rows = states.add("identity", rows)
            live = states.needed_by(rows)
        blocks = [(int(k), states.blocks[k - 1]) for k in live[::-1]]
        sizes = [block.rows.size for _, block in blocks]
        starts = np.cumsum([0, *sizes])
        offsets = {k: int(start) for (k, _), start in zip(blocks, starts[:-1], strict=True)}
        n, p = int(starts[-1]), self.input.size
        parts: dict[str, Any] = {}
        parts["A"], parts["B"], parts["b"] = assembled([block.rows for _, block in blocks], offsets, n, p)
        parts["C"], parts["D"], parts["d"] = assembled([rows], offsets, n, p)
        functions = [(block.function, size) for (_, block), size in zip(blocks, sizes, strict=True)]
        return ImplicitModel(
            **parts, activation=functions, link=link, input_names=input_names, output_names=output_names
        )
