"""Plots draw on the axes that they are given, on the current ones, or on new ones."""

import numpy as np
import pytest

from bcd_implicit import plots
from bcd_implicit.plots.axes import logarithmic, shortened

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def test_without_axes_the_current_ones_are_used(result):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, 2)
    plt.sca(axes[0])
    assert plots.column_norms(np.ones(2)) is axes[0]
    assert plots.states(result) is axes[0]
    assert len(plt.get_fignums()) == 1
    plt.close("all")
    # A figure of their own has room for names.
    assert plots.column_norms(np.ones(2)).figure.get_layout_engine() is not None
    plt.close("all")


def test_zeros_stand_at_the_end_of_a_logarithmic_scale(ax):
    values = np.array([10.0, 1e-3, 1e-14, 0.0])
    ax.plot(values)
    assert ax.get_ylim()[0] == -0.5  # known from here on, as other parts of a plot may ask for it
    logarithmic(ax.yaxis, values)
    assert -1e-14 < ax.get_ylim()[0] < 0 < 10 < ax.get_ylim()[1] < 100
    assert ax.get_yscale() == "symlog"


def test_long_names_keep_what_tells_them_apart():
    assert shortened(["age", "size"]) == ["age", "size"]
    ends = shortened(["the first of many blood values", "the last of many urine values"])
    assert ends == ["the first of…lood values", "the last of …rine values"]
    middles = shortened([f"patient number {i} with a long name" for i in range(12)])
    assert len(set(middles)) == 12
    assert all(len(name) <= 24 and f"r {i} w" in name for i, name in enumerate(middles))
    # Nothing of a reasonable length tells these apart.
    assert shortened([f"{a}{'x' * 50}{b}{'y' * 50}" for a in "ab" for b in "ab"]) == []
