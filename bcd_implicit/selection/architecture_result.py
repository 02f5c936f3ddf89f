"""A path of models along the weight of the penalty of A, from no connection between states to many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import entries
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.display import facts_and_table
from bcd_implicit.training.result import BcdResult, Status, ended_early


@dataclass(frozen=True, eq=False)
class FoundArchitecture:
    """What training found at one weight.

    Attributes
    ----------
    kappa_A : float
    penalised : BcdResult
        Trained under the penalty, with the weights of the last round in its problem.
    refitted : BcdResult or None
        The same connections trained without the penalty.
    unseen_losses : tuple of float
        The mean loss on unseen samples, of the penalised and of the refitted model; empty where none were given.
    """

    kappa_A: float
    penalised: BcdResult
    refitted: BcdResult | None
    unseen_losses: tuple[float, ...] = ()

    @property
    def result(self) -> BcdResult:
        """The refitted one, or without refit the penalised."""
        return self.penalised if self.refitted is None else self.refitted

    @cached_property
    def model(self) -> ImplicitModel:
        """Its model."""
        return self.result.model

    @property
    def gap(self) -> float:
        """The largest relative duality gap of a block, of both."""
        both = [self.penalised] if self.refitted is None else [self.penalised, self.refitted]
        return max(c.relative_gap for result in both for c in result.certificates.values())

    @property
    def in_words(self) -> str:
        """Its size."""
        return f"{entries(self.model)['A']} entries of A"

    @property
    def row(self) -> dict[str, float | str]:
        """What the table says of it."""
        structure, found = self.model.structure(), entries(self.model)
        row: dict[str, float | str] = {
            "kappa_A": self.kappa_A,
            "A": found["A"],
            "total": sum(found.values()),
            "on cycles": sum(map(len, structure.cycles)),
            "stages": structure.depth,
            "objective": self.penalised.objective,
            "loss": self.penalised.problem.mean_loss(self.penalised.iterate),
        }
        if self.refitted is not None:
            row["refitted loss"] = self.refitted.problem.mean_loss(self.refitted.iterate)
        row |= dict(zip(("unseen loss", "refitted unseen loss"), self.unseen_losses, strict=False))
        return row | {"gap": self.gap, "status": self.result.status.name}


@dataclass(frozen=True, eq=False, repr=False)
class ArchitecturePath(Sequence[FoundArchitecture]):
    """Architectures along decreasing weights: ``path[k]`` is one of them, ``path.model(k)`` its model.

    Attributes
    ----------
    problem : TrainingProblem
    found : tuple of FoundArchitecture
        One for each weight, warm-started from the one before.
    least_empty : float
        The least weight at which A = 0 is stationary, for the best model with A = 0 that training found.
    cut_short : Status or None
        INTERRUPTED or TIME_LIMIT if that ended the path early.
    """

    problem: TrainingProblem
    found: tuple[FoundArchitecture, ...]
    least_empty: float
    cut_short: Status | None = None

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, k):
        return self.found[k]

    @property
    def kappas(self) -> np.ndarray:
        """The weights, shape (n_kappas,), decreasing."""
        return np.array([each.kappa_A for each in self.found])

    def model(self, k: int) -> ImplicitModel:
        """The model at the k-th weight: the refitted one, unless the path has ``refit=False``.

        Raises
        ------
        InvalidInputError
            The index is out of range.
        """
        n = len(self)
        remedy = f"The path has {n} models: give a place from 0 to {n - 1}, or from -{n} to count from its end"
        return self.found[check_number("k", k, -n, n - 1, integer=True, remedy=remedy)].model

    def smallest(self, tolerance: float = 0.05) -> int:
        """Index of the model with the fewest entries of A whose unseen loss is within ``tolerance`` of the least.

        Parameters
        ----------
        tolerance : float
            A share of the smallest loss.

        Raises
        ------
        InvalidInputError
            The path was computed without unseen samples.
        """
        tolerance = check_number("tolerance", tolerance, 0, remedy="Give a share of the loss, such as 0.05")
        losses = np.array([each.unseen_losses[-1] if each.unseen_losses else np.nan for each in self.found])
        if np.isnan(losses).all():
            raise InvalidInputError("unseen", "was not given", "Compute the path with unseen=(U, Y)")
        good = np.flatnonzero(losses <= losses.min() * (1 + tolerance))
        return int(min(good, key=lambda k: entries(self.found[k].model)["A"]))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each weight: entries of A and of all, states on cycles, stages, objective, losses, gap, status.

        The objective uses the row's own reweighted weights, so compare rows by their losses, not by the objective.
        """
        return pd.DataFrame([each.row for each in self.found])

    def __repr__(self) -> str:
        sizes = self.table["A"]
        ended = "" if self.cut_short is None else f", {self.cut_short.cause}"
        return (
            f"ArchitecturePath({len(self)} weights, {self.kappas[0]:.3g} to {self.kappas[-1]:.3g}; {sizes.iloc[0]} to "
            f"{sizes.iloc[-1]} of {self.problem.n_hidden**2} entries of A{ended})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "hidden features": f"{self.problem.n_hidden}, {self.problem.activation.name}",
            "least weight with A = 0": f"{self.least_empty:.4g}",
        }
        return facts_and_table("ArchitecturePath", facts | ended_early(self.cut_short), self.table)
