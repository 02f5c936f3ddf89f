"""Picard's iteration of one hidden feature as a cobweb between a curve and the diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import inputs_of
from bcd_implicit.model.matrices import dense
from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.style import MARK, UNUSED, USED
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Shares of the iterates' range: room around them, and at least this much of their size where they hardly move.
MARGIN, LEAST_RANGE = 0.1, 0.05
N_CURVE = 400


@dataclass
class Cobweb:
    """What is drawn: the corners of the steps, the curve that sends a state to the next one, and the limits of both."""

    corners: list[np.ndarray]
    grid: np.ndarray
    curve: np.ndarray
    limits: tuple[float, float]


def cobweb(
    of: Fitted,
    u: ArrayLike,
    ax: Axes | None = None,
    *,
    starts: float | Sequence[float] = 0.0,
    n_steps: int = 20,
    feature: int = 0,
    limits: tuple[float, float] | None = None,
) -> Axes:
    """Picard's iteration x <- phi(Ax + Bu + b) of one hidden feature: to the curve, across to the diagonal, and again.

    The curve maps the feature's state to its next state. Equilibria are where it meets the diagonal. A model with one
    hidden feature need not be well-posed. With more features, the curve holds the other features at their equilibrium,
    so the steps of the full iteration approach the curve only as they converge.

    Parameters
    ----------
    of : ImplicitModel, BcdResult or Selection
    u : array-like of shape (p,), or a number where p = 1
        One input.
    ax : Axes, optional
    starts : float or sequence of float
        Where iterations start; all hidden features start from the same value. Each start is a dot.
    n_steps : int
    feature : int
        The hidden feature, from 0.
    limits : (low, high), optional
        Limits of both axes; by default those of the steps.

    Raises
    ------
    InvalidInputError
        Not a model, not one input, an unknown feature, no start, or limits that do not increase.
    NotWellPosedError
        A model with several hidden features has no certified equilibrium.
    """
    model, ax = model_of(of), axes_of(ax)
    drawn = steps_of(model, u, starts, n_steps, feature, limits)
    draw_curve(ax, drawn, feature if model.n_hidden > 1 else None)
    for corners in drawn.corners:
        ax.plot(*corners, color=USED, lw=1)
        ax.plot(*corners[:, 0], "o", color=USED, ms=4)
    return ax


def steps_of(
    model: ImplicitModel,
    u: ArrayLike,
    starts: float | Sequence[float],
    n_steps: int,
    feature: int,
    limits: tuple[float, float] | None,
) -> Cobweb:
    """Check what is asked for, and iterate."""
    n_steps = check_number("n_steps", n_steps, 1, integer=True, remedy="Give 1 or more steps")
    remedy = f"The model has {model.n_hidden} hidden features, counted from 0"
    feature = check_number("feature", feature, 0, model.n_hidden - 1, integer=True, remedy=remedy)
    begin = [check_number("starts", x, remedy="Give one or more numbers") for x in np.atleast_1d(np.asarray(starts))]
    if not begin:
        raise InvalidInputError("starts", "is empty", "Give one or more numbers")
    U = np.reshape(np.asarray(u), (1, -1))
    A, drive = dense(model.A), model._drive(inputs_of(model, U).T)

    X = np.tile(begin, (model.n_hidden, 1))
    states = [X[feature]]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_steps):
            X = model.activation(A @ X + drive)
            states.append(X[feature])
    path = np.array(states)
    if not np.isfinite(path).all():
        raise InvalidInputError("n_steps", f"is {n_steps}, and the states overflow", "Take fewer steps")
    # (x0, x0), (x0, x1), (x1, x1), (x1, x2), ...
    corners = [np.stack([np.repeat(x, 2)[:-1], np.repeat(x, 2)[1:]]) for x in path.T]

    if limits is None:
        low, high = float(path.min()), float(path.max())
        room = MARGIN * max(high - low, LEAST_RANGE * max(abs(low), abs(high)), 1e-300)
        limits = low - room, high + room
    if not limits[0] < limits[1]:
        raise InvalidInputError("limits", f"is {limits}", "Give a low value and a higher one")
    grid = np.linspace(*limits, N_CURVE)
    # One hidden feature has no others, and then the model need not be well-posed.
    equilibrium = model.states(U).X.T if model.n_hidden > 1 else np.zeros((1, 1))
    along = np.tile(equilibrium, (1, N_CURVE))
    along[feature] = grid
    return Cobweb(corners, grid, model.activation(A @ along + drive)[feature], limits)


def draw_curve(ax: Axes, drawn: Cobweb, feature: int | None) -> None:
    """The curve and the diagonal, on square axes."""
    ax.plot(drawn.grid, drawn.curve, color=MARK)
    ax.plot(drawn.grid, drawn.grid, color=UNUSED, lw=0.8)
    letter = "x" if feature is None else f"x_{{{feature}}}"
    ax.set(xlim=drawn.limits, ylim=drawn.limits, aspect="equal", xlabel=f"${letter}$", ylabel=f"next ${letter}$")
