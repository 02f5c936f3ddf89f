"""Selection of inputs by the group-lasso path of an implicit model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.estimators.base import StandardisedSamples, seed_of
from bcd_implicit.estimators.data import (
    check_logistic,
    keep_names,
    numbers_or_indicators,
    read_new_inputs,
    with_names_of_one_kind,
)
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.choice import what_is_there
from bcd_implicit.selection.dependence import warn_if_dependent
from bcd_implicit.selection.path import kappa_path
from bcd_implicit.selection.rules import check_rule
from bcd_implicit.selection.sample_groups import check_sample_groups
from bcd_implicit.support.arrays import Samples
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.choices import AUTO_LEVEL
from bcd_implicit.support.interruption import check_max_seconds, stoppable
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.parallel import check_jobs
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.support.reasons import Reasons
from bcd_implicit.support.samples import check_sample_weight, read_inputs
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.losses import LOSSES, Loss, get_loss

# The share of the time that the path may take.
PATH_SHARE = 0.5
# Two folds of two samples.
LEAST_TO_SELECT = 4
AUTO = "auto"
# Of losses: whether the values of one column are classes, or (None) categories and words are. Others are of numbers.
ARE_CLASSES: dict[str, bool | None] = {"cross-entropy": True, "logistic": None, "squared": None}


def _read_targets(y: ArrayLike, inputs: Samples, loss: str | Loss) -> tuple[np.ndarray, list[str] | None, Loss]:
    """Targets, shape (m, q), their names, and the loss that suits them: of several classes the cross-entropy."""
    auto = isinstance(loss, str) and loss == AUTO
    known = get_loss("squared" if auto else loss)
    targets, names, are_classes = numbers_or_indicators(y, inputs, ARE_CLASSES.get(known.name, False))
    targets = targets.reshape(len(targets), -1)
    if are_classes and not auto:
        check_logistic(known, max(2, targets.shape[1]))
    if are_classes and (auto or not known.quadratic):
        known = LOSSES["cross-entropy" if targets.shape[1] > 1 else "logistic"]
    known.check_targets(targets.T, names or [f"y{j}" for j in range(targets.shape[1])], "y")
    return targets, names, known


def _in_order(
    X: np.ndarray, Y: np.ndarray, sample_weight: ArrayLike | None, sample_groups: np.ndarray, loss: Loss
) -> tuple[StandardisedSamples, np.ndarray]:
    """Standardised samples and their groups, neither merged nor sorted: those of a group may be a series."""
    weight = check_sample_weight(sample_weight, len(X))
    U, Y, weight, groups = (array[weight > 0] for array in (X, Y, weight, sample_groups))
    scaling = Standardization.fit(U, Y, weight, loss=loss)
    return StandardisedSamples(*scaling.apply(U, Y), weight, scaling), groups


class ImplicitFeatureSelector(SelectorMixin, BaseEstimator):
    """Select the inputs that matter, by the group-lasso path of an implicit model.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    n_features_to_select : int or None
        Select exactly this many inputs: those that stay longest on the path, which ends there. None: the rule and the
        score tests decide.
    loss : "auto", str or Loss
        The loss for training and evaluation. "auto" is the cross-entropy for classes (the logistic loss for two) and
        the squared loss for numbers. For other losses see :class:`~bcd_implicit.TrainingProblem`; "cross-entropy" also
        treats whole numbers as classes.
    activation : str or Activation
    rule : str or None
        As in :meth:`bcd_implicit.PathResult.select`: None is "min". Not with ``n_features_to_select``.
    level : float, "auto" or None
        The level of the score tests that correct the rule; None for no tests. "auto" is 0.05, or no tests with
        ``n_features_to_select``, which cannot be combined with a level.
    norm_bound : float in [0, 1)
    well_posedness : {"inf-norm", "measure"}
    ridge, ridge_hidden : float
        Ridge on (C, D) and on (A, B), for standardised data.
    pass_through : bool
        Whether the model has D. The group lasso then acts on the columns of (B; D), so that a dropped input has no part
        in the model at all.
    groups, group_weights
        As in :class:`~bcd_implicit.TrainingProblem`: inputs that are kept or dropped together.
    n_kappas : int
        Length of the path.
    n_folds : int
        Number of folds.
    max_features, ridges
        As in :meth:`bcd_implicit.PathResult.select`: the largest number of inputs that is tried, and the candidates for
        the ridge of the refits. The path passes quickly over larger supports.
    min_features_to_select : int
        If fewer inputs are selected, this many that stay longest on the path are kept, with a warning, because the next
        step of a pipeline needs some. Inputs that are never on the path are not among them. 0 does not change the
        selection.
    random_state : int, RandomState or None
    n_jobs : int or None
        Processes, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.
    max_seconds : float, optional
        Stop after this many seconds, with a warning and the result so far; Ctrl-C does the same. The path may use half
        of the time.

    Attributes
    ----------
    support_ : ndarray of bool, shape (n_features,)
    leaves_at_ : ndarray of shape (n_features,)
        The kappa from which on an input is out: the larger, the more it matters. Infinite if it is in to the end.
    path_ : PathResult
    selection_ : Selection
        The refitted model and the table of candidates, for standardised data.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Set if X was a data frame.
    """

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        n_features_to_select: int | None = None,
        loss: str | Loss = AUTO,
        activation: str | Activation = "relu",
        rule: str | None = None,
        level: float | Literal["auto"] | None = AUTO_LEVEL,
        norm_bound: float = 0.5,
        well_posedness: str = "inf-norm",
        ridge: float = 1e-2,
        ridge_hidden: float = 1e-4,
        pass_through: bool = False,
        groups: Sequence[Any] | Mapping[str, Sequence[str]] | None = None,
        group_weights: Sequence[float] | Mapping[str, float] | None = None,
        n_kappas: int = 20,
        n_folds: int = 3,
        max_features: int | None = None,
        ridges: Sequence[float] | None = None,
        min_features_to_select: int = 1,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: bool | int | Progress = False,
        max_seconds: float | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_features_to_select = n_features_to_select
        self.loss = loss
        self.activation = activation
        self.rule = rule
        self.level = level
        self.norm_bound = norm_bound
        self.well_posedness = well_posedness
        self.ridge = ridge
        self.ridge_hidden = ridge_hidden
        self.pass_through = pass_through
        self.groups = groups
        self.group_weights = group_weights
        self.n_kappas = n_kappas
        self.n_folds = n_folds
        self.max_features = max_features
        self.ridges = ridges
        self.min_features_to_select = min_features_to_select
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_seconds = max_seconds

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        sample_groups: ArrayLike | None = None,
    ) -> Self:
        """Select.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers, also as text; or class labels: words, or of pandas' type "category". Class labels that are whole
            numbers: pass ``pandas.Series(y, dtype="category")``, or choose ``loss="cross-entropy"``.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.
        sample_groups : array-like of shape (n_samples,), optional
            One label per sample, equal for samples that belong together, as in :meth:`bcd_implicit.PathResult.select`.
            (The parameter ``groups`` is for inputs.) Samples are then not shuffled.

        Returns
        -------
        ImplicitFeatureSelector

        Warns
        -----
        UserWarning
            Samples look as if they belong together, but no ``sample_groups`` were given.
        """
        inputs = read_inputs("X", X)
        targets, output_names, loss = _read_targets(y, inputs, self.loss)
        keep_names(self, inputs)
        p, remedy = inputs.values.shape[1], "Give a number from 1 to the number of inputs"
        n_features, least = self.n_features_to_select, self.min_features_to_select
        if n_features is not None:
            check_number("n_features_to_select", n_features, 1, p, integer=True, remedy=remedy)
        check_number(
            "min_features_to_select", least, 0, p, integer=True, remedy="Give a number from 0 to the number of inputs"
        )
        check_rule(self.rule, self.level, n_features, "n_features_to_select")
        check_jobs(self.n_jobs)
        n_folds = check_number("n_folds", self.n_folds, 2, integer=True, remedy="Give 2 or more folds")
        together = check_sample_groups(sample_groups, len(inputs.values), n_folds)
        if together is None:
            samples = StandardisedSamples.merge(inputs.values, targets, sample_weight, loss=loss)
        else:
            samples, together = _in_order(inputs.values, targets, sample_weight, together, loss)
        if len(samples.U) < LEAST_TO_SELECT:
            # One that merging has left stands there twice.
            all_equal = not (np.ptp(samples.U, axis=0).any() or np.ptp(samples.Y, axis=0).any())
            cause = f"has {'no' if all_equal else len(samples.U)} samples that differ and have a weight"
            raise InvalidInputError("X", cause, f"Give {LEAST_TO_SELECT} or more, for cross-validation")
        seed = seed_of(self.random_state)
        problem = TrainingProblem(
            samples.U,
            samples.Y,
            self.n_hidden,
            activation=self.activation,
            loss=loss,
            norm_bound=self.norm_bound,
            well_posedness=self.well_posedness,
            ridge=self.ridge,
            ridge_hidden=self.ridge_hidden,
            pass_through=self.pass_through,
            input_names=inputs.names or [f"x{j}" for j in range(p)],  # as get_feature_names_out has them
            output_names=output_names,
            groups=self.groups,
            group_weights=self.group_weights,
            group_over="BD" if self.pass_through else "B",
            sample_weight=samples.weight,
            standardize=False,
        )
        seconds = check_max_seconds(self.max_seconds)
        with stoppable(seconds) as limits, show_progress(self.verbose, "select", "verbose") as tell:
            self.path_ = kappa_path(
                problem,
                self.n_kappas,
                random_state=seed,
                n_features=n_features,
                max_features=self.max_features,
                progress=between(tell, 0.0, 0.4),
                max_seconds=seconds and PATH_SHARE * seconds,
            )
            select = partial(
                self.path_.select,
                n_folds=min(n_folds, problem.n_samples // 2),
                max_features=self.max_features,
                ridges=self.ridges,
                sample_groups=together,
                random_state=seed,
                n_jobs=self.n_jobs,
                progress=between(tell, 0.4, 1.0),
            )
            self.selection_ = select(self.rule, n_features, level=self.level)
            if (n_found := int(self.selection_.support.sum())) < least:
                # A group enters whole, so it may take more inputs than asked for to have as many.
                enough = self.path_.enough(least)
                if enough > n_found:
                    self.selection_ = select(n_features=enough)
                kept = f"the {enough} that stay longest on the path are kept, though the samples do not show that they"
                few = f"only {n_found} of the inputs" if n_found else "none of the inputs"
                few += " stand out" if n_found > 1 else " stands out"
                warnings.warn(
                    f"{few}, fewer than min_features_to_select={least}: "
                    + (f"{kept} matter." if enough else "none is kept, because none was ever on the path."),
                    UserWarning,
                    stacklevel=2,
                )
        if (status := self.path_.cut_short or self.selection_.status).cut_short and limits.outermost:
            reached = what_is_there(len(self.path_.kappas), self.path_.cut_short, self.selection_.status)
            warn_convergence(f"fit: {status.cause}; {reached}.", stacklevel=2)
        self.support_ = self.selection_.support
        self.leaves_at_ = self.path_.leaves_at
        if together is None:
            U, Y = samples.scaling.apply(inputs.values, targets)
            residuals = Y - self.selection_.model.response(U)
            warn_if_dependent(U.T, Y.T, residuals.T, problem.input_names)
        return self

    def transform(self, X: ArrayLike) -> Any:
        """The columns that were selected.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_selected)
            A data frame with its columns' own types where ``set_output`` asks for one.
        """
        check_is_fitted(self, "support_")
        numbers = read_new_inputs(self, X)
        if isinstance(X, pd.DataFrame):
            return super().transform(with_names_of_one_kind(X))
        # Of another library's table scikit-learn would not see the names.
        selected = super().transform(numbers)
        return selected if isinstance(numbers, np.ndarray) else np.asarray(selected)

    def explain(self, costs: bool | str = False) -> Reasons:
        """Why each input was kept or dropped, a line each: as :meth:`bcd_implicit.Selection.explain`.

        Parameters
        ----------
        costs : bool or "all"
            Whether to refit without each input, to report what dropping it costs; this takes a while.

        Returns
        -------
        Reasons
            Print it to read the text; ``.table`` has the numbers. Kappas are those for standardised data.
        """
        check_is_fitted(self, "support_")
        reasons = self.selection_.explain(costs, n_jobs=self.n_jobs, progress=self.verbose)
        if self.n_features_to_select is None and self.selection_.rule == "n_features":
            few = f"Fewer inputs stand out than min_features_to_select={self.min_features_to_select}."
            reasons = replace(reasons, sentences=[few, *reasons.sentences])
        return reasons

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_
