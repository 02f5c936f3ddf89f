"""Residuals and predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.plots.arguments import Fitted, axes_of, samples_of
from bcd_implicit.plots.axes import shortened
from bcd_implicit.plots.style import MARK
from bcd_implicit.support.checks import check_matrix
from bcd_implicit.support.tables import pick_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# The points of more outputs than this all have one colour.
MOST_COLOURS = 10


def residuals(
    of: Fitted,
    U: ArrayLike | None = None,
    Y: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    kind: str = "residual_vs_predicted",
) -> Axes:
    """Residuals y - Cx - Du - d against predictions, or the targets themselves; outputs by colour where they are few.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U, Y : array-like of shape (m, p) and (m, q), optional
        Samples; by default those that the result was trained on. A model needs them.
    ax : Axes, optional
    kind : {"residual_vs_predicted", "actual_vs_predicted"}
        As in scikit-learn's PredictionErrorDisplay.

    Raises
    ------
    InvalidInputError
        No model, one without samples, or another kind.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    check_choice("kind", kind, ("residual_vs_predicted", "actual_vs_predicted"))
    if (U is None) != (Y is None):
        raise InvalidInputError("Y" if Y is None else "U", "is missing", "Pass both U and Y")
    model, inputs, targets = samples_of(of, U, Y)
    ax = axes_of(ax)
    predicted = model.predict(inputs)
    if isinstance(targets, pd.DataFrame) and set(map(str, targets.columns)) == set(model.output_names):
        targets = pick_columns("Y", targets, model.output_names)
    targets = check_matrix("Y", targets, n_columns=predicted.shape[1])
    if len(targets) != len(predicted):
        raise InvalidInputError(
            "Y", f"has {len(targets)} samples but U has {len(predicted)}", "Give both the same rows"
        )
    vertical = targets - predicted if kind == "residual_vs_predicted" else targets
    q = len(model.output_names)
    names = shortened(model.output_names) or model.output_names
    points: dict[str, Any] = {"ls": "", "marker": ".", "rasterized": True}
    points |= {"ms": 5, "alpha": 0.7} if predicted.size <= 2000 else {"ms": 2, "alpha": 0.5}
    for k in range(q):
        colour = MARK if q == 1 or q > MOST_COLOURS else f"C{k}"
        ax.plot(predicted[:, k], vertical[:, k], color=colour, label=names[k], **points)
    if kind == "residual_vs_predicted":
        ax.axhline(0, color="grey", lw=1)
        ax.set_ylabel("residual")
    else:
        ax.axline((predicted.mean(),) * 2, slope=1, color="grey", lw=1)
        ax.set_ylabel("target")
    ax.set_xlabel("prediction" if q <= MOST_COLOURS else f"prediction, {q} outputs")
    if 1 < q <= MOST_COLOURS:
        for text in ax.legend(fontsize="small", markerscale=2).get_texts():
            text.set_parse_math(False)
    ax.grid(alpha=0.3)
    return ax
