"""The choice of a support from a path, without knowing the truth: a rule, score tests, and the final refit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.selection.adjustment import grow, polish
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.dependence import warn_if_dependent
from bcd_implicit.selection.evidence import Evidence, Settings
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.refits import Refit, constant_model, run_refit
from bcd_implicit.selection.rules import RULES, Choice, check_rule
from bcd_implicit.selection.sample_groups import check_folds, check_sample_groups
from bcd_implicit.support.checks import check_flag, check_list, check_number, random_generator
from bcd_implicit.support.interruption import Stop, check_stop, stoppable
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.progress import Progress, never_back, show_progress
from bcd_implicit.training.result import Status

# The ridges of a refit, in units of the problem's own.
RIDGE_FACTORS = (1, 30, 1000)


def choose(
    path: PathRecord,
    rule: str | None,
    n_features: int | None,
    *,
    n_folds: int,
    max_features: int | None,
    level: float | Literal["auto"] | None,
    grow_hidden: bool,
    n_subsamples: int,
    random_state: int | None,
    options: dict[str, Any],
    sample_groups: ArrayLike | None,
    ridges: Sequence[float] | None,
    n_jobs: int | None,
    progress: bool | Progress,
    max_seconds: float | None = None,
) -> Selection:
    """Choose and refit; the arguments are those of :meth:`bcd_implicit.PathResult.select`.

    ``options`` are those of the refits' solves, "max_cycles" and "tol" among them.
    """
    known_rule, known_level = check_rule(rule, level, n_features)
    generator = random_generator(random_state)
    if isinstance(random_state, np.random.Generator):
        random_state = int(generator.integers(2**31))  # scikit-learn's folds take a seed
    n_folds = check_folds(n_folds, path.problem.n_samples)
    together = check_sample_groups(sample_groups, path.problem.n_samples, n_folds)
    if ridges is None:
        own = path.problem.ridge_hidden
        # Multiples of 0 are one ridge, which needs no cross-validation.
        ridges = [factor * own for factor in RIDGE_FACTORS] if own > 0 else [0.0]
    listed = check_list("ridges", ridges, "numbers", "Pass [ridge] for one")
    ridges = [check_number("ridges", ridge, 0, remedy="Give 0 or more") for ridge in listed]
    if not ridges:
        raise InvalidInputError("ridges", "is empty", "Give at least one value")
    tol = check_number("tol", options["tol"], 0, remedy="Choose a small positive number")
    max_cycles = options["max_cycles"]
    if max_features is None:
        max_features = path.max_features or max(10, path.problem.n_samples * (n_folds - 1) // n_folds // 2)
    max_features = check_number("max_features", max_features, 1, integer=True, remedy="Give 1 or more")
    grow_hidden = check_flag("grow_hidden", grow_hidden)
    with stoppable(max_seconds) as limits, show_progress(progress, "select") as shown:
        tell = never_back(shown)
        certified = options["block_tol"]
        # Fits that are only compared need no certificate.
        options = options | {"block_tol": None}
        settings = Settings(n_folds, max_features, n_subsamples, random_state, n_jobs, ridges, options, tell, together)
        evidence = Evidence(path, settings)
        decided, ended = _Decision.by_the_path(evidence), None
        try:
            for better in _decisions(evidence, known_rule, n_features, known_level, grow_hidden):
                decided = better
        except Stop as stop:
            ended = Status[stop.status]

        tell(0.9, "refitting on the chosen inputs")
        choice, support = decided.choice, decided.support
        # Score tests may have left the path's supports.
        index = path.nearest(support)
        finest = options | {"max_cycles": 6 * max_cycles, "tol": tol / 20, "block_tol": min(certified, 1e-6)}
        start = path.results[index].iterate if decided.start is None else decided.start
        final = decided.final or evidence.coarse_refit_on(support)
        # Once the choice has to end, the refit takes no cycle: states at equilibrium, and an exact output block.
        result = run_refit(path.problem, final, start, random_state, finest)
        # None for an empty support: the best constant is its model.
        result = result or constant_model(path.results[index])
        if ended is not None:
            result = replace(result, status=ended)
        tell(1.0, "chosen")
    if result.status.cut_short and limits.outermost:
        n = int(support.sum())
        warn_convergence(f"select: {result.status.cause}. Returned: {decided.words} ({n} inputs).", stacklevel=3)
    problem, response = path.problem, path.problem.loss.response(result.problem.prediction(result.iterate))
    # The estimators sort their samples, by the first input: they look at the order before that.
    if together is None and (np.diff(problem.U[0]) < 0).any():
        warn_if_dependent(problem.U, problem.Y, problem.Y - response, problem.input_names, stacklevel=3)
    names = np.array(path.problem.input_names, dtype=object)
    table = pd.DataFrame(
        # The empty support may be a candidate one place beyond the path's end.
        {"kappa": np.append(path.kappas, path.beyond)[evidence.candidates], "n_selected": evidence.sizes}
        | choice.columns
        | {
            "chosen": (evidence.supports == choice.support).all(axis=1),
            "inputs": [list(names[s]) for s in evidence.supports],
        }
    )
    return Selection(
        support=support,
        kappa=float(path.kappas[index]),
        index=index,
        result=result,
        table=table,
        rule=decided.rule,
        input_names=list(path.problem.input_names),
        tests=decided.tests,
        before_tests=choice.support,
        level=known_level,
        evidence=evidence.told(),
    )


@dataclass(frozen=True)
class _Decision:
    """What is decided so far, and what that is in words."""

    rule: str
    choice: Choice
    support: np.ndarray
    words: str
    final: Refit | None = None
    start: Iterate | None = None
    tests: pd.DataFrame | None = None

    @classmethod
    def by_the_path(cls, evidence: Evidence) -> _Decision:
        """By the path alone, which takes no time."""
        stays = evidence.path.plateau()
        choice = Choice(stays if stays.any() else evidence.supports[0])
        return cls("plateau", choice, choice.support, "the support that stays longest on the path")


def _decisions(
    evidence: Evidence, rule: str, n_features: int | None, level: float | None, grow_hidden: bool
) -> Iterator[_Decision]:
    """Decisions, each better founded than the one before; the last is the one that was asked for.

    None is made of fits that were cut short.
    """
    if n_features is not None:
        choice = Choice(evidence.path.longest(n_features))
    else:
        choice = RULES[rule](evidence)
        check_stop()
    support, tests, words = choice.support, None, "the inputs that the rule chose"
    yield _Decision(rule, choice, support, f"{words}, before score tests and the final refit")
    if level is not None:
        support, tests = polish(evidence, support, level)
        words = "the inputs chosen by rule and score tests"
        check_stop()
        yield _Decision(rule, choice, support, f"{words}, before the final refit", tests=tests)
    final, start = grow(evidence, support) if grow_hidden else (evidence.refit_on(support), None)
    check_stop()
    yield _Decision(rule, choice, support, f"{words}, and as much of the final refit as was done", final, start, tests)
