"""The gradient of the training problem's smooth part, through the equilibrium."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from bcd_implicit.model.derivatives import Gradient
from bcd_implicit.model.rounding import EPS
from bcd_implicit.model.structure import Staged, Structure
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.layout import Layout
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem


@dataclass(frozen=True, eq=False, repr=False)
class ProblemGradient:
    """The gradient of the smooth part of (T), in the letters of an :class:`~bcd_implicit.Iterate`.

    Attributes
    ----------
    A : ndarray of shape (n, n)
    B : ndarray of shape (n, p)
    b : ndarray of shape (n,)
    C : ndarray of shape (q, n)
    D : ndarray of shape (q, p)
    d : ndarray of shape (q,)
    X : ndarray of shape (n, m)
        The equilibrium that it was taken at.
    find_error_bound : callable
        Of nothing: what ``error_bound`` asks once.
    """

    A: np.ndarray
    B: np.ndarray
    b: np.ndarray
    C: np.ndarray
    D: np.ndarray
    d: np.ndarray
    X: np.ndarray
    find_error_bound: Callable[[], dict[str, float]] = field(repr=False)

    @cached_property
    def error_bound(self) -> dict[str, float]:
        """By letter a bound on the Euclidean (Frobenius) norm of what the gradient is off.

        Of what the method leaves out and of rounding, given the states X, the slopes and the loss's gradient there.
        """
        return self.find_error_bound()

    def __repr__(self) -> str:
        (n, p), (q, m) = self.B.shape, (len(self.C), self.X.shape[1])
        return f"ProblemGradient(n_hidden={n}, n_inputs={p}, n_outputs={q}, n_samples={m})"


def gradient(problem: TrainingProblem, iterate: Iterate, *, method: str = "exact", n_terms: int = 5) -> ProblemGradient:
    """Gradient of the loss and the ridges with respect to A, B, b, C, D, d, with X the equilibrium of these matrices.

    The smooth part of (T) is ``(1/m) L(Y, CX + DU + d) + ridge/2 (||C||^2 + ||D||^2) + ridge_hidden/2 (||A||^2 +
    ||B||^2)`` with ``X = phi(AX + BU + b)``, and with sample weights in place of 1/m. It excludes the group lasso, the
    bound on A, the penalty of A, and your own penalties and constraints: these are handled by proximal maps and
    projections. The gradient is zero for entries that the pattern fixes at zero, for D without pass-through, and for b
    and d without intercept.

    Parameters
    ----------
    problem : TrainingProblem
    iterate : Iterate
        Its states are solved again first, from its own X.
    method, n_terms
        As in :meth:`~bcd_implicit.model.derivatives.Derivatives.vjp`.

    Returns
    -------
    ProblemGradient
        The gradients by letter, the equilibrium ``X``, and on request ``error_bound`` by letter. At a kink of phi or of
        the loss one of the slopes is used.

    Raises
    ------
    InvalidInputError
        Not a problem, an iterate that does not fit, or an unknown method.
    NotWellPosedError
        The iterate's A has no certified equilibrium.

    Examples
    --------
    The mean of prediction - target, where all predictions are 0:

    >>> import bcd_implicit as bi
    >>> U, Y = [[0.0], [1.0]], [[0.0], [2.0]]
    >>> problem = bi.TrainingProblem(U, Y, 1, ridge=0, ridge_hidden=0)
    >>> it = problem.initial()
    >>> bi.gradient(problem, it).d
    array([-1.])
    """
    problem = check_problem(problem)
    it = check_iterate(iterate, problem.shapes, problem.activation)
    it = problem.at_equilibrium(it)
    data = data_gradient(problem, it, Structure(it.A, problem.activation), method, n_terms)
    layout = Layout(problem)
    found = layout.parts(layout.with_ridges(data, it))
    ridges = layout.parts(layout.ridges)
    # Not a function within this one, which pickle could not store.
    return ProblemGradient(**found, X=it.X, find_error_bound=partial(_error_bound, data, found, ridges, it))


def _error_bound(
    data: Gradient, found: Mapping[str, np.ndarray], ridges: Mapping[str, np.ndarray], it: Iterate
) -> dict[str, float]:
    bounds = data.error_bound
    # Of the ridge's product and of the sum.
    sizes = {k: np.linalg.norm(ridges[k] * getattr(it, k)) + np.linalg.norm(found[k]) for k in found}
    return {letter: float(bounds[letter] + EPS * sizes[letter]) for letter in found}


def data_gradient(
    problem: TrainingProblem, it: Iterate, structure: Staged, method: str, n_terms: int, weight: float = 1.0
) -> Gradient:
    """The gradient of the loss alone, times a weight, at an iterate whose states are at equilibrium.

    Parameters
    ----------
    problem : TrainingProblem
        Or some of its samples.
    it : Iterate
    structure : Staged
        The order in which adjoint states are found.
    method, n_terms
        As for :func:`~bcd_implicit.gradient`.
    weight : float
    """
    slopes = problem.activation.derivative(problem.preactivation(it))
    dY = problem.loss.gradient(problem.prediction(it), problem.Y) * (weight * problem.shares)
    return Gradient(it, structure, slopes, it.X, problem.U, dY, method, n_terms)
