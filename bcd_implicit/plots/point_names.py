"""Names beside points of a plot, where they cover least."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.plots.axes import LABEL_FONT, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# From a point to its name, in points.
GAP = 4.0
# Right or left, above or below: 1 or -1. The first is taken where several are as good.
CORNERS = tuple(product((1, -1), (1, -1)))
# Lines are looked at in so many places from one of their points to the next.
STEPS = 50


def name_points(ax: Axes, names: Sequence[str], points: np.ndarray, lines: Sequence[np.ndarray]) -> None:
    """Write a name at that corner of each point (k, 2) where it is inside the frame and on no name or line, if any is.

    Long names lose their middle. ``lines``, of shape (n, 2) each, are what else is drawn.
    """
    # Asking for limits is what sets them by what is drawn.
    ax.get_xlim(), ax.get_ylim()
    share = 72 / ax.figure.dpi
    frame = share * ax.bbox.get_points()
    places = share * ax.transData.transform(points)
    covered = np.concatenate([places, *(_along(share * ax.transData.transform(line)) for line in lines)])
    taken: list[np.ndarray] = []
    for name, point, place in zip(shortened(names) or names, points, places, strict=True):
        # Letters are about 0.6 font sizes wide.
        size = LABEL_FONT * np.array([0.6 * len(name), 1.0])
        boxes = [np.sort([place + GAP * corner, place + (GAP + size) * corner], axis=0) for corner in np.array(CORNERS)]
        costs = [_cost(box, frame, taken, covered) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        right, up = CORNERS[best]
        ax.annotate(
            name,
            (point[0], point[1]),
            (GAP * right, GAP * up),
            textcoords="offset points",
            ha="left" if right > 0 else "right",
            va="bottom" if up > 0 else "top",
            fontsize=LABEL_FONT,
            parse_math=False,
        )


def _along(line: np.ndarray) -> np.ndarray:
    """Places on a line, (k, 2)."""
    at = np.arange(len(line))
    finer = np.linspace(0, len(line) - 1, STEPS * max(len(line) - 1, 1) + 1)
    return np.column_stack([np.interp(finer, at, values) for values in line.T])


def _cost(box: np.ndarray, frame: np.ndarray, taken: Sequence[np.ndarray], covered: np.ndarray) -> tuple[float, ...]:
    """What is outside the frame, in points, then how many names, then how many places of lines are covered."""
    outside = float(np.maximum(frame[0] - box[0], 0).sum() + np.maximum(box[1] - frame[1], 0).sum())
    names = sum(bool(((box[0] < other[1]) & (other[0] < box[1])).all()) for other in taken)
    return outside, float(names), float(((box[0] < covered) & (covered < box[1])).all(axis=1).sum())
