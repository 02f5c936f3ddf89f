"""The convergence theorem, run: bounds, rates, the Newton step, other ways to the optimum."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from shallow_problems import classes, deep, differences

import bcd_implicit as bi
from bcd_implicit import InvalidInputError
from bcd_implicit.experiments.convergence_dynamics import allowed, gradient_descent, gradient_flow
from bcd_implicit.experiments.convergence_measures import output_block


@pytest.fixture(scope="module")
def run():
    return bi.experiments.convergence(4, 6, 10, n_steps=200)


@pytest.fixture(scope="module")
def of_classes():
    return bi.experiments.convergence(3, 3, 40, loss="cross-entropy", n_steps=200)


@pytest.fixture(params=["squared", "cross-entropy"])
def each(request, run, of_classes):
    return run if request.param == "squared" else of_classes


def loss_by_hand(run, A, B, gamma):
    problem = run.problem
    S = np.exp(A) / np.exp(A).sum(axis=0)
    F = B @ np.linalg.inv(np.eye(len(A)) - gamma * S) @ problem.Psi
    if problem.loss.quadratic:
        return np.sum((F - problem.Y) ** 2)
    return np.sum(np.log(np.exp(F).sum(axis=0)) - np.sum(problem.Y * F, axis=0))


def test_no_bound_is_broken_and_wrong_ones_are(each):
    assert len(each.broken()) == 0
    # Rates larger than the measured one are seen to be wrong, and where.
    needed = each.rates["measured"] / each.rates["computed"]
    wrong = each.broken(faster=1.1 * needed).query("dynamic == 'flow' and bound == 'computed'")
    assert len(wrong) > 50
    assert (wrong["gap"] > wrong["allowed"]).all()
    if each.problem.loss.quadratic:
        assert len(each.broken(faster=30).query("dynamic == 'flow' and bound == 'computed'")) > len(wrong)


def test_the_errors_of_the_steps_are_small_beside_the_bounds(each):
    """Else no bound could be broken."""
    for table in (each.flow, each.descent):
        for bound in ("theorem", "computed", "integrated"):
            logs = np.log(table[bound].to_numpy())
            assert (allowed(logs, table["lift"].to_numpy()) <= 1.05 * table[bound]).all()


def test_the_bounds_are_these_formulas(each):
    n, gamma = len(each.start.A), each.start.gamma
    for table, exponent in ((each.flow, 2), (each.descent, 1)):
        gap, k = table["gap"].iloc[0], table["k"].min()
        theorem = gap * np.exp(-exponent * k * table["time"] / (n * (1 + gamma) ** 2))
        np.testing.assert_allclose(table["theorem"], theorem, rtol=1e-12)
        computed = gap * np.exp(-exponent * k * table["metric"].min() * table["time"])
        np.testing.assert_allclose(table["computed"], computed, rtol=1e-9)
        assert (table["integrated"] <= table["computed"] * (1 + 1e-9)).all()
        assert table["gap"].is_monotonic_decreasing
    if each.problem.loss.quadratic:
        smallest = np.linalg.svd(each.problem.Psi, compute_uv=False)[-1]
        assert each.rates["theorem"] == pytest.approx(4 * smallest**2 / (n * (1 + gamma) ** 2))


def test_the_slope_ends_at_that_of_the_linear_flow(each):
    rates = each.rates
    assert rates["measured"] >= rates["computed"] >= rates["theorem"]
    assert rates["end"] == pytest.approx(rates["linearised"], rel=0.02)
    assert rates["end"] == pytest.approx(rates["end_predicted"], rel=1e-3)
    # By hand: -D H on all of vec(W), whose eigenvalues of no curvature are zero.
    H = np.kron(each.problem.inputs, each.problem.outputs) @ each.problem.hessian(each.best.W)
    H = H @ np.kron(each.problem.inputs, each.problem.outputs).T
    speeds = np.sort(np.linalg.eigvals(each.end.metric() @ H).real)
    slowest = speeds[speeds > 1e-8 * speeds[-1]][0]
    assert rates["linearised"] == pytest.approx(2 * slowest, rel=1e-6)


def test_the_flow_is_that_of_the_gradient_in_A_and_B(each):
    """The same start, integrated in A and B themselves by another method, with gradients from differences."""
    start, n = each.start, len(each.start.A)
    until = int(np.searchsorted(each.flow["gap"].to_numpy() < 0.5 * each.flow["gap"].iloc[0], True))
    time = each.flow["time"].iloc[until]

    def velocity(_, y):
        return -differences(
            lambda y: loss_by_hand(each, y[: n * n].reshape(n, n), y[n * n :].reshape(-1, n), start.gamma), y, 1e-5
        )

    y = np.concatenate([start.A.ravel(), start.B.ravel()])
    end = solve_ivp(velocity, (0, time), y, rtol=1e-8, atol=1e-8).y[:, -1]
    loss = loss_by_hand(each, end[: n * n].reshape(n, n), end[n * n :].reshape(-1, n), start.gamma)
    assert loss - each.best.loss == pytest.approx(each.flow["gap"].iloc[until], rel=1e-5)


def test_the_flow_is_a_trust_region_newton_step(each):
    assert each.newton_error < 1e-10


def test_one_convex_solve_reaches_the_same_optimum(each):
    first = each.flow["gap"].iloc[0]
    gaps = each.solves["gap"] / first
    assert gaps["gradient flow"] < 1.001e-22
    assert gaps["one solve for W, B = WU"] < 1e-25
    assert gaps["output block"] < 1e-8
    assert (each.solves["seconds"] > 0).all()
    _, conic = output_block(each.problem, each.start, solver="CLARABEL")
    assert each.problem.rise(each.problem.part(conic.W - each.best.W), each.best) < 1e-6 * first


def test_the_model_is_an_implicit_model_of_the_features(each):
    model = each.model
    model.structure().check()
    np.testing.assert_allclose(model.predict(each.problem.Psi.T), (each.end.W @ each.problem.Psi).T, atol=1e-10)
    # At the optimum, with the A where the flow ended and the B of one convex solve.
    best = bi.ImplicitModel(model.A, model.B, None, each.best.W @ each.end.U, activation="identity")
    np.testing.assert_allclose(best.predict(each.problem.Psi.T), (each.best.W @ each.problem.Psi).T, atol=1e-10)


def test_where_no_W_has_the_least_loss_the_optimum_is_that_of_a_ball():
    run = bi.experiments.convergence(6, 3, 5, loss="cross-entropy", n_steps=50)
    assert len(run.broken()) == 0
    farthest = max(np.linalg.norm(run.problem.part(at.W)) for at in (run.start, run.end))
    assert math.isfinite(run.best.radius)
    assert run.best.radius >= farthest * (1 - 1e-12)
    assert np.linalg.norm(run.best.W) == pytest.approx(run.best.radius)
    assert (run.flow["gap"] > 0).all()
    assert run.flow["k"].min() >= run.k_ball > 0
    assert "output block" not in run.solves.index
    assert run.rates[["end_predicted", "linearised"]].isna().all()
    assert run.report["rates"]["linearised"] is None


def test_strong_feedback_and_saturated_classes():
    run = bi.experiments.convergence(3, 3, 30, gamma=0.99, loss="cross-entropy", n_steps=20)
    assert run.problem.least_curvatures(run.start.W).min() < 1e-50
    assert len(run.broken()) == 0
    assert run.newton_error < 1e-10
    assert run.rates["end"] == pytest.approx(run.rates["linearised"], rel=0.02)


def test_the_horizon_ends_the_flow():
    run = bi.experiments.convergence(3, 2, 4, horizon=0.25, n_steps=3)
    assert run.flow["time"].iloc[-1] == 0.25
    assert len(run.descent) == 4
    # Or nothing that is left.
    run = bi.experiments.convergence(2, 2, 3, horizon=1e9, n_steps=3)
    assert run.flow["gap"].iloc[-1] == pytest.approx(1e-200 * run.flow["gap"].iloc[0])


def test_every_step_of_descent_wins_half_of_what_its_slope_says():
    problem, start = classes(), deep(3, 4)
    best = problem.minimize()
    run = gradient_descent(problem, best, start, 1e-12, 30)
    assert len(run.points) == 31
    assert not run.finished
    for before, after, size in zip(run.points, run.points[1:], np.diff(run.times), strict=False):
        in_A, in_B = before.gradients(problem.lift(problem.gradient(before.W)))
        won = problem.value(before.W) - problem.value(after.W)
        assert won >= size / 2 * (np.sum(in_A**2) + np.sum(in_B**2)) - 1e-9
        np.testing.assert_allclose(after.A, before.A - size * in_A, atol=1e-12)


def test_what_the_errors_of_steps_allow():
    bound, lifts = np.log([8.0, 4.0, 1.0]), np.array([0.0, 0.5, 0.25])
    np.testing.assert_allclose(allowed(bound, lifts), [8, 4.5, 1 + 0.5 / 4 + 0.25])


def test_a_flow_that_the_integrator_gives_up_warns(monkeypatch):
    def give_up(*arguments, **options):
        found = solve_ivp(*arguments, **options)
        found.status = -1
        return found

    monkeypatch.setattr("bcd_implicit.experiments.convergence_dynamics.solve_ivp", give_up)
    with pytest.warns(bi.ConvergenceWarning, match="the integrator gave up at time .* ask for a shorter horizon"):
        bi.experiments.convergence(2, 2, 4, n_steps=1)


def test_the_same_seed_is_the_same_run():
    first, second = (bi.experiments.convergence(2, 2, 4, random_state=5, n_steps=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.flow, second.flow)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_hidden": 0}, "n_hidden: got 0, must be >= 1."),
        ({"n_outputs": 1, "loss": "cross-entropy"}, "n_outputs: got 1, must be >= 2."),
        ({"n_samples": 1}, "n_samples: got 1, must be >= 2."),
        ({"gamma": 1}, "gamma: got 1, must be <= 0.99. Nearer to 1 the inverse of I - gamma sigma(A) has too few"),
        ({"loss": "huber"}, "loss: unknown loss 'huber'. Use one of squared, cross-entropy."),
        ({"horizon": 0}, "horizon: got 0, must be > 0."),
        ({"n_steps": 0}, "n_steps: got 0, must be >= 1."),
        ({"random_state": -1}, "random_state: got -1."),
        ({"n_hidden": 100}, "n_hidden: 100 hidden features and 20 outputs make 12000 weights."),
    ],
)
def test_what_is_refused(wrong, message):
    with pytest.raises(InvalidInputError) as caught:
        bi.experiments.convergence(**wrong)
    assert str(caught.value).startswith(message)


def test_gradient_flow_from_the_optimum_stays_there():
    problem = classes()
    best = problem.minimize()
    start = deep(3, 4)
    there = type(start)(start.A, best.W, start.gamma)
    run = gradient_flow(problem, best, there, 1e-10)
    assert len(run.points) == 1
    assert run.finished
