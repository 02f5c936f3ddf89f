"""What a model may predict under uncertainty: bounds by sample, and how much each input can move each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.robustness.attack import Attack
from bcd_implicit.model.robustness.bounds import Bounds
from bcd_implicit.model.robustness.labels import in_order
from bcd_implicit.plots.arguments import Fitted, axes_of, check_kind, model_of
from bcd_implicit.plots.axes import (
    LINE,
    SMALLEST_FONT,
    headroom,
    length_in_points,
    lines_that_fit,
    name_ticks,
    shortened,
    whole_numbers,
    width_of,
)
from bcd_implicit.plots.style import MARK, USED
from bcd_implicit.support.checks import check_flag, check_list, check_matrix, check_names
from bcd_implicit.support.frames import as_pandas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More outputs than this cannot be distinguished by colour.
MOST_OUTPUTS = 10
# What all intervals of a sample take of the room from one sample to the next.
SHARE = 0.7
# Numbers in cells, in points.
NUMBER = 7.0


def bounds(
    found: Bounds,
    ax: Axes | None = None,
    *,
    truth: ArrayLike | None = None,
    attack: Attack | Sequence[Attack] | None = None,
    names: Sequence[str] | None = None,
    sort: bool = False,
) -> Axes:
    """The interval and prediction of every sample and output; outputs are side by side, by colour.

    Parameters
    ----------
    found : Bounds
        What :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds` returns, of up to ten outputs.
    ax : Axes, optional
    truth : array-like of shape (m,) or (m, k), optional
        The targets, drawn as crosses. The columns of a data frame are matched by name if the outputs have names.
    attack : Attack, or several, optional
        The predictions reached by the attack are drawn as ticks across the intervals.
    names : sequence of str, optional
        Names of the samples; by default they are numbered.
    sort : bool
        Sort samples by their predictions of the first output.

    Raises
    ------
    InvalidInputError
        Not Bounds, more than ten outputs, or arrays or names that do not fit.
    """
    check_kind("found", found, Bounds)
    sort = check_flag("sort", sort)
    given = [] if attack is None else [attack] if isinstance(attack, Attack) else attack
    attacks = check_list("attack", given, "attacks", "Pass what model.attack returned, one or several")
    for one in attacks:
        check_kind("attack", one, Attack)
    m, k = found.lower.shape
    if k > MOST_OUTPUTS:
        cause = f"has {k} outputs, but colours distinguish only {MOST_OUTPUTS}"
        raise InvalidInputError("found", cause, "Choose some: model.bounds(U, radius, outputs=[...])")
    # A data frame by its names, of whatever library.
    truth = as_pandas("truth", truth)
    if isinstance(truth, pd.DataFrame):
        truth = in_order("truth", truth, found.output_names, "y")
    targets = None if truth is None else _fitting("truth", truth, (m, k))
    reached = [_fitting("attack", one.predictions, (m, k)) for one in attacks]
    order = np.argsort(found.prediction[:, 0], kind="stable") if sort else np.arange(m)
    ax, width = axes_of(ax), SHARE / k
    # Not thicker than a point that is told from its neighbours.
    thick = float(np.clip(0.5 * width * length_in_points(ax.xaxis) / m, 0.8, 6.0))
    # Thin lines are darker, to tell their colours.
    alpha = float(np.interp(thick, [1.0, 3.0], [0.8, 0.35]))
    labels = ["bounds"] if k == 1 else shortened(found.output_names) or list(found.output_names)
    for i in range(k):
        colour = MARK if k == 1 else f"C{i}"
        x = np.arange(m) + (i - (k - 1) / 2) * width
        ax.vlines(x, found.lower[order, i], found.upper[order, i], color=colour, lw=thick, alpha=alpha, label=labels[i])
        size = float(np.clip(1.1 * thick, 2.0, 5.0))
        ax.plot(x, found.prediction[order, i], "o", ms=size, color=colour, label="prediction" if not i else None)
        for j, values in enumerate(reached):
            label = "attack" if not i and not j else None
            ax.plot(x, values[order, i], "_", ms=max(1.6 * thick, 4.0), mew=1.2, color=colour, label=label)
        if targets is not None:
            ax.plot(x, targets[order, i], "x", ms=1.3 * size, color=USED, zorder=3, label="truth" if not i else None)
    ax.set_xlim(-0.6, m - 0.4)
    names = None if names is None else [check_names("names", names, m, "s")[j] for j in order]
    if names is None or not name_ticks(ax.xaxis, np.arange(m), names):
        if sort:
            ax.set_xticks([])
            ax.set_xlabel(f"{m} samples, by prediction")
        else:
            whole_numbers(ax.xaxis)
            ax.set_xlabel("sample")
    ax.set_ylabel("prediction and its bounds")
    ax.grid(axis="y", alpha=0.3)
    lines = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    if k > 1:
        # Outputs first, in room of their own.
        lines = {label: lines[label] for label in sorted(lines, key=lambda label: label not in labels)}
        headroom(ax)
    legend = ax.legend(lines.values(), lines, fontsize="small", ncols=1 if k == 1 else 4)
    for text in legend.get_texts():
        text.set_parse_math(False)
    for label, handle in zip(lines, legend.get_lines(), strict=True):
        if label in labels:
            handle.set_linewidth(max(thick, 3.0))
    return ax


def _fitting(name: str, values: Any, shape: tuple[int, int]) -> np.ndarray:
    array = check_matrix(name, values, n_columns=1 if np.ndim(values) == 1 else None)
    if array.shape != shape:
        cause = f"has shape {array.shape}, {shape} needed"
        raise InvalidInputError(name, cause, "Give the samples and outputs of the bounds")
    return array


def sensitivity(of: Fitted | pd.DataFrame, ax: Axes | None = None, *, sort: bool = False) -> Axes:
    """How much each input can move each output, at most: a heat map, with numbers if they fit.

    For long names, use ``plt.subplots(layout="constrained")``.

    Parameters
    ----------
    of : ImplicitModel, BcdResult, Selection or DataFrame
        The model, or the result of its ``sensitivity()``: a row for each output, a column for each input.
    ax : Axes, optional
        Part of it is used for a colour bar.
    sort : bool
        Draw the inputs that can move some output most first, and only those whose names fit.

    Raises
    ------
    InvalidInputError
        Not a model, a table with negative numbers, or a state's function has no Lipschitz constant.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    sort = check_flag("sort", sort)
    table = of if isinstance(of, pd.DataFrame) else model_of(of).sensitivity()
    S = check_matrix("of", table)
    if S.min() < 0:
        cause = f"contains {S.min():.4g}, a negative number, which is no sensitivity"
        raise InvalidInputError("of", cause, "Pass what model.sensitivity() returned")
    ax = axes_of(ax)
    inputs, outputs = ([str(name) for name in labels] for labels in (table.columns, table.index))
    p = S.shape[1]
    if sort:
        room = lines_that_fit(0.8 * length_in_points(ax.xaxis), SMALLEST_FONT)
        order = np.argsort(-S.max(axis=0), kind="stable")[:room]
        S, inputs = S[:, order], [inputs[j] for j in order]
    q, shown = S.shape
    image = ax.pcolormesh(
        np.arange(shown + 1) - 0.5,
        np.arange(q + 1) - 0.5,
        np.ma.masked_equal(S, 0),
        # From a light colour on, to tell small from zero.
        cmap=ListedColormap(colormaps["Blues"](np.linspace(0.1, 1, 256))),
        vmin=0,
        vmax=float(S.max(initial=0.0)) or 1.0,
        edgecolors="face",
        linewidth=0.2,
    )
    ax.set_ylim(q - 0.5, -0.5)
    ax.figure.colorbar(image, ax=ax, label="change per unit, at most")
    digits = [[f"{value:.2g}" for value in row] for row in S]
    wide = width_of(" " + max((text for row in digits for text in row), key=len), NUMBER)
    if wide * shown < length_in_points(ax.xaxis) and LINE * NUMBER * q < length_in_points(ax.yaxis):
        for i, j in np.ndindex(q, shown):
            colour = "white" if S[i, j] > 0.6 * S.max() else "black"
            ax.text(j, i, digits[i][j], ha="center", va="center", fontsize=NUMBER, color=colour)
    for axis, names, label in ((ax.xaxis, inputs, "input"), (ax.yaxis, outputs, "output")):
        if not name_ticks(axis, np.arange(len(names)), names):
            whole_numbers(axis)
            axis.set_label_text(f"{label} $j$" if axis is ax.xaxis else label)
    if shown < p:
        ax.set_xlabel(f"the {shown} that can move an output most, of {p} inputs")
    return ax
