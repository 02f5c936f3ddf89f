"""The choice of a support from a path, without knowing the truth: a rule, score tests, and the final refit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.selection.adjustment import grow, polish
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.dependence import warn_if_dependent
from bcd_implicit.selection.evidence import Evidence, Settings
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.refits import mean_model, run_refit
from bcd_implicit.selection.rules import RULES, Choice, check_rule
from bcd_implicit.selection.sample_groups import check_sample_groups
from bcd_implicit.support.checks import check_number, random_generator
from bcd_implicit.support.progress import Progress, never_back, show_progress

# The ridges of a refit, in units of the problem's own.
RIDGE_FACTORS = (1, 30, 1000)


def choose(
    path: PathRecord,
    rule: str,
    n_features: int | None,
    *,
    n_folds: int,
    max_features: int | None,
    level: float | None,
    grow_hidden: bool,
    n_subsamples: int,
    random_state: int | None,
    options: dict[str, Any],
    sample_groups: ArrayLike | None,
    ridges: Sequence[float] | None,
    n_jobs: int | None,
    progress: bool | Progress,
) -> Selection:
    """Choose and refit; the arguments are those of :meth:`bcd_implicit.PathResult.select`.

    ``options`` are those of the refits' solves, "max_cycles" and "tol" among them.
    """
    rule, level = check_rule(rule, level)
    generator = random_generator(random_state)
    if isinstance(random_state, np.random.Generator):
        random_state = int(generator.integers(2**31))  # scikit-learn's folds take a seed
    n_folds = check_number(
        "n_folds", n_folds, 2, path.problem.n_samples // 2, integer=True, remedy="Each fold needs 2 samples or more"
    )
    together = check_sample_groups(sample_groups, path.problem.n_samples, n_folds)
    if ridges is None:
        own = path.problem.ridge_hidden
        # Multiples of 0 are one ridge, which needs no cross-validation.
        ridges = [factor * own for factor in RIDGE_FACTORS] if own > 0 else [0.0]
    if np.ndim(ridges) != 1 or len(ridges) == 0:
        raise InvalidInputError("ridges", f"must be a list of numbers, got {ridges!r}", "Pass [ridge] for one")
    ridges = [check_number("ridges", ridge, 0) for ridge in ridges]
    tol = check_number("tol", options["tol"], 0, remedy="Choose a small positive number")
    max_cycles = options["max_cycles"]
    if max_features is None:
        max_features = path.max_features or max(10, path.problem.n_samples * (n_folds - 1) // n_folds // 2)
    max_features = check_number("max_features", max_features, 1, integer=True)
    with show_progress(progress, "select") as shown:
        tell = never_back(shown)
        certified = options["block_tol"]
        # Fits that are only compared need no certificate.
        options = options | {"block_tol": None}
        settings = Settings(n_folds, max_features, n_subsamples, random_state, n_jobs, ridges, options, tell, together)
        evidence = Evidence(path, settings)
        if n_features is not None:
            rule, choice = "n_features", Choice(path.longest(n_features))
        else:
            choice = RULES[rule](evidence)
        support, tests = choice.support, None
        # Score tests would change a number of inputs that was asked for.
        if level is not None and n_features is None:
            support, tests = polish(evidence, support, level)
        final, grown = grow(evidence, support) if grow_hidden else (evidence.refit_on(support), None)

        tell(0.9, "refitting on the chosen inputs")
        # Score tests may have left the path's supports.
        index = path.nearest(support)
        finest = options | {"max_cycles": 6 * max_cycles, "tol": tol / 20, "block_tol": min(certified, 1e-6)}
        start = path.results[index].iterate if grown is None else grown
        # None for an empty support: the targets' means are its model.
        result = run_refit(path.problem, final, start, random_state, finest) or mean_model(path.results[index])
        tell(1.0, "chosen")
    problem, prediction = path.problem, result.problem.prediction(result.iterate)
    # The estimators sort their samples, by the first input: they look at the order before that.
    if together is None and (np.diff(problem.U[0]) < 0).any():
        warn_if_dependent(problem.U, problem.Y, problem.Y - prediction, problem.input_names, stacklevel=3)
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
    kappa, names_of_all = float(path.kappas[index]), list(path.problem.input_names)
    return Selection(support, kappa, index, result, table, rule, names_of_all, tests)
