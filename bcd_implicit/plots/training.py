"""A run, cycle by cycle: objective and certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.plots.arguments import axes_of, check_kind, label_cycles
from bcd_implicit.plots.axes import headroom, logarithmic
from bcd_implicit.plots.style import MARK, ROUNDING, UNUSED, USED
from bcd_implicit.training.result import BcdResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def history(result: BcdResult, ax: Axes | None = None) -> Axes:
    """The objective by cycle; training never increases it.

    Parameters
    ----------
    result : BcdResult
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not a result of solve.
    """
    check_kind("result", result, BcdResult)
    ax = axes_of(ax)
    table = result.history
    ax.plot(table["cycle"], table["objective"], color=MARK, marker=".", lw=1.2)
    if table["objective"].max() > 30 * table["objective"].min() > 0:
        logarithmic(ax.yaxis, table["objective"].to_numpy())
    label_cycles(ax)
    ax.set_ylabel("objective (F)" if result.method == "fenchel" else "objective (T)")
    return ax


def certificates(result: BcdResult, ax: Axes | None = None) -> Axes:
    """The largest relative gap, KKT residual and violation of the blocks, cycle by cycle.

    Draw it below :func:`history`, with ``sharex=True``: two scales in one panel would be hard to read. Rough cycles
    (inexact block solves) have only a violation. A quantity that is unknown in all cycles has no line, and the legend
    says so.

    Parameters
    ----------
    result : BcdResult
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not a result of solve.
    """
    check_kind("result", result, BcdResult)
    ax = axes_of(ax)
    table = result.history.replace(np.inf, np.nan)
    kinds = {"gap": ("relative gap", USED, "o"), "kkt_residual": ("KKT residual", MARK, "."),
             "violation": ("violation", UNUSED, "x")}  # fmt: skip
    for column, (label, colour, marker) in kinds.items():
        unknown = "" if table[column].notna().any() else " (unknown)"
        ax.plot(table["cycle"], table[column], color=colour, marker=marker, ms=5, lw=1.2, label=label + unknown)
    logarithmic(ax.yaxis, table[list(kinds)].to_numpy(), ROUNDING)
    headroom(ax)
    label_cycles(ax)
    ax.set_ylabel("certificates of the blocks")
    ax.legend(fontsize="small")
    return ax
