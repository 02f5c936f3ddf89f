"""What samples that a model has not seen say of its inputs: models of all folds on a support, and on fewer inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import folds, run_folds
from bcd_implicit.support.notices import collected

# Of the refits' tolerance: models on a support, and those on fewer inputs that are compared with them. These start
# where those ended, and what more training gains is not to hide what an input costs.
ON_THE_SUPPORT, ON_FEWER = 1 / 500, 1 / 50
# Multiple of the refits' cycles.
PATIENCE = 6


class UnseenSamples:
    """Models of all folds on one support, and whether the samples held out miss inputs that leave it.

    They are fitted when first asked for, with the path's number of hidden features unless another is given.

    Attributes
    ----------
    missed : ndarray of bool, shape (p,)
        The inputs that were found to be missed, each by itself or with its group.
    """

    def __init__(self, evidence: Evidence, support: np.ndarray, n_hidden: int | None = None) -> None:
        self.missed, self._missed_before = np.zeros_like(support), np.zeros_like(support)
        self._evidence, self._support, self._n_hidden = evidence, support, n_hidden
        s = evidence.settings
        self._folds = folds(evidence.path.problem, s.n_folds, s.random_state, s.sample_groups)
        self._models: list[Iterate] | None = None
        self._errors: np.ndarray | None = None

    def move(self, support: np.ndarray) -> None:
        """Go on with another support."""
        self._support, self._errors, self._missed_before = support, None, self.missed.copy()

    def ask_again(self) -> bool:
        """Forget who was missed on earlier, larger supports, and say whether there was any."""
        old, self._missed_before = self._missed_before, np.zeros_like(self.missed)
        self.missed &= ~old
        return bool(old.any())

    @property
    def errors(self) -> np.ndarray:
        """Error, (m,), of every sample under the model of the fold that has not seen it."""
        if self._errors is None:
            self._errors, self._models = self._fit(self._support, ON_THE_SUPPORT)
        return self._errors

    def errors_on(self, support: np.ndarray) -> np.ndarray:
        """The same on another support, from the models on this one."""
        before = self.errors
        return before if np.array_equal(support, self._support) else self._fit(support, ON_FEWER)[0]

    def let_go(self, groups: Sequence[np.ndarray], limit: float, most: int) -> np.ndarray:
        """The first of some groups (masks) that are not missed, so many at most, as one mask.

        In turn, each is left out besides those before it that leave. It is missed, and noted in ``missed``, if the
        error then grows by more than so many standard errors of the difference, or if a user's constraint asks for it.
        """
        shares = self._evidence.path.problem.shares
        left, before = np.zeros_like(self.missed), self.errors
        for group in groups:
            try:
                errors = self.errors_on(self._support & ~left & ~group)
            except BlockSolveError as error:
                if not error.infeasible:
                    raise
                self.missed |= group
                continue
            growth = errors - before
            if statistics.mean(growth, shares) > limit * self._evidence.standard_error(growth):
                self.missed |= group
                continue
            left, before, most = left | group, errors, most - 1
            if most == 0:
                break
        return left

    def _fit(self, support: np.ndarray, share: float) -> tuple[np.ndarray, list[Iterate]]:
        s, chain = self._evidence.settings, [self._evidence.refit_on(support, self._n_hidden)]
        options = s.options | {"tol": share * s.options["tol"], "max_cycles": PATIENCE * s.options["max_cycles"]}
        # They are finer than anyone asked for, and one that stops short is good enough to be compared.
        with collected():
            (errors,), models = run_folds(self._folds, chain, s.random_state, options, s.n_jobs, starts=self._models)
        return errors, models
