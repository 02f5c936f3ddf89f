"""Smooth activations, which saturate: exact where phi(z) is at an end of its range to the last digit.

There the distance of phi(z) from the end still counts, so divergences are made of distances from the ends. Derivatives
of g are infinite at an end that belongs to the domain, and are evaluated the least bit inside.
"""

from __future__ import annotations

import numpy as np
from scipy.special import bernoulli, expit, factorial, log_expit, logit, spence, xlog1py, xlogy

from bcd_implicit.support import cvxpy as cp
from bcd_implicit.terms.activation import EPS, TINY, Activation, inside_or_inf, sum_squares, weighted_sum
from bcd_implicit.terms.entropy import exp_rest, relative_entropy

# The floating-point number next to 1.
BELOW_ONE = 1 - EPS / 2
# log(expm1(t) / t) - t/2 is the sum of B_k t^k / (k k!) over even k, with Bernoulli's numbers B_k: of its integral.
_EVEN = np.arange(2, 20, 2)
_SOFTPLUS = bernoulli(18)[2::2] / (_EVEN * (_EVEN + 1) * factorial(_EVEN))


def excess_of_log(w: np.ndarray) -> np.ndarray:
    """Elementwise w - log(1 + w) >= 0, for w > -1."""
    return relative_entropy(1 + w, -w, np.log1p(w))


class Tanh(Activation):
    """phi(z) = tanh z; g(x) = ((1 + x) log(1 + x) + (1 - x) log(1 - x)) / 2; g*(z) = log cosh z."""

    name = "tanh"
    latex = r"\tanh z"
    kinks = (0.0,)
    curvatures = (1, -1)
    domain = (-1.0, 1.0)
    quadratic_part = 0.0

    def __call__(self, z):
        return np.tanh(z)

    def derivative(self, z):
        return 4 * expit(2 * np.asarray(z)) * expit(-2 * np.asarray(z))

    def g(self, x):
        inside = np.clip(x, *self.domain)
        return inside_or_inf(x, *self.domain, 0.5 * (xlog1py(1 + inside, inside) + xlog1py(1 - inside, -inside)))

    def g_derivative(self, x):
        return np.arctanh(np.clip(x, -BELOW_ONE, BELOW_ONE))

    def g_curvature(self, x):
        inside = np.clip(x, -BELOW_ONE, BELOW_ONE)
        return 1 / ((1 - inside) * (1 + inside))

    def g_conjugate(self, z):
        return np.logaddexp(z, -np.asarray(z)) - np.log(2)

    def divergence(self, x, z):
        inside, z = np.clip(x, *self.domain), np.asarray(z, dtype=float)
        up, down = 2 * expit(2 * z), 2 * expit(-2 * z)
        # The difference to phi(z), from the end that is nearer to phi(z).
        step = np.select([z > 0.5, z < -0.5], [down - (1 - inside), (1 + inside) - up], inside - np.tanh(z))
        above = relative_entropy(up, step, np.log(2) + log_expit(2 * z))
        below = relative_entropy(down, -step, np.log(2) + log_expit(-2 * z))
        return inside_or_inf(x, *self.domain, 0.5 * (above + below))

    def cvxpy_g_rest(self, x, weights=1.0):
        return -0.5 * weighted_sum(cp.entr(1 + x) + cp.entr(1 - x), weights), [x >= -1, x <= 1]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return weighted_sum(cp.logistic(2 * z) - z - np.log(2), weights)


