"""Activations phi as Fenchel pairs: phi = grad g*, with g convex and 1-strongly convex.

One object holds phi, its derivative, and both halves of the pair, each as a NumPy function and as a
CVXPY expression. F(x, z) = g(x) + g*(z) - x z is never negative and is zero exactly when x = phi(z)
(Gu, Askari, El Ghaoui, *Fenchel Lifted Networks*, arXiv 1811.08039, section 3).

To add an activation, subclass :class:`Activation` and add an instance to :data:`ACTIVATIONS`.
"""

from __future__ import annotations

from typing import ClassVar

import cvxpy as cp
import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice


class Activation:
    """A componentwise, monotone, 1-Lipschitz map with its Fenchel pair.

    Attributes
    ----------
    name : str
        The name under which a person asks for it.
    domain : tuple of float
        Closed interval on which g is finite: the range of phi.
    quadratic_part : float
        The largest c for which ``cvxpy_g_rest`` can express g(x) - c/2 x^2 by DCP rules. It is 1 for the
        piecewise-linear activations; 0 where g is only known to CVXPY as a whole.
    positively_homogeneous : bool
        True when phi(t z) = t phi(z) for every t > 0, which lets a model be rescaled.
    """

    name: ClassVar[str]
    domain: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    quadratic_part: ClassVar[float] = 1.0
    positively_homogeneous: ClassVar[bool] = False

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """phi(z)."""
        raise NotImplementedError

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """phi'(z); where phi has a kink, one element of its generalised derivative."""
        raise NotImplementedError

    def g(self, x: np.ndarray) -> np.ndarray:
        """g(x), elementwise; ``inf`` outside the domain."""
        raise NotImplementedError

    def g_derivative(self, x: np.ndarray) -> np.ndarray:
        """One subgradient of g inside the domain (without the normal cone at its ends)."""
        raise NotImplementedError

    def g_curvature(self, x: np.ndarray) -> np.ndarray:
        """g''(x) inside the domain; where g' has a kink, the value on one side."""
        raise NotImplementedError

    def g_conjugate(self, z: np.ndarray) -> np.ndarray:
        """g*(z), elementwise; its derivative is phi."""
        raise NotImplementedError

    def cvxpy_g_rest(
        self, x: cp.Expression, weights: float | np.ndarray = 1.0
    ) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Sum of weights * (g(x) - quadratic_part/2 x^2), a weight a column, and the constraints of g's domain."""
        raise NotImplementedError

    def cvxpy_g_conjugate(self, z: cp.Expression, weights: float | np.ndarray = 1.0) -> cp.Expression:
        """Sum of weights * g*(z), a weight a column."""
        raise NotImplementedError

    def divergence(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """F(x, z) = g(x) + g*(z) - x z >= 0, elementwise; ``inf`` outside the domain of g.

        A subclass may know a form without cancellation: where x is near phi(z) this one is a small difference of large
        numbers, and objectives and certificates are made of it.
        """
        return self.g(x) + self.g_conjugate(z) - x * z

    def cvxpy_g(self, x: cp.Expression) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Sum of g(x), and the constraints of its domain."""
        rest, constraints = self.cvxpy_g_rest(x)
        return rest + 0.5 * self.quadratic_part * cp.sum_squares(x), constraints

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


def _sum_squares(x: cp.Expression, weights: float | np.ndarray) -> cp.Expression:
    """Sum of weights * x^2, a weight a column."""
    # The weights inside the square: one sum of squares for a conic solver, not a cone an entry.
    return cp.sum_squares(cp.multiply(np.broadcast_to(np.sqrt(weights), x.shape), x))


def _inside(x: np.ndarray, low: float, high: float, value: np.ndarray) -> np.ndarray:
    return np.where((x >= low) & (x <= high), value, np.inf)


class Relu(Activation):
    """phi(z) = max(z, 0); g(x) = x^2/2 on x >= 0; g*(z) = max(z, 0)^2/2."""

    name = "relu"
    domain = (0.0, np.inf)
    positively_homogeneous = True

    def __call__(self, z):
        return np.maximum(z, 0.0)

    def derivative(self, z):
        # At the kink any slope in [0, 1] is a generalised derivative.
        return (np.asarray(z) > 0).astype(float)

    def g(self, x):
        x = np.asarray(x, dtype=float)
        return _inside(x, *self.domain, 0.5 * x**2)

    def g_derivative(self, x):
        return np.asarray(x, dtype=float)

    def g_curvature(self, x):
        return np.ones_like(x, dtype=float)

    def g_conjugate(self, z):
        return 0.5 * np.maximum(z, 0.0) ** 2

    def divergence(self, x, z):
        # A square, or a product of factors that are not negative for x >= 0 >= z: nothing cancels.
        return _inside(x, *self.domain, np.where(z > 0, 0.5 * (x - z) ** 2, x * (0.5 * x - z)))

    def cvxpy_g_rest(self, x, weights=1.0):
        return cp.Constant(0.0), [x >= 0]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * _sum_squares(cp.pos(z), weights)


class LeakyRelu(Activation):
    """phi(z) = z for z > 0 and slope * z below; slope in (0, 1]."""

    name = "leaky_relu"
    positively_homogeneous = True

    def __init__(self, slope: float = 0.1) -> None:
        # g has 1/slope, so that 0 is relu, of another domain; above 1 phi is not 1-Lipschitz.
        if not 0 < slope <= 1:
            raise InvalidInputError("slope", f"must lie in (0, 1], got {slope}")
        self.slope = slope

    def __call__(self, z):
        return np.where(np.asarray(z) > 0, z, self.slope * np.asarray(z))

    def derivative(self, z):
        return np.where(np.asarray(z) > 0, 1.0, self.slope)

    def g(self, x):
        x = np.asarray(x, dtype=float)
        return 0.5 * np.where(x > 0, x**2, x**2 / self.slope)

    def g_derivative(self, x):
        x = np.asarray(x, dtype=float)
        return np.where(x > 0, x, x / self.slope)

    def g_curvature(self, x):
        # At 0 the larger side: the state block takes it for a bound on all of g''.
        return np.where(np.asarray(x) > 0, 1.0, 1 / self.slope)

    def g_conjugate(self, z):
        z = np.asarray(z, dtype=float)
        return 0.5 * np.where(z > 0, z**2, self.slope * z**2)

    def divergence(self, x, z):
        same_side = np.where(z > 0, 0.5 * (x - z) ** 2, 0.5 / self.slope * (x - self.slope * z) ** 2)
        # Near phi(z) x and z are on one side of 0: there the three terms are one square.
        return np.where((x > 0) == (z > 0), same_side, self.g(x) + self.g_conjugate(z) - x * z)  # all parts positive

    def cvxpy_g_rest(self, x, weights=1.0):
        # g less x^2/2; convex, since the slope is at most 1.
        return 0.5 * (1 / self.slope - 1) * _sum_squares(cp.neg(x), weights), []

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * _sum_squares(cp.pos(z), weights) + 0.5 * self.slope * _sum_squares(cp.neg(z), weights)


class Clip(Activation):
    """phi(z) = min(max(z, -1), 1); g(x) = x^2/2 on [-1, 1]; g* is the Huber function."""

    name = "clip"
    domain = (-1.0, 1.0)

    def __call__(self, z):
        return np.clip(z, -1.0, 1.0)

    def derivative(self, z):
        return (np.abs(z) < 1).astype(float)

    def g(self, x):
        x = np.asarray(x, dtype=float)
        # The ends belong to the domain: saturated states lie exactly on them.
        return _inside(x, *self.domain, 0.5 * x**2)

    def g_derivative(self, x):
        return np.asarray(x, dtype=float)

    def g_curvature(self, x):
        return np.ones_like(x, dtype=float)

    def g_conjugate(self, z):
        size = np.abs(z)
        return np.where(size <= 1, 0.5 * size**2, size - 0.5)

    def divergence(self, x, z):
        # Beyond the kink at +-1 both parts count from there.
        beyond, short = np.maximum(np.abs(z) - 1, 0.0), 1 - np.sign(z) * x
        return _inside(x, *self.domain, np.where(beyond > 0, short * (0.5 * short + beyond), 0.5 * (x - z) ** 2))

    def cvxpy_g_rest(self, x, weights=1.0):
        return cp.Constant(0.0), [x >= -1, x <= 1]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * cp.sum(cp.multiply(np.broadcast_to(weights, z.shape), cp.huber(z, 1)))


class Identity(Activation):
    """phi(z) = z; g(x) = x^2/2; g*(z) = z^2/2: the linear model, useful as a limit."""

    name = "identity"
    positively_homogeneous = True

    def __call__(self, z):
        return np.asarray(z, dtype=float)

    def derivative(self, z):
        return np.ones_like(z, dtype=float)

    def g(self, x):
        return 0.5 * np.asarray(x, dtype=float) ** 2

    def g_derivative(self, x):
        return np.asarray(x, dtype=float)

    def g_curvature(self, x):
        return np.ones_like(x, dtype=float)

    def g_conjugate(self, z):
        return 0.5 * np.asarray(z, dtype=float) ** 2

    def divergence(self, x, z):
        return 0.5 * (np.asarray(x, dtype=float) - z) ** 2

    def cvxpy_g_rest(self, x, weights=1.0):
        return cp.Constant(0.0), []

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * _sum_squares(z, weights)


#: The activations, by name.
ACTIVATIONS: dict[str, Activation] = {a.name: a for a in (Relu(), LeakyRelu(), Clip(), Identity())}


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
