"""Plots draw what they say, on the axes that they are given, without opening a window."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bcd_implicit import TrainingProblem, kappa_path, plots, solve


@pytest.fixture
def ax():
    return Figure().subplots()  # no pyplot


@pytest.fixture(scope="module")
def path():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((40, 4))
    problem = TrainingProblem(U, np.maximum(U[:, :2], 0) + 0.1 * U[:, 2:], 2, pass_through=False)
    return kappa_path(problem, kappas=[0.01, 0.1, 0.3], max_cycles=3, tol=1.0)


def colours(bars):
    return [bar.get_facecolor() for bar in bars]


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


def test_names_stand_under_the_bars(ax):
    names = ["age", r"cost $\foo$ of $", "length [cm]"]
    plots.column_norms(np.ones(3), names=names, ax=ax)
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    ax.figure.draw_without_rendering()  # dollar signs are no formula


def test_too_many_names_give_way_to_numbers(ax):
    plots.column_norms(np.ones(31), names=[f"name{j}" for j in range(31)], ax=ax)
    assert ax.get_xlabel() == "input $j$"
    assert len(ax.patches) == 31
    assert not any(label.get_text().startswith("name") for label in ax.get_xticklabels())


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
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["bad", "good", r"chosen $\kappa$ = 0.1"]
    assert ax.get_xscale() == "log"


def test_path_highlights_what_is_left_at_the_end(ax, path):
    plots.kappa_path(path, ax=ax)
    left = path.column_norms[-1] > 0
    assert len(ax.lines) == 4  # no mark without a choice
    assert [line.get_color() for line in ax.lines].count(plots.USED) == left.sum()


@pytest.mark.parametrize(("method", "label"), [("prox-linear", "objective (T)"), ("fenchel", "objective (F)")])
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_history_is_the_objective(ax, path, method, label):
    result = solve(path.problem, method, max_cycles=3)
    assert plots.history(result, ax) is ax
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), result.history["cycle"])
    np.testing.assert_array_equal(line.get_ydata(), result.history["objective"])
    assert ax.get_ylabel() == label


def test_without_axes_the_current_ones_are_used():
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    plt.sca(axes[0])
    assert plots.column_norms(np.ones(2)) is axes[0]
    plt.close(figure)


def test_importing_the_package_leaves_matplotlib_alone():
    code = "import sys, bcd_implicit, bcd_implicit.plots; print([m for m in sys.modules if m.startswith('matplotlib')])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_lines_of_the_path_carry_names_without_overlap(ax, path):
    names = ["a", "b_$x$", "c", "d"]
    plots.kappa_path(path, highlight=np.array([True, True, False, True]), names=names, ax=ax)
    heights = {text.get_text().strip(): text.get_position()[1] for text in ax.texts}
    assert set(heights) == {"a", "b_$x$", "d"}
    assert np.all(np.diff(sorted(heights.values())) > 0.04 * path.column_norms[0].max())
    assert ax.get_xlim()[0] < path.kappas[0]
