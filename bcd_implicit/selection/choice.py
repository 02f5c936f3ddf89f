"""The support that was chosen from a path, with its refit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.selection.refits import with_zeros
from bcd_implicit.support.display import facts_table, names_of
from bcd_implicit.training.result import BcdResult, Status


@dataclass(frozen=True)
class Selection:
    """The support chosen from a path.

    Attributes
    ----------
    support : ndarray of bool, shape (p,)
        The inputs kept.
    kappa : float
        The first kappa of the path that has this support, or the support nearest to it where none has.
    index : int
        Its place on the path.
    result : BcdResult
        The refit on the support alone, without group lasso, on all samples; for an empty support the best constant.
    table : DataFrame
        A row a candidate: kappa, n_selected, what the rule looked at, chosen (before the score tests), inputs. The
        rules by cross-validation show error with its standard error, and by how much it is above the best one's, with
        the standard error of that.
    rule : str
        Or "n_features" where their number was given.
    input_names : list of str
    tests : DataFrame or None
        The score tests, a row each: inputs (names; a group is tested as one), asked ("enter" next to the support, or
        "stay" next to the others of it), p_value (for all inputs together, to be compared with ``level``, or a fifth of
        it to enter) and by ("formula", or "permutation" where that is doubtful or samples belong together). Of inputs
        that were tested several times the last answer. None where there were no tests.
    """

    support: np.ndarray
    kappa: float
    index: int
    result: BcdResult
    table: pd.DataFrame
    rule: str
    input_names: list[str]
    tests: pd.DataFrame | None = None

    @property
    def status(self) -> Status:
        """That of the refit: INTERRUPTED or TIME_LIMIT where that ended the choice early, at any of its steps."""
        return self.result.status

    @property
    def names(self) -> list[str]:
        """Names of the inputs kept."""
        return [name for name, kept in zip(self.input_names, self.support, strict=True) if kept]

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
        """Names of the inputs that the score tests let in ("entered") and sent away ("left") after the rule."""
        rows = self.table.loc[self.table["chosen"], "inputs"]
        # A support that is no candidate, as after n_features or "stability", has no row.
        before = list(rows.iloc[0]) if len(rows) else self.names
        return {
            "entered": [name for name in self.names if name not in before],
            "left": [name for name in before if name not in self.names],
        }

    def __repr__(self) -> str:
        size = f"{int(self.support.sum())} of {len(self.support)}"
        ended = f", {self.status.cause}" if self.status.cut_short else ""
        return f"Selection(kappa={self.kappa:.4g}, selected {size}: {self.names}{ended})"

    def _repr_html_(self) -> str:
        refit = self.result
        ended = {"cut short": f"{self.status.cause}; this is what was decided by then"} if self.status.cut_short else {}
        facts = {
            "inputs selected": names_of(self.input_names, self.support),
            "rule": self.rule,
            **ended,
            **{f"{how} after score tests": ", ".join(names) for how, names in self.changed_by_tests.items() if names},
            "kappa": f"{self.kappa:.4g}",
            "refit": f"{refit.problem.n_hidden} hidden features, {refit.problem.activation.name}",
            "its status": self.status.value,
            "its objective": f"{refit.objective:.6g}",
        }
        return facts_table("Selection", facts)


def what_is_there(n_kappas: int, path_ended: Status | None, choice: Status) -> str:
    """In words how far a path and the choice from it came."""
    path = f"the path ends after {n_kappas} kappa{'' if n_kappas == 1 else 's'}" if path_ended else "the path is whole"
    return f"{path}, the choice from it {'was cut short' if choice.cut_short else 'is complete'}"
