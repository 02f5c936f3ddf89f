"""Samples to train on: inputs with targets or labels, their weights, and what looks wrong about them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import DataWarning, InvalidInputError
from bcd_implicit.support.arrays import Samples, as_pandas_or_array, read_samples
from bcd_implicit.support.display import listed
from bcd_implicit.support.row_numbers import like_row_numbers, row_numbers

# A gradient multiplies up to four such numbers, and weights have one over their size: beyond, floating point may end.
LARGEST, SMALLEST = 1e40, 1e-40
#: Both warnings about row numbers, as a regular expression.
OF_ROW_NUMBERS = r"\w+: columns? .* (only numbers? the rows|looks? like row numbers)"
SAME_ROWS = "Give both the same rows in the same order"


def read_inputs(name: str, table: ArrayLike, *, quiet: bool = False) -> Samples:
    """Inputs to train on: two rows at least, of numbers whose squares floating point can hold.

    Raises
    ------
    InvalidInputError
        See :func:`~bcd_implicit.support.arrays.read_samples`; also a vector, or a column beyond 1e40 or that varies by
        less than 1e-40.

    Warns
    -----
    DataWarning
        A column only numbers the rows, or seems to have numbered them before some were dropped or shuffled, unless
        ``quiet``.
    """
    inputs = _one_zero(read_samples(name, table, min_rows=2, may_be_vector=False))
    check_units(name, inputs)
    if not quiet:
        _warn_of_row_numbers(name, inputs)
    return inputs


def _warn_of_row_numbers(name: str, inputs: Samples) -> None:
    names = inputs.labels or range(inputs.values.shape[1])
    for found, one, several in (
        (row_numbers(inputs.values, names), "only numbers the rows", "only number the rows"),
        (like_row_numbers(inputs.values, names), *[f"{verb} like row numbers" for verb in ("looks", "look")]),
    ):
        if not found:
            continue
        alone = len(found) == 1
        which = f"column {found[0]!r} {one}" if alone else f"columns {listed([*map(repr, found)])} {several}"
        without = f"{name}.drop(columns={found})" if inputs.labels else f"numpy.delete({name}, {found}, axis=1)"
        warnings.warn(
            f"{name}: {which}. If the rows are sorted, this reveals the targets although it has no meaning: drop it, "
            f"{without}. If it has a meaning, such as time, silence this warning: "
            "warnings.simplefilter('ignore', bcd_implicit.DataWarning).",
            DataWarning,
            stacklevel=4,
        )


def read_targets(name: str, table: ArrayLike, inputs: Samples, inputs_name: str) -> Samples:
    """Numeric targets for inputs that were read before.

    Raises
    ------
    InvalidInputError
        See :func:`~bcd_implicit.support.arrays.read_samples`; also another number of rows, or a column beyond 1e40 or
        that varies by less than 1e-40.

    Warns
    -----
    DataWarning
        Its rows have the labels of the inputs' rows in another order.
    """
    targets = _one_zero(read_samples(name, table))
    check_units(name, targets)
    _check_rows(name, targets.values.shape, targets.row_labels, inputs, inputs_name)
    return targets


def read_labels(name: str, labels: Any, inputs: Samples, inputs_name: str) -> np.ndarray:
    """Class labels for inputs that were read before, without missing ones.

    Raises
    ------
    InvalidInputError
        Missing labels, or another number of rows.

    Warns
    -----
    DataWarning
        As of targets.
    """
    given = as_pandas_or_array(name, labels)
    _check_rows(name, given.shape, getattr(given, "index", None), inputs, inputs_name)
    array = given if isinstance(given, np.ndarray) else given.to_numpy()
    if array.dtype.kind == "f" or pd.isna(array).any():
        missing = np.where(pd.isna(array), np.nan, 0.0) if array.dtype.kind != "f" else array
        read_samples(name, missing)
    # Numbers that a table held as objects are no unknown kind of labels.
    return pd.Series(array).infer_objects().to_numpy() if array.dtype == object and array.ndim == 1 else array


def warn_if_constant(Y: np.ndarray, names: list[str]) -> None:
    """Warn of targets, shape (q, m), that do not vary.

    Warns
    -----
    DataWarning
        There is nothing in them that an input could explain.
    """
    constant = [name for name, same in zip(names, (Y[:, :1] == Y).all(axis=1), strict=True) if same]
    if constant:
        one = len(constant) == 1
        which = f"the target {constant[0]!r} does" if one else f"the targets {listed(constant)} do"
        them = "it" if one else "them"
        warnings.warn(f"{which} not vary, so no input can explain {them}: check {them}.", DataWarning, stacklevel=3)


def check_sizes(name: str, samples: Samples) -> None:
    """Raise an error that names the column if an entry is beyond 1e40."""
    # Without a table of absolute values, which may be as large as all of the states.
    largest = np.maximum(samples.values.max(axis=0, initial=0.0), -samples.values.min(axis=0, initial=0.0))
    _refuse(name, samples, largest > LARGEST, "has entries as large as", largest)


def _one_zero(samples: Samples) -> Samples:
    """The same samples without -0.0: sorting, hashes and signs would tell it from 0.0."""
    return samples._replace(values=samples.values + 0.0)


def check_units(name: str, samples: Samples) -> None:
    """Raise an error that names the column if an entry is beyond 1e40, or if they vary by less than 1e-40."""
    check_sizes(name, samples)
    spread = np.ptp(samples.values, axis=0)
    _refuse(name, samples, (spread > 0) & (spread < SMALLEST), "varies by no more than", spread)


def _refuse(name: str, samples: Samples, bad: np.ndarray, what: str, sizes: np.ndarray) -> None:
    if bad.any():
        j = int(bad.argmax())
        raise InvalidInputError(name, f"{what} {sizes[j]:.1e}{samples.where(j)}", "Scale it to about 1")


def check_as_many(name: str, n_samples: int, n_wanted: int, other: str = "X", remedy: str = SAME_ROWS) -> None:
    """Raise an error that names the argument unless it has as many samples as the other one.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if n_samples != n_wanted:
        raise InvalidInputError(name, f"has {n_samples} samples but {other} has {n_wanted}", remedy)


