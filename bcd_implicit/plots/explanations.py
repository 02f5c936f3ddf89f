"""Which inputs could have changed a prediction, and which the model needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bcd_implicit.model.explanations import Explanation, Importance
from bcd_implicit.plots.arguments import axes_of, check_kind, place_of_output
from bcd_implicit.plots.axes import (
    label_rows,
    length_in_points,
    name_ticks,
    room_for_rows,
    rows,
    width_of,
)
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# By measure, in the order of the table.
MARKERS = dict(zip(("permutation", "slope", "sensitivity", "norm_B", "norm_D"), "osDv^", strict=True))
# Colours that the others do not have.
COLOURS = dict(zip(MARKERS, (USED, MARK, "#55a868", "#8172b3", "#ccb974"), strict=True))

# Seen on white and on black.
LINE_COLOUR = "#555555"
# What values have of the axes at the most.
MOST_OF_AXES = 0.4
# A smaller share of the largest number is rounding, and has no scale.
ROUNDING = 1e-6


def explanation(of: Explanation, sample: int = 0, output: str | int = 0, ax: Axes | None = None) -> Axes:
    """A tornado plot: for each input, a bar over the values that it could have given a prediction.

    Pale bars show the certified bounds, dark bars the values reached by an attack. The input with the largest effect is
    at the top; as many inputs are drawn as fit, with their values and radii on the right. For a class, the bars show
    its margin; the part left of 0, where another class is reached, has another colour. For long names, use
    ``plt.subplots(layout="constrained")``.

    Parameters
    ----------
    of : Explanation
        The result of :meth:`~bcd_implicit.model.explanations.explanations.Explanations.explain`.
    sample : int
        Which of its samples.
    output : str or int
        Which of its outputs, by name or index.
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not an Explanation, or an unknown sample or output.
    """
    check_kind("of", of, Explanation)
    m, k, g = of.lower.shape
    i = check_number("sample", sample, 0, m - 1, integer=True, remedy=f"Give a number from 0 to {m - 1}")
    names = [of.question.output_name(i, j) for j in range(k)]
    j = place_of_output(output, names)
    ax = axes_of(ax)
    order = of.order(i, j)[: room_for_rows(ax)]
    places, height = np.arange(len(order)), 0.7
    low, high, inner_low, inner_high = (
        side[i, j, order] for side in (of.lower, of.upper, of.reached_lower, of.reached_upper)
    )
    inner: dict[str, Any] = {"height": 0.55 * height, "lw": 0}
    ax.barh(places, high - low, left=low, height=height, color=MARK, alpha=0.35, lw=0, label="possible at most, proved")
    ax.barh(places, inner_high - inner_low, left=inner_low, color=MARK, label="reached", **inner)
    if of.question.margins and low.min() < 0:
        below = np.minimum(inner_high, 0) - np.minimum(inner_low, 0)
        ax.barh(places, below, left=np.minimum(inner_low, 0), color=USED, label="reached: another class", **inner)
        ax.axvline(0, color=USED, lw=1.2, ls="--")
    ax.axvline(of.prediction[i, j], color=LINE_COLOUR, lw=1.2, label=f"predicted: {of.prediction[i, j]:.4g}")
    left, right, size = low.min(), high.max(), np.abs([low, high]).max()
    # Where only rounding moves the prediction there is no scale but that of the prediction.
    room = 0.04 * (right - left) if right - left > ROUNDING * size else 0.1 * size or 1.0
    ax.set_xlim(left - room, right + room)
    ax.ticklabel_format(axis="x", useOffset=False)
    names = [of.question.groups.names[int(place)] for place in order]
    rows(ax, names)
    if name_ticks(ax.yaxis, places, names):
        _amounts(ax, [of.amount(i, place) for place in order.tolist()], float(ax.get_yticklabels()[0].get_fontsize()))
    if len(order) < g:
        label_rows(ax, f"the {len(order)} that can do most of {g}")
    ax.set_xlabel(of.question.quantity(i, j), parse_math=False)
    ax.grid(axis="x", alpha=0.3)
    return ax


def importance(of: Importance, ax: Axes | None = None) -> Axes:
    """Measures of the importance of each input, each as a share of its largest value: one marker per measure.

    The largest permutation importance is at the top; as many inputs are drawn as fit. For long names, use
    ``plt.subplots(layout="constrained")``.

    Parameters
    ----------
    of : Importance
        The result of :meth:`~bcd_implicit.model.explanations.explanations.Explanations.importance`.
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not an Importance.
    """
    check_kind("of", of, Importance)
    ax = axes_of(ax)
    order = of.order[: room_for_rows(ax)]
    places = np.arange(len(order))
    for name, marker in MARKERS.items():
        values = of.measures[name]
        largest = np.nanmax(values, initial=0.0)
        if largest > 0:
            # A little apart, so that equal ones are all seen.
            apart = 0.12 * (list(MARKERS).index(name) - 2)
            ax.plot(
                values[order] / largest, places + apart, marker, color=COLOURS[name], ms=5, label=name.replace("_", " ")
            )
    ax.hlines(places[:-1] + 0.5, 0, 1, color=UNUSED, lw=0.4, transform=ax.get_yaxis_transform())
    ax.axvline(0, color=UNUSED, lw=0.8)
    names = [of.names[int(place)] for place in order]
    rows(ax, names)
    name_ticks(ax.yaxis, places, names)
    if len(order) < len(of.names):
        label_rows(ax, f"the {len(order)} first of {len(of.names)}")
    ax.set_xlabel("share of the largest")
    ax.grid(axis="x", alpha=0.3)
    return ax


def _amounts(ax: Axes, texts: list[str], font: float) -> None:
    """Texts beside their rows, inside the axes, whose bars leave room for them; none where there is too little."""
    share = width_of("  " + max(texts, key=len), font) / length_in_points(ax.xaxis)
    if share > MOST_OF_AXES:
        return
    left, right = ax.get_xlim()
    ax.set_xlim(right=left + (right - left) / (1 - share))
    where: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    for row, text in enumerate(texts):
        ax.text(0.99, row, text, fontsize=font, color=UNUSED, **where)
