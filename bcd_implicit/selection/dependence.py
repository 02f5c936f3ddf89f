"""Do rows look as if they belonged together, though nobody said so?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import norm, rankdata

from bcd_implicit.errors import see

# Of independent rows at most this share is taken for dependent, by either sign.
FALSE_ALARMS = 0.01
# Neighbours whose inputs and residuals are less alike than this, multiplied, change no level that anyone would notice.
MATTERS = 0.01
# Number of orders that are tried; none of them may show neighbours as alike.
N_ORDERS = 199
# More runs of equal samples than this are groups, rather than a table sorted by classes.
MOST_CLASSES = 10
# Fewer rows say too little.
LEAST_ROWS = 20
REMEDY = (
    "The score tests then select inputs that play no part. Pass sample_groups, one label per sample that is equal for "
    "samples that belong together"
)


def warn_if_dependent(
    inputs: np.ndarray, targets: np.ndarray, residuals: np.ndarray, input_names: Sequence[str], stacklevel: int = 2
) -> None:
    """Warn where neighbouring rows are alike, or rows of equal inputs have like residuals.

    It takes like inputs and like targets to mislead a test of whether they go together.

    Parameters
    ----------
    inputs : ndarray of shape (p, m)
        Samples are columns, in the order in which they came.
    targets, residuals : ndarray of shape (q, m)
    input_names : sequence of str
    stacklevel : int
        As of ``warnings.warn``.

    Warns
    -----
    UserWarning
        Neighbours are alike, or rows with the same inputs are.
    """
    if residuals.shape[1] < LEAST_ROWS:
        return
    message = ""
    if not _are_sorted(targets):
        # A model may fit what a group has in common; what a sorted input explains makes the targets alike, though.
        alike = residuals if any(_are_sorted(row[None]) for row in inputs) else targets
        message = _of_neighbours(_in_ranks(inputs), _in_ranks(alike), input_names)
    message = message or _of_equal_rows(inputs, _in_ranks(residuals))
    if message:
        warnings.warn(
            f"the samples do not look independent: {message}. {see('samples-belong-together')}",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def _in_ranks(rows: np.ndarray) -> np.ndarray:
    """Ranks of length 1, with mean 0, so that no single value decides; zeros where a row does not vary."""
    ranks = rankdata(rows, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.where(lengths > 0, lengths, 1.0)


def _are_sorted(rows: np.ndarray) -> bool:
    """Whether the samples are sorted by one of these, or by classes: neighbours are alike, and no less independent."""
    steps = np.diff(rows, axis=1)
    monotone = ((steps >= 0).all(axis=1) | (steps <= 0).all(axis=1)) & steps.any(axis=1)
    n_runs, n_values = 1 + np.count_nonzero(steps.any(axis=0)), len(np.unique(rows, axis=1).T)
    # Samples in runs of equal ones: many runs are many groups rather than classes.
    return bool(monotone.any() or (n_runs == n_values and 1 < n_runs <= MOST_CLASSES))


def _of_neighbours(inputs: np.ndarray, alike: np.ndarray, input_names: Sequence[str]) -> str:
    m = inputs.shape[1]

    def correlations(order: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        pair = (rows if order is None else rows[:, order] for rows in (inputs, alike))
        of_inputs, of_others = (np.einsum("ij,ij->i", rows[:, :-1], rows[:, 1:]) for rows in pair)
        return of_inputs, of_others

    of_inputs, of_others = correlations()
    j, of_input, of_other = int(of_inputs.argmax()), float(of_inputs.max()), float(of_others.max())
    # Of independent samples they are about normal, of variance 1/m.
    limits = [float(norm.isf(FALSE_ALARMS / len(rows))) / np.sqrt(m) for rows in (inputs, alike)]
    if of_input <= limits[0] or of_other <= limits[1] or of_input * of_other < MATTERS:
        return ""
    # Rare values are not normal: other orders tell for sure.
    rng = np.random.default_rng(0)
    for _ in range(N_ORDERS):
        others = correlations(rng.permutation(m))
        if min(others[0].max(), others[1].max()) > 0 and others[0].max() * others[1].max() >= of_input * of_other:
            return ""
    return (
        f"neighbouring rows are alike, in input {input_names[j]!r} (correlation {of_input:.2f}) and in the targets "
        f"({of_other:.2f}). {REMEDY}; or shuffle the rows if they are independent and were only sorted"
    )


def _of_equal_rows(inputs: np.ndarray, residuals: np.ndarray) -> str:
    m = inputs.shape[1]
    rows, place = np.unique(inputs, axis=1, return_inverse=True)
    place, n_different = place.ravel(), rows.shape[1]
    # Where one input alone tells nearly all rows apart that differ, no two are equal by chance. A few inputs of few
    # values are equal by chance all the time.
    most_values = max(len(np.unique(row)) for row in rows)
    if n_different > 0.9 * m or n_different < LEAST_ROWS // 2 or most_values < 0.9 * n_different:
        return ""
    sums = np.array([np.bincount(place, row) for row in residuals])
    between = np.sum(sums**2 / np.bincount(place), axis=1)
    ratio = between / (n_different - 1) / np.maximum((1 - between) / (m - n_different), 1e-300)
    if fisher.sf(ratio.max(), n_different - 1, m - n_different) > FALSE_ALARMS / len(residuals):
        return ""
    return f"of {m} rows {m - n_different} repeat the inputs of others, and have residuals like theirs. {REMEDY}"
