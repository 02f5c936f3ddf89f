"""The matrices of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.axes import name_ticks
from bcd_implicit.plots.style import USED
from bcd_implicit.support.checks import check_flag, check_matrix, check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.image import AxesImage


# Of more entries each would be less than a pixel.
MOST_ENTRIES = 4_000_000
# Magnitudes below this share of the largest are drawn like it.
FAINTEST = 1e-4


def sparsity(of: Fitted, matrix: str = "all", ax: Axes | None = None) -> Axes:
    """Magnitudes of the entries of (A B; C D), or of one matrix; zeros are blank.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    matrix : {"all", "A", "B", "C", "D"}
    ax : Axes, optional
        Part of it is used for a colour bar.

    Raises
    ------
    InvalidInputError
        Not a model, an unknown matrix, or more than four million entries.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm

    check_choice("matrix", matrix, ("all", "A", "B", "C", "D"))
    model, ax = model_of(of), axes_of(ax)
    rows, columns = _names(model, "ABCD" if matrix == "all" else matrix)
    if matrix != "all":
        M = _dense(getattr(model, matrix))
    else:
        M = np.block([[_dense(model.A), _dense(model.B)], [_dense(model.C), _dense(model.D)]])
    M = np.abs(M)
    top = float(M.max()) or 1.0
    low = max(float(M.min(where=M > 0, initial=top)), FAINTEST * top)
    low = low if low < top else top / 10
    image = ax.pcolormesh(
        np.arange(M.shape[1] + 1) - 0.5,
        np.arange(M.shape[0] + 1) - 0.5,
        np.ma.masked_equal(M, 0),
        # From a light colour on, to tell small from zero; edges, so that entries narrower than a pixel are seen.
        cmap=ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256))),
        norm=LogNorm(low, top),
        edgecolors="face",
        linewidth=0.2,
    )
    ax.set_ylim(len(M) - 0.5, -0.5)
    ax.figure.colorbar(image, ax=ax, label="magnitude", extend="min" if (M[M > 0] < low).any() else "neither")
    _name_parts(ax, rows, columns, USED)
    ax.set_title("$(A\\;B;\\;C\\;D)$" if matrix == "all" else f"${matrix}$")
    return ax


def entries(
    of: Fitted | ArrayLike,
    letters: str = "AB",
    ax: Axes | None = None,
    *,
    limit: float | None = None,
    colorbar: bool = True,
) -> Axes:
    """Entries with their signs, of one matrix or of two side by side: red above zero, blue below, white zero.

    Parameters
    ----------
    of : ImplicitModel, BcdResult, Selection or array of shape (r, c)
        The model, or a matrix, such as the dual values of a constraint on each entry.
    letters : {"AB", "CD", "A", "B", "C", "D"}
        Which matrices of a model.
    ax : Axes, optional
        Part of it is used for a colour bar.
    limit : float, optional
        Magnitude at the end of the colour scale; by default the largest. Panels with the same limit can be compared.
    colorbar : bool
        Whether to draw the colour bar. Several panels need only one.

    Raises
    ------
    InvalidInputError
        Not a model or matrix, unknown letters, a limit that is not positive, or more than four million entries.
    """
    ax, colorbar = axes_of(ax), check_flag("colorbar", colorbar)
    if isinstance(of, (np.ndarray, list, tuple, pd.DataFrame)):
        M = check_matrix("of", of)
        rows, columns = ({"": [str(i) for i in range(length)]} for length in M.shape)
    else:
        check_choice("letters", letters, ("AB", "CD", "A", "B", "C", "D"))
        model = model_of(of)
        rows, columns = _names(model, letters)
        M = np.hstack([_dense(getattr(model, letter)) for letter in letters])
    top = float(np.abs(M).max(initial=0.0)) or 1.0
    if limit is not None:
        limit = check_number("limit", limit, 0, boundaries="neither", remedy="Give a positive number")
    end = limit or top
    image = draw_signed(ax, M, end)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, extend="both" if top > end else "neither")
    _name_parts(ax, rows, columns, "black")
    return ax


def draw_signed(ax: Axes, M: np.ndarray, limit: float) -> AxesImage:
    """Entries with their signs as in ``entries``: the darkest colours are at the limit."""
    return ax.imshow(M, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")


def divide(axis: Axis, sizes: Sequence[int], colour: str) -> np.ndarray:
    """Draw lines between parts of so many rows or columns; returns the middles of the parts."""
    line = axis.axes.axvline if axis is axis.axes.xaxis else axis.axes.axhline
    ends = np.cumsum([0, *sizes])
    for end in ends[1:-1]:
        line(end - 0.5, color=colour, lw=1.2)
    return np.asarray((ends[1:] + ends[:-1] - 1) / 2)


def _names(model: ImplicitModel, letters: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Names of the rows and of the columns of some of the matrices, by the letters of the equations."""
    features = [f"x{i}" for i in range(model.n_hidden)]
    rows = {"x": features, "y": model.output_names}
    columns = {"x": features, "u": model.input_names}
    return (
        {key: rows[key] for key, those in (("x", "AB"), ("y", "CD")) if {*those} & {*letters}},
        {key: columns[key] for key, those in (("x", "AC"), ("u", "BD")) if {*those} & {*letters}},
    )


def _name_parts(ax: Axes, rows: dict[str, list[str]], columns: dict[str, list[str]], colour: str) -> None:
    """Lines between the parts, and names of rows and columns; where names do not fit, of the parts."""
    for axis, parts in ((ax.xaxis, columns), (ax.yaxis, rows)):
        middles = divide(axis, [len(part) for part in parts.values()], colour)
        names = [name for part in parts.values() for name in part]
        if not name_ticks(axis, np.arange(len(names)), names):
            titles = [f"${letter}$ ({len(part)})" if letter else str(len(part)) for letter, part in parts.items()]
            axis.set_ticks(middles, titles)
            axis.set_tick_params(length=0)


def _dense(part: Matrix) -> np.ndarray:
    if part.shape[0] * part.shape[1] > MOST_ENTRIES:
        cause = f"has a matrix of {part.shape[0]} x {part.shape[1]} entries, too many to draw each"
        raise InvalidInputError("of", cause, "plots.matrix shows which of A are not zero")
    return dense(part)
