"""Links: what predictions on one scale say of targets on another."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.special import expit, softmax

from bcd_implicit.errors import DataWarning

Link = Callable[[np.ndarray], np.ndarray]


def _rates(prediction: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # infinite: no line search takes it
        return np.asarray(np.exp(prediction))


#: From predictions, shape (q, m), to what they say of the targets, by the name of the scale that predictions are on.
LINKS: dict[str, Link] = {
    "identity": np.asarray,
    "logit": expit,
    "softmax": lambda prediction: np.asarray(softmax(prediction, axis=0)),
    "log": _rates,
}


def responses(link: str, prediction: np.ndarray) -> np.ndarray:
    """What predictions, shape (q, m), say of the targets.

    Warns
    -----
    DataWarning
        Rates beyond the largest number of floating point.
    """
    found = LINKS[link](prediction)
    if n_infinite := int(np.isposinf(found).any(axis=0).sum()):
        largest = float(prediction.max())
        warnings.warn(
            f"rates of {n_infinite} of {found.shape[1]} samples are infinite: their logarithms go up to {largest:.3g}, "
            "and e^709 is the largest number. Are these inputs far from the training data?",
            DataWarning,
            stacklevel=3,
        )
    return found
