"""A solver of the states, step by step: what it has reached after so many, and the bound that is certified there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bcd_implicit.model.fixed_point import fixed_point
from bcd_implicit.support.notices import collected
from bcd_implicit.terms.function import ElementwiseFunction

# Solvers have no memory of a run that was cut short: each number of steps is a run of its own. After the first ones
# numbers grow by a tenth, so that a thousand steps cost ten thousand, not half a million.
ALL_OF_THE_FIRST, GROWTH = 20, 1.1


def solver_table(
    A: np.ndarray,
    drive: np.ndarray,
    activation: ElementwiseFunction,
    equilibrium: np.ndarray,
    solver: str,
    v: np.ndarray,
    n_steps: int,
) -> pd.DataFrame:
    """The table of :meth:`bcd_implicit.ImplicitModel.solver_convergence`, with the contraction in units v."""
    # Ones are no units, as for states: bounds are the plain ones.
    weights = v if np.any(v != 1) else None
    rows: list[dict[str, float]] = []
    step = 1
    while True:
        # That it stops early is what is asked for.
        with collected():
            point = fixed_point(A, drive, activation, solver=solver, weights=weights, tol=0.0, max_iter=step)
        error = float(np.abs(point.X - equilibrium).max(initial=0.0))
        if not rows or point.n_iter > rows[-1]["step"]:
            rows.append({"step": point.n_iter, "error": error, "bound": float(point.error_bound.max(initial=0.0))})
        # It ended by itself: rounding is all that more steps would change.
        if point.n_iter < step or step >= n_steps:
            return pd.DataFrame(rows)
        step = min(n_steps, step + 1 if step < ALL_OF_THE_FIRST else int(GROWTH * step))
