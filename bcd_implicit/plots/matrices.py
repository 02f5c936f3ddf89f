"""The matrices of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.axes import name_ticks
from bcd_implicit.plots.style import USED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Of more entries each would be less than a pixel.
MOST_ENTRIES = 4_000_000
# Magnitudes below this share of the largest are drawn like it.
FAINTEST = 1e-4


def sparsity(of: Fitted, matrix: str = "all", ax: Axes | None = None) -> Axes:
    """Magnitudes of the entries of (A B; C D), or of one of them; zeros are blank.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    matrix : {"all", "A", "B", "C", "D"}
    ax : Axes, optional
        A colour bar takes some of its room.

    Raises
    ------
    InvalidInputError
        No model, another matrix, or one of more than four million entries.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm

    check_choice("matrix", matrix, ("all", "A", "B", "C", "D"))
    model, ax = model_of(of), axes_of(ax)
    features = [f"x{i}" for i in range(model.n_hidden)]
    rows = {"x": features, "y": model.output_names}
    columns = {"x": features, "u": model.input_names}
    if matrix != "all":
        rows = {key: rows[key] for key in ("x" if matrix in "AB" else "y")}
        columns = {key: columns[key] for key in ("x" if matrix in "AC" else "u")}
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
    for axis, parts, line in ((ax.xaxis, columns, ax.axvline), (ax.yaxis, rows, ax.axhline)):
        ends = np.cumsum([0] + [len(part) for part in parts.values()])
        for end in ends[1:-1]:
            line(end - 0.5, color=USED, lw=1.2)
        if not name_ticks(axis, np.arange(ends[-1]), [name for part in parts.values() for name in part]):
            titles = [f"${letter}$ ({len(part)})" for letter, part in parts.items()]
            axis.set_ticks((ends[1:] + ends[:-1] - 1) / 2, titles)
            axis.set_tick_params(length=0)
    ax.set_title("$(A\\;B;\\;C\\;D)$" if matrix == "all" else f"${matrix}$")
    return ax


def _dense(part: Matrix) -> np.ndarray:
    if part.shape[0] * part.shape[1] > MOST_ENTRIES:
        cause = f"has a matrix of {part.shape[0]} x {part.shape[1]} entries, too many to draw each"
        raise InvalidInputError("of", cause, "plots.matrix shows which of A are not zero")
    return dense(part)
