"""Linear and mixed-integer programs: exact against every pattern, the linear one against CVXPY."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from boxes import drawn, inside, layers, reached
from slow_but import slow_but

import bcd_implicit as bi
from bcd_implicit.model.robustness import programs


def by_patterns(model, u, radius):
    """The largest and least output of a relu model of few states, by a linear program for each pattern."""
    n, p = model.B.shape
    best, least = -np.inf, np.inf
    for pattern in product([0.0, 1.0], repeat=n):
        x, v = cp.Variable(n), cp.Variable(p)
        S = np.array(pattern)
        z = model.A @ x + model.B @ v + model.b
        where = [cp.multiply(2 * S - 1, z) >= 0, x == cp.multiply(S, z), cp.abs(v - u) <= radius]
        y = (model.C @ x + model.D @ v + model.d)[0]
        for sign in (1, -1):
            problem = cp.Problem(cp.Maximize(sign * y), where)
            problem.solve(solver="CLARABEL")
            if problem.status == "optimal":
                best, least = (
                    max(best, sign * problem.value if sign > 0 else best),
                    min(least, y.value if sign < 0 else least),
                )
    return least, best


def test_exact_is_the_best_of_all_patterns():
    rng = np.random.default_rng(0)
    model, u = drawn(rng, n=4, p=2, q=1, norm=0.8), rng.normal(size=2)
    found = model.bounds(u[None], 0.8, method="exact")
    least, largest = by_patterns(model, u, 0.8)
    assert found.lower[0, 0] == pytest.approx(least, rel=1e-6)
    assert found.upper[0, 0] == pytest.approx(largest, rel=1e-6)
    assert found.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "activation",
    slow_but(
        ["relu", "abs", "soft_threshold"],
        ["relu", "clip", "abs", "leaky_relu", "soft_threshold", [("relu", 2), ("clip", 2), ("identity", 2)]],
    ),
    ids=str,
)
def test_no_method_is_tighter_than_exact_and_points_reach_it(activation):
    rng = np.random.default_rng(1)
    model, U = drawn(rng, n=6, activation=activation), rng.normal(size=(2, 3))
    for radius in (0.1, 0.8):
        exact = model.bounds(U, radius, method="exact")
        assert exact.check()
        linear = model.bounds(U, radius, method="lp")
        assert linear.check()
        for found in (linear, *(model.bounds(U, radius, method=name) for name in ("backward", "interval"))):
            assert (found.lower <= exact.lower + 1e-6).all()
            assert (exact.upper <= found.upper + 1e-6).all()
        assert (linear.width <= model.bounds(U, radius, n_cuts=0).width * (1 + 1e-6)).all()
        least, largest = reached(model, inside(rng, U, radius, 1000))
        width = exact.width
        assert ((largest - least) >= 0.85 * width).all()
        for k, sign in ((0, 1), (1, -1)):
            weights = np.zeros(2)
            weights[k] = sign
            attacked = model.attack(U, radius, towards=weights).predictions[:, k]
            limit = exact.upper[:, k] if sign > 0 else -exact.lower[:, k]
            assert (sign * attacked <= limit + 1e-6).all()


def test_the_linear_program_is_that_of_the_triangles():
    rng = np.random.default_rng(2)
    model, u, radius = drawn(rng, n=10, q=1, norm=0.9), rng.normal(size=3), 0.7
    found = model.bounds(u[None], radius, method="lp")
    steps, z = found.certificate.steps, found.certificate.preactivations
    last = steps[-1].after if steps else z
    low, high = last.low[:, 0], last.high[:, 0]
    x, v = cp.Variable(10), cp.Variable(3)
    drive = model.A @ x + model.B @ v + model.b
    chord = np.maximum(high, 0) - np.maximum(low, 0)
    above = np.maximum(low, 0) + cp.multiply(chord / (high - low), drive - low)
    where = [x >= 0, x >= drive, x <= above, drive >= low, drive <= high, cp.abs(v - u) <= radius]
    # A state that is dead or active on all of its range is what it is there.
    where += [x[i] == (drive[i] if low[i] > 0 else 0) for i in range(10) if low[i] > 0 or high[i] < 0]
    y = (model.C @ x + model.D @ v + model.d)[0]
    for goal, value in ((cp.Maximize(y), found.upper[0, 0]), (cp.Minimize(y), found.lower[0, 0])):
        problem = cp.Problem(goal, where)
        problem.solve(solver="CLARABEL")
        assert value == pytest.approx(problem.value, rel=1e-6)


def test_without_time_bounds_hold_and_a_warning_tells():
    rng = np.random.default_rng(3)
    model, *_ = layers(rng, (4, 12, 12, 1))
    U = rng.normal(size=(1, 4))
    with pytest.warns(
        bi.ConvergenceWarning, match="bounds are not attained by any input that was found in max_seconds=0"
    ):
        found = model.bounds(U, 1.0, method="exact", max_seconds=0)
    least, largest = reached(model, inside(rng, U, 1.0, 500))
    assert (found.lower <= least).all()
    assert (largest <= found.upper).all()
    assert not found.check()


def test_a_radius_of_a_few_last_digits_is_no_reason_to_refuse_what_attains_the_bound():
    model = bi.ImplicitModel([[0.0]], [[1.0]], [0.0], [[1.0]])
    found = model.bounds([[1e6 + 0.1]], 1e-9, method="exact")
    assert found.check()
    inputs = found.certificate.inputs
    assert not replace(found, certificate=replace(found.certificate, inputs=inputs + 1e-8)).check()


@pytest.mark.slow
@pytest.mark.parametrize("unit", slow_but([1e-8, 1e20], [1e-20, 1e-8, 1e8, 1e20]))
def test_units_of_inputs_states_and_outputs_are_all_the_same_to_the_solver(unit):
    rng = np.random.default_rng(4)
    model, U = drawn(rng, n=5), rng.normal(size=(2, 3))
    A, B, b, C, D, d = (getattr(model, letter) for letter in ("A", "B", "b", "C", "D", "d"))
    expected = {method: model.bounds(U, 0.5, method=method) for method in ("exact", "lp")}
    of_inputs = bi.ImplicitModel(A, B / unit, b, C, D / unit, d), U * unit, 0.5 * unit, 1.0
    of_states = bi.ImplicitModel(A, B * unit, b * unit, C / unit, D, d), U, 0.5, 1.0
    of_outputs = bi.ImplicitModel(A, B, b, C * unit, D * unit, d * unit), U, 0.5, unit
    for same, inputs, radius, size in (of_inputs, of_states, of_outputs):
        for method, known in expected.items():
            found = same.bounds(inputs, radius, method=method)
            assert found.check()
            np.testing.assert_allclose(found.upper / size, known.upper, rtol=1e-6)
            np.testing.assert_allclose(found.lower / size, known.lower, rtol=1e-6)


def test_without_a_limit_the_warning_asks_for_no_more_time(monkeypatch):
    monkeypatch.setattr(programs, "ATTAINED", -1.0)
    model = bi.ImplicitModel([[0.5]], [[1.0]], [0.0], [[1.0]])
    with pytest.warns(bi.ConvergenceWarning, match="2 of 2 bounds .* was found: they hold.*choose units in which"):
        model.bounds([[0.5]], 1.0, method="exact")
