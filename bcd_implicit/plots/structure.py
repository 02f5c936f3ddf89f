"""A with its blocks: what of a model's states depends on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bcd_implicit.errors import check_choice
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.axes import LINE, length_in_points
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blocks of more states than this share of all are labelled, and more blocks than so many have no lines.
LABELLED, MOST_LINES = 0.01, 60
# Labels of narrower ones are turned.
NARROW = 0.05
# Size of the labels, in points.
SMALL = 8.0


def matrix(of: Fitted, ax: Axes | None = None, *, parts: str = "A", pixels: int = 800) -> Axes:
    """The nonzero entries of A, with lines between the blocks of states; entries on cycles are highlighted.

    A block is a run of states that are solved together or have the same function: in the model of a network, a layer.
    In a model without cycles the picture is strictly block triangular. A convolution appears as stripes, and a fully
    connected layer as a full block.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    ax : Axes, optional
    parts : {"A", "all"}
        "all" draws (A B; C D): inputs are the last columns, outputs the last rows.
    pixels : int
        The largest number of pixels in each direction. In a larger matrix, a pixel is drawn if any of its entries is
        nonzero.

    Raises
    ------
    InvalidInputError
        Not a model, unknown parts, or an invalid number of pixels.
    """
    from matplotlib.colors import ListedColormap

    model, ax = model_of(of), axes_of(ax)
    check_choice("parts", parts, ("A", "all"))
    pixels = check_number("pixels", pixels, 1, integer=True, remedy="Give a whole number such as 800")
    structure, blocks = model.structure(), blocks_of(model)
    if parts == "A":
        entries, ends = sp.coo_array(model.A), [blocks, blocks]
    else:
        entries = sp.coo_array(sp.block_array([[model.A, model.B], [model.C, model.D]]))
        ends = [np.append(blocks, length) for length in entries.shape]
    entries.eliminate_zeros()
    picture = np.zeros([min(length, pixels) for length in entries.shape])
    places = [i * k // length for i, k, length in zip(entries.coords, picture.shape, entries.shape, strict=True)]
    picture[tuple(places)] = 1
    # Entries between states of one component are on a cycle.
    component = [
        np.append(structure.component, np.full(k - model.n_hidden, -1 - i)) for i, k in enumerate(entries.shape)
    ]
    on_cycle = component[0][entries.coords[0]] == component[1][entries.coords[1]]
    picture[tuple(place[on_cycle] for place in places)] = 2
    ax.imshow(
        np.ma.masked_equal(picture, 0),
        cmap=ListedColormap([MARK, USED]),
        vmin=1,
        vmax=2,
        extent=(0, entries.shape[1], entries.shape[0], 0),
        interpolation="nearest",
    )
    for axis, line, places_of in ((ax.yaxis, ax.axhline, ends[0]), (ax.xaxis, ax.axvline, ends[1])):
        few = len(places_of) <= MOST_LINES
        for end in places_of[1:-1] if few else []:
            line(end, color=UNUSED, lw=0.6)
        sizes, middles = np.diff(places_of), (places_of[1:] + places_of[:-1]) / 2
        shown = (sizes >= LABELLED * places_of[-1]) & few
        shown[shown] = apart(middles[shown], sizes[shown], LINE * SMALL / length_in_points(axis) * places_of[-1])
        axis.set_ticks(middles[shown], [f"{size}" for size in sizes[shown]])
        axis.set_tick_params(length=0, labelsize=SMALL)
        if axis is ax.xaxis and np.any(sizes[shown] < NARROW * places_of[-1]):
            axis.set_tick_params(rotation=90)
    ax.set_xlabel("... on these: states by blocks" + (", then inputs" if parts == "all" else ""))
    ax.set_ylabel("these depend ..." + (", outputs last" if parts == "all" else ""))
    cycles = f"{len(structure.cycles)} with a cycle" if structure.cycles else "no cycle"
    stages = f"{structure.depth} stage{'s' if structure.depth > 1 else ''}"
    name = "$A$" if parts == "A" else "$(A\\;B;\\;C\\;D)$"
    share = 100 * entries.nnz / np.prod(entries.shape)
    ax.set_title(
        f"{name}: {model.n_hidden} states, {share:.2g} % of the entries\n{stages}, {cycles}",
        fontsize="medium",
    )
    return ax


def apart(places: np.ndarray, weights: np.ndarray, gap: float) -> np.ndarray:
    """Which places to keep so that all are a gap apart, those of larger weights first: bool, of the places' shape."""
    kept: list[int] = []
    for k in np.argsort(-weights, kind="stable"):
        if np.all(np.abs(places[kept] - places[k]) >= gap):
            kept.append(k)
    return np.isin(np.arange(len(places)), kept)


def blocks_of(model: ImplicitModel) -> np.ndarray:
    """Where blocks begin and end in the states' order: runs of one stage and one function."""
    level, n = model.structure().level, model.n_hidden
    changes = np.flatnonzero(np.diff(level)) + 1
    blocks = getattr(model.activation, "blocks", [])
    functions = np.cumsum([size for _, size in blocks])[:-1].astype(int)
    return np.unique([0, *changes, *functions, n])
