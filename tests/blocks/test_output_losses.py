"""The output block under losses other than the squared one: against CVXPY, scikit-learn and SciPy."""

import warnings

import numpy as np
import pytest
from losses import KINKED, LIKELIHOODS, OTHER_LOSSES, loss_iterate, loss_problem
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor
from slow_but import every_pair

from bcd_implicit import ConvergenceWarning, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.problem.newton_system import NewtonSystem
from bcd_implicit.problem.regression import Regression
from bcd_implicit.terms.losses import CrossEntropy, HuberLoss, LogisticLoss, PoissonLoss, QuantileLoss

by_loss = pytest.mark.parametrize("loss", OTHER_LOSSES, ids=repr)
SIZE = (3, 4, 3, 60)
CASES = {
    "plain": {},
    "stacked": {"group_over": "BD"},
    "no intercept": {"fit_intercept": False},
    "no pass-through": {"pass_through": False},
    "weights": {"sample_weight": np.random.default_rng(1).uniform(0.1, 3, 60)},
    "no ridge": {"ridge": 0.0},
}


def check_against_cvxpy(problem, it, solver="CLARABEL", tol=1e-6):
    """Natively at least as good as a conic solver's point, whose certificate must be true as well."""
    native = solve_block(problem, it, "output", "native")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        conic = solve_block(problem, it, "output", solver)
    assert native.solver == "native"
    assert native.certificate.holds(1e-6)
    assert native.objective <= conic.objective + 1e-7 * abs(conic.objective)
    assert native.objective >= conic.objective - tol * abs(conic.objective)
    assert conic.objective - native.objective <= conic.certificate.gap + 1e-9 * native.certificate.scale
    posed = make_block(problem, native.iterate, "output").cvxpy_problem()
    for letter, variable in posed.var_dict.items():
        variable.value = getattr(native.iterate, letter)
    assert posed.objective.value == pytest.approx(native.objective, rel=1e-9)
    return native


@pytest.mark.parametrize(("loss", "case"), every_pair(OTHER_LOSSES, [*CASES]), ids=str)
def test_native_against_cvxpy(loss, case):
    problem = loss_problem(loss, SIZE, **{"ridge": 1e-2} | CASES[case])
    check_against_cvxpy(problem, loss_iterate(problem))


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["ECOS", "SCS"])
@by_loss
def test_native_against_the_other_conic_solvers(loss, solver):
    problem = loss_problem(loss, (2, 3, 2, 30), ridge=0.1)
    # Their own tolerances are no tighter.
    check_against_cvxpy(problem, loss_iterate(problem), solver, tol=1e-3)


@by_loss
def test_fewer_samples_than_regressors(loss):
    problem = loss_problem(loss, (3, 40, 3, 20), ridge=1e-2)
    native = check_against_cvxpy(problem, loss_iterate(problem))
    # (C | D) is in the span of the centred samples: what is outside of it only costs ridge.
    W = np.vstack([native.iterate.X, problem.U])
    W = W - W.mean(axis=1, keepdims=True)
    CD = np.hstack([native.iterate.C, native.iterate.D])
    np.testing.assert_allclose(CD @ (np.eye(len(W)) - W @ np.linalg.pinv(W)), 0, atol=1e-8)


@pytest.mark.parametrize("units", [1e-6, 1e6])
@pytest.mark.parametrize("loss", [HuberLoss(0.5), *KINKED], ids=repr)
def test_targets_in_other_units(loss, units):
    problem = loss_problem(loss, SIZE, ridge=0.0)
    scaled = loss_problem(loss, SIZE, units=units, ridge=0.0)
    one = solve_block(problem, loss_iterate(problem), "output", "native")
    other = solve_block(scaled, loss_iterate(scaled, units=units), "output", "native")
    assert other.certificate.holds(1e-6)
    power = 2 if loss.name == "huber" else 1
    loss_of = problem.mean_loss(one.iterate) * units**power
    assert scaled.mean_loss(other.iterate) == pytest.approx(loss_of, rel=1e-6)


