"""The small-gain theorem for a feedback around an implicit model: why it is well-posed, by two gains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from bcd_implicit.compose.checks import check_model
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model import algebra, well_posedness
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.operators import affine_of


@dataclass(frozen=True)
class SmallGain:
    """Whether a feedback is well-posed: by the gains of its two parts, and by the model as a whole.

    Attributes
    ----------
    gain : float
        The spectral radius of ``|K| S``, with S the sensitivity. Below 1 it proves that the feedback is well-posed.
    sensitivity : ndarray of shape (q, p)
        S = ``|D| + |C| (I - L |A|)^-1 L |B|``, which bounds how much each output changes by each input; L has the
        largest slopes of the states' functions. If the model is well-posed by its matrix measure alone, the negative
        entries on A's diagonal replace those of ``|A|``.
    closed : ImplicitModel
        The model with feedback.
    """

    gain: float
    sensitivity: np.ndarray
    closed: ImplicitModel

    @property
    def proves(self) -> bool:
        """Whether the gains prove that the feedback is well-posed."""
        return self.gain < 1

    @property
    def reason(self) -> str:
        """The verdict on the whole model, which is the sharper one, and the verdict of the gains."""
        relation = "below 1, which proves it" if self.proves else "not below 1, which proves nothing"
        return (
            f"{self.closed.structure().reason}. Small gain: the spectral radius of |K| S is {self.gain:.4g}, {relation}"
        )

    def __repr__(self) -> str:
        return f"<small gain: {self.reason}>"


def small_gain(model: ImplicitModel, K: Any) -> SmallGain:
    """Explain the verdict on ``model.feedback(K)`` by the gains of the model and of K.

    ``|dy| <= S |du|`` and ``|du| <= |dw| + |K| |dy|``: around the loop, changes shrink if the spectral radius of
    ``|K| S`` is below 1. Then the whole is well-posed, too, but not the other way round: ``|K| S`` forgets signs.

    Parameters
    ----------
    model : ImplicitModel
    K : array of shape (p, q), float or ImplicitModel
        As for :meth:`~bcd_implicit.model.operators.Operators.feedback`; a model's gain is its sensitivity.

    Raises
    ------
    NotWellPosedError
        The model is not well-posed even without feedback, or K is not.
    InvalidInputError
        K does not fit, or a state's function has no Lipschitz constant, so that no gain bounds the outputs.
    """
    closed = check_model("model", model).feedback(K)
    S, system = _sensitivity("model", model), model._system
    if isinstance(K, ImplicitModel):
        gains = _sensitivity("K", ImplicitModel._of(algebra.returned(system, K._system)))
    elif np.ndim(K) == 0 and not sp.issparse(K):
        gains = np.abs(K * np.eye(len(S)))
    else:
        gains = np.abs(dense(affine_of("K", K, system.outputs, system.inputs).D))
    return SmallGain(well_posedness.spectral_radius(gains @ S), S, closed)


def _sensitivity(name: str, model: ImplicitModel) -> np.ndarray:
    try:
        return model._sensitivity(name, "Ask model.feedback(K).structure().reason")
    except NotWellPosedError as error:
        raise NotWellPosedError(f"{name} on its own: {error}") from None
