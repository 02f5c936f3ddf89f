"""Bars of column norms and lines of a path."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from shown import colours, legend, tick_names

from bcd_implicit import TrainingProblem, kappa_path, plots, solve
from bcd_implicit.plots.axes import SMALLEST_FONT

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def test_bars_are_the_norms(ax):
    norms = np.array([0.5, 0.0, 2.0])
    assert plots.column_norms(norms, ax=ax) is ax
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.0, 2.0]
    used, unused = to_rgba(plots.USED), to_rgba(plots.UNUSED)
    assert colours(ax.patches) == [used, unused, used]
    assert ax.get_xlabel() == "input $j$"
    assert "B e_j" in ax.get_ylabel()


def test_bars_in_the_colours_asked_for(ax):
    plots.column_norms(np.array([0.5, 0.0, 2.0]), highlight=[False, True, False], ax=ax)
    used, unused = to_rgba(plots.USED), to_rgba(plots.UNUSED)
    assert colours(ax.patches) == [unused, used, unused]


def test_bars_of_a_model_have_its_names(ax, model):
    plots.column_norms(model, ax=ax)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([np.hypot(1, 0.5), 0.0, 2.0])
    assert tick_names(ax.xaxis) == model.input_names
    ax.figure.draw_without_rendering()  # dollar signs are no formula


def test_bars_of_a_result_are_those_of_its_groups(ax, problem, result):
    plots.column_norms(result, ax=ax)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], np.linalg.norm(result.iterate.B, axis=0))
    assert tick_names(ax.xaxis) == ["u0", "u1", "u2", "u3"]
    stacked = solve(TrainingProblem(problem.U.T, problem.Y.T, 2, group_over="BD"), max_cycles=2)
    other = Figure().subplots()
    plots.column_norms(stacked, ax=other)
    both = np.vstack([stacked.iterate.B, stacked.iterate.D])
    np.testing.assert_allclose([bar.get_height() for bar in other.patches], np.linalg.norm(both, axis=0))
    assert "(B; D)" in other.get_ylabel()


def test_bars_of_a_choice_are_those_of_its_refit(ax, chosen):
    plots.column_norms(chosen, ax=ax)
    heights = np.array([bar.get_height() for bar in ax.patches])
    np.testing.assert_array_equal(heights > 0, chosen.support)


def test_circles_mark_the_truth(ax):
    plots.column_norms(np.array([0.5, 0.0, 2.0]), truth=[True, True, False], ax=ax)
    (circles,) = ax.lines
    np.testing.assert_array_equal(circles.get_xydata(), [[0, 0.5], [1, 0.0]])  # one of them missed
    assert legend(ax) == ["truly used"]


def test_the_truth_may_be_indices(ax):
    plots.column_norms(np.array([0.5, 0.0, 2.0]), truth=[0, 1], highlight=[2], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0, 0.5], [1, 0.0]])
    unused = to_rgba(plots.UNUSED)
    assert colours(ax.patches) == [unused, unused, to_rgba(plots.USED)]


def test_sorted_bars_fall(ax):
    truth = np.array([True, False, False])
    plots.column_norms(np.array([0.5, 0.0, 2.0]), names=["a", "b", "c"], truth=truth, sort=True, ax=ax)
    assert [bar.get_height() for bar in ax.patches] == [2.0, 0.5, 0.0]
    assert tick_names(ax.xaxis) == ["c", "a", "b"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 0.5]])


def test_of_many_sorted_bars_the_largest_are_shown(ax):
    norms = np.random.default_rng(0).permutation(200)
    plots.column_norms(norms, sort=True, ax=ax)
    k = len(ax.patches)
    assert 20 < k < 100
    assert [bar.get_height() for bar in ax.patches] == list(range(199, 199 - k, -1))
    assert ax.get_xlabel() == f"the {k} largest of 200 inputs"
    assert tick_names(ax.xaxis) == [str(j) for j in np.argsort(-norms)[:k]]


def test_names_that_do_not_fit_give_way_to_those_in_colour_or_to_numbers(ax):
    names, norms = [f"name{j}" for j in range(200)], np.zeros(200)
    norms[[3, 90]] = 1.0
    plots.column_norms(norms, names=names, ax=ax)
    assert tick_names(ax.xaxis) == ["name3", "name90"]
    assert ax.get_xticks().tolist() == [3, 90]
    other = Figure().subplots()
    plots.column_norms(norms + 1, names=names, ax=other)
    assert other.get_xlabel() == "input $j$ (no room for names)"
    assert not any("name" in name for name in tick_names(other.xaxis))
    assert all(tick == round(tick) for tick in other.get_xticks())


@pytest.mark.parametrize(("width", "n_names"), [(6.4, 40), (14, 100), (3, 15)])
def test_names_under_bars_do_not_overlap(width, n_names):
    figure = Figure(figsize=(width, 5))  # as high as names of 24 letters need
    ax = figure.subplots()
    names = [f"{j} is a rather long name that nobody needs" for j in range(n_names)]
    plots.column_norms(np.ones(n_names), names=names, ax=ax)
    labels = ax.get_xticklabels()
    assert [label.get_text() for label in labels] == [f"{name[:12]}…obody needs" for name in names]
    figure.draw_without_rendering()
    pitch = ax.bbox.width / np.diff(ax.get_xlim())[0] * 72 / figure.dpi
    assert labels[0].get_fontsize() < pitch * np.sin(np.pi / 3)  # lines of text at 60 degrees are that far apart
    assert labels[0].get_fontsize() >= SMALLEST_FONT


def test_names_that_differ_in_the_middle_only_are_not_cut_to_the_same(ax):
    names = [f"a long beginning with {j} and a long end" for j in range(3)]
    plots.column_norms(np.ones(3), names=names, ax=ax)
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert [f"with {j} and" in name for j, name in enumerate(shown)] == [True] * 3


def test_bars_of_nothing_say_so(ax):
    plots.column_norms(np.zeros(3), truth=[False] * 3, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["all zero"]
    ax.figure.draw_without_rendering()


def test_path_is_a_line_an_input(ax, path):
    highlight = np.array([False, True, False, True])
    assert plots.kappa_path(path, 0.1, highlight, ax, highlighted="good", others="bad") is ax
    *lines, mark = ax.lines
    assert len(lines) == 4
    for line, j in zip(lines, [0, 2, 1, 3], strict=True):  # grey first, the highlighted on top
        np.testing.assert_array_equal(line.get_xdata(), [0.01, 0.1, 0.3])
        np.testing.assert_array_equal(line.get_ydata(), path.column_norms[:, j])
        assert line.get_color() == (plots.USED if highlight[j] else plots.UNUSED)
    np.testing.assert_array_equal(mark.get_xdata(), [0.1, 0.1])
    assert legend(ax) == ["bad", "good", r"chosen $\kappa$ = 0.1"]
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == r"$\kappa$, the weight"


def test_path_highlights_what_is_left_at_the_end(ax, path):
    plots.kappa_path(path, ax=ax)
    left = path.column_norms[-1] > 0
    assert len(ax.lines) == 4  # no mark without a choice
    assert [line.get_color() for line in ax.lines].count(plots.USED) == left.sum()


def test_path_highlights_what_was_chosen(ax, path, chosen):
    plots.kappa_path(path, chosen, ax=ax)
    *lines, mark = ax.lines
    np.testing.assert_array_equal(mark.get_xdata(), [chosen.kappa] * 2)
    red = [line.get_ydata() for line in lines if line.get_color() == plots.USED]
    np.testing.assert_array_equal(red, path.column_norms[:, chosen.support].T)
    coloured = {text.get_text() for text in ax.texts if text.get_color() == plots.USED}
    assert coloured == set(chosen.names)


def test_the_mark_says_where_the_choice_lies_on_the_path(ax, path, chosen):
    """Score tests may choose inputs that no kappa of the path has."""

    def mark(selection):
        plots.kappa_path(path, selection, ax=ax)
        label = ax.lines[-1].get_label()
        ax.clear()
        return label

    at = rf"$\kappa$ = {chosen.kappa:.3g}"
    assert mark(chosen) == f"{at}, nearest point of the path"
    there = replace(chosen, support=path.supports[chosen.index])
    assert mark(there) == f"{at}, where these inputs are left"  # asked for by their number
    assert mark(replace(there, rule="min", table=chosen.table.assign(chosen=True))) == f"chosen {at}"


def heights(ax):
    """The labels of the lines, and the heights at which they stand."""
    return {text.get_text(): text.get_position()[1] for text in ax.texts}


def assert_labels_apart(ax):
    ax.figure.draw_without_rendering()
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)  # without their lines
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    assert all(ax.bbox.x0 <= box.x0 for box in boxes)
    assert boxes[-1].y1 <= ax.bbox.y1


def test_lines_of_the_path_carry_names_without_overlap(ax, path):
    names = ["a", "b_$x$", "c", "d"]
    plots.kappa_path(path, highlight=np.array([True, True, False, True]), names=names, ax=ax)
    labels = heights(ax)
    assert set(labels) == {"a", "b_$x$", "d", "c"}  # the largest of the others too
    assert {text.get_text() for text in ax.texts if text.get_color() == plots.UNUSED} == {"c"}
    assert_labels_apart(ax)
    for text in ax.texts:  # each line leads to its own curve
        assert text.xy == (path.kappas[0], path.column_norms[0, names.index(text.get_text())])


def test_labels_keep_the_order_of_lines_that_coincide(ax, path, monkeypatch):
    norms = np.array([[1.0, 1.0 + 1e-9, 1.0 + 2e-9, 0.0], [0.5] * 4, [0.2] * 4])
    monkeypatch.setattr(type(path), "column_norms", norms)
    plots.kappa_path(path, highlight=np.ones(4, dtype=bool), ax=ax)
    labels = heights(ax)
    assert_labels_apart(ax)
    assert labels["u0"] < labels["u1"] < labels["u2"] < ax.get_ylim()[1]
    assert labels["u3"] == pytest.approx(0.0)  # far from the others: it stays


def test_path_of_bounds_gets_sparser_to_the_right(ax, problem):
    path = kappa_path(problem.replace(group_form="constraint"), kappas=[2.0, 0.2], max_cycles=2)
    plots.kappa_path(path, ax=ax)
    left, right = ax.get_xlim()
    assert left > 2.0 > 0.2 > right
    assert ax.get_xlabel() == r"$\kappa$, the bound"


def test_path_from_zero_and_path_to_nothing(ax, problem):
    plots.kappa_path(kappa_path(problem, kappas=[0.0, 0.1, 0.2], max_cycles=2), ax=ax)
    assert ax.get_xscale() == "symlog"
    assert ax.get_xlim()[0] <= 0
    other = Figure().subplots()
    with pytest.warns(UserWarning, match="no input is in even at the first kappa"):
        empty = kappa_path(problem, kappas=[100.0], max_cycles=2)
    plots.kappa_path(empty, ax=other)
    assert all(line.get_ydata() == [0.0] for line in other.lines)
    for axes in (ax, other):
        axes.figure.draw_without_rendering()


def test_labels_of_a_short_logarithmic_axis_do_not_overlap(ax, problem):
    path = kappa_path(problem, kappas=[0.02, 0.05, 0.3], max_cycles=2)
    plots.kappa_path(path, ax=ax)
    ax.figure.draw_without_rendering()
    left, right = ax.get_xlim()
    shown = [t for t in ax.get_xticklabels() + ax.get_xticklabels(minor=True) if t.get_text()]
    boxes = [t.get_window_extent() for t in shown if left <= t.get_position()[0] <= right]
    assert len(boxes) >= 2
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


@pytest.mark.parametrize("size", [(5, 4), (2.4, 1.8)])
def test_the_legend_of_a_path_covers_no_curve(path, size):
    figure = Figure(figsize=size)
    ax = figure.subplots()
    plots.kappa_path(path, 0.1, ax=ax)
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    points = np.vstack([ax.transData.transform(line.get_xydata()) for line in ax.lines[:-1]])
    assert points[:, 1].max() < box.y0
