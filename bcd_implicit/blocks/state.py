"""State block: X for fixed matrices, every sample by itself::

    min_x  L(y, Cx + Du + d) + sum_i lambda_i [ g(x_i) + g*(z_i) - x_i z_i ] + 1/2 (x - x_k)' M_minus (x - x_k),
           z = Ax + c,  c = Bu + b

The term -x'Lambda A x, Lambda = diag(lambda), is not convex. With M = t Lambda - Lambda A - A'Lambda the quadratic part
(t the part of g that is 1/2 t x^2), and C'C more for the squared loss, M_minus is the negative part of M: the smallest
proximal term that makes the block convex.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.state_fit import EnvelopeFit, Fit, LossFit, SquaredFit
from bcd_implicit.blocks.state_newton import descended
from bcd_implicit.blocks.state_samples import Samples
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.certificates.state import state_certificate
from bcd_implicit.problem.formula import mean
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.formulas import Part, numbers
from bcd_implicit.support.parts import parts

# How often the aim is lowered when the certificate asks for more, and to which share of it.
MAX_AIMS, LOWER = 8, 1e-3
# How often the multipliers of a loss with kinks are moved, how wide its envelope is at first (relative to a sample's
# residuals), to which share of that it is narrowed each time, and how narrow it gets relative to the predictions: their
# rounding is divided by it.
MAX_ROUNDS, FIRST_WIDTH, NARROWER, NARROWEST = 15, 0.1, 0.1, 1e-6
# A point of a looser certificate is compared with a better one, itself of one as tight, or of a gap at most this
# share of the difference.
TIGHT, SURE = 1e-8, 0.1


class StateBlock(Block):
    """The states X, near the iterate's own.

    ``fenchel_weight`` is a number here, not a ``cp.Parameter``: the proximal term depends on it through the
    eigenvalues of M.
    """

    name = "state"
    letters = ("X",)
    holds_pair = True

    def __init__(self, problem, it):
        super().__init__(problem, it)
        weighted_A = problem.fenchel_weights[:, None] * it.A
        M = problem.activation.quadratic_part * np.diag(problem.fenchel_weights) - weighted_A - weighted_A.T
        if problem.loss.quadratic:
            M += it.C.T @ it.C
        values, vectors = np.linalg.eigh(M)
        self.convex_root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T  # convex_root' convex_root = M + M_minus
        self.proximal = (vectors * np.maximum(-values, 0)) @ vectors.T  # M_minus
        # The native solver's last point, and the multipliers that prove it where the loss has kinks.
        self.proven, self.V = it.X[:, :0], np.zeros_like(problem.Y)

    def pose(self, v):
        problem, it, m = self.problem, self.it, self.problem.n_samples
        shares = m * problem.shares  # of mean 1, as in the output block
        weights = np.outer(problem.fenchel_weights, shares)
        X, c, offset = v["X"], it.B @ problem.U + it.b[:, None], it.D @ problem.U + it.d[:, None]
        g_rest, domain = problem.activation.cvxpy_g_rest(X, weights)
        linear, constant = shares * (self.proximal @ it.X) + weights * c, 0.5 * it.X * (self.proximal @ it.X)
        value = (
            0.5 * cp.sum_squares(cp.multiply(np.broadcast_to(np.sqrt(shares), X.shape), self.convex_root @ X))
            + g_rest
            + problem.activation.cvxpy_g_conjugate(it.A @ X + c, weights)
            + float(np.sum(shares * constant))
        )
        if problem.loss.quadratic:  # what is quadratic of it is above
            residual = problem.Y - offset
            linear += shares * (it.C.T @ residual)
            value += 0.5 * np.sum(shares * residual**2)
        else:
            value += problem.loss.cvxpy(it.C @ X + offset, problem.Y, shares)
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        self.own_constraints = {"range of phi": domain} if domain else {}
        return (value - cp.sum(cp.multiply(linear, X))) / m + regularization, domain

    def formula(self, shown=numbers):
        whole = super().formula(shown)
        step = r"(x_k - \bar{x}_k)^\top M_- (x_k - \bar{x}_k)"
        proximal = Part("proximal term", rf"\frac{{1}}{{2}} {mean(self.problem)} {step}", frozenset("X"))
        minus = (
            r"M_- \text{ the negative part of the states' own quadratic form, } \bar{x}_k \text{ the iterate's states}"
        )
        return replace(
            whole,
            terms=[*whole.terms, proximal] if self.proximal.any() else whole.terms,
            definitions={**whole.definitions, "M_-": minus},
        )

    def objective(self, it):
        """(F) plus the mean of the proximal terms."""
        step = it.X - self.it.X
        proximal_terms = 0.5 * np.sum(step * (self.proximal @ step), axis=0)
        return self.problem.objective(it) + float(proximal_terms @ self.problem.shares)

    def repair(self, it):
        return it.replace(X=np.clip(it.X, *self.problem.activation.domain))

    def solve_native(self, tol, met):
        for it in self._points(self.it, tol):
            if met(it):
                return it, True, {}
        return it, False, {}

    def _points(self, it: Iterate, tol: float) -> Iterator[Iterate]:
        """Better and better points from one: Newton's method with lower and lower aims.

        A loss with kinks is replaced by its envelope around multipliers, whose gradient they then become.
        """
        problem, loss, aim = self.problem, self.problem.loss, 0.1 * tol * self.size()
        if not loss.smooth:
            self.V, (self.width, narrowest) = np.zeros_like(problem.Y), self._widths(it)
        for _ in range(MAX_AIMS if loss.smooth else MAX_ROUNDS):
            it = it.replace(X=self._descended(it.X, aim))
            if not loss.smooth:
                self.V = loss.smoothed(self.V, self.width).gradient(problem.prediction(it), problem.Y)
                self.width = np.maximum(NARROWER * self.width, narrowest)
            self.proven = it.X
            yield it
            aim = min((LOWER if loss.smooth else NARROWER) * aim, 0.1 * tol * problem.output_objective(it))

    def _widths(self, it: Iterate) -> tuple[np.ndarray, float]:
        """Of the envelopes, those to begin with, shape (m,), and the least."""
        prediction, Y = self.problem.prediction(it), self.problem.Y
        miss = np.abs(Y - prediction).mean(axis=0)
        narrowest = NARROWEST * float(np.mean(np.abs(Y) + np.abs(prediction))) or 1.0
        return np.maximum(FIRST_WIDTH * np.maximum(miss, miss.mean()), narrowest), narrowest

    def _descended(self, start: np.ndarray, aim: float) -> np.ndarray:
        """The states that Newton's method leads to."""
        X, Q = np.empty_like(start), self.convex_root.T @ self.convex_root
        for part in parts(self.problem.n_samples, max(len(X) ** 2, self.problem.n_outputs)):
            samples = Samples(self.problem, self.it, Q, self.proximal, part, self._fit(part))
            X[:, part] = descended(samples, start[:, part], aim)
        return X

    def _fit(self, part: slice) -> Fit:
        """The loss of a part of the samples."""
        problem, it = self.problem, self.it
        Y, offset = problem.Y[:, part], it.D @ problem.U[:, part] + it.d[:, None]
        if problem.loss.quadratic:
            return SquaredFit(it.C, Y - offset)
        if problem.loss.smooth:
            return LossFit(problem.loss, it.C, offset, Y)
        return EnvelopeFit(problem.loss, it.C, offset, Y, self.V[:, part], self.width[part])

    def certificate(self, it):
        # Of any other point than the native solver's last one its multipliers prove nothing.
        native = it.X is self.proven
        found = self._certificate(it, self.V if native else None)
        if native or not TIGHT < found.relative_gap < np.inf:
            return found
        with suppress(ArithmeticError, ValueError), np.errstate(all="ignore"):  # from a point too far off for it
            for better in self._points(it, TIGHT):
                near, gained = self._certificate(better, self.V), self.objective(it) - self.objective(better)
                if near.relative_gap <= TIGHT or near.gap <= SURE * gained:
                    break
            return self._certificate(it, None, (better.X, self.V))
        return found

    def _certificate(
        self, it: Iterate, claim: np.ndarray | None, near: tuple[np.ndarray, np.ndarray | None] | None = None
    ) -> Certificate:
        return state_certificate(self.problem, self.it, it, self.proximal, claim, near)
