"""Conjugate gradients and factorisations find the same."""

import pytest
from problems import OPTIONS, TOL, at, random_problem

from bcd_implicit import solve_block


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain"])
def test_conjugate_gradients_and_factorisations_find_the_same(block, form, size, monkeypatch):
    problem = random_problem(size, **OPTIONS[form])
    it = at(problem, block)
    module = "bcd_implicit.blocks.newton_direction"
    monkeypatch.setattr(f"{module}.LEAST_STEPS", 10**9)  # never worth starting
    factorised = solve_block(problem, it, block, "native")
    monkeypatch.setattr(f"{module}.LEAST_STEPS", 0)
    monkeypatch.setattr(f"{module}.LARGEST_SYSTEM", 0)  # nothing fits
    matrix_free = solve_block(problem, it, block, "native")
    for solution in (factorised, matrix_free):
        assert solution.certificate.holds(TOL)
    assert matrix_free.objective == pytest.approx(factorised.objective, rel=TOL)
