"""A score test of single inputs: would B, or D, move if an input were let in?

At a fit on a support S, an input j outside of S has B_j = 0. With the residuals r_k, minus the loss's gradient with
respect to the predictions, its gradient with respect to the preactivations is minus P_k = N_k'C'r_k, N_k = (I - D_k
A)^-1 D_k, and with respect to B_j minus::

    1/m sum_k P_k u_jk.

If u_j has no part in the targets it is as good as a random column, so that this is a sum of independent terms, and its
squared norm, over the variance of u_j, has the distribution of a weighted sum of squared normal variables, the weights
being the eigenvalues of the mean of P_k P_k'. What S and the intercept explain linearly of u_j and of P is taken out
first, so that inputs correlated with those in S do not pass for them, and so that the fit need not have converged to
the last digit. An effect even in u_j leaves this gradient zero; therefore u_j^2 is tested as well, and the smaller of
both p-values counts, doubled.

With shares omega_k of the sample weights in place of 1/m, S and the intercept explain what weighted least squares say,
and the eigenvalues are those of sum_k omega_k^2 P_k P_k': a weight multiplies a sample's term, a weight of 2 is not two
independent samples. The p-values are as good as the effective number of samples, 1/sum_k omega_k^2, is large, and an
input without a part is to have none in the weights either.

Of the squared loss r_k = y_k - yhat_k. Of the likelihoods of classes and counts it is the target less its mean by the
model, y_k - p_k, which is the efficient score. Its variance differs from sample to sample, and that does no harm: given
the targets and S, the sum is one of as many independent copies of u_j, each times a number that is known. As the
outputs' r_k have other variances, p (1 - p) or the rate itself, each is measured by its own (the Fisher information) so
that a rare class or a low rate is not lost beside the others. Of a loss with a kink r_k is the sign of the residual
times a slope, and, where a sample is met exactly, what makes the fit stationary.

The test is that of Rao (1948) in the form of variance-component score tests (Liu, Lin and Ghosh, Biometrics 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from bcd_implicit.certificates.responses import equilibrium_responses
from bcd_implicit.problem import statistics
from bcd_implicit.problem.quadratic_model import QuadraticModel
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.refits import best_constant
from bcd_implicit.training.result import BcdResult


@dataclass(frozen=True)
class Scores:
    """What the inputs outside of a support are tested by, before any distribution is thought of.

    Attributes
    ----------
    residuals : ndarray of shape (r, m)
        What S and the intercept leave of P, each sample times the root of its share.
    features : ndarray of shape (2, k, m)
        What they leave of the inputs, and of their squares; zero where nothing is left but rounding.
    inputs : ndarray of int, shape (k,)
        The inputs tested.
    shares : ndarray of shape (m,)
        Of the samples that take part.
    expected : float
        What is expected of the weighted sum of squares of a random column of variance 1, less what S explains.
    n_explained : int
        Rows of S and the intercept.
    free : ndarray of bool, shape (r, k), or None
        Where a pattern leaves an input the way to a row of the residuals; None where there is no pattern.
    """

    residuals: np.ndarray
    features: np.ndarray
    inputs: np.ndarray
    shares: np.ndarray
    expected: float
    n_explained: int
    free: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        problem: TrainingProblem,
        result: BcdResult | None,
        support: np.ndarray,
        asked: np.ndarray | None = None,
        samples: np.ndarray | None = None,
    ) -> Scores | None:
        """The arguments are those of :func:`entry_p_values`, and the samples (indices) to look at.

        None where there are too few samples to say anything, or no inputs to test.
        """
        samples = np.arange(problem.n_samples) if samples is None else samples
        others, U = np.flatnonzero(~support if asked is None else asked), problem.U[:, samples]
        shares = problem.shares[samples] / problem.shares[samples].sum()
        # Least squares are weighted once every sample is multiplied by the root of its weight.
        S, roots = np.vstack([np.ones((1, len(samples))), U[support]]), np.sqrt(shares)
        # 2 degrees of freedom, but for rounding.
        if statistics.effective_samples(shares) - len(S) < 1.5 or len(others) == 0:
            return None
        basis = np.linalg.qr((S * roots).T)[0]

        def rest(rows: np.ndarray) -> np.ndarray:
            rows = rows * roots
            return rows - (rows @ basis) @ basis.T

        U, S_rooted = U[others], (S * roots).T
        bent = (U - np.linalg.lstsq(S_rooted, (U * roots).T, rcond=None)[0].T @ S) ** 2
        features = np.array([rest(U), rest(bent)])
        # What is left of a feature that the support determines is rounding, and so is all that follows from it.
        before = np.array([U**2 @ shares, bent**2 @ shares])
        known = np.sum(features**2, axis=2) <= 1e-12 * before
        features[known | known[0]] = 0.0
        P = rest((_constants_residuals(problem) if result is None else _pulled_residuals(result))[:, samples])
        expected = 1.0 - float(shares @ np.sum(basis**2, axis=1))
        free = None if not problem.pattern else _ways(problem, result)[:, others]
        return cls(P, features, others, shares, expected, len(S), free)

    @property
    def statistics(self) -> np.ndarray:
        """The squared scores over the variances of the features; shape (2, k)."""
        squares = np.sum(self.features**2, axis=2)
        sums = self.residuals @ self.features.reshape(-1, len(self.shares)).T
        if self.free is not None:
            sums *= np.tile(self.free, len(squares))
        scores = np.einsum("ij,ij->j", sums, sums).reshape(squares.shape)
        return scores / np.where(squares > 0, squares, 1.0)

    def by_rows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Which of the inputs tested may move the same rows of the residuals, and these rows."""
        if self.free is None:
            return [(np.arange(len(self.inputs)), self.residuals)]
        masks, which = np.unique(self.free, axis=1, return_inverse=True)
        return [(np.flatnonzero(which.ravel() == g), self.residuals[mask]) for g, mask in enumerate(masks.T)]

    def weights(self, residuals: np.ndarray) -> np.ndarray:
        """Those of the squares of normal variables whose sum a statistic is like, by the formula; one a row."""
        return np.maximum(np.linalg.eigvalsh(residuals * self.shares @ residuals.T) / self.expected, 0.0)

    @property
    def p_values(self) -> np.ndarray:
        """By the formula, for a single input each: the smaller of both p-values, doubled; shape (k,)."""
        single, scores = np.ones(len(self.inputs)), self.statistics.max(axis=0)
        for inputs, residuals in self.by_rows():
            weights = self.weights(residuals)
            single[inputs] = [weighted_chi_squared_tail(score, weights) for score in scores[inputs]]
        return np.minimum(1.0, 2 * single)


