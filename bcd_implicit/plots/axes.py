"""What keeps axes legible: names that fit, whole numbers, logarithmic scales with a place for zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.isotonic import isotonic_regression

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


# Names of ticks are as large as fits, in points, and left out where even the smallest are too large.
LARGEST_FONT, SMALLEST_FONT = 8.3, 5.5
# Names beside lines.
LABEL_FONT = 7.0
# From one line of text to the next, in font sizes.
LINE = 1.4
# What a legend's column takes beside its text, in font sizes.
HANDLE = 4.5
# The height in points of a legend of two lines, and of each of them.
LEGEND, LEGEND_LINE = 42.0, 14.0
# More rows than this nobody reads.
MOST_ROWS = 30
# Longer names lose their middle.
LONGEST_NAME = 24


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def logarithmic(axis: Axis, values: np.ndarray, least: float = 0.0) -> None:
    """A logarithmic scale; linear below the smallest value above ``least``, where there are smaller ones or zeros."""
    from matplotlib.ticker import LogLocator, NullFormatter

    positive = values[values > least]
    set_scale = axis.axes.set_xscale if _horizontal(axis) else axis.axes.set_yscale
    if len(positive) and (values <= least).any():
        set_scale("symlog", linthresh=10 ** np.floor(np.log10(positive.min())))
        # Unlike a logarithmic scale this one leaves limits as they are if they have been asked for.
        axis.axes.autoscale_view(scalex=_horizontal(axis), scaley=not _horizontal(axis))
    elif len(positive):
        set_scale("log")
        decades = np.log10(positive.max() / positive.min())
        if decades < 3:  # matplotlib's own labels would be few, or overlap
            enough = length_in_points(axis) > 3 * (1 + decades) * (40 if _horizontal(axis) else 15)
            few = decades >= 2 and length_in_points(axis) < 2 * (1 + decades) * (25 if _horizontal(axis) else 10)
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if enough else (1,) if few else (1, 3)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())


def span(axis: Axis, least: float) -> None:
    """Limits apart by this share of the values at the least: closer ones have labels of many digits, or an offset."""
    low, high = axis.get_view_interval()
    middle, half = (low + high) / 2, max(high - low, least * max(abs(low), abs(high))) / 2
    axis.axes.set(**{"xlim" if _horizontal(axis) else "ylim": (middle - half, middle + half)})


def headroom(ax: Axes, share: float = 0.3) -> None:
    """Room above the curves for a legend: this share of what they take."""
    scale = ax.yaxis.get_transform()
    bottom, top = scale.transform(ax.get_ylim())
    ax.set_ylim(top=float(scale.inverted().transform(top + share * (top - bottom))))


def legend_width(labels: Sequence[str], n_columns: int) -> float:
    """About how wide a legend is, in font sizes; it is filled column by column."""
    lines = -(-len(labels) // n_columns)
    columns = [labels[k : k + lines] for k in range(0, len(labels), lines)]
    return sum(HANDLE + width_of(max(column, key=len), 1.0) for column in columns)


def legend_above(ax: Axes) -> None:
    """A legend above the curves, in letters that are as large as fit, with room made for it."""
    labels, length = ax.get_legend_handles_labels()[1], length_in_points(ax.xaxis)
    n_columns = next((n for n in (3, 2) if legend_width(labels, n) * LARGEST_FONT < length), 1)
    font = float(np.clip(length / legend_width(labels, n_columns), SMALLEST_FONT, LARGEST_FONT))
    lines = -(-len(labels) // n_columns)
    # One line more for its frame.
    share = min((lines + 1) * LINE * font / length_in_points(ax.yaxis), 0.5)
    headroom(ax, share / (1 - share))
    ax.legend(loc="upper right", fontsize=font, ncols=n_columns, framealpha=0.9)


def rows(ax: Axes, names: list[str]) -> None:
    """Rows from the top to the bottom, and below them room for a legend that is no wider than the axes."""
    labels = ax.get_legend_handles_labels()[1]
    # A layout that makes room for names takes it from the axes.
    room = max(length_in_points(ax.xaxis) - width_of(max(names, key=len)[:LONGEST_NAME], LARGEST_FONT), 1.0)

    n_columns = next((n for n in (3, 2) if len(labels) > n and legend_width(labels, n) * LARGEST_FONT < room), 1)
    font = float(np.clip(length_in_points(ax.xaxis) / legend_width(labels, n_columns), SMALLEST_FONT, LARGEST_FONT))
    more_lines = -(-len(labels) // n_columns) - 2
    share = min((LEGEND + more_lines * LEGEND_LINE * font / LARGEST_FONT) / length_in_points(ax.yaxis), 0.5)
    ax.set_ylim(-0.6 + (len(names) + 0.2) / (1 - share), -0.6)
    ax.legend(fontsize=font, loc="lower center", ncols=n_columns, framealpha=1)


def room_for_rows(ax: Axes) -> int:
    """How many rows with names there is room for, and no more than a person would look at."""
    return min(MOST_ROWS, lines_that_fit(length_in_points(ax.yaxis) - LEGEND, LARGEST_FONT))


def label_rows(ax: Axes, text: str) -> None:
    """What the rows are, along the axis and no longer than it."""
    ax.set_ylabel(text, fontsize=min(10.0, length_in_points(ax.yaxis) / width_of(text, 1.0)))


def _horizontal(axis: Axis) -> bool:
    return axis is axis.axes.xaxis


def length_in_points(axis: Axis) -> float:
    """Length of an axis in points, as things stand now."""
    box = axis.axes.bbox
    return 72 * (box.width if _horizontal(axis) else box.height) / axis.axes.figure.dpi


def lines_that_fit(length: float, font: float) -> int:
    """How many lines of text there is room for, in points: one at the least."""
    return max(1, int(length / (LINE * font)))


def shortened(names: Sequence[str]) -> list[str]:
    """The names, long ones without their middle, or, where that does not tell them apart, without what they share.

    Empty where neither does.
    """
    half = LONGEST_NAME // 2
    short = [
        name if len(name) <= LONGEST_NAME else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[1 - half :]}"
        for name in names
    ]
    if len(set(short)) == len(set(names)):
        return short
    letters = list(zip(*names, strict=False))
    shared = next((k for k, those in enumerate(letters) if len(set(those)) > 1), len(letters))
    begin = max(0, shared - half // 2)
    kept = [name[begin : begin + LONGEST_NAME - 2] for name in names]
    if len(set(kept)) < len(set(names)):
        return []
    return [f"\N{HORIZONTAL ELLIPSIS}{name}\N{HORIZONTAL ELLIPSIS}" for name in kept]


def width_of(text: str, font: float) -> float:
    """About how wide a text is, in points: letters are about 0.6 font sizes wide."""
    return 0.6 * font * len(text)


def name_ticks(axis: Axis, places: np.ndarray, names: Sequence[str]) -> bool:
    """Name places on an axis, if the names fit; whether they do."""
    low, high = axis.get_view_interval()
    closest = np.diff(places).min(initial=abs(high - low))
    size = min(length_in_points(axis) * closest / abs(high - low) / LINE, LARGEST_FONT)
    shown = shortened(names)
    if size < SMALLEST_FONT or not shown:
        return False
    turned: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if _horizontal(axis) else {}
    axis.set_ticks(places, shown, fontsize=size, parse_math=False, **turned)
    return True


def label_lines(ax: Axes, x: float, colours: dict[str, str], heights: dict[str, float], top: float) -> bool:
    """Names beside the ends of lines at x, below ``top``, moved apart where they would overlap; whether there is room.

    If there is not, none are drawn.
    """
    names = sorted(heights, key=lambda name: heights[name])
    shown = shortened(names)
    if not shown:
        return False
    bottom, highest = ax.get_ylim()
    gap = LINE * LABEL_FONT / length_in_points(ax.yaxis) * (highest - bottom)
    share = (3 * LABEL_FONT + width_of(max(shown, key=len), LABEL_FONT)) / length_in_points(ax.xaxis)
    scale = ax.xaxis.get_transform()
    here, right = scale.transform([x, ax.get_xlim()[1]])
    if len(heights) * gap > top - bottom or share > 0.5 or here == right:
        return False
    ax.set_xlim(left=float(scale.inverted().transform((here - share * right) / (1 - share))))
    places = np.array(sorted(heights.values()))
    # The least squares of the moves, with a line of text between neighbours and all of them inside.
    steps = gap * np.arange(len(places))
    places = steps + isotonic_regression(places - steps, y_min=bottom + gap / 2, y_max=top - gap / 2 - steps[-1])
    line = {"arrowstyle": "-", "lw": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (1, 0.5)}
    for name, text, place in zip(names, shown, places, strict=True):
        height, colour = heights[name], colours[name]
        ax.annotate(
            text,
            (x, height),
            (-2 * LABEL_FONT, place),
            textcoords=("offset points", "data"),
            arrowprops=line | {"color": colour},
            ha="right",
            va="center",
            fontsize=LABEL_FONT,
            color=colour,
            parse_math=False,
        )
    return True