def _check_rows(name: str, shape: tuple[int, ...], index: pd.Index | None, inputs: Samples, inputs_name: str) -> None:
    m, p = inputs.values.shape
    turned = name if shape[1:] == (m,) else inputs_name if shape[0] == p else ""
    check_as_many(name, shape[0], m, inputs_name, f"Samples are rows: pass {turned}.T" if turned else SAME_ROWS)
    ours = inputs.row_labels
    # Other labels altogether are usual, as where one of the two was numbered anew; other places hardly are meant.
    if ours is None or index is None or ours.equals(index) or not (ours.is_unique and index.is_unique):
        return
    if ours.isin(index).all():
        warnings.warn(
            f"{name}: its rows have the labels of the rows of {inputs_name} in another order, and rows are matched by "
            f"their place. If the labels are right, pass {name}.loc[{inputs_name}.index]; if places are, "
            f"{name}.reset_index(drop=True) and the same for {inputs_name}.",
            DataWarning,
            stacklevel=4,
        )


def check_sample_weight(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Return the samples' weights relative to the largest, or ones when none were given.

    Parameters
    ----------
    sample_weight : array-like of shape (m,) or None
    n_samples : int
        The number m of samples.

    Returns
    -------
    ndarray of shape (m,)

    Raises
    ------
    InvalidInputError
        See :func:`~bcd_implicit.support.arrays.read_samples`; also another number of weights, a negative one, or fewer
        than two positive ones.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    listed: Any = [sample_weight] if np.isscalar(sample_weight) else sample_weight
    weights = read_samples("sample_weight", listed).values
    if weights.shape != (n_samples, 1):
        size = f"{len(weights)} weights" if weights.shape[1] == 1 else f"shape {weights.shape}"
        raise InvalidInputError(
            "sample_weight", f"has {size} for {n_samples} samples", "Give one number for each sample"
        )
    weights = weights[:, 0]
    if weights.min() < 0:
        row = int(weights.argmin())
        raise InvalidInputError("sample_weight", f"is {weights[row]:g} at row {row}", "Weights are 0 or more")
    n_positive = np.count_nonzero(weights)
    if n_positive < 2:
        raise InvalidInputError(
            "sample_weight",
            f"is positive for {n_positive} sample(s), at least 2 needed",
            "A sample of weight zero is dropped",
        )
    return weights / weights.max()
