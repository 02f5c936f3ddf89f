"""Regression by an implicit model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin

from bcd_implicit.constraints.checks import Constraints
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.estimators.base import ALPHAS, TrainedEstimator
from bcd_implicit.estimators.data import check_given, keep_names
from bcd_implicit.model.inputs import targets_of
from bcd_implicit.support.arrays import Samples
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.progress import Progress
from bcd_implicit.support.samples import check_as_many, check_sample_weight, read_inputs, read_targets
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.losses import HuberLoss, Loss, QuantileLoss, get_loss

# The defaults.
QUANTILE, HUBER_THRESHOLD = 0.5, 1.0


class ImplicitRegressor(MultiOutputMixin, RegressorMixin, TrainedEstimator):
    """Regression by an implicit model, for one target or several: means, medians, quantiles or count rates.

    The property ``feature_importances_``, for SelectFromModel and RFE, measures how much predictions move with each
    input: the root mean square of their derivatives over the samples, both in standard deviations.

    Parameters
    ----------
    n_hidden : int
        Number of hidden features.
    loss : {"squared", "huber", "absolute", "quantile", "poisson", ...} or Loss
        What is predicted. "squared": the mean. "huber": the mean, with less influence of outliers. "absolute": the
        median. "quantile": another quantile. "poisson": the mean of counts or rates, as the exponential of the model's
        output. For other losses see :class:`~bcd_implicit.TrainingProblem`.
    quantile : float in (0, 1)
        The level for the loss "quantile": nine targets in ten are below the quantile of level 0.9. Leave it at the
        default for other losses.
    huber_threshold : float
        Only for the loss "huber": the error beyond which the loss is linear, in standard deviations of the targets. The
        standard deviation is estimated by the median distance from the median, divided by 0.6745, so that outliers do
        not affect it (if that is zero, the usual estimate is used). A :class:`~bcd_implicit.HuberLoss` uses the same
        unit. If the noise is much smaller than the spread of the targets, a smaller threshold reduces the weight of
        outliers.
    activation : str or Activation
    alpha : float or sequence of float
        Ridge on A, B, C and D, in the units of standardised inputs and targets; ``ridge`` and ``ridge_hidden`` of
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
        Cross-validated loss by alpha, as a share of the loss of the best constant (for the squared loss, the variance);
        None if there was no choice to make.
    n_iter_ : int
        Number of cycles of the last solve; with several starts, those after the comparison.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Set if X was a data frame.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> ImplicitRegressor().fit(X, y).predict(X).shape
    (442,)
    """

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        loss: str | Loss = "squared",
        quantile: float = QUANTILE,
        huber_threshold: float = HUBER_THRESHOLD,
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
        self.quantile = quantile
        self.huber_threshold = huber_threshold

    def _known_loss(self) -> Loss:
        remedy = "Choose a level such as 0.9"
        level = check_number("quantile", self.quantile, 0, 1, boundaries="neither", remedy=remedy)
        remedy = "Give a positive number of standard deviations"
        threshold = check_number("huber_threshold", self.huber_threshold, 0, boundaries="neither", remedy=remedy)
        loss = get_loss(self.loss)
        self._check_belongs("quantile", level, QUANTILE, "quantile")
        self._check_belongs("huber_threshold", threshold, HUBER_THRESHOLD, "huber")
        if not isinstance(self.loss, str):
            return loss
        return {"quantile": QuantileLoss(level), "huber": HuberLoss(threshold)}.get(self.loss, loss)

    def _check_belongs(self, argument: str, value: float, default: float, name: str) -> None:
        """Raise an error where a number was chosen that the loss does not look at."""
        if value == default or self.loss == name:
            return
        whose = f'applies only to loss="{name}", but loss is {self.loss!r}'
        remedy = f'Choose loss="{name}", or leave {argument} at {default:g}'
        if isinstance(self.loss, (QuantileLoss, HuberLoss)):
            remedy += ": an object has its own number"
        raise InvalidInputError(argument, whose, remedy)

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
        inputs = read_inputs("X", X)
        targets = read_targets("y", check_given(y), inputs, "X")
        keep_names(self, inputs)
        loss = self._known_loss()
        loss.check_targets(targets.columns, _names(targets), "y")
        self._train(inputs, targets.values, sample_weight, targets.names, loss, targets.is_vector)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted targets, in the shape of the y passed to ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        inputs = self._new_inputs(X)
        return self.model_.response(inputs)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R2 of the predictions ("squared" and "huber") or D2 (other losses); the mean over the outputs.

        D2 is the share by which the predictions reduce the loss of the best constant, as in
        ``sklearn.metrics.d2_pinball_score`` and ``d2_tweedie_score``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Columns of a data frame are matched by name.
        sample_weight : array-like of shape (n_samples,), optional

        Raises
        ------
        InvalidInputError
            A different number of samples or outputs, or targets for which the loss is not defined.
        """
        inputs, loss = self._new_inputs(X), self.result_.problem.loss
        targets = self._new_targets(y, len(inputs))
        weight = check_sample_weight(sample_weight, len(inputs))
        if loss.name in ("squared", "huber"):
            return super().score(X, targets, sample_weight)
        scores = self.model_.outputs(inputs).T
        # The classes of a cross-entropy are one output.
        outputs = [slice(j, j + 1) for j in range(len(scores))] if loss.separable else [slice(None)]
        return float(np.mean([loss.d2(scores[j], targets.T[j], weight / weight.sum()) for j in outputs]))

    def _new_targets(self, y: ArrayLike, n_samples: int) -> np.ndarray:
        names = self.model_.output_names
        targets = targets_of("y", y, names)
        check_as_many("y", len(targets), n_samples)
        self.result_.problem.loss.check_targets(targets.T, names, "y")
        return targets


def _names(targets: Samples) -> list[str]:
    return targets.names or [f"y{j}" for j in range(targets.values.shape[1])]
