"""Equilibrium states, and how Picard's iteration and other solvers reach them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.plots.arguments import Fitted, axes_of, samples_of
from bcd_implicit.plots.axes import logarithmic, whole_numbers
from bcd_implicit.plots.style import ROUNDING, UNUSED, USED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bcd_implicit.model.implicit_model import ImplicitModel


def states(of: Fitted, U: ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """The equilibrium states: one row per hidden feature, one column per sample (only some samples if pixels are few).

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U : array-like of shape (m, p), optional
        Inputs; by default those that the result was trained on. Required for a model.
    ax : Axes, optional
        Part of it is used for a colour bar.

    Raises
    ------
    InvalidInputError
        Not a model, or a model without inputs.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    model, inputs, _ = samples_of(of, U)
    ax = axes_of(ax)
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


def picard_convergence(of: Fitted, U: ArrayLike | None = None, ax: Axes | None = None, *, n_steps: int = 50) -> Axes:
    """Picard's measured error by step, under its two bounds.

    It draws the table of :meth:`~bcd_implicit.model.by_steps.BySteps.picard_convergence`.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U : array-like of shape (m, p), optional
        Inputs; by default those that the result was trained on. Required for a model.
    ax : Axes, optional
    n_steps : int
        The largest number of steps; the iteration ends earlier once rounding dominates.

    Raises
    ------
    InvalidInputError
        Not a model, or a model without inputs.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    model, inputs, _ = samples_of(of, U)
    ax = axes_of(ax)
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
    ax.set_xlabel(f"{'damped' if _damped(model) else 'Picard'} step $k$,  {_contraction(model)}")
    ax.set_ylabel("largest of all samples")
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
    return ax


def solver_convergence(
    of: Fitted,
    U: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    solvers: str | Sequence[str] = ("picard", "anderson", "broyden", "newton"),
    n_steps: int = 1000,
) -> Axes:
    """Errors of several solvers by step, under their bounds.

    It draws the tables of :meth:`~bcd_implicit.model.by_steps.BySteps.solver_convergence`.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    U : array-like of shape (m, p), optional
        Inputs; by default those that the result was trained on. Required for a model.
    ax : Axes, optional
    solvers : str or sequence of str
        Names that :meth:`~bcd_implicit.ImplicitModel.states` knows.
    n_steps : int
        The largest number of steps; the iteration ends earlier once rounding dominates.

    Raises
    ------
    InvalidInputError
        Not a model, a model without inputs, an unknown solver or none.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    model, inputs, _ = samples_of(of, U)
    ax = axes_of(ax)
    names = [solvers] if isinstance(solvers, str) else list(solvers)
    if not names:
        raise InvalidInputError("solvers", "is empty", "Name one or more solvers of the states")
    tables = {solver: model.solver_convergence(inputs, solver, n_steps) for solver in names}
    for solver, table in tables.items():
        # What the solver "picard" does where its own steps may run away.
        label = "forward-backward" if solver == "picard" and _damped(model) else solver
        (line,) = ax.plot(table["step"], table["error"], marker=".", lw=1.2, label=label)
        ax.plot(table["step"], table["bound"], "--", color=line.get_color(), lw=1)
    ax.plot([], [], "--", color=UNUSED, lw=1, label="certified bound")
    drawn = pd.concat(tables.values())
    logarithmic(ax.xaxis, drawn["step"].to_numpy())
    logarithmic(ax.yaxis, drawn[["error", "bound"]].to_numpy(), ROUNDING)
    ax.set_xlabel(f"step $k$,  {_contraction(model)}")
    ax.set_ylabel(r"error $\|x_k - x_*\|_\infty$, largest of all samples")
    ax.legend(fontsize="small")
    ax.grid(alpha=0.3)
    return ax


def _damped(model: ImplicitModel) -> bool:
    """Whether only damped steps are known to contract."""
    return bool(np.any(np.diagonal(model.structure().gains()) < 0))


def _contraction(model: ImplicitModel) -> str:
    return rf"$\nu$ = {model.contraction():.3g}"
