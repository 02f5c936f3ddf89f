"""Networks as implicit models: graphs of expressions, recurrent networks, and converters."""

from bcd_implicit.networks.expression import concatenate
from bcd_implicit.networks.graph import Graph
from bcd_implicit.networks.node import Node

__all__ = ["Graph", "Node", "concatenate"]
