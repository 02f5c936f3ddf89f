"""The state block's certificate for every activation and loss: sound at all scales, and its dual points."""

from collections import Counter
from itertools import cycle

import mpmath
import numpy as np
import pytest
from exact_states import state_objectives
from problems import random_iterate, table_of
from scipy.optimize import lsq_linear
from slow_but import every_pair

from bcd_implicit import ACTIVATIONS, LOSSES, NotWellPosedError, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.certificates.state import state_certificate
from bcd_implicit.certificates.state_multipliers import DualProblem

TOL = 1e-6
# What the rounding of comparisons may be: the gap is a double.
COMPARED = 1 + 1e-9
DRAWN = ["relu", "leaky_relu", "soft_threshold", "softplus", "tanh", "sigmoid"]


def draw(rng, activation, loss):
    """A small problem of random units, and a point at which states are off by a random size."""

    def unit(span):
        return float(10 ** rng.uniform(-span, span)) if rng.random() < 0.6 else 1.0

    n, q, seed = int(rng.integers(1, 4)), int(rng.integers(2, 4)), int(rng.integers(1000))
    U, Y = table_of(loss, (n, 3, q, 4), seed)
    y = unit(6) if LOSSES[loss].free_targets else 1.0
    weights = unit(4) * rng.uniform(0.3, 3, n) if rng.random() < 0.5 else unit(4)
    options = {"norm_bound": float(rng.choice([0.0, 0.5, 0.9, 0.99])), "fenchel_weight": weights}
    problem = TrainingProblem(U * unit(3), y * Y, n, activation=activation, loss=loss, **options)
    it = random_iterate(problem, seed, relaxed=False)
    it = it.replace(B=it.B * unit(1), C=y * unit(1) * it.C, D=y * it.D * np.abs(it.B).max(), d=y * it.d)
    it = problem.at_equilibrium(it)
    return problem, it.replace(X=away(rng, problem, it.X, 10 ** rng.uniform(-4, 1)))


def away(rng, problem, X, size):
    return np.clip(X + size * rng.standard_normal(X.shape), *problem.activation.domain)


