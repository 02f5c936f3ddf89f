"""The support that was chosen from a path, as data: what explanations and resampling look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import with_zeros
from bcd_implicit.training.result import BcdResult, Status


@dataclass(frozen=True, repr=False)
class SelectionRecord:
    """The data of a :class:`~bcd_implicit.Selection`, which says what each attribute is."""

    support: np.ndarray
    kappa: float
    index: int
    result: BcdResult
    table: pd.DataFrame
    rule: str
    input_names: list[str]
    tests: pd.DataFrame | None
    before_tests: np.ndarray
    level: float | None
    evidence: Evidence = field(repr=False)

    @property
    def status(self) -> Status:
        """The status of the refit: INTERRUPTED or TIME_LIMIT if the selection ended early, at any step."""
        return self.result.status

    @property
    def names(self) -> list[str]:
        """Names of the inputs kept."""
        return self._named(self.support)

    @property
    def model(self) -> ImplicitModel:
        """The refitted model. It takes all p inputs; the columns of B and D outside the support are zero."""
        model = self.result.model
        # The refit on no input has all of them already, with zeros.
        if len(model.input_names) < len(self.support):
            # In the data's units the columns that are gone are as zero as in the problem's.
            B, D = (with_zeros(matrix, self.support) for matrix in (dense(model.B), dense(model.D)))
            model = model._copy(B=B, D=D, input_names=self.input_names)
        return model

    @property
    def changed_by_tests(self) -> dict[str, list[str]]:
        """Names of the inputs that the score tests added ("entered") and dropped ("left") after the rule."""
        entered, left = self.support & ~self.before_tests, self.before_tests & ~self.support
        return {"entered": self._named(entered), "left": self._named(left)}

    @property
    def chosen_kappa(self) -> float | None:
        """The kappa at which the rule chose, before the score tests; None if it chose no support of the path."""
        rows = self.table.loc[self.table["chosen"], "kappa"]
        return float(rows.iloc[0]) if len(rows) and self.rule != "n_features" else None

    @property
    def on_path(self) -> bool:
        """Whether exactly these inputs are in at ``kappa``; if not, that is the nearest point of the path."""
        return bool((self.evidence.path.supports[self.index] == self.support).all())

    def _named(self, inputs: np.ndarray) -> list[str]:
        return [name for name, member in zip(self.input_names, inputs, strict=True) if member]
