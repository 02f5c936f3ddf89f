"""The output block as a regression: what C, D and d multiply, in coordinates in which it is well conditioned."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy.linalg import solve_triangular

from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.parts import LARGEST_KEPT, parts

EPS = float(np.finfo(float).eps)
# Without a ridge collinear regressors leave the scaled Gram matrix singular: this much is added to its unit diagonal.
# What that and rounding leave of the error, the next step takes. A ridge whose root, in these units, is next to the
# last digit is none.
LIFT, NO_RIDGE = 1e-13, 1e-28
# The least ridge in these units that a regression reckons with. Several steps, each as exact as the digits of the data
# allow, do without the lift, but what rounding adds to coefficients that the loss does not see is to stay small.
LEAST_RIDGE = 1e-17


class Regressors:
    """[X; U], or X alone where D is no variable of the output block: what (C | D) multiplies.

    Less its means where there is an intercept, and each sample times the root of its weight: W, of shape (size, m). It
    is known by sums over parts of the samples.

    Attributes
    ----------
    rows : list of ndarray
        X and U as they are.
    means : list of ndarray
        Of their rows; zeros without an intercept.
    roots : ndarray of shape (m,)
        Of the samples' weights.
    size : int
    """

    def __init__(self, problem: TrainingProblem, X: np.ndarray) -> None:
        self.rows, self.roots = [X, problem.U] if problem.D_is_output else [X], np.sqrt(problem.shares)
        self.means = [statistics.centre(rows, problem.shares, problem.fit_intercept) for rows in self.rows]
        self.size = sum(map(len, self.rows))
        self.kept = [*self._formed()] if self.size * len(self.roots) <= LARGEST_KEPT else None

    def _formed(self) -> Iterator[tuple[slice, np.ndarray]]:
        # No more rows of R than of samples in a step of the orthogonal factorisation.
        for part in parts(len(self.roots), self.size, at_least=self.size):
            rows = [rows[:, part] - mean[:, None] for rows, mean in zip(self.rows, self.means, strict=True)]
            yield part, np.vstack(rows) * self.roots[part]

    def parts(self) -> Iterable[tuple[slice, np.ndarray]]:
        """Consecutive samples, and W of these."""
        return self._formed() if self.kept is None else self.kept

    def all_samples(self) -> np.ndarray:
        """W itself: for few samples."""
        return np.hstack([W for _, W in self.parts()])

    def exchanged(self, W: np.ndarray) -> Self:
        """Others of the same samples, of which there are few."""
        other = copy.copy(self)
        other.kept, other.size = [(slice(0, len(self.roots)), W)], len(W)
        vars(other).pop("squares", None)
        return other

    @cached_property
    def squares(self) -> np.ndarray:
        """The diagonal of W W'."""
        return np.sum([np.einsum("ij,ij->i", W, W) for _, W in self.parts()], axis=0)

    def gram_matrix(self, unit: np.ndarray) -> np.ndarray:
        """W W' of the regressors in these units."""
        gram = np.zeros((self.size, self.size))
        for _, W in self.parts():
            scaled = W / unit[:, None]
            gram += scaled @ scaled.T
        return gram

    def triangle(self, unit: np.ndarray, lift: np.ndarray) -> np.ndarray:
        """R of the orthogonal factorisation of [W' in these units; diag(lift)], a part of the samples at a time."""
        R = np.diag(lift)
        for _, W in self.parts():
            R = np.asarray(np.linalg.qr(np.vstack([(W / unit[:, None]).T, R]), mode="r"))
        return R

    def factor(self, unit: np.ndarray, ridge: np.ndarray) -> np.ndarray:
        """A lower triangle L of which L L' is the Gram matrix in these units, plus the ridge.

        If squared half the digits are gone, it comes from the data, and what the loss does not see and nothing
        penalises is lifted a little.
        """
        factor = _cholesky(self.gram_matrix(unit) + np.diag(ridge))
        lifted = np.where(ridge > NO_RIDGE, ridge, LIFT)
        return self.triangle(unit, np.sqrt(lifted)).T if factor is None else factor

    def pulled(self, residual: np.ndarray) -> np.ndarray:
        """The product of the residuals with W', shape (q, size)."""
        gradient = np.zeros((len(residual), self.size))
        for part, W in self.parts():
            gradient += residual[:, part] @ W.T
        return gradient


def _cholesky(gram: np.ndarray) -> np.ndarray | None:
    """The factor of a matrix of unit diagonal; None if too few of its digits are right."""
    try:
        factor = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        return None
    # A pivot squared is a difference of numbers near 1: of 1e-10 no more than six digits are right.
    return factor if np.diag(factor).min() >= 1e-5 else None


