"""A live block while its parameters move: sliders in a notebook, or still pictures at a few values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.plots.arguments import check_kind
from bcd_implicit.plots.axes import name_ticks
from bcd_implicit.plots.matrices import divide, draw_signed
from bcd_implicit.plots.style import UNUSED, USED
from bcd_implicit.support.checks import check_list, check_number

if TYPE_CHECKING:
    import cvxpy as cp
    from ipywidgets import VBox
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bcd_implicit.blocks.posed import BlockProblem

# Norms below this share of the largest are a conic solver's zeros.
ZERO = 1e-4
# A slider goes from a hundredth of a parameter's value to a hundred times it, or in this range from zero.
DECADES, FROM_ZERO = 2, (-4.0, 1.0)
# Matrices of a block, side by side.
PAIRS = (("A", "B"), ("C", "D"))


def stills(
    live: BlockProblem,
    parameter: str,
    values: ArrayLike,
    figure: Figure | None = None,
    solver: str | None = None,
) -> Figure:
    """Solve a block at several values of one parameter, and draw one column of panels for each value.

    The top panels show the matrices with signs, the bottom panels the norms of their columns. Afterwards the parameter
    has its old value again. With ``standardize=True`` the matrices are those for standardised columns.

    Parameters
    ----------
    live : BlockProblem
        From :func:`~bcd_implicit.block_problem`; any block but "state".
    parameter : str
        A name in ``live.param_dict``.
    values : sequence of float
    figure : Figure, optional
        An empty figure to draw on; by default a new one.
    solver : str, optional
        CVXPY's name of a conic solver; by default CVXPY chooses.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        Not a live block, a state block, an unknown parameter, or no values.
    """
    held = _parameter(live, parameter)
    numbers = [check_number("values", value) for value in check_list("values", values, "numbers", "Give some values")]
    if not numbers:
        raise InvalidInputError("values", "is empty", "Give some values")
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(2.2 * len(numbers) + 0.8, 3.6), layout="constrained")
    axes = figure.subplots(2, len(numbers), squeeze=False, sharey="row")
    before, solved = held.value, []
    try:
        for value in numbers:
            solved.append((value, *_solved(live, {parameter: value}, solver)))
    finally:
        held.value = before
    top = _largest(matrices for *_, matrices in solved)
    for (value, objective, matrices), (upper, lower) in zip(solved, axes.T, strict=True):
        image = _draw(live, matrices, upper, lower, top)
        upper.set_title(f"{parameter} = {value:.4g}\nobjective {objective:.4g}", fontsize="small")
    figure.colorbar(image, ax=axes[0])
    for ax in axes[1, 1:]:
        ax.set_ylabel("")
    return figure


def sliders(
    live: BlockProblem,
    parameters: Sequence[str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    solver: str | None = None,
) -> VBox:
    """Sliders for a live block's parameters: moving one solves the block again and draws its matrices.

    The picture is that of :func:`stills`, which needs no widgets. A slider of a number that cannot be negative is
    logarithmic.

    Parameters
    ----------
    live : BlockProblem
        From :func:`~bcd_implicit.block_problem`, which determines the parameters; any block but "state".
    parameters : sequence of str, optional
        Names in ``live.param_dict``; by default all of them.
    ranges : mapping, optional
        The smallest and largest value of a slider, by the parameter's name. By default a hundredth of its value and a
        hundred times its value; for "norm_bound", up to 0.99.
    solver : str, optional
        CVXPY's name of a conic solver; by default CVXPY chooses.

    Returns
    -------
    ipywidgets.VBox
        Its ``children`` are the sliders, the objective (or why there is no solution), and the picture.

    Raises
    ------
    InvalidInputError
        ipywidgets is not installed, the problem is not a live block or is a state block, or a parameter is unknown.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        cause, remedy = "need ipywidgets, which is not installed", "Run pip install 'bcd-implicit[viz]', or use stills"
        raise InvalidInputError("sliders", cause, remedy) from None
    _check_live(live)
    names = [*live.param_dict] if parameters is None else check_list("parameters", parameters, "names", "Give names")
    if not names:
        raise InvalidInputError("live", "has no parameters", 'Build it by block_problem(..., parameters="all")')
    knobs = {name: _slider(widgets, _parameter(live, name), (ranges or {}).get(name)) for name in names}
    # A picture as bytes: it needs no backend of matplotlib's.
    message, picture = widgets.Label(), widgets.Image(format="png")

    def redraw(_: Any = None) -> None:
        # A value that leaves no point, or that no solver manages, is told, and the last picture stays.
        try:
            objective, matrices = _solved(live, {name: knob.value for name, knob in knobs.items()}, solver)
        except InvalidInputError as error:
            message.value = str(error)
            return
        message.value = f"objective {objective:.6g}"
        picture.value = _as_png(live, matrices)

    for knob in knobs.values():
        knob.observe(redraw, names="value")
    redraw()
    return widgets.VBox([*knobs.values(), message, picture])


