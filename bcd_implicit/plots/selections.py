"""How sure a selection is: p-values of its score tests, how often halves repeat it, intervals of its effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.plots.arguments import axes_of, check_kind, place_of_output
from bcd_implicit.plots.axes import label_rows, name_ticks, room_for_rows, rows
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.uncertainty import Uncertainty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A p-value below this is drawn at it: the scale is logarithmic.
LEAST = 1e-300


def p_values(selection: Selection, ax: Axes | None = None) -> Axes:
    """The p-value of each input's last score test as a bar, the smallest at the top, with the level.

    Selected inputs are in colour. An input stays if its p-value is below the level, and enters if it is below a fifth
    of it.

    Parameters
    ----------
    selection : Selection
        One with score tests.
    ax : Axes, optional
        As many rows are drawn as fit, 30 at most.

    Raises
    ------
    InvalidInputError
        Not a selection, or a selection without score tests.
    """
    check_kind("selection", selection, Selection)
    ax = axes_of(ax)
    facts = selection.explain().table.dropna(subset="p_value")
    if facts.empty or selection.level is None:
        raise InvalidInputError("selection", "has no score tests", "Choose with path.select(level=0.05)")
    facts = facts.sort_values("p_value", kind="stable")
    shown = facts.iloc[: room_for_rows(ax)]
    values = shown["p_value"].clip(lower=LEAST).to_numpy()
    # The scale is logarithmic, with 1 at the left.
    _bars(ax, values - 1, shown["selected"].to_numpy(dtype=bool), left=1.0)
    ax.set_xscale("log")
    ax.set_xlim(1.0, min(values.min(), selection.level / 5) ** 1.1)
    ax.axvline(selection.level, color=MARK, ls="--", lw=1.2, label=f"level {selection.level:g}, to stay")
    ax.axvline(selection.level / 5, color=MARK, ls=":", lw=1.2, label=f"{selection.level / 5:g}, to enter")
    _name_rows(ax, list(shown["input"]), len(facts), "smallest")
    ax.set_xlabel("p-value, for all inputs together")
    ax.grid(axis="x", alpha=0.3)
    return ax


def stability(of: Uncertainty, ax: Axes | None = None) -> Axes:
    """How often halves of the samples select each input, as bars; selected inputs are in colour.

    Parameters
    ----------
    of : Uncertainty
        The result of ``selection.uncertainty()``, with halves.
    ax : Axes, optional
        As many rows are drawn as fit, 30 at most.

    Raises
    ------
    InvalidInputError
        Not an Uncertainty, or no halves.
    """
    check_kind("of", of, Uncertainty)
    ax = axes_of(ax)
    if not of.n_halves:
        raise InvalidInputError("of", "has no halves", "Ask for some: selection.uncertainty(n_halves=20)")
    found = of.frequencies.sort_values("frequency", ascending=False, kind="stable")
    shown = found.iloc[: room_for_rows(ax)]
    _bars(ax, shown["frequency"].to_numpy(), shown["selected"].to_numpy(dtype=bool))
    ax.axvline(0.5, color=MARK, ls="--", lw=1.2)
    ax.set_xlim(0, 1.02)
    _name_rows(ax, list(shown["input"]), len(found), "most frequent")
    ax.set_xlabel(f"share of {of.n_halves} halves that select it")
    ax.grid(axis="x", alpha=0.3)
    return ax


def effects(of: Uncertainty, output: str | int = 0, ax: Axes | None = None) -> Axes:
    """The mean slope of a prediction in each selected input, with its interval; the largest at the top.

    Parameters
    ----------
    of : Uncertainty
        The result of ``selection.uncertainty()``, with refits.
    output : str or int
        The output, by name or index.
    ax : Axes, optional
        As many rows are drawn as fit, 30 at most.

    Raises
    ------
    InvalidInputError
        Not an Uncertainty, no refits, no inputs, or an unknown output.
    """
    check_kind("of", of, Uncertainty)
    ax = axes_of(ax)
    if not of.n_refits or of.effects.empty:
        cause, remedy = "has no refits", "Ask for some: selection.uncertainty(n_refits=100)"
        if of.n_refits:
            cause, remedy = "is of a selection without inputs", "There is nothing to draw"
        raise InvalidInputError("of", cause, remedy)
    names = list(dict.fromkeys(of.effects["output"]))
    name = names[place_of_output(output, names)]
    found = of.effects[of.effects["output"] == name]
    found = found.iloc[np.argsort(-found["effect"].abs().to_numpy(), kind="stable")]
    shown = found.iloc[: room_for_rows(ax)]
    places = np.arange(len(shown))
    ax.hlines(places, shown["low"], shown["high"], color=USED, lw=2, alpha=0.6, label=f"{of.confidence:.0%} of refits")
    ax.plot(shown["effect"], places, "o", ms=5, color=USED, label="effect")
    ax.axvline(0, color=UNUSED, lw=0.8)
    _name_rows(ax, list(shown["input"]), len(found), "largest")
    ax.set_xlabel(f"mean slope of {name}", parse_math=False)
    ax.grid(axis="x", alpha=0.3)
    return ax


def _bars(ax: Axes, lengths: np.ndarray, kept: np.ndarray, left: float = 0.0) -> None:
    """A bar a row, those of selected inputs in colour."""
    places = np.arange(len(lengths))
    for members, colour, label in ((kept, USED, "selected"), (~kept, UNUSED, "not selected")):
        if members.any():
            ax.barh(places[members], lengths[members], left=left, height=0.7, color=colour, label=label)


def _name_rows(ax: Axes, names: list[str], n_all: int, which: str) -> None:
    """Rows with these names, a legend below them, and how many of all they are."""
    rows(ax, names)
    name_ticks(ax.yaxis, np.arange(len(names)), names)
    if len(names) < n_all:
        label_rows(ax, f"the {len(names)} {which} of {n_all}")
