"""A path of architectures: error against the number of connections between states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bcd_implicit.plots.arguments import axes_of, check_kind
from bcd_implicit.plots.axes import span, whole_numbers
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.selection.architecture_result import ArchitecturePath

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def architecture_path(path: ArchitecturePath, ax: Axes | None = None) -> Axes:
    """Mean loss against entries of A along a path: penalised and refitted models, on unseen samples if given.

    The number beside each refitted model is the number of its states on cycles.

    Parameters
    ----------
    path : ArchitecturePath
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not an ArchitecturePath.
    """
    check_kind("path", path, ArchitecturePath)
    ax = axes_of(ax)
    table = path.table
    kind = "unseen loss" if "unseen loss" in table else "loss"
    ax.plot(table["A"], table[kind], color=UNUSED, marker="o", ms=4, label="under the penalty")
    last = kind
    if f"refitted {kind}" in table:
        last = f"refitted {kind}"
        ax.plot(table["A"], table[last], color=USED, marker="o", ms=4, label="refitted")
    for size, loss, states in zip(table["A"], table[last], table["on cycles"], strict=True):
        ax.annotate(
            str(states), (size, loss), (0, 5), textcoords="offset points", ha="center", fontsize="small", color=MARK
        )
    whole_numbers(ax.xaxis)
    # Room for the topmost numbers, and for losses that are next to equal a scale without an offset.
    ax.margins(x=0.05, y=0.12)
    span(ax.yaxis, 0.01)
    ax.set_xlabel("entries of A that are not zero (numbers: states on cycles)")
    ax.set_ylabel("mean loss on unseen samples" if kind == "unseen loss" else "mean loss")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small")
    return ax
