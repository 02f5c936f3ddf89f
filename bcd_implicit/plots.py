"""Plots: each takes a model, a result or a path and an axes, draws on it, and returns it.

Without an axes they draw on the current one. Names need room: make figures with ``layout="constrained"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit import penalties
from bcd_implicit.axes import (
    LINE,
    SMALLEST_FONT,
    headroom,
    label_lines,
    length_in_points,
    logarithmic,
    name_ticks,
    shortened,
    whole_numbers,
)
from bcd_implicit.data import check_matrix, check_names, check_number, pick_columns
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.path import PathResult
from bcd_implicit.problem import TrainingProblem
from bcd_implicit.result import BcdResult
from bcd_implicit.selection import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Fitted = ImplicitModel | BcdResult | Selection

# Seen on white and on black.
USED, UNUSED, MARK = "#c44e52", "#8c96a3", "#4c72b0"

# Magnitudes below this share of the largest are drawn like it.
FAINTEST = 1e-4
# Errors and gaps below this are nothing but rounding, and drawn next to zero.
ROUNDING = float(np.finfo(float).eps)
# The points of more outputs than this all have one colour.
MOST_COLOURS = 10


def column_norms(
    of: Fitted | ArrayLike,
    highlight: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
    *,
    truth: ArrayLike | None = None,
    sort: bool = False,
) -> Axes:
    """Bars of ||B e_j||_2, one an input; of (B; D) e_j for a result in which these are grouped.

    Parameters
    ----------
    of : ImplicitModel, BcdResult, Selection or array of shape (p,)
        The model, or the norms themselves.
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour; the nonzero ones by default.
    names : sequence of str, optional
        Names of the inputs; the model's by default. Where they do not all fit the highlighted inputs are named, and
        where these do not fit either, inputs are numbered.
    ax : Axes, optional
    truth : bool array of shape (p,), optional
        The inputs that matter, where that is known: circles mark them.
    sort : bool
        The largest norms first, and only those whose names have room.

    Raises
    ------
    InvalidInputError
        Something else to draw, or an array of another length.
    """
    ax = _axes(ax)
    norms, known_names, label = _norms(of)
    p = len(norms)
    highlight = norms > 0 if highlight is None else _mask("highlight", highlight, p)
    names = known_names if names is None else check_names("names", names, p, "u")
    order = np.argsort(-norms, kind="stable") if sort else np.arange(p)
    if sort:
        order = order[: max(1, int(length_in_points(ax.xaxis) / (LINE * SMALLEST_FONT)) - 1)]
        names = names or [str(j) for j in range(p)]
    shown, places, coloured = norms[order], np.arange(len(order)), highlight[order]
    colours = np.where(coloured, USED, UNUSED)
    # A thin edge, so that bars narrower than a pixel are seen.
    ax.bar(places, shown, color=colours, edgecolor=colours, linewidth=0.5, width=0.8)
    if truth is not None:
        true = np.flatnonzero(_mask("truth", truth, p)[order])
        ax.plot(true, shown[true], "o", mfc="white", mec=MARK, ms=5, clip_on=False, zorder=3, label="truly used")
        ax.legend(fontsize="small")
    ax.set_xlim(-0.8, len(order) - 0.2)
    if not shown.any():
        ax.set_ylim(0, 1)
        ax.text(0.5, 0.5, "all zero", transform=ax.transAxes, ha="center", color=UNUSED)
    every = names and name_ticks(ax.xaxis, places, [names[j] for j in order])
    some = every or (names and name_ticks(ax.xaxis, places[coloured], [names[j] for j in order[coloured]]))
    if len(order) < p:
        ax.set_xlabel(f"the {len(order)} largest of {p} inputs")
    elif not some:
        whole_numbers(ax.xaxis)
        ax.set_xlabel("input $j$")
    ax.set_ylabel(label)
    ax.grid(axis="y", alpha=0.3)
    return ax


def kappa_path(
    path: PathResult,
    chosen: Selection | float | None = None,
    highlight: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    highlighted: str = "selected",
    others: str = "not selected",
) -> Axes:
    """Norm of every column of B, or of (B; D) where these are grouped, against kappa.

    Parameters
    ----------
    path : PathResult
    chosen : Selection or float, optional
        What was chosen from the path, or a kappa to mark.
    highlight : bool array of shape (p,), optional
        Inputs drawn in colour: the true ones where they are known; by default the chosen ones, or those that are left
        at the end.
    ax : Axes, optional
    names : sequence of str, optional
        Names of the inputs; the highlighted lines are labelled with them at their left ends. The problem's by default.
    highlighted, others : str
        What the legend calls the two groups.

    Raises
    ------
    InvalidInputError
        No path, or an array of another length.
    """
    _check("path", path, PathResult)
    ax = _axes(ax)
    problem, kappas, norms = path.problem, path.kappas, path.column_norms
    names = problem.input_names if names is None else check_names("names", names, problem.n_inputs, "u")
    if chosen is not None and not isinstance(chosen, Selection):
        chosen = check_number("chosen", chosen, 0, remedy="Pass a Selection, or a kappa to mark")
    if highlight is None:
        highlight = chosen.support if isinstance(chosen, Selection) else norms[-1] > 0
    highlight = _mask("highlight", highlight, problem.n_inputs)
    for colour, group, width, label in ((UNUSED, ~highlight, 0.9, others), (USED, highlight, 1.4, highlighted)):
        for i, j in enumerate(np.flatnonzero(group)):
            ax.plot(kappas, norms[:, j], color=colour, lw=width, marker=".", ms=3, label=None if i else label)
    if chosen is not None:
        kappa = chosen.kappa if isinstance(chosen, Selection) else chosen
        ax.axvline(kappa, color=MARK, ls="--", lw=1.2, label=rf"chosen $\kappa$ = {kappa:.3g}")
    logarithmic(ax.xaxis, kappas)
    if problem.group_form == "constraint":
        ax.invert_xaxis()  # sparser to the right, as in the penalty form
    label_lines(ax, float(kappas[0]), USED, {names[int(j)]: norms[0, j] for j in np.flatnonzero(highlight)})
    ax.legend(loc="best", fontsize="small")
    ax.set_xlabel(r"$\kappa$, the weight" if problem.group_form == "penalty" else r"$\kappa$, the bound")
    ax.set_ylabel(_norm_label(problem))
    ax.grid(alpha=0.3)
    return ax


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
        No model, or another matrix.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap, LogNorm

    check_choice("matrix", matrix, ("all", "A", "B", "C", "D"))
    model, ax = _model(of), _axes(ax)
    features = [f"x{i}" for i in range(model.n_hidden)]
    rows = {"x": features, "y": model.output_names}
    columns = {"x": features, "u": model.input_names}
    if matrix != "all":
        rows = {key: rows[key] for key in ("x" if matrix in "AB" else "y")}
        columns = {key: columns[key] for key in ("x" if matrix in "AC" else "u")}
        M = getattr(model, matrix)
    else:
        M = np.block([[model.A, model.B], [model.C, model.D]])
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


def history(result: BcdResult, ax: Axes | None = None) -> Axes:
    """The objective that the loop never raises, cycle by cycle.

    Parameters
    ----------
    result : BcdResult
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        No result of a loop.
    """
    _check("result", result, BcdResult)
    ax = _axes(ax)
    table = result.history
    ax.plot(table["cycle"], table["objective"], color=MARK, marker=".", lw=1.2)
    if table["objective"].max() > 30 * table["objective"].min() > 0:
        logarithmic(ax.yaxis, table["objective"].to_numpy())
    _cycles(ax)
    ax.set_ylabel("objective (F)" if result.method == "fenchel" else "objective (T)")
    return ax


def certificates(result: BcdResult, ax: Axes | None = None) -> Axes:
    """The largest relative gap, KKT residual and violation of the blocks, cycle by cycle.

    Put it under :func:`history`, with ``sharex=True``: two scales in one panel would be hard to read. What is unknown
    has no line, and the legend says so.

    Parameters
    ----------
    result : BcdResult
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        No result of a loop.
    """
    _check("result", result, BcdResult)
    ax = _axes(ax)
    table = result.history.replace(np.inf, np.nan)
    kinds = {"gap": ("relative gap", USED, "o"), "kkt_residual": ("KKT residual", MARK, "."),
             "violation": ("violation", UNUSED, "x")}  # fmt: skip
    for column, (label, colour, marker) in kinds.items():
        unknown = "" if table[column].notna().any() else " (unknown)"
        ax.plot(table["cycle"], table[column], color=colour, marker=marker, ms=5, lw=1.2, label=label + unknown)
    logarithmic(ax.yaxis, table[list(kinds)].to_numpy(), ROUNDING)
    headroom(ax)
    _cycles(ax)
    ax.set_ylabel("certificates of the blocks")
    ax.legend(fontsize="small")
    return ax


def states(of: Fitted, U: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """The equilibrium states: a row a hidden feature, a column a sample (some of them, where pixels are fewer).

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U : array-like of shape (m, p), optional
        Inputs; by default those that the result was trained on. A model needs them.
    ax : Axes, optional
        A colour bar takes some of its room.

    Raises
    ------
    InvalidInputError
        No model, or one without inputs.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    model, inputs, _ = _samples(of, U)
    ax = _axes(ax)
    X = model.states(inputs).X.T
    top = float(np.abs(X).max()) or 1.0
    signed = X.min() < 0
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -top} if signed else {"cmap": "Blues", "vmin": 0.0}
    image = ax.imshow(X, aspect="auto", interpolation="nearest", vmax=top, **colours)
    ax.figure.colorbar(image, ax=ax, label="state")
    for axis in (ax.xaxis, ax.yaxis):
        whole_numbers(axis)
    ax.set_xlabel("sample")
    ax.set_ylabel("hidden feature $i$")
    return ax


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
    model, inputs, targets = _samples(of, U, Y)
    ax = _axes(ax)
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


