"""Animations of the path and of Picard's iteration, frame by frame."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from bcd_implicit import ImplicitModel, kappa_path, plots
from bcd_implicit.errors import InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def frames(animation):
    """Call the frames of an animation one after the other, as when it is played."""
    for frame in animation.new_frame_seq():
        animation._draw_frame(frame)
        yield frame
    animation._draw_was_started = True  # else matplotlib warns of an animation that nobody saw


def test_the_path_grows_kappa_by_kappa(ax, path):
    highlight = np.array([True, True, False, False])
    animation = plots.animate_path(path, 0.1, highlight, ax, interval=50)
    assert not animation._repeat
    assert animation.event_source.interval == 50
    *lines, mark = ax.lines
    for k in frames(animation):
        assert [len(line.get_xdata()) for line in lines] == [k + 1] * 4
        faded = [line.get_alpha() < 1 for line in lines]
        assert faded == [not path.supports[k, j] for j in (2, 3, 0, 1)]  # the highlighted on top
        assert mark.get_visible() == (path.kappas[k] >= 0.1)
        assert f"{path.supports[k].sum()} of 4 inputs left" in ax.get_title()
    assert k == 2
    still = Figure().subplots()
    plots.kappa_path(path, 0.1, highlight, still)
    assert (ax.get_xlim(), ax.get_ylim()) == (still.get_xlim(), still.get_ylim())
    for line, whole in zip(ax.lines, still.lines, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), whole.get_xydata())


def test_the_mark_of_a_bound_appears_when_the_path_has_fallen_to_it(ax, problem):
    path = kappa_path(problem.replace(group_form="constraint"), kappas=[2.0, 1.0, 0.2], max_cycles=2)
    animation = plots.animate_path(path, 1.0, ax=ax)
    assert [ax.lines[-1].get_visible() for _ in frames(animation)] == [False, True, True]


def test_a_cobweb_grows_line_by_line(ax):
    model = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    animation = plots.animate_cobweb(model, 1.0, ax, starts=[0.0, 4.0], n_steps=2)
    still = Figure().subplots()
    plots.cobweb(model, 1.0, still, starts=[0.0, 4.0], n_steps=2)
    curve, _, first, second, dot, _ = ax.lines
    np.testing.assert_array_equal(curve.get_xydata(), still.lines[0].get_xydata())
    corners = still.lines[2].get_xydata()
    for k in frames(animation):
        np.testing.assert_array_equal(first.get_xydata(), corners[: k + 1])
        np.testing.assert_array_equal(dot.get_xydata(), corners[[k]])
        assert ax.get_title() == f"step {(k + 1) // 2}"
    assert k == 4
    np.testing.assert_array_equal(second.get_xydata(), still.lines[4].get_xydata())


def test_an_animation_of_a_part_of_a_figure_becomes_a_gif(tmp_path):
    figure = Figure(figsize=(2, 2))
    part, _ = figure.subfigures(1, 2)
    model = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    plots.animate_cobweb(model, 1.0, part.subplots(), n_steps=2).save(tmp_path / "a.gif", writer="pillow", dpi=50)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5


def test_what_cannot_be_animated_is_refused(ax, path):
    model = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    for draw, message in (
        (lambda: plots.animate_path(model, ax=ax), "path: is of type ImplicitModel"),
        (lambda: plots.animate_path(path, ax=ax, interval=0), "interval: "),
        (lambda: plots.animate_cobweb(model, 1.0, ax, interval=-1), "interval: "),
        (lambda: plots.animate_cobweb(model, 1.0, ax, n_steps=0), "n_steps: "),
    ):
        with pytest.raises(InvalidInputError, match=message):
            draw()
