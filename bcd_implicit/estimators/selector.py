"""Selection of inputs by the group-lasso path of an implicit model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Number
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted, validate_data

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.estimators.base import StandardisedSamples, progress_of, seed_of
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.dependence import warn_if_dependent
from bcd_implicit.selection.path import kappa_path
from bcd_implicit.selection.rules import DEFAULT_RULE, check_rule
from bcd_implicit.selection.sample_groups import check_sample_groups
from bcd_implicit.support.checks import check_number, check_sample_weight, column_names
from bcd_implicit.support.parallel import check_jobs
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.terms.activations import Activation

# Two folds of two samples.
LEAST_TO_SELECT = 4
# So many whole numbers might be classes.
MOST_CLASSES = 20


def _numbers_or_indicators(y: np.ndarray, names: list[str] | None) -> tuple[np.ndarray, list[str] | None]:
    """Numbers as they are, with their names; an indicator column for each class where y holds texts."""
    if y.dtype.kind in "iu" and y.ndim == 1 and 2 < len(np.unique(y)) <= MOST_CLASSES:
        warnings.warn(
            f"y holds {len(np.unique(y))} different whole numbers and they are taken for numbers. If they are classes, "
            "pass y.astype(str); if not, y.astype(float) says so.",
            UserWarning,
            stacklevel=3,
        )
    if y.dtype.kind in "biuf" or all(isinstance(value, Number) for value in y.flat):
        return y.astype(float), names
    try:
        binarizer = LabelBinarizer().fit(y)
        names = [str(label) for label in binarizer.classes_]
        return binarizer.transform(y), names if len(names) > 2 else names[-1:]
    except (TypeError, ValueError):  # several columns of texts, or texts and other things mixed
        raise InvalidInputError("y", "holds neither numbers nor one column of texts", "Give one of these") from None


def _in_order(
    X: np.ndarray, Y: np.ndarray, sample_weight: ArrayLike | None, sample_groups: np.ndarray
) -> tuple[StandardisedSamples, np.ndarray]:
    """Standardised samples and their groups, neither merged nor sorted: those of a group may be a series."""
    weight = check_sample_weight(sample_weight, len(X))
    U, Y, weight, groups = (array[weight > 0] for array in (X, Y, weight, sample_groups))
    Y = Y.reshape(len(U), -1)
    scaling = Standardization.fit(U, Y, weight)
    return StandardisedSamples(*scaling.apply(U, Y), weight, scaling), groups


class ImplicitFeatureSelector(SelectorMixin, BaseEstimator):
    """The inputs that matter, by the group-lasso path of an implicit model.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    n_features_to_select : int or None
        So many inputs, those that stay longest on the path, which ends there. None: as many as the rule and the score
        test say.
    activation : str or Activation
    rule : str
        As of :meth:`bcd_implicit.PathResult.select`.
    level : float or None
        The level of the score tests that correct the rule; None for none.
    norm_bound : float in [0, 1)
    ridge, ridge_hidden : float
        Ridge on (C, D) and on (A, B), for standardised data.
    pass_through : bool
        Whether the model has D. The group lasso then is on the columns of (B; D), so that an input left out has no
        part in the model at all.
    groups, group_weights
        As of :class:`~bcd_implicit.TrainingProblem`: inputs that stay or leave together.
    n_kappas : int
        Length of the path.
    n_folds : int
        Number of folds.
    min_features_to_select : int
        If fewer stand out, as many as stay longest on the path are kept, with a warning: the next step of a pipeline
        needs some. Inputs that are never in on the path are not among them. 0 leaves the choice as it is.
    random_state : int, RandomState or None
    n_jobs : int or None
        Processes, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.

    Attributes
    ----------
    support_ : ndarray of bool, shape (n_features,)
    leaves_at_ : ndarray of shape (n_features,)
        The kappa from which on an input stays out: the larger, the more it matters. Infinite where it is in to the end.
    path_ : PathResult
    selection_ : Selection
        With the refitted model and the table of candidates, for standardised data.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a data frame.
    """

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        n_features_to_select: int | None = None,
        activation: str | Activation = "relu",
        rule: str = DEFAULT_RULE,
        level: float | None = 0.05,
        norm_bound: float = 0.5,
        ridge: float = 1e-2,
        ridge_hidden: float = 1e-4,
        pass_through: bool = False,
        groups: Sequence[Any] | Mapping[str, Sequence[str]] | None = None,
        group_weights: Sequence[float] | Mapping[str, float] | None = None,
        n_kappas: int = 20,
        n_folds: int = 3,
        min_features_to_select: int = 1,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: bool | int | Progress = False,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_features_to_select = n_features_to_select
        self.activation = activation
        self.rule = rule
        self.level = level
        self.norm_bound = norm_bound
        self.ridge = ridge
        self.ridge_hidden = ridge_hidden
        self.pass_through = pass_through
        self.groups = groups
        self.group_weights = group_weights
        self.n_kappas = n_kappas
        self.n_folds = n_folds
        self.min_features_to_select = min_features_to_select
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

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
            Numbers, or class labels that are texts. Class labels that are whole numbers: pass ``y.astype(str)``.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.
        sample_groups : array-like of shape (n_samples,), optional
            A label a sample, equal for those that belong together, as of :meth:`bcd_implicit.PathResult.select`. (The
            parameter ``groups`` is of inputs.) Samples then stay in the order given.

        Returns
        -------
        ImplicitFeatureSelector

        Warns
        -----
        UserWarning
            Samples look as if they belonged together though no ``sample_groups`` were given.
        """
        inputs, targets = validate_data(self, X, y, dtype=float, multi_output=True, ensure_min_samples=2)
        p, remedy = inputs.shape[1], "Between 1 and all inputs"
        n_features, least = self.n_features_to_select, self.min_features_to_select
        if n_features is not None:
            check_number("n_features_to_select", n_features, 1, p, integer=True, remedy=remedy)
        check_number("min_features_to_select", least, 0, p, integer=True, remedy="Between 0 and all inputs")
        check_rule(self.rule, self.level)
        check_jobs(self.n_jobs)
        n_folds = check_number("n_folds", self.n_folds, 2, integer=True)
        targets, output_names = _numbers_or_indicators(targets, column_names(y))
        together = check_sample_groups(sample_groups, len(inputs), n_folds)
        if together is None:
            samples = StandardisedSamples.merge(inputs, targets, sample_weight)
        else:
            samples, together = _in_order(inputs, targets, sample_weight, together)
        if len(samples.U) < LEAST_TO_SELECT:
            cause = f"has {len(samples.U)} samples that differ and have a weight"
            raise InvalidInputError("X", cause, f"Give {LEAST_TO_SELECT} or more, to divide for cross-validation")
        seed = seed_of(self.random_state)
        problem = TrainingProblem(
            samples.U,
            samples.Y,
            self.n_hidden,
            activation=self.activation,
            norm_bound=self.norm_bound,
            ridge=self.ridge,
            ridge_hidden=self.ridge_hidden,
            pass_through=self.pass_through,
            input_names=getattr(self, "feature_names_in_", None),
            output_names=output_names,
            groups=self.groups,
            group_weights=self.group_weights,
            group_over="BD" if self.pass_through else "B",
            sample_weight=samples.weight,
        )
        with show_progress(progress_of(self.verbose), "select") as tell:
            self.path_ = kappa_path(
                problem,
                self.n_kappas,
                random_state=seed,
                n_features=n_features,
                progress=between(tell, 0.0, 0.4),
            )
            select = partial(
                self.path_.select,
                self.rule,
                n_folds=min(n_folds, problem.n_samples // 2),
                level=self.level,
                sample_groups=together,
                random_state=seed,
                n_jobs=self.n_jobs,
                progress=between(tell, 0.4, 1.0),
            )
            self.selection_ = select(n_features)
            if (n_found := int(self.selection_.support.sum())) < least:
                # A group enters whole, so it may take more inputs than asked for to have as many.
                enough = self.path_.enough(least)
                if enough > n_found:
                    self.selection_ = select(enough)
                kept = f"the {enough} that stay longest on the path are kept, though the samples do not show that they"
                warnings.warn(
                    f"only {n_found} of the inputs stand out, fewer than min_features_to_select={least}: "
                    + (f"{kept} matter." if enough else "none is kept, as none was ever in on the path."),
                    UserWarning,
                    stacklevel=2,
                )
        self.support_ = self.selection_.support
        self.leaves_at_ = self.path_.leaves_at
        if together is None:
            U, Y = samples.scaling.apply(inputs, targets.reshape(len(inputs), -1))
            residuals = Y - self.selection_.model.predict(U)
            warn_if_dependent(U.T, Y.T, residuals.T, problem.input_names)
        return self

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_
