"""What one run of the feature-selection experiment found, and what its report holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.selection.choice import Selection
from bcd_implicit.selection.path import PathResult
from bcd_implicit.terms.penalties import column_norms
from bcd_implicit.training.result import Status


@dataclass(frozen=True)
class FeatureSelection:
    """One run of the experiment.

    Attributes
    ----------
    title : str
    path : PathResult
    selection : Selection
    model : ImplicitModel
        The refit on the chosen inputs; takes raw inputs.
    true_norms : ndarray of shape (p,) or None
        Column norms of the generating B, where there is one.
    test_r2, test_accuracy, test_d2, test_log_loss : float or None
        On samples that took no part, as in :class:`~bcd_implicit.experiments.scores.Scores`.
    ridge_r2, ridge_accuracy : float or None
        The same of a ridge regression on all columns, for comparison; cross-validation chooses its weight.
    seconds : float
    """

    title: str
    path: PathResult
    selection: Selection
    model: ImplicitModel
    true_norms: np.ndarray | None
    test_r2: float
    ridge_r2: float
    seconds: float
    test_accuracy: float | None = None
    ridge_accuracy: float | None = None
    test_d2: float | None = None
    test_log_loss: float | None = None

    @property
    def status(self) -> Status:
        """INTERRUPTED or TIME_LIMIT where that ended the path or the choice early; else that of the refit."""
        return self.path.cut_short or self.selection.status

    @property
    def learned_norms(self) -> np.ndarray:
        """Column norms of B at the point of the path that has the chosen inputs or is nearest, before the refit."""
        return self.path.column_norms[self.selection.index]

    @property
    def refit_norms(self) -> np.ndarray:
        """The same after the refit, in the same units: those of training."""
        found = column_norms(self.path.problem.grouped(self.selection.result.iterate))
        support, norms = self.selection.support, np.zeros(len(self.selection.support))
        # The best constant has a column for every input.
        norms[support] = found if support.any() else []
        return norms

    @property
    def report(self) -> dict[str, Any]:
        """What ``report.json`` holds.

        ``selected`` and ``true`` are indices for generated data and names for tables (``true`` null there);
        ``how`` says in words what was chosen where, and ``why`` for each input (or group) why it was kept or dropped;
        ``changed_by_tests`` names what the score tests added to the choice and took from it; ``chosen_kappa`` is the
        kappa at which the rule chose (null where it chose no support of the path), and ``kappa`` that of the path's
        point with the selected inputs, or nearest to them where ``on_path`` is false; ``kappas`` and ``n_selected`` run
        along the path.
        """
        chosen, synthetic = self.selection, self.true_norms is not None
        true = self.true_norms > 0 if self.true_norms is not None else None
        # JSON has no infinity, at which the empty support stands where the path does not reach it.
        beyond = chosen.chosen_kappa == chosen.evidence.path.beyond
        return {
            "selected": np.flatnonzero(chosen.support).tolist() if synthetic else chosen.names,
            "how": chosen.how,
            "why": chosen.explain().why,
            "changed_by_tests": chosen.changed_by_tests,
            "chosen_kappa": None if beyond else chosen.chosen_kappa,
            "on_path": chosen.on_path,
            "true": None if true is None else np.flatnonzero(true).tolist(),
            "exact": None if true is None else bool((chosen.support == true).all()),
            "f1": None if true is None else float(f1_score(true, chosen.support)),
            "kappa": chosen.kappa,
            "kappas": self.path.kappas.tolist(),
            "n_selected": self.path.supports.sum(axis=1).tolist(),
            "test_r2": self.test_r2,
            "ridge_test_r2": self.ridge_r2,
            "test_accuracy": self.test_accuracy,
            "ridge_test_accuracy": self.ridge_accuracy,
            "loss": self.path.problem.loss.name,
            "test_d2": self.test_d2,
            "test_log_loss": self.test_log_loss,
            "seconds": self.seconds,
            "status": chosen.result.status.name,
            "column_norms_learned": self.learned_norms.tolist(),
            "column_norms_true": None if self.true_norms is None else self.true_norms.tolist(),
        }
