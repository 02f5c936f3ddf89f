"""An activation from a person's formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.support.storing import KeepsFunctions
from bcd_implicit.terms.activation import TINY, Activation, inside_or_inf, weighted_sum

Formula = Callable[[np.ndarray], np.ndarray]
REQUIRED = ("phi", "derivative", "g", "g_derivative", "g_conjugate")
ENTRY_BY_ENTRY = "Give a function of a NumPy array that acts on each entry"


class FormulaActivation(KeepsFunctions, Activation):
    """An activation whose Fenchel pair is given by functions of arrays.

    Parameters
    ----------
    name : str
    phi, derivative : callable
        phi(z) and phi'(z), elementwise.
    g, g_derivative : callable
        g(x) and g'(x), elementwise, for x in the domain. g' is the inverse of phi; it may be infinite at an end of the
        domain.
    g_conjugate : callable
        g*(z), elementwise: the integral of phi with g*(z) = z phi(z) - g(phi(z)).
    g_curvature : callable, optional
        g''(x); 1 / phi'(g'(x)) by default.
    divergence : callable, optional
        g(x) + g*(z) - x z of x and z without cancellation; that of :class:`~bcd_implicit.Activation` by default.
    domain : tuple of float
        The smallest and the largest value of phi. g is finite there: where it tends to infinity, give the
        floating-point number next to the end, ``np.nextafter``.
    max_slope : float
        The largest slope of phi, at most 1.
    positively_homogeneous : bool
        Whether phi(t z) = t phi(z) for every t > 0.
    cvxpy_g, cvxpy_g_conjugate : callable, optional
        Both halves as convex CVXPY expressions, of the shape of their argument. Without them the activation is native
        only.

    Raises
    ------
    InvalidInputError
        A formula that is missing, no function, or does not give a number for each entry; an empty domain, a slope out
        of range, one CVXPY half without the other.
    """

    _functions = ("formulas", "formula")

    def __init__(
        self,
        name: str,
        *,
        phi: Formula | None,
        derivative: Formula | None,
        g: Formula | None,
        g_derivative: Formula | None,
        g_conjugate: Formula | None,
        g_curvature: Formula | None = None,
        divergence: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        domain: tuple[float, float] = (-np.inf, np.inf),
        max_slope: float = 1.0,
        positively_homogeneous: bool = False,
        cvxpy_g: Callable[[cp.Expression], cp.Expression] | None = None,
        cvxpy_g_conjugate: Callable[[cp.Expression], cp.Expression] | None = None,
    ) -> None:
        given = {
            **{"phi": phi, "derivative": derivative, "g": g, "g_derivative": g_derivative, "g_conjugate": g_conjugate},
            **{"g_curvature": g_curvature, "divergence": divergence},
            **{"cvxpy_g": cvxpy_g, "cvxpy_g_conjugate": cvxpy_g_conjugate},
        }
        self.formulas: dict[str, Any] = {key: formula for key, formula in given.items() if formula is not None}
        for key in REQUIRED:
            if key not in self.formulas:
                raise InvalidInputError(key, "is missing", f"Give {', '.join(REQUIRED)}, each a function of an array")
        for key, formula in self.formulas.items():
            if not callable(formula):
                raise InvalidInputError(key, f"is of type {type(formula).__name__}", "Give a function of an array")
        if (cvxpy_g is None) != (cvxpy_g_conjugate is None):
            raise InvalidInputError("cvxpy_g", "and cvxpy_g_conjugate belong together", "Give both, or neither")
        self.name, self.max_slope = name, check_number("max_slope", max_slope, 0, 1, boundaries="right")
        self.positively_homogeneous = check_flag("positively_homogeneous", positively_homogeneous)
        self.domain = low, high = _check_domain(domain)
        self.quadratic_part = 0.0 if self.conic else 1.0
        # Derivatives of g are evaluated at the ends where they are finite, else next to them.
        with np.errstate(all="ignore"):
            finite = np.isfinite(self._by("g_derivative", np.array(self.domain)))
        inwards = max(np.nextafter(low, high), TINY) if low == 0 else np.nextafter(low, high)
        self.interior = low if finite[0] else inwards, high if finite[1] else np.nextafter(high, low)

    @property
    def conic(self):
        return "cvxpy_g" in self.formulas

    def __call__(self, z):
        return self._by("phi", z)

    def _by(self, formula: str, *at: np.ndarray) -> np.ndarray:
        given = np.broadcast_arrays(*(np.asarray(array, dtype=float) for array in at))
        values = self._called(formula, *given)
        try:
            values = np.asarray(values)
        except ValueError:  # a list of rows of different lengths
            values = np.asarray(None)
        if values.dtype.kind not in "biuf":
            what = "complex numbers" if values.dtype.kind == "c" else shown(values)
            raise InvalidInputError(formula, f"gives {what}, no real ones", ENTRY_BY_ENTRY)
        if values.shape != given[0].shape:
            cause = f"gives shape {values.shape} for arrays of shape {given[0].shape}"
            raise InvalidInputError(formula, cause, ENTRY_BY_ENTRY)
        return values.astype(float, copy=False)

    def _called(self, formula: str, *given: Any) -> Any:
        """What a person's function gives, which may fail in any way."""
        try:
            return self.formulas[formula](*given)
        except Exception as error:
            cause = f"failed for {shown(given[0])}: {type(error).__name__}: {str(error).rstrip('.')}"
            raise InvalidInputError(formula, cause, ENTRY_BY_ENTRY) from error

    def _posed_by(self, formula: str, variable: cp.Expression) -> cp.Expression:
        expression = self._called(formula, variable)
        if not isinstance(expression, cp.Expression) or expression.shape != variable.shape:
            cause = f"gives {shown(expression)} for a variable of shape {variable.shape}"
            raise InvalidInputError(formula, cause, "Give a convex CVXPY expression for each entry")
        return expression

    def derivative(self, z):
        return self._by("derivative", z)

    def g(self, x):
        return inside_or_inf(x, *self.domain, self._by("g", np.clip(x, *self.domain)))

    def g_derivative(self, x):
        return self._by("g_derivative", np.clip(x, *self.interior))

    def g_curvature(self, x):
        if "g_curvature" not in self.formulas:
            return super().g_curvature(x)
        return self._by("g_curvature", np.clip(x, *self.interior))

    def g_conjugate(self, z):
        return self._by("g_conjugate", z)

    def divergence(self, x, z):
        if "divergence" not in self.formulas:
            return super().divergence(x, z)
        inside = np.clip(x, *self.domain)
        return inside_or_inf(x, *self.domain, self._by("divergence", inside, z))

    def cvxpy_g_rest(self, x, weights=1.0):
        if not self.conic:
            return super().cvxpy_g_rest(x, weights)
        low, high = self.domain
        constraints = ([x >= low] if np.isfinite(low) else []) + ([x <= high] if np.isfinite(high) else [])
        return weighted_sum(self._posed_by("cvxpy_g", x), weights), constraints

    def cvxpy_g_conjugate(self, z, weights=1.0):
        if not self.conic:
            return super().cvxpy_g_conjugate(z, weights)
        return weighted_sum(self._posed_by("cvxpy_g_conjugate", z), weights)


def _check_domain(domain: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = map(float, domain)
    except (TypeError, ValueError):
        raise InvalidInputError(
            "domain", f"got {shown(domain)}", "Give the smallest and the largest value of phi"
        ) from None
    if not low < high:
        raise InvalidInputError("domain", f"({low:g}, {high:g}) is empty", "Give the smaller end first")
    return low, high
