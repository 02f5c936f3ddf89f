"""After the rule: inputs that score tests let in or send away, and more hidden features where they pay."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import Refit, extend, folds, run_refit, squared_errors
from bcd_implicit.selection.significance import entry_p_values
from bcd_implicit.training.result import BcdResult

# Inputs that may enter or leave after the choice; how often hidden features are doubled, and what share of the targets'
# variance a doubling must explain.
MOST_STEPS, MOST_DOUBLINGS, LEAST_GAIN = 100, 3, 0.02
# So many of the weakest groups are tested for leaving.
MOST_TESTED = 20
# A p-value this far below the level will not rise above it in a finer fit.
CLEARLY = 1e-3
# A refit nearly interpolates if its squared residuals are less than this share of those on unseen samples.
INTERPOLATES = 0.5
# A group that may leave: its p-value next to the others, the support without it, and the refit there.
Leaving = tuple[float, np.ndarray, BcdResult | None]


def polish(evidence: Evidence, support: np.ndarray, level: float) -> np.ndarray:
    """The support with the inputs that a score test says are missing, and without those that it says are not needed.

    The path is crude where there are few outputs: its supports may hold false inputs all along, and cross-validation
    is blind to that, for the path has seen all samples. In turn, an input whose p-value next to the support is below a
    fifth of level/p enters; else that input of the support leaves whose p-value next to the others, refitted, is the
    largest, if it is above level/p (of many inputs the weakest are tested, by the norm of their columns of B times
    their spread); else that is the answer. Groups enter and leave whole, by their members' smallest p-value.

    A score test is blind where the refit nearly interpolates the samples, as with few of them: without the input the
    residuals are small too. There those that it would send away, the largest p-value first, leave only as far as unseen
    samples allow: the support becomes the sparsest whose error on them exceeds the least by no more than a standard
    error of the difference.
    """
    path, tests = evidence.path, _ScoreTests(evidence, level)
    # A rule such as "stability" may name a support that is nowhere on the path.
    it = path.results[path.nearest(support)].iterate
    result = tests.fit(support, it)
    # Of the supports since the last input entered, the least errors on unseen samples.
    least: np.ndarray | None = None
    for step in range(MOST_STEPS):
        evidence.settings.on_progress(0.5 + 0.1 * step / MOST_STEPS, f"score tests, {int(support.sum())} inputs")
        it = it if result is None else extend(result.iterate, support)
        larger = tests.with_what_is_missing(support, result, it)
        if larger is not None:
            support, result, least = larger, tests.fit(larger, it), None
            continue
        leaving = tests.not_needed(support, it)
        if not leaving or result is None:
            break
        if least is None:
            (least,) = tests.errors_on_unseen_samples([support])
            blind = tests.are_blind(result, least)
        if not blind:
            _, support, result = leaving[0]
            continue
        smaller, least = tests.as_few_as_predict_as_well(support, leaving, least)
        if smaller.sum() == support.sum():
            break
        support, result = smaller, tests.fit(smaller, it)
    return support


class _ScoreTests:
    """The tests of one selection: what is missing next to a support, and what of it is not needed."""

    def __init__(self, evidence: Evidence, level: float) -> None:
        self.evidence, self.settings = evidence, evidence.settings
        self.problem, self.groups = evidence.path.problem, evidence.path.problem.group_lasso.groups
        # Bonferroni: the level is for all inputs together. Entering is five times harder than staying, so that an input
        # at the limit does not go in and out in turn.
        self.to_stay = level / self.problem.n_inputs
        self.to_enter = self.to_stay / 5

    def fit(self, support: np.ndarray, start: Iterate, options: dict[str, Any] | None = None) -> BcdResult | None:
        what, s = self.evidence.refit_on(support), self.settings
        return run_refit(self.problem, what, start, s.random_state, options or s.finer)

    def with_what_is_missing(self, support: np.ndarray, result: BcdResult | None, it: Iterate) -> np.ndarray | None:
        """The support with the group of the smallest p-value next to it, if that is small enough."""
        p_values = entry_p_values(self.problem, result, support)
        if CLEARLY * self.to_enter < p_values.min() < self.to_enter:
            # So close a call needs a finer fit.
            finer = self.settings.finer
            p_values = entry_p_values(self.problem, self.fit(support, it, finer | {"tol": finer["tol"] / 5}), support)
        # Found through one member, a group enters whole.
        larger = support | (self.groups.labels == self.groups.labels[p_values.argmin()])
        enters = p_values.min() < self.to_enter and larger.sum() <= self.settings.max_features
        return larger if enters else None

    def not_needed(self, support: np.ndarray, it: Iterate) -> list[Leaving]:
        """The groups that may leave.

        The largest p-value comes first, and of equal ones the weakest group. Of many groups the weakest are tested.
        """
        groups, problem = self.groups, self.problem
        present = np.flatnonzero((groups.sums(support.astype(float)) > 0) & (groups.weights > 0))
        # Times their spread, so that the units of the inputs play no part.
        strength = np.sqrt(
            groups.sums(np.einsum("ij,ij->j", it.B, it.B) * statistics.variance(problem.U, problem.shares))
        )
        leaving: list[Leaving] = []
        for g in present[np.argsort(strength[present], kind="stable")][:MOST_TESTED]:
            smaller = support & (groups.labels != g)
            try:
                p_value, refitted = self._fit_without(smaller, support & ~smaller, it)
            except BlockSolveError as error:
                if error.infeasible:  # a user's constraint asks for this group
                    continue
                raise
            if p_value >= self.to_stay:
                leaving.append((p_value, smaller, refitted))
        return sorted(leaving, key=lambda candidate: -candidate[0])

    def _fit_without(self, smaller: np.ndarray, left: np.ndarray, start: Iterate) -> tuple[float, BcdResult | None]:
        """The p-value of those that left next to a fit without them: a coarse one where that is clear already."""
        for options in (self.settings.options, self.settings.finer):
            refitted = self.fit(smaller, start, options)
            p_value = float(entry_p_values(self.problem, refitted, smaller, left)[left].min())
            if refitted is None or p_value < CLEARLY * self.to_stay:
                break
            start = extend(refitted.iterate, smaller)
        return p_value, refitted

    def errors_on_unseen_samples(self, supports: Sequence[np.ndarray]) -> np.ndarray:
        """Squared error of every sample under each support's refit, in cross-validation: (n_supports, m)."""
        chain = [self.evidence.refit_on(support) for support in supports]
        return self.evidence.cross_validate(chain, "score tests, fold", 0.5, 0.5, self.settings.finer)

    def are_blind(self, result: BcdResult, unseen: np.ndarray) -> bool:
        """Whether a refit on all samples is next to none off them, beside its errors on unseen ones."""
        shares = self.problem.shares
        seen = squared_errors(self.problem, result.problem.prediction(result.iterate), self.problem.Y)
        return bool(statistics.mean(seen, shares) < INTERPOLATES * statistics.mean(unseen, shares))

    def as_few_as_predict_as_well(
        self, support: np.ndarray, leaving: Sequence[Leaving], least: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sparsest support on the way on which those leaving leave one by one, and the least errors on that way.

        That whose error on unseen samples is within a standard error, of the difference, of the least.
        """
        shares = self.problem.shares
        way = [support, *accumulate((smaller for _, smaller, _ in leaving), np.logical_and)]
        errors = np.vstack([least, self.errors_on_unseen_samples(way[1:])])
        near = statistics.near_least(errors, shares)
        return way[np.flatnonzero(near)[-1]], errors[statistics.mean(errors, shares).argmin()]


def grow(evidence: Evidence, support: np.ndarray) -> tuple[Refit, Iterate | None]:
    """The refit on a support with as many hidden features as the samples favour, and where to start it.

    They are doubled while that takes a fiftieth of the targets' variance off the error on the first fold's samples,
    and more than a standard error of the difference. One fold will do: these gains are large, and the fits dear. The
    model of that fold is the start; none where nothing was gained.
    A user's constraints may not fit another number of features: then it stays.
    """
    problem, s = evidence.path.problem, evidence.settings
    best, start = evidence.refit_on(support), None
    # An empty support leaves the mean, which no hidden feature improves.
    if not support.any() or problem.constraints:
        return best, start
    fold = folds(problem, s.n_folds, s.random_state)[0]
    test = problem.subset(fold.test)
    # New features begin without a say, and what they gain is little of a noisy objective: coarse fits would not see it.
    options = s.options | {"tol": s.options["tol"] / 50}
    (errors,), it = fold.run([best], s.random_state, options)
    for step in range(MOST_DOUBLINGS):
        n = 2 * best.n_hidden
        # Four samples for each feature at least; and an error below the gain asked for cannot fall by it.
        if n > problem.n_samples // 4 or statistics.mean(errors, test.shares) <= LEAST_GAIN:
            break
        s.on_progress(0.6 + 0.3 * step / MOST_DOUBLINGS, f"{n} hidden features")
        larger = evidence.refit_on(support, n)
        (those,), it = fold.run([larger], s.random_state, options, it)
        gain = errors - those
        if statistics.mean(gain, test.shares) <= max(LEAST_GAIN, statistics.standard_error(gain, test.shares)):
            break
        best, start, errors = larger, it, those
    return best, start
