"""The blog's experiment: does the learned B show which inputs the generating model uses?

Data come from a relu model with 20 hidden features and a column-sparse B. A model with the wrong guess of 10 is
trained along a path of increasing kappa. kappa is chosen without knowing the truth, and the column norms of the learned
B are compared with those of the generating B. The same works on your own data, where the truth is not known.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from bcd_implicit.datasets import make_column_sparse, make_even
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.experiments.feature_selection_result import FeatureSelection
from bcd_implicit.experiments.scores import Scores, accuracy, r2, ridge_on_all_columns
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.choice import Selection, what_is_there
from bcd_implicit.selection.dependence import warn_if_dependent
from bcd_implicit.selection.path import PathResult, kappa_path
from bcd_implicit.selection.sample_groups import check_sample_groups
from bcd_implicit.support.arrays import read_samples
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.choices import AUTO, AUTO_LEVEL, N_HIDDEN_GUESS
from bcd_implicit.support.interruption import check_max_seconds, stoppable
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.parallel import check_jobs, in_parallel
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.support.samples import check_units
from bcd_implicit.support.tables import class_column
from bcd_implicit.terms.losses import Loss, get_loss
from bcd_implicit.terms.penalties import column_norms

FAMILIES: dict[str, Callable[..., Any]] = {"column-sparse": make_column_sparse, "even": make_even}
N_TEST = 1000
MIN_TRAIN = 6  # three folds of two rows


def run_synthetic(
    family: str = "column-sparse",
    seed: int = 0,
    method: str = "prox-linear",
    solver: str = AUTO,
    *,
    n_hidden: int = N_HIDDEN_GUESS,
    noise: float | None = None,
    n_kappas: int = 20,
    n_jobs: int | None = None,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
) -> FeatureSelection:
    """Generate data, walk the path, choose kappa, and compare with the generating model.

    Parameters
    ----------
    family : {"column-sparse", "even"}
    seed : int
        Of the data, the start and the folds.
    method, solver : str
        As in :func:`bcd_implicit.solve`.
    n_hidden : int
        The guess; the generating model has 20.
    noise : float, optional
        Instead of the family's own level (0 and 0.05).
    n_kappas : int
    n_jobs : int, optional
        As in joblib.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.
    max_seconds : float, optional
        As in :func:`run_table`.
    """
    check_choice("data", family, FAMILIES, "family")
    start = time.perf_counter()
    data = FAMILIES[family](random_state=seed, **({} if noise is None else {"noise": noise}))
    problem = TrainingProblem(data.U, data.Y, n_hidden, pass_through=False)
    path, selection = _walk_and_choose(
        f"{family} data",
        progress,
        problem,
        seed,
        method,
        solver,
        n_kappas,
        n_jobs=n_jobs,
        max_seconds=max_seconds,
    )
    U_test, Y_test = data.sample(N_TEST, [seed, 1])
    return FeatureSelection(
        title=f"{family} data, seed {seed}, {method}",
        path=path,
        selection=selection,
        model=selection.model,
        true_norms=column_norms(data.model.B),
        test_r2=r2(Y_test, selection.model.predict(U_test)),
        ridge_r2=r2(Y_test, ridge_on_all_columns(data.U, data.Y).predict(U_test)),
        seconds=time.perf_counter() - start,
    )


def run_seeds(
    family: str,
    seeds: Iterable[int],
    method: str = "prox-linear",
    solver: str = AUTO,
    *,
    n_jobs: int | None = None,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
    **options: Any,
) -> pd.DataFrame:
    """The experiment for several seeds: one row each with seed, exact, f1, missed, false, test_r2, kappa and seconds.

    Parameters
    ----------
    family, method, solver : str
    seeds : iterable of int
    n_jobs : int, optional
        Number of processes, as in joblib; each runs one seed at a time.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.
    max_seconds : float, optional
        Give up after this many seconds.
    **options
        Of :func:`run_synthetic`.

    Raises
    ------
    NothingYetError
        ``max_seconds`` passed before all seeds were done.
    """
    jobs = [(family, seed, method, solver, options) for seed in seeds]
    with stoppable(max_seconds), show_progress(progress, f"{family} data") as tell:
        return pd.DataFrame(list(in_parallel(_run_seed, jobs, n_jobs, tell)))


def _run_seed(family: str, seed: int, method: str, solver: str, options: dict[str, Any]) -> dict[str, Any]:
    report = run_synthetic(family, seed, method, solver, **options).report
    selected, true = set(report["selected"]), set(report["true"])
    counts = {"missed": len(true - selected), "false": len(selected - true)}
    return {"seed": seed, "exact": report["exact"], "f1": report["f1"], **counts} | {
        name: report[name] for name in ("test_r2", "kappa", "seconds")
    }


def run_table(
    inputs: pd.DataFrame,
    targets: pd.DataFrame,
    name: str = "table",
    *,
    loss: str | Loss = "squared",
    seed: int = 0,
    method: str = "prox-linear",
    solver: str = AUTO,
    n_kappas: int = 20,
    rule: str | None = None,
    n_features: int | None = None,
    level: float | Literal["auto"] | None = AUTO_LEVEL,
    n_jobs: int | None = None,
    test_share: float = 0.25,
    standardize: bool = True,
    sample_groups: ArrayLike | None = None,
    progress: bool | Progress = False,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    **problem_options: Any,
) -> FeatureSelection:
    """The same on your own data: a share of the rows is held out to test the final model.

    Parameters
    ----------
    inputs, targets : DataFrame of shape (m, p) and (m, q), or arrays
        Numbers only; the same rows.
    name : str
        For titles and messages.
    loss : str or Loss
        As in :class:`~bcd_implicit.TrainingProblem`.
    seed : int
        Seed of the split, the start and the folds.
    rule, n_features, level, n_jobs
        As in :meth:`~bcd_implicit.PathResult.select`. With ``n_features`` the path ends there.
    test_share : float
        Share of the rows held out.
    standardize : bool
        Train on standardised columns and map the weights back, so that the model takes raw inputs.
    sample_groups : array-like, optional
        One label per row, as in :meth:`~bcd_implicit.PathResult.select`. The held-out share is then a share of the
        groups.
    max_seconds : float, optional
        Stop after this many seconds with the result so far; Ctrl-C does the same. The path may use half of the time.
    checkpoint : path, optional
        Checkpoint of the path, as in :func:`bcd_implicit.kappa_path`.
    **problem_options
        Of :class:`~bcd_implicit.TrainingProblem`: n_hidden, norm_bound, ridge, ...
    """
    start, loss = time.perf_counter(), get_loss(loss)
    given, asked = read_samples(name, inputs, min_rows=8), read_samples(name, targets, min_rows=8)
    check_units(name, given)
    check_units(name, asked)
    U, Y = given.values, asked.values
    test_share = check_number("test_share", test_share, 0, 1, boundaries="neither", remedy="A share of the rows")
    n_test = math.ceil(test_share * len(U))
    if n_test < 2 or len(U) - n_test < MIN_TRAIN:
        raise InvalidInputError(
            "test_share",
            f"{test_share:g} of {len(U)} rows leaves {len(U) - n_test} to train on and {n_test} to test on",
            f"At least {MIN_TRAIN} and 2 are needed",
        )
    together = check_sample_groups(sample_groups, len(U), 2)
    if together is None:
        train, test = train_test_split(np.arange(len(U)), test_size=n_test, random_state=seed)
    else:
        # Both in the order given.
        parts = GroupShuffleSplit(1, test_size=test_share, random_state=seed).split(U, groups=together)
        train, test = next(parts)
    U_train, U_test, Y_train, Y_test = U[train], U[test], Y[train], Y[test]
    problem = TrainingProblem(
        U_train,
        Y_train,
        **{"n_hidden": N_HIDDEN_GUESS, "pass_through": False} | problem_options | {"loss": loss},
        input_names=given.names,
        output_names=asked.names,
        standardize=standardize,
    )
    choice = {"rule": rule, "sample_groups": None if together is None else together[train]}
    path, selection = _walk_and_choose(
        name,
        progress,
        problem,
        seed,
        method,
        solver,
        n_kappas,
        n_features=n_features,
        level=level,
        n_jobs=n_jobs,
        max_seconds=max_seconds,
        checkpoint=checkpoint,
        **choice,
    )
    model = selection.model
    # Of all rows in the file's order: the split has shuffled them.
    if together is None:
        warn_if_dependent(U.T, Y.T, (Y - model.response(U)).T, problem.input_names)
    ridge, are_classes = ridge_on_all_columns(U_train, Y_train), class_column(list(targets.columns)) is not None
    scores, linear = Scores.of(loss, model.predict(U_test), Y_test, are_classes), ridge.predict(U_test)
    return FeatureSelection(
        title=f"{name}, {method}",
        path=path,
        selection=selection,
        model=model,
        true_norms=None,
        test_r2=scores.r2,
        ridge_r2=r2(Y_test, linear),
        seconds=time.perf_counter() - start,
        test_accuracy=scores.accuracy,
        ridge_accuracy=accuracy(Y_test, linear) if are_classes else None,
        test_d2=scores.d2,
        test_log_loss=scores.log_loss,
    )


def _walk_and_choose(
    title: str,
    progress: bool | Progress,
    problem: TrainingProblem,
    seed: int,
    method: str,
    solver: str,
    n_kappas: int,
    *,
    n_features: int | None = None,
    n_jobs: int | None = None,
    max_seconds: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    **choice: Any,
) -> tuple[PathResult, Selection]:
    # Before the path, not after it; the path itself checks n_features.
    check_jobs(n_jobs)
    seconds = check_max_seconds(max_seconds)
    with stoppable(seconds) as limits, show_progress(progress, title) as tell:
        path = kappa_path(
            problem,
            n_kappas,
            random_state=seed,
            n_features=n_features,
            method=method,
            solver=solver,
            progress=between(tell, 0.0, 0.5),
            max_seconds=seconds and seconds / 2,
            checkpoint=checkpoint,
        )
        choice |= {"n_features": n_features, "n_jobs": n_jobs, "progress": between(tell, 0.5, 1.0)}
        selection = path.select(random_state=seed, **choice)
    status = path.cut_short or selection.status
    if status.cut_short and limits.outermost:
        warn_convergence(
            f"{title}: {status.cause}; {what_is_there(len(path.kappas), path.cut_short, selection.status)}."
        )
    return path, selection
