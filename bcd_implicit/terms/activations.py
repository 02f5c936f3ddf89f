"""The activations, by name.

To add one, register it: :func:`register_activation`.
"""

from __future__ import annotations

from bcd_implicit.errors import check_choice
from bcd_implicit.terms.activation import Activation
from bcd_implicit.terms.piecewise_linear import Clip, Identity, LeakyRelu, Relu, SoftThreshold
from bcd_implicit.terms.smooth_activations import Arctan, Elu, Sigmoid, Softplus, Softsign, Tanh

__all__ = ["ACTIVATIONS", "Activation", "Clip", "Identity", "LeakyRelu", "Relu", "SoftThreshold", "get_activation"]

_BUILT_IN = (
    *(Relu(), LeakyRelu(), Clip(), Identity(), SoftThreshold()),
    *(Tanh(), Sigmoid(), Softplus(), Elu(), Arctan(), Softsign()),
)
#: The activations, by name.
ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _BUILT_IN}


def get_activation(activation: str | Activation) -> Activation:
    """Look an activation up by name; an :class:`Activation` passes through.

    Raises
    ------
    InvalidInputError
        The name is not known; the message lists those that are.
    """
    if isinstance(activation, Activation):
        return activation
    return ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