def picard_convergence(of: Fitted, U: ArrayLike | None = None, ax: Axes | None = None, *, n_steps: int = 50) -> Axes:
    """Picard's measured error by step, under its two bounds: :meth:`bcd_implicit.ImplicitModel.picard_convergence`.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U : array-like of shape (m, p), optional
        Inputs; by default those that the result was trained on. A model needs them.
    ax : Axes, optional
    n_steps : int
        The most steps; fewer are taken where rounding is reached.

    Raises
    ------
    InvalidInputError
        No model, or one without inputs.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    model, inputs, _ = _samples(of, U)
    ax = _axes(ax)
    table = model.picard_convergence(inputs, n_steps)
    # Wide lines below narrow ones: bounds that are met are seen as well.
    for column, label, colour, width in (
        ("a_priori", r"first step's bound, $\propto\nu^k$", "#d5d9de", 6),
        ("bound", "last step's bound", UNUSED, 3),
        ("error", r"error $\|x_k - x_*\|_\infty$", USED, 1.2),
    ):
        ax.plot(table["step"], table[column], color=colour, lw=width, marker=".", label=label)
    logarithmic(ax.yaxis, table[["error", "bound", "a_priori"]].to_numpy(), ROUNDING)
    whole_numbers(ax.xaxis)
    ax.set_xlabel(rf"Picard step $k$,  $\nu$ = {model.contraction():.3g}")
    ax.set_ylabel("largest of all samples")
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
    return ax


def _axes(ax: Any) -> Axes:
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.gca()
    if not isinstance(ax, Axes):
        raise InvalidInputError("ax", f"is of type {type(ax).__name__}", "Pass one Axes of matplotlib, such as axes[0]")
    return ax


def _check(argument: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        remedy = f"Pass one of type {', '.join(kind.__name__ for kind in kinds)}"
        # A Selection's result, or what an estimator holds: results on standardised data, a model in the data's units.
        held = ("result", "model_", "result_", "path_", "selection_")
        if fitting := [name for name in held if isinstance(getattr(value, name, None), kinds)]:
            remedy += f", for example its .{' or .'.join(fitting)}"
        raise InvalidInputError(argument, f"is of type {type(value).__name__}", remedy)


def _mask(argument: str, mask: ArrayLike, length: int) -> np.ndarray:
    array = np.asarray(mask)
    if array.dtype != bool or array.shape != (length,):
        raise InvalidInputError(
            argument,
            f"is an array of {array.dtype} of shape {array.shape}",
            f"Pass True or False for each of the {length} inputs",
        )
    return array


def _model(of: Any) -> ImplicitModel:
    _check("of", of, ImplicitModel, BcdResult, Selection)
    return of if isinstance(of, ImplicitModel) else of.model


def _samples(of: Any, U: Any, Y: Any = None) -> tuple[ImplicitModel, Any, Any]:
    """The model with inputs and targets as rows: those given, or those that it was trained on."""
    model = _model(of)
    if U is not None:
        return model, U, Y
    if isinstance(of, ImplicitModel):
        raise InvalidInputError("U", "is missing", "A model holds no samples: pass some, or the result of its training")
    result = of.result if isinstance(of, Selection) else of
    return result.model, result.problem.U.T, result.problem.Y.T


def _norms(of: Any) -> tuple[np.ndarray, list[str] | None, str]:
    """Column norms, names of the inputs if known, and what the norms are called."""
    if isinstance(of, BcdResult):
        problem = of.problem
        return penalties.column_norms(problem.grouped(of.iterate)), problem.input_names, _norm_label(problem)
    if isinstance(of, (np.ndarray, list, tuple, pd.Series)):
        return check_matrix("of", of, n_columns=1)[:, 0], None, _norm_label(None)
    model = _model(of)
    return penalties.column_norms(model.B), model.input_names, _norm_label(None)


def _norm_label(problem: TrainingProblem | None) -> str:
    return r"$\|(B; D)\, e_j\|_2$" if problem is not None and problem.stacked else r"$\|B e_j\|_2$"


def _cycles(ax: Axes) -> None:
    whole_numbers(ax.xaxis)
    ax.set_xlabel("cycle")
    ax.grid(alpha=0.3, which="both")
