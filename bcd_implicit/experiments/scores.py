"""How good predictions are on samples that took no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bcd_implicit.terms.losses import Loss

#: Weights that the baseline's cross-validation chooses from.
RIDGES = np.logspace(-3, 5, 33)


@dataclass(frozen=True)
class Scores:
    """Of predictions on some samples.

    Attributes
    ----------
    r2 : float
        R2 of what predictions say of the targets, averaged over outputs by variance.
    d2 : float or None
        The share of the best constant's loss that is taken away; None for the squared loss, whose R2 it is, and for
        Huber's, whose threshold is in the units of training.
    accuracy : float or None
        If the targets indicate classes: the share of samples whose class has the largest prediction.
    log_loss : float or None
        Of probabilities of classes: minus the mean logarithm of that of the sample's own.
    """

    r2: float
    d2: float | None
    accuracy: float | None
    log_loss: float | None

    @classmethod
    def of(cls, loss: Loss, prediction: np.ndarray, Y: np.ndarray, are_classes: bool) -> Scores:
        """Of predictions and targets of shape (m, q)."""
        shares = np.full(len(Y), 1 / len(Y))
        return cls(
            r2(Y, loss.response(prediction.T).T),
            None if loss.name in ("squared", "huber") else loss.d2(prediction.T, Y.T, shares),
            accuracy(Y, prediction) if are_classes else None,
            float(loss.value(prediction.T, Y.T) @ shares) if are_classes and loss.link == "softmax" else None,
        )


def r2(Y: np.ndarray, predicted: np.ndarray) -> float:
    """R2, averaged over outputs by variance; NaN where no target varies."""
    if (Y[:1] == Y).all():
        return float("nan")
    return float(r2_score(Y, predicted, multioutput="variance_weighted"))


def accuracy(Y: np.ndarray, predicted: np.ndarray) -> float:
    """The share of samples whose class has the largest prediction; Y indicates it."""
    return float((Y.argmax(axis=1) == predicted.argmax(axis=1)).mean())


def ridge_on_all_columns(U: np.ndarray, Y: np.ndarray) -> Pipeline:
    """The baseline, which one has without this package: a ridge regression on samples of shape (m, p) and (m, q).

    Cross-validation that leaves out one sample at a time chooses its weight.
    """
    return make_pipeline(StandardScaler(), RidgeCV(RIDGES)).fit(U, Y)


def logistic_on_all_columns(U: np.ndarray, Y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The baseline for classes: a logistic regression with scikit-learn's own weight, on the same shapes.

    Y indicates the classes. What is returned gives their probabilities for inputs of shape (m, p). (A ridge regression
    on indicators passes over classes that lie between others.)
    """
    places, (_, q) = Y.argmax(axis=1), Y.shape
    known = np.unique(places)
    if len(known) == 1:
        return lambda inputs: np.eye(q)[np.full(len(inputs), known[0])]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(U, places)
    return lambda inputs: model.predict_proba(inputs) @ np.eye(q)[known]


def log_loss(Y: np.ndarray, probabilities: np.ndarray) -> float:
    """Minus the mean logarithm of the probability of each sample's own class; infinite where one is 0."""
    with np.errstate(divide="ignore"):
        return float(-np.log((probabilities * Y).sum(axis=1)).mean())
