"""The picture of the theorem: the loss gap against time, its bounds, and the rate at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bcd_implicit.plots import MARK, UNUSED, USED
from bcd_implicit.plots.arguments import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOUNDS = {
    "theorem": ("bound: theorem", UNUSED, "-"),
    "computed": (r"bound: computed, $\inf\lambda_{\min}(D_t)$", MARK, "--"),
    "integrated": (r"bound: integrated, $\int k_t\,\lambda_{\min}(D_t)\,dt$", MARK, ":"),
}


def draw(run: pd.DataFrame, rate: float = np.nan, ax: Axes | None = None, legend: bool = True) -> Axes:
    """Draw a gap against time, with its bounds.

    Parameters
    ----------
    run : DataFrame
        ``time``, ``gap`` and the bounds.
    rate : float
        Of the linearised flow: a line of this slope stands above the end of the curve; nan for none.
    ax : Axes, optional
    legend : bool
    """
    ax = axes_of(ax)
    time, gap = run["time"].to_numpy(), run["gap"].to_numpy()
    for name, (label, colour, style) in BOUNDS.items():
        ax.plot(time, run[name], style, color=colour, lw=1.3, label=label)
    ax.plot(time, gap, color=USED, lw=2, label="loss gap")
    ax.set_yscale("log")
    if np.isfinite(rate):
        low, high = np.log(gap[-1]), np.log(gap[0])
        # Beside the curve, not on it.
        late = time[-1] - np.array([min(0.5 * (high - low) / rate, time[-1]), 0.0])
        heights = low + 0.08 * (high - low) + rate * (time[-1] - late)
        ax.plot(late, np.exp(heights), color="0.45", lw=1, label="slope of the linearised flow")
    ax.set_xlabel("time")
    ax.set_ylabel("loss above the optimum")
    if legend:
        ax.legend(fontsize="small")
    return ax
