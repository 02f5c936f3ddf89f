"""Residuals, predictions and bands between quantiles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import DataWarning, InvalidInputError, check_choice, shown
from bcd_implicit.model.inputs import targets_of
from bcd_implicit.plots.arguments import Fitted, axes_of, samples_of
from bcd_implicit.plots.axes import shortened
from bcd_implicit.plots.style import MARK, UNUSED
from bcd_implicit.support.checks import check_matrix, check_number
from bcd_implicit.support.samples import check_as_many

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
    """Residuals (or targets) against predictions; a few outputs have different colours.

    Both are in the units of the targets: for classes or counts the prediction is the probability or the rate
    (:meth:`~bcd_implicit.ImplicitModel.response`).

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U, Y : array-like of shape (m, p) and (m, q), optional
        Samples; by default those that the result was trained on. Required for a model.
    ax : Axes, optional
    kind : {"residual_vs_predicted", "actual_vs_predicted"}
        As in scikit-learn's PredictionErrorDisplay.

    Raises
    ------
    InvalidInputError
        Not a model, a model without samples, or an unknown kind.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    check_choice("kind", kind, ("residual_vs_predicted", "actual_vs_predicted"))
    if (U is None) != (Y is None):
        raise InvalidInputError("Y" if Y is None else "U", "is missing", "Pass both U and Y")
    model, inputs, targets = samples_of(of, U, Y)
    ax = axes_of(ax)
    predicted = np.reshape(model.response(inputs), (-1, len(model.output_names)))
    targets = targets_of("Y", targets, model.output_names)
    check_as_many("Y", len(targets), len(predicted), "U")
    vertical = targets - predicted if kind == "residual_vs_predicted" else targets
    q = len(model.output_names)
    names = shortened(model.output_names) or model.output_names
    points = _points(predicted.size)
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


def quantile_bands(
    x: ArrayLike,
    quantiles: Mapping[float, ArrayLike],
    y: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Bands between pairs of predicted quantiles, from the outermost pair inwards; a single middle one is a line.

    The legend gives the share of the targets in each band.

    Parameters
    ----------
    x : array-like of shape (m,)
        Values for the horizontal axis, such as an input or the predicted median.
    quantiles : mapping from float to array-like of shape (m,)
        Predictions by their levels, such as ``{0.1: low, 0.5: median, 0.9: high}``.
    y : array-like of shape (m,), optional
        The targets.
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        No levels, levels that are not between 0 and 1, or arrays of the wrong length.

    Warns
    -----
    DataWarning
        Quantiles cross: one of a lower level is above one of a higher level.
    """
    if not isinstance(quantiles, Mapping) or not quantiles:
        cause, remedy = f"got {shown(quantiles)}", "Pass predictions by level, such as {0.1: low, 0.9: high}"
        raise InvalidInputError("quantiles", cause, remedy)
    levels = sorted(check_number("quantiles", level, 0, 1, boundaries="neither") for level in quantiles)
    across = check_matrix("x", x, n_columns=1)[:, 0]
    predicted = {level: _one_a_sample("quantiles", quantiles[level], len(across)) for level in levels}
    targets = None if y is None else _one_a_sample("y", y, len(across))
    _warn_if_crossed(levels, predicted)
    ax, order = axes_of(ax), np.argsort(across, kind="stable")
    if targets is not None:
        ax.plot(across, targets, color=UNUSED, **_points(len(targets)))
    for low, high in zip(levels[: len(levels) // 2], reversed(levels), strict=False):
        bottom, top = predicted[low], predicted[high]
        label = f"{100 * low:g} % to {100 * high:g} %"
        if targets is not None:
            label += f": {100 * np.mean((bottom <= targets) & (targets <= top)):.0f} % of the targets"
        ax.fill_between(across[order], bottom[order], top[order], color=MARK, alpha=0.25, lw=0, label=label)
    if len(levels) % 2:
        middle = levels[len(levels) // 2]
        ax.plot(across[order], predicted[middle][order], color=MARK, lw=1.5, label=f"{100 * middle:g} %")
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
    return ax


def _warn_if_crossed(levels: list[float], predicted: Mapping[float, np.ndarray]) -> None:
    falls = np.diff([predicted[level] for level in levels], axis=0) < 0
    if falls.any():
        pair = int(falls.sum(axis=1).argmax())
        worst = f"{levels[pair]:g} and {levels[pair + 1]:g}, {100 * falls[pair].mean():.3g} %"
        warnings.warn(
            f"quantiles: of {100 * falls.any(axis=0).mean():.3g} % of the samples they cross, a higher level having "
            f"the lower prediction (most often the levels {worst}). Each level is a separate model: check that levels "
            "and predictions belong together, and fit with more samples or a larger alpha.",
            DataWarning,
            stacklevel=3,
        )


def _points(number: int) -> dict[str, Any]:
    """How so many points are drawn."""
    size = {"ms": 5, "alpha": 0.7} if number <= 2000 else {"ms": 2, "alpha": 0.5}
    return {"ls": "", "marker": ".", "rasterized": True} | size


def _one_a_sample(name: str, values: ArrayLike, n_samples: int) -> np.ndarray:
    array = check_matrix(name, values, n_columns=1)[:, 0]
    check_as_many(name, len(array), n_samples, "x")
    return array
