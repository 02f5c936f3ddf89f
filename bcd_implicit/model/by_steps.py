"""Solvers of the states step by step: the error after so many, and the bound that is known there."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.model.declared import Declared
from bcd_implicit.model.fixed_point import fixed_point
from bcd_implicit.model.inputs import inputs_of
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.picard import picard_table
from bcd_implicit.model.state_map import StateMap, units_or_none
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.notices import collected
from bcd_implicit.terms.function import ElementwiseFunction

# Solvers have no memory of a run that was cut short: each number of steps is a run of its own. After the first ones
# numbers grow by a tenth, so that a thousand steps cost ten thousand, not half a million.
ALL_OF_THE_FIRST, GROWTH = 20, 1.1


class BySteps(Declared):
    """Methods that show how a model's states converge; :class:`~bcd_implicit.ImplicitModel` inherits them."""

    def picard_convergence(self, U: ArrayLike, n_steps: int = 50) -> pd.DataFrame:
        """The error of Picard's iteration from x = 0 for inputs U (m, p), step by step, and two bounds on it.

        Parameters
        ----------
        U : array-like of shape (m, p)
        n_steps : int
            The largest number of steps; the iteration ends earlier once rounding dominates.

        Returns
        -------
        DataFrame
            One row per step: step; error, the largest of ``|x_k - x*|`` over hidden features and samples; bound, on
            the error, nu/(1-nu) times the last change; a_priori, nu^k/(1-nu) times the first change, which is known
            after one step. nu is :meth:`~bcd_implicit.ImplicitModel.contraction`. If nu is not L ||A||_inf, with L the
            activation's largest slope, changes are measured in rescaled units. Steps are damped if only damped steps
            contract.

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <bcd_implicit.ImplicitModel.is_well_posed>`.
        """
        n_steps = check_number("n_steps", n_steps, 1, integer=True, remedy="Give 1 or more steps")
        v, inputs = self._weights(), inputs_of(self, U).T
        # To rounding: errors are measured against it.
        equilibrium = self._states(inputs, tol=0.0).X
        states = StateMap(dense(self.A), self._drive(inputs), self.activation, v, 0.0)
        return picard_table(states, equilibrium, n_steps)

    def solver_convergence(self, U: ArrayLike, solver: str = "newton", n_steps: int = 1000) -> pd.DataFrame:
        """The error of a solver of the states from x = phi(Bu + b), step by step, and its certified bound.

        All states are solved as one equation, even if :meth:`~bcd_implicit.ImplicitModel.states` works stage by stage.

        Parameters
        ----------
        U : array-like of shape (m, p)
        solver : str
            As for :meth:`~bcd_implicit.ImplicitModel.states`.
        n_steps : int
            The largest number of steps or rounds; the iteration ends earlier once rounding dominates.

        Returns
        -------
        DataFrame
            A row for each of the first 20 steps, then for numbers of steps that grow by a tenth: step; error, the
            largest of ``|x_k - x*|`` over hidden features and samples; bound, on the error, from the last step, with
            all rounding but that of Bu + b.

        Raises
        ------
        InvalidInputError
            An unknown solver, or inputs that do not fit.
        NotWellPosedError
            The model is not :meth:`well-posed <bcd_implicit.ImplicitModel.is_well_posed>`.
        """
        n_steps = check_number("n_steps", n_steps, 1, integer=True, remedy="Give 1 or more steps")
        v = self._weights()
        inputs = inputs_of(self, U).T
        equilibrium = self._states(inputs, tol=0.0).X
        return solver_table(dense(self.A), self._drive(inputs), self.activation, equilibrium, solver, v, n_steps)


def solver_table(
    A: np.ndarray,
    drive: np.ndarray,
    activation: ElementwiseFunction,
    equilibrium: np.ndarray,
    solver: str,
    v: np.ndarray,
    n_steps: int,
) -> pd.DataFrame:
    """The table of :meth:`BySteps.solver_convergence`, with the contraction in units v."""
    rows: list[dict[str, float]] = []
    units, step = units_or_none(v), 1
    while True:
        # That it stops early is what is asked for.
        with collected():
            point = fixed_point(A, drive, activation, solver=solver, weights=units, tol=0.0, max_iter=step)
        error = float(np.abs(point.X - equilibrium).max(initial=0.0))
        if not rows or point.n_iter > rows[-1]["step"]:
            rows.append({"step": point.n_iter, "error": error, "bound": float(point.error_bound.max(initial=0.0))})
        # It ended by itself: rounding is all that more steps would change.
        if point.n_iter < step or step >= n_steps:
            return pd.DataFrame(rows)
        step = min(n_steps, step + 1 if step < ALL_OF_THE_FIRST else int(GROWTH * step))
