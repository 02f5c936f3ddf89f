"""Derivatives of a model's predictions, by the implicit function theorem."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.adjoint import adjoint_error, adjoint_states, input_jacobian
from bcd_implicit.model.declared import Declared
from bcd_implicit.model.inputs import inputs_of
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.model.structure import Staged
from bcd_implicit.support.checks import check_matrix, check_number
from bcd_implicit.support.parts import parts

if TYPE_CHECKING:
    from bcd_implicit.model.fixed_point import FixedPoint

#: How the adjoint states are found.
ADJOINTS = ("exact", "jacobian-free", "neumann")
# No bound on a gradient's error counts what its states are off: they are as good as the loops have them.
GOOD_STATES = 1e-13


def adjoint_terms(method: str, n_terms: int, argument: str = "method") -> int | None:
    """After how many terms beyond the first a method cuts the adjoint states' series off; None if it solves for them.

    Parameters
    ----------
    method : {"exact", "jacobian-free", "neumann"}
    n_terms : int
        Of "neumann" alone.
    argument : str
        What messages call the method.

    Raises
    ------
    InvalidInputError
        Another method; no number of terms.
    """
    check_choice(argument, method, ADJOINTS)
    n_terms = check_number("n_terms", n_terms, 0, integer=True, remedy="Give 0 or more terms")
    return {"exact": None, "jacobian-free": 0, "neumann": n_terms}[method]


class Parts(Protocol):
    """What has a model's matrices: a model, or an iterate of training."""

    @property
    def A(self) -> Matrix: ...
    @property
    def B(self) -> Matrix: ...
    @property
    def C(self) -> Matrix: ...
    @property
    def D(self) -> Matrix: ...


