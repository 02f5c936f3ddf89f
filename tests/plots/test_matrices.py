"""The pattern of a model's matrices."""

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from shown import tick_names

from bcd_implicit import ImplicitModel, plots

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
