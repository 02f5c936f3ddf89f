"""After the rule: inputs that score tests let in or send away, and more hidden features where they pay."""

from __future__ import annotations

from typing import Any

import numpy as np

from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import Refit, extend, folds, run_refit
from bcd_implicit.selection.significance import entry_p_values
from bcd_implicit.training.result import BcdResult

# Inputs that may enter or leave after the choice; how often hidden features are doubled, and what share of the targets'
# variance a doubling must explain.
MOST_STEPS, MOST_DOUBLINGS, LEAST_GAIN = 100, 3, 0.02
# So many of the weakest groups are tested for leaving.
MOST_TESTED = 20
# A p-value this far below the level will not rise above it in a finer fit.
CLEARLY = 1e-3


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
    # Bonferroni: the level is for all inputs together.
    level /= problem.n_inputs

    always = groups.weights == 0

    def fit(support: np.ndarray, start: Iterate, options: dict[str, Any] = s.finer) -> BcdResult | None:
        return run_refit(problem, evidence.refit_on(support), start, s.random_state, options)

    def fit_and_p_value(smaller: np.ndarray, left: np.ndarray, start: Iterate) -> tuple[BcdResult | None, float]:
        """A fit without those that left, and their p-value: a coarse one where that is clear already."""
        for options in (s.options, s.finer):
            refitted = fit(smaller, start, options)
            p_value = float(entry_p_values(problem, refitted, smaller, left)[left].min())
            if refitted is None or p_value < CLEARLY * level:
                break
            start = extend(refitted.iterate, smaller)
        return refitted, p_value

    # A rule such as "stability" may name a support that is nowhere on the path.
    it = path.results[path.nearest(support)].iterate
    result = fit(support, it)
    for step in range(MOST_STEPS):
        s.on_progress(0.5 + 0.1 * step / MOST_STEPS, f"score tests, {int(support.sum())} inputs")
        it = it if result is None else extend(result.iterate, support)
        p_values = entry_p_values(problem, result, support)
        best = int(p_values.argmin())
        # Found through one member, a group enters whole.
        larger = support | (groups.labels == groups.labels[best])
        # Entering is five times harder than staying, so that an input at the limit does not go in and out in turn.
        if p_values[best] < level / 5 and larger.sum() <= s.max_features:
            support, result = larger, fit(larger, it)
            continue
        present = np.flatnonzero((groups.sums(support.astype(float)) > 0) & ~always)
        # Times their spread, so that the units of the inputs play no part.
        strength = np.sqrt(
            groups.sums(np.einsum("ij,ij->j", it.B, it.B) * statistics.variance(problem.U, problem.shares))
        )
        largest, without = 0.0, None
        for g in present[np.argsort(strength[present], kind="stable")][:MOST_TESTED]:
            smaller = support & (groups.labels != g)
            try:
                refitted, p_value = fit_and_p_value(smaller, support & ~smaller, it)
            except BlockSolveError as error:
                if error.infeasible:  # a user's constraint asks for this group
                    continue
                raise
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
