"""Plots draw what they say, on the axes that they are given, without opening a window."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from bcd_implicit import (
    ImplicitModel,
    ImplicitRegressor,
    InvalidInputError,
    NotWellPosedError,
    TrainingProblem,
    kappa_path,
    plots,
    solve,
)
from bcd_implicit.plots.axes import SMALLEST_FONT

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture
def ax():
    return Figure().subplots()  # no pyplot


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((40, 4))
    return TrainingProblem(U, np.maximum(U[:, :2], 0) + 0.1 * U[:, 2:], 2, pass_through=False)


@pytest.fixture(scope="module")
def path(problem):
    return kappa_path(problem, kappas=[0.01, 0.1, 0.3], max_cycles=3, tol=1.0)


@pytest.fixture(scope="module")
def result(problem):
    return solve(problem, max_cycles=4)


@pytest.fixture(scope="module")
def chosen(path):
    return path.select(n_features=2, n_folds=2, ridges=[0.1], grow_hidden=False)


@pytest.fixture(scope="module")
def model():
    """Two features, three inputs of which the second is not used, one output."""
    return ImplicitModel(
        [[0.25, -0.5], [0.0, 0.1]], [[1.0, 0.0, -2.0], [0.5, 0.0, 0.0]], [0.1, 0.2], [[2.0, -1.0]], [[0.0, 0.0, 1e-9]],
        input_names=["age", r"cost $\foo$ of $", "length [cm]"], output_names=["price"],
    )  # fmt: skip


def colours(bars):
    return [bar.get_facecolor() for bar in bars]


def tick_names(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# Column norms ----------------------------------------------------------------------------------------------------


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
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["truly used"]


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
    assert other.get_xlabel() == "input $j$"
    assert not any("name" in name for name in tick_names(other.xaxis))
    assert all(tick == round(tick) for tick in other.get_xticks())


@pytest.mark.parametrize(("width", "n_names"), [(6.4, 40), (14, 100), (3, 15)])
def test_names_under_bars_do_not_overlap(width, n_names):
    figure = Figure(figsize=(width, 4))
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
    assert ax.get_xlabel() == "input $j$"


def test_bars_of_nothing_say_so(ax):
    plots.column_norms(np.zeros(3), truth=[False] * 3, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["all zero"]
    ax.figure.draw_without_rendering()


# Path ------------------------------------------------------------------------------------------------------------


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
    assert {text.get_text() for text in ax.texts} == set(chosen.names)


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
    assert set(labels) == {"a", "b_$x$", "d"}
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
    plots.kappa_path(kappa_path(problem, kappas=[100.0], max_cycles=2), ax=other)
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


# Sparsity --------------------------------------------------------------------------------------------------------


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


# History ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "label"), [("prox-linear", "objective (T)"), ("fenchel", "objective (F)")])
def test_history_is_the_objective(ax, problem, method, label):
    result = solve(problem, method, max_cycles=3)
    assert plots.history(result, ax) is ax
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), result.history["cycle"])
    np.testing.assert_array_equal(line.get_ydata(), result.history["objective"])
    assert ax.get_ylabel() == label
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_certificates_by_cycle(ax, result):
    assert plots.certificates(result, ax) is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["relative gap", "KKT residual", "violation"]
    for line, column in zip(ax.lines, ["gap", "kkt_residual", "violation"], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), result.history["cycle"])
        np.testing.assert_array_equal(line.get_ydata(), result.history[column])
    assert (result.history["violation"] == 0).any()
    assert ax.get_yscale() == "symlog"  # zeros have a place
    bottom, top = ax.get_ylim()
    assert bottom <= 0
    assert top > 10 * result.history[["gap", "kkt_residual"]].to_numpy().max()  # room for the legend
    ax.figure.draw_without_rendering()


def test_certificates_below_rounding_lie_next_to_zero(ax, result):
    history = result.history.assign(gap=1e-40, kkt_residual=3e-9, violation=0.0)
    plots.certificates(replace(result, history=history), ax)
    low, zero, tick = ax.transData.transform([(1, 1e-40), (1, 0), (1, 1e-9)])[:, 1]
    assert low == pytest.approx(zero)
    assert tick > zero + 20  # pixels


def test_unknown_certificates_are_said_to_be_unknown(ax, result):
    unknown = replace(result, history=result.history.assign(gap=np.inf))
    plots.certificates(unknown, ax)
    assert ax.get_legend().get_texts()[0].get_text() == "relative gap (unknown)"
    assert np.isnan(ax.lines[0].get_ydata()).all()


# States and residuals --------------------------------------------------------------------------------------------


def test_states_are_the_equilibrium(ax, problem, result):
    assert plots.states(result, ax=ax) is ax
    (image,) = ax.images
    X, (A, B, b) = np.asarray(image.get_array()), (result.iterate.A, result.iterate.B, result.iterate.b)
    np.testing.assert_allclose(X, np.maximum(A @ X + B @ problem.U + b[:, None], 0), atol=1e-9)
    assert X.shape == (2, 40)
    assert (image.norm.vmin, image.norm.vmax) == (0.0, X.max())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sample", "hidden feature $i$")


def test_signed_states_have_zero_in_the_middle(ax):
    model = ImplicitModel([[0.0]], [[1.0]], None, [[1.0]], activation="identity")
    plots.states(model, [[-3.0], [1.0]], ax)
    np.testing.assert_allclose(ax.images[0].get_array(), [[-3.0, 1.0]])
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-3.0, 3.0)
    assert [tick for tick in ax.get_yticks() if abs(tick) <= 0.5] == [0]


@pytest.mark.parametrize("kind", ["residual_vs_predicted", "actual_vs_predicted"])
def test_residuals_by_output(ax, problem, result, kind):
    assert plots.residuals(result, ax=ax, kind=kind) is ax
    it = result.iterate
    predicted = it.C @ it.X + it.D @ problem.U + it.d[:, None]
    *points, line = ax.lines
    for k in range(2):
        np.testing.assert_allclose(points[k].get_xdata(), predicted[k], atol=1e-8)
        expected = problem.Y[k] - predicted[k] if kind == "residual_vs_predicted" else problem.Y[k]
        np.testing.assert_allclose(points[k].get_ydata(), expected, atol=1e-8)
    assert points[0].get_color() != points[1].get_color()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["y0", "y1"]
    if kind == "residual_vs_predicted":
        assert set(line.get_ydata()) == {0}
        assert ax.get_ylabel() == "residual"
    else:
        assert line.get_slope() == 1
        assert np.ptp(line.get_xy1()) == 0  # on the diagonal
        assert ax.get_ylabel() == "target"


def test_residuals_of_a_choice_and_of_other_samples(ax, problem, chosen):
    plots.residuals(chosen, ax=ax)
    U, Y = problem.U.T, problem.Y.T
    expected = (Y - chosen.model.predict(U))[:, 0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected, atol=1e-8)
    other = Figure().subplots()
    plots.residuals(chosen.model, U[:5], Y[:5], other)
    np.testing.assert_allclose(other.lines[0].get_ydata(), expected[:5], atol=1e-8)


def test_residuals_match_the_columns_of_a_table_by_name(ax):
    U, Y = np.random.default_rng(0).standard_normal((30, 2)), pd.DataFrame({"a": np.arange(30.0), "b": np.ones(30)})
    result = solve(TrainingProblem(U, Y, 2), tol=1e-2)
    for table in (Y, Y[["b", "a"]], Y.to_numpy()):
        drawn = plots.residuals(result.model, U, table, Figure().subplots())
        np.testing.assert_allclose(drawn.lines[0].get_ydata(), Y["a"] - result.model.predict(U)[:, 0])


def test_what_holds_what_a_plot_needs_is_told_so(ax, path, chosen):
    fitted = ImplicitRegressor(2, alpha=0.1, tol=1e-2).fit(chosen.result.problem.U.T, chosen.result.problem.Y[0])
    for draw, message in (
        (
            lambda: plots.states(fitted, ax=ax),
            r"of: is of type ImplicitRegressor\. .*, for example its \.model_ or \.result_",
        ),
        (lambda: plots.column_norms(fitted, ax=ax), r"of: is of type ImplicitRegressor"),
        (lambda: plots.history(chosen, ax=ax), r"result: is of type Selection\. .*, for example its \.result\.$"),
        (
            lambda: plots.column_norms(path, ax=ax),
            r"of: is of type PathResult\. Pass one of type ImplicitModel, .*Selection\.$",
        ),
        (
            lambda: plots.kappa_path(path, "x", ax=ax),
            r"chosen: must be a number, got 'x'\. Pass a Selection, or a kappa",
        ),
        (lambda: plots.kappa_path(path, -1, ax=ax), "chosen: got -1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            draw()


def test_residuals_of_many_outputs_have_one_colour(ax):
    rng = np.random.default_rng(0)
    model = ImplicitModel([[0.0]], [[1.0]], None, np.ones((100, 1)))
    plots.residuals(model, rng.standard_normal((7, 1)), rng.standard_normal((7, 100)), ax)
    assert {line.get_color() for line in ax.lines[:-1]} == {plots.MARK}
    assert ax.get_legend() is None
    assert ax.get_xlabel() == "prediction, 100 outputs"


def test_names_of_outputs_are_no_formulas(ax):
    model = ImplicitModel([[0.0]], [[1.0]], None, np.ones((2, 1)), output_names=[r"$\foo$", "b" * 50])
    plots.residuals(model, [[1.0]], [[1.0, 2.0]], ax)
    ax.figure.draw_without_rendering()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [r"$\foo$", "b" * 12 + "…" + "b" * 11]


# Picard ----------------------------------------------------------------------------------------------------------


def picard_by_hand(model, U, n_steps):
    """Errors, last changes and the first change, by an own loop against a solution of much more steps."""
    drive = (U @ model.B.T + model.b).T
    X, steps = np.zeros_like(drive), []
    for _ in range(400):
        steps.append(np.maximum(model.A @ X + drive, 0))
        X = steps[-1]
    changes = [np.abs(b - a).max() for a, b in zip([0 * X, *steps[: n_steps - 1]], steps[:n_steps], strict=True)]
    return [np.abs(step - X).max() for step in steps[:n_steps]], changes


def test_picards_error_lies_under_its_bounds(ax, model):
    U = np.random.default_rng(0).standard_normal((6, 3))
    assert plots.picard_convergence(model, U, ax, n_steps=12) is ax
    a_priori, bound, error = (line.get_ydata() for line in ax.lines)
    errors, changes = picard_by_hand(model, U, 12)
    nu = 0.75  # the first row of A
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(1, 13))
    np.testing.assert_allclose(error, errors, atol=1e-14)
    np.testing.assert_allclose(bound, nu / (1 - nu) * np.array(changes), rtol=1e-6)
    np.testing.assert_allclose(a_priori, nu ** np.arange(1, 13) / (1 - nu) * changes[0])
    assert np.all(error <= bound)
    assert np.all(bound <= a_priori * (1 + 1e-12))
    assert ax.get_yscale() == "log"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.split()[0] for label in labels] == ["first", "last", "error"]
    assert ax.get_xlabel().endswith(r"$\nu$ = 0.75")
    ax.figure.draw_without_rendering()


def test_picards_bounds_hold_where_only_the_perron_frobenius_test_does():
    model = ImplicitModel([[0.0, 2.0], [0.125, 0.3]], np.eye(2), None, [[1.0, 1.0]])
    table = model.picard_convergence(np.random.default_rng(0).standard_normal((5, 2)), 30)
    assert model.norm_inf() > 1
    assert np.all(table["error"] <= table["bound"])
    assert np.all(table["bound"] <= table["a_priori"] * (1 + 1e-12))
    assert table["error"].iloc[-1] < 1e-4 * table["error"].iloc[0]


def test_picard_stops_at_rounding_and_after_one_step_where_A_is_zero(model):
    U = np.ones((2, 3))
    table = model.picard_convergence(U, 500)
    assert table["step"].tolist() == list(range(1, len(table) + 1))
    assert len(table) < 200
    assert table["error"].iloc[-1] < 1e-12
    still = ImplicitModel(np.zeros((2, 2)), model.B, model.b, model.C)
    assert still.picard_convergence(U).to_numpy().tolist() == [[1, 0.0, 0.0, 0.0]]
    ax = Figure().subplots()
    plots.picard_convergence(still, U, ax)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_picard_of_a_result_takes_its_inputs(ax, problem, result):
    plots.picard_convergence(result, ax=ax)
    errors, _ = picard_by_hand(result.model, problem.U.T, 3)
    np.testing.assert_allclose(ax.lines[2].get_ydata()[:3], errors, atol=1e-12)


# Axes and bad input ----------------------------------------------------------------------------------------------


def test_without_axes_the_current_ones_are_used(result):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    plt.sca(axes[0])
    assert plots.column_norms(np.ones(2)) is axes[0]
    assert plots.states(result) is axes[0]
    assert len(plt.get_fignums()) == 1
    plt.close(figure)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda r, p, m, ax: plots.history(m, ax), "result: is of type ImplicitModel. Pass one of type BcdResult."),
        (lambda r, p, m, ax: plots.certificates(p, ax), "result: is of type PathResult. Pass one of type BcdResult."),
        (lambda r, p, m, ax: plots.kappa_path(r, ax=ax), "path: is of type BcdResult. Pass one of type PathResult."),
        (lambda r, p, m, ax: plots.sparsity(p, ax=ax), "of: is of type PathResult. Pass one of type ImplicitModel, "),
        (lambda r, p, m, ax: plots.sparsity(m, "E", ax), "matrix: unknown matrix 'E'. Use one of all, A, B, C, D."),
        (lambda r, p, m, ax: plots.residuals(r, ax=ax, kind="odd"), "kind: unknown kind 'odd'. Use one of residual_"),
        (
            lambda r, p, m, ax: plots.column_norms("B", ax=ax),
            "of: is of type str. Pass one of type ImplicitModel, BcdResult, Selection.",
        ),
        (lambda r, p, m, ax: plots.column_norms([1.0, np.nan], ax=ax), "of: contains nan at row 1"),
        (
            lambda r, p, m, ax: plots.column_norms(m, [True], ax=ax),
            "highlight: is an array of bool of shape (1,). Pass",
        ),
        (
            lambda r, p, m, ax: plots.column_norms(m, truth=[0, 1, 2], ax=ax),
            "truth: is an array of int64 of shape (3,).",
        ),
        (lambda r, p, m, ax: plots.column_norms(m, names=["a"], ax=ax), "names: has 1 names for 3 variables."),
        (lambda r, p, m, ax: plots.kappa_path(p, highlight=[True], ax=ax), "highlight: is an array of bool of shape"),
        (lambda r, p, m, ax: plots.kappa_path(p, names=["a"], ax=ax), "names: has 1 names for 4 variables."),
        (lambda r, p, m, ax: plots.states(m, ax=ax), "U: is missing. A model holds no samples: pass some, or"),
        (lambda r, p, m, ax: plots.states(m, np.ones((2, 7)), ax), "U: has 7 columns, 3 needed."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), ax=ax), "Y: is missing. Pass both U and Y."),
        (lambda r, p, m, ax: plots.residuals(r, Y=[1.0], ax=ax), "U: is missing. Pass both U and Y."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), [1.0], ax), "Y: has 1 samples but U has 2."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), np.ones((2, 2)), ax), "Y: has 2 columns, 1 needed."),
        (lambda r, p, m, ax: plots.picard_convergence(m, ax=ax), "U: is missing."),
        (lambda r, p, m, ax: plots.picard_convergence(r, ax=ax, n_steps=0), "n_steps: got 0"),
        (
            lambda r, p, m, ax: plots.history(r, [ax]),
            "ax: is of type list. Pass one Axes of matplotlib, such as",
        ),
    ],
)
def test_bad_input_is_named(result, path, model, ax, draw, message):
    with pytest.raises(InvalidInputError) as error:
        draw(result, path, model, ax)
    assert str(error.value).startswith(message)


def test_models_without_equilibrium_are_refused(ax):
    model = ImplicitModel([[2.0]], [[1.0]], None, [[1.0]])
    for draw in (plots.states, plots.picard_convergence):
        with pytest.raises(NotWellPosedError, match="spectral radius"):
            draw(model, [[1.0]], ax)
    plots.sparsity(model, ax=ax)  # it can be looked at
