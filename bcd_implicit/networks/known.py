"""Well-known networks with random weights, to look at what they become as implicit models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bcd_implicit.errors import check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.graph import Graph
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.recurrent import lstm, rnn
from bcd_implicit.support.checks import random_generator


def _weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Of a variance with which layers of relu neither grow nor shrink (He et al., *ICCV* 2015)."""
    return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))


def _lenet5(rng: np.random.Generator) -> ImplicitModel:
    graph = Graph((1, 32, 32), keep_affine=False)
    h: Node = graph.input.conv2d(_weights(rng, 6, 1, 5, 5), np.zeros(6)).activate("relu").avg_pool2d(2)
    h = h.conv2d(_weights(rng, 16, 6, 5, 5), np.zeros(16)).activate("relu").avg_pool2d(2).reshape(-1)
    h = h.linear(_weights(rng, 120, 400), np.zeros(120)).activate("relu")
    h = h.linear(_weights(rng, 84, 120), np.zeros(84)).activate("relu")
    return graph.build(h.linear(_weights(rng, 10, 84), np.zeros(10)), link="softmax")


def _mlp(rng: np.random.Generator) -> ImplicitModel:
    graph = Graph(64)
    h = graph.input
    for size in (40, 30, 20):
        h = h.linear(_weights(rng, size, h.size), np.zeros(size)).activate("relu")
    return graph.build(h.linear(_weights(rng, 10, 20), np.zeros(10)), link="softmax")


def _rnn(rng: np.random.Generator) -> ImplicitModel:
    graph = Graph((12, 8))
    h = rnn(graph.input, _weights(rng, 16, 8), _weights(rng, 16, 16))
    return graph.build(h[-1].linear(_weights(rng, 4, 16), np.zeros(4)))


def _lstm(rng: np.random.Generator) -> ImplicitModel:
    graph = Graph((12, 8))
    h = lstm(graph.input, _weights(rng, 64, 8), _weights(rng, 64, 16))
    return graph.build(h[-1].linear(_weights(rng, 4, 16), np.zeros(4)))


#: The networks, by name.
KNOWN: dict[str, Callable[[np.random.Generator], ImplicitModel]] = {
    "lenet5": _lenet5,
    "mlp": _mlp,
    "rnn": _rnn,
    "lstm": _lstm,
}


def known(name: str, random_state: int | np.random.Generator | None = 0) -> ImplicitModel:
    """A well-known network with random weights, as an implicit model.

    Parameters
    ----------
    name : {"lenet5", "mlp", "rnn", "lstm"}
        LeNet-5 with average pools on images of 32 x 32 (LeCun et al., *Proceedings of the IEEE* 1998, with relu); a
        perceptron 64-40-30-20-10; recurrent networks of 16 units over 12 steps of 8 features.
    random_state : int, Generator or None
        Seed of the weights.

    Returns
    -------
    ImplicitModel

    Raises
    ------
    InvalidInputError
        Another name.
    """
    return KNOWN[check_choice("name", name, KNOWN, "network")](random_generator(random_state))
