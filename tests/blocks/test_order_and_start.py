"""Neither the order of samples and inputs nor the start decides what a native solver finds."""

import numpy as np
import pytest
from problems import OPTIONS, TOL, at, random_problem
from slow_but import slow_but

from bcd_implicit import BLOCKS, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint"])
@pytest.mark.parametrize("shape", [(1, 30, 2, 20), (5, 8, 20, 40)], ids=str)
def test_order_of_samples_and_inputs_plays_no_part(block, form, shape):
    problem = random_problem(shape, **OPTIONS[form])
    it = at(problem, block)
    objective = solve_block(problem, it, block, "native", tol=1e-10).objective
    rng = np.random.default_rng(0)
    samples, inputs = rng.permutation(problem.n_samples), rng.permutation(problem.n_inputs)
    by_samples = TrainingProblem(problem.U.T[samples], problem.Y.T[samples], problem.n_hidden, **OPTIONS[form])
    found = solve_block(by_samples, it.replace(X=it.X[:, samples]), block, "native", tol=1e-10)
    assert found.objective == pytest.approx(objective, rel=1e-9)
    by_inputs = TrainingProblem(problem.U.T[:, inputs], problem.Y.T, problem.n_hidden, **OPTIONS[form])
    moved = it.replace(B=it.B[:, inputs], D=it.D[:, inputs])
    found = solve_block(by_inputs, moved, block, "native", tol=1e-10)
    assert found.objective == pytest.approx(objective, rel=1e-9)


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("shape", slow_but([(3, 4, 2, 30)], [(3, 4, 2, 30), (4, 30, 2, 20), (12, 6, 3, 60)]), ids=str)
def test_start_of_the_hidden_block_plays_no_part(form, shape):
    problem = random_problem(shape, **OPTIONS[form])
    it = at(problem, "hidden")
    rng = np.random.default_rng(0)
    zero = {k: np.zeros(problem.shapes[k]) for k in ("A", "B", "b")}
    far = {k: 100 * rng.standard_normal(problem.shapes[k]) for k in ("A", "B", "b")}
    if not problem.fit_intercept:
        far["b"] = zero["b"]
    solutions = [solve_block(problem, it.replace(**parts), "hidden", "native") for parts in ({}, zero, far)]
    best = min(s.objective for s in solutions)
    for solution in solutions:
        assert solution.certificate.holds(TOL)
        assert solution.objective - best <= solution.certificate.gap + 1e-12 * abs(best)


@pytest.mark.parametrize("block", ["output", "state"])
def test_start_of_the_other_blocks_plays_no_part(block):
    problem = random_problem((3, 4, 2, 30), norm_bound=0.3)
    it = at(problem, block)
    if block == "output":
        far = it.replace(C=1e3 * it.C, D=-1e3 * it.D, d=it.d + 1e3)
    else:
        it = it.replace(A=0.3 * it.A)
        assert not make_block(problem, it, block).proximal.any()  # with it, the block depends on its start
        far = it.replace(X=1e3 * it.X)
    first, second = (solve_block(problem, start, block, "native") for start in (it, far))
    assert abs(first.objective - second.objective) <= first.certificate.gap + second.certificate.gap + 1e-12
