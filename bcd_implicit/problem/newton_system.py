"""The linear systems of the output block's Newton steps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from bcd_implicit.problem.regression import Regression

# What is added to the unit diagonal of a matrix that may be singular: the first of these that is enough.
LIFTS = 10.0 ** np.arange(-14, 1)
# A Gram matrix for every output is formed where that takes no more operations than this, else one for all of them.
MOST_OPERATIONS = 2e9
# Where the loss couples outputs, the largest number of coefficients for which one matrix of all is formed.
LARGEST_COUPLED = 1000
# Products with the second derivative at most, for one system.
MAX_PRODUCTS = 200

Solve = Callable[[np.ndarray], np.ndarray]


class NewtonSystem:
    """The second derivative of the output block at a point, and the solution of systems with it.

    Parameters
    ----------
    regression : Regression
    product : callable
        The loss's second derivative times a change of the predictions, (q, m) to (q, m).
    weights : ndarray of shape (q, m)
        Its diagonal.
    separable : bool
        Whether it couples no outputs, so that weights are all there is to it.
    exact : bool
        Form a Gram matrix for every output whatever it costs.

    Attributes
    ----------
    products : int
        How many with the second derivative the last solution took.
    """

    def __init__(
        self,
        regression: Regression,
        product: Callable[[np.ndarray], np.ndarray],
        weights: np.ndarray,
        separable: bool = True,
        exact: bool = False,
    ) -> None:
        self.regression, self.second_derivative, self.products = regression, product, 0
        if not separable and weights.shape[0] * regression.size <= LARGEST_COUPLED:
            self._preconditioned, self._lift = self._coupled(weights)
        else:
            self._preconditioned, self._lift = self._by_outputs(weights, exact)

    def _coupled(self, weights: np.ndarray) -> tuple[Solve, np.ndarray]:
        """The inverse of the whole matrix: exact."""
        q, size = len(weights), self.regression.size
        matrix = np.empty((q, size, q, size))
        for j in range(q):
            column = self.second_derivative(np.broadcast_to(np.eye(q)[:, j : j + 1], weights.shape))
            column[j] = weights[j]  # to more digits
            for i in range(j + 1):
                matrix[i, :, j] = self.regression.gram_matrix(column[i], (i, j))
                matrix[j, :, i] = matrix[i, :, j].T
            matrix[j, :, j] += self.regression.penalty_of(j)
        solve, lift = _factorised(matrix.reshape(q * size, q * size))
        return lambda residual: solve(residual.ravel()).reshape(q, size), lift.reshape(q, size)

    def _by_outputs(self, weights: np.ndarray, exact: bool) -> tuple[Solve, np.ndarray]:
        """The inverse of every output's Gram matrix, exact where outputs are not coupled, or of their mean."""
        exact = exact or self.regression.by_outputs
        affordable = exact or 2.0 * weights.size * self.regression.size**2 <= MOST_OPERATIONS
        rows = weights if affordable else weights.mean(axis=0)[None]
        grams = (self.regression.gram_matrix(row, (i, i)) + self.regression.penalty_of(i) for i, row in enumerate(rows))
        factors = [_factorised(gram) for gram in grams]
        lifts = np.array([lift for _, lift in factors])
        if len(factors) == 1:
            return lambda residual: factors[0][0](residual.T).T, lifts
        return lambda residual: np.array([solve(row) for (solve, _), row in zip(factors, residual, strict=True)]), lifts

    def product(self, theta: np.ndarray) -> np.ndarray:
        """Its product with a change of the coefficients, shape (q, size)."""
        pulled = self.regression.pull(self.second_derivative(self.regression.image(theta)))
        return pulled + self.regression.penalised(theta) + self._lift * theta

    def solve(self, right: np.ndarray, tol: float) -> np.ndarray:
        """The change of the coefficients whose product is ``right``, to the relative tolerance.

        Preconditioned conjugate gradients (Hestenes and Stiefel, *J. Res. Nat. Bur. Standards* 1952), of all outputs
        together.
        """
        solution, residual, self.products = np.zeros_like(right), right, 0
        direction = preconditioned = self._preconditioned(residual)
        size = first = float(np.sum(residual * preconditioned))
        while size > tol**2 * first and self.products < MAX_PRODUCTS:
            product = self.product(direction)
            self.products += 1
            curvature = float(np.sum(direction * product))
            if not curvature > 0:
                break
            solution = solution + size / curvature * direction
            residual = residual - size / curvature * product
            preconditioned = self._preconditioned(residual)
            before, size = size, float(np.sum(residual * preconditioned))
            direction = preconditioned + size / before * direction
        return solution


def _factorised(matrix: np.ndarray) -> tuple[Solve, np.ndarray]:
    """How to solve symmetric positive semidefinite systems, and what was added to the diagonal to have a factor.

    Raises
    ------
    LinAlgError
        The matrix is not finite.
    """
    diagonal = np.diag(matrix)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    factor, lift = _lifted_factor(matrix / np.outer(unit, unit))
    return lambda right: (cho_solve(factor, (right.T / unit).T, check_finite=False).T / unit).T, lift * unit**2


def _lifted_factor(matrix: np.ndarray) -> tuple[tuple[np.ndarray, bool], float]:
    """The Cholesky factor, and the least of the lifts that lets it exist."""
    for lift in LIFTS:
        with suppress(LinAlgError):
            return cho_factor(matrix + lift * np.eye(len(matrix)), check_finite=False), float(lift)
    raise LinAlgError("a matrix of sums over samples is not finite")
