"""The pattern of a model's matrices."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from shown import tick_names

from bcd_implicit import ImplicitModel, InvalidInputError, plots

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def test_sparsity_is_the_magnitude_of_every_entry(ax, model):
    assert plots.sparsity(model, ax=ax) is ax
    (mesh,) = ax.collections
    M = np.block([[model.A, model.B], [model.C, model.D]])
    shown = mesh.get_array()
    np.testing.assert_array_equal(shown.mask, M == 0)
    np.testing.assert_array_equal(shown.compressed(), np.abs(M[M != 0]))
    assert isinstance(mesh.norm, LogNorm)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (2e-4, 2.0)  # what is fainter has the lightest colour
    assert ax.get_ylim() == (2.5, -0.5)  # the first row on top
    assert tick_names(ax.xaxis) == ["x0", "x1", *model.input_names]
    assert tick_names(ax.yaxis) == ["x0", "x1", "price"]
    vertical, horizontal = ax.lines
    assert set(vertical.get_xdata()) == {1.5}
    assert set(horizontal.get_ydata()) == {1.5}
    ax.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("matrix", "columns", "rows"),
    [
        ("A", ["x0", "x1"], ["x0", "x1"]),
        ("B", ["age", r"cost $\foo$ of $", "length [cm]"], ["x0", "x1"]),
        ("C", ["x0", "x1"], ["price"]),
        ("D", ["age", r"cost $\foo$ of $", "length [cm]"], ["price"]),
    ],
)
def test_sparsity_of_one_matrix(ax, model, matrix, columns, rows):
    plots.sparsity(model, matrix, ax)
    M = np.abs(getattr(model, matrix))
    np.testing.assert_array_equal(ax.collections[0].get_array().filled(0), M)
    assert (tick_names(ax.xaxis), tick_names(ax.yaxis)) == (columns, rows)
    assert len(ax.lines) == 0


def test_sparsity_with_many_names_shows_the_blocks(ax):
    rng = np.random.default_rng(0)
    model = ImplicitModel(np.zeros((3, 3)), rng.standard_normal((3, 90)), None, rng.standard_normal((120, 3)))
    plots.sparsity(model, ax=ax)
    assert tick_names(ax.xaxis) == ["$x$ (3)", "$u$ (90)"]
    assert ax.get_xticks().tolist() == [1.0, 47.5]
    assert tick_names(ax.yaxis) == ["$x$ (3)", "$y$ (120)"]
    assert ax.get_yticks().tolist() == [1.0, 62.5]


def test_sparsity_of_nothing(ax, model):
    empty = ImplicitModel([[0.0]], [[0.0]], None, [[0.0]])
    plots.sparsity(empty, ax=ax)
    assert ax.collections[0].get_array().mask.all()
    ax.figure.draw_without_rendering()


def test_single_columns_of_many_are_seen():
    """A column narrower than a pixel is still drawn."""
    B = np.zeros((1, 3000))
    B[0, 1234] = 1.0
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    plots.sparsity(ImplicitModel([[0.0]], B, None, [[0.0]]), "B", ax)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    x, y = ax.transData.transform((1234, 0)).astype(int)
    pixels = np.asarray(canvas.buffer_rgba())[-y, x - 2 : x + 3, :3]
    assert pixels.min() < 200


def test_entries_stand_side_by_side_with_their_signs(ax, model):
    assert plots.entries(model, ax=ax) is ax
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), [[0.25, -0.5, 1.0, 0.0, -2.0], [0.0, 0.1, 0.5, 0.0, 0.0]])
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    assert image.cmap(image.norm(0.0))[:3] == pytest.approx((1, 1, 1), abs=0.04)
    assert tick_names(ax.xaxis) == ["x0", "x1", *model.input_names]
    assert tick_names(ax.yaxis) == ["x0", "x1"]
    (between,) = ax.lines
    assert set(between.get_xdata()) == {1.5}
    assert len(ax.figure.axes) == 2  # the scale of colours
    ax.figure.draw_without_rendering()


def test_entries_of_panels_share_a_limit_and_a_scale(ax, model):
    plots.entries(model, "CD", ax, limit=0.8, colorbar=False)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), [[2.0, -1.0, 0.0, 0.0, 1e-9]])
    assert (image.norm.vmin, image.norm.vmax) == (-0.8, 0.8)
    assert tick_names(ax.yaxis) == ["price"]
    assert ax.figure.axes == [ax]


def test_entries_of_an_array_are_numbered(ax):
    plots.entries([[0.0, 0.0], [0.0, 0.0]], ax=ax)
    assert tick_names(ax.xaxis) == tick_names(ax.yaxis) == ["0", "1"]
    other = Figure(figsize=(1, 1)).subplots()
    plots.entries(np.eye(60), ax=other)
    assert tick_names(other.xaxis) == ["60"]
    other.figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "A"}, "of: is of type str"),
        ({"letters": "AC"}, "letters: unknown letters 'AC'"),
        ({"limit": 0}, "limit: .* Give a positive number"),
        ({"colorbar": 1}, "colorbar: must be True or False"),
    ],
)
def test_entries_of_something_else_are_refused(ax, model, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        plots.entries(**{"of": model, "ax": ax} | arguments)
