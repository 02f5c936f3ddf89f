"""A point that is not the optimum, or not feasible, fails."""

import numpy as np
import pytest
from problems import OPTIONS, TOL, at, random_problem

from bcd_implicit import BLOCKS, solve_block
from bcd_implicit.blocks import make_block


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain", "clip"])
def test_a_wrong_point_fails_and_the_gap_covers_its_loss(block, form):
    problem = random_problem((5, 8, 20, 40), **OPTIONS[form])
    prepared = make_block(problem, at(problem, block), block)
    solution = solve_block(problem, prepared.it, block, "native", tol=1e-8)
    assert prepared.certificate(solution.iterate).holds(TOL)
    rng = np.random.default_rng(0)
    for letter in prepared.letters:
        value = getattr(solution.iterate, letter)
        if not value.any():
            continue
        noise = 0.05 * np.abs(value).max() * rng.standard_normal(value.shape)
        wrong = solution.iterate.replace(**{letter: value + noise})
        wrong = prepared.repair(wrong)
        certificate = prepared.certificate(wrong)
        assert not certificate.holds(TOL)
        assert certificate.kkt_residual > 10 * solution.certificate.kkt_residual
        assert certificate.gap >= (prepared.objective(wrong) - solution.objective) * (1 - 1e-6)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_a_point_outside_the_constraints_fails(block):
    problem = random_problem((5, 8, 20, 40), kappa=0.1, group_form="constraint")
    prepared = make_block(problem, at(problem, block), block)
    found = solve_block(problem, prepared.it, block, "native").iterate
    assert np.isclose(problem.group_lasso.sum_of_norms(found.B), 0.1)
    for wrong in (found.replace(B=found.B * (1 + 1e-6)), found.replace(A=found.A + 0.5 * np.eye(5))):
        assert prepared.certificate(wrong).violation > 5e-8
        assert not prepared.certificate(wrong).holds(TOL)
