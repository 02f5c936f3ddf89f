"""Which inputs matter: column norms, and the path of kappa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.plots.arguments import Fitted, axes_of, check_kind, check_mask, norm_label, norms_of
from bcd_implicit.plots.axes import (
    LINE,
    SMALLEST_FONT,
    label_lines,
    legend_above,
    length_in_points,
    logarithmic,
    name_ticks,
    whole_numbers,
)
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.path import PathResult
from bcd_implicit.support.checks import check_names, check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# At most this many lines that are not highlighted are named.
MOST_OTHERS = 3


def column_norms(
    of: Fitted | ArrayLike,
    highlight: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    truth: ArrayLike | None = None,
    sort: bool = False,
) -> Axes:
    """Bars of ||B e_j||_2, one an input; of (B; D) e_j for a result in which these are grouped.

    Parameters
    ----------
    of : ImplicitModel, BcdResult, Selection or array of shape (p,)
        The model, or the norms themselves.
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour; the nonzero ones by default.
    names : sequence of str, optional
        Names of the inputs; the model's by default. If they do not all fit, only the highlighted inputs are named. If
        these do not fit either, inputs are numbered.
    ax : Axes, optional
    truth : bool array of shape (p,), optional
        The inputs that matter, if known: circles mark them.
    sort : bool
        Draw the largest norms first, and only those whose names fit.

    Raises
    ------
    InvalidInputError
        Nothing that can be drawn, or an array of the wrong length.
    """
    ax = axes_of(ax)
    norms, known_names, label = norms_of(of)
    p = len(norms)
    highlight = norms > 0 if highlight is None else check_mask("highlight", highlight, p)
    names = known_names if names is None else check_names("names", names, p, "u")
    order = np.argsort(-norms, kind="stable") if sort else np.arange(p)
    if sort:
        order = order[: max(1, int(length_in_points(ax.xaxis) / (LINE * SMALLEST_FONT)) - 1)]
        names = names or [str(j) for j in range(p)]
    shown, places, coloured = norms[order], np.arange(len(order)), highlight[order]
    colours = np.where(coloured, USED, UNUSED)
    # A thin edge, so that bars narrower than a pixel are seen.
    ax.bar(places, shown, color=colours, edgecolor=colours, linewidth=0.5, width=0.8)
    if truth is not None:
        true = np.flatnonzero(check_mask("truth", truth, p)[order])
        ax.plot(true, shown[true], "o", mfc="white", mec=MARK, ms=5, clip_on=False, zorder=3, label="truly used")
        ax.legend(fontsize="small")
    ax.set_xlim(-0.8, len(order) - 0.2)
    if not shown.any():
        ax.set_ylim(0, 1)
        ax.text(0.5, 0.5, "all zero", transform=ax.transAxes, ha="center", color=UNUSED)
    every = names and name_ticks(ax.xaxis, places, [names[j] for j in order])
    some = every or (names and name_ticks(ax.xaxis, places[coloured], [names[j] for j in order[coloured]]))
    if len(order) < p:
        ax.set_xlabel(f"the {len(order)} largest of {p} inputs")
    elif not some:
        whole_numbers(ax.xaxis)
        ax.set_xlabel("input $j$")
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.3)
    return ax


def kappa_path(
    path: PathResult,
    chosen: Selection | float | None = None,
    highlight: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    highlighted: str = "selected",
    others: str = "not selected",
) -> Axes:
    """Norm of every column of B, or of (B; D) if these are grouped, against kappa.

    Parameters
    ----------
    path : PathResult
    chosen : Selection or float, optional
        The selection made from the path, or a kappa to mark.
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour, such as the true ones if known; by default the chosen ones, or those that remain at the
        end.
    ax : Axes, optional
    names : sequence of str, optional
        Names of the inputs; the highlighted lines, and the largest three of the others, are labelled with them at
        their left ends. The problem's by default.
    highlighted, others : str
        Legend labels of the two groups.

    Raises
    ------
    InvalidInputError
        Not a path, or an array of the wrong length.
    """
    check_kind("path", path, PathResult)
    ax = axes_of(ax)
    problem, kappas, norms = path.problem, path.kappas, path.column_norms
    names = problem.input_names if names is None else check_names("names", names, problem.n_inputs, "u")
    if chosen is not None and not isinstance(chosen, Selection):
        chosen = check_number("chosen", chosen, 0, remedy="Pass a Selection, or a kappa to mark")
    if highlight is None:
        highlight = chosen.support if isinstance(chosen, Selection) else norms[-1] > 0
    highlight = check_mask("highlight", highlight, problem.n_inputs)
    for colour, group, width, label in ((UNUSED, ~highlight, 0.9, others), (USED, highlight, 1.4, highlighted)):
        for i, j in enumerate(np.flatnonzero(group)):
            ax.plot(kappas, norms[:, j], color=colour, lw=width, marker=".", ms=3, label=None if i else label)
    if chosen is not None:
        kappa, label = _mark(chosen)
        ax.axvline(kappa, color=MARK, ls="--", lw=1.2, label=label)
    logarithmic(ax.xaxis, kappas)
    if problem.group_form == "constraint":
        ax.invert_xaxis()  # sparser to the right, as in the penalty form
    top = ax.get_ylim()[1]
    legend_above(ax)
    rest = np.flatnonzero(~highlight & (norms[0] > 0))
    largest = rest[np.argsort(-norms[0, rest], kind="stable")]
    # The largest of the others is what a reader asks about.
    for n in range(MOST_OTHERS, -1, -1):
        named = [*np.flatnonzero(highlight), *largest[:n]]
        colours = {names[j]: USED if highlight[j] else UNUSED for j in named}
        if not named or label_lines(ax, float(kappas[0]), colours, {names[j]: norms[0, j] for j in named}, top):
            break
    ax.set_xlabel(r"$\kappa$, the weight" if problem.group_form == "penalty" else r"$\kappa$, the bound")
    ax.set_ylabel(norm_label(problem))
    ax.grid(alpha=0.3)
    return ax


def _mark(chosen: Selection | float) -> tuple[float, str]:
    """Where a choice is marked, and what the legend says of the mark: score tests may have left the path."""
    kappa = chosen.kappa if isinstance(chosen, Selection) else chosen
    if not isinstance(chosen, Selection) or (kappa == chosen.chosen_kappa and chosen.on_path):
        return kappa, rf"chosen $\kappa$ = {kappa:.3g}"
    return kappa, rf"$\kappa$ = {kappa:.3g}, {'has these inputs' if chosen.on_path else 'nearest point of the path'}"