def entry_p_values(
    problem: TrainingProblem, result: BcdResult | None, support: np.ndarray, asked: np.ndarray | None = None
) -> np.ndarray:
    """P-values, by the formula, of the hypotheses that an input, next to those of the support, has no part.

    Parameters
    ----------
    problem : TrainingProblem
        With all p inputs.
    result : BcdResult or None
        A fit on the inputs of the support, without group lasso. For an empty support none is needed: the residuals of
        the best constant take the place of P.
    support : ndarray of bool, shape (p,)
    asked : ndarray of bool, shape (p,), optional
        The inputs to test, outside of the support; by default all.

    Returns
    -------
    ndarray of shape (p,)
        For a single test each: divide the level by p for all of them together. 1 for inputs that are not tested, and
        where there are too few samples to say anything.
    """
    p_values, scores = np.ones(len(support)), Scores.of(problem, result, support, asked)
    if scores is not None:
        p_values[scores.inputs] = scores.p_values
    return p_values


def _ways(problem: TrainingProblem, result: BcdResult | None) -> np.ndarray:
    """The rows of the residuals that each input may move under the problem's pattern, bool of shape (r, p).

    Those of the best constant are of the outputs, which an input reaches through any entry of its column of B.
    """
    # Where B is free a refit may have more hidden features than the problem.
    n = problem.n_hidden if result is None else result.problem.n_hidden
    B = problem.pattern.entries("B", (n, problem.n_inputs))
    D = problem.pattern.entries("D", problem.shapes["D"]) & problem.pass_through
    if result is None:
        return D | B.any(axis=0)
    return np.vstack([B, D]) if problem.pass_through else B


def _constants_residuals(problem: TrainingProblem) -> np.ndarray:
    """Minus the gradients of the loss at the best constant, shape (q, m)."""
    constant = np.broadcast_to(best_constant(problem)[:, None], problem.Y.shape)
    return _in_spreads(problem, -problem.loss.gradient(constant, problem.Y))


def _in_spreads(problem: TrainingProblem, residuals: np.ndarray) -> np.ndarray:
    """Residuals of a likelihood, each output's over their standard deviation; those of other losses as they are."""
    if problem.loss.free_targets:
        return residuals
    variance = statistics.variance(residuals, problem.shares)
    return residuals / np.sqrt(np.where(variance > 0, variance, 1.0))[:, None]


def _pulled_residuals(result: BcdResult) -> np.ndarray:
    """N_k'C'r_k for all samples, shape (n, m); where D is a variable, with the residuals themselves below."""
    problem, it = result.problem, result.iterate
    # In whose coordinates the responses are.
    loss = QuadraticModel(problem, it)
    residuals, inside = -loss.gradient, loss.basis(it.C)[0].T @ loss.target
    pulled = [np.einsum("rjk,rk->jk", J, inside[:, part]) for part, J in equilibrium_responses(problem, it)()]
    return np.vstack([np.hstack(pulled), *([_in_spreads(problem, residuals)] if problem.pass_through else [])])


def weighted_chi_squared_tail(value: float, weights: np.ndarray) -> float:
    """P(sum_i weights_i chi_i^2 > value) for independent squares of standard normal variables.

    By the Lugannani-Rice saddlepoint approximation (Kuonen, Biometrika 1999), good to a tenth far into the tail.
    Values up to the mean have a p-value of 1: they are of no interest here, and the formula is singular there.
    """
    weights = weights[weights > 1e-12 * weights.max(initial=0.0)]
    if len(weights) == 0 or value <= weights.sum() * (1 + 1e-4):
        return 1.0
    value, weights = value / weights.max(), weights / weights.max()

    def slope(t: float) -> float:
        return float(np.sum(weights / (1 - 2 * t * weights))) - value

    # slope grows from below 0 to infinity on [0, 1/2).
    t = brentq(slope, 0.0, 0.5 * (1 - 1e-13)) if slope(0.5 * (1 - 1e-13)) > 0 else 0.5 * (1 - 1e-13)
    log_moment = -0.5 * float(np.sum(np.log1p(-2 * t * weights)))
    curvature = 2 * float(np.sum((weights / (1 - 2 * t * weights)) ** 2))
    w, v = np.sqrt(2 * (t * value - log_moment)), t * np.sqrt(curvature)
    return float(np.clip(ndtr(-(w + np.log(v / w) / w)), 0.0, 1.0))
