"""An activation phi as a Fenchel pair: phi = grad g*, with g convex.

One object holds phi, its derivative, and both halves of the pair, each as a NumPy function and, where cones can say
it, as a CVXPY expression. F(x, z) = g(x) + g*(z) - x z is never negative and is zero exactly when x = phi(z)
(Gu, Askari, El Ghaoui, *Fenchel Lifted Networks*, arXiv 1811.08039, section 3).
"""

from __future__ import annotations

import numpy as np
from scipy.special import roots_jacobi

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.by_name import undefined
from bcd_implicit.terms.function import ElementwiseFunction

EPS = float(np.finfo(float).eps)
# Smaller numbers count as this one where a logarithm or a quotient of them is asked for.
TINY = 1e-300
# Gauss's rule for the integral over t from 0 to 1 with weight 1 - t.
_nodes, _weights = roots_jacobi(5, 1, 0)
NODES, WEIGHTS = 0.5 * (1 + _nodes), 0.25 * _weights


class Activation(ElementwiseFunction):
    """A componentwise, monotone, 1-Lipschitz map with its Fenchel pair.

    Attributes
    ----------
    name : str
        The name by which users select it.
    domain : tuple of float
        Closed interval on which g is finite: the range of phi in floating point.
    max_slope : float
        The largest slope of phi, at most 1. g is 1/max_slope-strongly convex, and x <- phi(Ax + c) contracts by
        max_slope ||A||_inf.
    quadratic_part : float
        The largest c for which ``cvxpy_g_rest`` can express g(x) - c/2 x^2 by DCP rules. It is 1 for the
        piecewise-linear activations, 0 if CVXPY knows g only as a whole, and 1 without a CVXPY form: for every smaller
        c the rest is convex too.
    positively_homogeneous : bool
        True when phi(t z) = t phi(z) for every t > 0, which allows rescaling a model.
    """

    domain: tuple[float, float] = (-np.inf, np.inf)
    max_slope: float = 1.0
    nondecreasing: bool = True
    quadratic_part: float = 1.0

    @property
    def conic(self) -> bool:
        """Whether both halves of the pair have a CVXPY form. If not, only native solvers can solve their blocks."""
        return type(self).cvxpy_g_conjugate is not Activation.cvxpy_g_conjugate

    def g(self, x: np.ndarray) -> np.ndarray:
        """g(x), elementwise; ``inf`` outside the domain."""
        raise undefined(self, "g")

    def g_derivative(self, x: np.ndarray) -> np.ndarray:
        """One subgradient of g inside the domain (without the normal cone at its ends); finite at the ends too."""
        raise undefined(self, "g_derivative")

    def g_subgradient(self, x: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The subgradient of g at x nearest to ``wanted``; at the ends of the domain with the normal cone there.

        This method covers points at which phi is constant around ``wanted``. A subclass whose g has a kink inside the
        domain has to cover the others.
        """
        # x = phi(z) says that z is a subgradient at x.
        return np.where(self(wanted) == x, wanted, self.g_derivative(x))

    def g_curvature(self, x: np.ndarray) -> np.ndarray:
        """g''(x) inside the domain; at a kink of g', the value on one side."""
        return 1 / np.maximum(self.derivative(self.g_derivative(x)), TINY)

    def g_conjugate(self, z: np.ndarray) -> np.ndarray:
        """g*(z), elementwise; its derivative is phi."""
        raise undefined(self, "g_conjugate")

    def cvxpy_g_rest(
        self, x: cp.Expression, weights: float | np.ndarray = 1.0
    ) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Sum of weights * (g(x) - quadratic_part/2 x^2), and the constraints of g's domain.

        Weights are one for each column, or one for each entry.

        Raises
        ------
        InvalidInputError
            The activation is not :attr:`conic`.
        """
        raise self._not_conic()

    def cvxpy_g_conjugate(self, z: cp.Expression, weights: float | np.ndarray = 1.0) -> cp.Expression:
        """Sum of weights * g*(z), with weights as above.

        Raises
        ------
        InvalidInputError
            The activation is not :attr:`conic`.
        """
        raise self._not_conic()

    def _not_conic(self) -> InvalidInputError:
        cause = f"{self.name} has no CVXPY form: its Fenchel pair is native only"
        return InvalidInputError("activation", cause, 'Use solver="native" or "auto", or another activation')

    def divergence(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """F(x, z) = g(x) + g*(z) - x z >= 0, elementwise; ``inf`` outside the domain of g.

        With p = phi(z) it is g(x) - g(p) - z (x - p), in which rounding of p is of second order. If x is near p
        that is a small difference of large numbers, on which objectives and certificates depend. There it is computed
        as (x - p)^2 times the integral of (1 - t) g''(p + t (x - p)) over t from 0 to 1.
        """
        x = np.asarray(x, dtype=float)
        p, inside = self(z), np.clip(x, *self.domain)
        step = inside - p
        sizes = np.abs(self.g(inside)) + np.abs(self.g(p)) + np.abs(inside) + np.abs(p) + np.abs(z * step)
        far = self.g(inside) - self.g(p) - z * step
        near = step**2 * sum(w * self.g_curvature(p + t * step) for t, w in zip(NODES, WEIGHTS, strict=True))
        # The integral is better where rounding cannot tell the two apart. Elsewhere x is far away, or a kink between.
        return inside_or_inf(
            x, *self.domain, np.where(np.abs(near - far) <= 4 * EPS * sizes, near, np.maximum(far, 0.0))
        )

    def cvxpy_g(self, x: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Sum of g(x), and the constraints of its domain."""
        rest, constraints = self.cvxpy_g_rest(x)
        return rest + 0.5 * self.quadratic_part * cp.sum_squares(x), constraints

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


#: What a subclass has to define.
NEEDED = ("__call__", "derivative", "g", "g_derivative", "g_conjugate")


def sum_squares(x: cp.Expression, weights: float | np.ndarray) -> cp.Expression:
    """Sum of weights * x^2, a weight a column or an entry."""
    # The weights inside the square: one sum of squares for a conic solver, not a cone an entry.
    return cp.sum_squares(cp.multiply(np.broadcast_to(np.sqrt(weights), x.shape), x))


def weighted_sum(values: cp.Expression, weights: float | np.ndarray) -> cp.Expression:
    """Sum of weights * values, a weight a column or an entry."""
    return cp.sum(cp.multiply(np.broadcast_to(weights, values.shape), values))


def inside_or_inf(x: np.ndarray, low: float, high: float, value: np.ndarray) -> np.ndarray:
    """The value where x lies in an interval, ``inf`` elsewhere."""
    return np.where((x >= low) & (x <= high), value, np.inf)
