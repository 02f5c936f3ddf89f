"""What a model may predict under uncertainty; :class:`~bcd_implicit.ImplicitModel` inherits it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.declared import Declared
from bcd_implicit.model.derivatives import Gradient
from bcd_implicit.model.inputs import inputs_of
from bcd_implicit.model.robustness.attack import Attack, climb
from bcd_implicit.model.robustness.backward import ROUNDS
from bcd_implicit.model.robustness.bounds import Bounds, check_options, largest, prediction_within
from bcd_implicit.model.robustness.box import Box, Rows, Tasks, check_norm
from bcd_implicit.model.robustness.gains import check_lipschitz, sensitivity
from bcd_implicit.model.robustness.labels import in_order, places_of
from bcd_implicit.model.robustness.lipschitz import euclidean
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.support.checks import check_matrix, check_number
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.notices import told_once


class Robustness(Declared):
    """Certified bounds on predictions, sensitivities and attacks."""

    if TYPE_CHECKING:

        def vjp(self, U: ArrayLike, dY: ArrayLike) -> Gradient: ...

    @property
    def _bounded(self) -> BoundedSystem:
        return BoundedSystem(self.A, self.B, self.b, self.activation, self.structure())

    @told_once()
    def bounds(
        self,
        U: ArrayLike,
        radius: ArrayLike,
        *,
        method: str = "backward",
        outputs: Sequence[str | int] | None = None,
        rounds: int = ROUNDS,
        n_cuts: int | None = None,
        max_seconds: float | None = None,
        norm: str | float = "inf",
    ) -> Bounds:
        """Certified bounds on the predictions for all inputs within a radius of given ones.

        Parameters
        ----------
        U : array-like of shape (m, p)
            The middle of each sample's box, as for :meth:`~bcd_implicit.ImplicitModel.predict`.
        radius : float, or array-like of shape (p,), (m, 1) or (m, p)
            How far each input may move, up and down; 0 for inputs that are certain. For a ball: its radius, one for
            each sample, or its semi-axes, one for each input.
        method : {"backward", "dual", "perron-frobenius", "interval", "lp", "sdp", "exact"}
            "backward" encloses each state's function between two lines and solves backwards for a multiplier of each
            state: usually the tightest of the fast methods. "dual" optimises these multipliers, by an interior-point
            method for all bounds at once: as tight as "lp" on the same ranges, for any function and up to 300 states.
            "interval" goes forward, with one interval per state, for any function. "perron-frobenius" uses one matrix,
            :meth:`sensitivity`, for all inputs. "lp" solves a linear program for each bound and range, and "exact" a
            mixed-integer program for each bound; both need piecewise linear functions. "sdp" solves a semidefinite
            program for each bound of a relu model.
        outputs : list of str or int, optional
            Names or indices of the outputs; all by default.
        rounds : int
            How often the ranges of the states in a cycle are tightened first, 0 for not at all. "interval" and
            "perron-frobenius" do not use it.
        n_cuts : int, optional
            Only for "backward" and "dual": the number of states whose ranges are split in two, at most 10. For each
            bound the most promising states are chosen, and each of the 2^n_cuts cases is bounded separately. The
            default is 3 for models of up to 50 states, otherwise 0.
        max_seconds : float, optional
            Only for "exact": time limit for each bound.
        norm : {"inf", 2}
            "inf": each input separately is within its radius. 2: the inputs are in a ball of the Euclidean norm,
            ``sum_j ((u_j - U_j) / radius_j)^2 <= 1``; for "backward", "interval" and "perron-frobenius".

        Returns
        -------
        Bounds
            ``lower`` and ``upper`` of shape (m, q), on the scale given by ``link``. They hold in floating point for the
            exact equilibrium; the result of :meth:`~bcd_implicit.ImplicitModel.predict` can differ from that by its
            tolerance. ``check()`` recomputes the bounds from the ``certificate``. The bounds of "exact" hold only to
            the solver's tolerances, and its certificate consists of inputs that attain them.

        Raises
        ------
        InvalidInputError
            Inputs or a radius that do not fit, a negative radius, an unknown method or norm, or a model that the method
            cannot bound.
        NotWellPosedError
            The model has no certified equilibrium.

        Warns
        -----
        ConvergenceWarning
            "exact" reached its time limit: its bounds hold, but may not be exact.
        """
        inputs, begin = inputs_of(self, U), time.perf_counter()
        box = Box.around(inputs, radius, norm, self.input_names)
        options = check_options(method, rounds, n_cuts, max_seconds, box.euclidean)
        chosen = self._chosen(outputs)
        rows = Rows(self.C[chosen], self.D[chosen], self.d[chosen])
        tasks, system = Tasks.each(rows, len(inputs)), self._bounded
        with finishing():
            found, certificate = largest(system, box, tasks, method, options)
        upper, lower = found.reshape(2, len(chosen), len(inputs)).swapaxes(1, 2) * [[[1.0]], [[-1.0]]]
        prediction = prediction_within(system, box, rows, lower, upper, method)
        seconds, names = time.perf_counter() - begin, [self.output_names[k] for k in chosen]
        return Bounds(lower, upper, prediction, method, seconds, certificate, names, system, box)

    def _chosen(self, outputs: Sequence[str | int] | None) -> np.ndarray:
        """The places of outputs."""
        if outputs is None:
            return np.arange(len(self.output_names))
        return places_of("outputs", outputs, self.output_names)

    def sensitivity(self) -> pd.DataFrame:
        """How much each input can move each output, for any inputs: ``|y - y'| <= S |u - u'|``.

        S = ``|D| + |C| (I - L |A|)^-1 L |B|``, rounded up; L has the largest slopes of the states' functions. If the
        model is well-posed by its matrix measure alone, the negative entries on A's diagonal replace those of ``|A|``
        (El Ghaoui et al., arXiv 1908.06315, section 4).

        Returns
        -------
        DataFrame
            A row for each output and a column for each input, by name.

        Raises
        ------
        NotWellPosedError
            The model has no certified equilibrium.
        InvalidInputError
            A state's function has no Lipschitz constant.
        """
        return pd.DataFrame(self._sensitivity(), index=self.output_names, columns=self.input_names)

    @told_once()
    def attack(
        self,
        U: ArrayLike,
        radius: ArrayLike,
        n_inputs: int | None = None,
        *,
        towards: ArrayLike | None = None,
        norm: str | float = "inf",
    ) -> Attack:
        """Find inputs within a radius of given ones that move predictions as far as possible.

        The search tries corners of the box, ``u0 + radius sign(gradient)``, or points of the sphere, and then takes
        projected gradient steps (on balls also from other, fixed starting points). It keeps the best inputs. The
        gradient is that at equilibrium, by :meth:`~bcd_implicit.model.derivatives.Derivatives.vjp`. The values found
        are within :meth:`bounds`, up to the tolerance of predictions, and show how tight the bounds are at least.

        Parameters
        ----------
        U, radius, norm
            As for :meth:`bounds`.
        n_inputs : int, optional
            How many inputs may move, chosen for each sample by the gradient; all by default.
        towards : array-like of shape (q,) or (m, q), optional
            Weights: the attack increases ``<towards, y>``. By default it decreases the margin of the largest output
            over all others; with one output of log odds, it decreases ``|y|`` until y changes its sign.

        Returns
        -------
        Attack
            ``inputs`` of shape (m, p), their ``predictions``, and which inputs ``moved``.

        Raises
        ------
        InvalidInputError
            Inputs, a radius or weights that do not fit; no weights for one output that is not log odds.
        NotWellPosedError
            The model has no certified equilibrium.
        """
        inputs, q = inputs_of(self, U), len(self.d)
        box = Box.around(inputs, radius, norm, self.input_names)
        if n_inputs is not None:
            n_inputs = check_number("n_inputs", n_inputs, 1, integer=True, remedy="Give 1 or more inputs, or None")
        before = self.outputs(inputs)
        if towards is not None:
            weights = self._towards(towards, len(inputs))
        elif q == 1 and self.link != "logit":
            cause = "is missing, but one output that is not log odds has no margin"
            raise InvalidInputError("towards", cause, "Give [1] for a larger prediction, or [-1] for a smaller one")
        else:
            weights = None
            top = before.argmax(axis=1)

        def asked(here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            Y = self.outputs(here)
            if weights is not None:
                W = weights
            elif q == 1:
                W = np.where(before > 0, -1.0, 1.0)
            else:
                W, samples, others = np.zeros_like(Y), np.arange(len(Y)), Y.copy()
                others[samples, top] = -np.inf
                W[samples, others.argmax(axis=1)], W[samples, top] = 1.0, -1.0
            return (W * Y).sum(axis=1), self.vjp(here, W).U

        with finishing():
            found = climb(asked, box, n_inputs)
            gained = asked(found)[0] - asked(inputs)[0]
            return Attack(found, self.outputs(found), before, gained, found != inputs)

    def _towards(self, towards: ArrayLike, m: int) -> np.ndarray:
        """Weights of outputs, (m, q)."""
        q = len(self.d)
        towards = in_order("towards", towards, self.output_names, "y")
        if np.shape(towards) not in {(q,), (m, q)}:
            cause = f"has shape {np.shape(towards)}, ({q},) or ({m}, {q}) needed"
            raise InvalidInputError("towards", cause, "Give a weight for each output")
        weights = check_matrix("towards", towards)
        return np.broadcast_to(weights.T if np.ndim(towards) == 1 else weights, (m, q))

    def lipschitz(self, norm: str | float = "inf") -> float:
        """The most that outputs can move per unit of movement of the inputs: ``|y - y'| <= K |u - u'|``.

        Parameters
        ----------
        norm : {"inf", 2}
            The norm for inputs and outputs. "inf", the largest absolute value: K is the largest row sum of
            :meth:`sensitivity`. 2, the Euclidean norm: K is the norm of :meth:`sensitivity`, or the smaller bound of a
            semidefinite program if the functions never fall (Fazlyab et al., arXiv 1906.04893, at equilibrium). The
            program's weights prove that bound to a part in 1e9, however accurately it was solved.

        Raises
        ------
        InvalidInputError
            An unknown norm, or a state's function that has no Lipschitz constant.
        NotWellPosedError
            The model has no certified equilibrium.
        """
        if check_norm(norm):
            return euclidean(self._bounded, self.C, self.D, self._sensitivity())
        return float(self._sensitivity().sum(axis=1).max() * (1 + summation_error(len(self.input_names))))

    def _sensitivity(self, name: str = "model", remedy: str = "Use model.bounds, for given inputs") -> np.ndarray:
        slopes = self.activation.slopes(len(self.b))
        check_lipschitz(self.structure(), slopes, name, remedy)
        return sensitivity(self.structure(), slopes, self.C, self.D, self.B)
