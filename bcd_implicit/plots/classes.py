"""A classifier's probabilities: over the plane of two inputs, and against what they promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.plots.arguments import axes_of
from bcd_implicit.support.arrays import read_samples
from bcd_implicit.support.checks import check_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Classes that matplotlib's colours tell apart.
MOST_CLASSES = 10
# Full colours would hide the samples.
SHADE = 0.45
# Around the samples, in shares of their range.
MARGIN = 0.06
# Pixels along each side of the plane.
PIXELS = 200


def decision_regions(classifier: Any, X: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw class probabilities over the plane of two inputs, and samples.

    Each class has a colour; where classes are about equally likely, their colours mix. Black lines separate the regions
    of the most probable class.

    Parameters
    ----------
    classifier : ImplicitClassifier, or another scikit-learn classifier with ``predict_proba``
        Fitted on two inputs.
    X : array-like of shape (m, 2)
        Samples to show. The plane covers them, with a margin.
    y : array-like of shape (m,)
        Their classes.
    ax : Axes, optional

    Raises
    ------
    InvalidInputError
        A classifier without probabilities or with more than ten classes, not two inputs, or an unknown class.
    """
    from matplotlib.colors import to_rgb

    classes = _classes(classifier)
    if len(classes) > MOST_CLASSES:
        cause, remedy = f"has {len(classes)} classes, colours are for {MOST_CLASSES}", "Fit it on fewer classes"
        raise InvalidInputError("classifier", cause, remedy)
    inputs = read_samples("X", X, n_columns=2, may_be_vector=False)
    belongs = _belonging(y, classes, len(inputs.values))
    ax = axes_of(ax)
    sides = [_side(column) for column in inputs.values.T]
    plane = np.meshgrid(*(low + (np.arange(PIXELS) + 0.5) / PIXELS * (high - low) for low, high in sides))
    points = np.column_stack([places.ravel() for places in plane])
    table = points if inputs.labels is None else pd.DataFrame(points, columns=inputs.labels)
    probabilities = _probabilities(classifier, table, classes).reshape(PIXELS, PIXELS, len(classes))
    colours = np.array([to_rgb(f"C{k}") for k in range(len(classes))])
    mixed = 1 - SHADE * (1 - probabilities @ colours)
    extent = (*sides[0], *sides[1])
    ax.imshow(np.clip(mixed, 0, 1), origin="lower", extent=extent, aspect="auto", interpolation="bilinear")
    for k in range(len(classes) - 1):  # every border is one of these with another class
        lead = probabilities[:, :, k] - np.delete(probabilities, k, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            ax.contour(*plane, lead, levels=[0], colors="black", linewidths=0.8)
    for k, label in enumerate(classes):
        shown = inputs.values[belongs[:, k]].T
        ax.plot(*shown, "o", color=colours[k], mec="white", mew=0.6, ms=5, label=str(label))
    for text in ax.legend(fontsize="small", framealpha=0.9).get_texts():
        text.set_parse_math(False)
    names = inputs.names or ["x0", "x1"]
    ax.set_xlabel(names[0], parse_math=False)
    ax.set_ylabel(names[1], parse_math=False)
    return ax


def reliability(
    classifier: Any,
    X: ArrayLike,
    y: ArrayLike,
    ax: Axes | None = None,
    *,
    n_bins: int = 10,
    label: str | None = None,
) -> Axes:
    """Observed frequency of a class against its predicted probability, in bins of equal width.

    With two classes, the second class is drawn; with more, all classes are pooled. A calibrated classifier is on the
    diagonal up to chance; the error bars are two standard errors. Draw several classifiers on the same axes to compare
    them.

    Parameters
    ----------
    classifier : ImplicitClassifier, or another scikit-learn classifier with ``predict_proba``
    X : array-like of shape (m, p)
        Samples that it was not fitted on.
    y : array-like of shape (m,)
        Their classes.
    ax : Axes, optional
    n_bins : int
    label : str, optional
        Label for the legend.

    Raises
    ------
    InvalidInputError
        A classifier without probabilities, or an unknown class.
    """
    n_bins = check_number("n_bins", n_bins, 1, integer=True, remedy="Give a number such as 10")
    classes = _classes(classifier)
    probabilities = _probabilities(classifier, X, classes)
    belongs = _belonging(y, classes, len(probabilities))
    if len(classes) == 2:
        probabilities, belongs = probabilities[:, 1], belongs[:, 1]
    ax = axes_of(ax)
    p, came_true = np.ravel(probabilities), np.ravel(belongs)
    bins = np.minimum((p * n_bins).astype(int), n_bins - 1)
    n = np.bincount(bins, minlength=n_bins)
    filled = n > 0
    sums = [np.bincount(bins, values, n_bins)[filled] for values in (p, came_true, p * (1 - p))]
    mean, share, chance = sums[0] / n[filled], sums[1] / n[filled], np.sqrt(sums[2]) / n[filled]
    bars = np.abs(np.clip([share - 2 * chance, share + 2 * chance], 0, 1) - share)
    ax.axline((0, 0), slope=1, color="grey", lw=1, zorder=0)
    ax.errorbar(mean, share, bars, marker="o", ms=4, lw=1.2, elinewidth=1, capsize=2, label=label)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    ax.set_xlabel("predicted probability")
    ax.set_ylabel("share that came true")
    if label is not None:
        ax.legend(fontsize="small", loc="upper left")
    ax.grid(alpha=0.3)
    return ax


def _classes(classifier: Any) -> np.ndarray:
    if isinstance(classifier, ClassifierMixin) and not hasattr(classifier, "classes_"):
        raise InvalidInputError(
            "classifier", f"is of type {type(classifier).__name__}, and is not fitted", "Fit it first"
        )
    if not hasattr(classifier, "predict_proba") or not hasattr(classifier, "classes_"):
        cause = f"is of type {type(classifier).__name__}, and has no probabilities"
        remedy = "Pass a fitted classifier with predict_proba, such as ImplicitClassifier"
        raise InvalidInputError("classifier", cause, remedy)
    return np.asarray(classifier.classes_)


def _probabilities(classifier: Any, inputs: Any, classes: np.ndarray) -> np.ndarray:
    """Those of each class, shape (m, n_classes)."""
    found = classifier.predict_proba(inputs)
    # scikit-learn has either form for several labels a sample.
    if isinstance(found, list) or np.abs(np.sum(found, axis=1) - 1).max() > 1e-6:
        cause = f"gives probabilities of {len(classes)} labels, of which a sample may have several"
        raise InvalidInputError("classifier", cause, "Fit it on one column of labels")
    return np.asarray(found)


def _belonging(y: ArrayLike, classes: np.ndarray, n_samples: int) -> np.ndarray:
    """Whether each sample is of each class, shape (m, n_classes)."""
    labels = np.asarray(y)
    if labels.ndim == 1 and (missing := pd.isna(labels)).any():
        cause = f"contains missing values: {missing.sum()} (first at row {missing.argmax()})"
        raise InvalidInputError("y", cause, "Drop these rows")
    if labels.shape != (n_samples,):
        cause = f"has shape {labels.shape} for {n_samples} samples"
        raise InvalidInputError("y", cause, "Give one label per sample")
    belongs = labels[:, None] == classes
    if unknown := [str(label) for label in labels[~belongs.any(axis=1)]]:
        remedy = f"The classes are {', '.join(map(str, classes))}"
        raise InvalidInputError("y", f"holds {unknown[0]!r}, which the classifier does not know", remedy)
    return np.asarray(belongs)


def _side(values: np.ndarray) -> tuple[float, float]:
    margin = MARGIN * (float(np.ptp(values)) or 1.0)
    return float(values.min()) - margin, float(values.max()) + margin
