"""Residuals and predictions."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from shown import legend

from bcd_implicit import DataWarning, ImplicitModel, InvalidInputError, TrainingProblem, plots, solve

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


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
    assert legend(ax) == ["y0", "y1"]
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


def test_residuals_of_counts_are_those_of_the_rate(ax):
    rng = np.random.default_rng(0)
    U = rng.standard_normal((40, 2))
    Y = rng.poisson(np.exp(U[:, :1])).astype(float)
    result = solve(TrainingProblem(U, Y, 2, loss="poisson"), tol=1e-2)
    plots.residuals(result, ax=ax)
    rate = np.exp(result.model.predict(U)[:, 0])
    np.testing.assert_allclose(ax.lines[0].get_xdata(), rate, atol=1e-8)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), Y[:, 0] - rate, atol=1e-8)


def test_residuals_match_the_columns_of_a_table_by_name(ax):
    U, Y = np.random.default_rng(0).standard_normal((30, 2)), pd.DataFrame({"a": np.arange(30.0), "b": np.ones(30)})
    result = solve(TrainingProblem(U, Y, 2), tol=1e-2)
    for table in (Y, Y[["b", "a"]], Y.to_numpy()):
        drawn = plots.residuals(result.model, U, table, Figure().subplots())
        np.testing.assert_allclose(drawn.lines[0].get_ydata(), Y["a"] - result.model.predict(U)[:, 0])


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
    assert legend(ax) == [r"$\foo$", "b" * 12 + "…" + "b" * 11]


def test_bands_between_quantiles(ax):
    x, y = np.array([2.0, 0.0, 1.0, 3.0]), np.array([0.0, 1.0, 5.0, -1.0])
    quantiles = {0.5: np.ones(4), 0.9: np.full(4, 4.0), 0.1: np.full(4, -2.0), 0.25: np.zeros(4), 0.75: np.full(4, 2.0)}
    assert plots.quantile_bands(x, quantiles, y, ax) is ax
    assert legend(ax) == [
        "10 % to 90 %: 75 % of the targets",  # of -1, 0, 1 and 5 all but the last
        "25 % to 75 %: 50 % of the targets",
        "50 %",
    ]
    for band, ends in zip(ax.collections, ((-2, 4), (0, 2)), strict=True):
        vertices = band.get_paths()[0].vertices
        assert (vertices[:, 1].min(), vertices[:, 1].max()) == ends
    points, median = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([x, y]))
    np.testing.assert_array_equal(median.get_xdata(), [0, 1, 2, 3])  # in order


def test_quantiles_that_cross_are_warned_of(ax):
    low, high = np.array([0.0, 0.0, 0.0, 5.0]), np.array([1.0, 1.0, 1.0, 1.0])
    with pytest.warns(DataWarning, match=r"^quantiles: of 25 % of the samples they cross.*levels 0.5 and 0.9, 25 %\)"):
        plots.quantile_bands(np.arange(4), {0.9: high, 0.1: low - 9, 0.5: low}, ax=ax)


def test_bands_without_targets(ax):
    plots.quantile_bands([0, 1], {0.2: [0, 1], 0.8: [2, 3]}, ax=ax)
    assert legend(ax) == ["20 % to 80 %"]
    assert not ax.lines


@pytest.mark.parametrize(
    ("quantiles", "message"),
    [
        ({}, "quantiles: got {}. Pass predictions by level"),
        ([[0.0, 1.0]], "quantiles: got [[0.0, 1.0]]. Pass predictions by level"),
        (np.zeros((5, 9)), "quantiles: got an array of shape (5, 9). Pass predictions by level"),
        ({10: [0, 1]}, "quantiles: got 10"),
        ({0.1: [0, 1, 2]}, "quantiles: has 3 samples but x has 2. Give both the same rows in the same order."),
    ],
)
def test_what_are_no_quantiles_is_told_so(ax, quantiles, message):
    with pytest.raises(InvalidInputError) as error:
        plots.quantile_bands([0, 1], quantiles, ax=ax)
    assert str(error.value).startswith(message)
