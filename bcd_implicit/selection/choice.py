"""The support that was chosen from a path, with its refit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.selection import explanation
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.refits import extend
from bcd_implicit.support.display import facts_table, listed, names_of
from bcd_implicit.support.progress import Progress
from bcd_implicit.support.reasons import Reasons
from bcd_implicit.training.result import BcdResult, Status


@dataclass(frozen=True)
class Selection:
    """The support chosen from a path.

    Attributes
    ----------
    support : ndarray of bool, shape (p,)
        The inputs kept.
    kappa : float
        The first kappa of the path that has this support, or the support nearest to it where none has: see
        ``on_path``. The rule may have chosen another one, ``chosen_kappa``, if score tests changed its choice.
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
    before_tests : ndarray of bool, shape (p,)
        The inputs that the rule chose.
    level : float or None
        Of the score tests.
    evidence : Evidence
        The path, how the choice was made, and what it was made from.
    """

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
        """That of the refit: INTERRUPTED or TIME_LIMIT where that ended the choice early, at any of its steps."""
        return self.result.status

    @property
    def names(self) -> list[str]:
        """Names of the inputs kept."""
        return self._named(self.support)

    @property
    def model(self) -> ImplicitModel:
        """The refitted model. It takes all p inputs; the columns of B and D outside the support are zero."""
        it = self.result.iterate
        # The refit on no input has all of them already, with zeros.
        if it.B.shape[1] < len(self.support):
            it = extend(it, self.support)
        return self.result.problem.model(it, self.input_names)

    @property
    def changed_by_tests(self) -> dict[str, list[str]]:
        """Names of the inputs that the score tests let in ("entered") and sent away ("left") after the rule."""
        entered, left = self.support & ~self.before_tests, self.before_tests & ~self.support
        return {"entered": self._named(entered), "left": self._named(left)}

    @property
    def chosen_kappa(self) -> float | None:
        """The kappa at which the rule chose, before the score tests; None where it chose no support of the path."""
        rows = self.table.loc[self.table["chosen"], "kappa"]
        return float(rows.iloc[0]) if len(rows) and self.rule != "n_features" else None

    @property
    def on_path(self) -> bool:
        """Whether exactly these inputs are in at ``kappa``; if not, that is the nearest point of the path."""
        return bool((self.evidence.path.supports[self.index] == self.support).all())

    @property
    def how(self) -> str:
        """In words what the rule chose at which kappa, and what the score tests changed, with their p-values."""
        return explanation.in_words(self)

    def explain(
        self,
        costs: bool | str = False,
        *,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> Reasons:
        """Why each input was kept or dropped: a line each, in words.

        Each line says up to which kappa of the path the input is in, the p-value of its last score test, and on request
        what leaving it out costs. Printed it is text; ``.table`` has the numbers.

        Parameters
        ----------
        costs : bool or "all"
            True: refit without each selected input, and with each one that the score tests dropped, in the folds of the
            cross-validation, and say by how much the loss on held-out samples grows or falls. It takes about as long as
            the score tests. The inputs were chosen with the help of these samples, so costs are a little too high.
            "all": with every other input too.
        n_jobs, progress, max_seconds
            Of these refits, as in :meth:`bcd_implicit.PathResult.select`. Where time or Ctrl-C ends them, the costs
            found by then are told.

        Returns
        -------
        Reasons
            With a ``table``: input, outcome, why, inputs, selected, by_rule (whether the rule chose it), penalised,
            ever_in (at some kappa of the path), dropped_at (kappa), p_value, p_value_by; with costs also cost (the
            growth of the mean held-out loss without the input, in shares of the best constant's loss), its
            standard_error, error_with and error_without.

        Raises
        ------
        InvalidInputError
            Other ``costs``.
        """
        return explanation.explain(self, costs, n_jobs=n_jobs, progress=progress, max_seconds=max_seconds)

    def _named(self, inputs: np.ndarray) -> list[str]:
        return [name for name, member in zip(self.input_names, inputs, strict=True) if member]

    def __repr__(self) -> str:
        size = f"{int(self.support.sum())} of {len(self.support)} inputs"
        ended = f" {self.status.cause.capitalize()}." if self.status.cut_short else ""
        return f"Selection({size}: {listed(self.names) or 'none'}. {self.how}{ended})"

    def _repr_html_(self) -> str:
        refit = self.result
        ended = {"cut short": f"{self.status.cause}; this is what was decided by then"} if self.status.cut_short else {}
        facts = {
            "inputs selected": names_of(self.input_names, self.support),
            "rule": self.rule,
            **ended,
            "how": self.how,
            "kappa" if self.on_path else "kappa nearest to it on the path": f"{self.kappa:.4g}",
            "refit": f"{refit.problem.n_hidden} hidden features, {refit.problem.activation.name}",
            "its status": self.status.value,
            "its objective": f"{refit.objective:.6g}",
        }
        return facts_table("Selection", facts)


def what_is_there(n_kappas: int, path_ended: Status | None, choice: Status) -> str:
    """In words how far a path and the choice from it came."""
    path = f"the path ends after {n_kappas} kappa{'' if n_kappas == 1 else 's'}" if path_ended else "the path is whole"
    return f"{path}, the choice from it {'was cut short' if choice.cut_short else 'is complete'}"
