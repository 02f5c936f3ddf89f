"""What the estimators read: inputs with the names that scikit-learn keeps of them, and class labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.arrays import Samples, read_samples
from bcd_implicit.support.samples import check_sizes, read_labels


def keep_names(estimator: BaseEstimator, inputs: Samples) -> None:
    """Set ``n_features_in_`` and, where all columns are called by text, ``feature_names_in_``."""
    validate_data(estimator, _as_scikit_learn_wants(inputs), skip_check_array=True)


def read_new_inputs(estimator: BaseEstimator, X: ArrayLike) -> np.ndarray:
    """Inputs, shape (m, p), for an estimator that was fitted.

    Raises
    ------
    InvalidInputError
        As of :func:`~bcd_implicit.support.arrays.read_samples`.
    ValueError
        Other columns than in ``fit``, in scikit-learn's words.
    """
    inputs = read_samples("X", X, may_be_vector=False)
    check_sizes("X", inputs)
    validate_data(estimator, _as_scikit_learn_wants(inputs), reset=False, skip_check_array=True)
    return inputs.values


def _as_scikit_learn_wants(inputs: Samples) -> Any:
    labels = inputs.labels
    if labels is None:
        return inputs.values
    # scikit-learn leaves out names that are numbers, and refuses texts beside them.
    mixed = len({isinstance(label, str) for label in labels}) > 1
    return pd.DataFrame(inputs.values, columns=inputs.names if mixed else labels)


def check_given(y: Any) -> Any:
    """Return the targets, or raise an error that names them if there are none."""
    if y is None:
        # As scikit-learn says it.
        raise InvalidInputError("y", "fit requires y to be passed, but the target y is None", "Pass the targets")
    return y


def read_classes(y: Any, inputs: Samples) -> np.ndarray:
    """Class labels, shape (m,), for inputs that were read before.

    Raises
    ------
    InvalidInputError
        As of :func:`~bcd_implicit.support.samples.read_labels`; also several columns, or numbers that are no classes.
    """
    labels = read_labels("y", check_given(y), inputs, "X")
    try:
        # scikit-learn looks whether numbers are whole by turning them into some, which may be too large for that.
        with np.errstate(invalid="ignore"):
            labels = column_or_1d(labels, warn=True)
            check_classification_targets(labels)
    except ValueError as error:
        cause = str(error).split("\n")[0].rstrip(".")
        raise InvalidInputError(
            "y", cause, "Give one column of labels; for numbers there is ImplicitRegressor"
        ) from None
    return labels


def indicators(labels: np.ndarray, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A column of ``low`` and 1 for each class (one for two classes), and the classes.

    Raises
    ------
    InvalidInputError
        There is one class only.
    """
    binarizer = LabelBinarizer(neg_label=int(low))
    columns = binarizer.fit_transform(labels).astype(float)
    if len(binarizer.classes_) < 2:
        cause = f"has one class only, {str(labels[0])!r}, among the samples that have a weight"
        raise InvalidInputError("y", cause, "Give samples of two classes or more")
    return columns, binarizer.classes_


def names_of_indicators(classes: np.ndarray) -> list[str]:
    """What :func:`indicators` stand for: of two classes there is one for the second alone."""
    names = [str(label) for label in classes]
    return names if len(names) > 2 else names[1:]
