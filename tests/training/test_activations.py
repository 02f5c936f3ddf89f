"""Loops and models with every activation; the sigmoid, whose slope lets ||A||_inf go beyond 1."""

import numpy as np
import pytest
from problems import random_problem
from slow_but import slow_but

from bcd_implicit import ACTIVATIONS, ConvergenceWarning, ImplicitModel, NotWellPosedError, solve
from bcd_implicit.model.fixed_point import SOLVERS


@pytest.mark.parametrize("method", slow_but(["prox-linear"], ["prox-linear", "fenchel"]))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_loop_raises_its_objective(activation, method):
    problem = random_problem((4, 5, 2, 60), activation=activation, norm_bound=0.9, kappa=0.02)
    result = solve(problem, method=method, tol=1e-2, max_cycles=200, random_state=0)
    assert result.status.ok
    assert np.all(result.history["objective"].diff().dropna() <= 0)
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    assert {*result.solvers.values()} == {"native"}
    assert problem.violation(result.iterate) <= 1e-9
    assert result.model.contraction() <= 0.9 + 1e-9
    start = problem.initial(0)
    assert result.objective < problem.equilibrium_objective(start)


@pytest.fixture(scope="module")
def beyond_one():
    problem = random_problem((4, 5, 2, 80), activation="sigmoid", norm_bound=0.9, kappa=0.005, ridge=1e-3)
    result = solve(problem, tol=1e-3, max_cycles=200, random_state=0)
    return problem, result


class TestSigmoid:
    def test_trains_beyond_one(self, beyond_one):
        problem, result = beyond_one
        assert problem.row_set.radius == 3.6
        assert 1 < result.model.norm_inf() <= 3.6 + 1e-9
        assert result.model.is_well_posed()
        assert result.model.contraction() == pytest.approx(0.25 * result.model.norm_inf())
        narrow = solve(problem.replace(norm_bound=0.2), tol=1e-3, max_cycles=200, random_state=0)
        assert narrow.model.norm_inf() <= 0.8 + 1e-9
        assert result.objective < narrow.objective
        assert "at most 3.6" in result._repr_html_()

    def test_states_of_all_solvers_agree_within_their_bounds(self, beyond_one):
        problem, result = beyond_one
        points = [result.model.states(problem.U.T, tol=1e-13, solver=solver) for solver in SOLVERS]
        for point in points:
            X = point.X.T
            np.testing.assert_allclose(
                X, 1 / (1 + np.exp(-problem.preactivation(result.iterate.replace(X=X)))), atol=1e-12
            )
            assert np.all(np.abs(point.X - points[0].X).max(axis=1) <= point.error_bound + points[0].error_bound)
            assert point.error_bound.max() < 1e-11

    def test_picard_is_bounded_as_measured(self, beyond_one):
        problem, result = beyond_one
        table = result.model.picard_convergence(problem.U.T)
        assert np.all(table["error"] <= table["bound"] * (1 + 1e-9) + 1e-14)
        assert np.all(table["bound"] <= table["a_priori"] * (1 + 1e-9))

    def test_jacobian_is_that_of_the_predictions(self, beyond_one):
        problem, result = beyond_one
        u, h = problem.U.T[:3], 1e-5
        moved = [
            (result.model.predict(u + h * e) - result.model.predict(u - h * e)) / (2 * h)
            for e in np.eye(problem.n_inputs)
        ]
        np.testing.assert_allclose(result.model.jacobian(u), np.stack(moved, axis=2), atol=1e-6)

    def test_a_saved_model_predicts_alike_and_says_that_it_is_well_posed(self, beyond_one, tmp_path):
        problem, result = beyond_one
        result.model.save(tmp_path / "m.npz")
        again = ImplicitModel.load(tmp_path / "m.npz")
        np.testing.assert_array_equal(again.predict(problem.U.T), result.model.predict(problem.U.T))
        assert "well-posed: L ||A||_inf is 0.9, below 1" in again._repr_html_()


def test_well_posedness_is_in_the_activations_own_slope():
    """The spectral radius of |A| may be up to 4 for the sigmoid, and ||A||_inf beyond that."""
    A, B, C = np.array([[0.0, 9.0], [1.5, 0.0]]), np.eye(2), np.eye(2)  # spectral radius 3.7
    model = ImplicitModel(A, B, None, C, activation="sigmoid")
    assert model.is_well_posed()
    assert model.contraction() < 1
    U = np.random.default_rng(0).standard_normal((20, 2))
    point = model.states(U, tol=1e-12)
    np.testing.assert_allclose(point.X, 1 / (1 + np.exp(-(point.X @ A.T + U))), atol=1e-11)
    assert "well-posed: the spectral radius of L |A| is 0.9186, below 1" in model._repr_html_()
    with pytest.raises(NotWellPosedError, match=r"spectral radius of \|A\| is 3.67423.*not below 1, so"):
        ImplicitModel(A, B, None, C, activation="tanh").states(U)
    with pytest.raises(NotWellPosedError, match="not below 4, so an equilibrium need not exist"):
        ImplicitModel(1.5 * A, B, None, C, activation="sigmoid").states(U)


def test_equal_states_are_rounding_for_steep_a_too():
    """Inputs without effect leave states that differ by rounding alone: made constant, whatever ||A||_inf."""
    problem = random_problem((3, 4, 2, 30), activation="sigmoid", norm_bound=0.9)
    it = problem.initial(0)
    A = problem.row_set.project(5 * np.random.default_rng(0).standard_normal((3, 3)))
    assert np.abs(A).sum(axis=1).max() > 3
    X = problem.at_equilibrium(it.replace(A=A, B=1e-17 * it.B, b=np.ones(3))).X
    assert np.ptp(X, axis=1).max() == 0


def test_a_loop_that_ends_early_says_so():
    problem = random_problem((4, 5, 2, 60), activation="tanh", kappa=0.02)
    with pytest.warns(ConvergenceWarning, match="stopped at max_cycles"):
        solve(problem, max_cycles=2, random_state=0)
