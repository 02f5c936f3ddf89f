"""Output block: (C, D, d) for fixed states, a ridge regression on [X; U; 1]::

    min  (1/m) L(Y, CX + DU + d) + ridge/2 (||C||_F^2 + ||D||_F^2) + what does not depend on C, D, d

If the groups are columns of (B; D), D belongs to the blocks in (A, B, b) and is fixed here.

Under a pattern the outputs whose rows of (C, D) have the same free entries are a regression by themselves
(:mod:`~bcd_implicit.problem.output_parts`), unless the loss couples them with others.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.output_interior import interior_point
from bcd_implicit.blocks.output_newton import newton_steps, roughly
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.output_parts import OutputPart, output_parts, splits, together
from bcd_implicit.problem.parted_regression import regression_of
from bcd_implicit.problem.regression import Regressors
from bcd_implicit.support import cvxpy as cp

# Newton steps of the closed form, each of which takes what rounding left.
REFINEMENTS = 5
# The relative gap to which an interior point goes, where it need not be a rough one: the last digits cost little.
EXACT, ROUGH = 1e-12, 1e-2
# A Newton step that gains less than this times the root of the tolerance may be the last: the next one gains about the
# square of its share.
NEAR = 1e-3
# Below this share of the sum of squares the samples' Gram matrix, singular once centred, may have no factor.
LEAST_RIDGE = 1e-13


class OutputBlock(Block):
    """The matrices C, D and the intercept d."""

    name = "output"
    holds_loss = False

    def __init__(self, problem, it):
        super().__init__(problem, it)
        self.letters = ("C", "d") if problem.stacked else ("C", "D", "d")

    def pose(self, v):
        problem, m = self.problem, self.problem.n_samples
        X, U, ones, Y, rest = self._samples()
        prediction = v["C"] @ X
        D = cp.Constant(self.it.D) if problem.stacked else v["D"]
        if problem.pass_through:
            prediction = prediction + D @ U
        if problem.fit_intercept:
            prediction = prediction + cp.reshape(v["d"], (problem.n_outputs, 1), order="F") @ ones
        # Weights of mean 1: equal ones leave conic solvers the data as they are.
        weights = 1.0 if problem.loss.quadratic else m * problem.shares
        ridge = 0.5 * self.scalars("ridge", problem.ridge) * (cp.sum_squares(v["C"]) + cp.sum_squares(D))
        return self.moving_loss.cvxpy(prediction, Y, weights) / m + ridge + rest / m + self._constant, []

    def _samples(self):
        """X, U, ones and Y for a conic solver, and what is to be added to the loss.

        The squared loss takes the root of a sample's weight as a factor of the sample, and does not see an orthogonal
        change of the samples' axes: with [X; U; 1]' = Q R the m samples become at most n + p + 1, and what is left of
        Y is a constant.
        """
        problem, it, m = self.problem, self.it, self.problem.n_samples
        if not problem.loss.quadratic:
            return it.X, problem.U, np.ones((1, m)), problem.Y, 0.0
        roots = np.sqrt(m * problem.shares)
        Q, R = np.linalg.qr((np.vstack([it.X, problem.U, np.ones((1, m))]) * roots).T)
        X, U, ones = np.split(R.T, [problem.n_hidden, problem.n_hidden + problem.n_inputs])
        Y = problem.Y * roots @ Q
        return X, U, ones, Y, 0.5 * (np.sum((problem.Y * roots) ** 2) - np.sum(Y**2))

    def objective(self, it):
        """(F); at an equilibrium its Fenchel term is zero and this is (T)."""
        return self.problem.output_objective(it) + self._constant + self.problem.user_penalty(it)

    @cached_property
    def _constant(self):
        """What (C, D, d) do not change, but for the user's penalties."""
        return self.problem.hidden_regularization(self.it) + self.problem.fenchel_term(self.it)

    @cached_property
    def _refined(self):
        """A function of (C | D) and the residuals that gives the next (C | D); what it needs is factorised once."""
        regression, penalty = Regressors(self.problem, self.it.X), self.problem.ridge
        squares, size, m = regression.squares, regression.size, self.problem.n_samples
        if size > m and penalty > LEAST_RIDGE * float(squares.sum()):
            # For more regressors than samples: (WW' + ridge)^-1 W = W (W'W + ridge)^-1, without a difference.
            W = regression.all_samples()
            by_samples = cho_factor(W.T @ W + penalty * np.eye(m), check_finite=False)
            return lambda CD, residual: cho_solve(by_samples, (CD @ W - residual).T, check_finite=False).T @ W.T
        # To unit diagonal, so that inputs of any scale are alike.
        unit = np.sqrt(squares + penalty)
        # Of all coefficients of a regressor that is zero, and not penalised, the least is wanted.
        used = unit > 0
        unit[~used] = 1.0
        factor = regression.factor(unit, penalty / unit**2)

        def step(CD: np.ndarray, residual: np.ndarray) -> np.ndarray:
            gradient = regression.pulled(residual) + penalty * CD
            half = solve_triangular(factor, (gradient / unit).T, lower=True, check_finite=False)
            return used * CD - solve_triangular(factor, half, lower=True, trans=1, check_finite=False).T / unit

        return step

    @cached_property
    def _parts(self) -> list[tuple[OutputPart, OutputBlock]]:
        """The blocks of the outputs with the same free entries; none where these cannot be parted, or all are free."""
        parts = output_parts(self.problem, self.it) if splits(self.problem) else []
        return [(part, OutputBlock(part.problem, part.it)) for part in parts]

    def solve_native(self, tol, met):
        for it in self._nearly_optimal(tol):
            if met(it):
                return it, True, {}
        return it, False, {}

    def _nearly_optimal(self, tol: float) -> Iterator[Iterate]:
        """Points that may be optimal, the last one as exact as it gets."""
        if self._parts:
            yield from self._all_parts(tol)
        elif self.problem.loss.quadratic:
            yield from self._closed_form()
        else:
            yield from self._by_newton(tol)

    def _all_parts(self, tol: float) -> Iterator[Iterate]:
        """Those of all parts side by side; what has ended waits for the others."""
        parts = [part for part, _ in self._parts]
        running = [block._nearly_optimal(tol) for _, block in self._parts]
        points = [part.it for part in parts]
        while True:
            found = [next(points_of_part, None) for points_of_part in running]
            if all(point is None for point in found):
                return
            points = [old if new is None else new for old, new in zip(points, found, strict=True)]
            yield together(self.it, parts, points)

    def _by_newton(self, tol: float) -> Iterator[Iterate]:
        """For losses other than the squared one."""
        regression = regression_of(self.problem, self.it)
        if not self.problem.loss.smooth:
            yield regression.iterate(interior_point(regression, regression.start(), min(tol, EXACT)))
            return
        for theta, promised in newton_steps(regression, regression.start()):
            if promised <= NEAR * np.sqrt(tol):
                yield regression.iterate(theta)
        yield regression.iterate(theta)

    def _closed_form(self) -> Iterator[Iterate]:
        """Newton steps: one for an exact solution, more only refine what rounding left."""
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        CD, roots = np.hstack([it.C, it.D]) if problem.D_is_output else it.C, np.sqrt(problem.shares)
        for _ in range(REFINEMENTS):
            residual = problem.prediction(it) - problem.Y
            if problem.fit_intercept:
                residual -= statistics.mean(residual, problem.shares)[:, None]
            residual *= roots
            CD = self._refined(CD, residual)
            it = it.replace(C=CD[:, :n])
            if not problem.stacked:
                # Without pass-through an iterate may still bring a D of another problem.
                it = it.replace(D=CD[:, n:] if problem.pass_through else np.zeros_like(it.D))
            if problem.fit_intercept:
                # The intercept last: it is the mean of what C and D leave.
                it = it.replace(d=it.d + statistics.mean(problem.Y - problem.prediction(it), problem.shares))
            yield it

    def improve(self, share):
        if self._parts:
            points = [block.improve(share) for _, block in self._parts]
            return together(self.it, [part for part, _ in self._parts], points)
        if self.problem.loss.quadratic:  # exactly: it costs a single Newton step
            return next(self._closed_form())
        regression = regression_of(self.problem, self.it)
        start = regression.start()
        if not self.problem.loss.smooth:
            return regression.iterate(interior_point(regression, start, ROUGH * share))
        return regression.iterate(roughly(regression, start, share))

    def certificate(self, it):
        return output_certificate(self.problem, it)
