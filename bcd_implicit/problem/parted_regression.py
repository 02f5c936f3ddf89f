"""The output block as a regression where a loss couples outputs that a pattern tells apart."""

from __future__ import annotations

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.output_parts import output_parts, splits, together
from bcd_implicit.problem.regression import Regression
from bcd_implicit.problem.training_problem import TrainingProblem


class PartedRegression(Regression):
    """A regression whose outputs each use the orthonormal regressors of their part.

    Theta has the shape (q, size) for the largest part; the rows of others end with zeros.
    """

    by_outputs = True

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.problem, self.it = problem, it
        self.offset = it.D @ problem.U if problem.stacked else 0.0
        self.parts = output_parts(problem, it)
        self._within = [Regression(part.problem, part.it) for part in self.parts]
        self._of_output = np.zeros(problem.n_outputs, dtype=int)
        for g, part in enumerate(self.parts):
            self._of_output[part.outputs] = g

    @property
    def size(self):
        return max(regression.size for regression in self._within)

    def _split(self, theta: np.ndarray) -> list[np.ndarray]:
        pairs = zip(self.parts, self._within, strict=True)
        return [theta[part.outputs, : regression.size] for part, regression in pairs]

    def _joined(self, rows: list[np.ndarray], width: int) -> np.ndarray:
        whole = np.zeros((self.problem.n_outputs, width))
        for part, those in zip(self.parts, rows, strict=True):
            whole[part.outputs, : those.shape[1]] = those
        return whole

    def coefficients(self, it):
        parts = output_parts(self.problem, it)
        rows = [within.coefficients(part.it) for part, within in zip(parts, self._within, strict=True)]
        return self._joined(rows, self.size)

    def iterate(self, theta):
        pairs = zip(self._within, self._split(theta), strict=True)
        return together(self.it, self.parts, [within.iterate(rows) for within, rows in pairs])

    def constant(self, values):
        pairs = zip(self.parts, self._within, strict=True)
        return self._joined([within.constant(values[part.outputs]) for part, within in pairs], self.size)

    def image(self, theta):
        pairs = zip(self._within, self._split(theta), strict=True)
        return self._joined([within.image(rows) for within, rows in pairs], self.problem.n_samples)

    def ridge_term(self, theta):
        return sum(within.ridge_term(rows) for within, rows in zip(self._within, self._split(theta), strict=True))

    def gradient(self, V, theta):
        triples = zip(self.parts, self._within, self._split(theta), strict=True)
        return self._joined([within.gradient(V[part.outputs], rows) for part, within, rows in triples], self.size)

    def pull(self, V):
        pairs = zip(self.parts, self._within, strict=True)
        return self._joined([within.pull(V[part.outputs]) for part, within in pairs], self.size)

    def penalised(self, theta):
        pairs = zip(self._within, self._split(theta), strict=True)
        return self._joined([within.penalised(rows) for within, rows in pairs], self.size)

    def penalty_of(self, output):
        within, penalty = self._within[self._of_output[output]], np.zeros((self.size, self.size))
        penalty[: within.size, : within.size] = within.penalty
        return penalty

    def gram_matrix(self, weights, outputs=(0, 0)):
        first, second = (self._within[self._of_output[i]].W for i in outputs)
        gram = np.zeros((self.size, self.size))
        gram[: len(first), : len(second)] = (first * (weights * self.problem.shares)) @ second.T
        return gram


def regression_of(problem: TrainingProblem, it: Iterate) -> Regression:
    """The output block as a regression of all its outputs."""
    return Regression(problem, it) if splits(problem) else PartedRegression(problem, it)
