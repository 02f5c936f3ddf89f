"""scikit-learn estimators, thin over :func:`~bcd_implicit.solve` and :func:`~bcd_implicit.kappa_path`.

They standardise inputs and targets, so that the same regularisation suits many data sets, and give models back in the
data's own units. Equal samples are merged into one that weighs more, and sorted: a weight of 2 is the same as a sample
twice, to the last bit, and the order of the samples does not matter.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Number
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from bcd_implicit.activations import Activation
from bcd_implicit.bcd import check_loop, solve
from bcd_implicit.constraints.user import UserFunction
from bcd_implicit.data import (
    Standardization,
    check_flag,
    check_number,
    check_sample_weight,
    check_sizes,
    column_names,
    parts,
)
from bcd_implicit.errors import ConvergenceWarning, InvalidInputError
from bcd_implicit.parallel import in_parallel, with_warnings
from bcd_implicit.path import kappa_path
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.progress import Progress, between, show_progress
from bcd_implicit.refits import Refit, cross_validate, has_faded
from bcd_implicit.selection import DEFAULT_RULE, check_rule

# What cross-validation chooses from.
ALPHAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Two folds of two samples.
LEAST_TO_SELECT = 4
# So many whole numbers might be classes.
MOST_CLASSES = 20
CV_OPTIONS = {"method": "prox-linear", "max_cycles": 100, "tol": 1e-2}


class _Standardised(NamedTuple):
    """Standardised samples, each once, with their weights, and the way back to their units."""

    U: np.ndarray
    Y: np.ndarray
    weight: np.ndarray
    scaling: Standardization

    @classmethod
    def merge(
        cls, X: np.ndarray, Y: np.ndarray, sample_weight: ArrayLike | None, with_mean: bool = True
    ) -> _Standardised:
        """Of X (m, p), Y (m, q) or (m,), and weights; divided by the spreads only unless ``with_mean``."""
        check_sizes("X", X)
        check_sizes("y", Y)
        weight = check_sample_weight(sample_weight, len(X))
        rows = np.column_stack([X, Y]).astype(float)[weight > 0]
        rows, place = np.unique(rows, axis=0, return_inverse=True)
        weight = np.bincount(place.ravel(), weight[weight > 0])
        if len(rows) == 1:  # a problem has two samples at least
            rows, weight = np.repeat(rows, 2, axis=0), np.repeat(weight, 2)
        weight /= weight.max()  # so that only ratios matter, to the last bit
        U, Y = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
        scaling = Standardization.fit(U, Y, weight, with_mean)
        return cls(*scaling.apply(U, Y), weight, scaling)


def _seed(random_state: int | np.random.RandomState | None) -> int:
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError:
        cause = f"got {random_state!r}"
        raise InvalidInputError("random_state", cause, "Give a whole number from 0 on, a RandomState or None") from None


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


def _progress_of(verbose: Any) -> bool | Progress:
    if callable(verbose):
        return verbose
    if not isinstance(verbose, (int, np.integer, np.bool_)):
        raise InvalidInputError("verbose", f"got {verbose!r}", "Give True, False, a number or a function")
    return bool(verbose)


def _numbers(y: np.ndarray) -> np.ndarray:
    try:
        return y.astype(float)
    except (TypeError, ValueError):
        raise InvalidInputError("y", "is not a table of numbers", "For classes there is ImplicitClassifier") from None


class _Trained(BaseEstimator):
    """What the regressor and the classifier share: parameters, and training on numeric targets."""

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        activation: str | Activation = "relu",
        alpha: float | Sequence[float] = ALPHAS,
        kappa: float = 0.0,
        norm_bound: float = 0.5,
        fenchel_weight: float = 1.0,
        fit_intercept: bool = True,
        pass_through: bool = True,
        constraints: Sequence[UserFunction] | Mapping[str, UserFunction] = (),
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
    ) -> None:
        self.n_hidden = n_hidden
        self.activation = activation
        self.alpha = alpha
        self.kappa = kappa
        self.norm_bound = norm_bound
        self.fenchel_weight = fenchel_weight
        self.fit_intercept = fit_intercept
        self.pass_through = pass_through
        self.constraints = constraints
        self.method = method
        self.solver = solver
        self.max_cycles = max_cycles
        self.tol = tol
        self.n_folds = n_folds
        self.n_init = n_init
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _train(
        self, X: np.ndarray, Y: np.ndarray, sample_weight: ArrayLike | None, output_names: Sequence[str] | None
    ) -> None:
        """Train on numeric targets of shape (m, q) or (m,)."""
        method, solver, max_cycles, tol = check_loop(self.method, self.solver, self.max_cycles, self.tol)
        n_init = check_number("n_init", self.n_init, 1, integer=True, remedy="Give 1 or more random starts")
        samples = _Standardised.merge(X, Y, sample_weight, check_flag("fit_intercept", self.fit_intercept))
        seed = _seed(self.random_state)
        problem = TrainingProblem(
            samples.U,
            samples.Y,
            self.n_hidden,
            activation=self.activation,
            norm_bound=self.norm_bound,
            kappa=self.kappa,
            fenchel_weight=self.fenchel_weight,
            fit_intercept=self.fit_intercept,
            pass_through=self.pass_through,
            constraints=self.constraints,
            input_names=getattr(self, "feature_names_in_", None),
            output_names=output_names,
            sample_weight=samples.weight,
        )
        with show_progress(_progress_of(self.verbose), "fit") as tell:
            self.alpha_ = self._chosen_alpha(problem, seed, between(tell, 0.0, 0.7))
            problem = problem.replace(ridge=self.alpha_, ridge_hidden=self.alpha_)
            start = self._warm_start(problem, seed)
            starts = [problem.initial(seed + i) for i in range(n_init)] if start is None else [start]
            run = partial(solve, problem, method, solver, max_cycles, tol)
            told = between(tell, 0.7 if self.cv_errors_ else 0.0, 1.0, "start" if len(starts) > 1 else "")
            if len(starts) == 1:
                ends = iter([with_warnings(partial(run, start=starts[0], progress=told), ())])
            else:
                ends = in_parallel(with_warnings, [(partial(run, start=it), ()) for it in starts], self.n_jobs, told)
            self.result_, messages = min(ends, key=lambda end: end[0].objective)
        for message in messages:  # those of the other starts do not matter
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        if (problem.kappa > 0 or problem.constraints) and not self.result_.iterate.B.any():
            warnings.warn(
                f"B = 0 at kappa={problem.kappa:g}{' and these constraints' if problem.constraints else ''}: no input "
                "reaches the state, and the model is linear. Choose a smaller kappa, another random_state or more "
                "starts (n_init).",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.n_iter_ = self.result_.n_cycles
        self.model_ = samples.scaling.raw_model(self.result_.model)

    def _chosen_alpha(self, problem: TrainingProblem, seed: int, on_progress: Progress) -> float:
        self.cv_errors_ = None
        remedy = "Choose 0 or more, or a list to choose from"
        if np.ndim(self.alpha) == 0:
            return check_number("alpha", np.asarray(self.alpha).item(), 0, remedy=remedy)
        alphas = sorted(check_number("alpha", alpha, 0, remedy=remedy) for alpha in np.ravel(self.alpha))
        if not alphas:
            raise InvalidInputError("alpha", "is empty", "Give a number, or a list to choose from")
        n_folds = min(check_number("n_folds", self.n_folds, 2, integer=True), problem.n_samples // 2)
        if len(alphas) == 1 or n_folds < 2:  # three samples cannot be divided: the strongest is the safe one
            return alphas[-1]
        everything = np.ones(problem.n_inputs, dtype=bool)
        # Upwards, as on a path of kappa: a large ridge empties B and C, and the state would be lost to all that follow.
        chain = [Refit(everything, problem.n_hidden, alpha, alpha) for alpha in alphas]
        options = CV_OPTIONS | {"solver": self.solver}
        errors = cross_validate(problem, chain, n_folds, seed, options, self.n_jobs, between(on_progress, 0, 1, "fold"))
        means = problem.mean(errors)
        self.cv_errors_ = dict(zip(alphas, means, strict=True))
        above = errors - errors[means.argmin()]
        return alphas[np.flatnonzero(problem.mean(above) <= problem.standard_error(above))[-1]]

    def _warm_start(self, problem: TrainingProblem, seed: int) -> Iterate | None:
        """Where the last fit ended, if it was of the same kind and its inputs reached the state."""
        if not check_flag("warm_start", self.warm_start) or not hasattr(self, "result_"):
            return None
        it, fresh = self.result_.iterate, problem.shapes
        if any(getattr(it, letter).shape != fresh[letter] for letter in "ABCD"):
            return None
        if self.result_.problem.fit_intercept != problem.fit_intercept:  # other data: centred or not
            return None
        if has_faded(problem, it, problem.initial(seed)):
            return None
        return problem.at_equilibrium(it.replace(X=np.zeros(fresh["X"])))

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the outputs move with each input, shape (n_features,): for SelectFromModel and RFE.

        The root mean square, over samples and outputs, of the derivative of a prediction with respect to the input,
        both in standard deviations (:meth:`bcd_implicit.ImplicitModel.jacobian`).
        """
        check_is_fitted(self, "model_")
        problem, model = self.result_.problem, self.result_.model
        squares = np.zeros(problem.n_inputs)
        for part in parts(problem.n_samples, problem.n_outputs * problem.n_inputs + problem.n_hidden**2):
            slopes = model.jacobian(problem.U.T[part])
            squares += np.einsum("kqp,kqp,k->p", slopes, slopes, problem.shares[part])
        return np.sqrt(squares / problem.n_outputs)

    def _predicted(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self, "model_")
        return self.model_.predict(validate_data(self, X, reset=False, dtype=float))


