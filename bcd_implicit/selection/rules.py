"""The choice of a support from a path of growing kappa, from data alone.

A rule looks at the path, at refits of its supports in cross-validation or on all samples, or at paths on subsamples,
and names one of the path's supports. To add a rule, write a function of
:class:`~bcd_implicit.selection.evidence.Evidence` and add it to
:data:`RULES`.

What a rule asks for is computed when it is first looked at, in parallel where ``n_jobs`` says so (through joblib, so
that a joblib back end spreads it over machines). The answer is the same for every number of jobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import gammaln

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.problem import statistics
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import best_constant, sample_errors
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.choices import AUTO_LEVEL, DEFAULT_LEVEL, DEFAULT_RULE
from bcd_implicit.training.result import BcdResult


@dataclass(frozen=True)
class Choice:
    """What a rule answers: a support (p,), and columns that say why, one value a candidate, for the table."""

    support: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)


Rule = Callable[[Evidence], Choice]


def _by_errors(evidence: Evidence, limit: Callable[[np.ndarray, int], np.ndarray]) -> Choice:
    """The sparsest candidate whose mean error exceeds the least by no more than a limit; among equals, the better."""
    errors, problem = evidence.errors, evidence.path.problem
    mean = statistics.mean(errors, problem.shares)
    best = int(mean.argmin())
    # Not <: under a limit of 0 the best itself has to remain.
    allowed = np.flatnonzero(mean - mean[best] <= limit(errors, best))
    chosen = int(allowed[np.lexsort((mean[allowed], evidence.sizes[allowed]))[0]])
    columns = {
        "error": mean,
        "standard_error": evidence.standard_error(errors),
        "above_best": mean - mean[best],
        "standard_error_above": evidence.standard_error(errors - errors[best]),
    }
    return Choice(evidence.supports[chosen], columns)


def paired_one_se(evidence: Evidence) -> Choice:
    """The sparsest support whose error, sample by sample, exceeds the best one's by less than one standard error.

    The standard error is that of the differences: all candidates are judged on the same samples, most of whose error
    is noise common to all, so it is several times smaller than that of an error by itself.
    """
    return _by_errors(evidence, lambda e, best: evidence.standard_error(e - e[best]))


def one_se(evidence: Evidence) -> Choice:
    """The sparsest support whose error is within one standard error of the smallest error (Breiman et al. 1984)."""
    return _by_errors(evidence, lambda e, best: evidence.standard_error(e[best]) * np.ones(len(e)))


def least_error(evidence: Evidence) -> Choice:
    """The support with the smallest error in cross-validation."""
    return _by_errors(evidence, lambda e, best: np.zeros(len(e)))


def _by_criterion(evidence: Evidence, gamma: float) -> Choice:
    problem = evidence.path.problem
    n_values, misfits = _misfits(problem, evidence.refits)
    p, degrees = problem.n_inputs, problem.n_hidden * evidence.sizes
    # By logarithms of the gamma function: binomial coefficients overflow.
    choices = gammaln(p + 1) - gammaln(evidence.sizes + 1) - gammaln(p - evidence.sizes + 1)
    criterion = misfits + degrees * math.log(max(n_values, 1)) + 2 * gamma * choices
    return Choice(evidence.supports[int(criterion.argmin())], {"criterion": criterion})


def _misfits(problem: TrainingProblem, refits: Sequence[BcdResult | None]) -> tuple[int, np.ndarray]:
    """How many values there are to fit, and -2 times the log-likelihood of each refit, up to a common constant."""
    m, loss, shares = problem.n_samples, problem.loss, problem.shares
    constant = np.broadcast_to(best_constant(problem)[:, None], problem.Y.shape)
    predictions = [r.problem.prediction(r.iterate) if r else constant for r in refits]
    if not loss.free_targets:  # it is a likelihood
        return m, np.array([2 * m * float(loss.value(f, problem.Y) @ shares) for f in predictions])
    # A constant output says nothing.
    n_values = m * int(np.count_nonzero(statistics.variance(problem.Y, shares)))
    errors = [float(statistics.mean(sample_errors(problem, f, problem.Y), shares)) for f in predictions]
    # Of normal errors of one unknown spread, or of Laplace's: their squares, or their sizes. An exact fit has the error
    # 0, and 0 no logarithm.
    return n_values, (1 if loss.smooth else 2) * n_values * np.log(np.maximum(errors, np.finfo(float).tiny))


def bic(evidence: Evidence) -> Choice:
    """The least Bayesian information criterion of the refits on all samples (Schwarz 1978).

    Of the loss's own likelihood, or else of independent errors of one variance, over the sample's weight; with n
    degrees of freedom an input.
    """
    return _by_criterion(evidence, 0.0)


def ebic(evidence: Evidence) -> Choice:
    """The same with twice the log of the number of supports of that size added (Chen and Chen 2008, gamma = 1)."""
    return _by_criterion(evidence, 1.0)


def plateau(evidence: Evidence) -> Choice:
    """The support that stays over the longest stretch of log kappa; neither all inputs nor none."""
    return Choice(evidence.path.plateau())


def gap(evidence: Evidence) -> Choice:
    """The inputs that leave after the largest ratio between the kappas at which two inputs leave in turn."""
    path = evidence.path
    known = len(path.kappas) > 1 and path.kappas[-2] > 0
    # Inputs still in at the end leave one step of the geometric grid later; a kappa of 0 gives no such step.
    step = path.kappas[-1] ** 2 / path.kappas[-2] if known else path.kappas[-1]
    leaves = np.where(np.isin(path.leaves_at, path.kappas), path.leaves_at, step)
    leaves = np.maximum(leaves, 1e-300)
    distinct = np.unique(np.log(leaves))
    # All leave at once: there is no gap.
    if len(distinct) < 2:
        return Choice(evidence.supports[0])
    widest = int(np.diff(distinct).argmax())
    later = np.log(leaves) > distinct[widest] + 1e-12
    # Radii fall along the path: those that leave later leave at a smaller one.
    return Choice(later if path.kappas[-1] > path.kappas[0] else ~later)


def stability(evidence: Evidence) -> Choice:
    """The inputs that most subsamples keep, at the kappa where the subsamples agree best.

    Disagreement is the mean over inputs of 2 f (1 - f), f the share of subsamples that keep an input (Liu, Roeder,
    Wasserman, *StARS*, 2010); of kappas that agree alike the smallest, and none where all inputs or none are kept.
    """
    f, problem = evidence.frequencies, evidence.path.problem
    kept, varying = f > 0.5, statistics.variance(problem.U, problem.shares) > 0
    disagreement = np.mean(2 * f * (1 - f), axis=1)
    # All or none is what halves agree on best of all, and says nothing.
    disagreement[kept[:, varying].all(axis=1) | ~kept.any(axis=1)] = np.inf
    # The last value is of the empty support, which may lie beyond the path's end.
    columns = {"disagreement": np.append(disagreement, np.inf)[evidence.candidates]}
    if not np.isfinite(disagreement).any():
        return Choice(np.zeros(f.shape[1], dtype=bool), columns)
    return Choice(kept[int(disagreement.argmin())], columns)


#: The rules, by name.
RULES: dict[str, Rule] = {
    "min": least_error,
    "paired-one-se": paired_one_se,
    "one-se": one_se,
    "bic": bic,
    "ebic": ebic,
    "plateau": plateau,
    "gap": gap,
    "stability": stability,
}


def check_rule(rule: Any, level: Any, n_features: Any = None, name: str = "n_features") -> tuple[str, float | None]:
    """Return these arguments of :meth:`~bcd_implicit.PathResult.select`, or raise an error that names the bad one.

    Parameters
    ----------
    rule : str or None
    level : float, "auto" or None
    n_features : int or None
    name : str
        What the caller calls ``n_features``.

    Returns
    -------
    rule : str
        "n_features" where the number is given.
    level : float or None
        None for no test.

    Raises
    ------
    InvalidInputError
        An unknown rule, a level that is not between 0 and 1, or one of them besides a number of inputs.
    """
    if rule is not None:
        check_choice("rule", rule, RULES)
    given = level is not None and not (isinstance(level, str) and level == AUTO_LEVEL)
    if given:
        level = check_number("level", level, 0, 1, boundaries="neither", remedy="Choose a level such as 0.05, or None")
    if n_features is None:
        return rule or DEFAULT_RULE, DEFAULT_LEVEL if level == AUTO_LEVEL else level
    remedy = "Use only one of the two"
    if rule is not None:
        raise InvalidInputError("rule", f"{rule} does not choose a number of inputs, {name}={n_features} does", remedy)
    if given:
        cause = f"got {level:g}, but score tests would change the number of inputs, which {name}={n_features} fixes"
        raise InvalidInputError("level", cause, remedy)
    return "n_features", None