def _as_png(live: BlockProblem, matrices: Mapping[str, np.ndarray]) -> bytes:
    from matplotlib.figure import Figure

    figure, file = Figure(figsize=(7, 3), layout="constrained"), BytesIO()
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    figure.colorbar(_draw(live, matrices, left, right, _largest([matrices])), ax=left)
    figure.savefig(file, format="png")
    return file.getvalue()


def _largest(solved: Iterable[Mapping[str, np.ndarray]]) -> float:
    """The largest entry of all matrices, for the colours; 1 where all are zero."""
    return max(float(np.abs(M).max(initial=0)) for matrices in solved for M in matrices.values()) or 1.0


def _check_live(live: Any) -> None:
    # Here, as the import is CVXPY's, which other plots do without.
    from bcd_implicit.blocks.posed import BlockProblem

    check_kind("live", live, BlockProblem)


def _parameter(live: Any, name: str) -> cp.Parameter:
    _check_live(live)
    if not any(letter in live.var_dict for pair in PAIRS for letter in pair):
        raise InvalidInputError("live", f"is the {live.block} block, which has no matrices", "Pass another block")
    return live.param_dict[check_choice("parameter", name, live.param_dict)]


def _slider(widgets: Any, parameter: cp.Parameter, limits: tuple[float, float] | None) -> Any:
    value, name = float(np.asarray(parameter.value)), parameter.name()
    # Only what is moved is solved for: not every value on the way.
    common = {"description": name, "continuous_update": False, "style": {"description_width": "initial"}}
    if not parameter.is_nonneg():
        low, high = limits or (value - max(1.0, abs(value)), value + max(1.0, abs(value)))
        return widgets.FloatSlider(value=value, min=low, max=high, step=(high - low) / 100, **common)
    if name == "norm_bound" or (limits and limits[0] <= 0):
        low, high = limits or (0.0, 0.99)
        return widgets.FloatSlider(value=value, min=low, max=high, step=(high - low) / 100, **common)
    if limits is None:
        exponents = (np.log10(value) - DECADES, np.log10(value) + DECADES) if value > 0 else FROM_ZERO
    else:
        exponents = (np.log10(limits[0]), np.log10(limits[1]))
    start = value if value > 0 else 10 ** exponents[0]
    return widgets.FloatLogSlider(value=start, min=exponents[0], max=exponents[1], step=0.05, **common)


def _solved(live: BlockProblem, values: Mapping[str, float], solver: str | None) -> tuple[float, dict[str, np.ndarray]]:
    """The block's value and its matrices, once the parameters have these values.

    Raises
    ------
    InvalidInputError
        No solution: infeasible at these values, or a failure of the solver.
    """
    import cvxpy as cp

    for name, value in values.items():
        live.param_dict[name].value = value
    told = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
    try:
        live.solve(solver=solver)
    except cp.error.SolverError as error:
        raise InvalidInputError("live", f"could not be solved at {told} ({error})", "Try another solver") from None
    if live.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        raise InvalidInputError("live", f"is {live.status} at {told}", "Move a parameter back")
    held = live.training_problem.shapes
    letters = next(pair for pair in PAIRS if any(letter in live.var_dict for letter in pair))
    return float(live.value), {
        k: np.asarray(live.var_dict[k].value) for k in letters if k in live.var_dict and k in held
    }


def _draw(live: BlockProblem, matrices: Mapping[str, np.ndarray], upper: Axes, lower: Axes, top: float) -> Any:
    """The matrices side by side, and the norms of the columns of the last one, an input each (or a hidden feature)."""
    letters = list(matrices)
    image = draw_signed(upper, np.hstack([*matrices.values()]), top)
    middles = divide(upper.xaxis, [M.shape[1] for M in matrices.values()], "black")
    upper.set_xticks(middles, [f"${letter}$" for letter in letters])
    upper.set_yticks([])
    norms = np.linalg.norm(matrices[letters[-1]], axis=0)
    used = norms > ZERO * max(float(norms.max()), ZERO)
    lower.bar(np.arange(len(norms)), norms, color=np.where(used, USED, UNUSED))
    lower.set_ylabel(rf"$\|{letters[-1]} e_j\|_2$")
    if letters[-1] == "C" or not name_ticks(lower.xaxis, np.arange(len(norms)), live.training_problem.input_names):
        lower.set_xlabel("hidden feature" if letters[-1] == "C" else "input")
    return image