class ImplicitRegressor(MultiOutputMixin, RegressorMixin, _Trained):
    """Regression by an implicit model with squared loss, for one target or several.

    The property ``feature_importances_``, for SelectFromModel and RFE, says how much predictions move with each input:
    the root mean square of their derivatives over the samples, both in standard deviations.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    activation : str or Activation
    alpha : float or sequence of float
        Ridge on A, B, C and D, in the units of standardised inputs and targets; ``ridge`` and ``ridge_hidden`` of
        :class:`~bcd_implicit.TrainingProblem`. Of several, cross-validation (of prox-linear fits with kappa = 0)
        chooses the largest whose squared error is within a standard error, that of the difference, of the least. Its
        fits stop earlier than the final one, at tol 1e-2. A list takes as many times longer as it has numbers, times
        the folds: give one number where a search around the estimator chooses.
    kappa : float
        Weight of the group lasso on the columns of B. To select inputs use :class:`ImplicitFeatureSelector`.
    norm_bound : float in [0, 1)
        Bound on the largest row sum of absolute values of A.
    fenchel_weight : float
        Only of the method "fenchel".
    fit_intercept, pass_through : bool
        Whether there are b and d; whether there is D. Without intercepts the data are not centred, only scaled.
    constraints : sequence or mapping of functions
        As of :class:`~bcd_implicit.TrainingProblem`. They act on the matrices for standardised inputs and targets.
    method : {"prox-linear", "fenchel"}
    solver : str
        As of :func:`~bcd_implicit.solve`.
    max_cycles, tol
        As of :func:`~bcd_implicit.solve`, of the final fit.
    n_folds : int
        Number of folds for the choice of alpha.
    n_init : int
        So many random starts of the final fit; the one with the least objective is kept. With a warm start there is
        no other.
    warm_start : bool
        Start from the last fit instead of at random, where the sizes and ``fit_intercept`` are the same and its inputs
        still reached the state.
    random_state : int, RandomState or None
        Of the start and of the folds.
    n_jobs : int or None
        Processes for the folds and the starts, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.

    Attributes
    ----------
    model_ : ImplicitModel
        In the data's own units.
    result_ : BcdResult
        History, status and certificates, of the problem with standardised data.
    alpha_ : float
    cv_errors_ : dict or None
        Cross-validated squared error by alpha, in shares of the variance; None where there was no choice to make.
    n_iter_ : int
        Number of cycles.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a data frame.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> ImplicitRegressor().fit(X, y).predict(X).shape
    (442,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.

        Returns
        -------
        ImplicitRegressor
        """
        inputs, targets = validate_data(self, X, y, dtype=float, multi_output=True, ensure_min_samples=2)
        self._is_flat = targets.ndim == 1
        self._train(inputs, _numbers(targets), sample_weight, column_names(y))
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted targets, of the shape that y had.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        predicted = self._predicted(X)
        return predicted[:, 0] if self._is_flat else predicted


