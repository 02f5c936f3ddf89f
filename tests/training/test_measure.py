"""Training in the larger set of the matrix measure: never worse than in the ball, certified, and told everywhere."""

import warnings

import numpy as np
import pytest
from problems import random_problem
from sklearn.datasets import load_diabetes, make_friedman1

import bcd_implicit as bi
from bcd_implicit.model.standardization import Standardization


def friedman():
    U, y = make_friedman1(150, noise=1.0, random_state=0)
    return U, y[:, None], {"kappa": 0.01, "n_hidden": 5, "ridge": 1e-3}


def column_sparse():
    data = bi.datasets.make_column_sparse(120, 12, 10, 8, 4, random_state=0)
    return data.U, data.Y, {"kappa": 0.3, "n_hidden": 5, "pass_through": False}


def diabetes():
    U, y = load_diabetes(return_X_y=True)
    return U, y[:, None], {"kappa": 0.01, "n_hidden": 5}


def measure(A):
    """max_i A_ii + sum_{j != i} |A_ij|, in another way than the package's."""
    return max(A[i, i] + sum(abs(A[i, j]) for j in range(len(A)) if j != i) for i in range(len(A)))


def train(problem, *args, **options):
    """Solve, whether or not it ends within the cycles."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        return bi.solve(problem, *args, **options)


@pytest.mark.slow
@pytest.mark.parametrize("data", [friedman, column_sparse, diabetes])
def test_it_is_never_worse_than_in_the_ball(data):
    U, Y, settings = data()
    largest = 0.0
    for norm_bound in (0.0, 0.6):
        ball = bi.TrainingProblem(*Standardization.fit(U, Y).apply(U, Y), norm_bound=norm_bound, **settings)
        problem = ball.replace(well_posedness="measure")
        first = train(ball, max_cycles=20)
        # From its model: the matrices are feasible as they are.
        result = train(problem, max_cycles=20, start=first.model)
        assert result.objective <= first.objective
        A, X = result.iterate.A, result.iterate.X
        assert measure(A) <= norm_bound + 1e-12
        assert all(c.holds(1e-6) for c in result.certificates.values())
        # The equation, by hand, and the same states by a solver that knows nothing of the training.
        Z = A @ X + result.iterate.B @ problem.U + result.iterate.b[:, None]
        np.testing.assert_allclose(np.maximum(Z, 0), X, atol=1e-10)
        again = result.model.states(problem.U.T, solver="forward-backward")
        np.testing.assert_allclose(again.X.T, X, atol=1e-8)
        largest = max(largest, np.abs(A).sum(axis=1).max() - norm_bound)
        # The way back leads into the ball: rows are projected.
        back = train(ball, max_cycles=2, start=result.iterate)
        assert np.abs(back.iterate.A).sum(axis=1).max() <= norm_bound + 1e-12
    if data is not column_sparse:  # where nothing is won by leaving the ball
        assert largest > 0.5


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
@pytest.mark.parametrize("method", bi.METHODS)
def test_both_loops_train_from_a_start_with_a_large_norm(method, activation):
    problem = random_problem((5, 4, 2, 60), kappa=1e-3, activation=activation, well_posedness="measure", norm_bound=0.4)
    rng = np.random.default_rng(3)
    A = problem.row_set.repair(np.abs(rng.standard_normal((5, 5))) / problem.activation.max_slope, np.arange(5))
    start = problem.initial().replace(A=A)
    assert np.abs(A).sum(axis=1).max() > 3
    result = train(problem, method, max_cycles=6, start=problem.at_equilibrium(start))
    objectives = result.history["objective"].to_numpy()
    assert np.all(np.diff(objectives) <= 1e-12 * np.abs(objectives[:-1]))
    assert problem.activation.max_slope * measure(result.iterate.A) <= 0.4 + 1e-12
    assert max(result.violations.values()) <= 1e-12
    assert all(c.violation <= 1e-8 for c in result.certificates.values())
    states = result.model.states(problem.U.T)
    np.testing.assert_allclose(states.X.T, result.iterate.X, atol=1e-8)


def test_what_is_asked_is_told():
    problem = random_problem((4, 3, 2, 40), norm_bound=0.3, well_posedness="measure")
    assert problem.replace(kappa=0.5).well_posedness == "measure"
    assert "norm_bound=0.3, well_posedness='measure', kappa" in repr(problem)
    assert "mu_inf(A)" in problem._repr_html_()
    assert "||A||_inf" not in problem._repr_html_()
    ball = problem.replace(well_posedness="inf-norm")
    assert "well_posedness" not in repr(ball)
    result = train(problem, max_cycles=2)
    assert "mu_inf(A)" in result._repr_html_()
    with pytest.raises(bi.InvalidInputError, match="unknown condition 'norm'. Use one of inf-norm, measure"):
        problem.replace(well_posedness="norm")
    # A point outside is told by what it breaks.
    outside = problem.initial().replace(A=np.diag([0.5, -9.0, 0.0, 0.0]))
    assert problem.violations(outside)["norm_bound"] == pytest.approx(0.2)
    with pytest.raises(bi.NotWellPosedError):
        problem.at_equilibrium(outside.replace(A=np.eye(4) * 1.5))


def test_a_checkpoint_is_of_one_set(tmp_path):
    problem = random_problem((4, 3, 2, 40), norm_bound=0.3, kappa=1e-3)
    measure_of = problem.replace(well_posedness="measure")
    path = tmp_path / "run.npz"
    whole = train(measure_of, max_cycles=5)
    train(measure_of, max_cycles=2, checkpoint=path)
    resumed = train(measure_of, max_cycles=5, checkpoint=path)
    np.testing.assert_array_equal(resumed.iterate.A, whole.iterate.A)
    with pytest.raises(bi.InvalidInputError, match="of another run: well_posedness was 'measure' and is 'inf-norm'"):
        train(problem, max_cycles=5, checkpoint=path)


def test_paths_and_estimators_pass_it_on():
    problem = random_problem((3, 4, 2, 60), norm_bound=0.2, well_posedness="measure")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        path = bi.kappa_path(problem, n_kappas=3, random_state=0)
        U, y = make_friedman1(80, n_features=5, random_state=0)
        model = bi.ImplicitRegressor(4, alpha=1e-3, norm_bound=0.2, well_posedness="measure", n_init=1, max_cycles=20)
        model.fit(U, y)
    assert all(measure(result.iterate.A) <= 0.2 + 1e-12 for result in path.results)
    assert measure(model.model_.A) <= 0.2 + 1e-12 < np.abs(model.model_.A).sum(axis=1).max()
    for estimator in (bi.ImplicitClassifier, bi.ImplicitFeatureSelector):
        with pytest.raises(bi.InvalidInputError, match="well_posedness"):
            estimator(2, well_posedness="none").fit(U, (y > y.mean()).astype(int))