class Gradient:
    """Gradients of ``sum_k <dY_k, y(u_k)>``, each computed when it is first asked for.

    With the adjoint states lambda_k (:mod:`bcd_implicit.model.adjoint`) they are ``B^T lambda_k + D^T dY_k`` in u_k,
    ``sum_k lambda_k x_k^T`` in A, ``sum_k lambda_k u_k^T`` in B, ``sum_k lambda_k`` in b, ``sum_k dY_k x_k^T`` in C,
    ``sum_k dY_k u_k^T`` in D and ``sum_k dY_k`` in d.

    Parameters
    ----------
    model : Parts
    structure : Staged
        Of A.
    slopes, states : ndarray of shape (n, m)
        phi' at the equilibrium's preactivations, and the equilibrium.
    inputs : ndarray of shape (p, m)
    dY : ndarray of shape (q, m)
    method : {"exact", "jacobian-free", "neumann"}
    n_terms : int

    Attributes
    ----------
    U : ndarray of shape (m, p)
        A row for each sample. All others are sums over the samples.
    A : ndarray of shape (n, n)
    B : ndarray of shape (n, p)
    b : ndarray of shape (n,)
    C : ndarray of shape (q, n)
    D : ndarray of shape (q, p)
    d : ndarray of shape (q,)
        The gradient in a sparse matrix is sparse, and in its entries alone: the others stay zero.
    adjoint : ndarray of shape (m, n)
        lambda, the gradient in each sample's Bu + b.

    Raises
    ------
    InvalidInputError
        Another method; no number of terms.
    """

    def __init__(
        self,
        model: Parts,
        structure: Staged,
        slopes: np.ndarray,
        states: np.ndarray,
        inputs: np.ndarray,
        dY: np.ndarray,
        method: str,
        n_terms: int,
    ) -> None:
        terms = adjoint_terms(method, n_terms)
        self._model, self._structure, self._slopes = model, structure, slopes
        self._X, self._U, self._dY = states, inputs, dY
        asked = np.asarray(model.C.T @ dY)[:, :, None]
        self._adjoint = adjoint_states(structure, slopes, asked, terms)[:, :, 0]

    @property
    def adjoint(self) -> np.ndarray:
        return self._adjoint.T

    @cached_property
    def U(self) -> np.ndarray:
        return np.asarray(self._model.B.T @ self._adjoint + self._model.D.T @ self._dY).T

    @cached_property
    def A(self) -> Matrix:
        return _in_entries(self._model.A, self._adjoint, self._X)

    @cached_property
    def B(self) -> Matrix:
        return _in_entries(self._model.B, self._adjoint, self._U)

    @cached_property
    def b(self) -> np.ndarray:
        return self._adjoint.sum(axis=1)

    @cached_property
    def C(self) -> Matrix:
        return _in_entries(self._model.C, self._dY, self._X)

    @cached_property
    def D(self) -> Matrix:
        return _in_entries(self._model.D, self._dY, self._U)

    @cached_property
    def d(self) -> np.ndarray:
        return self._dY.sum(axis=1)

    @cached_property
    def adjoint_error_bound(self) -> np.ndarray:
        """For each sample a bound on the l1 norm of what ``adjoint`` is off, shape (m,).

        Of what the method leaves out and of rounding, given the states and the slopes there; found by putting the
        adjoint states into their equation (:func:`~bcd_implicit.model.adjoint.adjoint_error`).
        """
        model = self._model
        return adjoint_error(self._structure, model.A, self._slopes, self._adjoint, model.C, self._dY)

    @cached_property
    def error_bound(self) -> dict[str, np.ndarray]:
        """By letter a bound on the Euclidean (Frobenius) norm of what the gradient is off; for U one for each sample.

        Of the same errors as :attr:`adjoint_error_bound`.
        """
        (n, m), (q, _) = self._adjoint.shape, self._dY.shape
        # Of numbers whose squares overflow nothing is known.
        with np.errstate(over="ignore", invalid="ignore"):
            X, U, dY, adjoint = (np.linalg.norm(part, axis=0) for part in (self._X, self._U, self._dY, self._adjoint))
            rows_of_B, rows_of_D = (np.sqrt((M**2).sum(axis=1)).max() for M in (self._model.B, self._model.D))
            off, dY_off = self.adjoint_error_bound + summation_error(m) * adjoint, summation_error(m) * dY
            in_U = rows_of_B * np.abs(self._adjoint).sum(axis=0) + rows_of_D * np.abs(self._dY).sum(axis=0)
            bounds = {
                "U": rows_of_B * self.adjoint_error_bound + summation_error(n + q) * in_U,
                **{"A": off @ X, "B": off @ U, "b": off.sum()},
                **{"C": dY_off @ X, "D": dY_off @ U, "d": dY_off.sum()},
            }
        return {letter: bound * (1 + summation_error(n + m + len(self._U))) for letter, bound in bounds.items()}

    def __repr__(self) -> str:
        (n, m), (p, _), (q, _) = self._adjoint.shape, self._U.shape, self._dY.shape
        return f"Gradient(n_hidden={n}, n_inputs={p}, n_outputs={q}, n_samples={m})"


def _in_entries(matrix: Matrix, left: np.ndarray, right: np.ndarray) -> Matrix:
    """The product left @ right.T, of a sparse matrix only in its entries."""
    if not sp.issparse(matrix):
        return left @ right.T
    rows, columns = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices
    data = np.empty(len(columns))
    for part in parts(len(data), left.shape[1]):
        data[part] = np.einsum("em,em->e", left[rows[part]], right[columns[part]])
    return sp.csr_array((data, columns, matrix.indptr), shape=matrix.shape)


