"""What the estimators read: inputs with the names that scikit-learn keeps of them, and class labels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from bcd_implicit.errors import DataWarning, InvalidInputError
from bcd_implicit.support.arrays import Samples, as_pandas_or_array, numbers_in, read_samples
from bcd_implicit.support.notations import MOST_CLASSES, is_number_written_otherwise, look_like_numbers
from bcd_implicit.support.samples import check_sizes, read_labels, read_targets

FOR_NUMBERS = "for numbers there is ImplicitRegressor, and y.astype(float) for the selector"


def keep_names(estimator: BaseEstimator, inputs: Samples) -> None:
    """Set ``n_features_in_`` and, where all columns are called by text, ``feature_names_in_``."""
    validate_data(estimator, _as_scikit_learn_wants(inputs), skip_check_array=True)


def read_new_inputs(estimator: BaseEstimator, X: ArrayLike) -> Any:
    """Inputs, shape (m, p), for an estimator that was fitted: an array, or a data frame where they have names.

    Raises
    ------
    InvalidInputError
        As of :func:`~bcd_implicit.support.arrays.read_samples`.
    ValueError
        Other columns than in ``fit``, in scikit-learn's words.
    """
    inputs = read_samples("X", X, may_be_vector=False)
    check_sizes("X", inputs)
    wanted = _as_scikit_learn_wants(inputs)
    validate_data(estimator, wanted, reset=False, skip_check_array=True)
    return wanted


def _as_scikit_learn_wants(inputs: Samples) -> Any:
    if inputs.labels is None:
        return inputs.values
    return with_names_of_one_kind(pd.DataFrame(inputs.values, columns=inputs.labels))


def with_names_of_one_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, all of whose names are text if one is: scikit-learn refuses others beside it, and keeps no others."""
    if any(isinstance(label, str) for label in frame.columns):
        return frame.set_axis([str(label) for label in frame.columns], axis=1)
    return frame


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
        As of :func:`~bcd_implicit.support.samples.read_labels`; also several columns, bytes, durations, labels of kinds
        that have no order, or numbers that are no classes.
    """
    labels = read_labels("y", check_given(y), inputs, "X")
    _check_kinds(labels)
    try:
        # scikit-learn looks whether numbers are whole by turning them into some, which may be too large for that.
        with np.errstate(invalid="ignore"):
            labels = column_or_1d(labels, warn=True)
            check_classification_targets(labels)
    except ValueError as error:
        cause = str(error).split("\n")[0].rstrip(".")
        raise InvalidInputError("y", cause, f"Give one column of labels; {FOR_NUMBERS}") from None
    return labels


def _check_kinds(labels: np.ndarray) -> None:
    """Raise an error in place of scikit-learn's, or of what it would read instead."""
    for row, label in enumerate(labels.ravel() if labels.dtype.kind in "OS" else ()):
        if isinstance(label, bytes):
            remedy = "Decode them: numpy.char.decode(numpy.asarray(y, dtype='S'))"
            raise InvalidInputError("y", f"holds bytes, row {row} holds {bytes(label)!r}", remedy)
    if labels.dtype.kind == "m":
        raise InvalidInputError("y", "holds durations", "Pass labels that are text or whole numbers")
    kinds = {type(label) for label in labels.ravel()} if labels.dtype.kind == "O" else set()
    if str in kinds and len(kinds) > 1:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidInputError("y", f"holds labels of several kinds: {found}", "Pass them all as text")


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


def numbers_or_indicators(y: Any, inputs: Samples) -> tuple[np.ndarray, list[str] | None]:
    """Numbers and their names; or, of categories and of words, an indicator column for each.

    Raises
    ------
    InvalidInputError
        As of :func:`read_classes` and :func:`~bcd_implicit.support.samples.read_targets`.

    Warns
    -----
    DataWarning
        A few whole numbers, which might be classes; many classes that look like numbers.
    """
    given = as_pandas_or_array("y", check_given(y))
    column = pd.DataFrame(given).iloc[:, 0] if given.shape[1:] in ((), (1,)) else None
    if column is not None and _holds_classes(column):
        columns, classes = indicators(read_classes(column, inputs))
        if look_like_numbers(classes):
            warnings.warn(
                f"y holds {len(classes)} different labels that look like numbers, such as {str(classes[0])!r}, and "
                "each becomes a class. If they are numbers, pass them as such: y.astype(float), of text with a decimal "
                "point and without units.",
                DataWarning,
                stacklevel=3,
            )
        return columns, names_of_indicators(classes)
    targets = read_targets("y", given, inputs, "X")
    values = targets.values
    whole = column is not None and column.dtype.kind != "f" and not (values % 1).any()
    if whole and 2 < (n_different := len(np.unique(values))) <= MOST_CLASSES:
        warnings.warn(
            f"y holds {n_different} different whole numbers and they are taken for numbers. If they are classes, pass "
            "pandas.Series(y, dtype='category'); if not, y.astype(float) says so.",
            DataWarning,
            stacklevel=3,
        )
    return values, targets.names


def _holds_classes(column: pd.Series) -> bool:
    """Whether a column is of categories, or of texts none of which is a number, in whatever notation."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    numbers, refused = numbers_in(column)
    if refused is None or not isinstance(refused[1], (str, bytes)) or not np.isnan(numbers).all():
        return False
    return not any(map(is_number_written_otherwise, column))
