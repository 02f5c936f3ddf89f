"""ImplicitModel: x = phi(Ax + Bu + b), y = Cx + Du + d."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from bcd_implicit.errors import ConvergenceWarning, InvalidInputError, check_choice, see
from bcd_implicit.model import well_posedness
from bcd_implicit.model.by_steps import BySteps
from bcd_implicit.model.explanations import Explanations
from bcd_implicit.model.fixed_point import FixedPoint
from bcd_implicit.model.inputs import inputs_of, used_inputs
from bcd_implicit.model.matrices import Unchanging, check_part, check_vector, dense, scaled, used_columns
from bcd_implicit.model.operators import Operators
from bcd_implicit.model.origin import Part
from bcd_implicit.model.prediction import predictions
from bcd_implicit.model.storage import LETTERS, REMEDY, read_model, write_model
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states
from bcd_implicit.support.checks import check_flag, check_names, check_number
from bcd_implicit.support.display import facts_table, names_of
from bcd_implicit.support.files import check_path
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.notices import told_once
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import state_function
from bcd_implicit.terms.links import LINKS, responses

# Rescaling that takes units further apart than this is warned of.
WIDEST_UNITS = 1e6


class ImplicitModel(Unchanging, Operators, BySteps, Explanations):
    """A trained or given implicit model.

    Parameters
    ----------
    A : array of shape (n, n)
    B : array of shape (n, p)
    b : array of shape (n,) or None
    C : array of shape (q, n)
    D : array of shape (q, p) or None
    d : array of shape (q,) or None
        None stands for zeros. Matrices may be dense or scipy.sparse, which are kept as ``csr_array``.
    activation : str, ElementwiseFunction or list of (str or ElementwiseFunction, int)
        phi: one for all states, or a list of blocks (function, number of states). Besides the activations there are
        "square" and "abs". Functions that are not Lipschitz, such as the square, may only be used for states outside
        cycles.
    link : {"identity", "logit", "softmax", "log"}
        The scale of y, which :meth:`response` inverts: the targets' own units, log odds, log probabilities up to a
        constant, or log rates.
    input_names, output_names : sequence of str, optional
        Names of the p inputs and q outputs, kept with the model; ``u0, u1, ...`` and ``y0, y1, ...`` by default.
    vector_output : bool
        Whether :meth:`predict` and :meth:`response` return a vector of shape (m,), which requires q = 1. It is set for
        models trained on a vector of targets. :meth:`outputs`, derivatives, bounds and attacks keep the axis of
        outputs.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, NaN or infinity, entries beyond 1e100. A model that is not well-posed can be built and
        inspected; only ``states`` and ``predict`` refuse it.
    """

    _set_once = (*LETTERS, "activation")
    # What it was put together from, in the order in which data pass; empty for a model by itself.
    _parts: tuple[Part, ...] = ()
    vector_output = False

    def __init__(
        self,
        A: ArrayLike,
        B: ArrayLike,
        b: ArrayLike | None,
        C: ArrayLike,
        D: ArrayLike | None = None,
        d: ArrayLike | None = None,
        activation: Any = "relu",
        *,
        link: str = "identity",
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        vector_output: bool = False,
    ) -> None:
        self.A, self.B, self.C = (check_part(k, v) for k, v in (("A", A), ("B", B), ("C", C)))
        n, p, q = self.A.shape[0], self.B.shape[1], self.C.shape[0]
        self.D = check_part("D", np.zeros((q, p)) if D is None else D)
        self.b, self.d = check_vector("b", b, n), check_vector("d", d, q)
        self.activation: ElementwiseFunction = state_function(activation, n)
        self.link = check_choice("link", link, LINKS)
        expected = {"A": (n, n), "B": (n, p), "b": (n,), "C": (q, n), "D": (q, p), "d": (q,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                cause = f"has shape {getattr(self, name).shape}, {shape} needed"
                remedy = f"The shapes must fit n={n} hidden features, p={p} inputs, q={q} outputs"
                raise InvalidInputError(name, cause, remedy)
        self.input_names = check_names("input_names", input_names, p, "u")
        self.output_names = check_names("output_names", output_names, q, "y")
        self.vector_output = check_flag("vector_output", vector_output)
        if self.vector_output and q != 1:
            raise InvalidInputError("vector_output", f"is True, but the model has {q} outputs", "Leave it out")

    @property
    def n_hidden(self) -> int:
        """Number n of hidden features."""
        return int(self.A.shape[0])

    @cached_property
    def _structure(self) -> Structure:
        return Structure(self.A, self.activation, self.B, parts=self._parts)

    def structure(self) -> Structure:
        """The dependencies between states: stages, components with cycles, density, and why the model is well-posed."""
        return self._structure

    def norm_inf(self) -> float:
        """||A||_inf, the largest absolute row sum."""
        return float(np.abs(self.A).sum(axis=1).max())

    def measure_inf(self) -> float:
        """mu_inf(A), the matrix measure of the max-norm: the largest ``A_ii + sum_{j != i} |A_ij|``.

        It is at most ||A||_inf, and less where the diagonal is negative. If phi never falls, L mu_inf(A) < 1 makes
        the model well-posed (Jafarpour et al., arXiv 2106.03194).
        """
        # Without a dense copy, which many states have no room for, and without a difference of large sums.
        sizes, diagonal = np.abs(sp.csr_array(self.A)), self.A.diagonal()
        others = sizes - sp.diags_array(sizes.diagonal())
        return float((others.sum(axis=1) + diagonal).max())

    @property
    def _by_measure(self) -> bool:
        """Whether ||A||_inf alone would tell a person too little: the measure proves what it does not."""
        slope, rises = self.activation.max_slope, self.activation.rises(self.n_hidden).all()
        return bool(rises and slope * self.norm_inf() >= 1 > slope * self.measure_inf())

    def spectral_radius(self) -> float:
        """Perron-Frobenius eigenvalue: the spectral radius of ``|A|``, never above ``norm_inf``.

        It is the largest over all components with a cycle, and 0 if there is none.
        """
        cycles = (np.abs(dense(self.A[states][:, states])) for states in self._structure.cycles)
        return max(map(well_posedness.spectral_radius, cycles), default=0.0)

    def is_well_posed(self) -> bool:
        """Whether the spectral radius of L ``|A|`` is below 1, so that every input has one equilibrium.

        L is the activation's largest slope: 1, and 1/4 for the sigmoid. This is the weaker test (arXiv 1908.06315,
        theorem 2.2); L ||A||_inf < 1 implies it. If phi never falls, and no activation does, negative entries on the
        diagonal of A need not count as positive ones: L mu_inf(A) < 1 is enough (:meth:`measure_inf`; Jafarpour et al.,
        arXiv 2106.03194). Only cycles count, that is, components in which states depend on each other
        (:meth:`structure`). Without cycles, any functions are allowed.
        """
        return self._structure.is_well_posed()

    def _weights(self) -> np.ndarray:
        """The units in which Picard's iteration contracts, ones where those of the states will do."""
        self._structure.check()
        return well_posedness.weights(self._gains())

    def _gains(self) -> np.ndarray:
        if not np.isfinite(self.activation.slopes(self.n_hidden)).all():
            cause = "has a function without a Lipschitz constant, so Picard's iteration need not contract"
            raise InvalidInputError(
                "activation", cause, "States and predictions do not need it: they are computed stage by stage"
            )
        return self._structure.gains()

    def contraction(self) -> float:
        """Factor by which a Picard step shrinks the error: L ||A||_inf, or after rescaling if that is 1 or more.

        L is the activation's largest slope: 1, and 1/4 for the sigmoid. If only the matrix measure proves the model
        well-posed (:meth:`is_well_posed`), it is the factor of a damped step of the solver "forward-backward".

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        InvalidInputError
            A state's function has no Lipschitz constant.
        """
        return well_posedness.contraction(self._gains(), self._weights())

    def rescaled(self) -> ImplicitModel:
        """Model with L ||A||_inf < 1 and the same predictions, by a diagonal rescaling of the state.

        L is the activation's largest slope. With V = diag(v), ``L |A| v < v``: the state x / v has matrices V^-1 A V,
        V^-1 B, V^-1 b, C V (arXiv 1908.06315, section 2.4). It needs phi(t z) = t phi(z) for t > 0. If only the
        matrix measure proves the model well-posed, the new one has L mu_inf(A) < 1 (:meth:`measure_inf`).

        Raises
        ------
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        InvalidInputError
            The activation is not positively homogeneous.

        Warns
        -----
        ConvergenceWarning
            The new units differ by more than 1e6, so predictions lose accuracy.
        """
        if not self.activation.positively_homogeneous:
            name = self.activation.name
            cause = f"{name} is not positively homogeneous, so rescaling the state changes predictions"
            raise InvalidInputError("activation", cause, "Rescaling works for relu, leaky_relu and identity")
        v = self._weights()
        if v.max() > WIDEST_UNITS:
            warnings.warn(
                f"Rescaling takes units of the states that are up to {v.max():.1e} apart: by as much predictions of "
                "the rescaled model may be less accurate than its states. Keep the model as it is. "
                + see("predictions-lose-digits"),
                ConvergenceWarning,
                stacklevel=2,
            )
        A, B = scaled(self.A, rows=1 / v, columns=v), scaled(self.B, rows=1 / v)
        return self._copy(A=A, B=B, b=self.b / v, C=scaled(self.C, columns=v))

    def states(self, U: ArrayLike, *, tol: float = 1e-10, solver: str = "auto") -> FixedPoint:
        """Equilibrium states for inputs U (m, p), with a bound on their error.

        Parameters
        ----------
        U : array-like of shape (m, p)
        tol : float
            Largest error accepted, relative to the largest state.
        solver : {"auto", "picard", "forward-backward", "active-set", "newton", "anderson", "broyden"}
            "auto" chooses the solver that is likely to be fastest. "picard" is Picard's fixed-point iteration.
            "forward-backward" damps its steps, and replaces it if only damped steps contract. "active-set" and "newton"
            both mean Newton's method on the active pieces of the activation, which takes few rounds even if the
            contraction factor is near 1. "anderson" and "broyden" accelerate Picard's iteration.

        Returns
        -------
        FixedPoint
            ``X`` of shape (m, n), ``n_iter``, ``error_bound`` of shape (m,), rounding included, and the ``solver``.

        Raises
        ------
        InvalidInputError
            An unknown solver, or inputs that do not fit.
        NotWellPosedError
            The model is not :meth:`well-posed <is_well_posed>`.
        """
        tol = check_number("tol", tol, 0, remedy="Give 0 or a small number such as 1e-10")
        point = self._states(inputs_of(self, U).T, solver, tol)
        return replace(point, X=point.X.T)

    def _states(self, inputs: np.ndarray, solver: str = "auto", tol: float = 1e-10) -> FixedPoint:
        """The same of inputs in columns, shape (p, m): X has shape (n, m)."""
        with finishing():  # what a call that was cut short returns is a model that still answers
            return solve_states(self._structure, inputs, self.b, solver=solver, tol=tol)

    def _drive(self, inputs: np.ndarray) -> np.ndarray:
        """BU + b, shape (n, m), of inputs in columns."""
        return self.B @ inputs + self.b[:, None]

    def predict(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray:
        """Predictions Cx + Du + d at the equilibrium, on the scale given by ``link``.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Inputs, one sample per row. If the model has names, a data frame's columns are matched by name: other
            columns are ignored, and columns that the model does not use (zero in B and D, as after a selection) may be
            absent. A model trained on an array takes columns in order, unless they have the default names ``u0, u1,
            ...``.
        solver : {"auto", "picard", "forward-backward", "active-set", "newton", "anderson", "broyden"}
            Solver for the states, as in :meth:`states`.

        Returns
        -------
        ndarray of shape (m, q), or (m,)
            A vector if the model was trained on one (``vector_output``).
        """
        with finishing(), told_once():
            return self._as_trained(self._outputs(U, solver))

    def response(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray:
        """Predictions in the units of the targets: numbers, probabilities or rates.

        Parameters
        ----------
        U, solver
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, q), or (m,)
        """
        with finishing(), told_once():
            return self._as_trained(responses(self.link, self._outputs(U, solver).T).T)

    def outputs(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray:
        """The same as :meth:`predict`, always with a column for each output.

        Parameters
        ----------
        U, solver
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (m, q)
        """
        with finishing(), told_once():
            return self._outputs(U, solver)

    def _outputs(self, U: ArrayLike, solver: str) -> np.ndarray:
        return predictions(self._structure, inputs_of(self, U), self.b, self.C, self.D, self.d, solver)

    def _as_trained(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if self.vector_output else outputs

    def unstandardized(
        self, input_mean: np.ndarray, input_scale: np.ndarray, target_mean: np.ndarray, target_scale: np.ndarray
    ) -> ImplicitModel:
        """Model for raw inputs and outputs, from a model trained on (u - mean) / scale. A does not change."""
        B, C = scaled(self.B, columns=1 / input_scale), scaled(self.C, rows=target_scale)
        D = scaled(self.D, rows=target_scale, columns=1 / input_scale)
        # D is in raw units by now, and so is the B that b takes off.
        d = self.d * target_scale + target_mean - D @ input_mean
        return self._copy(B=B, b=self.b - B @ input_mean, C=C, D=D, d=d)

    def _copy(self, **changes: Any) -> ImplicitModel:
        kept = (*LETTERS, "activation", "link", "input_names", "output_names", "vector_output")
        model = ImplicitModel(**{name: getattr(self, name) for name in kept} | changes)
        model._parts = self._parts
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to an npz file without pickle. A failed write does not leave a partial file.

        Raises
        ------
        InvalidInputError
            Not a file name, or a file that cannot be written.
        """
        path = check_path("path", path)
        arrays = {letter: getattr(self, letter) for letter in LETTERS}
        names = self.input_names, self.output_names
        write_model(path, arrays, self.activation, self.link, *names, self.vector_output)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImplicitModel:
        """Read a model written by :meth:`~bcd_implicit.ImplicitModel.save`.

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
        sizes = f"n_hidden={self.n_hidden}, n_inputs={self.B.shape[1]}, n_outputs={self.C.shape[0]}"
        norm = f"norm_inf={self.norm_inf():.3g}{f', measure_inf={self.measure_inf():.3g}' if self._by_measure else ''}"
        used = f"inputs used={int(used_inputs(self).sum())}"
        return f"ImplicitModel({sizes}, activation={self.activation.name!r}, {norm}, {used})"

    def _repr_html_(self) -> str:
        facts = {
            "hidden features": f"{self.n_hidden}, {self.activation.name}",
            "||A||_inf": f"{self.norm_inf():.4g}",
            **({"mu_inf(A)": f"{self.measure_inf():.4g}"} if self._by_measure else {}),
            "verdict": self._structure.reason,
            "inputs in B": names_of(self.input_names, used_columns(self.B)),
            "inputs in D": names_of(self.input_names, used_columns(self.D)),
            "outputs": names_of(self.output_names),
            "scale of the outputs": self.link,
        }
        return facts_table("ImplicitModel", facts)
