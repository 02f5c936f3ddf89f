"""How sure a selection is: p-values of its score tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.plots.arguments import axes_of, check_kind
from bcd_implicit.plots.axes import label_rows, name_ticks, room_for_rows, rows
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.selection.choice import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A p-value below this is drawn at it: the scale is logarithmic.
LEAST = 1e-300


def p_values(selection: Selection, ax: Axes | None = None) -> Axes:
    """The p-value of each input's last score test, the smallest at the top, beside the level; a bar each.

    Selected inputs are in colour. To stay, a p-value has to be below the level; to enter, below a fifth of it.

    Parameters
    ----------
    selection : Selection
        One with score tests.
    ax : Axes, optional
        As many rows are drawn as it has room for, 30 at most.

    Raises
    ------
    InvalidInputError
        No selection, or one without score tests.
    """
    check_kind("selection", selection, Selection)
    ax = axes_of(ax)
    facts = selection.explain().table.dropna(subset="p_value")
    if facts.empty or selection.level is None:
        raise InvalidInputError("selection", "has no score tests", "Choose with path.select(level=0.05)")
    facts = facts.sort_values("p_value", kind="stable")
    shown = facts.iloc[: room_for_rows(ax)]
    places, values = np.arange(len(shown)), shown["p_value"].clip(lower=LEAST).to_numpy()
    kept = shown["selected"].to_numpy(dtype=bool)
    for members, colour, label in ((kept, USED, "selected"), (~kept, UNUSED, "not selected")):
        if members.any():
            # From 1, at the left.
            ax.barh(places[members], values[members] - 1, left=1.0, height=0.7, color=colour, label=label)
    ax.set_xscale("log")
    ax.set_xlim(1.0, min(values.min(), selection.level / 5) ** 1.1)
    ax.axvline(selection.level, color=MARK, ls="--", lw=1.2, label=f"level {selection.level:g}, to stay")
    ax.axvline(selection.level / 5, color=MARK, ls=":", lw=1.2, label=f"{selection.level / 5:g}, to enter")
    names = list(shown["input"])
    rows(ax, names)
    name_ticks(ax.yaxis, places, names)
    if len(shown) < len(facts):
        label_rows(ax, f"the {len(shown)} smallest of {len(facts)}")
    ax.set_xlabel("p-value, for all inputs together")
    ax.grid(axis="x", alpha=0.3)
    return ax
