"""Divergences in floating point against the sum of three terms in sixty digits."""

import mpmath as mp
import numpy as np
import pytest

from bcd_implicit import ACTIVATIONS
from bcd_implicit.terms.activations import FormulaActivation

EPS = np.finfo(float).eps


def entropy(x):
    return x * mp.log(x) if x > 0 else mp.mpf(0)


TERMS = {
    "soft_threshold": lambda x, z: x * x / 2 + abs(x) / 2 + max(abs(z) - mp.mpf(0.5), 0) ** 2 / 2 - x * z,
    "tanh": lambda x, z: (entropy(1 + x) + entropy(1 - x)) / 2 + mp.log(mp.cosh(z)) - x * z,
    "sigmoid": lambda x, z: entropy(x) + entropy(1 - x) + mp.log(1 + mp.exp(z)) - x * z,
    "softplus": lambda x, z: (
        x * x / 2 + mp.polylog(2, mp.exp(-x)).real - mp.pi**2 / 6 - mp.polylog(2, -mp.exp(z)).real - x * z
    ),
    "elu": lambda x, z: (
        (x * x / 2 if x > 0 else entropy(1 + x) - x) + (z * z / 2 if z > 0 else mp.exp(z) - z - 1) - x * z
    ),
    "arctan": lambda x, z: -mp.log(mp.cos(x)) + z * mp.atan(z) - mp.log(1 + z * z) / 2 - x * z,
    "softsign": lambda x, z: -abs(x) - mp.log(1 - abs(x)) + abs(z) - mp.log(1 + abs(z)) - x * z,
    "asinh": lambda x, z: mp.cosh(x) - 1 + z * mp.asinh(z) - mp.sqrt(1 + z * z) + 1 - x * z,
}

ASINH = FormulaActivation(
    "asinh",
    phi=np.arcsinh,
    derivative=lambda z: 1 / np.hypot(1, z),
    g=lambda x: 2 * np.sinh(x / 2) ** 2,
    g_derivative=np.sinh,
    g_conjugate=lambda z: z * np.arcsinh(z) - z**2 / (1 + np.hypot(1, z)),
)


def pairs(phi, n=60):
    """States near phi(z), far from it, next to the ends of the domain, and on the other side of 0 than z."""
    rng = np.random.default_rng(0)
    z = rng.choice([-1, 1], 4 * n) * 10 ** rng.uniform(-9, np.log10(20), 4 * n)
    away = rng.choice([-1, 1], n) * 10 ** rng.uniform(-13, 1, n)
    ends = [end for end in phi.domain if np.isfinite(end)] or [0.0]
    inwards = np.where(np.resize(ends, n) == phi.domain[-1], -1, 1) * 10 ** rng.uniform(-16, 0, n)
    near = phi(z[n : 2 * n]) * (1 + rng.standard_normal(n) * 10 ** rng.uniform(-14, 0, n))
    across = -rng.random(n) * phi(z[3 * n :])
    return np.clip(np.concatenate([phi(z[:n] + away), near, np.resize(ends, n) + inwards, across]), *phi.domain), z


@pytest.mark.parametrize("name", TERMS)
def test_no_digits_are_lost_but_those_of_the_state(name):
    phi = ACTIVATIONS.get(name, ASINH)
    x, z = pairs(phi)
    found = phi.divergence(x, z)
    with mp.workdps(60):
        exact = np.array([float(TERMS[name](mp.mpf(float(a)), mp.mpf(float(b)))) for a, b in zip(x, z, strict=True)])
    # A state that is off by its last digit has another divergence: the root of it by so much.
    last_digit = EPS * np.abs(x) * np.sqrt(phi.g_curvature(x))
    relative = np.abs(found - exact) <= 1e-8 * exact
    assert np.all(relative | (np.abs(np.sqrt(found) - np.sqrt(exact)) <= last_digit))
    # Of all sizes.
    assert np.all(np.histogram(exact, [0, 1e-20, 1e-12, 1e-6, 1e-2, np.inf])[0] > 0)
