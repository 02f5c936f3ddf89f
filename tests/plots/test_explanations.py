"""A tornado of one prediction, and measures of inputs side by side."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from shown import legend, tick_names

from bcd_implicit import ImplicitModel, InvalidInputError, plots


def test_bars_are_bounds_and_what_is_reached_the_widest_on_top(ax, model):
    found = model.explain([1.0, 2.0, 3.0], [0.1, 1.0, 0.2])
    assert plots.explanation(found, ax=ax) is ax
    proved, reached = ax.containers
    order = found.order()
    assert tick_names(ax.yaxis) == [model.input_names[j] for j in order]
    for bars, low, high in (
        (proved, found.lower, found.upper),
        (reached, found.reached_lower, found.reached_upper),
    ):
        assert_allclose([bar.get_x() for bar in bars], low[0, 0, order])
        assert_allclose([bar.get_x() + bar.get_width() for bar in bars], high[0, 0, order], atol=1e-12)
    # The values are beside their rows, rows begin at the top, and nothing touches the edge.
    assert [text.get_text() for text in ax.texts] == [found.amount(0, j) for j in order]
    bottom, top = ax.get_ylim()
    assert bottom > len(order) > 0 > top
    low, high = ax.get_xlim()
    assert low < found.lower.min() <= found.upper.max() < high
    assert ax.get_xlabel() == "price"
    assert legend(ax) == [f"predicted: {found.prediction[0, 0]:.4g}", "possible at most, proved", "reached"]


def test_what_is_reached_of_another_class_stands_out(ax):
    model = ImplicitModel([[0.0]], np.zeros((1, 2)), None, [[0.0]] * 3, [[1.0, 0], [0, 1.0], [0, 0]], link="softmax")
    found = model.explain([2.0, 1.0], [1.5, 0.5])
    plots.explanation(found, ax=ax)
    assert ax.get_xlabel() == "margin of y0"
    assert "reached: another class" in legend(ax)
    below = ax.containers[2]
    assert_allclose([bar.get_width() for bar in below], [0.5, 0.0], atol=1e-12)
    other = Figure().subplots()
    plots.explanation(model.explain([2.0, 1.0], 0.1), ax=other)
    assert "reached: another class" not in legend(other)


def test_where_nothing_can_move_a_line_is_left(ax):
    found = ImplicitModel([[0.0]], [[0.0, 0.0]], None, [[0.0]]).explain([1.0, 1.0], 0.5)
    plots.explanation(found, ax=ax)
    low, high = ax.get_xlim()
    assert low < 0 < high
    assert "u0, u1: nothing would have changed" in str(found)
    # Of a prediction that is not zero rounding is left.
    rounded = ImplicitModel([[0.5]], [[1.0]], [1.0], [[3.0]]).explain([1.0], 0.0)
    plots.explanation(rounded, ax=Figure().subplots())
    assert "u0: nothing would have changed" in str(rounded)


@pytest.mark.parametrize("size", [(3, 2), (5, 4), (10, 4)])
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_values_and_legends_stay_inside_the_axes(size, layout):
    rng = np.random.default_rng(1)
    names = list("abcde") if size == (3, 2) else [f"the value {letter} in units of a deviation" for letter in "abcde"]
    model = ImplicitModel(np.zeros((1, 1)), np.zeros((1, 5)), None, [[0.0]], rng.normal(size=(1, 5)), input_names=names)
    U = rng.normal(size=(20, 5))
    fig = Figure(figsize=size, layout=layout)
    left, right = fig.subplots(1, 2) if size[0] > 5 else (fig.subplots(), Figure(size, layout=layout).subplots())
    plots.explanation(model.explain(U[0], 0.5), ax=left)
    plots.importance(model.importance(U), ax=right)
    for ax in (left, right):
        ax.figure.draw_without_rendering()
        frame = ax.get_window_extent()
        for one in (ax.get_legend(), *ax.texts):
            box = one.get_window_extent()
            assert frame.x0 - 10 <= box.x0 <= box.x1 <= frame.x1 + 10


def test_where_rounding_is_left_the_axis_has_the_scale_of_the_prediction(ax):
    model = ImplicitModel([[0.5]], [[1.0]], [1.0], [[3.0]])
    plots.explanation(model.explain([1.0], 0.0), ax=ax)
    low, high = ax.get_xlim()
    assert high - low > 0.1 * 12
    ax.figure.draw_without_rendering()
    assert not ax.xaxis.get_offset_text().get_text()


def test_many_inputs_are_cut_and_outputs_go_by_name(ax):
    rng = np.random.default_rng(0)
    model = ImplicitModel(np.zeros((1, 1)), rng.normal(size=(1, 60)), None, [[1.0], [2.0]], output_names=["one", "two"])
    found = model.explain(np.zeros((2, 60)), 0.1)
    plots.explanation(found, sample=1, output="two", ax=ax)
    assert ax.get_xlabel() == "two"
    assert ax.get_ylabel() == f"the {len(tick_names(ax.yaxis))} that can do most of 60"
    assert 10 < len(tick_names(ax.yaxis)) <= 30
    other = Figure().subplots()
    plots.importance(model.importance(rng.normal(size=(5, 60))), ax=other)
    assert other.get_ylabel() == f"the {len(tick_names(other.yaxis))} first of 60"


def test_measures_are_shares_of_the_largest(ax, model):
    found = model.importance(np.random.default_rng(0).normal(size=(30, 3)))
    assert plots.importance(found, ax) is ax
    order = np.argsort(-found.measures["permutation"], kind="stable")
    assert tick_names(ax.yaxis) == [found.names[j] for j in order]
    by_name = {line.get_label().replace(" ", "_"): line for line in ax.lines if not line.get_label().startswith("_")}
    assert set(by_name) == set(found.measures)
    for name, line in by_name.items():
        assert_allclose(line.get_xdata(), found.measures[name][order] / found.measures[name].max())


def test_measures_that_are_not_known_are_left_out(ax):
    model = ImplicitModel([[0.0]], [[1.0, 0.0]], None, [[1.0]], activation="square")
    plots.importance(model.importance(np.random.default_rng(0).normal(size=(20, 2))), ax)
    assert legend(ax) == ["permutation", "slope", "norm B"]


def test_what_cannot_be_drawn_is_said(ax, model):
    found = model.explain([1.0, 2.0, 3.0], 0.1)
    for call, words in (
        (lambda: plots.explanation(model, ax=ax), "of: is of type ImplicitModel. Pass one of type Explanation"),
        (lambda: plots.importance(found, ax=ax), "of: is of type Explanation. Pass one of type Importance"),
        (lambda: plots.explanation(found, 1, ax=ax), "sample: got 1, must be <= 0"),
        (lambda: plots.explanation(found, output="cost", ax=ax), "output: there is no 'cost'. Use price, or a number"),
        (lambda: plots.explanation(found, output=2, ax=ax), "output: got 2"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            call()
