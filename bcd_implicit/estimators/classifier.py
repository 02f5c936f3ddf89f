"""Classification by an implicit model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from bcd_implicit.constraints.checks import Constraints
from bcd_implicit.errors import InvalidInputError, check_choice, shown
from bcd_implicit.estimators.base import ALPHAS, TrainedEstimator
from bcd_implicit.estimators.data import (
    check_given,
    check_logistic,
    class_factors,
    indicators,
    keep_names,
    names_of_indicators,
    read_classes,
    read_labels_of_several,
)
from bcd_implicit.model.inputs import targets_in_order
from bcd_implicit.support.arrays import as_pandas_or_array, read_samples
from bcd_implicit.support.display import listed
from bcd_implicit.support.progress import Progress
from bcd_implicit.support.samples import check_as_many, check_sample_weight, read_inputs
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.losses import LOSSES, Loss, get_loss

# Of the losses.
FOR_CLASSES = ("cross-entropy", "logistic", "squared")


def _knows_probabilities(classifier: ImplicitClassifier) -> bool:
    # What was fitted counts, whatever set_params has said since.
    loss = classifier.result_.problem.loss if hasattr(classifier, "result_") else get_loss(classifier.loss)
    if loss.quadratic:
        raise AttributeError('there are no probabilities with loss="squared": fit with loss="cross-entropy"')
    return True


class ImplicitClassifier(ClassifierMixin, TrainedEstimator):
    """Classification by an implicit model: two or more classes, or several labels per sample.

    The loss is the cross-entropy, which for two classes and for each of several labels is the logistic loss. The
    predicted class is the one with the largest probability; a label is predicted if its probability is above one half.

    The property ``feature_importances_``, for SelectFromModel and RFE, measures how much predictions move with each
    input: the root mean square of their derivatives over the samples, both in standard deviations.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    loss : {"cross-entropy", "logistic", "squared"} or Loss
        "logistic" is the same as "cross-entropy" for two classes and for several labels. "squared" is least squares on
        targets of 1 for a sample's class and -1 for the others (one column for two classes), as in scikit-learn's
        ``RidgeClassifier``: it is faster, but has no probabilities.
    class_weight : None, "balanced" or dict
        Multiplies the weights of each class's samples: "balanced" gives all classes the same weight together. A
        dictionary may name classes that are not in y (as in a fold), but must name all that are.
    activation : str or Activation
    alpha : float or sequence of float
        Ridge on A, B, C and D, in the units of standardised inputs; ``ridge`` and ``ridge_hidden`` of
        :class:`~bcd_implicit.TrainingProblem`. From a list, cross-validation (of prox-linear fits with kappa = 0)
        chooses the largest value whose mean loss is within one standard error (of the difference) of the smallest.
        These fits stop earlier than the final one, at tol 3e-2. The time grows with the length of the list times the
        number of folds: give one number if an outer search chooses alpha.
    kappa : float
        Weight of the group lasso on the columns of B. To select inputs use :class:`ImplicitFeatureSelector`.
    norm_bound : float in [0, 1)
        Bound on the contraction factor: the largest row sum of absolute values of A, times the activation's largest
        slope (1/4 for sigmoid, else 1). With a ``pattern``, only entries inside its cycles count.
    well_posedness : {"inf-norm", "measure"}
        With "measure", row sums use the diagonal entries of A instead of their absolute values, which allows more
        matrices A.
    fenchel_weight : float or array-like of shape (n_hidden,)
        Only for the method "fenchel": the weight of its relaxed equilibrium, or one for each hidden feature.
    fit_intercept, pass_through : bool
        Whether the model has b and d, and whether it has D. Without intercepts the data are not centred, only scaled.
    constraints : function, str, or sequence or mapping of these
        As in :class:`~bcd_implicit.TrainingProblem`. They apply to the matrices for standardised inputs and targets.
    pattern : mapping from "A", "B", "C", "D" to masks, or ImplicitModel, optional
        Which entries are free, as in :class:`~bcd_implicit.TrainingProblem`; the others are zero.
    method : {"prox-linear", "fenchel", "gradient"}
        As in :func:`~bcd_implicit.solve`; "gradient" with its default options.
    solver : str
        As in :func:`~bcd_implicit.solve`.
    max_cycles, tol
        As in :func:`~bcd_implicit.solve`, for the final fit.
    n_folds : int
        Number of folds for the choice of alpha.
    n_init : int
        Number of random starts of the final fit. All are trained to ten times ``tol``; the one with the smallest
        objective is trained further. A warm start is used alone.
    warm_start : bool
        Start from the last fit instead of at random, if the sizes and ``fit_intercept`` are the same and the last fit
        uses its inputs (B is not zero).
    random_state : int, RandomState or None
        Seed of the start and of the folds.
    n_jobs : int or None
        Processes for the folds and the starts, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.
    max_seconds : float, optional
        Stop after this many seconds, with a warning and the best fit so far; Ctrl-C does the same. The choice of alpha
        may use 70 % of the time; if it needs more, the middle alpha is used.

    Attributes
    ----------
    model_ : ImplicitModel
        The trained model, in the data's own units.
    result_ : BcdResult
        History, status and certificates, for the problem with standardised data.
    alpha_ : float
    cv_errors_ : dict or None
        Cross-validated loss by alpha, as a share of the loss of the best constant; None if there was no choice to make.
    n_iter_ : int
        Number of cycles of the last solve; with several starts, those after the comparison.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Set if X was a data frame.
    classes_ : ndarray of shape (n_classes,)
        With several labels, their indices: 0, 1, ...
    """

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        loss: str | Loss = "cross-entropy",
        class_weight: str | Mapping[Any, float] | None = None,
        activation: str | Activation = "relu",
        alpha: float | Sequence[float] = ALPHAS,
        kappa: float = 0.0,
        norm_bound: float = 0.5,
        well_posedness: str = "inf-norm",
        fenchel_weight: float | ArrayLike = 1.0,
        fit_intercept: bool = True,
        pass_through: bool = True,
        constraints: Constraints = (),
        pattern: Any = None,
        method: str = "prox-linear",
        solver: str = "auto",
        max_cycles: int = 200,
        tol: float = 1e-4,
        n_folds: int = 5,
        n_init: int = 3,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: bool | int | Progress = False,
        max_seconds: float | None = None,
    ) -> None:
        super().__init__(
            n_hidden,
            activation=activation,
            alpha=alpha,
            kappa=kappa,
            norm_bound=norm_bound,
            well_posedness=well_posedness,
            fenchel_weight=fenchel_weight,
            fit_intercept=fit_intercept,
            pass_through=pass_through,
            constraints=constraints,
            pattern=pattern,
            method=method,
            solver=solver,
            max_cycles=max_cycles,
            tol=tol,
            n_folds=n_folds,
            n_init=n_init,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
            max_seconds=max_seconds,
        )
        self.loss = loss
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_labels)
            Class labels. If a sample may have several labels, a column of 0 and 1 for each label.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.

        Returns
        -------
        ImplicitClassifier
        """
        inputs = read_inputs("X", X)
        several = read_labels_of_several(y, inputs)
        labels = read_classes(y, inputs) if several is None else several.values
        keep_names(self, inputs)
        weight = check_sample_weight(sample_weight, len(labels))
        if several is None:
            weight = weight * class_factors(self.class_weight, labels, weight)
        elif self.class_weight is not None:
            cause = f"is {shown(self.class_weight)}, for one class per sample, but y has {labels.shape[1]} labels"
            raise InvalidInputError("class_weight", cause, "Omit it, and weight samples with sample_weight in fit")
        values, labels, weight = (array[weight > 0] for array in (inputs.values, labels, weight))
        targets, self.classes_ = indicators(labels)
        names = names_of_indicators(self.classes_) if several is None else several.names
        loss = self._known_loss(several is not None)
        self._has_several = several is not None
        self._train(inputs._replace(values=values), 2 * targets - 1 if loss.quadratic else targets, weight, names, loss)
        return self

    def _known_loss(self, has_several: bool) -> Loss:
        """The loss for ``classes_``, which are labels that a sample ``has_several`` of or not."""
        if isinstance(self.loss, str) and self.loss not in LOSSES:
            check_choice("loss", self.loss, FOR_CLASSES)
        loss = get_loss(self.loss)
        if loss.name not in FOR_CLASSES:
            raise InvalidInputError(
                "loss", f"{loss.name!r} is not a loss for classes", f"Use one of {', '.join(FOR_CLASSES)}"
            )
        one_a_column = has_several or len(self.classes_) == 2
        check_logistic(loss, 2 if one_a_column else len(self.classes_))
        return LOSSES["logistic"] if loss.name == "cross-entropy" and one_a_column else loss

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Raw outputs of the model: (n_samples, n_classes), or (n_samples,) for two classes, positive for the second.

        For two classes or several labels these are log odds; for more classes, log probabilities up to a constant; for
        the squared loss, predicted indicators.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        inputs = self._new_inputs(X)
        scores = self.model_.outputs(inputs)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted classes, shape (n_samples,); with several labels, 0 or 1 for each, shape (n_samples, n_labels).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        scores = self.decision_function(X)
        if self._has_several:
            return (scores > 0).astype(int)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Share of samples predicted correctly; with several labels, all labels of a sample must be correct.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), or (n_samples, n_labels)
            With several labels, the columns of a data frame are matched by name.
        sample_weight : array-like of shape (n_samples,), optional

        Raises
        ------
        InvalidInputError
            A different number of samples or labels.
        """
        predicted = self.predict(X)
        y = self._new_labels(y, len(predicted))
        weight = None if sample_weight is None else check_sample_weight(sample_weight, len(predicted))
        return float(super().score(X, y, weight))

    def _new_labels(self, y: ArrayLike, n_samples: int) -> Any:
        """Labels like those of the fit, several in its order of columns."""
        given, n_labels = check_given(y), len(self.model_.d)
        if self._has_several:
            labels = targets_in_order("y", given, self.model_.output_names)
        else:
            labels = as_pandas_or_array("y", given)
        check_as_many("y", len(labels), n_samples)
        if labels.shape[1:] not in (((n_labels,),) if self._has_several else ((), (1,))):
            wanted = f"{n_labels} columns, one for each label" if self._has_several else "one column"
            cause = f"has shape {labels.shape}, but the classifier was fitted on {wanted}"
            raise InvalidInputError("y", cause, "Pass labels as to fit")
        return labels

    def _explained(self) -> str | None:
        return "labels" if self._has_several else "class"

    def _new_targets(self, y: ArrayLike, n_samples: int) -> np.ndarray:
        labels = np.asarray(self._new_labels(y, n_samples))
        if self._has_several:
            found = read_samples("y", labels).values
        else:
            found = (labels.reshape(-1, 1) == self.classes_).astype(float)
            if (unknown := found.sum(axis=1) == 0).any():
                cause = f"has the class {shown(labels.ravel()[unknown][0])}, which was not in the training data"
                raise InvalidInputError("y", cause, f"The classes are {listed(list(map(shown, self.classes_)))}")
            found = found if found.shape[1] > 2 else found[:, 1:]
        return 2 * found - 1 if self.result_.problem.loss.quadratic else found

    @available_if(_knows_probabilities)
    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities of the classes, or of each label, shape (n_samples, n_classes); not for the squared loss.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        return np.exp(self.predict_log_proba(X))

    @available_if(_knows_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithms of :meth:`predict_proba`, accurate also where a probability is next to 0 or 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return log_expit(np.column_stack([-scores, scores]))
        return log_expit(scores) if self._has_several else log_softmax(scores, axis=1)
