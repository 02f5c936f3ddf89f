"""Score tests of all inputs together: by the formula where it can be trusted, by permutation where not.

The formula of :mod:`bcd_implicit.selection.significance` takes sums over samples for normal variables. They are not
where both the residuals and an input have rare large values, as few samples then decide. How far they are is known: the
variance of a statistic over all orders of the samples, in closed form, should be what the formula says. If it is
larger the formula is doubtful, and random orders are tried instead; always where samples belong together, for there the
variance is another one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.problem import statistics
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.permutation import (
    Exchange,
    permutation_moments,
    permutation_p_values,
    shuffled_statistics,
)
from bcd_implicit.selection.significance import Scores
from bcd_implicit.training.result import BcdResult

# By how much the variance over all orders may exceed the formula's. In the null draws of benchmarks/level.py that were
# below this, the formula kept its level.
TRUSTED = 0.05


@dataclass(frozen=True)
class FamilyWise:
    """P-values for all inputs together.

    Attributes
    ----------
    p_values : ndarray of shape (p,)
        To be compared with the level itself. 1 for inputs that were not asked for.
    formula : ndarray of shape (p,)
        What the formula says. It goes up to p, as no more than an order may be told from it: of inputs whose p-value is
        1, or that are beyond all orders tried.
    by : str
        "formula" or "permutation".
    """

    p_values: np.ndarray
    formula: np.ndarray
    by: str


def family_wise(
    problem: TrainingProblem,
    result: BcdResult | None,
    support: np.ndarray,
    *,
    level: float,
    exchange: Exchange,
    random_state: int | None = 0,
    asked: np.ndarray | None = None,
) -> FamilyWise:
    """Test inputs next to those of the support, for all inputs together.

    Parameters
    ----------
    problem, result, support, asked
        As in :func:`bcd_implicit.selection.significance.entry_p_values`.
    level : float
        If the formula finds nothing below it no orders are tried, unless samples belong together.
    exchange : Exchange
        Which samples may change places.
    random_state : int or None
        Of the orders.
    """
    n, grouped = problem.n_inputs, exchange.n_units < problem.n_samples
    p_values = np.ones(n)
    # The largest of all inputs is what those asked for are compared with.
    scores = Scores.of(problem, result, support, None, exchange.samples)
    if scores is None:
        return FamilyWise(p_values, p_values, "formula")
    asked = ~support if asked is None else asked
    wanted = asked[scores.inputs]
    # Bonferroni's: the chance that any of n inputs falls below p is n p at most.
    formula = np.full(n, float(n))
    formula[scores.inputs[wanted]] = n * scores.p_values[wanted]
    p_values = np.minimum(1.0, formula)
    if not grouped and (p_values.min() >= level or excess_variance(scores) <= TRUSTED):
        return FamilyWise(p_values, formula, "formula")
    single = by_permutation(scores, exchange, level, random_state)
    p_values[scores.inputs[wanted]] = single[wanted]
    return FamilyWise(p_values, formula, "permutation")


def excess_variance(scores: Scores) -> float:
    """By what share the variance of a statistic over all orders exceeds the formula's, for the input that is worst."""
    if len(scores.shares) < 4:
        return 0.0
    features, tiny, worst = _of_variance_one(scores), np.finfo(float).tiny, -1.0
    for inputs, residuals in scores.by_rows():
        those = features.reshape(2, -1, len(scores.shares))[:, inputs].reshape(-1, len(scores.shares))
        mean, variance = permutation_moments(residuals * np.sqrt(scores.shares), those)
        weights, varies = scores.weights(residuals), mean > 0
        formula = 2 * float(np.sum(weights**2)) / max(float(np.sum(weights)) ** 2, tiny)
        ratio = float(np.max(variance[varies] / mean[varies] ** 2, initial=0.0)) / max(formula, tiny)
        worst = max(worst, ratio - 1)
    return worst


def by_permutation(scores: Scores, exchange: Exchange, level: float, random_state: int | None = 0) -> np.ndarray:
    """P-values by permutation, for all inputs tested together; shape (k,).

    With inputs in the support residuals are smaller than what they stand for, and those of a shuffled order do not fit
    into the space that S leaves. As in the formula they are scaled to what is expected: by the degrees of freedom, of
    groups where samples belong together (Freedman and Lane 1983 shuffle residuals without it).
    """
    n = exchange.n_units
    by_units = (n - 1) / max(n - scores.n_explained, 1)
    by_shares = (1 - 1 / statistics.effective_samples(scores.shares)) / scores.expected
    residuals = scores.residuals * np.sqrt(scores.shares)
    free = None if scores.free is None else np.tile(scores.free, 2)
    found = shuffled_statistics(residuals, _of_variance_one(scores), exchange, level, random_state, free)
    both = permutation_p_values(found, max(by_units, by_shares))
    return both.reshape(2, -1).min(axis=0)


def _of_variance_one(scores: Scores) -> np.ndarray:
    """The features so scaled, (2k, m): their products with the residuals times the weights are a sample's terms.

    The weights stay with the residuals, as an input without a part has none in them either.
    """
    roots = np.sqrt(scores.shares)
    features = scores.features.reshape(-1, len(roots))
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 0, lengths, 1.0) / np.where(roots > 0, roots, np.inf)
