"""Points of cones and of their duals: inside stays, outside comes in, and the two never oppose each other."""

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.constraints import SOC, ExpCone, PowCone3D

from bcd_implicit.certificates import cones

TRIANGLE = np.tril_indices(3)
CONES = {
    "zero": (cones.Zero(), 3),
    "nonnegative": (cones.Nonnegative(), 4),
    "second order": (cones.SecondOrder(), 4),
    "semidefinite": (cones.Semidefinite(*TRIANGLE), 6),
    "exponential": (cones.Exponential(), 3),
    "power": (cones.Power(np.array([0.3])), 3),
}


def drawn(size, seed, count=200):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, size)) * 10 ** rng.uniform(-3, 2, (count, 1))


def posed(name, s):
    """The same cone as CVXPY knows it."""
    x = cp.Constant(s)
    if name == "semidefinite":
        full = np.zeros((3, 3))
        full[TRIANGLE] = s / np.where(TRIANGLE[0] == TRIANGLE[1], 1, np.sqrt(2))
        return cp.Constant(full + np.tril(full, -1).T) >> 0
    return {
        "zero": lambda: x == 0,
        "nonnegative": lambda: x >= 0,
        "second order": lambda: SOC(x[0], x[1:]),
        "exponential": lambda: ExpCone(x[0], x[1], x[2]),
        "power": lambda: PowCone3D(x[0], x[1], x[2], 0.3),
    }[name]()


@pytest.mark.parametrize("name", CONES)
def test_what_comes_out_lies_inside_and_what_lies_inside_stays(name):
    cone, size = CONES[name]
    inside = cone.inside(drawn(size, 0))
    np.testing.assert_allclose(cone.inside(inside), inside, rtol=1e-9, atol=1e-9)
    if name not in ("exponential", "power"):  # of which CVXPY computes the distance by a solver
        for s in inside[np.abs(inside).max(axis=1) > 0 if name == "second order" else slice(None)][:20]:
            assert np.max(posed(name, s).violation()) <= 1e-9 * np.abs(s).max() + 1e-12
    dual = cone.dual(drawn(size, 1))
    np.testing.assert_allclose(cone.dual(dual), dual, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CONES)
def test_points_of_a_cone_and_of_its_dual_do_not_oppose_each_other(name):
    cone, size = CONES[name]
    s, y = cone.inside(drawn(size, 2)), cone.dual(drawn(size, 3))
    with np.errstate(all="ignore"):
        products, sizes = s @ y.T, np.abs(s) @ np.abs(y).T
    finite = np.isfinite(products)
    assert finite.mean() > 0.9
    assert (products[finite] >= -1e-12 * sizes[finite]).all()


def test_points_of_the_exponential_cone_by_hand():
    cone = cones.Exponential()
    np.testing.assert_allclose(cone.inside(np.array([[1.0, 2.0, 0.0]])), [[1, 2, 2 * np.exp(0.5)]])
    np.testing.assert_allclose(cone.inside(np.array([[1.0, -2.0, -1.0]])), [[0, 0, 0]])
    # e w >= -u exp(v / u): at u = -1, v = 0 the least w is 1/e.
    np.testing.assert_allclose(cone.dual(np.array([[-1.0, 0.0, 0.3]])), [[-1, 0, np.exp(-1)]])
    np.testing.assert_allclose(cone.dual(np.array([[0.0, -1.0, 2.0]])), [[0, 0, 2]])
