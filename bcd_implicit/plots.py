"""Plots: each takes numbers or a result and an axes, and returns the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bcd_implicit.path import PathResult
    from bcd_implicit.result import BcdResult

USED, UNUSED, MARK = "#c44e52", "#8c96a3", "#2f4b7c"


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.gca()


def column_norms(
    norms: np.ndarray, highlight: np.ndarray | None = None, names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Bars of ||B e_j||_2, one an input.

    Parameters
    ----------
    norms : array of shape (p,)
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour; the nonzero ones by default.
    names : sequence of str, optional
        Names of the inputs; their numbers by default.
    """
    ax = _axes(ax)
    norms = np.asarray(norms)
    highlight = norms > 0 if highlight is None else np.asarray(highlight)
    places = np.arange(len(norms))
    ax.bar(places, norms, color=np.where(highlight, USED, UNUSED), width=0.8)
    ax.set_xlim(-0.8, len(norms) - 0.2)
    if names is not None and len(names) <= 30:
        ax.set_xticks(places, names, rotation=60, ha="right", fontsize="small", parse_math=False)
    else:
        ax.set_xlabel("input $j$")
    ax.set_ylabel(r"$\|B e_j\|_2$")
    ax.grid(axis="y", alpha=0.3)
    return ax


def kappa_path(
    path: PathResult,
    chosen: float | None = None,
    highlight: np.ndarray | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    highlighted: str = "selected",
    others: str = "not selected",
) -> Axes:
    """Norm of every column of B, or of (B; D) where these are grouped, against kappa.

    Parameters
    ----------
    path : PathResult
    chosen : float, optional
        A kappa to mark.
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour: the true ones where they are known, else the chosen ones; by default those that
        are left at the end.
    names : sequence of str, optional
        Names of the inputs; the highlighted lines are labelled with them at their left ends.
    highlighted, others : str
        What the legend calls the two groups.
    """
    ax = _axes(ax)
    norms = path.column_norms
    highlight = norms[-1] > 0 if highlight is None else np.asarray(highlight)
    for colour, group, width, label in ((UNUSED, ~highlight, 0.9, others), (USED, highlight, 1.4, highlighted)):
        for i, j in enumerate(np.flatnonzero(group)):
            ax.plot(path.kappas, norms[:, j], color=colour, lw=width, label=None if i else label)
    if chosen is not None:
        ax.axvline(chosen, color=MARK, ls="--", lw=1.2, label=rf"chosen $\kappa$ = {chosen:.3g}")
    if names is not None:
        _label_lines(ax, path.kappas, {names[int(j)]: norms[0, j] for j in np.flatnonzero(highlight)})
    ax.legend(loc="best", fontsize="small")
    ax.set_xscale("log")
    ax.set_xlabel(r"$\kappa$")
    ax.set_ylabel(r"$\|B e_j\|_2$")
    ax.grid(alpha=0.3)
    return ax


def _label_lines(ax: Axes, kappas: np.ndarray, heights: dict[str, float]) -> None:
    """Names beside the left ends of lines, moved apart where they would overlap; none where there are too many."""
    if not heights or len(heights) > 20:
        return
    # Room for the longest name, on the logarithmic axis.
    x, room = float(kappas[0]), 0.02 * (1 + max(len(name) for name in heights))
    if 0 < x != kappas[-1]:
        ax.set_xlim(x * (x / kappas[-1]) ** room)
    gap, place = 0.045 * max(heights.values()), -np.inf
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        place = max(height, place + gap)
        ax.text(x, place, name + " ", ha="right", va="center", fontsize="x-small", color=USED, parse_math=False)


def history(result: BcdResult, ax: Axes | None = None) -> Axes:
    """The objective that the loop never raises, cycle by cycle."""
    ax = _axes(ax)
    table = result.history
    ax.plot(table["cycle"], table["objective"], color=MARK, marker=".", lw=1.2)
    if table["objective"].max() > 30 * table["objective"].min() > 0:
        ax.set_yscale("log")
    ax.set_xlabel("cycle")
    ax.set_ylabel("objective (F)" if result.method == "fenchel" else "objective (T)")
    ax.grid(alpha=0.3, which="both")
    return ax
