"""After the rule: inputs that score tests let in or send away, and more hidden features where they pay."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from bcd_implicit.errors import BlockSolveError, see
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.family_wise import FamilyWise, family_wise
from bcd_implicit.selection.permutation import Exchange
from bcd_implicit.selection.refits import Refit, extend, folds, run_refit, sample_errors
from bcd_implicit.selection.unseen import UnseenSamples
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.training.result import BcdResult

# Inputs that may enter or leave after the choice; how often hidden features are doubled, and what share of the best
# constant's loss, for the squared loss the targets' variance, a doubling must take away.
MOST_STEPS, MOST_DOUBLINGS, LEAST_GAIN = 100, 3, 0.02
# So many of the weakest groups are tested for leaving.
MOST_TESTED = 20
# A p-value this far below the level will not rise above it in a finer fit.
CLEARLY = 1e-3
# A refit nearly interpolates if its loss is less than this share of that on unseen samples.
INTERPOLATES = 0.5


def polish(evidence: Evidence, support: np.ndarray, level: float) -> tuple[np.ndarray, pd.DataFrame]:
    """The support with the inputs that a score test says are missing, and without those that nothing says are needed.

    Beside it a table of the tests, as in :class:`~bcd_implicit.Selection`.

    The path is crude where there are few outputs: its supports may hold false inputs all along, and the errors in
    cross-validation favour these, for the path has seen all samples. In turn, an input whose p-value next to the
    support is below a fifth of the level enters; else inputs of the support leave whose p-values next to the others,
    refitted, are above the level, the largest first (of many inputs the weakest are tested, by the norm of their
    columns of B times their spread); else that is the answer. P-values are for all inputs together. Groups enter and
    leave whole, by their members' smallest p-value.

    A score test may be blind: to redundant inputs, each of which has little to add to the others, and to inputs that
    act only together, next to a model that lacks their partners. Therefore none leaves that unseen samples miss: the
    error on them may not grow by more than z standard errors of the difference, where a t variable exceeds z with
    probability level/p. Each step is judged by itself.

    If the first support from which inputs may leave nearly interpolates the samples, as with few of them, the test is
    blind to all inputs, for the residuals are small without them too. Then they leave, the largest p-value first, to
    the sparsest support whose error on unseen samples exceeds the least by no more than a standard error of the
    difference. Before that, some input must have a p-value below the level next to the unpenalised inputs alone; if
    none has, none is kept.
    """
    path, tests = evidence.path, _ScoreTests(evidence, level)
    # A rule such as "stability" may name a support that is nowhere on the path.
    it = path.results[path.nearest(support)].iterate
    result = tests.fit(support, it)
    # Anew whenever an input enters. The least errors are for the blind tests alone.
    unseen, blind, least = UnseenSamples(evidence, support), None, np.zeros(0)
    for step in range(MOST_STEPS):
        evidence.settings.on_progress(0.5 + 0.1 * step / MOST_STEPS, f"score tests, {int(support.sum())} inputs")
        it = it if result is None else extend(result.iterate, support)
        larger = tests.with_what_is_missing(support, result, it)
        if larger is not None:
            support, result = larger, tests.fit(larger, it)
            unseen, blind = UnseenSamples(evidence, support), None
            continue
        leaving = tests.not_needed(support, unseen.missed, it)
        # Those that were missed next to more inputs are asked again before this ends.
        if result is None or not (leaving or unseen.ask_again()):
            break
        if blind is None:
            (least,) = tests.errors_on_unseen_samples([support])
            blind = tests.are_blind(result, least)
            # What unseen samples allow has no level: so few of them must first show that there is anything at all.
            if blind and tests.none_stands_out(it):
                support = tests.unpenalised
                break
        if blind:
            left, least = tests.those_that_may_all_leave(support, leaving, least)
            if not left.any():
                break
        else:
            # One by one, unless all that were tested may leave: there are probably more.
            most = 1 if len(leaving) < MOST_TESTED else MOST_TESTED // 2
            left = unseen.let_go(leaving, tests.most_errors, most)
        if left.any():
            support = support & ~left
            result = tests.fit(support, it)
            unseen.move(support)
    return support, tests.table


class _ScoreTests:
    """The tests of one selection: what is missing next to a support, and what of it is not needed."""

    def __init__(self, evidence: Evidence, level: float) -> None:
        self.evidence, self.settings = evidence, evidence.settings
        self.problem, self.groups = evidence.path.problem, evidence.path.problem.group_lasso.groups
        # Entering is five times harder than staying, so that an input at the limit does not go in and out in turn.
        self.to_stay, self.to_enter = level, level / 5
        # In standard errors, by what an error may grow; Bonferroni's, as the level is for all inputs together.
        self.exchange = Exchange.of(self.problem.n_samples, self.settings.sample_groups)
        self.most_errors = float(student.isf(level / self.problem.n_inputs, max(self.exchange.n_units - 1, 1)))
        self.unpenalised = self.groups.spread(self.groups.weights == 0)
        self._tested: dict[tuple[str, int], dict[str, Any]] = {}
        if self.settings.sample_groups is not None and self.exchange.least_p_value >= self.to_enter:
            warnings.warn(
                "sample_groups: too few groups of one size can be permuted, so no p-value is below "
                f"{self.exchange.least_p_value:.2g}: the score tests cannot add inputs. Give more groups, or "
                f"level=None. {see('samples-belong-together')}",
                UserWarning,
                stacklevel=2,
            )

    @property
    def table(self) -> pd.DataFrame:
        """A row a test: inputs, asked ("enter" or "stay"), p_value, by. The last answer where there were several."""
        return pd.DataFrame(list(self._tested.values()), columns=["inputs", "asked", "p_value", "by"])

    def fit(self, support: np.ndarray, start: Iterate, options: dict[str, Any] | None = None) -> BcdResult | None:
        check_stop()
        what, s = self.evidence.refit_on(support), self.settings
        return run_refit(self.problem, what, start, s.random_state, options or s.finer)

    def with_what_is_missing(self, support: np.ndarray, result: BcdResult | None, it: Iterate) -> np.ndarray | None:
        """The support with the group of the smallest p-value next to it, if that is small enough."""
        tested = self._test(result, support, self.to_enter)
        if tested.p_values.min() < self.to_enter and not self._is_clear(tested, ~support, self.to_enter):
            # So close a call needs a finer fit.
            finer = self.settings.finer
            finest = self.fit(support, it, finer | {"tol": finer["tol"] / 5})
            tested = self._test(finest, support, self.to_enter)
        # Several may be beyond all orders that were tried.
        first = int(np.lexsort((tested.formula, tested.p_values))[0])
        self._note_all("enter", ~support, tested)
        # Found through one member, a group enters whole.
        group = self.groups.labels == self.groups.labels[first]
        enters = tested.p_values[first] < self.to_enter and (support | group).sum() <= self.settings.max_features
        return support | group if enters else None

    def none_stands_out(self, it: Iterate) -> bool:
        """Whether no input has anything to say next to the unpenalised ones alone."""
        try:
            result = self.fit(self.unpenalised, it)
        except BlockSolveError as error:
            if error.infeasible:  # a user's constraint asks for others
                return False
            raise
        tested = self._test(result, self.unpenalised, self.to_stay)
        if tested.p_values.min() < self.to_stay:
            return False
        self._note_all("enter", ~self.unpenalised, tested)
        return True

    def not_needed(self, support: np.ndarray, missed: np.ndarray, it: Iterate) -> list[np.ndarray]:
        """The groups that may leave, as masks, but for those that are known to be missed.

        The largest p-value comes first, and of equal ones the weakest group. Of many groups the weakest are tested.
        """
        groups, problem = self.groups, self.problem
        asked = (support & ~missed).astype(float)
        present = np.flatnonzero((groups.sums(asked) > 0) & (groups.weights > 0))
        # Times their spread, so that the units of the inputs play no part.
        strength = np.sqrt(
            groups.sums(np.einsum("ij,ij->j", it.B, it.B) * statistics.variance(problem.U, problem.shares))
        )
        leaving: list[tuple[tuple[float, float], np.ndarray]] = []
        for g in present[np.argsort(strength[present], kind="stable")][:MOST_TESTED]:
            group = support & (groups.labels == g)
            try:
                p_value, by_formula = self._p_value_of(group, support & ~group, it)
            except BlockSolveError as error:
                if error.infeasible:  # a user's constraint asks for this group
                    continue
                raise
            if p_value >= self.to_stay:
                leaving.append(((-p_value, -by_formula), group))
        return [group for _, group in sorted(leaving, key=lambda candidate: candidate[0])]

    def _p_value_of(self, group: np.ndarray, smaller: np.ndarray, start: Iterate) -> tuple[float, float]:
        """The p-value of a group next to a fit on the others, and the formula's: coarse ones where they are clear."""
        for options in (self.settings.options, self.settings.finer):
            refitted = self.fit(smaller, start, options)
            tested = self._test(refitted, smaller, self.to_stay, group)
            p_value = float(tested.p_values[group].min())
            if refitted is None or (p_value < self.to_stay and self._is_clear(tested, group, self.to_stay)):
                break
            start = extend(refitted.iterate, smaller)
        self._note_all("stay", group, tested)
        return p_value, float(tested.formula[group].min())

    def _test(
        self, result: BcdResult | None, support: np.ndarray, level: float, asked: np.ndarray | None = None
    ) -> FamilyWise:
        seed, exchange = self.settings.random_state, self.exchange
        return family_wise(
            self.problem, result, support, level=level, exchange=exchange, random_state=seed, asked=asked
        )

    @staticmethod
    def _is_clear(tested: FamilyWise, inputs: np.ndarray, level: float) -> bool:
        """Whether a p-value is so far below a level that a finer fit will not lift it above.

        Orders that were tried cannot show how far.
        """
        return bool(tested.formula[inputs].min(initial=1.0) < CLEARLY * level)

    def _note_all(self, asked: str, inputs: np.ndarray, tested: FamilyWise) -> None:
        """Note the p-value of every group among some inputs (mask): the least of its members'."""
        p_values = np.ones(len(self.groups.weights))
        np.minimum.at(p_values, self.groups.labels, tested.p_values)
        for g in np.unique(self.groups.labels[inputs]).tolist():
            names = [self.problem.input_names[j] for j in self.groups.members[g]]
            row = {"inputs": names, "asked": asked, "p_value": float(p_values[g]), "by": tested.by}
            self._tested[asked, g] = row

    def errors_on_unseen_samples(self, supports: Sequence[np.ndarray]) -> np.ndarray:
        """Error of every sample under each support's refit, in cross-validation: (n_supports, m)."""
        chain = [self.evidence.refit_on(support) for support in supports]
        return self.evidence.cross_validate(chain, "score tests, fold", 0.5, 0.5, self.settings.finer)

    def are_blind(self, result: BcdResult, unseen: np.ndarray) -> bool:
        """Whether a refit on all samples is next to none off them, beside its errors on unseen ones."""
        shares = self.problem.shares
        seen = sample_errors(self.problem, result.problem.prediction(result.iterate), self.problem.Y)
        return bool(statistics.mean(seen, shares) < INTERPOLATES * statistics.mean(unseen, shares))

    def those_that_may_all_leave(
        self, support: np.ndarray, leaving: Sequence[np.ndarray], least: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """So many of the first groups that the rest is as small as unseen samples allow, and the least errors so far.

        They allow an error that exceeds the least by no more than a standard error of the difference. No group is
        skipped: to choose who leaves by the errors of few samples would be to fit these.
        """
        shares = self.problem.shares
        ways = list(accumulate(leaving, np.logical_or, initial=np.zeros_like(support)))
        try:
            errors = np.vstack([least, self.errors_on_unseen_samples([support & ~left for left in ways[1:]])])
        except BlockSolveError as error:
            if not error.infeasible:
                raise
            # Each may leave by itself, and a user's constraint asks for one of them.
            return self.those_that_may_all_leave(support, leaving[:-1], least) if leaving[1:] else (ways[0], least)
        near = statistics.near_least(errors, shares, self.settings.sample_groups)
        return ways[np.flatnonzero(near)[-1]], errors[statistics.mean(errors, shares).argmin()]


def grow(evidence: Evidence, support: np.ndarray) -> tuple[Refit, Iterate | None]:
    """The refit on a support with as many hidden features as the samples favour, and where to start it.

    They are doubled while that takes a fiftieth of the best constant's loss off that of the first fold's samples, and
    more than a standard error of the difference. One fold is enough: these gains are large, and the fits expensive. The
    model of that fold is the start; none where nothing was gained. A user's constraints, and a pattern of A, B or C,
    may not fit another number of features: then it stays.
    """
    problem, s = evidence.path.problem, evidence.settings
    best, start = evidence.refit_on(support), None
    # An empty support leaves the mean, which no hidden feature improves.
    if not support.any() or problem.constraints or problem.pattern.free.keys() & {"A", "B", "C"}:
        return best, start
    fold = folds(problem, s.n_folds, s.random_state, s.sample_groups)[0]
    test = problem.subset(fold.test)
    together = None if s.sample_groups is None else s.sample_groups[fold.test]
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
        if statistics.mean(gain, test.shares) <= max(
            LEAST_GAIN, statistics.standard_error(gain, test.shares, together)
        ):
            break
        best, start, errors = larger, it, those
    return best, start
