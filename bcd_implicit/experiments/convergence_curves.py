"""The picture of the theorem: the loss gap against time, between its bounds and the rate at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bcd_implicit.plots import MARK, UNUSED, USED
from bcd_implicit.plots.arguments import axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "theorem": (r"theorem: $k\,/\,(n(1+\gamma)^2)$", "--"),
    "computed": r"",
}


def draw(table: pd.DataFrame, rates: pd.Series | None = None, ax: Axes | None = None) -> Axes:
    """Draw a gap and its bounds; with rates, the slope at the end as well.

    Parameters
    ----------
    table : DataFrame
        ``time``, ``gap`` and the bounds.
    rates : Series, optional
        With ``linearised``.
    ax : Axes, optional
    """
    ax = axes_of(ax)
    time, gap = table["time"], table["gap"]
    styles = {
        "theorem": (r"theorem's bound, $\lambda \geq 1/(n(1+\gamma)^2)$", UNUSED, "-"),
        "computed": (r"bound with $\inf \lambda_{\min}(D_t)$", MARK, "--"),
        "integrated": (r"bound with $\int \lambda_{\min}(D_t)\,dt$", MARK, ":"),
    }
    for name, (label, colour, style) in styles.items():
        ax.plot(time, table[name], style, color=colour, lw=1.3, label=label)
    ax.plot(time, gap, color=USED, lw=2, label="loss gap")
    if rates is not None and np.isfinite(rates["linearised"]):
        late = time[gap <= gap.iloc[0] * 1e-8]
        if len(late):
            ends = np.array([late.iloc[0], time.iloc[-1]])
            # Beside the curve, not on it.
            ax.plot(
                ends,
                3e2 * gap.iloc[-1] * np.exp(rates["linearised"] * (ends[1] - ends)),
                color="black",
                lw=1,
                label="slope of the linearised flow",
            )
    ax.set_yscale("log")
    ax.set_xlabel("time")
    ax.set_ylabel("loss gap")
    ax.legend(fontsize="small")
    return ax
