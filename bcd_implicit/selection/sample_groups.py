"""Samples that belong together: several of one person, machine or field, or a series cut into pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupKFold, KFold

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.checks import check_number


def check_sample_groups(sample_groups: ArrayLike | None, n_samples: int, n_folds: int = 2) -> np.ndarray | None:
    """Return the groups of the samples as whole numbers from 0 on, or None where none were given.

    Parameters
    ----------
    sample_groups : array-like of shape (m,) or None
        One label per sample: numbers, texts, anything that can be told apart.
    n_samples : int
        The number m of samples.
    n_folds : int
        The smallest number of groups needed.

    Returns
    -------
    ndarray of int, shape (m,), or None

    Raises
    ------
    InvalidInputError
        Another number of labels, a missing one, or fewer groups than folds.
    """
    if sample_groups is None:
        return None
    remedy = "Give one label per sample"
    listed: Any = sample_groups.to_numpy() if hasattr(sample_groups, "to_numpy") else sample_groups
    labels = np.asarray(listed, dtype=None if isinstance(listed, np.ndarray) else object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InvalidInputError("sample_groups", f"has shape {labels.shape}", remedy)
    if len(labels) != n_samples:
        raise InvalidInputError("sample_groups", f"has {len(labels)} labels for {n_samples} samples", remedy)
    codes, found = pd.factorize(labels)
    if (codes < 0).any():
        raise InvalidInputError("sample_groups", f"has no label at row {int((codes < 0).argmax())}", remedy)
    if len(found) < n_folds:
        raise InvalidInputError(
            "sample_groups",
            f"has {len(found)} group(s), but {n_folds} are needed",
            "Folds and halves of the samples never split a group: choose fewer folds, or give smaller groups",
        )
    return np.asarray(codes)


def check_folds(n_folds: Any, n_samples: int) -> int:
    """Return the number of folds if so many samples can be divided into them.

    Raises
    ------
    InvalidInputError
        Fewer than 2 folds, or fewer than 2 samples for each.
    """
    n_folds = check_number("n_folds", n_folds, 2, integer=True, remedy="Give 2 or more folds")
    if n_samples < 4:
        cause = f"{n_samples} samples are too few for cross-validation: each of 2 folds or more needs 2"
        raise InvalidInputError("n_folds", cause, "Give 4 samples or more")
    if n_samples < 2 * n_folds:
        cause = f"{n_samples} samples are too few for {n_folds} folds, of which each needs 2"
        remedy = f"Choose n_folds={n_samples // 2} or fewer, or give {2 * n_folds} samples or more"
        raise InvalidInputError("n_folds", cause, remedy)
    return n_folds


def split(
    n_samples: int,
    n_folds: int,
    random_state: int | None,
    sample_groups: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The samples to train on and to test on in each fold, shuffled; no group is split.

    Without groups each class, of labels (m,), is spread over the folds as evenly as can be: a class that no sample to
    train on has would cost nearly all of the log loss.
    """
    # Shuffled: tables are often sorted.
    if sample_groups is None and classes is not None:
        order = np.lexsort((np.random.default_rng(random_state).permutation(n_samples), classes))
        places = np.empty(n_samples, dtype=int)
        places[order] = np.arange(n_samples) % n_folds
        return [(np.flatnonzero(places != k), np.flatnonzero(places == k)) for k in range(n_folds)]
    if sample_groups is None:
        return list(KFold(n_folds, shuffle=True, random_state=random_state).split(np.zeros(n_samples)))
    folds = GroupKFold(n_folds, shuffle=True, random_state=random_state)
    return list(folds.split(np.zeros(n_samples), groups=sample_groups))


def halves(
    n_samples: int, rng: np.random.Generator, sample_groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two random halves of the samples, or of the groups: of an odd number one sits out."""
    units = np.arange(n_samples) if sample_groups is None else sample_groups
    n = int(units.max()) + 1
    order = rng.permutation(n)
    first, second = (np.isin(units, part) for part in (order[: n // 2], order[n // 2 : 2 * (n // 2)]))
    return np.flatnonzero(first), np.flatnonzero(second)
