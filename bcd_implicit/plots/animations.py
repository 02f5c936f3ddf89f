"""Animations: the path as kappa grows, and Picard's iteration step by step.

They are ``FuncAnimation`` of matplotlib. Keep one in a variable until it has been shown or saved; in a notebook
``HTML(animation.to_jshtml())`` shows it, and ``animation.save("path.gif", writer="pillow")`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.plots.arguments import Fitted, axes_of, model_of
from bcd_implicit.plots.cobwebs import draw_curve, steps_of
from bcd_implicit.plots.inputs import kappa_path
from bcd_implicit.plots.style import USED
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.path import PathResult
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes


# How much is seen of a line whose input has been dropped.
FADED = 0.25


def animate_path(
    path: PathResult,
    chosen: Selection | float | None = None,
    highlight: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
    interval: float = 300.0,
) -> FuncAnimation:
    """Animate the lines of a path from left to right; a line fades when its input is dropped.

    The lines are those of :func:`~bcd_implicit.plots.kappa_path`.

    Parameters
    ----------
    path : PathResult
    chosen, highlight, ax, names
        As for :func:`~bcd_implicit.plots.kappa_path`.
    interval : float
        Milliseconds from one kappa to the next.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        One frame per kappa. The title counts the remaining inputs. The animation plays once.

    Raises
    ------
    InvalidInputError
        As for :func:`~bcd_implicit.plots.kappa_path`, or an interval that is not positive.
    """
    interval = _milliseconds(interval)
    ax = axes_of(ax)
    before = len(ax.lines)
    kappa_path(path, chosen, highlight, ax, names=names)
    # In the order of kappa_path: a line an input, then the mark of the choice.
    lines, mark = ax.lines[before : before + path.problem.n_inputs], ax.lines[before + path.problem.n_inputs :]
    whole = [np.array(line.get_data(), dtype=float) for line in lines]
    # Where kappa is a bound, the path and its axis fall.
    way = np.sign(path.kappas[-1] - path.kappas[0])
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())

    def draw(k: int) -> list[Any]:
        for line, (kappas, norms) in zip(lines, whole, strict=True):
            line.set_data(kappas[: k + 1], norms[: k + 1])
            line.set_alpha(1.0 if norms[k] else FADED)
        for line in mark:
            line.set_visible(bool(way * path.kappas[k] >= way * np.array(line.get_xdata(), dtype=float)[0]))
        left = int(path.supports[k].sum())
        ax.set_title(rf"$\kappa$ = {path.kappas[k]:.3g}: {left} of {path.problem.n_inputs} inputs left")
        return [*lines, *mark, ax.title]

    return _animation(ax, draw, len(path.kappas), interval)


def animate_cobweb(
    of: Fitted,
    u: ArrayLike,
    ax: Axes | None = None,
    *,
    starts: float | Sequence[float] = 0.0,
    n_steps: int = 20,
    feature: int = 0,
    limits: tuple[float, float] | None = None,
    interval: float = 250.0,
) -> FuncAnimation:
    """The steps of :func:`~bcd_implicit.plots.cobweb`, one after the other.

    Parameters
    ----------
    of, u, ax, starts, n_steps, feature, limits
        As for :func:`~bcd_implicit.plots.cobweb`.
    interval : float
        Milliseconds from one line to the next.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Two frames per step: up or down to the curve, then across to the diagonal. The animation plays once.

    Raises
    ------
    InvalidInputError
        As for :func:`~bcd_implicit.plots.cobweb`, or an interval that is not positive.
    NotWellPosedError
        As for :func:`~bcd_implicit.plots.cobweb`.
    """
    interval = _milliseconds(interval)
    model, ax = model_of(of), axes_of(ax)
    drawn = steps_of(model, u, starts, n_steps, feature, limits)
    draw_curve(ax, drawn, feature if model.n_hidden > 1 else None)
    lines = [ax.plot([], [], color=USED, lw=1)[0] for _ in drawn.corners]
    dots = [ax.plot([], [], "o", color=USED, ms=4)[0] for _ in drawn.corners]

    def draw(k: int) -> list[Any]:
        for line, dot, corners in zip(lines, dots, drawn.corners, strict=True):
            line.set_data(corners[:, : k + 1])
            dot.set_data(corners[:, k : k + 1])
        ax.set_title(f"step {(k + 1) // 2}")
        return [*lines, *dots, ax.title]

    return _animation(ax, draw, 2 * n_steps + 1, interval)


def _animation(ax: Axes, draw: Any, n_frames: int, interval: float) -> FuncAnimation:
    from matplotlib.animation import FuncAnimation

    return FuncAnimation(ax.figure.figure, draw, frames=n_frames, interval=interval, repeat=False)


def _milliseconds(interval: float) -> float:
    remedy = "Give milliseconds, such as 300"
    return float(check_number("interval", interval, 0, boundaries="neither", remedy=remedy))
