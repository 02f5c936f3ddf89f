"""What a rule may look at: the path, refits in cross-validation or on all samples, paths on subsamples."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bcd_implicit.problem import statistics
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.refits import Refit, cross_validate, run_refit
from bcd_implicit.selection.subsamples import frequencies
from bcd_implicit.support.parallel import in_parallel
from bcd_implicit.support.progress import Progress, between, silent
from bcd_implicit.training.result import BcdResult


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
    sample_groups: np.ndarray | None = None

    @property
    def finer(self) -> dict[str, Any]:
        """The options of fits that are looked at more closely than the many of a cross-validation."""
        return self.options | {"tol": self.options["tol"] / 5}


class Evidence:
    """What a rule may look at. The expensive parts are computed on first use.

    Attributes
    ----------
    path : PathRecord
    candidates : ndarray of int, shape (n_candidates,)
        Places on the path of the first of every distinct support of at most ``max_features`` inputs, the largest
        supports first. The empty support is always among them, beyond the end of the path if it is not on it.
    supports : ndarray of bool, shape (n_candidates, p)
    sizes : ndarray of int, shape (n_candidates,)
    """

    def __init__(self, path: PathRecord, settings: Settings) -> None:
        self.path, self.settings = path, settings
        supports = np.vstack([path.supports, np.zeros((1, path.problem.n_inputs), dtype=bool)])
        groups = path.problem.group_lasso.groups
        supports |= groups.spread(groups.weights == 0)  # what is not penalised always stays
        # The first place: of kappas with one support the one that shrinks it least.
        first = np.unique(supports, axis=0, return_index=True)[1]
        sizes = supports[first].sum(axis=1)
        # The smallest support stays even if unpenalised inputs alone are too many.
        first = first[(sizes <= settings.max_features) | (sizes == sizes.min())]
        # From the largest down: in cross-validation each refit starts from the one before, which knows its inputs.
        self.candidates = first[np.lexsort((first, -supports[first].sum(axis=1)))]
        self.supports = supports[self.candidates]
        if len(self.supports) == 1 and path.supports.any():
            # All supports of the path are too large.
            longest = path.longest(settings.max_features)
            self.candidates = np.append(path.nearest(longest), self.candidates)
            self.supports = np.vstack([longest, self.supports])
        self.sizes = self.supports.sum(axis=1)

    def told(self, on_progress: Progress = silent, **settings: Any) -> Evidence:
        """The same, with all that is known by now, for another who is told the progress; with other settings if given.

        Of settings on which nothing that is known depends, such as ``n_jobs``.
        """
        same = copy(self)
        same.settings = replace(self.settings, on_progress=on_progress, **settings)
        return same

    @cached_property
    def ridge(self) -> float:
        """The ``ridge_hidden`` of the refits, of those given.

        The one with the least error in cross-validation on the support that stays longest on the path; the best ridge
        hardly depends on the support.
        """
        ridges = sorted(self.settings.ridges, reverse=True)  # larger ones are quicker to fit
        if len(ridges) == 1:
            return ridges[0]
        stays = self.path.plateau()
        # A plateau may be missing, or too large to be fitted.
        support = stays if 0 < stays.sum() <= self.settings.max_features else self.supports[0]
        chain = [self.refit_on(support, ridge_hidden=ridge) for ridge in ridges]
        # Coarse fits would favour the last of the chain, which start from the others.
        errors = self.cross_validate(chain, "ridges, fold", 0.0, 0.2, self.settings.finer)
        return ridges[int(statistics.mean(errors, self.path.problem.shares).argmin())]

    @cached_property
    def errors(self) -> np.ndarray:
        """Error of every sample under every candidate's refit, in cross-validation: (n_candidates, m).

        From the largest support down.
        """
        return self.cross_validate([self.refit_on(s) for s in self.supports], "supports, fold", 0.2, 0.5)

    @cached_property
    def refits(self) -> list[BcdResult | None]:
        """Each candidate's refit on all samples, from the path's own iterate; none for the empty support."""
        # The empty support may lie beyond the path's end.
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
        return frequencies(self.path, s.n_subsamples, s.random_state, s.n_jobs, told, s.sample_groups)

    def refit_on(self, support: np.ndarray, n_hidden: int | None = None, ridge_hidden: float | None = None) -> Refit:
        """A refit with the path's number of hidden features and the chosen ridge, unless given."""
        ridge = self.ridge if ridge_hidden is None else ridge_hidden
        return Refit(support, n_hidden or self.path.problem.n_hidden, ridge)

    def coarse_refit_on(self, support: np.ndarray) -> Refit:
        """The same with the path's own ridge, unless one is chosen by now: what is known without another fit."""
        return self.refit_on(support, ridge_hidden=vars(self).get("ridge", self.path.problem.ridge_hidden))

    def cross_validate(
        self, chain: Sequence[Refit], noun: str, low: float, high: float, options: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Errors of refits, each from the one before; progress goes from ``low`` to ``high``."""
        s = self.settings
        told = between(s.on_progress, low, high, noun)
        settings = s.n_folds, s.random_state, options or s.options, s.n_jobs, told, s.sample_groups
        return cross_validate(self.path.problem, chain, *settings)

    def standard_error(self, values: np.ndarray) -> np.ndarray:
        """Of the weighted mean of a value a sample, the last axis; groups of samples count as one each."""
        return statistics.standard_error(values, self.path.problem.shares, self.settings.sample_groups)