def judge(seed, activation, loss, n_points=4):
    """Counts of points by what is certified of them and what is true."""
    rng, counts = np.random.default_rng(seed), Counter()
    problem, it = draw(rng, activation, loss)
    block = make_block(problem, it, "state")
    best, holds, _ = block.solve_native(TOL, lambda it: block.certificate(it).holds(TOL))
    counts["solved"] = int(holds)
    points = [best, it]
    for _ in range(n_points):
        base = best.X if rng.random() < 0.7 else it.X
        size = max(np.abs(base).max(), 10 ** rng.uniform(-6, 3) * (rng.random() < 0.3)) * 10 ** rng.uniform(-9, 3)
        points.append(it.replace(X=away(rng, problem, base, size)))
    with mpmath.workdps(50):
        objectives = [state_objectives(problem, it, block.proximal, point.X) for point in points]
        least = np.min(objectives, axis=0)
        for point, objective in zip(points, objectives, strict=True):
            certificate, excess = block.certificate(point), float((objective - least) @ problem.shares)
            counts["good" if certificate.holds(TOL) else "refused"] += 1
            counts["LIES"] += not excess <= certificate.gap * COMPARED
            counts["wrong points certified"] += certificate.holds(TOL) and excess > TOL * COMPARED * certificate.scale
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "loss"), [*zip(ACTIVATIONS, cycle(LOSSES), strict=False)])
def test_no_wrong_states_are_certified_at_any_scale(activation, loss):
    counts = sum((judge(seed, activation, loss) for seed in range(3)), start=Counter())
    assert counts["refused"] >= 9
    assert counts["solved"] >= 2
    assert counts["LIES"] == counts["wrong points certified"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_wrong_states_of_many_are_certified(activation, loss):
    counts = sum((judge(seed, activation, loss) for seed in range(100, 120)), start=Counter())
    assert counts["refused"] >= 60
    assert counts["solved"] >= 18
    assert counts["LIES"] == counts["wrong points certified"] == 0


@pytest.mark.parametrize(("activation", "loss"), every_pair(DRAWN, [*LOSSES]))
def test_any_dual_point_and_any_other_states_give_a_bound_that_holds(activation, loss):
    """What is claimed may be wrong: the gap is then large, and never too small."""
    rng = np.random.default_rng(0)
    problem = TrainingProblem(*table_of(loss, (3, 4, 3, 6)), 3, activation=activation, loss=loss, norm_bound=0.9)
    it = random_iterate(problem)
    block = make_block(problem, it, "state")
    best = solve_block(problem, it, "state", "native", tol=1e-9).iterate

    def gap(point, claim=None, near=None):
        return state_certificate(problem, it, point, block.proximal, claim, near).gap

    for size in (1e-3, 1.0):
        point = it.replace(X=away(rng, problem, best.X, size))
        excess = block.objective(point) - block.objective(best)
        claims = [None, rng.standard_normal(problem.Y.shape), 1e3 * rng.standard_normal(problem.Y.shape)]
        others = [None, (best.X, None), (it.X, claims[1]), (away(rng, problem, best.X, 10.0), claims[2])]
        gaps = np.array([[gap(point, claim, near) for near in others] for claim in claims])
        assert gaps.min() >= excess
        assert gaps[0, 1] <= 1.01 * excess + 1e-8
        assert np.all(gaps[:, 2:] <= gaps[:, :1])


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh"])
def test_the_dual_points_of_a_solution_balance_its_gradient(activation):
    """Against bounded least squares, with residuals that are zero in some outputs."""
    problem = TrainingProblem(*table_of("absolute", (4, 4, 3, 12)), 4, activation=activation, loss="absolute")
    it = random_iterate(problem)
    block = make_block(problem, it, "state")
    X = solve_block(problem, it, "state", "native", tol=1e-10).iterate.X
    Z, phi = it.A @ X + it.B @ problem.U + it.b[:, None], problem.activation
    linear = it.A.T @ (phi(Z) - X) - Z + block.proximal @ (X - it.X)
    prediction = problem.prediction(it.replace(X=X))
    weights = np.ones((4, 1))
    V = DualProblem(problem.loss, phi, it.C, weights, prediction, problem.Y, X, linear).solve()
    assert np.abs(V).max() <= 1
    miss, zero = prediction - problem.Y, np.abs(prediction - problem.Y) < 1e-7
    assert zero.any()
    np.testing.assert_allclose(V[~zero], np.sign(miss[~zero]))
    for k in np.flatnonzero(zero.any(axis=0)):
        free, held = zero[:, k], X[:, k] == 0 if activation == "relu" else np.zeros(4, dtype=bool)
        rest = (linear + phi.g_derivative(X))[:, k] + it.C[~free].T @ V[~free, k]
        by_scipy = lsq_linear(it.C[free].T[~held], -rest[~held], (-1, 1))
        assert by_scipy.cost < 1e-12
        found = it.C[free].T @ V[free, k] + rest
        assert np.abs(found[~held]).max() < 1e-5
        assert np.all(found[held] >= -1e-6)


def test_the_sigmoids_contraction_is_a_quarter_of_the_norm():
    problem = TrainingProblem(*table_of("squared", (3, 4, 2, 8)), 3, activation="sigmoid")
    it = random_iterate(problem)
    for norm, well_posed in ((3.9, True), (4.0, False)):
        block = make_block(problem, it.replace(A=norm * np.eye(3)), "state")
        if well_posed:
            assert np.isfinite(block.certificate(block.it).gap)
        else:
            with pytest.raises(NotWellPosedError, match=r"0\.25 \|\|A\|\|_inf = 1 is not below 1"):
                block.certificate(block.it)