class ImplicitClassifier(ClassifierMixin, _Trained):
    """Classification by an implicit model with squared loss on indicator targets.

    The targets are 1 for a sample's class and -1 for the others (one column for two classes), as in
    scikit-learn's ``RidgeClassifier``; the class with the largest prediction is taken.

    The property ``feature_importances_``, for SelectFromModel and RFE, says how much predictions move with each input:
    the root mean square of their derivatives over the samples, both in standard deviations.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    activation : str or Activation
    alpha : float or sequence of float
        Ridge on A, B, C and D, in the units of standardised inputs and targets; ``ridge`` and ``ridge_hidden`` of
        :class:`~bcd_implicit.TrainingProblem`. Of several, cross-validation (of prox-linear fits with kappa = 0)
        chooses the largest whose squared error is within a standard error, that of the difference, of the least. Its
        fits stop earlier than the final one, at tol 1e-2. A list takes as many times longer as it has numbers, times
        the folds: give one number where a search around the estimator chooses.
    kappa : float
        Weight of the group lasso on the columns of B. To select inputs use :class:`ImplicitFeatureSelector`.
    norm_bound : float in [0, 1)
        Bound on the largest row sum of absolute values of A.
    fenchel_weight : float
        Only of the method "fenchel".
    fit_intercept, pass_through : bool
        Whether there are b and d; whether there is D. Without intercepts the data are not centred, only scaled.
    constraints : sequence or mapping of functions
        As of :class:`~bcd_implicit.TrainingProblem`. They act on the matrices for standardised inputs and targets.
    method : {"prox-linear", "fenchel"}
    solver : str
        As of :func:`~bcd_implicit.solve`.
    max_cycles, tol
        As of :func:`~bcd_implicit.solve`, of the final fit.
    n_folds : int
        Number of folds for the choice of alpha.
    n_init : int
        So many random starts of the final fit; the one with the least objective is kept. With a warm start there is
        no other.
    warm_start : bool
        Start from the last fit instead of at random, where the sizes and ``fit_intercept`` are the same and its inputs
        still reached the state.
    random_state : int, RandomState or None
        Of the start and of the folds.
    n_jobs : int or None
        Processes for the folds and the starts, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.

    Attributes
    ----------
    model_ : ImplicitModel
        In the data's own units.
    result_ : BcdResult
        History, status and certificates, of the problem with standardised data.
    alpha_ : float
    cv_errors_ : dict or None
        Cross-validated squared error by alpha, in shares of the variance; None where there was no choice to make.
    n_iter_ : int
        Number of cycles.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X was a data frame.
    classes_ : ndarray of shape (n_classes,)
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.

        Returns
        -------
        ImplicitClassifier
        """
        inputs, labels = validate_data(self, X, y, dtype=float, ensure_min_samples=2)
        check_classification_targets(labels)
        weight = check_sample_weight(sample_weight, len(inputs))
        inputs, labels, weight = (array[weight > 0] for array in (inputs, labels, weight))
        binarizer = LabelBinarizer(neg_label=-1, pos_label=1)
        indicators = binarizer.fit_transform(labels)
        self.classes_ = binarizer.classes_
        if len(self.classes_) < 2:
            cause = f"has one class only, {str(labels[0])!r}, among the samples that have a weight"
            raise InvalidInputError("y", cause, "Give samples of two classes or more")
        names = [str(label) for label in self.classes_]
        self._train(inputs, indicators, weight, names if len(names) > 2 else names[1:])
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Predicted indicators: (n_samples, n_classes), or (n_samples,) for two classes, positive for the second.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        scores = self._predicted(X)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted class labels, shape (n_samples,).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