class Sigmoid(Activation):
    """phi(z) = 1 / (1 + e^-z); g(x) = x log x + (1 - x) log(1 - x); g*(z) = log(1 + e^z)."""

    name = "sigmoid"
    latex = r"\frac{1}{1 + e^{-z}}"
    kinks = (0.0,)
    curvatures = (1, -1)
    domain = (0.0, 1.0)
    max_slope = 0.25
    quadratic_part = 0.0

    def __call__(self, z):
        return expit(z)

    def derivative(self, z):
        return expit(z) * expit(-np.asarray(z))

    def g(self, x):
        inside = np.clip(x, *self.domain)
        return inside_or_inf(x, *self.domain, xlogy(inside, inside) + xlog1py(1 - inside, -inside))

    def g_derivative(self, x):
        return logit(np.clip(x, TINY, BELOW_ONE))

    def g_curvature(self, x):
        inside = np.clip(x, TINY, BELOW_ONE)
        return 1 / (inside * (1 - inside))

    def g_conjugate(self, z):
        return np.logaddexp(0.0, z)

    def divergence(self, x, z):
        inside, z = np.clip(x, *self.domain), np.asarray(z, dtype=float)
        up, down = expit(z), expit(-z)
        # The difference to phi(z), from the end that is nearer to it; in between it is exact by itself.
        step = np.where(z > 1, down - (1 - inside), inside - up)
        above = relative_entropy(up, step, log_expit(z))
        below = relative_entropy(down, -step, log_expit(-z))
        return inside_or_inf(x, *self.domain, above + below)

    def cvxpy_g_rest(self, x, weights=1.0):
        return -weighted_sum(cp.entr(x) + cp.entr(1 - x), weights), [x >= 0, x <= 1]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        return weighted_sum(cp.logistic(z), weights)


class Softplus(Activation):
    """phi(z) = log(1 + e^z); g(x) = x^2/2 + Li2(e^-x) - pi^2/6 on x >= 0; g*(z) = -Li2(-e^z), Li2 the dilogarithm.

    No cone of CVXPY's says it.
    """

    name = "softplus"
    latex = r"\log(1 + e^z)"
    curvatures = (1,)
    domain = (0.0, np.inf)

    def __call__(self, z):
        return np.logaddexp(0.0, z)

    def derivative(self, z):
        return expit(z)

    def g(self, x):
        inside = np.clip(x, *self.domain)
        small = np.minimum(inside, 1.0)
        # The integral of log(expm1(t)) = log t + t/2 + a series: near 0 the closed form is a difference.
        series = xlogy(small, small) - small + 0.25 * small**2
        series += small**3 * np.polynomial.polynomial.polyval(small**2, _SOFTPLUS)
        closed = 0.5 * inside**2 + spence(-np.expm1(-inside)) - np.pi**2 / 6
        return inside_or_inf(x, *self.domain, np.where(inside <= 1, series, closed))

    def g_derivative(self, x):
        inside = np.maximum(x, TINY)
        return inside + np.log(-np.expm1(-inside))

    def g_curvature(self, x):
        return -1 / np.expm1(-np.maximum(x, TINY))

    def g_conjugate(self, z):
        z = np.asarray(z, dtype=float)
        # Li2(-e^z) + Li2(-e^-z) = -pi^2/6 - z^2/2: no overflow.
        tail = spence(1 + np.exp(-np.abs(z)))
        return np.where(z > 0, np.pi**2 / 6 + 0.5 * z**2 + tail, -tail)


class Elu(Activation):
    """phi(z) = z for z > 0 and e^z - 1 below; g(x) = x^2/2 for x > 0 and (1 + x) log(1 + x) - x on [-1, 0]."""

    name = "elu"
    latex = r"\max(z, 0) + e^{\min(z, 0)} - 1"
    curvatures = (1,)
    domain = (-1.0, np.inf)
    quadratic_part = 0.0

    def __call__(self, z):
        return np.where(np.asarray(z) > 0, z, np.expm1(np.minimum(z, 0.0)))

    def derivative(self, z):
        return np.exp(np.minimum(z, 0.0))

    def g(self, x):
        low = relative_entropy(np.ones_like(x, dtype=float), np.clip(x, -1.0, 0.0))
        return inside_or_inf(x, *self.domain, 0.5 * np.maximum(x, 0.0) ** 2 + low)

    def g_derivative(self, x):
        return np.maximum(x, 0.0) + np.log1p(np.clip(x, -BELOW_ONE, 0.0))

    def g_curvature(self, x):
        return 1 / (1 + np.clip(x, -BELOW_ONE, 0.0))

    def g_conjugate(self, z):
        return 0.5 * np.maximum(z, 0.0) ** 2 + exp_rest(np.minimum(z, 0.0))

    def divergence(self, x, z):
        x, z = np.asarray(x, dtype=float), np.asarray(z, dtype=float)
        inside, low = np.clip(x, -1.0, 0.0), np.minimum(z, 0.0)
        step = np.where(low < -0.5, (1 + inside) - np.exp(low), inside - np.expm1(low))
        both_low = relative_entropy(np.exp(low), step, low)
        # No part is negative where 0 lies between x and z.
        apart = self.g(inside) + 0.5 * np.maximum(x, 0.0) ** 2 + self.g_conjugate(z) - x * z
        value = np.select([(x >= 0) & (z >= 0), (x <= 0) & (z <= 0)], [0.5 * (x - z) ** 2, both_low], apart)
        return inside_or_inf(x, *self.domain, value)

    def cvxpy_g_rest(self, x, weights=1.0):
        # In a bound on the negative part, in which the rest increases.
        t = cp.Variable(x.shape)
        low = weighted_sum(t - cp.entr(1 - t), weights)
        return 0.5 * sum_squares(cp.pos(x), weights) + low, [x >= -1, t >= cp.neg(x)]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        t = cp.Variable(z.shape)
        low = weighted_sum(cp.exp(-t) + t - 1, weights)
        return 0.5 * sum_squares(cp.pos(z), weights) + low + cp.transforms.indicator([t >= cp.neg(z)])


