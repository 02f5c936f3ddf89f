"""Plots draw on the axes that they are given, or on the current ones."""

import numpy as np
import pytest

from bcd_implicit import plots

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
