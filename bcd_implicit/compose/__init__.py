"""Models put together: what operators of models do, as functions of any number of them, and what is no operator.

A composition is one implicit model, made without solving for a state. Sparse matrices stay sparse, and matrices of
more than a million entries become sparse where fewer than a tenth are not zero. If there is no feedback, every cycle
of states is in one of the parts: the composition is well-posed if and only if all parts are, though ||A||_inf may be
anything.

Variables with names of their own are matched by name, others by order. Names that occur twice side by side get the
number of their model in front: "1.y0", "2.y0".
"""

from bcd_implicit.compose.connections import affine, cascade, feedback, labelled, parallel, product, stack, total
from bcd_implicit.compose.gains import SmallGain, small_gain
from bcd_implicit.compose.report import Pruning, pruning

__all__ = [
    "Pruning",
    "SmallGain",
    "affine",
    "cascade",
    "feedback",
    "labelled",
    "parallel",
    "product",
    "pruning",
    "small_gain",
    "stack",
    "total",
]