@by_loss
def test_inputs_in_other_units_and_far_from_zero(loss):
    problem = loss_problem(loss, SIZE, ridge=0.0)
    it = loss_iterate(problem)
    shifted = TrainingProblem(
        1e6 * problem.U.T + 1e8, problem.Y.T, problem.n_hidden, loss=problem.loss, ridge=0.0, activation="identity"
    )
    one = solve_block(problem, it, "output", "native")
    other = solve_block(shifted, it.replace(D=0 * it.D), "output", "native")
    assert other.certificate.holds(1e-6)
    assert shifted.mean_loss(other.iterate) == pytest.approx(problem.mean_loss(one.iterate), rel=1e-6)


@by_loss
def test_collinear_and_constant_regressors(loss):
    problem = loss_problem(loss, SIZE, ridge=0.0, pass_through=False, fit_intercept=True)
    it = loss_iterate(problem)
    twice = it.replace(X=np.vstack([it.X[0], it.X[0], np.ones(60)]))
    alone = it.replace(X=np.vstack([it.X[0], np.zeros((2, 60))]))
    one, other = (solve_block(problem, point, "output", "native") for point in (alone, twice))
    assert other.certificate.holds(1e-6)
    assert other.objective - make_block(problem, twice, "output")._constant == pytest.approx(
        one.objective - make_block(problem, alone, "output")._constant, rel=1e-7
    )
    assert np.abs(other.iterate.C).max() < 1e3


@by_loss
def test_rough_steps_are_better_than_the_start_and_worse_than_none_of_the_exact_ones(loss):
    problem = loss_problem(loss, SIZE)
    it = loss_iterate(problem)
    block = make_block(problem, it, "output")
    exact = solve_block(problem, it, "output", "native")
    rough = block.objective(block.improve(0.03))
    assert rough < block.objective(it)
    assert rough - exact.objective <= 0.1 * (block.objective(it) - exact.objective)
    # From the optimum there is nowhere to go.
    again = make_block(problem, exact.iterate, "output")
    assert again.objective(again.improve(0.03)) <= exact.objective * (1 + 1e-12)


def test_large_counts():
    problem = loss_problem(PoissonLoss(), SIZE)
    large = TrainingProblem(problem.U.T, np.round(1e6 * problem.Y).T, 3, loss="poisson", ridge=1e3)
    native = solve_block(large, loss_iterate(large), "output", "native")
    assert native.certificate.holds(1e-9)
    # A ridge a million times as large is as much beside such counts: nothing but the intercepts grow.
    few = loss_problem(PoissonLoss(), SIZE, ridge=1e-3)
    small = solve_block(few, loss_iterate(few), "output", "native").iterate
    np.testing.assert_allclose(native.iterate.D, small.D, atol=1e-5)
    np.testing.assert_allclose(native.iterate.d, small.d + np.log(1e6), atol=1e-5)


@pytest.mark.parametrize("loss", LIKELIHOODS, ids=repr)
def test_without_a_minimiser_the_infimum_is_come_near_to(loss):
    # Every class, or whether there is a count at all, is known from the sign of the only input.
    u = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0])
    Y = np.stack([u > 0, u < 0], axis=1).astype(float)
    problem = TrainingProblem(u[:, None], Y, 1, loss=loss, ridge=0.0, kappa=0.0, ridge_hidden=0.0)
    native = solve_block(problem, problem.initial(0), "output", "native")
    assert native.certificate.holds(1e-6)
    assert 0 <= problem.mean_loss(native.iterate) < 1e-6 * problem.loss_of_zero


def test_coupled_systems_by_a_matrix_and_by_conjugate_gradients(monkeypatch):
    problem = loss_problem(CrossEntropy(), SIZE)
    it = loss_iterate(problem)
    whole = solve_block(problem, it, "output", "native")
    monkeypatch.setattr("bcd_implicit.problem.newton_system.LARGEST_COUPLED", 0)
    by_outputs = solve_block(problem, it, "output", "native")
    monkeypatch.setattr("bcd_implicit.problem.newton_system.MOST_OPERATIONS", 0)
    by_one = solve_block(problem, it, "output", "native")
    for solution in (by_outputs, by_one):
        assert solution.certificate.holds(1e-6)
        np.testing.assert_allclose(solution.iterate.C, whole.iterate.C, atol=1e-4)
        assert solution.objective == pytest.approx(whole.objective, rel=1e-9)


