"""One trust-region Newton step, against CVXPY and its optimality conditions."""

import cvxpy as cp
import numpy as np
import pytest

from bcd_implicit.experiments.trust_region import trust_region_step


def draw(seed, rank=6):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((6, rank))
    M = rng.standard_normal((6, 6))
    return root @ rng.standard_normal(rank), root @ root.T, M @ M.T + 0.1 * np.eye(6)


@pytest.mark.parametrize("rank", [6, 3])
@pytest.mark.parametrize("radius", [1e-6, 0.1, 1.0, 1e3])
def test_the_step_is_the_minimum_in_the_ball(radius, rank):
    g, H, M = draw(0, rank)
    v = trust_region_step(g, H, M, radius)
    length = np.sqrt(v @ M @ v)
    assert length <= radius * (1 + 1e-12)
    if length < radius * (1 - 1e-9):
        np.testing.assert_allclose(H @ v, -g, atol=1e-9)
    else:
        mu = -(M @ v) @ (g + H @ v) / np.sum((M @ v) ** 2)
        assert mu >= 0
        np.testing.assert_allclose(g + H @ v + mu * (M @ v), 0, atol=1e-9 * np.abs(g).max())


def test_cvxpy_finds_the_same():
    g, H, M = draw(1)
    v = cp.Variable(6)
    inside = cp.sum_squares(np.linalg.cholesky(M).T @ v) <= 0.25
    cp.Problem(cp.Minimize(g @ v + cp.quad_form(v, cp.psd_wrap(H)) / 2), [inside]).solve(solver="CLARABEL")
    np.testing.assert_allclose(trust_region_step(g, H, M, 0.5), v.value, atol=1e-4)
