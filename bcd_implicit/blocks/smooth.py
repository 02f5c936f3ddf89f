"""What the native solvers of (A, B, b) know of the samples: the smooth part f of a block, a function of T alone.

A solver handles matrices of the size of T, (n, P), and asks the rest here. Every answer is a sum over samples: whoever
keeps these in parts, on disk or on other machines, adds up parts and touches no solver. (Where samples are few the
Kronecker model multiplies by their regressors instead of H.)
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Hessian(Protocol):
    """The second derivative of f at one point.

    Attributes
    ----------
    constant : bool
        Whether it is the same at every point.
    n_samples : int
        A product with it costs 4 n P operations for each.
    row_weights : ndarray of shape (n,)
        Row by row the Hessian is near these weights times the regressors' Gram matrix.
    """

    constant: bool
    n_samples: int
    row_weights: np.ndarray

    def product(self, V: np.ndarray) -> np.ndarray:
        """Its product with V, shape (n, P)."""
        ...

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        """Mean products of some of the regressors, shape (columns, columns)."""
        ...

    def squares(self) -> np.ndarray:
        """Mean squares of the regressors, shape (P,)."""
        ...

    def matrix(self) -> np.ndarray | None:
        """The Hessian as a matrix, shape (P, n, P, n); None where there is no formula for it."""
        ...


class Smooth(Protocol):
    """The smooth part f of a block, convex.

    Attributes
    ----------
    curvature : ndarray of shape (P,), or (n, P) where rows of T differ
        About a diagonal bound on the Hessian: the solver stretches it where it is short.
    """

    curvature: np.ndarray

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        """f(T) and its gradient, shape (n, P)."""
        ...

    def on(self, columns: np.ndarray, T: np.ndarray, gradient: np.ndarray) -> Smooth:
        """The same as a function of some columns of T, less a constant.

        The other columns have to be zero; ``gradient`` is the one at T, of all columns.
        """
        ...

    def hessian(self, T: np.ndarray) -> Hessian:
        """The second derivative at T, or one element of the generalised one."""
        ...
