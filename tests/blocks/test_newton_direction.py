"""Every way to Newton's direction ends at the same point."""

import pytest
from problems import OPTIONS, TOL, at, random_problem

from bcd_implicit import solve_block

DIRECTION = "bcd_implicit.blocks.newton_direction"
WAYS = {
    "matrix": {f"{DIRECTION}.LARGEST_MATRIX": 10**9},
    "rows": {f"{DIRECTION}.LARGEST_MATRIX": 0, f"{DIRECTION}.DEAREST_PRECONDITIONER": 10**9},
    "diagonal": {f"{DIRECTION}.LARGEST_MATRIX": 0, f"{DIRECTION}.LARGEST_PRECONDITIONER": 0},
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
