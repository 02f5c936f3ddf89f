"""A with its blocks: what of a model's states depends on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blocks of more states than this share of all are labelled, and more blocks than so many have no lines.
LABELLED, MOST_LINES = 0.01, 60


def matrix(of: Fitted, ax: Axes | None = None, *, pixels: int = 800) -> Axes:
    """The entries of A that are not zero, with lines between the blocks of states; entries on cycles stand out.

    A block is a run of states that are solved for together, or that have one function: a layer, in a network's model.
    In a model without cycles the picture is strictly block triangular. A convolution shows as stripes, and a layer of
    all with all as a full block.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    ax : Axes, optional
    pixels : int
        The picture has no more of them each way: of a larger matrix each is one in which some entry is not zero.

    Raises
    ------
    InvalidInputError
        No model, or another number of pixels.
    """
    from matplotlib.colors import ListedColormap

    model, ax = model_of(of), axes_of(ax)
    pixels = check_number("pixels", pixels, 1, integer=True, remedy="Give a whole number such as 800")
    n, structure = model.n_hidden, model.structure()
    entries = sp.coo_array(model.A)
    entries.eliminate_zeros()
    rows, columns = entries.coords
    across = min(n, pixels)
    picture = np.zeros((across, across))
    picture[rows * across // n, columns * across // n] = 1
    # Entries between states of one component are on a cycle.
    on_cycle = structure.component[rows] == structure.component[columns]
    picture[rows[on_cycle] * across // n, columns[on_cycle] * across // n] = 2
    ax.imshow(
        np.ma.masked_equal(picture, 0),
        cmap=ListedColormap([MARK, USED]),
        vmin=1,
        vmax=2,
        extent=(0, n, n, 0),
        interpolation="nearest",
    )
    ends = blocks_of(model)
    if len(ends) <= MOST_LINES:
        for end in ends[1:-1]:
            ax.axhline(end, color=UNUSED, lw=0.6)
            ax.axvline(end, color=UNUSED, lw=0.6)
    sizes, middles = np.diff(ends), (ends[1:] + ends[:-1]) / 2
    shown = sizes >= LABELLED * n if len(ends) <= MOST_LINES else np.zeros(len(sizes), dtype=bool)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(middles[shown], [f"{size}" for size in sizes[shown]])
        axis.set_tick_params(length=0, labelsize="small")
    for label in ax.get_xticklabels():
        label.set_rotation(90 if shown.sum() > 8 else 0)
    share = f"{100 * structure.density:.2g} % of the entries"
    cycles = f", {len(structure.cycles)} with a cycle" if structure.cycles else ", no cycle"
    ax.set_title(f"$A$: {n} states, {share}\n{structure.depth} stages{cycles}", fontsize="medium")
    ax.set_xlabel("... on these: numbers of states in a block")
    ax.set_ylabel("these depend ...")
    return ax


def blocks_of(model: ImplicitModel) -> np.ndarray:
    """Where blocks begin and end in the states' order: runs of one stage and one function."""
    level, n = model.structure().level, model.n_hidden
    changes = np.flatnonzero(np.diff(level)) + 1
    blocks = getattr(model.activation, "blocks", [])
    functions = np.cumsum([size for _, size in blocks])[:-1].astype(int)
    return np.unique([0, *changes, *functions, n])
