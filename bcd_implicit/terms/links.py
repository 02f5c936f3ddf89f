"""Links: what predictions on one scale say of targets on another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, softmax

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
