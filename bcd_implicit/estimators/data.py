"""What the estimators read: inputs with the names that scikit-learn keeps of them, and class labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from bcd_implicit.errors import DataWarning, InvalidInputError, shown
from bcd_implicit.support.arrays import Samples, as_pandas_or_array, numbers_in, read_samples
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.display import listed
from bcd_implicit.support.notations import (
    are_few_whole_numbers,
    is_number_written_otherwise,
    look_like_numbers,
)
from bcd_implicit.support.samples import check_sizes, read_labels, read_targets
from bcd_implicit.terms.loss import Loss

FOR_NUMBERS = "for numbers use ImplicitRegressor"


def keep_names(estimator: BaseEstimator, inputs: Samples) -> None:
    """Set ``n_features_in_`` and, where all columns are called by text, ``feature_names_in_``."""
    validate_data(estimator, _as_scikit_learn_wants(inputs), skip_check_array=True)


def read_new_inputs(estimator: BaseEstimator, X: ArrayLike) -> Any:
    """Inputs, shape (m, p), for an estimator that was fitted: an array, or a data frame where they have names.

    Raises
    ------
    InvalidInputError
        As in :func:`~bcd_implicit.support.arrays.read_samples`.
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


def read_classes(y: Any, inputs: Samples, for_numbers: str = FOR_NUMBERS) -> np.ndarray:
    """Class labels, shape (m,), for inputs that were read before.

    Raises
    ------
    InvalidInputError
        As in :func:`~bcd_implicit.support.samples.read_labels`; also several columns, bytes, durations, labels of kinds
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
        raise InvalidInputError("y", cause, f"Give one column of labels; {for_numbers}") from None
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


def read_labels_of_several(y: Any, inputs: Samples) -> Samples | None:
    """Labels that a sample may have several of: a column of 0 and 1 for each. None where y is one column.

    Raises
    ------
    InvalidInputError
        Several columns of anything else.
    """
    given = as_pandas_or_array("y", check_given(y))
    if given.ndim < 2 or given.shape[1] < 2:
        return None
    labels = read_targets("y", given, inputs, "X")
    others = ~np.isin(labels.values, (0, 1))
    if others.any():
        row, column = (int(i) for i in np.argwhere(others)[0])
        cause = f"has {labels.values.shape[1]} columns, but row {row}{labels.where(column)} is neither 0 nor 1"
        remedy = f"Give one column of labels, or a column of 0 and 1 for each label; {FOR_NUMBERS}"
        raise InvalidInputError("y", cause, remedy)
    return labels


def class_factors(class_weight: Any, labels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """What ``class_weight`` multiplies the weight of each sample by, shape (m,).

    Parameters
    ----------
    class_weight : None, "balanced" or mapping
        As scikit-learn has it: "balanced" gives all classes the same weight together, a mapping gives each its factor,
        and 1 to classes that it does not name. If it names all classes of the labels it may name others: a fold may
        lack a class.
    labels, weight : ndarray of shape (m,)

    Raises
    ------
    InvalidInputError
        Anything else, a class that there is not though not all of the others are named, a factor below 0, or factors
        that leave no sample a weight.
    """
    classes, place = np.unique(labels, return_inverse=True)
    if class_weight is None:
        return np.ones(len(labels))
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(place, weight)
        return np.asarray(weight.sum() / np.count_nonzero(totals) / np.where(totals > 0, totals, 1.0))[place]
    remedy = 'Give None, "balanced", or a dictionary from classes to numbers of 0 or more'
    if not isinstance(class_weight, Mapping):
        raise InvalidInputError("class_weight", f"got {shown(class_weight)}", remedy)
    known = dict.fromkeys(classes.tolist(), 1.0)
    unknown = [label for label in class_weight if label not in known]
    # One that is misspelt leaves its class unnamed.
    if unknown and not known.keys() <= class_weight.keys():
        cause = f"names the class {shown(unknown[0])}, which is not in y"
        raise InvalidInputError("class_weight", cause, f"The classes are {listed(list(map(shown, known)))}")
    factors = known | {label: check_number("class_weight", f, 0, remedy=remedy) for label, f in class_weight.items()}
    found = np.array([factors[label] for label in classes.tolist()])[place]
    if not (found * weight).any():
        raise InvalidInputError(
            "class_weight", "gives no sample a positive weight", "Give two classes or more a positive number"
        )
    return found


def indicators(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A column of 0 and 1 for each class (one for two classes), and the classes; such columns pass through.

    Raises
    ------
    InvalidInputError
        There is one class only.
    """
    binarizer = LabelBinarizer()
    columns = binarizer.fit_transform(labels).astype(float)
    if len(binarizer.classes_) < 2:
        cause = f"has only one class, {str(labels[0])!r}, among the samples that have a weight"
        raise InvalidInputError("y", cause, "Give samples of two classes or more")
    return columns, binarizer.classes_


def check_logistic(loss: Loss, n_classes: int) -> None:
    """Raise an error where the logistic loss is asked for several classes: each would be a question by itself.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if loss.name == "logistic" and n_classes > 2:
        cause = f"'logistic' is for two classes, or for several labels, but y has {n_classes} classes"
        raise InvalidInputError("loss", cause, "Use cross-entropy")


def names_of_indicators(classes: np.ndarray) -> list[str]:
    """What :func:`indicators` stand for: of two classes there is one for the second alone."""
    names = [str(label) for label in classes]
    return names if len(names) > 2 else names[1:]


def numbers_or_indicators(
    y: Any, inputs: Samples, are_classes: bool | None = None
) -> tuple[np.ndarray, list[str] | None, bool]:
    """Numbers and their names; or, of classes, an indicator column for each; and whether they are classes.

    Parameters
    ----------
    y : array-like
    inputs : Samples
    are_classes : bool, optional
        Whether the values of a single column are classes. By default categories and words are.

    Raises
    ------
    InvalidInputError
        As in :func:`read_classes` and :func:`~bcd_implicit.support.samples.read_targets`.

    Warns
    -----
    DataWarning
        A few whole numbers, which might be classes; many classes that look like numbers.
    """
    given = as_pandas_or_array("y", check_given(y))
    column = pd.DataFrame(given).iloc[:, 0] if given.shape[1:] in ((), (1,)) else None
    unknown = are_classes is None
    if column is not None and (_holds_classes(column) if unknown else are_classes):
        columns, classes = indicators(read_classes(column, inputs, "of numbers pass y.astype(float)"))
        if unknown and look_like_numbers(classes):
            warnings.warn(
                f"y holds {len(classes)} different labels that look like numbers, such as {str(classes[0])!r}, and "
                "each becomes a class. If they are numbers, pass y.astype(float), with a decimal point and "
                "without units.",
                DataWarning,
                stacklevel=3,
            )
        return columns, names_of_indicators(classes), True
    targets = read_targets("y", given, inputs, "X")
    values = targets.values
    if unknown and column is not None and column.dtype.kind != "f" and are_few_whole_numbers(values):
        warnings.warn(
            f"y holds {len(np.unique(values))} different whole numbers, which are treated as numbers. If they are "
            "classes, pass pandas.Series(y, dtype='category'); if not, pass y.astype(float).",
            DataWarning,
            stacklevel=3,
        )
    return values, targets.names, False


def _holds_classes(column: pd.Series) -> bool:
    """Whether a column is of categories, or of texts none of which is a number, in whatever notation."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    numbers, refused = numbers_in(column)
    if refused is None or not isinstance(refused[1], (str, bytes)) or not np.isnan(numbers).all():
        return False
    return not any(map(is_number_written_otherwise, column))
