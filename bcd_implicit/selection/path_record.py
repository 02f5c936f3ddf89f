"""A path of results along kappa as data: what rules, refits and plots look at."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError, see
from bcd_implicit.problem import statistics
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.checks import check_number
from bcd_implicit.terms.penalties import column_norms
from bcd_implicit.training.result import BcdResult, Status

# What the norm of a group counts for at least in its weight, relative to the largest.
LEAST_NORM = 1e-3


@dataclass(frozen=True)
class PathRecord:
    """Models along increasing kappa, and their supports.

    Attributes
    ----------
    problem : TrainingProblem
    results : tuple of BcdResult
        One for each kappa, warm-started from the one before.
    solve_options : dict
        The options of every solve of the path.
    max_features : int or None
        Larger supports are not wanted: their models are only rough.
    cut_short : Status or None
        INTERRUPTED or TIME_LIMIT if that ended the path early.
    """

    problem: TrainingProblem
    results: tuple[BcdResult, ...]
    solve_options: dict[str, Any] = field(default_factory=dict)
    max_features: int | None = None
    cut_short: Status | None = None

    @property
    def kappas(self) -> np.ndarray:
        """Shape (n_kappas,), increasing (decreasing radii in constraint form)."""
        return np.array([r.problem.kappa for r in self.results])

    @property
    def column_norms(self) -> np.ndarray:
        """||B e_j||_2 along the path, or that of (B; D) e_j if these are grouped; shape (n_kappas, p)."""
        return np.array([column_norms(r.problem.grouped(r.iterate)) for r in self.results])

    @property
    def supports(self) -> np.ndarray:
        """Nonzero columns of B, or of (B; D), along the path: bool, shape (n_kappas, p)."""
        return np.array([r.problem.selected(r.iterate) for r in self.results])

    @property
    def leaves_at(self) -> np.ndarray:
        """The kappa of the path from which on an input is out. Shape (p,).

        It is ``inf`` if the input is in to the end (in constraint form, in which the radius falls, it is 0). It is the
        first kappa if the input is never in (see :attr:`ever_in`).
        """
        # An input that is never in, at place -1, stays out from the first kappa on.
        return np.append(self.kappas, self.beyond)[self._last + 1]

    @property
    def ever_in(self) -> np.ndarray:
        """Which inputs are in at some kappa; the path has no information on the others. Bool, shape (p,)."""
        return np.asarray(self.supports.any(axis=0))

    @property
    def _last(self) -> np.ndarray:
        """The last place on the path at which an input is in; -1 where it never is. Shape (p,)."""
        supports = self.supports
        # argmax finds the first True: from behind that is the last.
        return np.where(supports.any(axis=0), len(supports) - 1 - supports[::-1].argmax(axis=0), -1)

    @property
    def beyond(self) -> float:
        """Beyond the end of every path: a weight or a radius for which B = 0."""
        return np.inf if self.problem.group_form == "penalty" else 0.0

    def order(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, the longest-staying first, and their norms at the last kappa at which they are in.

        Inputs that are never in come last, with a norm of 0; their order has no meaning.
        """
        last, norms = self._last, self.column_norms
        # Place -1 would read the end of the path.
        last_norms = np.where(last >= 0, norms[last, np.arange(norms.shape[1])], 0.0)
        # lexsort's last key counts first.
        return np.lexsort((-last_norms, -last)), last_norms

    @property
    def weights_by_size(self) -> np.ndarray:
        """Weights under which groups that are small at the first kappa count more, shape (n_groups,).

        The problem's weights, divided by the groups' norms there relative to the largest norm.
        """
        first = self.results[0]
        lasso = first.problem.group_lasso
        norms = lasso.norm.of(first.problem.grouped(first.iterate), lasso.groups)
        # Where B = 0 already all groups stay as they weigh.
        largest = norms.max() or 1.0
        return lasso.groups.weights * largest / np.maximum(norms, LEAST_NORM * largest)

    @property
    def table(self) -> pd.DataFrame:
        """One row per kappa: kappa, n_selected, objective, mean loss, cycles, status."""
        return pd.DataFrame(
            {
                "kappa": self.kappas,
                "n_selected": self.supports.sum(axis=1),
                "objective": [r.objective for r in self.results],
                "loss": [r.problem.mean_loss(r.iterate) for r in self.results],
                "n_cycles": [r.n_cycles for r in self.results],
                "status": [r.status.name for r in self.results],
            }
        )

    def nearest(self, support: np.ndarray) -> int:
        """The index on the path of this support, or of the support that differs least from it."""
        # Of several the first, at which kappa shrinks least.
        return int((self.supports != support).sum(axis=1).argmin())

    def longest(self, n_features: int) -> np.ndarray:
        """The inputs that stay longest, in whole groups: bool, shape (p,). Inputs that were never in are excluded.

        Raises
        ------
        InvalidInputError
            The number is not between 1 and p, or less than the size of the first group, or no input was ever in.

        Warns
        -----
        UserWarning
            Fewer inputs than asked for were ever in: these are returned.
        """
        problem, remedy = self.problem, "Give a number from 1 to the number of inputs"
        n_features = check_number("n_features", n_features, 1, problem.n_inputs, integer=True, remedy=remedy)
        groups = problem.group_lasso.groups
        support, full = groups.spread(groups.weights == 0), False
        for members in self.groups_in_order():
            # No smaller group instead: it left earlier than this one.
            full = support.sum() + len(members) > n_features
            if full:
                break
            support[members] = True
        n_found = int(support.sum())
        weaker = f"Compute the path with {'smaller kappas' if problem.group_form == 'penalty' else 'larger radii'}"
        if n_found == 0 and self.ever_in.any():
            first = problem.groups[self.order()[0][0]]
            raise InvalidInputError("n_features", f"{n_features} is less than group {first!r} has", "Give more")
        if n_found == 0:
            cause = f"asks for {n_features}, but no input was ever in on the path, from kappa {self.kappas[0]:.3g} on"
            raise InvalidInputError("n_features", cause, weaker)
        if not full and n_found < n_features:
            warnings.warn(
                f"n_features={n_features}: only {n_found} inputs were ever in on the path, from kappa "
                f"{self.kappas[0]:.3g} on, and these are returned. {weaker}. {see('nothing-is-selected')}",
                UserWarning,
                stacklevel=2,
            )
        return support

    def enough(self, least: int) -> int:
        """How many inputs :meth:`longest` needs to return at least this many, or all that were ever in."""
        groups = self.problem.group_lasso.groups
        n = int(groups.spread(groups.weights == 0).sum())
        for members in self.groups_in_order():
            if n >= least:
                break
            n += len(members)
        return n

    def groups_in_order(self) -> Iterator[np.ndarray]:
        """The members of each group that was ever in, the longest-staying group first, without groups of weight 0."""
        groups = self.problem.group_lasso.groups
        labels = groups.labels[self.order()[0][: np.count_nonzero(self.ever_in)]]
        # A dict keeps the order in which the labels come.
        for label in dict.fromkeys(labels[groups.weights[labels] > 0].tolist()):
            yield np.flatnonzero(groups.labels == label)

    def plateau(self) -> np.ndarray:
        """The support that stays over the longest stretch of log kappa; neither all inputs nor none. Shape (p,)."""
        supports = self.supports
        varying = statistics.variance(self.problem.U, self.problem.shares) > 0  # a constant input is never selected
        # In logarithms, as the grid is geometric. A kappa of 0 has none.
        steps = np.abs(np.diff(np.log(np.maximum(self.kappas, 1e-300))))
        best, longest, start = np.zeros(self.problem.n_inputs, dtype=bool), -1.0, 0
        for end in range(1, len(supports) + 1):
            if end < len(supports) and (supports[end] == supports[start]).all():
                continue
            # From its first kappa to its last. A support at one kappa alone counts 0, which still beats none.
            length = float(steps[start : end - 1].sum())
            if 0 < supports[start].sum() < np.count_nonzero(varying) and length > longest:
                best, longest = supports[start], length
            start = end
        return best