class Derivatives(Declared):
    """Derivatives of a model's predictions; :class:`~bcd_implicit.ImplicitModel` inherits them."""

    def jacobian(self, U: ArrayLike) -> np.ndarray:
        """Derivatives of the predictions with respect to the inputs, D + C (I - S A)^-1 S B with S = diag(phi').

        Computed by the implicit function theorem; at a kink of phi one of the two slopes is used.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Inputs, as for :meth:`~bcd_implicit.ImplicitModel.predict`.

        Returns
        -------
        ndarray of shape (m, q, p)

        Raises
        ------
        NotWellPosedError
            The model has no certified equilibrium.
        """
        inputs = inputs_of(self, U).T
        slopes = self._slopes(inputs, self._states(inputs).X)
        return input_jacobian(self.structure(), slopes, self.B, self.C, self.D)

    def vjp(
        self,
        U: ArrayLike,
        dY: ArrayLike,
        *,
        method: str = "exact",
        n_terms: int = 5,
        solver: str = "auto",
        states: FixedPoint | None = None,
    ) -> Gradient:
        """Gradients of ``sum_k <dY_k, y(u_k)>`` in the inputs and in A, B, b, C, D, d: a vector-Jacobian product.

        For a loss L of the predictions, with dY its gradient there, these are the gradients of L. They cost one linear
        system per sample, by adjoint states, without a Jacobian. y is what :meth:`~bcd_implicit.ImplicitModel.predict`
        returns, on the scale given by ``link``; for a loss of :meth:`~bcd_implicit.ImplicitModel.response`, dY has to
        include the derivative of the link. At a kink of phi one of the two slopes is used.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Inputs, as for :meth:`~bcd_implicit.ImplicitModel.predict`.
        dY : array-like of shape (m, q)
            A weight for each prediction; a vector if there is one output.
        method : {"exact", "jacobian-free", "neumann"}
            How cycles of states (states that depend on each other) are treated; elsewhere all methods are exact.
            "exact" solves for the adjoint states. "jacobian-free" ignores the cycles (Fung et al., arXiv 2103.12803).
            "neumann" goes round them ``n_terms`` times. The error shrinks with the contraction factor nu as nu^(1 +
            n_terms) / (1 - nu). If only damped steps contract, the rounds are damped too.
        n_terms : int
            Only for "neumann"; 0 is the same as "jacobian-free".
        solver : str
            Solver for the states, as in :meth:`~bcd_implicit.ImplicitModel.states`. They are computed to a relative
            error of 1e-13.
        states : FixedPoint, optional
            The result of :meth:`~bcd_implicit.ImplicitModel.states` for these inputs, to avoid computing it again.

        Returns
        -------
        Gradient
            ``U`` of shape (m, p), a row for each sample; ``A``, ``B``, ``b``, ``C``, ``D`` and ``d`` of the model's own
            shapes, sums over samples; ``adjoint`` of shape (m, n), and on request ``error_bound`` by letter and
            ``adjoint_error_bound`` of shape (m,). Gradients in sparse matrices are sparse.

        Raises
        ------
        InvalidInputError
            An unknown method, an invalid number of terms, or inputs, weights or states that do not fit.
        NotWellPosedError
            The model has no certified equilibrium.
        """
        inputs = inputs_of(self, U).T
        weights = check_matrix("dY", dY, n_columns=self.C.shape[0])
        if len(weights) != inputs.shape[1]:
            cause = f"has {len(weights)} rows, U has {inputs.shape[1]}"
            raise InvalidInputError("dY", cause, "Give a weight for each prediction of each sample")
        adjoint_terms(method, n_terms)
        shape = inputs.shape[1], self.A.shape[0]
        if states is not None and (found := getattr(getattr(states, "X", None), "shape", ())) != shape:
            cause = f"holds an X of shape {found}, {shape} needed"
            raise InvalidInputError("states", cause, "Pass what states returned for these inputs")
        X = self._states(inputs, solver, GOOD_STATES).X if states is None else states.X.T
        slopes = self._slopes(inputs, X)
        return Gradient(self, self.structure(), slopes, X, inputs, weights.T, method, n_terms)

    def _slopes(self, inputs: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The slopes phi' at the preactivations of states (n, m) and inputs (p, m): shape (n, m)."""
        return self.activation.derivative(self.A @ X + self._drive(inputs))
