"""What is left of a model: its states in their stages, with every connection; and a path of smaller models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from bcd_implicit.compression.result import Compression, entries
from bcd_implicit.errors import check_choice
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import used_inputs
from bcd_implicit.plots.arguments import Fitted, axes_of, check_kind, model_of
from bcd_implicit.plots.axes import logarithmic
from bcd_implicit.plots.style import MARK, UNUSED, USED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More inputs, states and outputs than this are drawn together: a dot for each cycle and for the rest of each stage.
MOST_DOTS = 400
# Points of a curve between two dots of one column, and how far it goes to the side, in columns.
CURVE, ASIDE = 16, 0.35


def compression(result: Compression, ax: Axes | None = None, *, error: str = "R2") -> Axes:
    """Error against size along a path of smaller models; the chosen model is marked.

    Parameters
    ----------
    result : Compression
    ax : Axes, optional
    error : {"R2", "agreement", "certified change"}
        "R2": the share of the predictions' variance that is lost, 1 - R2. "agreement": the share of samples whose
        largest output changes. "certified change": the largest change of a prediction and, dashed, its certified bound.

    Raises
    ------
    InvalidInputError
        Not a Compression, or an unknown error.
    """
    check_kind("result", result, Compression)
    ax = axes_of(ax)
    check_choice("error", error, ("R2", "agreement", "certified change"))
    table = result.table
    changes = error == "certified change"
    values = (table["largest change"] if changes else 1 - table[error]).to_numpy().clip(0)
    total = sum(entries(result.original).values())
    ax.plot(table["total"], values, color=USED, marker="o", ms=4, label="largest change" if changes else None)
    if changes:
        bound = table[error]
        ax.plot(table["total"], bound, color=USED, ls="--", marker="o", ms=3, mfc="none", label="certified bound")
    ax.plot(table["total"][result.chosen], values[result.chosen], color=MARK, marker="D", ms=8, ls="", label="chosen")
    ax.axvline(total, color=UNUSED, lw=1.2, ls="--", label=f"the original, {total}")
    shown = table[error].to_numpy() if changes else values
    logarithmic(ax.yaxis, np.concatenate([values, shown]), 1e-12)
    ax.set_xlim(left=0)
    names = {"R2": "1 - R2 of its predictions", "agreement": "largest output is another one, share of samples"}
    ax.set_xlabel("entries that are not zero")
    ax.set_ylabel(names.get(error, "change of a prediction"))
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small")
    return ax


def architecture(of: Fitted | Compression, ax: Axes | None = None) -> Axes:
    """Inputs, states and outputs as dots, in columns by stage, and every entry of A, B, C and D as a line.

    States on cycles, and connections inside them, are highlighted. In a model without cycles all lines go to the right:
    a stage is a layer, and lines that pass a column skip a layer. Inputs that nothing depends on are grey. A model of
    more than 400 variables is drawn by groups: a dot for each cycle and for the rest of each stage, with thicker lines
    for more entries.

    Parameters
    ----------
    of : ImplicitModel, BcdResult, Selection or Compression
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        Not a model.
    """
    from matplotlib.collections import LineCollection

    model = model_of(of, Compression)
    ax = axes_of(ax)
    structure = model.structure()
    column, cycle, used = _variables(model)
    edges = _edges(model)
    group = np.arange(len(column))
    if len(column) > MOST_DOTS:
        keys = np.column_stack([column, cycle, used])
        _, group = np.unique(keys, axis=0, return_inverse=True)
        group = group.ravel()
    _, first, sizes = np.unique(group, return_index=True, return_counts=True)
    column, cycle, used = column[first], cycle[first], used[first]
    heads, tails = group[edges[0]], group[edges[1]]
    pairs, counts = np.unique(np.stack([heads, tails]), axis=1, return_counts=True)
    heads, tails = pairs
    height = _heights(column, heads, tails)
    inside = (cycle[heads] == cycle[tails]) & (cycle[heads] >= 0)
    widths = 0.35 if len(first) == len(group) else 0.5 + 3 * counts / counts.max(initial=1)
    lines = [
        _line(column[tail], height[tail], column[head], height[head]) for head, tail in zip(heads, tails, strict=True)
    ]
    colours = np.where(inside, USED, MARK)
    ax.add_collection(LineCollection(lines, colors=list(colours), linewidths=widths, alpha=0.45))
    shown = np.where(cycle >= 0, USED, np.where(used, MARK, UNUSED))
    area = 12 if len(first) == len(group) else 20 + 180 * sizes / sizes.max()
    ax.scatter(column, height, s=area, c=list(shown), zorder=3)
    ends = np.arange(structure.depth + 2)
    of_column = np.zeros(len(ends), dtype=int)
    np.add.at(of_column, column, sizes)
    names = ["inputs", *(f"stage {k}" for k in range(1, structure.depth + 1)), "outputs"]
    if structure.depth > 10:
        names[1:-1] = [str(k) for k in range(1, structure.depth + 1)]
    of_column[0] = int(used_inputs(model).sum())
    ax.set_xticks(ends, [f"{name}\n{size}" for name, size in zip(names, of_column, strict=True)], fontsize="small")
    ax.set_yticks([])
    ax.set_xlim(-0.3, structure.depth + 1.3 + ASIDE)
    ax.set_ylim(-0.05, 1.05)
    cycles = f"{len(structure.cycles)} with a cycle" if structure.cycles else "no cycle"
    stages = f"{structure.depth} stage{'s' if structure.depth > 1 else ''}"
    ax.set_title(
        f"{model.n_hidden} states, {sum(entries(model).values())} connections\n{stages}, {cycles}", fontsize="medium"
    )
    return ax


def _variables(model: ImplicitModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of inputs, states and outputs, in this order: the column, the number of the cycle or -1, whether it is used."""
    structure, p, q = model.structure(), len(model.input_names), len(model.d)
    cycle = np.full(model.n_hidden, -1)
    for number, states in enumerate(structure.cycles):
        cycle[states] = number
    column = np.concatenate([np.zeros(p, dtype=int), 1 + structure.level, np.full(q, structure.depth + 1)])
    used = np.concatenate([used_inputs(model), np.ones(model.n_hidden + q, dtype=bool)])
    return column, np.concatenate([np.full(p, -1), cycle, np.full(q, -1)]), used


