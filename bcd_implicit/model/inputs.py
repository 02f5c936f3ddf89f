"""The inputs that a person gives to a model: an array, or a data frame whose columns are matched by name."""

from __future__ import annotations

from itertools import compress
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.model.matrices import Matrix, used_columns
from bcd_implicit.support.arrays import as_pandas_or_array, read_samples
from bcd_implicit.support.checks import check_names
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
    given, n_inputs = as_pandas_or_array("U", U), model.B.shape[1]
    if not isinstance(given, pd.DataFrame):
        return _values(given, n_inputs)
    used = used_inputs(model)
    names = list(compress(model.input_names, used))
    # A model without names of its own takes columns in their order, unless they are called as it calls them.
    unnamed = model.input_names == check_names("input_names", None, n_inputs, "u")
    if unnamed and not {*names} <= {*map(str, given.columns)}:
        return _values(given, n_inputs)
    inputs = np.zeros((len(given), n_inputs))
    if names:
        inputs[:, used] = _values(pick_columns("U", given, names), len(names))
    return inputs


def _values(given: Any, n_columns: int) -> np.ndarray:
    samples = read_samples("U", given, n_columns=n_columns, may_be_vector=False)
    check_sizes("U", samples)
    return np.asarray(samples.values)
