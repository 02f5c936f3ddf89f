"""Sample weights in every block: the same as repeated samples, and the same by every solver."""

import numpy as np
import pytest
from problems import OPTIONS, at, check_native, pose_and_solve, random_problem, wrong_point
from sizes import WIDEST
from slow_but import every_pair, slow_but
from weights import FORMS, SIZE, random_weights, weighted_and_repeated

from bcd_implicit import BLOCKS, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block


def both(certificate):
    return certificate.gap, certificate.scale, certificate.kkt_residual, certificate.violation


@pytest.mark.parametrize(("form", "block"), every_pair([*FORMS], [*BLOCKS]))
def test_blocks_and_certificates_are_those_of_repeated_samples(form, block):
    weighted, repeated, rows = weighted_and_repeated(**FORMS[form])
    it = at(weighted, block)
    start = it.replace(X=it.X[:, rows])
    one, other = make_block(weighted, it, block), make_block(repeated, start, block)
    for size in (0.0, 0.01, 1.0):
        point = wrong_point(weighted, one, one.it, size)
        same = point.replace(X=point.X[:, rows])
        assert one.objective(point) == pytest.approx(other.objective(same), rel=1e-9)
        assert both(one.certificate(point)) == pytest.approx(both(other.certificate(same)), rel=1e-6)
    for solver in ("native", "CLARABEL"):
        by_weights, by_samples = solve_block(weighted, it, block, solver), solve_block(repeated, start, block, solver)
        gaps = by_weights.certificate.gap + by_samples.certificate.gap
        assert by_weights.objective == pytest.approx(by_samples.objective, rel=1e-9, abs=gaps)
        assert by_weights.certificate.holds(1e-6)
        if block == "output":  # strictly convex: one solution
            for part in ("C", "D", "d"):
                expected = getattr(by_samples.iterate, part)
                np.testing.assert_allclose(getattr(by_weights.iterate, part), expected, atol=1e-5)


@pytest.mark.parametrize(("form", "block"), every_pair([*FORMS], [*BLOCKS]))
@pytest.mark.parametrize("size", slow_but([WIDEST], [WIDEST, (5, 8, 20, 40), (8, 6, 3, 40)]), ids=str)
def test_native_agrees_with_cvxpy(size, form, block):
    problem = random_problem(size, sample_weight=random_weights(size[-1]), **FORMS[form])
    it = at(problem, block)
    prepared, posed, reference = pose_and_solve(problem, it, block)
    native, reference = check_native(problem, it, block, reference)
    assert native.objective <= reference.objective * (1 + 1e-6)
    assert posed.is_dcp(dpp=True)
    for solution in (native.iterate, prepared.it):  # what CVXPY minimises is the objective, everywhere
        for letter, variable in posed.var_dict.items():
            variable.value = getattr(solution, letter)
        assert posed.objective.value == pytest.approx(prepared.objective(solution), rel=1e-8)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "stacked"])
def test_weights_over_many_orders_of_magnitude(form, block):
    weights = random_weights(40, spread=8.0)
    assert weights.max() / weights.min() > 1e12
    problem = random_problem((5, 8, 4, 40), sample_weight=weights, **OPTIONS[form])
    check_native(problem, at(problem, block), block)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain", "stacked"])
def test_a_wrong_point_fails_and_the_gap_covers_its_loss(form, block):
    problem = random_problem(SIZE, sample_weight=random_weights(30), **OPTIONS[form])
    prepared = make_block(problem, at(problem, block), block)
    solution = solve_block(problem, prepared.it, block, "native", tol=1e-8)
    unweighted = solve_block(random_problem(SIZE, **OPTIONS[form]), prepared.it, block, "native", tol=1e-8)
    wrong = [wrong_point(problem, prepared, solution.iterate, size) for size in (0.1, 0.01)]
    if block != "state":  # there every sample has an optimum of its own, whatever its weight
        wrong.append(unweighted.iterate)
    for point in wrong:
        certificate = prepared.certificate(point)
        assert not certificate.holds(1e-6)
        assert certificate.gap >= (prepared.objective(point) - solution.objective) * (1 - 1e-6)


def test_an_input_that_is_constant_but_for_samples_of_weight_zero():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((30, 3))
    U[:, 1] = 1e5 / 3
    U[4, 1] = -1.0
    weights = np.where(np.arange(30) == 4, 0.0, random_weights(30))
    problem = TrainingProblem(U, np.abs(U[:, :1]), 3, sample_weight=weights)
    assert (problem.initial().B[:, 1] == 0).all()
    for block in BLOCKS:
        check_native(problem, problem.initial(), block)
