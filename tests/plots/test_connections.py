"""What is left of a model, and a path of smaller ones."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from numpy.testing import assert_allclose

from bcd_implicit import ImplicitModel, InvalidInputError, compress, plots


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    A = np.zeros((8, 8))
    A[:4, 4:] = rng.standard_normal((4, 4))
    B = np.vstack([np.zeros((4, 3)), rng.standard_normal((4, 3))])
    model = ImplicitModel(A, B, rng.standard_normal(8), np.hstack([rng.standard_normal((2, 4)), np.zeros((2, 4))]))
    return compress(model, rng.standard_normal((50, 3)), alpha=[0.0, 0.02, 0.1])


def lines(ax):
    return next(c for c in ax.collections if isinstance(c, LineCollection)).get_segments()


def test_every_connection_is_a_line_and_every_variable_a_dot(ax, result):
    assert plots.architecture(result.original, ax) is ax
    assert len(lines(ax)) == 16 + 12 + 8
    dots = ax.collections[-1].get_offsets()
    assert len(dots) == 3 + 8 + 2
    # Inputs, two stages, outputs; all lines lead one column to the right.
    assert np.bincount(dots[:, 0].astype(int)).tolist() == [3, 4, 4, 2]
    assert all(line[-1][0] - line[0][0] == 1 for line in lines(ax))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["inputs\n3", "stage 1\n4", "stage 2\n4", "outputs\n2"]
    assert "8 states, 36 connections" in ax.get_title()


def test_cycles_stand_out(ax):
    model = ImplicitModel([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]], np.eye(3)[:, :2], None, [[1.0, 0, 1]])
    plots.architecture(model, ax)
    collection = next(c for c in ax.collections if isinstance(c, LineCollection))
    red = np.all(np.isclose(collection.get_colors()[:, :3], collection.get_colors()[0, :3]), axis=1)
    curved = [len(line) > 2 for line in collection.get_segments()]
    # Of six entries the two of the cycle have the other colour, and are curves.
    assert sum(curved) == 2
    assert min(red.sum(), (~red).sum()) == 2
    assert "1 with a cycle" in ax.get_title()


def test_large_models_are_drawn_by_groups(ax):
    rng = np.random.default_rng(1)
    A = np.zeros((500, 500))
    A[:200, 200:] = rng.random((200, 300)) < 0.1
    plots.architecture(ImplicitModel(A, rng.random((500, 4)), None, rng.random((2, 500))), ax)
    assert len(ax.collections[-1].get_offsets()) == 4
    # Inputs to both stages, one stage to the other, both to the outputs.
    assert len(lines(ax)) == 5


@pytest.mark.parametrize("error", ["R2", "agreement", "certified change"])
def test_a_path_is_drawn_with_the_chosen_model(ax, result, error):
    assert plots.compression(result, ax, error=error) is ax
    path, marked = ax.lines[0], ax.lines[2 if error == "certified change" else 1]
    assert_allclose(path.get_xdata(), result.table["total"])
    assert marked.get_xdata()[0] == result.small.n_nonzero
    if error == "certified change":
        assert np.all(ax.lines[1].get_ydata() >= path.get_ydata())


def test_a_compression_stands_for_its_model(ax, result):
    plots.architecture(result, ax)
    assert f"{result.model.n_hidden} states, {result.small.n_nonzero} connections" in ax.get_title()


def test_something_else_is_refused(ax, result):
    with pytest.raises(InvalidInputError, match="result: is of type ImplicitModel"):
        plots.compression(result.model, ax)
    with pytest.raises(InvalidInputError, match="of: is of type int"):
        plots.architecture(3, ax)
    with pytest.raises(InvalidInputError, match="error"):
        plots.compression(result, ax, error="loss")


def test_what_has_no_model_is_refused_with_all_that_have_one(ax, result):
    with pytest.raises(InvalidInputError, match="of type ImplicitModel, BcdResult, Selection, Compression"):
        plots.architecture(result.table, ax)
