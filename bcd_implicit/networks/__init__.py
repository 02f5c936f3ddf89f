"""Networks as implicit models: graphs of expressions, recurrent networks, and converters."""

from bcd_implicit.networks.expression import concatenate
from bcd_implicit.networks.from_sklearn import from_sklearn
from bcd_implicit.networks.from_torch import from_torch
from bcd_implicit.networks.graph import Graph
from bcd_implicit.networks.node import Node
from bcd_implicit.networks.recurrent import equilibrium_rnn, gru, lstm, rnn
from bcd_implicit.networks.to_torch import to_torch

__all__ = [
    "Graph",
    "Node",
    "concatenate",
    "equilibrium_rnn",
    "from_sklearn",
    "from_torch",
    "gru",
    "lstm",
    "rnn",
    "to_torch",
]
