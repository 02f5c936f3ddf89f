"""Names beside points: inside the frame, on no line and on no other name."""

import numpy as np
import pytest
from matplotlib.path import Path

from bcd_implicit.plots.point_names import name_points


@pytest.mark.parametrize("turned", [False, True])
def test_names_are_where_there_is_room(ax, turned):
    points = np.array([[0.447, 0.14], [0.522, 0.257], [0.534, 0.33], [0.585, 0.76], [0.555, 0.545]])
    if turned:
        points = points * [-1, 1]
    ax.plot(*points[:4].T, marker="o")
    ax.plot(*points[4:].T, "D")
    ax.margins(0.08)
    name_points(ax, ["0.7", "1.5", "3", "plain", "a very long name of a baseline model"], points, [points[:4]])
    assert [text.get_text() for text in ax.texts] == ["0.7", "1.5", "3", "plain", "a very long …eline model"]
    frame, line = ax.get_window_extent(), Path(ax.transData.transform(points[:4]))
    boxes = [text.get_window_extent() for text in ax.texts]
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        assert not line.intersects_bbox(box, filled=False)
        assert not box.count_overlaps([*boxes[:i], *boxes[i + 1 :]])


def test_close_points_have_names_apart(ax):
    points = np.array([[0.5, 0.5], [0.502, 0.5], [0.5, 0.502], [0.502, 0.502]])
    ax.plot([0, 1], [0, 1], ls="")
    name_points(ax, list("abcd"), points, [])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(box.count_overlaps([*boxes[:i], *boxes[i + 1 :]]) for i, box in enumerate(boxes))
