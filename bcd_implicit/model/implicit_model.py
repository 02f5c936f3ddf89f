"""ImplicitModel: x = phi(Ax + Bu + b), y = Cx + Du + d."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import ConvergenceWarning, InvalidInputError, check_choice
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import FixedPoint, fixed_point
from bcd_implicit.model.picard import picard_table
from bcd_implicit.model.state_map import summation_error
from bcd_implicit.model.storage import LETTERS, REMEDY, read_model, write_model
from bcd_implicit.support.arrays import as_pandas_or_array, read_samples
from bcd_implicit.support.checks import check_entries, check_matrix, check_names, check_number
from bcd_implicit.support.display import facts_table, names_of
from bcd_implicit.support.files import check_path
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.samples import check_sizes
from bcd_implicit.support.tables import pick_columns
from bcd_implicit.terms.activations import Activation, get_activation
from bcd_implicit.terms.links import LINKS, responses

# Rescaling that takes units further apart than this is warned of.
WIDEST_UNITS = 1e6
# By this share of the largest the states' tolerance may move predictions.
ACCURATE = 1e-8


class ImplicitModel:
    """A trained or given implicit model.

    Parameters
    ----------
    A : array of shape (n, n)
    B : array of shape (n, p)
    b : array of shape (n,) or None
    C : array of shape (q, n)
    D : array of shape (q, p) or None
    d : array of shape (q,) or None
        None stands for zeros.
    activation : str or Activation
    link : {"identity", "logit", "softmax", "log"}
        The scale of y, from which :meth:`response` leads back: the targets' own, log odds, logarithms of probabilities
        up to a constant, or of rates.
    input_names, output_names : sequence of str, optional
        Names of the p inputs and q outputs, kept with the model; ``u0, u1, ...`` and ``y0, y1, ...`` by default.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, NaN or infinity, entries beyond 1e100. A model that is not well-posed may be built and
        looked at; only ``states`` and ``predict`` refuse it.
    """

    def __init__(
        self,
        A: ArrayLike,
        B: ArrayLike,
        b: ArrayLike | None,
        C: ArrayLike,
        D: ArrayLike | None = None,
        d: ArrayLike | None = None,
        activation: str | Activation = "relu",
        *,
        link: str = "identity",
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.A, self.B, self.C = (check_matrix(k, v) for k, v in (("A", A), ("B", B), ("C", C)))
        n, p, q = len(self.A), self.B.shape[1], len(self.C)
        self.D = np.zeros((q, p)) if D is None else check_matrix("D", D)
        self.b = np.zeros(n) if b is None else check_matrix("b", b, n_columns=1)[:, 0]
        self.d = np.zeros(q) if d is None else check_matrix("d", d, n_columns=1)[:, 0]
        self.activation = get_activation(activation)
        self.link = check_choice("link", link, LINKS)
        expected = {"A": (n, n), "B": (n, p), "b": (n,), "C": (q, n), "D": (q, p), "d": (q,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InvalidInputError(
                    name,
                    f"has shape {getattr(self, name).shape}, {shape} needed",
                    f"The shapes must fit n={n} hidden features, p={p} inputs, q={q} outputs",
                )
            check_entries(name, getattr(self, name), "Choose other units for inputs, outputs or states")
        self.input_names = check_names("input_names", input_names, p, "u")
        self.output_names = check_names("output_names", output_names, q, "y")

    @property
    def n_hidden(self) -> int:
        """Number n of hidden features."""
        return len(self.A)

    def norm_inf(self) -> float:
        """||A||_inf, the largest absolute row sum."""
        return well_posedness.norm_inf(self.A)

    def spectral_radius(self) -> float:
        """Perron-Frobenius eigenvalue: the spectral radius of ``|A|``, never above ``norm_inf``."""
        return well_posedness.spectral_radius(self.A)

    def is_well_posed(self) -> bool:
        """Whether the spectral radius of L ``|A|`` is below 1, so that every input has one equilibrium.

        L is the activation's largest slope: 1, and 1/4 for the sigmoid. This is the weaker test (arXiv 1908.06315,
        theorem 2.2); L ||A||_inf < 1 implies it.
        """
        slope = self.activation.max_slope
        # The norm first: it is cheap and mostly decides.
        return slope * self.norm_inf() < 1 or slope * self.spectral_radius() < 1

    def _weights(self) -> np.ndarray:
        """The units in which Picard's iteration contracts, ones where those of the states will do."""
        return well_posedness.weights(self.A, self.activation.max_slope)

    def contraction(self) -> float:
        """Factor by which a Picard step shrinks the error: L ||A||_inf, or after rescaling where that is 1 or more.

        L is the activation's largest slope: 1, and 1/4 for the sigmoid.

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        """
        return well_posedness.contraction(self.A, self._weights(), self.activation.max_slope)

    def rescaled(self) -> ImplicitModel:
        """Model with L ||A||_inf < 1 and the same predictions, by a diagonal change of the state's units.

        L is the activation's largest slope. With V = diag(v), ``L |A| v < v``: the state x / v has matrices V^-1 A V,
        V^-1 B, V^-1 b, C V (arXiv 1908.06315, section 2.4). It needs phi(t z) = t phi(z) for t > 0.

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        InvalidInputError
            The activation is not positively homogeneous.

        Warns
        -----
        ConvergenceWarning
            The new units differ by more than 1e6, and predictions lose digits.
        """
        v = self._weights()
        if not self.activation.positively_homogeneous:
            raise InvalidInputError(
                "activation",
                f"{self.activation.name} is not positively homogeneous, so rescaling the state changes predictions",
                "Rescaling serves relu, leaky_relu and identity",
            )
        if v.max() > WIDEST_UNITS:
            warnings.warn(
                f"Rescaling takes units of the states that are up to {v.max():.1e} apart: by as much predictions of "
                "the rescaled model may be less accurate than its states. Keep the model as it is.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self._copy(A=self.A * v / v[:, None], B=self.B / v[:, None], b=self.b / v, C=self.C * v)

    def states(self, U: ArrayLike, *, tol: float = 1e-10, solver: str = "auto") -> FixedPoint:
        """Equilibrium states for inputs U (m, p), with a bound on their error.

        Parameters
        ----------
        U : array-like of shape (m, p)
        tol : float
            Largest error accepted, relative to the largest state.
        solver : {"auto", "picard", "active-set", "anderson"}
            Picard's iteration; Newton's method on the active pieces of the activation, which takes a few rounds however
            near to 1 the contraction factor is; Anderson's acceleration of Picard; or the cheaper of the first two.

        Returns
        -------
        FixedPoint
            ``X`` of shape (m, n), ``n_iter``, ``error_bound`` of shape (m,), rounding included, and the ``solver``.

        Raises
        ------
        InvalidInputError
            Another solver, or inputs that do not fit.
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        """
        inputs, v = self._inputs(U), self._weights()
        # Offsets that B and b take off again cost digits of BU + b itself.
        rounding = summation_error(inputs.shape[1]) * (np.abs(self.B) @ np.abs(inputs).T + np.abs(self.b)[:, None])
        # What a call that was cut short returns is a model that still answers.
        with finishing():
            point = fixed_point(
                self.A,
                self._drive(inputs),
                self.activation,
                solver=solver,
                weights=v if np.any(v != 1) else None,
                tol=tol,
                drive_error=rounding,
            )
        return replace(point, X=point.X.T)

    def picard_convergence(self, U: ArrayLike, n_steps: int = 50) -> pd.DataFrame:
        """The error of Picard's iteration from x = 0 for inputs U (m, p), step by step, and two bounds on it.

        Parameters
        ----------
        U : array-like of shape (m, p)
        n_steps : int
            The most steps; fewer are taken where rounding is reached.

        Returns
        -------
        DataFrame
            A row a step: step; error, the largest of ``|x_k - x*|`` over hidden features and samples; bound, on
            the error, nu/(1-nu) times the last change; a_priori, nu^k/(1-nu) times the first change, which is known
            after one step. nu is :meth:`contraction`, and where that is not L ||A||_inf, with L the activation's
            largest slope, changes are measured in its units.

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        """
        n_steps = check_number("n_steps", n_steps, 1, integer=True, remedy="Give 1 or more steps")
        factor, v = self.contraction(), self._weights()
        # To rounding: errors are measured against it.
        equilibrium = self.states(U, tol=0.0).X.T
        return picard_table(self.A, self._drive(U), self.activation, equilibrium, factor, v, n_steps)

    def _drive(self, U: ArrayLike) -> np.ndarray:
        """BU + b, shape (n, m)."""
        return self.B @ self._inputs(U).T + self.b[:, None]

    def _inputs(self, U: ArrayLike) -> np.ndarray:
        """The inputs as an array (m, p), zero where a data frame lacks one that plays no part."""
        given, used = as_pandas_or_array("U", U), np.asarray(self.B.any(axis=0) | self.D.any(axis=0))
        names = list(compress(self.input_names, used))
        # A model without names of its own takes columns in their order, unless they are called as it calls them.
        unnamed = self.input_names == check_names("input_names", None, len(used), "u")
        by_name = isinstance(given, pd.DataFrame) and not (unnamed and {*names} - {*map(str, given.columns)})
        if by_name and not names:
            return np.zeros((len(given), len(used)))
        if by_name:
            given = pick_columns("U", given, names)
        n_columns = len(names) if by_name else len(used)
        samples = read_samples("U", given, n_columns=n_columns, may_be_vector=False)
        check_sizes("U", samples)
        if not by_name:
            return samples.values
        inputs = np.zeros((len(samples.values), len(used)))
        inputs[:, used] = samples.values
        return inputs

    def predict(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray:
        """Predictions Cx + Du + d at the equilibrium, on the scale that ``link`` says.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Inputs, one sample a row. If the model has names, a data frame's columns are matched by name: others are
            ignored, and those may be absent whose columns of B and D are zero, as after a selection. A model trained on
            an array takes columns in their order, unless they are called ``u0, u1, ...`` as it calls them itself.
        solver : {"auto", "picard", "active-set", "anderson"}
            Of the states, as for :meth:`states`.

        Returns
        -------
        ndarray of shape (m, q)
        """
        inputs = self._inputs(U)

        def predicted(states: FixedPoint) -> np.ndarray:
            return np.asarray(states.X @ self.C.T + inputs @ self.D.T + self.d)

        states = self.states(inputs, solver=solver)
        found, largest = predicted(states), float(np.abs(self.C).sum(axis=1).max())
        # A large C makes much of what the states are off: then they are worth all digits.
        if np.any(states.error_bound * largest > ACCURATE * np.abs(found).max(initial=0.0)):
            found = predicted(self.states(inputs, tol=0.0, solver=solver))
        return found

    def response(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray:
        """What predictions say of the targets, in their own units: numbers, probabilities, or rates.

        Parameters
        ----------
        U, solver
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, q)
        """
        return responses(self.link, self.predict(U, solver=solver).T).T

    def jacobian(self, U: ArrayLike) -> np.ndarray:
        """Derivatives of the predictions with respect to the inputs, D + C (I - S A)^-1 S B with S = diag(phi').

        By the implicit function theorem; at a kink of phi one of the two slopes is taken.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Inputs, as for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, q, p)

        Raises
        ------
        NotWellPosedError
            The model has no certified equilibrium.
        """
        inputs = self._inputs(U)
        X = self.states(inputs).X.T
        slopes = self.activation.derivative(self.A @ X + self._drive(inputs)).T[:, :, None]
        # Regular: |S A| <= L |A| entry by entry, and the spectral radius of L |A| is below 1.
        return self.C @ np.linalg.solve(np.eye(self.n_hidden) - slopes * self.A, slopes * self.B) + self.D

    def unstandardized(
        self, input_mean: np.ndarray, input_scale: np.ndarray, target_mean: np.ndarray, target_scale: np.ndarray
    ) -> ImplicitModel:
        """Model for raw inputs and outputs, from one trained on (u - mean) / scale. A does not change."""
        B, D = self.B / input_scale, self.D / input_scale
        C, D = self.C * target_scale[:, None], D * target_scale[:, None]
        # D is in raw units by now, and so is the B that b takes off.
        d = self.d * target_scale + target_mean - D @ input_mean
        return self._copy(B=B, b=self.b - B @ input_mean, C=C, D=D, d=d)

    def _copy(self, **changes: Any) -> ImplicitModel:
        parts = {name: getattr(self, name) for name in LETTERS} | changes
        return ImplicitModel(
            **parts,
            activation=self.activation,
            link=self.link,
            input_names=self.input_names,
            output_names=self.output_names,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an npz file without pickle; the file appears whole or not at all.

        Raises
        ------
        InvalidInputError
            No name of a file, or one that cannot be written.
        """
        path = check_path("path", path)
        arrays = {letter: getattr(self, letter) for letter in LETTERS}
        write_model(path, arrays, self.activation, self.link, self.input_names, self.output_names)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImplicitModel:
        """Read a model written by :meth:`save`.

        Raises
        ------
        InvalidInputError
            No such file, or not a model.
        """
        path = check_path("path", path)
        try:
            return cls(**read_model(path))
        except InvalidInputError as error:
            if error.argument == str(path):
                raise
            cause = f"holds a model that cannot be used ({error.argument}: {error.cause})"
            raise InvalidInputError(str(path), cause, REMEDY) from None

    def __repr__(self) -> str:
        n, p, q = self.n_hidden, self.B.shape[1], len(self.C)
        return (
            f"ImplicitModel(n_hidden={n}, n_inputs={p}, n_outputs={q}, activation={self.activation.name!r}, "
            f"norm_inf={self.norm_inf():.3g}, inputs used={int(self.B.any(axis=0).sum())})"
        )

    def _repr_html_(self) -> str:
        norm, radius, limit = self.norm_inf(), self.spectral_radius(), 1 / self.activation.max_slope
        if norm < limit:
            verdict = f"below {limit:g}: well-posed"
        else:
            verdict = f"spectral radius of |A| {radius:.4g}: {'' if radius < limit else 'not '}well-posed"
        facts = {
            "hidden features": f"{self.n_hidden}, {self.activation.name}",
            "||A||_inf": f"{norm:.4g}, {verdict}",
            "inputs in B": names_of(self.input_names, self.B.any(axis=0)),
            "inputs in D": names_of(self.input_names, self.D.any(axis=0)),
            "outputs": names_of(self.output_names),
            "scale of the outputs": self.link,
        }
        return facts_table("ImplicitModel", facts)
