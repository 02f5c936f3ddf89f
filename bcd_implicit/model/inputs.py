"""Inputs and targets that a person gives for a model: arrays, or data frames whose columns are matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.model.matrices import Matrix, used_columns
from bcd_implicit.model.names import labels_of, own
from bcd_implicit.support.arrays import as_pandas_or_array, read_samples
from bcd_implicit.support.checks import check_matrix
from bcd_implicit.support.samples import check_sizes
from bcd_implicit.support.tables import pick_columns

#: What to do in place of giving something that is no model.
PASS_A_MODEL = "Pass result.model, model_ of an estimator, or bi.from_sklearn(estimator)"


class Reader(Protocol):
    """What of a model says which inputs it takes."""

    B: Matrix
    D: Matrix
    input_names: list[str]


def used_inputs(model: Reader) -> np.ndarray:
    """Which inputs play a part, through B or D: bool, shape (p,)."""
    return used_columns(model.B) | used_columns(model.D)


def inputs_of(model: Reader, U: ArrayLike) -> np.ndarray:
    """The inputs as an array (m, p), zero where a data frame lacks one that plays no part.

    Raises
    ------
    InvalidInputError
        Inputs that do not fit.
    """
    return inputs_by_name("U", U, model.input_names, used_inputs(model))


def inputs_by_name(argument: str, U: ArrayLike, names: list[str], used: np.ndarray | None = None) -> np.ndarray:
    """The inputs of these names as an array (m, p), as :func:`inputs_of`, by default all of them used."""
    given = as_pandas_or_array(argument, U)
    if not isinstance(given, pd.DataFrame):
        return _values(argument, given, len(names))
    used = np.ones(len(names), dtype=bool) if used is None else used
    wanted = list(compress(names, used))
    # A model without names of its own takes columns in their order, unless they are called as it calls them.
    if own(names, "u") is None and not {*wanted} <= {*map(str, given.columns)}:
        return _values(argument, given, len(names))
    inputs = np.zeros((len(given), len(names)))
    if wanted:
        inputs[:, used] = _values(argument, pick_columns(argument, given, wanted), len(wanted))
    return inputs


def targets_in_order(argument: str, Y: Any, names: Sequence[str]) -> Any:
    """Targets with the columns of a data frame in the order of the outputs of these names; else as they are.

    Columns go by their order where one side only numbers its columns, and where there is one of each.

    Parameters
    ----------
    argument : str
        What messages call them.
    Y : array-like of shape (m, q), or with more columns, that have names
    names : sequence of str
        Of the q outputs.

    Returns
    -------
    DataFrame, Series or ndarray

    Raises
    ------
    InvalidInputError
        No table, or a column that is missing.
    """
    given = as_pandas_or_array(argument, Y)
    if not isinstance(given, pd.DataFrame):
        return given
    unnamed = own(names, "y") is None or any(labels_of(pd.Index(side)) is None for side in (names, given.columns))
    by_order = unnamed or given.shape[1] == len(names) == 1
    if by_order and not {*names} <= {*map(str, given.columns)}:
        return given
    return pick_columns(argument, given, names, "output")


def targets_of(argument: str, Y: ArrayLike, names: Sequence[str]) -> np.ndarray:
    """The numbers of :func:`targets_in_order`, shape (m, q).

    Raises
    ------
    InvalidInputError
        Targets that do not fit.
    """
    return check_matrix(argument, targets_in_order(argument, Y, names), n_columns=len(names))


def _values(argument: str, given: Any, n_columns: int) -> np.ndarray:
    samples = read_samples(argument, given, n_columns=n_columns, may_be_vector=False)
    check_sizes(argument, samples)
    return np.asarray(samples.values)