class Arctan(Activation):
    """phi(z) = arctan z; g(x) = -log cos x on [-pi/2, pi/2]; g*(z) = z arctan z - log(1 + z^2) / 2.

    No cone of CVXPY's says it.
    """

    name = "arctan"
    latex = r"\arctan z"
    kinks = (0.0,)
    curvatures = (1, -1)
    # A little less than pi/2, where g would be infinite.
    domain = (-np.pi / 2, np.pi / 2)

    def __call__(self, z):
        return np.arctan(z)

    def derivative(self, z):
        return 1 / (1 + np.square(z))

    def g(self, x):
        return inside_or_inf(x, *self.domain, 0.5 * np.log1p(np.tan(np.clip(x, *self.domain)) ** 2))

    def g_derivative(self, x):
        return np.tan(np.clip(x, *self.domain))

    def g_curvature(self, x):
        return 1 + self.g_derivative(x) ** 2

    def g_conjugate(self, z):
        return z * np.arctan(z) - 0.5 * np.log1p(np.square(z))


class Softsign(Activation):
    """``phi(z) = z / (1 + |z|)``; ``g(x) = -|x| - log(1 - |x|)`` on (-1, 1); ``g*(z) = |z| - log(1 + |z|)``."""

    name = "softsign"
    latex = r"\frac{z}{1 + |z|}"
    kinks = (0.0,)
    curvatures = (1, -1)
    # At 1 itself g would be infinite.
    domain = (-BELOW_ONE, BELOW_ONE)
    quadratic_part = 0.0

    def __call__(self, z):
        return np.clip(z / (1 + np.abs(z)), *self.domain)

    def derivative(self, z):
        return 1 / np.square(1 + np.abs(z))

    def g(self, x):
        return inside_or_inf(x, *self.domain, excess_of_log(-np.abs(np.clip(x, *self.domain))))

    def g_derivative(self, x):
        inside = np.clip(x, *self.domain)
        return inside / (1 - np.abs(inside))

    def g_curvature(self, x):
        return 1 / (1 - np.abs(np.clip(x, *self.domain))) ** 2

    def g_conjugate(self, z):
        return excess_of_log(np.abs(z))

    def divergence(self, x, z):
        inside, steep = np.clip(x, *self.domain), 1 + np.abs(z)
        room = 1 - np.abs(inside)
        # On one side of 0 it is w - log(1 + w) with 1 + w = (1 + |z|) (1 - |x|).
        w, log = np.abs(z) - np.abs(inside) * steep, np.log1p(np.abs(z)) + np.log(room)
        apart = self.g(inside) + self.g_conjugate(z) - inside * z
        value = np.where(inside * z > 0, relative_entropy(steep * room, -w, log), apart)
        return inside_or_inf(x, *self.domain, value)

    def cvxpy_g_rest(self, x, weights=1.0):
        t = cp.Variable(x.shape)
        return -weighted_sum(t + cp.log(1 - t), weights), [t >= cp.abs(x)]

    def cvxpy_g_conjugate(self, z, weights=1.0):
        t = cp.Variable(z.shape)
        return weighted_sum(t - cp.log(1 + t), weights) + cp.transforms.indicator([t >= cp.abs(z)])
