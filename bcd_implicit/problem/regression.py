"""The output block as a regression: what C, D and d multiply, and the systems of its Newton steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import LARGEST_KEPT, parts

EPS = float(np.finfo(float).eps)
# What is added to the unit diagonal of a matrix that may be singular: the first of these that is enough.
LIFTS = 10.0 ** np.arange(-14, 1)
# A Gram matrix for every output is formed where that takes no more operations than this, else one for all of them.
MOST_OPERATIONS = 2e9
# Where the loss couples outputs, the largest number of coefficients for which one matrix of all is formed.
LARGEST_COUPLED = 1000
# Products with the second derivative at most, for one Newton step.
MAX_PRODUCTS = 200


class Regressors:
    """[X; U], or X alone where D is no variable of the output block, less its means where there is an intercept.

    Parameters
    ----------
    problem : TrainingProblem
    X : ndarray of shape (n, m)
    factors : float or ndarray of shape (m,)
        Multiply each sample.

    Attributes
    ----------
    rows : list of ndarray
        X and U as they are.
    means : list of ndarray
        Of their rows; zeros without an intercept.
    size : int
        Their number.
    """

    def __init__(self, problem: TrainingProblem, X: np.ndarray, factors: float | np.ndarray = 1.0) -> None:
        self.rows = [X, problem.U] if problem.D_is_output else [X]
        self.means = [statistics.centre(rows, problem.shares, problem.fit_intercept) for rows in self.rows]
        self.factors = np.broadcast_to(factors, problem.n_samples)
        self.size = sum(map(len, self.rows))
        self.kept = [*self._formed()] if self.size * len(self.factors) <= LARGEST_KEPT else None

    def _formed(self) -> Iterator[tuple[slice, np.ndarray]]:
        # No more rows of R than of samples in a step of the orthogonal factorisation.
        for part in parts(len(self.factors), self.size, at_least=self.size):
            yield part, self.samples(part)

    def samples(self, which: slice | np.ndarray) -> np.ndarray:
        """The regressors of some of the samples."""
        rows = [rows[:, which] - mean[:, None] for rows, mean in zip(self.rows, self.means, strict=True)]
        return np.vstack(rows) * self.factors[which]

    def parts(self) -> Iterable[tuple[slice, np.ndarray]]:
        """Consecutive samples, and the regressors of these."""
        return self._formed() if self.kept is None else self.kept

    def all_samples(self) -> np.ndarray:
        """Those of all of them: for few samples."""
        return self.samples(slice(None))


class Regression:
    """The output block in the coefficients theta, shape (q, size): predictions theta W + offset, ridge theta^2 / 2.

    The regressors W are :class:`Regressors` and, where there is an intercept, ones. For more regressors than samples
    theta is the coefficients of an orthonormal basis of what the samples span: at a solution (C | D) is in it.

    Attributes
    ----------
    problem : TrainingProblem
    size : int
    ridge : ndarray of shape (size,)
        On each coefficient; none on intercepts.
    offset : ndarray of shape (q, m), or 0.0
        What D adds to the predictions where it is fixed.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.problem, self.it, self._centred = problem, it, Regressors(problem, it.X)
        self.offset: float | np.ndarray = it.D @ problem.U if problem.stacked else 0.0
        self._basis: np.ndarray | None = None
        self._reduced: np.ndarray | None = None
        if self._centred.size > problem.n_samples:
            basis, sizes, rows = np.linalg.svd(self._centred.all_samples(), full_matrices=False)
            seen = sizes > EPS * self._centred.size * sizes.max(initial=0.0)
            self._basis, self._reduced = basis[:, seen], sizes[seen, None] * rows[seen]
        penalised = self._centred.size if self._basis is None else self._basis.shape[1]
        self.size = penalised + problem.fit_intercept
        self.ridge = np.where(np.arange(self.size) < penalised, float(problem.ridge), 0.0)

    def _parts(self) -> Iterable[tuple[slice, np.ndarray]]:
        return self._centred.parts() if self._reduced is None else [(slice(None), self._reduced)]

    def samples(self, which: np.ndarray) -> np.ndarray:
        """The regressors of some samples, shape (size, k)."""
        W = self._centred.samples(which) if self._reduced is None else self._reduced[:, which]
        return np.vstack([W, np.ones((1, len(which)))]) if self.problem.fit_intercept else W

    def _means(self, it: Iterate) -> np.ndarray:
        """What the means of the regressors add to the predictions, shape (q,)."""
        return sum(M @ mean for M, mean in zip(self._matrices(it), self._centred.means, strict=True))

    def _matrices(self, it: Iterate) -> list[np.ndarray]:
        return [it.C, it.D][: len(self._centred.rows)]

    def coefficients(self, it: Iterate) -> np.ndarray:
        """Theta of an iterate."""
        theta = np.hstack(self._matrices(it))
        if self._basis is not None:
            theta = theta @ self._basis
        return np.hstack([theta, (it.d + self._means(it))[:, None]]) if self.problem.fit_intercept else theta

    def iterate(self, theta: np.ndarray) -> Iterate:
        """The iterate with these coefficients."""
        problem, n = self.problem, self.problem.n_hidden
        CD = theta[:, : self.size - problem.fit_intercept]
        if self._basis is not None:
            CD = CD @ self._basis.T
        it = self.it.replace(C=CD[:, :n])
        if not problem.stacked:
            # Without pass-through an iterate may still bring a D of another problem.
            it = it.replace(D=CD[:, n:] if problem.pass_through else np.zeros_like(it.D))
        return it.replace(d=theta[:, -1] - self._means(it)) if problem.fit_intercept else it

    def start(self) -> np.ndarray:
        """The coefficients of the iterate, or the best constant prediction, or none: what is best."""
        constant = np.zeros((self.problem.n_outputs, self.size))
        if self.problem.fit_intercept:
            constant[:, -1] = self.problem.loss.best_constant(self.problem.Y, self.problem.shares)
        starts = (self.coefficients(self.it), constant, np.zeros_like(constant))
        values = [self.objective(self.prediction(theta), theta) for theta in starts]
        return starts[np.argmin(np.nan_to_num(values, nan=np.inf))]

    def image(self, theta: np.ndarray) -> np.ndarray:
        """Theta W, shape (q, m)."""
        image = np.zeros((len(theta), self.problem.n_samples))
        intercept = self.problem.fit_intercept
        for part, W in self._parts():
            image[:, part] = theta[:, : len(W)] @ W
        return image + theta[:, -1:] if intercept else image

    def prediction(self, theta: np.ndarray) -> np.ndarray:
        """Theta W + offset, shape (q, m)."""
        return self.image(theta) + self.offset

    def objective(self, prediction: np.ndarray, theta: np.ndarray) -> float:
        """Mean loss and ridge."""
        problem = self.problem
        return float(problem.loss.value(prediction, problem.Y) @ problem.shares + 0.5 * np.sum(self.ridge * theta**2))

    def gradient(self, prediction: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """With respect to theta, for a smooth loss."""
        return self.pull(self.problem.loss.gradient(prediction, self.problem.Y)) + self.ridge * theta

    def pull(self, V: np.ndarray) -> np.ndarray:
        """The gradient of sum_k omega_k <v_k, f_k>, shape (q, size)."""
        weighted = V * self.problem.shares
        pulled = np.zeros((len(V), self.size))
        for part, W in self._parts():
            pulled[:, : len(W)] += weighted[:, part] @ W.T
        if self.problem.fit_intercept:
            pulled[:, -1] = weighted.sum(axis=1)
        return pulled

    def gram_matrix(self, weights: np.ndarray) -> np.ndarray:
        """sum_k omega_k weights_k w_k w_k', shape (size, size)."""
        gram, weights = np.zeros((self.size, self.size)), weights * self.problem.shares
        for part, W in self._parts():
            weighted = W * weights[part]
            gram[: len(W), : len(W)] += weighted @ W.T
            if self.problem.fit_intercept:
                gram[-1, : len(W)] += weighted.sum(axis=1)
        if self.problem.fit_intercept:
            gram[:, -1] = gram[-1]
            gram[-1, -1] = weights.sum()
        return gram


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

    def _coupled(self, weights: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The inverse of the whole matrix: exact."""
        q, size = len(weights), self.regression.size
        matrix = np.empty((q, size, q, size))
        for j in range(q):
            column = self.second_derivative(np.broadcast_to(np.eye(q)[:, j : j + 1], weights.shape))
            column[j] = weights[j]  # to more digits
            for i in range(j + 1):
                matrix[i, :, j] = matrix[j, :, i] = self.regression.gram_matrix(column[i])
        matrix = matrix.reshape(q * size, q * size)
        solve, lift = lifted(matrix + np.diag(np.tile(self.regression.ridge, q)))
        return lambda residual: solve(residual.ravel()).reshape(q, size), lift.reshape(q, size)

    def _by_outputs(self, weights: np.ndarray, exact: bool) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """The inverse of every output's Gram matrix, exact where outputs are not coupled, or of their mean."""
        affordable = exact or 2.0 * weights.size * self.regression.size**2 <= MOST_OPERATIONS
        grams = map(self.regression.gram_matrix, weights if affordable else [weights.mean(axis=0)])
        factors = [lifted(gram + np.diag(self.regression.ridge)) for gram in grams]
        lifts = np.array([lift for _, lift in factors])
        if not affordable:
            return lambda residual: factors[0][0](residual.T).T, lifts
        return lambda residual: np.array([solve(row) for (solve, _), row in zip(factors, residual, strict=True)]), lifts

    def product(self, theta: np.ndarray) -> np.ndarray:
        """Its product with a change of the coefficients, shape (q, size)."""
        regression = self.regression
        pulled = regression.pull(self.second_derivative(regression.image(theta)))
        return pulled + (regression.ridge + self._lift) * theta

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


def lifted(matrix: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """How to solve symmetric positive semidefinite systems, and what was added to the diagonal to have a factor.

    Raises
    ------
    LinAlgError
        The matrix is not finite.
    """
    diagonal = np.diag(matrix)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix / np.outer(unit, unit)
    for lift in LIFTS:
        with suppress(LinAlgError):
            factor = cho_factor(scaled + lift * np.eye(len(scaled)), check_finite=False)
            return lambda right: (cho_solve(factor, (right.T / unit).T, check_finite=False).T / unit).T, lift * unit**2
    raise LinAlgError("a matrix of sums over samples is not finite")
