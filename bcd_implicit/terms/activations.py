"""The activations, by name.

To add one, register it: :func:`~bcd_implicit.register_activation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.support.checks import check_flag
from bcd_implicit.terms.activation import Activation
from bcd_implicit.terms.activation_checks import check_activation
from bcd_implicit.terms.formula_activation import FormulaActivation
from bcd_implicit.terms.piecewise_linear import Clip, Identity, LeakyRelu, Relu, SoftThreshold
from bcd_implicit.terms.smooth_activations import Arctan, Elu, Sigmoid, Softplus, Softsign, Tanh

_BUILT_IN = (
    *(Relu(), LeakyRelu(), Clip(), Identity(), SoftThreshold()),
    *(Tanh(), Sigmoid(), Softplus(), Elu(), Arctan(), Softsign()),
)
#: The activations, by name.
ACTIVATIONS: dict[str, Activation] = {activation.name: activation for activation in _BUILT_IN}


def get_activation(activation: str | Activation) -> Activation:
    """Look an activation up by name; an :class:`~bcd_implicit.Activation` passes through.

    Raises
    ------
    InvalidInputError
        The name is not known; the message lists those that are.
    """
    if isinstance(activation, Activation):
        return activation
    return ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]


def with_parameters(name: str, parameters: Mapping[str, Any]) -> Activation:
    """The activation of a name with other parameters.

    Raises
    ------
    InvalidInputError
        The name is not known, or the parameters are not those of the activation.
    """
    known = get_activation(name)
    if {*parameters} != {*known.parameters}:
        cause = f"{name} has the parameters {[*known.parameters]}, not {[*parameters]}"
        raise InvalidInputError("activation", cause)
    return type(known)(**parameters) if parameters and parameters != known.parameters else known


def register_activation(activation: str | Activation, *, overwrite: bool = False, **formulas: Any) -> Activation:
    """Make an activation known by its name, wherever one can be named.

    It is looked at first, at many points: phi monotone with slopes up to ``max_slope``, which is at most 1, the domain,
    derivatives against differences, g(x) + g*(z) - x z >= 0 and 0 at x = phi(z), CVXPY's values against NumPy's.

    Parameters
    ----------
    activation : str or Activation
        A name, for formulas; or an instance of a subclass of :class:`~bcd_implicit.Activation`.
    overwrite : bool
        Whether one that was registered under this name is replaced. The built-in ones stay.
    **formulas
        ``phi``, ``derivative``, ``g``, ``g_derivative`` and ``g_conjugate``, functions of an array each, and what else
        is known: ``domain``, ``max_slope``, ``g_curvature``, ``divergence``, ``positively_homogeneous``, ``cvxpy_g``
        and ``cvxpy_g_conjugate``, as for :class:`~bcd_implicit.terms.formula_activation.FormulaActivation`.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidInputError
        The name is taken, or a condition fails: the message says which, at which point, and with which values.

    Examples
    --------
    >>> import numpy as np
    >>> import bcd_implicit as bi
    >>> bi.register_activation(
    ...     "asinh",
    ...     phi=np.arcsinh,
    ...     derivative=lambda z: 1 / np.hypot(1, z),
    ...     g=lambda x: 2 * np.sinh(x / 2) ** 2,
    ...     g_derivative=np.sinh,
    ...     g_conjugate=lambda z: z * np.arcsinh(z) - z**2 / (1 + np.hypot(1, z)),
    ... )
    <activation asinh>
    """
    if not isinstance(activation, Activation):
        activation = FormulaActivation(activation, **formulas)
    elif formulas:
        raise InvalidInputError("activation", "is an Activation, and formulas are given too", "Give one of them")
    name = activation.name
    if not isinstance(name, str) or not name:
        raise InvalidInputError("activation", f"has the name {name!r}", "Give it a name")
    if name in {known.name for known in _BUILT_IN}:
        raise InvalidInputError("activation", f"{name} is built in", "Choose another name")
    if name in ACTIVATIONS and not check_flag("overwrite", overwrite):
        raise InvalidInputError("activation", f"{name} is registered already", "Choose another name, or overwrite=True")
    check_activation(activation)
    ACTIVATIONS[name] = activation
    return activation
