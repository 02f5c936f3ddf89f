"""The prox-linear block: its linearisation, its proximal weight and its tolerance."""

import numpy as np
import pytest
from problems import TOL, check_native, random_iterate, random_problem
from tables import table

from bcd_implicit import TrainingProblem, solve_block
from bcd_implicit.blocks import make_block


@pytest.mark.parametrize("start", [1.0, 1e3, 1e6])
def test_a_far_start_does_not_loosen_the_prox_linear_tolerance(start):
    U, Y = table(p=3, m=20)
    U[:, 0] *= 1e-6
    problem = TrainingProblem(U, Y, 2, kappa=1e-6, ridge_hidden=0.1, ridge=1.0)
    it = random_iterate(problem, relaxed=False)
    it = problem.at_equilibrium(it.replace(B=it.B * [start / np.abs(it.B[:, 0]).max(), 1, 1]))
    native, reference = check_native(problem, it, "prox-linear")
    assert reference.certificate.holds(TOL)
    scale = max(native.objective, problem.mean_loss(it))
    assert native.objective <= reference.objective + TOL * scale


@pytest.mark.parametrize("loss", ["logistic", "cross-entropy"])
def test_where_no_class_is_in_doubt_nothing_is_left_to_fit(loss):
    """Loss, gradient and curvature underflow to zero together."""
    U = np.random.default_rng(0).standard_normal((20, 3))
    Y = np.stack([U[:, 0] > 0, U[:, 0] < 0], axis=1).astype(float)
    problem = TrainingProblem(U, Y, 2, loss=loss, ridge=0.0, kappa=0.01)
    it = problem.initial(0).replace(C=np.ones((2, 2)), D=1e6 * np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
    assert problem.mean_loss(it) == 0
    native = solve_block(problem, it, "prox-linear", "native")
    assert native.certificate.holds(TOL)
    assert native.objective == pytest.approx(0, abs=1e-12)


class TestProxLinearBlock:
    def test_the_linearisation_is_the_derivative_of_the_equilibrium(self, size):
        problem = random_problem(size, activation="leaky_relu", kappa=0.0, ridge_hidden=0.0)
        it = random_iterate(problem, relaxed=False)
        block = make_block(problem, it, "prox-linear", mu=0.0)
        rng = np.random.default_rng(0)
        dA, dB, db = (rng.standard_normal(problem.shapes[k]) for k in ("A", "B", "b"))

        def along(t):
            return it.replace(A=it.A + t * dA, B=it.B + t * dB, b=it.b + t * db)

        def slope(t):
            return (problem.equilibrium_objective(along(t)) - problem.equilibrium_objective(along(-t))) / (2 * t)

        model_slope = (block.objective(along(1e-6)) - block.objective(along(-1e-6))) / 2e-6
        assert model_slope == pytest.approx(slope(1e-7), rel=1e-3, abs=1e-6)

    def test_gram_matrix_sample_by_sample(self):
        problem = random_problem((3, 4, 2, 30))
        block = make_block(problem, random_iterate(problem, relaxed=False), "prox-linear")
        it, n = block.it, 3
        Z = problem.preactivation(it)
        K = 0.0
        for k in range(30):
            D = np.diag((Z[:, k] > 0).astype(float))
            N = np.linalg.inv(np.eye(n) - D @ it.A) @ D
            w = np.concatenate([it.X[:, k] - it.X.mean(axis=1), problem.U[:, k] - problem.U.mean(axis=1), [1.0]])
            J = np.kron(w[None, :], it.C @ N)
            K = K + J.T @ J / 30
        np.testing.assert_allclose(block.linearisation.matrix(0.0).reshape(24, 24), K, atol=1e-10)

    def test_products_matrix_and_parts_agree(self, size, monkeypatch):
        problem = random_problem(size)
        block = make_block(problem, random_iterate(problem, relaxed=False), "prox-linear", mu=0.3)
        linearisation = block.linearisation
        V = np.random.default_rng(0).standard_normal(linearisation.k.shape)
        product = linearisation.product(V, 0.3)
        matrix = linearisation.matrix(0.3)
        by_matrix = matrix.reshape(V.size, V.size) @ V.ravel(order="F")
        np.testing.assert_allclose(by_matrix, product.ravel(order="F"), atol=1e-11)
        some = linearisation.on(np.arange(1, V.shape[1]))
        np.testing.assert_allclose(some.matrix(0.3), matrix[1:, :, 1:], atol=1e-11)
        monkeypatch.setattr("bcd_implicit.blocks.linearisation.LARGEST_KEPT", 0)
        monkeypatch.setattr("bcd_implicit.support.parts.PART", 3 * problem.n_hidden**2)  # three samples at a time
        in_parts = make_block(problem, block.it, "prox-linear", mu=0.3).linearisation
        np.testing.assert_allclose(in_parts.product(V, 0.3), product, atol=1e-11)
        np.testing.assert_allclose(in_parts.matrix(0.3), matrix, atol=1e-11)

    def test_mu_shortens_the_step(self):
        problem = random_problem((3, 4, 2, 30))
        it = random_iterate(problem, relaxed=False)
        steps = [
            np.linalg.norm(solve_block(problem, it, "prox-linear", mu=mu).iterate.B - it.B) for mu in (0.1, 10, 1e3)
        ]
        assert steps[0] > steps[1] > steps[2]

    def test_states_are_solved_first(self):
        problem = random_problem((3, 4, 2, 30))
        relaxed = random_iterate(problem, relaxed=True)
        block = make_block(problem, relaxed, "prox-linear")
        assert problem.fenchel_term(block.it) < 1e-20