def _edges(model: ImplicitModel) -> tuple[np.ndarray, np.ndarray]:
    """What depends (heads) on what (tails), by places among inputs, states and outputs."""
    p, n = len(model.input_names), model.n_hidden
    found = []
    for matrix, top, left in ((model.A, p, p), (model.B, p, 0), (model.C, p + n, p), (model.D, p + n, 0)):
        rows, columns = sp.coo_array(matrix).nonzero()
        found.append((rows + top, columns + left))
    heads, tails = (np.concatenate(part) for part in zip(*found, strict=True))
    return heads, tails


def _heights(column: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """A height from 0 to 1 for each dot: in each column by the mean height of what it depends on."""
    height = np.full(len(column), 0.5)
    for k in range(int(column.max()) + 1):
        here = np.flatnonzero(column == k)
        before = (column[heads] == k) & (column[tails] < k)
        sums, counts = np.zeros(len(column)), np.zeros(len(column))
        np.add.at(sums, heads[before], height[tails[before]])
        np.add.at(counts, heads[before], 1)
        # Inputs and outputs are read from the top, in their order.
        wanted = -here if k in (0, column.max()) else np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)[here]
        order = here[np.argsort(wanted, kind="stable")]
        height[order] = (np.arange(len(order)) + 0.5) / len(order)
    return height


def _line(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """From one dot to another: straight, and a curve where both are in one column or it leads back."""
    t = np.linspace(0, 1, CURVE if x1 <= x0 else 2)
    side = 4 * ASIDE * t * (1 - t) if x1 <= x0 else 0.0
    return np.column_stack([x0 + t * (x1 - x0) + side, y0 + t * (y1 - y0)])
