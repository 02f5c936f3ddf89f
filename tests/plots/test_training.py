"""Objectives and certificates by cycle."""

from dataclasses import replace

import numpy as np
import pytest
from shown import legend

from bcd_implicit import plots, solve

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


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
    assert legend(ax) == ["relative gap", "KKT residual", "violation"]
    for line, column in zip(ax.lines, ["gap", "kkt_residual", "violation"], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), result.history["cycle"])
        np.testing.assert_array_equal(line.get_ydata(), result.history[column])
    assert (result.history["violation"] == 0).any()
    assert ax.get_yscale() == "symlog"  # zeros have a place
    assert ax.get_ylim()[0] <= 0
    ax.figure.draw_without_rendering()
    highest = max(np.nanmax(line.get_ydata()) for line in ax.lines)
    assert ax.transData.transform([0, highest])[1] < ax.get_legend().get_window_extent().y0


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