class ImplicitFeatureSelector(SelectorMixin, BaseEstimator):
    """The inputs that matter, by the group-lasso path of an implicit model.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    n_features_to_select : int or None
        So many inputs, those that stay longest on the path. None: as many as the rule and the score test say.
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
        needs some. 0 leaves the choice as it is.
    random_state : int, RandomState or None
    n_jobs : int or None
        Processes, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.

    Attributes
    ----------
    support_ : ndarray of bool, shape (n_features,)
    leaves_at_ : ndarray of shape (n_features,)
        The kappa from which on an input stays out: the larger, the more it matters.
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

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Select.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers, or class labels that are texts. Class labels that are whole numbers: pass ``y.astype(str)``.
        sample_weight : array-like of shape (n_samples,), optional
            Weights of the samples in the loss.

        Returns
        -------
        ImplicitFeatureSelector
        """
        inputs, targets = validate_data(self, X, y, dtype=float, multi_output=True, ensure_min_samples=2)
        p, remedy = inputs.shape[1], "Between 1 and all inputs"
        n_features, least = self.n_features_to_select, self.min_features_to_select
        if n_features is not None:
            check_number("n_features_to_select", n_features, 1, p, integer=True, remedy=remedy)
        check_number("min_features_to_select", least, 0, p, integer=True, remedy="Between 0 and all inputs")
        check_rule(self.rule, self.level)
        n_folds = check_number("n_folds", self.n_folds, 2, integer=True)
        targets, output_names = _numbers_or_indicators(targets, column_names(y))
        samples = _Standardised.merge(inputs, targets, sample_weight)
        if len(samples.U) < LEAST_TO_SELECT:
            cause = f"has {len(samples.U)} samples that differ and have a weight"
            raise InvalidInputError("X", cause, f"Give {LEAST_TO_SELECT} or more, to divide for cross-validation")
        seed = _seed(self.random_state)
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
        with show_progress(_progress_of(self.verbose), "select") as tell:
            self.path_ = kappa_path(problem, self.n_kappas, random_state=seed, progress=between(tell, 0.0, 0.4))
            select = partial(
                self.path_.select,
                self.rule,
                n_folds=min(n_folds, problem.n_samples // 2),
                level=self.level,
                random_state=seed,
                n_jobs=self.n_jobs,
                progress=between(tell, 0.4, 1.0),
            )
            self.selection_ = select(n_features)
            if (n_found := int(self.selection_.support.sum())) < least:
                # A group enters whole, so it may take more inputs than asked for to have as many.
                enough = next(n for n in range(least, p + 1) if self.path_.longest(n).sum() >= least)
                self.selection_ = select(enough)
                warnings.warn(
                    f"only {n_found} of the inputs stand out, fewer than min_features_to_select={least}: the "
                    f"{int(self.selection_.support.sum())} that stay longest on the path are kept, though the samples "
                    "do not show that they matter.",
                    UserWarning,
                    stacklevel=2,
                )
        self.support_ = self.selection_.support
        self.leaves_at_ = self.path_.leaves_at
        return self

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self, "support_")
        return self.support_
