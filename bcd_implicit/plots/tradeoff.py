"""The trade-off between accuracy and robustness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.plots.arguments import axes_of, check_kind
from bcd_implicit.plots.point_names import name_points
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.tradeoff.curve import RobustnessCurve
from bcd_implicit.tradeoff.measures import COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more other models than these the names would cover each other.
MOST_NAMED = 6


def robustness(curve: RobustnessCurve, ax: Axes | None = None) -> Axes:
    """Certified robustness against accuracy, for the models along the bounds and the baselines.

    For classes: certified accuracy against accuracy. Otherwise: the mean certified width of predictions against R2.
    Light marks, joined by lines, show the result of attacks: the true robustness is between the two.

    Parameters
    ----------
    curve : RobustnessCurve
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not a curve.
    """
    check_kind("curve", curve, RobustnessCurve)
    ax, table = axes_of(ax), curve.table
    good, attacked, proved = COLUMNS[curve.classes]
    # The plain model is the curve's loose end.
    along = np.array([point.result is not None for point in curve.points])
    ours, others = table[along], table[~along]
    ax.plot(ours[good], ours[attacked], color=USED, ls=":", marker="o", ms=4, mfc="none", lw=0.9, label="attacked")
    ax.plot(ours[good], ours[proved], color=USED, marker="o", ms=4, lw=1.2, label="certified, gain bounded")
    if len(others):
        ax.plot(others[good], others[proved], color=MARK, marker="D", ms=5, ls="", label="certified, others")
    ax.grid(alpha=0.3, color=UNUSED)
    named = ours if len(others) > MOST_NAMED else table
    lines = [ours[[good, of]].to_numpy() for of in (proved, attacked)]
    # Room for names of points at the frame.
    ax.margins(0.08)
    name_points(ax, [str(name) for name in named.index], named[[good, proved]].to_numpy(), lines)
    ax.set_xlabel(f"{good} on test samples")
    ax.set_ylabel("share of samples" if curve.classes else "mean width of predictions")
    ax.legend(fontsize="small")
    return ax
