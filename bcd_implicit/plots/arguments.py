"""What the plots share: checks of their arguments, and what is drawn of a model, a result or a choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.plots.axes import label_axis, whole_numbers
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.choice import Selection
from bcd_implicit.support.checks import check_matrix, check_number
from bcd_implicit.terms.penalties import column_norms
from bcd_implicit.training.result import BcdResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Fitted = ImplicitModel | BcdResult | Selection


def axes_of(ax: Any) -> Axes:
    """The axes to draw on: those given, or the current ones, of a figure with room for names if none is open."""
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        if not plt.get_fignums():
            plt.figure(layout="constrained")
        return plt.gca()
    if not isinstance(ax, Axes):
        raise InvalidInputError("ax", f"is of type {type(ax).__name__}", "Pass one Axes of matplotlib, such as axes[0]")
    return ax


def check_kind(argument: str, value: object, *kinds: type) -> None:
    """Raise an error that names the argument unless it is of one of the kinds."""
    if not isinstance(value, kinds):
        remedy = f"Pass one of type {', '.join(kind.__name__ for kind in kinds)}"
        # A Selection's result, or what an estimator holds: results on standardised data, a model in the data's units.
        held = ("result", "model_", "result_", "path_", "selection_")
        if fitting := [name for name in held if isinstance(getattr(value, name, None), kinds)]:
            remedy += f", for example its .{' or .'.join(fitting)}"
        elif makes := [kind.__name__.lower() for kind in kinds if hasattr(value, kind.__name__.lower())]:
            # Such as a Selection's uncertainty().
            remedy += f", which its .{makes[0]}() returns"
        raise InvalidInputError(argument, f"is of type {type(value).__name__}", remedy)


def check_mask(argument: str, mask: ArrayLike, length: int) -> np.ndarray:
    """Return a mask of the inputs, also of their indices, or raise an error that names it."""
    array = np.asarray(mask)
    remedy = f"Pass True or False for each of the {length} inputs, or the indices of those that are meant"
    if array.dtype == bool and array.shape == (length,):
        return array
    if array.ndim != 1 or (len(array) and not np.issubdtype(array.dtype, np.integer)):
        raise InvalidInputError(argument, f"is an array of {array.dtype} of shape {array.shape}", remedy)
    indices = array.astype(int)
    if len(indices) and not 0 <= indices.min() <= indices.max() < length:
        raise InvalidInputError(argument, f"has indices that are not from 0 to {length - 1}", remedy)
    # Zeros and ones, one for each input, would be a mask of integers.
    if len(np.unique(indices)) < len(indices) or (len(indices) == length and indices.max() <= 1):
        raise InvalidInputError(argument, "is of integers, but not of different indices", remedy)
    return np.isin(np.arange(length), indices)


def place_of_output(output: str | int, names: Sequence[str]) -> int:
    """The place of an output that is named or numbered, or an error that says what there is."""
    if isinstance(output, str):
        if output not in names:
            raise InvalidInputError("output", f"there is no {output!r}", f"Use {', '.join(names)}, or a number")
        return list(names).index(output)
    last = len(names) - 1
    return check_number("output", output, 0, last, integer=True, remedy=f"Give a number from 0 to {last}")


def model_of(of: Any, *others: type) -> ImplicitModel:
    """The model that was given, or that of the result or choice, or of other kinds that have one."""
    check_kind("of", of, ImplicitModel, BcdResult, Selection, *others)
    return of if isinstance(of, ImplicitModel) else of.model


def samples_of(of: Any, U: Any, Y: Any = None) -> tuple[ImplicitModel, Any, Any]:
    """The model with inputs and targets as rows: those given, or those that it was trained on."""
    model = model_of(of)
    if U is not None:
        return model, U, Y
    if isinstance(of, ImplicitModel):
        raise InvalidInputError("U", "is missing", "A model holds no samples: pass some, or the result of its training")
    result = of.result if isinstance(of, Selection) else of
    return result.model, *result.problem.samples


def norms_of(of: Any) -> tuple[np.ndarray, list[str] | None, str]:
    """Column norms, names of the inputs if known, and what the norms are called."""
    if isinstance(of, BcdResult):
        problem = of.problem
        return column_norms(problem.grouped(of.iterate)), problem.input_names, norm_label(problem)
    if isinstance(of, (np.ndarray, list, tuple, pd.Series)):
        return check_matrix("of", of, n_columns=1)[:, 0], None, norm_label(None)
    model = model_of(of)
    return column_norms(model.B), model.input_names, norm_label(None)


def norm_label(problem: TrainingProblem | None) -> str:
    """What the axis of the norms is called."""
    matrix = r"(B; D)\," if problem is not None and problem.stacked else "B"
    units = ", standardised" if problem is not None and problem.scaling is not None else ""
    return rf"$\|{matrix} e_j\|_2${units}"


def label_cycles(ax: Axes) -> None:
    """The axis of the cycles."""
    whole_numbers(ax.xaxis)
    label_axis(ax.xaxis, "cycle")
    ax.grid(alpha=0.3, which="both")
