"""The state block: its formula, and the proximal term that makes it convex."""

import numpy as np
import pytest
from problems import at, random_iterate, random_problem

from bcd_implicit import solve_block
from bcd_implicit.blocks import make_block


def test_state_of_one_hidden_feature_without_feedback_is_a_formula():
    # A = 0, relu, a sample: 1/2 (y - c x)^2 + weight (1/2 x^2 - x z) over x >= 0.
    problem = random_problem((1, 3, 1, 40), fenchel_weight=2.0, norm_bound=0.0, pass_through=False)
    it = at(problem, "state")
    c = it.C[0, 0]
    z = it.B @ problem.U + it.b[:, None]
    by_hand = np.maximum((c * (problem.Y - it.d[:, None]) + 2 * z) / (c**2 + 2), 0)
    np.testing.assert_allclose(solve_block(problem, it, "state", "native", tol=1e-10).iterate.X, by_hand, atol=1e-5)


class TestStateBlock:
    def test_proximal_term_is_the_smallest_that_makes_it_convex(self, size):
        problem = random_problem(size, norm_bound=0.9)
        it = random_iterate(problem)
        block = make_block(problem, it, "state")
        n = problem.n_hidden
        M = problem.fenchel_weight * (np.eye(n) - it.A - it.A.T) + it.C.T @ it.C
        lowest = np.linalg.eigvalsh(M).min()
        assert np.linalg.eigvalsh(M + block.proximal).min() >= -1e-12
        np.testing.assert_allclose(block.convex_root.T @ block.convex_root, M + block.proximal, atol=1e-10)
        assert np.linalg.norm(block.proximal, 2) == pytest.approx(max(0.0, -lowest), abs=1e-10)

    def test_without_the_proximal_term_the_block_need_not_be_convex(self):
        problem = random_problem((12, 6, 3, 60), norm_bound=0.99)
        it = random_iterate(problem)
        it = it.replace(A=0.99 * np.roll(np.eye(12), 1, axis=1), C=np.zeros((3, 12)))
        assert np.linalg.norm(make_block(problem, it, "state").proximal, 2) == pytest.approx(0.98, abs=1e-2)

    def test_objective_is_majorised(self):
        problem = random_problem((5, 8, 20, 40), norm_bound=0.9)
        it = random_iterate(problem)
        block = make_block(problem, it, "state")
        rng = np.random.default_rng(0)
        for _ in range(10):
            other = it.replace(X=np.abs(it.X + rng.standard_normal(it.X.shape)))
            assert block.objective(other) >= problem.objective(other) - 1e-12
        assert block.objective(it) == pytest.approx(problem.objective(it))

    def test_samples_are_separate(self):
        problem = random_problem((3, 4, 2, 30))
        it = random_iterate(problem)
        some = np.arange(5)
        whole = solve_block(problem, it, "state", "CLARABEL").iterate.X[:, some]
        part = solve_block(problem.subset(some), it.replace(X=it.X[:, some]), "state", "CLARABEL").iterate.X
        np.testing.assert_allclose(whole, part, atol=1e-5)
