"""Every way to Newton's direction ends at the same point."""

import warnings

import numpy as np
import pytest
from problems import OPTIONS, TOL, at, random_problem

from bcd_implicit import ConvergenceWarning, TrainingProblem, solve_block

DIRECTION = "bcd_implicit.blocks.newton_direction"
WAYS = {
    "matrix": {f"{DIRECTION}.LARGEST_MATRIX": 10**9},
    "rows": {
        f"{DIRECTION}.LARGEST_MATRIX": 0,
        f"{DIRECTION}.CHEAP_FACTOR": 0,
        f"{DIRECTION}.DEAREST_PRECONDITIONER": 10**9,
    },
    "diagonal": {
        f"{DIRECTION}.LARGEST_MATRIX": 0,
        f"{DIRECTION}.CHEAP_FACTOR": 0,
        f"{DIRECTION}.LARGEST_PRECONDITIONER": 0,
    },
}


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain"])
def test_matrix_and_conjugate_gradients_find_the_same(block, form, size, monkeypatch):
    problem = random_problem(size, **OPTIONS[form])
    it, objectives = at(problem, block), []
    for limits in WAYS.values():
        with monkeypatch.context() as patch:
            for name, value in limits.items():
                patch.setattr(name, value)
            solution = solve_block(problem, it, block, "native")
        assert solution.certificate.holds(TOL)
        objectives.append(solution.objective)
    assert objectives == pytest.approx(objectives[:1] * len(WAYS), rel=TOL)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 10])
def test_conjugate_gradients_end_where_units_leave_no_digits(seed, monkeypatch):
    monkeypatch.setattr(f"{DIRECTION}.LARGEST_MATRIX", 0)
    rng = np.random.default_rng(seed)
    U, Y = rng.standard_normal((20, 12)) * 10.0 ** rng.uniform(-8, 8, 12), 1e6 * rng.standard_normal((20, 3))
    options = {"kappa": 1.0, "group_form": "constraint", "group_norm": "inf", "group_over": "BD", "ridge": 1e-6}
    problem = TrainingProblem(U, Y, 2, groups=[j // 3 for j in range(12)], **options)
    it = solve_block(problem, problem.initial(0), "output").iterate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # only an overflow, or no number, is a fault here
        solution = solve_block(problem, it, "hidden", "native")
    assert solution.objective <= problem.objective(it)
    assert problem.violation(solution.iterate) <= 1e-9
