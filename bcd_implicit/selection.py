"""The choice of a support from a path of growing kappa, from data alone.

A rule looks at the path, at refits of its supports in cross-validation or on all samples, or at paths on subsamples,
and names one of the path's supports. To add a rule, write a function of :class:`Evidence` and add it to
:data:`RULES`.

What a rule asks for is computed when it is first looked at, in parallel where ``n_jobs`` says so (through joblib, so
that a joblib back end spreads it over machines). The answer is the same for every number of jobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from bcd_implicit.data import check_number
from bcd_implicit.display import facts_table, names_of
from bcd_implicit.errors import BlockSolveError, check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.parallel import in_parallel
from bcd_implicit.problem import Iterate
from bcd_implicit.progress import Progress, between, silent
from bcd_implicit.refits import Refit, cross_validate, extend, folds, run_refit
from bcd_implicit.result import BcdResult
from bcd_implicit.significance import entry_p_values

if TYPE_CHECKING:
    from bcd_implicit.path import PathResult

# Inputs that may enter or leave after the choice; how often hidden features are doubled, and what share of the targets'
# variance a doubling must explain.
MOST_STEPS, MOST_DOUBLINGS, LEAST_GAIN = 100, 3, 0.02
# So many of the weakest groups are tested for leaving.
MOST_TESTED = 20


@dataclass(frozen=True)
class Selection:
    """The support chosen from a path.

    Attributes
    ----------
    support : ndarray of bool, shape (p,)
        The inputs kept.
    kappa : float
        The first kappa of the path that has this support, or the support nearest to it where none has.
    index : int
        Its place on the path.
    result : BcdResult
        The refit on the support alone, without group lasso, on all samples; for an empty support the targets' means.
    table : DataFrame
        A row a candidate: kappa, n_selected, what the rule looked at, chosen (before the score tests), inputs. The
        rules by cross-validation show error with its standard error, and by how much it is above the best one's, with
        the standard error of that.
    rule : str
        Or "n_features" where their number was given.
    input_names : list of str
    """

    support: np.ndarray
    kappa: float
    index: int
    result: BcdResult
    table: pd.DataFrame
    rule: str
    input_names: list[str]

    @property
    def names(self) -> list[str]:
        """Names of the inputs kept."""
        return [name for name, kept in zip(self.input_names, self.support, strict=True) if kept]

    @property
    def model(self) -> ImplicitModel:
        """The refitted model. It takes all p inputs; the columns of B and D outside the support are zero."""
        it = self.result.iterate
        if it.B.shape[1] < len(self.support):
            it = extend(it, self.support)
        return self.result.problem.model(it, self.input_names)

    @property
    def changed_by_tests(self) -> dict[str, list[str]]:
        """Names of the inputs that the score tests let in ("entered") and sent away ("left") after the rule."""
        rows = self.table.loc[self.table["chosen"], "inputs"]
        before = list(rows.iloc[0]) if len(rows) else self.names
        return {
            "entered": [name for name in self.names if name not in before],
            "left": [name for name in before if name not in self.names],
        }

    def __repr__(self) -> str:
        size = f"{int(self.support.sum())} of {len(self.support)}"
        return f"Selection(kappa={self.kappa:.4g}, selected {size}: {self.names})"

    def _repr_html_(self) -> str:
        refit = self.result
        facts = {
            "inputs selected": names_of(self.input_names, self.support),
            "rule": self.rule,
            **{f"{how} after score tests": ", ".join(names) for how, names in self.changed_by_tests.items() if names},
            "kappa": f"{self.kappa:.4g}",
            "refit": f"{refit.problem.n_hidden} hidden features, {refit.problem.activation.name}",
            "its status": refit.status.value,
            "its objective": f"{refit.objective:.6g}",
        }
        return facts_table("Selection", facts)


@dataclass(frozen=True)
class Settings:
    """How evidence is gathered; the arguments of :meth:`~bcd_implicit.PathResult.select`."""

    n_folds: int
    max_features: int
    n_subsamples: int
    random_state: int | None
    n_jobs: int | None
    ridges: Sequence[float]
    options: dict[str, Any]
    on_progress: Progress = silent

    @property
    def finer(self) -> dict[str, Any]:
        """The options of fits that are looked at more closely than the many of a cross-validation."""
        return self.options | {"tol": self.options["tol"] / 5}


class Evidence:
    """What a rule may look at. The dear parts are computed when first asked for.

    Attributes
    ----------
    path : PathResult
    candidates : ndarray of int, shape (n_candidates,)
        Places on the path of the first of every distinct support of at most ``max_features`` inputs, the largest
        supports first. The empty support is always among them, beyond the end of the path if it is not on it.
    supports : ndarray of bool, shape (n_candidates, p)
    sizes : ndarray of int, shape (n_candidates,)
    """

    def __init__(self, path: PathResult, settings: Settings) -> None:
        self.path, self.settings = path, settings
        supports = np.vstack([path.supports, np.zeros((1, path.problem.n_inputs), dtype=bool)])
        groups = path.problem.group_lasso.groups
        supports |= groups.spread(groups.weights == 0)  # what is not penalised always stays
        first = np.unique(supports, axis=0, return_index=True)[1]
        sizes = supports[first].sum(axis=1)
        first = first[(sizes <= settings.max_features) | (sizes == sizes.min())]
        self.candidates = first[np.lexsort((first, -supports[first].sum(axis=1)))]
        self.supports = supports[self.candidates]
        if len(self.supports) == 1 and path.supports.any():
            # All supports of the path are too large.
            longest = path.longest(settings.max_features)
            self.candidates = np.append(path.nearest(longest), self.candidates)
            self.supports = np.vstack([longest, self.supports])
        self.sizes = self.supports.sum(axis=1)

    @cached_property
    def ridge(self) -> float:
        """The ``ridge_hidden`` of the refits, of those given.

        The one with the least error in cross-validation on the support that stays longest on the path; the best ridge
        hardly depends on the support.
        """
        ridges = sorted(self.settings.ridges, reverse=True)  # larger ones are quicker to fit
        if len(ridges) == 1:
            return ridges[0]
        stays = plateau(self).support
        support = stays if 0 < stays.sum() <= self.settings.max_features else self.supports[0]
        chain = [self.refit_on(support, ridge_hidden=ridge) for ridge in ridges]
        # Coarse fits would favour the last of the chain, which start from the others.
        errors = self.cross_validate(chain, "ridges, fold", 0.0, 0.2, self.settings.finer)
        return ridges[int(self.path.problem.mean(errors).argmin())]

    @cached_property
    def errors(self) -> np.ndarray:
        """Squared error of every sample under every candidate's refit, in cross-validation: (n_candidates, m).

        From the largest support down.
        """
        return self.cross_validate([self.refit_on(s) for s in self.supports], "supports, fold", 0.2, 0.5)

    @cached_property
    def refits(self) -> list[BcdResult | None]:
        """Each candidate's refit on all samples, from the path's own iterate; none for the empty support."""
        starts = [self.path.results[min(c, len(self.path.results) - 1)].iterate for c in self.candidates]
        s = self.settings
        jobs = [
            (self.path.problem, self.refit_on(support), start, s.random_state, s.options)
            for support, start in zip(self.supports, starts, strict=True)
        ]
        return list(in_parallel(run_refit, jobs, s.n_jobs, between(s.on_progress, 0.2, 0.5, "refit")))

    @cached_property
    def frequencies(self) -> np.ndarray:
        """How often subsamples of half the size keep an input, at every kappa of the path: (n_kappas, p)."""
        s = self.settings
        told = between(s.on_progress, 0.0, 0.5)
        return self.path.frequencies(s.n_subsamples, s.random_state, n_jobs=s.n_jobs, progress=told)

    def refit_on(self, support: np.ndarray, n_hidden: int | None = None, ridge_hidden: float | None = None) -> Refit:
        """A refit with the path's number of hidden features and the chosen ridge, unless given."""
        ridge = self.ridge if ridge_hidden is None else ridge_hidden
        return Refit(support, n_hidden or self.path.problem.n_hidden, ridge)

    def cross_validate(
        self, chain: Sequence[Refit], noun: str, low: float, high: float, options: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Errors of refits, each from the one before; progress goes from ``low`` to ``high``."""
        s = self.settings
        told = between(s.on_progress, low, high, noun)
        return cross_validate(self.path.problem, chain, s.n_folds, s.random_state, options or s.options, s.n_jobs, told)


def polish(evidence: Evidence, support: np.ndarray, level: float) -> np.ndarray:
    """The support with the inputs that a score test says are missing, and without those that it says are not needed.

    The path is crude where there are few outputs: its supports may hold false inputs all along, and cross-validation
    is blind to that, for the path has seen all samples. In turn, an input whose p-value next to the support is below a
    fifth of level/p enters; else that input of the support leaves whose p-value next to the others, refitted, is the
    largest, if it is above level/p (of many inputs the weakest are tested, by the norm of their columns of B times
    their spread); else that is the answer. Groups enter and leave whole, by their members' smallest p-value.
    """
    path, s = evidence.path, evidence.settings
    problem, groups = path.problem, path.problem.group_lasso.groups
    level /= problem.n_inputs

    always = groups.weights == 0

    def fit(support: np.ndarray, start: Iterate) -> BcdResult | None:
        return run_refit(problem, evidence.refit_on(support), start, s.random_state, s.finer)

    it = path.results[path.nearest(support)].iterate
    result = fit(support, it)
    for step in range(MOST_STEPS):
        s.on_progress(0.5 + 0.1 * step / MOST_STEPS, f"score tests, {int(support.sum())} inputs")
        it = it if result is None else extend(result.iterate, support)
        p_values = entry_p_values(problem, result, support)
        best = int(p_values.argmin())
        larger = support | (groups.labels == groups.labels[best])
        if p_values[best] < level / 5 and larger.sum() <= s.max_features:
            support, result = larger, fit(larger, it)
            continue
        present = np.flatnonzero((groups.sums(support.astype(float)) > 0) & ~always)
        strength = np.sqrt(groups.sums(np.einsum("ij,ij->j", it.B, it.B) * problem.variance(problem.U)))
        largest, without = 0.0, None
        for g in present[np.argsort(strength[present], kind="stable")][:MOST_TESTED]:
            smaller = support & (groups.labels != g)
            try:
                refitted = fit(smaller, it)
            except BlockSolveError as error:
                if error.infeasible:  # a user's constraint asks for this group
                    continue
                raise
            p_value = entry_p_values(problem, refitted, smaller)[support & ~smaller].min()
            if p_value >= max(level, largest):
                largest, without = p_value, (smaller, refitted)
        if without is None:
            break
        support, result = without
    return support


def grow(evidence: Evidence, support: np.ndarray) -> tuple[Refit, Iterate | None]:
    """The refit on a support with as many hidden features as the samples favour, and where to start it.

    They are doubled while that takes a fiftieth of the targets' variance off the error on the first fold's samples,
    and more than a standard error of the difference. One fold will do: these gains are large, and the fits dear. The
    model of that fold is the start; none where nothing was gained.
    A user's constraints may not fit another number of features: then it stays.
    """
    problem, s = evidence.path.problem, evidence.settings
    best, start = evidence.refit_on(support), None
    if not support.any() or problem.constraints:
        return best, start
    fold = folds(problem, s.n_folds, s.random_state)[0]
    test = problem.subset(fold.test)
    (errors,), it = fold.run([best], s.random_state, s.finer)
    for step in range(MOST_DOUBLINGS):
        n = 2 * best.n_hidden
        if n > problem.n_samples // 4 or test.mean(errors) <= LEAST_GAIN:
            break
        s.on_progress(0.6 + 0.3 * step / MOST_DOUBLINGS, f"{n} hidden features")
        larger = evidence.refit_on(support, n)
        (those,), it = fold.run([larger], s.random_state, s.finer, it)
        gain = errors - those
        if test.mean(gain) <= max(LEAST_GAIN, test.standard_error(gain)):
            break
        best, start, errors = larger, it, those
    return best, start


@dataclass(frozen=True)
class Choice:
    """What a rule answers: a support (p,), and columns that say why, one value a candidate, for the table."""

    support: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)


Rule = Callable[[Evidence], Choice]


def _by_errors(evidence: Evidence, limit: Callable[[np.ndarray, int], np.ndarray]) -> Choice:
    """The sparsest candidate whose mean error exceeds the least by no more than a limit; among equals, the better."""
    errors, problem = evidence.errors, evidence.path.problem
    mean = problem.mean(errors)
    best = int(mean.argmin())
    allowed = np.flatnonzero(mean - mean[best] <= limit(errors, best))
    chosen = int(allowed[np.lexsort((mean[allowed], evidence.sizes[allowed]))[0]])
    columns = {
        "error": mean,
        "standard_error": problem.standard_error(errors),
        "above_best": mean - mean[best],
        "standard_error_above": problem.standard_error(errors - errors[best]),
    }
    return Choice(evidence.supports[chosen], columns)


def paired_one_se(evidence: Evidence) -> Choice:
    """The sparsest support whose error, sample by sample, exceeds the best one's by less than one standard error.

    The standard error is that of the differences: all candidates are judged on the same samples, most of whose error
    is noise common to all, so it is several times smaller than that of an error by itself.
    """
    return _by_errors(evidence, lambda e, best: evidence.path.problem.standard_error(e - e[best]))


def one_se(evidence: Evidence) -> Choice:
    """The sparsest support whose error is within one standard error of the smallest error (Breiman et al. 1984)."""
    return _by_errors(evidence, lambda e, best: evidence.path.problem.standard_error(e[best]) * np.ones(len(e)))


def least_error(evidence: Evidence) -> Choice:
    """The support with the smallest error in cross-validation."""
    return _by_errors(evidence, lambda e, best: np.zeros(len(e)))


def _by_criterion(evidence: Evidence, gamma: float) -> Choice:
    problem = evidence.path.problem
    variance = problem.variance(problem.Y)
    varying = variance > 0  # a constant output says nothing
    m, q, p = problem.n_samples, int(varying.sum()), problem.n_inputs
    losses = []
    mean = problem.mean(problem.Y)[:, None] * problem.fit_intercept
    for result in evidence.refits:
        miss = problem.Y - (result.problem.prediction(result.iterate) if result else mean)
        losses.append(float(np.mean(problem.mean(miss[varying] ** 2) / variance[varying])) if q else 0.0)
    degrees = problem.n_hidden * evidence.sizes
    choices = gammaln(p + 1) - gammaln(evidence.sizes + 1) - gammaln(p - evidence.sizes + 1)
    floor = np.finfo(float).tiny
    criterion = m * q * np.log(np.maximum(losses, floor)) + degrees * math.log(max(m * q, 1)) + 2 * gamma * choices
    return Choice(evidence.supports[int(criterion.argmin())], {"criterion": criterion})


def bic(evidence: Evidence) -> Choice:
    """The least Bayesian information criterion of the refits on all samples (Schwarz 1978).

    Of independent errors of one variance, over the sample's weight, with n degrees of freedom an input.
    """
    return _by_criterion(evidence, 0.0)


def ebic(evidence: Evidence) -> Choice:
    """The same with twice the log of the number of supports of that size added (Chen and Chen 2008, gamma = 1)."""
    return _by_criterion(evidence, 1.0)


def plateau(evidence: Evidence) -> Choice:
    """The support that stays over the longest stretch of log kappa; neither all inputs nor none."""
    problem, supports = evidence.path.problem, evidence.path.supports
    n_varying = np.count_nonzero(problem.variance(problem.U))  # a constant input is never selected
    steps = np.abs(np.diff(np.log(np.maximum(evidence.path.kappas, 1e-300))))
    best, longest, start = np.zeros(problem.n_inputs, dtype=bool), -1.0, 0
    for end in range(1, len(supports) + 1):
        if end < len(supports) and (supports[end] == supports[start]).all():
            continue
        length = float(steps[start : end - 1].sum())
        if 0 < supports[start].sum() < n_varying and length > longest:
            best, longest = supports[start], length
        start = end
    return Choice(best)


def gap(evidence: Evidence) -> Choice:
    """The inputs that leave after the largest ratio between the kappas at which two inputs leave in turn."""
    path = evidence.path
    known = len(path.kappas) > 1 and path.kappas[-2] > 0
    step = path.kappas[-1] ** 2 / path.kappas[-2] if known else path.kappas[-1]
    leaves = np.where(np.isin(path.leaves_at, path.kappas), path.leaves_at, step)
    leaves = np.maximum(leaves, 1e-300)
    distinct = np.unique(np.log(leaves))
    if len(distinct) < 2:
        return Choice(evidence.supports[0])
    widest = int(np.diff(distinct).argmax())
    later = np.log(leaves) > distinct[widest] + 1e-12
    return Choice(later if path.kappas[-1] > path.kappas[0] else ~later)


def stability(evidence: Evidence) -> Choice:
    """The inputs that most subsamples keep, at the kappa where the subsamples agree best.

    Disagreement is the mean over inputs of 2 f (1 - f), f the share of subsamples that keep an input (Liu, Roeder,
    Wasserman, *StARS*, 2010); of kappas that agree alike the smallest, and none where all inputs or none are kept.
    """
    f, problem = evidence.frequencies, evidence.path.problem
    kept, varying = f > 0.5, problem.variance(problem.U) > 0
    disagreement = np.mean(2 * f * (1 - f), axis=1)
    disagreement[kept[:, varying].all(axis=1) | ~kept.any(axis=1)] = np.inf
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
DEFAULT_RULE = "min"


def check_rule(rule: Any, level: Any) -> tuple[str, float | None]:
    """Return these arguments of :meth:`~bcd_implicit.PathResult.select`, or raise an error that names the bad one.

    Raises
    ------
    InvalidInputError
        An unknown rule, or a level that is not between 0 and 1.
    """
    check_choice("rule", rule, RULES)
    if level is not None:
        level = check_number("level", level, 0, 1, boundaries="neither", remedy="Choose a level such as 0.05, or None")
    return rule, level
