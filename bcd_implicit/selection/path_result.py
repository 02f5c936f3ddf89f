"""A kappa path, and what a person does with it: choose inputs, rank them, walk a second path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.choose import choose
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.ranking import check_kappa, ranking
from bcd_implicit.selection.sample_groups import check_sample_groups
from bcd_implicit.selection.solve_path import solve_path
from bcd_implicit.selection.subsamples import frequencies
from bcd_implicit.support.choices import AUTO_LEVEL
from bcd_implicit.support.display import facts_and_table
from bcd_implicit.support.progress import Progress
from bcd_implicit.training.result import ended_early


@dataclass(frozen=True, repr=False)
class PathResult(PathRecord):
    """Models along increasing kappa.

    Attributes
    ----------
    problem : TrainingProblem
    results : tuple of BcdResult
        One for each kappa, warm-started from the one before.
    solve_options : dict
        The options of every solve of the path; ``select`` refits with the same.
    max_features : int or None
        As given to :func:`bcd_implicit.kappa_path`.
    cut_short : Status or None
        INTERRUPTED or TIME_LIMIT if that ended the path early.
    """

    def __repr__(self) -> str:
        sizes, ended = self.supports.sum(axis=1), "" if self.cut_short is None else f", {self.cut_short.cause}"
        return (
            f"PathResult(n_kappas={len(self.results)}, kappa {self.kappas[0]:.3g} to {self.kappas[-1]:.3g}, "
            f"{sizes[0]} to {sizes[-1]} of {self.problem.n_inputs} inputs{ended})"
        )

    def _repr_html_(self) -> str:
        problem = self.problem
        facts = {
            "method": f"{self.results[0].method}, solver {self.results[0].solver}",
            "samples, inputs, outputs": f"{problem.n_samples}, {problem.n_inputs}, {problem.n_outputs}",
            "hidden features": f"{problem.n_hidden}, {problem.activation.name}",
        }
        return facts_and_table("PathResult", facts | ended_early(self.cut_short), self.table)

    def select(
        self,
        rule: str | None = None,
        n_features: int | None = None,
        *,
        n_folds: int = 3,
        max_features: int | None = None,
        level: float | Literal["auto"] | None = AUTO_LEVEL,
        grow_hidden: bool = True,
        n_subsamples: int = 20,
        sample_groups: ArrayLike | None = None,
        random_state: int | None = 0,
        method: str = "prox-linear",
        max_cycles: int = 100,
        tol: float = 5e-2,
        ridges: Sequence[float] | None = None,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> Selection:
        """Choose a support (a set of inputs) from the data, and refit on it.

        Ctrl-C or ``max_seconds`` ends the selection with the best support so far (a second Ctrl-C raises
        KeyboardInterrupt): the one that stays longest on the path, then the rule's, then that of the score tests. The
        refit then takes no more cycles, and the selection's status says so.

        The candidates are the supports of the path. (The path uses all samples, but in cross-validation each refit is
        judged on samples that it has not seen.)

        Parameters
        ----------
        rule : str, optional
            "min", the default: the support with the smallest error in cross-validation, after a refit without group
            lasso.
            "paired-one-se": the sparsest support whose error exceeds the smallest by less than one standard error of
            their difference. "one-se": the same, with one standard error of the smallest error. "bic", "ebic":
            information criteria of refits on all samples. "plateau": the support that stays longest. "gap": the widest
            gap between the kappas at which inputs drop out. "stability": the inputs that most subsamples keep.
            ``docs/selection.md`` compares them. Not with ``n_features``.
        n_features : int, optional
            Select this many inputs, those that stay longest (:meth:`ranking`), instead of using a rule and score tests.
            Groups are not split, so there may be fewer. Inputs that are never in on the path are never chosen: if fewer
            were in, these are returned, with a warning. ``kappa_path(n_features=...)`` computes a shorter path to that
            number.
        n_folds : int
        max_features : int, optional
            Larger supports are not candidates. The default is that of the path or, if it has none, half of a fold's
            training samples, but at least 10: a refit on more inputs is slow and not informative.
        level : float, "auto" or None
            The family-wise level of the score tests that then add and drop inputs; None for no tests. An input is not
            dropped if held-out samples are predicted worse without it. "auto" is 0.05, or no tests with ``n_features``,
            which cannot be combined with a level.
        grow_hidden : bool
            Let the final refit have twice, four or eight times the hidden features if cross-validation favours that.
        n_subsamples : int
            Number of subsamples for the rule "stability".
        sample_groups : array-like of shape (m,), optional
            One label per sample, equal for samples that belong together: of one person, machine or field, or one
            series. Folds and subsamples never split a group, and the score tests permute whole groups, with their
            samples in the given order. Without it all samples are treated as independent.
        random_state : int or None
            Shuffles the folds, draws the orders of permutation tests, and starts the fits.
        method : str
            The method of the refits. The default is "prox-linear", whatever the method of the path, because it fits
            better.
        max_cycles, tol
            For each fit in cross-validation. Score tests use a fifth of tol; growing, and the cost of dropping inputs,
            a fiftieth or less; the final refit a twentieth. The last two use up to six times the cycles.
        ridges : sequence of float, optional
            Values of ``ridge_hidden`` for the refits, from which cross-validation chooses one: noisy data need a larger
            ridge than the path. By default the problem's own, and 30 and 1000 times that.
        n_jobs : int, optional
            As in joblib: processes for folds, refits and subsamples. The answer does not depend on it.
        progress, max_seconds
            As in :func:`bcd_implicit.solve`.

        Returns
        -------
        Selection

        Warns
        -----
        UserWarning
            Samples look as if they belong together but no ``sample_groups`` were given, or there are too few groups for
            the score tests to be significant.

        Raises
        ------
        InvalidInputError
            An unknown rule, a rule or a level together with ``n_features``, too few samples or groups for the folds,
            more features than inputs, or ``n_features`` if no input was ever in on the path.
        """
        return choose(
            self,
            rule,
            n_features,
            n_folds=n_folds,
            max_features=max_features,
            level=level,
            grow_hidden=grow_hidden,
            n_subsamples=n_subsamples,
            sample_groups=sample_groups,
            random_state=random_state,
            options=self.solve_options | {"method": method, "max_cycles": max_cycles, "tol": tol},
            ridges=ridges,
            n_jobs=n_jobs,
            progress=progress,
            max_seconds=max_seconds,
        )

    def ranking(
        self,
        n_subsamples: int = 0,
        random_state: int | None = 0,
        *,
        kappa: float | None = None,
        sample_groups: ArrayLike | None = None,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> pd.DataFrame:
        """The inputs, the most important first. Those that are never in on the path come last, in arbitrary order.

        Parameters
        ----------
        n_subsamples : int
            Number of subsamples, 0 for none. With subsamples, the table also has frequencies; each subsample computes
            the path again on half of the samples.
        random_state : int or None
            Seed of the subsamples and their starts.
        kappa : float, optional
            Where frequencies are taken: the path's nearest kappa. By default the one at which half of the inputs
            that are ever in have left.
        sample_groups : array-like of shape (m,), optional
            As in :meth:`select`: subsamples never split a group.
        n_jobs : int, optional
            As in joblib: processes for the subsamples.
        progress, max_seconds
            For the subsamples, as in :func:`bcd_implicit.solve`, but all of them are needed for a result.

        Returns
        -------
        DataFrame
            One row per input: input (its name), leaves_at (the kappa from which on it is out; if it was never in, the
            first kappa, with a norm of 0), norm (of its column at the last kappa before that, which orders inputs that
            drop out together) and, with subsamples, frequency (the share of them in which it is in).

        Raises
        ------
        NothingYetError
            ``max_seconds`` passed before all subsamples were done.
        """
        kappa, found = check_kappa(kappa), None
        if n_subsamples:
            found = self.frequencies(
                n_subsamples,
                random_state,
                sample_groups=sample_groups,
                n_jobs=n_jobs,
                progress=progress,
                max_seconds=max_seconds,
            )
        return ranking(self, found, kappa)

    def frequencies(
        self,
        n_subsamples: int = 20,
        random_state: int | None = 0,
        *,
        sample_groups: ArrayLike | None = None,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> np.ndarray:
        """Share of random halves of the samples in which an input is in, at each kappa of the path.

        The halves come in complementary pairs (Shah and Samworth 2013), each with its own start. The arguments are
        those of :meth:`ranking`.

        Returns
        -------
        ndarray of shape (n_kappas, p)

        Raises
        ------
        NothingYetError
            ``max_seconds`` passed before all subsamples were done.
        """
        together = check_sample_groups(sample_groups, self.problem.n_samples)
        return frequencies(self, n_subsamples, random_state, n_jobs, progress, together, max_seconds)

    def reweighted(
        self,
        n_kappas: int = 20,
        random_state: int | None = 0,
        *,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> PathResult:
        """A second path on which groups that are small at the first kappa of this one weigh more.

        Their weights are divided by their norms there, so that large groups are shrunk less (the adaptive lasso of Zou
        2006, for groups Wang and Leng 2008). It helps where there are few outputs: with friedman1, whose path seldom
        holds exactly the true inputs, the second path mostly does (``benchmarks/adaptive.py``).

        Parameters
        ----------
        n_kappas, random_state, progress, max_seconds
            As in :func:`bcd_implicit.kappa_path`.

        Returns
        -------
        PathResult
            If Ctrl-C or ``max_seconds`` ends it, it has the kappas done so far.
        """
        again = solve_path(
            self.problem.replace(group_weights=self.weights_by_size),
            n_kappas,
            random_state,
            max_features=self.max_features,
            progress=progress,
            max_seconds=max_seconds,
            **self.solve_options,
        )
        return PathResult(**vars(again))
