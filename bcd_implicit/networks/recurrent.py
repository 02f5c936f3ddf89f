"""Recurrent networks: unrolled over the steps of a sequence, or infinite, as one equilibrium.

Weights have the shapes and the order of gates of PyTorch's layers: ``weight_ih`` (gates * h, features), ``weight_hh``
(gates * h, h), and biases (gates * h,). A sequence is a node of shape (steps, features); every layer begins with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, NotWellPosedError, shown
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.checks import read_bias, read_numbers, read_weight
from bcd_implicit.networks.expression import concatenate
from bcd_implicit.networks.node import Node
from bcd_implicit.terms.function import ElementwiseFunction

# A step: from what the input brings, shape (1, gates * h), and what was carried along, to what is carried along.
Step = Callable[[Node, tuple[Node, ...]], tuple[Node, ...]]


def rnn(
    sequence: Node,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
    *,
    activation: str | ElementwiseFunction = "tanh",
) -> Node:
    """Elman's network x_t = phi(W_ih u_t + b_ih + W_hh x_{t-1} + b_hh): h states per step.

    Parameters
    ----------
    sequence : Node of shape (steps, features)
    weight_ih : array-like of shape (h, features)
    weight_hh : array-like of shape (h, h)
    bias_ih, bias_hh : array-like of shape (h,), optional
    activation : str or ElementwiseFunction

    Returns
    -------
    Node of shape (steps, h)
        Outputs of all steps; ``[-1]`` is the last.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit.
    """
    driven, hidden, _ = _prepared(sequence, 1, weight_ih, weight_hh, bias_ih, bias_hh)

    def step(drive: Node, carried: tuple[Node, ...]) -> tuple[Node, ...]:
        return ((drive + hidden(carried[0]) if carried else drive).activate(activation),)

    return _unrolled(driven, step)


def lstm(
    sequence: Node,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
) -> Node:
    """Long short-term memory, gates in the order i, f, g, o: c_t = f c_{t-1} + i g, x_t = o tanh(c_t).

    11 h states per step: the gates, tanh(c_t) and 6 h for three products of two ``square`` states each.

    Parameters
    ----------
    sequence : Node of shape (steps, features)
    weight_ih : array-like of shape (4 h, features)
    weight_hh : array-like of shape (4 h, h)
    bias_ih, bias_hh : array-like of shape (4 h,), optional

    Returns
    -------
    Node of shape (steps, h)
        Outputs of all steps; ``[-1]`` is the last.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit.
    """
    driven, hidden, h = _prepared(sequence, 4, weight_ih, weight_hh, bias_ih, bias_hh)

    def step(drive: Node, carried: tuple[Node, ...]) -> tuple[Node, ...]:
        z = drive + hidden(carried[0]) if carried else drive
        gates = concatenate([z[: 2 * h], z[3 * h :]]).activate("sigmoid")
        i, f, o, g = gates[:h], gates[h : 2 * h], gates[2 * h :], z[2 * h : 3 * h].activate("tanh")
        if carried:
            # Two products side by side are one block of squares.
            products = concatenate([f, i]).times(concatenate([carried[1], g]))
            c = products[:h] + products[h:]
        else:
            c = i.times(g)
        return o.times(c.activate("tanh")), c

    return _unrolled(driven, step)


def gru(
    sequence: Node,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None = None,
    bias_hh: ArrayLike | None = None,
) -> Node:
    """Gated recurrent units, gates in the order r, z, n: n = tanh(.. + r (W_hn x + b_hn)), x_t = n + z (x_{t-1} - n).

    7 h states per step: three gates, and 4 h for two products of two ``square`` states each. If the graph keeps affine
    values, x_t is kept too.

    Parameters
    ----------
    sequence : Node of shape (steps, features)
    weight_ih : array-like of shape (3 h, features)
    weight_hh : array-like of shape (3 h, h)
    bias_ih, bias_hh : array-like of shape (3 h,), optional

    Returns
    -------
    Node of shape (steps, h)
        Outputs of all steps; ``[-1]`` is the last.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit.
    """
    # b_hn is multiplied by r, so that b_hh goes with the states and not with the input.
    driven, hidden, h = _prepared(sequence, 3, weight_ih, weight_hh, bias_ih, None)
    offset = np.zeros(3 * h) if bias_hh is None else read_bias("bias_hh", bias_hh, 3 * h, driven.shape)

    def step(drive: Node, carried: tuple[Node, ...]) -> tuple[Node, ...]:
        gates = drive[: 2 * h] + offset[: 2 * h]
        if not carried:
            gates = gates.activate("sigmoid")
            # W_hn x is zero before the first step, so that no product is needed.
            n = (drive[2 * h :] + gates[:h] * offset[2 * h :]).activate("tanh")
            return (n - gates[h:].times(n),)
        before = hidden(carried[0])
        gates = (gates + before[: 2 * h]).activate("sigmoid")
        n = (drive[2 * h :] + gates[:h].times(before[2 * h :] + offset[2 * h :])).activate("tanh")
        return (n + gates[h:].times(carried[0] - n),)

    return _unrolled(driven, step)


def equilibrium_rnn(
    W: ArrayLike,
    U: ArrayLike,
    b: ArrayLike | None,
    C: ArrayLike,
    d: ArrayLike | None = None,
    *,
    activation: str | ElementwiseFunction = "tanh",
    link: str = "identity",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> ImplicitModel:
    """The infinite recurrent network x_t = phi(W x_{t-1} + U u + b) with constant u: its limit is an equilibrium.

    Nothing is unrolled: x = phi(Wx + Uu + b), y = Cx + d is the implicit model itself.

    Parameters
    ----------
    W : array-like or sparse array of shape (h, h)
    U : array-like or sparse array of shape (h, features)
    b : array-like of shape (h,) or None
    C : array-like or sparse array of shape (outputs, h)
    d : array-like of shape (outputs,), optional
    activation : str or ElementwiseFunction
    link, input_names, output_names
        As for :class:`~bcd_implicit.ImplicitModel`.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit.
    NotWellPosedError
        The iteration need not converge to a unique equilibrium.
    """
    try:
        model = ImplicitModel(
            W, U, b, C, None, d, activation, link=link, input_names=input_names, output_names=output_names
        )
    except InvalidInputError as error:
        # The model's A and B have other names here.
        argument = {"A": "W", "B": "U"}.get(error.argument, error.argument)
        raise InvalidInputError(argument, error.cause, error.remedy) from None
    structure = model.structure()
    if not structure.is_well_posed():
        raise NotWellPosedError(
            f"W: the iteration need not end in one equilibrium. It is {structure.reason}, where A is W and L the "
            "largest slope of the activation. Scale W down, or use an activation with smaller slopes."
        )
    return model


def _prepared(
    sequence: Node,
    n_gates: int,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
) -> tuple[Node, Callable[[Node], Node], int]:
    """What the input brings to each step, (steps, gates * h); the map of states to the next step; and h."""
    if not isinstance(sequence, Node):
        raise InvalidInputError("sequence", f"is {shown(sequence)}, not a node", "Make it from graph.input")
    if sequence.ndim != 2:
        raise InvalidInputError("sequence", f"has shape {sequence.shape}", "It takes (steps, features): reshape first")
    weight_hh = read_numbers("weight_hh", weight_hh, 2)
    h = weight_hh.shape[1]
    if weight_hh.shape != (n_gates * h, h):
        wanted = f"({n_gates} h, h)" if n_gates > 1 else "(h, h)"
        raise InvalidInputError("weight_hh", f"has shape {weight_hh.shape}, {wanted} needed")
    driving = read_weight("weight_ih", weight_ih, sequence.shape[1], sequence.shape)
    if driving.shape[0] != n_gates * h:
        cause = f"has {driving.shape[0]} rows, but weight_hh has {n_gates * h}"
        raise InvalidInputError("weight_ih", cause, "Both have one for each gate and hidden unit")
    driven = sequence.linear(driving)
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            driven = driven + read_bias(name, bias, n_gates * h, driven.shape)
    return driven, lambda x: x.linear(weight_hh), h


def _unrolled(driven: Node, step: Step) -> Node:
    """The first of what is carried along, of all steps."""
    carried: tuple[Node, ...] = ()
    outputs = []
    for drive in driven:
        carried = step(drive, carried)
        outputs.append(carried[0])
    return concatenate([output.reshape(1, -1) for output in outputs])
