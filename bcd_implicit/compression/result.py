"""What :func:`~bcd_implicit.compress` returns: a path of smaller models."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.compression.change import change_bound
from bcd_implicit.compression.matching import CONSTANT, Task
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import entries
from bcd_implicit.support.display import facts_and_table

# Of predictions, relative to their size: from solvers of states.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class SmallModel:
    """A smaller model, and what is known of it.

    Attributes
    ----------
    alpha : float
    matched : ImplicitModel
        With all states in their old places, also those that nothing depends on any more.
    hidden_gaps : ndarray of shape (n,)
        The relative duality gap of each row of (A, B, b): the largest of all rounds and of the refit. It is relative to
        the row's objective, or to that of the best constant where that is larger.
    output_gaps : ndarray of shape (q,)
        Of the rows of (C, D, d); one for all where a loss couples them.
    units_gap : float or None
        The largest of the problems that chose which states leave, if these left as a whole.
    """

    _task: Task = field(repr=False)
    alpha: float
    matched: ImplicitModel
    hidden_gaps: np.ndarray = field(repr=False)
    output_gaps: np.ndarray = field(repr=False)
    units_gap: float | None = None

    @cached_property
    def model(self) -> ImplicitModel:
        """The same without the states that predictions do without (``matched.pruned()``), to rounding."""
        return self.matched.pruned()

    @cached_property
    def nonzeros(self) -> dict[str, int]:
        """How many entries of A, B, C and D of the model are not zero."""
        return entries(self.model)

    @property
    def n_nonzero(self) -> int:
        """Their sum."""
        return sum(self.nonzeros.values())

    @cached_property
    def share(self) -> float:
        """The same as a share of those of the model that was compressed."""
        return self.n_nonzero / max(sum(entries(self._task.model).values()), 1)

    @property
    def gap(self) -> float:
        """The largest relative duality gap of a row, or of what chose the states."""
        rows = float(self.hidden_gaps.max(initial=0.0)), float(self.output_gaps.max(initial=0.0))
        return max(*rows, self.units_gap or 0.0)

    @cached_property
    def _predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the model and of the smaller one at the samples, shapes (m, q)."""
        U = self._task.U.T
        return self._task.model.outputs(U), self.matched.outputs(U)

    @property
    def r2(self) -> float:
        """The share of the predictions' variance, over all outputs, that the smaller model gives back; at most 1.

        If predictions do not vary but by rounding, it is 1 if they are the same to rounding, and else 0.
        """
        before, after = self._predictions
        lost, all_of_it = np.linalg.norm(after - before), np.linalg.norm(before - before.mean(axis=0))
        size = float(np.linalg.norm(before))
        if all_of_it > CONSTANT * size:
            return float(1 - (lost / all_of_it) ** 2)
        return float(lost <= ROUNDING * size)

    @property
    def agreement(self) -> float:
        """The share of samples for which the largest output is the same; of one output, its sign."""
        before, after = (p.argmax(axis=1) if p.shape[1] > 1 else p[:, 0] > 0 for p in self._predictions)
        return float(np.mean(before == after))

    @cached_property
    def certified_change(self) -> np.ndarray:
        """For each sample and output a bound on the prediction's change: shape (m, q)."""
        return self.change_bound(self._task.U.T)

    def change_bound(self, U: ArrayLike) -> np.ndarray:
        """The same at any inputs U (m, p): shape (m, q)."""
        return change_bound(self._task.model, self.matched, U)

    @property
    def row(self) -> dict[str, float]:
        """What the table says of it."""
        before, after = self._predictions
        return {
            "alpha": self.alpha,
            **self.nonzeros,
            "total": self.n_nonzero,
            "share": self.share,
            "states": self.model.n_hidden,
            "R2": self.r2,
            "agreement": self.agreement,
            "largest change": float(np.abs(after - before).max()),
            "certified change": float(self.certified_change.max()),
            "gap": self.gap,
        }


@dataclass(frozen=True, eq=False, repr=False)
class Compression:
    """A path of smaller models, by increasing alpha, and the chosen one.

    Attributes
    ----------
    original : ImplicitModel
    path : tuple of SmallModel
    chosen : int
        Index of the chosen model in the path.
    """

    original: ImplicitModel
    path: tuple[SmallModel, ...]
    chosen: int
    _task: Task = field(repr=False)

    @property
    def small(self) -> SmallModel:
        """The chosen model, with its gaps and bounds."""
        return self.path[self.chosen]

    @property
    def model(self) -> ImplicitModel:
        """The chosen model, without states that predictions do not need."""
        return self.small.model

    def change_bound(self, U: ArrayLike) -> np.ndarray:
        """For each sample and output, a bound on how far the chosen model's prediction is from the original's.

        Parameters
        ----------
        U : array-like of shape (m, p)
            Any inputs.

        Returns
        -------
        ndarray of shape (m, q)
        """
        return self.small.change_bound(U)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per model: nonzero entries, states, R2 and agreement with the original's predictions, change, gap."""
        return pd.DataFrame([point.row for point in self.path])

    def __repr__(self) -> str:
        return (
            f"Compression({len(self.path)} models; chosen: alpha={self.small.alpha:.3g}, "
            f"{self.small.n_nonzero} of {sum(entries(self.original).values())} entries, "
            f"{self.model.n_hidden} of {self.original.n_hidden} states, R2={self.small.r2:.4f})"
        )

    def _repr_html_(self) -> str:
        facts = {
            "entries": f"{self.small.n_nonzero} of {sum(entries(self.original).values())}",
            "states": f"{self.model.n_hidden} of {self.original.n_hidden}",
            "alpha": f"{self.small.alpha:.4g}, of {len(self.path)}",
            "removed, matched by": f"{self._task.remove}, {self._task.matching}",
            "largest relative gap of a row": f"{self.small.gap:.1e}",
        }
        return facts_and_table("Compression", facts, self.table)
