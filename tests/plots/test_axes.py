"""Plots draw on the axes that they are given, or on the current ones."""

import numpy as np
import pytest

from bcd_implicit import plots
from bcd_implicit.plots.axes import logarithmic

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


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


def test_zeros_stand_at_the_end_of_a_logarithmic_scale(ax):
    values = np.array([10.0, 1e-3, 1e-14, 0.0])
    ax.plot(values)
    assert ax.get_ylim()[0] == -0.5  # known from here on, as other parts of a plot may ask for it
    logarithmic(ax.yaxis, values)
    assert -1e-14 < ax.get_ylim()[0] < 0 < 10 < ax.get_ylim()[1] < 100
    assert ax.get_yscale() == "symlog"