@pytest.mark.parametrize("loss", [HuberLoss(1.0), *LIKELIHOODS], ids=repr)
def test_newton_systems_are_second_derivatives(loss):
    problem = loss_problem(loss, SIZE, ridge=0.1)
    it = loss_iterate(problem)
    regression, prediction = Regression(problem, it), problem.prediction(it)
    system = NewtonSystem(
        regression,
        lambda change: loss.second_derivative(prediction, problem.Y, change),
        loss.second_diagonal(prediction, problem.Y),
        loss.separable,
    )
    theta = regression.coefficients(it)
    np.testing.assert_allclose(regression.prediction(theta), prediction, rtol=1e-10)
    change = 1e-6 * np.random.default_rng(0).standard_normal(theta.shape)

    def gradient(theta):
        return regression.gradient(loss.gradient(regression.prediction(theta), problem.Y), theta)

    difference = (gradient(theta + change) - gradient(theta - change)) / 2
    np.testing.assert_allclose(system.product(change), difference, atol=1e-5 * np.abs(difference).max())
    # Of a product: a constant in all predictions of a sample changes nothing in the cross-entropy.
    right = system.product(change)
    np.testing.assert_allclose(system.product(system.solve(right, 1e-12)), right, atol=1e-9 * np.abs(right).max())


# Against others' solvers: without hidden features, so the states are zero and C does nothing. ------------------------


def linear_solution(problem):
    it = problem.initial(0)
    return solve_block(problem, it.replace(X=0 * it.X), "output", "native").iterate


def test_logistic_regression():
    problem = loss_problem(LogisticLoss(), (1, 4, 1, 80), ridge=0.05)
    it = linear_solution(problem)
    reference = LogisticRegression(C=1 / (0.05 * 80), tol=1e-10, max_iter=1000).fit(problem.U.T, problem.Y[0])
    np.testing.assert_allclose(it.D, reference.coef_, atol=1e-5)
    np.testing.assert_allclose(it.d, reference.intercept_, atol=1e-5)


def test_multinomial_regression():
    problem = loss_problem(CrossEntropy(), (1, 4, 3, 80), ridge=0.05)
    it = linear_solution(problem)
    reference = LogisticRegression(C=1 / (0.05 * 80), tol=1e-10, max_iter=1000)
    reference.fit(problem.U.T, problem.Y.argmax(axis=0))
    np.testing.assert_allclose(it.D, reference.coef_, atol=1e-5)
    shifts = it.d - it.d.mean(), reference.intercept_ - reference.intercept_.mean()
    np.testing.assert_allclose(*shifts, atol=1e-5)


def test_poisson_regression():
    problem = loss_problem(PoissonLoss(), (1, 4, 1, 80), ridge=0.05)
    it = linear_solution(problem)
    reference = PoissonRegressor(alpha=0.05, tol=1e-10, max_iter=1000).fit(problem.U.T, problem.Y[0])
    np.testing.assert_allclose(it.D[0], reference.coef_, atol=1e-5)
    np.testing.assert_allclose(it.d, reference.intercept_, atol=1e-5)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantile_regression(level):
    problem = loss_problem(QuantileLoss(level), (1, 4, 1, 81), ridge=0.0)
    it = linear_solution(problem)
    reference = QuantileRegressor(quantile=level, alpha=0.0).fit(problem.U.T, problem.Y[0])
    np.testing.assert_allclose(it.D[0], reference.coef_, atol=1e-6)
    np.testing.assert_allclose(it.d, reference.intercept_, atol=1e-6)


def test_huber_regression():
    problem = loss_problem(HuberLoss(0.5), (1, 4, 1, 80), ridge=0.05)
    it = linear_solution(problem)

    def objective(theta):
        miss = np.abs(theta[:4] @ problem.U + theta[4] - problem.Y[0])
        return np.mean(np.where(miss <= 0.5, miss**2 / 2, 0.5 * (miss - 0.25))) + 0.025 * np.sum(theta[:4] ** 2)

    found = minimize(objective, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(np.append(it.D[0], it.d), found.x, atol=1e-5)