class Regression:
    """The output block in coefficients theta, shape (q, size), of orthonormal regressors.

    The block's own coefficients, in units in which the regressors' squares plus the ridge are one, are L^-T theta' for
    the factor L of their Gram matrix plus the ridge, so that a quadratic loss would have the second derivative 1. Where
    there is an intercept, its coefficient comes last. For more regressors than samples there are as many as the samples
    span: at a solution (C | D) is in that span.

    Attributes
    ----------
    problem : TrainingProblem
    W : ndarray of shape (size, m)
        The regressors.
    penalty : ndarray of shape (size, size)
        The second derivative of the ridge, or next to nothing where there is none.
    root : ndarray of shape (size, size)
        A matrix of which root' root is the penalty.
    offset : ndarray of shape (q, m), or 0.0
        What D adds to the predictions where it is fixed.
    by_outputs : bool
        Whether outputs have regressors of their own.
    """

    by_outputs: ClassVar[bool] = False

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.problem, self.it = problem, it
        seen = self._all = Regressors(problem, it.X)
        self.offset: float | np.ndarray = it.D @ problem.U if problem.stacked else 0.0
        self._basis: np.ndarray | None = None
        if seen.size > problem.n_samples:
            basis, sizes, rows = np.linalg.svd(seen.all_samples(), full_matrices=False)
            kept = sizes > EPS * seen.size * sizes.max(initial=0.0)
            self._basis, seen = basis[:, kept], seen.exchanged(sizes[kept, None] * rows[kept])
        self._unit = np.sqrt(seen.squares + problem.ridge)
        self._unit[self._unit == 0] = 1.0
        ridge = np.maximum(problem.ridge / self._unit**2, LEAST_RIDGE)
        self._factor, self._own_size = seen.factor(self._unit, ridge), seen.size
        self.W = np.ones((seen.size + problem.fit_intercept, problem.n_samples))
        for part, W in seen.parts():
            self.W[: seen.size, part] = self._solve(W / self._unit[:, None]) / seen.roots[part]
        self.root = np.zeros((len(self.W), len(self.W)))
        self.root[: seen.size, : seen.size] = self._solve(np.diag(np.sqrt(ridge))).T
        self.penalty = self.root.T @ self.root

    @property
    def size(self) -> int:
        """How many coefficients an output has."""
        return len(self.W)

    def _solve(self, columns: np.ndarray) -> np.ndarray:
        return solve_triangular(self._factor, columns, lower=True, check_finite=False)

    def _own(self, theta: np.ndarray) -> np.ndarray:
        """The coefficients of the regressors as they are, without the intercept's."""
        inner = theta[:, : self._own_size].T
        return solve_triangular(self._factor, inner, lower=True, trans=1, check_finite=False).T / self._unit

    def _matrices(self, it: Iterate) -> list[np.ndarray]:
        return [it.C, it.D][: len(self._all.rows)]

    def _means(self, it: Iterate) -> np.ndarray:
        """What the means of the regressors add to the predictions, shape (q,)."""
        return np.sum([M @ mean for M, mean in zip(self._matrices(it), self._all.means, strict=True)], axis=0)

    def coefficients(self, it: Iterate) -> np.ndarray:
        """Theta of an iterate."""
        own = np.hstack(self._matrices(it))
        if self._basis is not None:
            own = own @ self._basis
        theta = (own * self._unit) @ self._factor
        return np.hstack([theta, (it.d + self._means(it))[:, None]]) if self.problem.fit_intercept else theta

    def iterate(self, theta: np.ndarray) -> Iterate:
        """The iterate with these coefficients."""
        problem, n = self.problem, self.problem.n_hidden
        CD = self._own(theta)
        if self._basis is not None:
            CD = CD @ self._basis.T
        it = self.it.replace(C=CD[:, :n])
        if not problem.stacked:
            # Without pass-through an iterate may still bring a D of another problem.
            it = it.replace(D=CD[:, n:] if problem.pass_through else np.zeros_like(it.D))
        return it.replace(d=theta[:, -1] - self._means(it)) if problem.fit_intercept else it

    def start(self) -> np.ndarray:
        """The coefficients of the iterate, or the best constant prediction, or none: what is best."""
        constant = self.constant(self.problem.loss.best_constant(self.problem.Y, self.problem.shares))
        starts = (self.coefficients(self.it), constant, np.zeros_like(constant))
        values = [self.objective(self.prediction(theta), theta) for theta in starts]
        return starts[np.argmin(np.nan_to_num(values, nan=np.inf))]

    def constant(self, values: np.ndarray) -> np.ndarray:
        """The coefficients that predict these constants, shape (q,): zeros where there is no intercept."""
        constant = np.zeros((len(values), self.size))
        if self.problem.fit_intercept:
            constant[:, -1] = values
        return constant

    def image(self, theta: np.ndarray) -> np.ndarray:
        """What coefficients, or a change of them, make of the samples, shape (q, m)."""
        return theta @ self.W

    def prediction(self, theta: np.ndarray) -> np.ndarray:
        """Predictions, shape (q, m)."""
        return self.image(theta) + self.offset

    def objective(self, prediction: np.ndarray, theta: np.ndarray) -> float:
        """Mean loss and ridge."""
        loss = float(self.problem.loss.value(prediction, self.problem.Y) @ self.problem.shares)
        return loss + self.ridge_term(theta)

    def ridge_term(self, theta: np.ndarray) -> float:
        """What the ridge adds to the objective."""
        return 0.5 * self.problem.ridge * float(np.sum(self._own(theta) ** 2))

    def gradient(self, V: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """With respect to theta, for the gradients V of the loss."""
        gradient = self.pull(V)
        gradient[:, : self._own_size] += self._solve((self.problem.ridge * self._own(theta) / self._unit).T).T
        return gradient

    def pull(self, V: np.ndarray) -> np.ndarray:
        """The gradient of sum_k omega_k <v_k, f_k>, shape (q, size)."""
        return (V * self.problem.shares) @ self.W.T

    def penalised(self, theta: np.ndarray) -> np.ndarray:
        """The second derivative of the ridge times a change of the coefficients."""
        return theta @ self.penalty

    def penalty_of(self, output: int) -> np.ndarray:
        """That of one output, shape (size, size)."""
        return self.penalty

    def gram_matrix(self, weights: np.ndarray, outputs: tuple[int, int] = (0, 0)) -> np.ndarray:
        """The sum over samples of omega_k weights_k times products of two outputs' regressors, shape (size, size)."""
        size, weights = len(self.W), weights * self.problem.shares
        gram = np.zeros((size, size))
        for part in parts(len(weights), size):
            gram += (self.W[:, part] * weights[part]) @ self.W[:, part].T
        return gram
