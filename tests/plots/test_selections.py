"""P-values, frequencies and intervals of a selection."""

import numpy as np
import pandas as pd
import pytest
from shown import legend, tick_names

from bcd_implicit import InvalidInputError, plots
from bcd_implicit.selection.uncertainty import Uncertainty

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture(scope="module")
def tested(path):
    return path.select(n_folds=2, ridges=[0.1], grow_hidden=False, max_cycles=5)


@pytest.fixture
def found():
    inputs = ["age", "length [cm]", "c_$x$"]
    frequencies = pd.DataFrame({"input": inputs, "inputs": [[i] for i in inputs], "selected": [True, True, False]})
    effects = pd.DataFrame(
        {
            "input": ["age", "age", "length [cm]", "length [cm]"],
            "output": ["y0", "y1"] * 2,
            "effect": [0.5, 1.0, -2.0, 0.1],
            "low": [0.4, 0.5, -3.0, 0.0],
            "high": [0.7, 1.5, -1.0, 0.2],
        }
    )
    score = pd.Series({"estimate": 0.5, "low": 0.4, "high": 0.6})
    return Uncertainty(frequencies.assign(frequency=[0.9, 0.4, 0.6]), effects, score, 0.95, 10, 20)


def test_p_values_are_bars_with_the_smallest_at_the_top(ax, tested):
    assert plots.p_values(tested, ax) is ax
    facts = tested.explain().table.dropna(subset="p_value").sort_values("p_value", kind="stable")
    assert tick_names(ax.yaxis) == list(facts["input"])
    bars = sorted(ax.patches, key=lambda bar: bar.get_y())
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    np.testing.assert_allclose(ends, facts["p_value"], rtol=1e-6, atol=1e-12)
    assert ax.get_xscale() == "log"
    left, right = ax.get_xlim()
    assert left == 1 > right
    assert legend(ax)[:2] == ["level 0.05, to stay", "0.01, to enter"]
    ax.figure.draw_without_rendering()


def test_without_score_tests_there_is_nothing_to_draw(ax, chosen):
    with pytest.raises(InvalidInputError, match="selection: has no score tests"):
        plots.p_values(chosen, ax)
    with pytest.raises(InvalidInputError, match="selection: is of type int"):
        plots.p_values(3, ax)


def test_frequencies_are_bars_with_the_largest_at_the_top(ax, found):
    assert plots.stability(found, ax) is ax
    assert tick_names(ax.yaxis) == ["age", "c_$x$", "length [cm]"]
    bars = sorted(ax.patches, key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == [0.9, 0.6, 0.4]
    assert legend(ax) == ["selected", "not selected"]
    with pytest.raises(InvalidInputError, match="of: has no halves"):
        plots.stability(Uncertainty(**vars(found) | {"n_halves": 0}), ax)


def test_effects_have_intervals_the_largest_at_the_top(ax, found):
    assert plots.effects(found, "y1", ax) is ax
    assert tick_names(ax.yaxis) == ["age", "length [cm]"]
    (intervals,) = ax.collections
    np.testing.assert_allclose([s[:, 0] for s in intervals.get_segments()], [[0.5, 1.5], [0.0, 0.2]])
    assert ax.get_xlabel() == "mean slope of y1"
    ax.clear()
    plots.effects(found, ax=ax)
    assert tick_names(ax.yaxis) == ["length [cm]", "age"]
    with pytest.raises(InvalidInputError, match="output: there is no 'z'. Use y0, y1, or a number"):
        plots.effects(found, "z", ax)
    with pytest.raises(InvalidInputError, match="of: has no refits"):
        plots.effects(Uncertainty(**vars(found) | {"n_refits": 0}), ax=ax)
