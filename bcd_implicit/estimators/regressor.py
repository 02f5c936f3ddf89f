"""Regression by an implicit model."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin

from bcd_implicit.estimators.base import TrainedEstimator
from bcd_implicit.estimators.data import check_given, keep_names
from bcd_implicit.support.arrays import read_samples
from bcd_implicit.support.samples import read_inputs, read_targets


class ImplicitRegressor(MultiOutputMixin, RegressorMixin, TrainedEstimator):
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
        fits stop earlier than the final one, at tol 3e-2. A list takes as many times longer as it has numbers, times
        the folds: give one number where a search around the estimator chooses.
    kappa : float
        Weight of the group lasso on the columns of B. To select inputs use :class:`ImplicitFeatureSelector`.
    norm_bound : float in [0, 1)
        Bound on the contraction factor: the largest row sum of absolute values of A, times the activation's largest
        slope (1/4 for sigmoid, else 1).
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
        So many random starts of the final fit. The one whose objective is least at ten times ``tol`` is trained on.
        With a warm start there is no other.
    warm_start : bool
        Start from the last fit instead of at random, where the sizes and ``fit_intercept`` are the same and its inputs
        still reached the state.
    random_state : int, RandomState or None
        Of the start and of the folds.
    n_jobs : int or None
        Processes for the folds and the starts, as in joblib. The answer does not depend on it.
    verbose : bool, int or callable
        Show progress, as ``progress`` of :func:`~bcd_implicit.solve`.
    max_seconds : float, optional
        Stop after so many seconds, of which the choice of alpha takes 0.7 at most (where it takes longer, alpha is the
        middle one). Training then ends with what it has, with a warning; on Ctrl-C as well.

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
        Number of cycles of the last solve: with several starts, those after they were compared.
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
        inputs = read_inputs("X", X)
        targets = read_targets("y", check_given(y), inputs, "X")
        keep_names(self, inputs)
        self._is_flat = targets.is_vector
        self._train(inputs, targets.values, sample_weight, targets.names)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predicted targets, of the shape that y had.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        """
        predicted = self._predicted(X)
        return predicted[:, 0] if self._is_flat else predicted

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R2 of the predictions, the mean over the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
        """
        return super().score(X, read_samples("y", y).values, sample_weight)
