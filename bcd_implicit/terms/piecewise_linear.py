"""Piecewise-linear activations: g is quadratic, or that and a multiple of ``|x|``, on the pieces of the domain."""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.formulas import number
from bcd_implicit.terms.activation import Activation, inside_or_inf, sum_squares, weighted_sum


class Relu(Activation):
    """phi(z) = max(z, 0); g(x) = x^2/2 on x >= 0; g*(z) = max(z, 0)^2/2."""

    name = "relu"
    latex = r"\max(z, 0)"
    kinks = (0.0,)
    curvatures = (0, 0)
    projection = True
    domain = (0.0, np.inf)
    positively_homogeneous = True

    def __call__(self, z):
        return np.maximum(z, 0.0)

    def derivative(self, z):
        # At the kink any slope in [0, 1] is a generalised derivative.
        return (np.asarray(z) > 0).astype(float)

    def g(self, x):
        x = np.asarray(x, dtype=float)
        return inside_or_inf(x, *self.domain, 0.5 * x**2)

    def g_derivative(self, x):
        return np.asarray(x, dtype=float)

    def g_curvature(self, x):
        return np.ones_like(x, dtype=float)

    def g_conjugate(self, z):
        return 0.5 * np.maximum(z, 0.0) ** 2

    def divergence(self, x, z):
        # A square, or a product of factors that are not negative for x >= 0 >= z: nothing cancels.
        return inside_or_inf(x, *self.domain, np.where(z > 0, 0.5 * (x - z) ** 2, x * (0.5 * x - z)))

    def cvxpy_g_rest(self, x, weights=1.0):
        return cp.Constant(0.0), [x >= 0]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * sum_squares(cp.pos(z), weights)


class LeakyRelu(Activation):
    """phi(z) = z for z > 0 and slope * z below; slope in (0, 1]."""

    name = "leaky_relu"
    kinks = (0.0,)
    curvatures = (0, 0)
    positively_homogeneous = True

    def __init__(self, slope: float = 0.1) -> None:
        # g has 1/slope, so that 0 is relu, of another domain; above 1 phi is not 1-Lipschitz.
        if not 0 < slope <= 1:
            raise InvalidInputError("slope", f"must lie in (0, 1], got {slope}")
        self.slope = slope

    @property
    def parameters(self):
        return {"slope": self.slope}

    @property
    def latex(self):
        return rf"\max(z, {number(self.slope)} z)"

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
        return 0.5 * (1 / self.slope - 1) * sum_squares(cp.neg(x), weights), []

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * sum_squares(cp.pos(z), weights) + 0.5 * self.slope * sum_squares(cp.neg(z), weights)


class Clip(Activation):
    """phi(z) = min(max(z, -1), 1); g(x) = x^2/2 on [-1, 1]; g* is the Huber function."""

    name = "clip"
    latex = r"\min(\max(z, -1), 1)"
    kinks = (-1.0, 1.0)
    curvatures = (0, 0, 0)
    projection = True
    domain = (-1.0, 1.0)

    def __call__(self, z):
        return np.clip(z, -1.0, 1.0)

    def derivative(self, z):
        return (np.abs(z) < 1).astype(float)

    def g(self, x):
        x = np.asarray(x, dtype=float)
        # The ends belong to the domain: saturated states lie exactly on them.
        return inside_or_inf(x, *self.domain, 0.5 * x**2)

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
        return inside_or_inf(x, *self.domain, np.where(beyond > 0, short * (0.5 * short + beyond), 0.5 * (x - z) ** 2))

    def cvxpy_g_rest(self, x, weights=1.0):
        return cp.Constant(0.0), [x >= -1, x <= 1]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * weighted_sum(cp.huber(z, 1), weights)


class Identity(Activation):
    """phi(z) = z; g(x) = x^2/2; g*(z) = z^2/2: the linear model, useful as a limit."""

    name = "identity"
    latex = r"z"
    curvatures = (0,)
    projection = True
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
        return 0.5 * sum_squares(z, weights)


class SoftThreshold(Activation):
    """``phi(z) = z - threshold sign(z)`` where ``|z| > threshold``, else 0; ``g(x) = x^2/2 + threshold |x|``.

    Parameters
    ----------
    threshold : float > 0
        Training begins with preactivations of variance about 1, of which 0.5 makes four in ten zero.

    Raises
    ------
    InvalidInputError
        Another threshold.
    """

    name = "soft_threshold"
    curvatures = (0, 0, 0)

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = check_number("threshold", threshold, 0, boundaries="neither", remedy="Give a positive number")
        self.kinks = (-self.threshold, self.threshold)

    @property
    def parameters(self):
        return {"threshold": self.threshold}

    @property
    def latex(self):
        return rf"\mathrm{{sign}}(z) \max(|z| - {number(self.threshold)}, 0)"

    def __call__(self, z):
        return np.sign(z) * np.maximum(np.abs(z) - self.threshold, 0.0)

    def derivative(self, z):
        return (np.abs(z) > self.threshold).astype(float)

    def g(self, x):
        size = np.abs(np.asarray(x, dtype=float))
        return size * (0.5 * size + self.threshold)

    def g_derivative(self, x):
        x = np.asarray(x, dtype=float)
        return x + self.threshold * np.sign(x)

    def g_subgradient(self, x, wanted):
        return np.where(x == 0, np.clip(wanted, -self.threshold, self.threshold), self.g_derivative(x))

    def g_curvature(self, x):
        return np.ones_like(x, dtype=float)

    def g_conjugate(self, z):
        return 0.5 * np.square(self(z))

    def divergence(self, x, z):
        p, size = self(z), np.abs(x)
        # No part is negative where phi(z) is 0 or on the other side of 0 than x.
        apart = size * (0.5 * size + (self.threshold - np.sign(x) * z)) + 0.5 * p**2
        return np.where(p * x > 0, 0.5 * (x - p) ** 2, apart)

    def cvxpy_g_rest(self, x, weights=1.0):
        return self.threshold * weighted_sum(cp.abs(x), weights), []

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return 0.5 * sum_squares(cp.pos(cp.abs(z) - self.threshold), weights)
