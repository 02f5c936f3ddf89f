"""The activations, by name.

To add one, register it: :func:`~bcd_implicit.register_activation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.by_name import check_defined, named_or_given
from bcd_implicit.support.checks import check_flag
from bcd_implicit.terms.activation import NEEDED, Activation
from bcd_implicit.terms.activation_checks import check_activation
from bcd_implicit.terms.formula_activation import Formula, FormulaActivation
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
        The name is not known (the message lists those that are), it is no activation, or its class lacks a method.
    """
    return named_or_given("activation", activation, Activation, ACTIVATIONS, NEEDED)


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


def register_activation(
    activation: str | Activation,
    *,
    phi: Formula | None = None,
    derivative: Formula | None = None,
    g: Formula | None = None,
    g_derivative: Formula | None = None,
    g_conjugate: Formula | None = None,
    g_curvature: Formula | None = None,
    divergence: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    domain: tuple[float, float] = (-np.inf, np.inf),
    max_slope: float = 1.0,
    positively_homogeneous: bool = False,
    cvxpy_g: Callable[[cp.Expression], cp.Expression] | None = None,
    cvxpy_g_conjugate: Callable[[cp.Expression], cp.Expression] | None = None,
    overwrite: bool = False,
) -> Activation:
    """Register an activation, so that it can be used by name.

    It is checked first, at many points: phi is monotone with slopes up to ``max_slope``, which is at most 1; the
    domain; derivatives against differences; g(x) + g*(z) - x z >= 0, and 0 at x = phi(z); CVXPY's values against
    NumPy's.

    Parameters
    ----------
    activation : str or Activation
        A name, to be followed by formulas; or an instance of a subclass of :class:`~bcd_implicit.Activation`.
    phi, derivative, g, g_derivative, g_conjugate : callable
        With a name: the formulas, each a function of an array.
    g_curvature, divergence, domain, max_slope, positively_homogeneous, cvxpy_g, cvxpy_g_conjugate
        Further properties, as in :class:`~bcd_implicit.terms.formula_activation.FormulaActivation`.
    overwrite : bool
        Whether to replace an activation registered under this name. Built-in ones cannot be replaced.

    Returns
    -------
    Activation

    Raises
    ------
    InvalidInputError
        The name is taken, a formula is missing, or a condition fails: the message gives the condition, the point and
        the values.

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
    formulas: dict[str, Any] = {
        **{"phi": phi, "derivative": derivative, "g": g, "g_derivative": g_derivative, "g_conjugate": g_conjugate},
        **{"g_curvature": g_curvature, "divergence": divergence},
        **{"cvxpy_g": cvxpy_g, "cvxpy_g_conjugate": cvxpy_g_conjugate},
    }
    if isinstance(activation, type) and issubclass(activation, Activation):
        cause = f"is the class {activation.__name__}"
        raise InvalidInputError("activation", cause, f"Pass an instance, such as {activation.__name__}()")
    if not isinstance(activation, (str, Activation)):
        raise InvalidInputError("activation", f"has the name {shown(activation)}", "Give it a name")
    if isinstance(activation, str):
        activation = FormulaActivation(
            activation,
            domain=domain,
            max_slope=max_slope,
            positively_homogeneous=positively_homogeneous,
            **formulas,
        )
    elif any(formula is not None for formula in formulas.values()):
        raise InvalidInputError("activation", "is an Activation, but formulas are given too", "Give one of them")
    check_defined("activation", activation, Activation, NEEDED)
    name = activation.name
    if not name:
        raise InvalidInputError("activation", f"has the name {shown(name)}", "Give it a name")
    if name in {known.name for known in _BUILT_IN}:
        raise InvalidInputError("activation", f"{name} is built in", "Choose another name")
    if name in ACTIVATIONS and not check_flag("overwrite", overwrite):
        raise InvalidInputError("activation", f"{name} is registered already", "Choose another name, or overwrite=True")
    check_activation(activation)
    ACTIVATIONS[name] = activation
    return activation
