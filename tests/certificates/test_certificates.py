"""Certificates against optima found by CVXPY, at right points and at wrong ones."""

import cvxpy as cp
import numpy as np
import pytest
from problems import OPTIONS, at, random_iterate, random_problem, wrong_point
from slow_but import every_pair, slow_but
from units import applied, scale_input

from bcd_implicit import BLOCKS, Certificate, NotWellPosedError, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.certificates.responses import equilibrium_responses

FORMS = {
    "penalty": {"kappa": 0.1},
    "penalty, no ridge": {"kappa": 0.1, "ridge_hidden": 0.0},
    "constraint": {"kappa": 0.5, "group_form": "constraint"},
    "constraint, no ridge": {"kappa": 0.5, "group_form": "constraint", "ridge_hidden": 0.0},
    "no intercept": {"kappa": 0.1, "fit_intercept": False},
    "no intercept, no ridge": {"kappa": 0.1, "fit_intercept": False, "ridge_hidden": 0.0},
    "large ridge, leaky": {"kappa": 0.1, "ridge_hidden": 1.0, "activation": "leaky_relu"},
    "clip": {"kappa": 0.02, "activation": "clip"},
    "pairs, largest": {"kappa": 0.1, "groups": "pairs", "group_norm": "inf"},
    "pairs, constraint": {"kappa": 0.5, "groups": "pairs", "group_form": "constraint"},
    "stacked": {"kappa": 0.1, "group_over": "BD"},
    "stacked, no ridge": {"kappa": 0.1, "group_over": "BD", "ridge_hidden": 0.0},
    "stacked, no intercept": {"kappa": 0.1, "group_over": "BD", "fit_intercept": False},
    "stacked, constraint": {"kappa": 0.5, "group_over": "BD", "group_form": "constraint"},
    "stacked, largest": {"kappa": 0.1, "group_over": "BD", "group_norm": "inf"},
}


@pytest.mark.parametrize(("form", "name"), every_pair([*FORMS], [*BLOCKS]))
@pytest.mark.parametrize("shape", slow_but([(3, 4, 2, 30)], [(3, 4, 2, 30), (1, 30, 2, 20), (5, 8, 20, 40)]), ids=str)
def test_gap_bounds_the_distance_to_the_optimum_everywhere(name, form, shape):
    problem = random_problem(shape, **FORMS[form])
    block = make_block(problem, random_iterate(problem, relaxed=name != "prox-linear"), name)
    optimum = solve_block(problem, block.it, name, "cvxpy")
    assert optimum.certificate.relative_gap <= 1e-6
    assert optimum.certificate.kkt_residual <= 1e-3
    gaps = []
    for size in (1.0, 0.1, 0.01):
        point = wrong_point(problem, block, optimum.iterate, size)
        certificate = block.certificate(point)
        excess = block.objective(point) - optimum.objective
        assert excess > -1e-7 * abs(optimum.objective)
        assert certificate.gap >= excess - 1e-7 * abs(optimum.objective)
        assert not certificate.holds(1e-6)
        assert certificate.kkt_residual > 1e-6
        gaps.append(certificate.gap)
    assert gaps[0] > gaps[1] > gaps[2]


def test_output_gap_is_exact():
    problem = random_problem((3, 4, 2, 30))
    block = make_block(problem, random_iterate(problem), "output")
    optimum = solve_block(problem, block.it, "output", "CLARABEL")
    point = wrong_point(problem, block, optimum.iterate, 0.5)
    assert block.certificate(point).gap == pytest.approx(block.objective(point) - optimum.objective, rel=1e-6)


def test_what_is_constant_in_the_output_block_hides_no_gap():
    small, large = (random_problem((3, 4, 2, 30), kappa=kappa) for kappa in (0.01, 1e7))
    point = random_iterate(small)
    gaps = [make_block(problem, point, "output").certificate(point).relative_gap for problem in (small, large)]
    assert gaps[0] == gaps[1] > 1e-2
    barrier = random_problem((3, 4, 2, 30), constraints={"log": lambda v: -cp.log(v["A"][0, 0] - 10)})
    certificate = make_block(barrier, point, "output").certificate(point)
    assert certificate.relative_gap == gaps[0]


@pytest.mark.parametrize("form", ["penalty, no ridge", "constraint, no ridge", "no intercept, no ridge"])
def test_hidden_gap_by_the_formula_for_relu_without_ridge(form):
    problem = random_problem((3, 4, 2, 30), **FORMS[form])
    it = random_iterate(problem)
    point = solve_block(problem, it, "hidden", "CLARABEL").iterate
    X, U, kappa, nu, weight = it.X, problem.U, problem.kappa, problem.norm_bound, problem.fenchel_weight / 30
    Z = point.A @ X + point.B @ U + point.b[:, None]
    V = weight * (np.maximum(Z, 0) - X)
    norms = np.linalg.norm(V @ U.T, axis=0)
    s = 1.0 if problem.group_form == "constraint" else min(1.0, kappa / norms.max())
    dual = -np.sum((s * V + weight * X) ** 2) / (2 * weight) - nu * s * np.abs(V @ X.T).max(axis=1).sum()
    dual -= kappa * norms.max() if problem.group_form == "constraint" else 0.0
    primal = weight * np.sum(0.5 * np.maximum(Z, 0) ** 2 - X * Z)
    primal += kappa * np.linalg.norm(point.B, axis=0).sum() if problem.group_form == "penalty" else 0.0
    gap = make_block(problem, it, "hidden").certificate(point).gap
    # Equal up to the intercept, which the certificate re-solves so that the rows of V sum to zero.
    assert gap == pytest.approx(primal - dual, abs=1e-6)
    assert gap >= 0


def test_violations_are_seen():
    problem = random_problem((3, 4, 2, 30), kappa=0.5, group_form="constraint")
    it = random_iterate(problem)
    hidden, state = make_block(problem, it, "hidden"), make_block(problem, it, "state")
    point = it
    assert hidden.certificate(point).violation <= 1e-15
    too_large = point.replace(A=np.full((3, 3), 0.3))
    assert hidden.certificate(too_large).violation == pytest.approx(0.4)
    assert not hidden.certificate(too_large).holds(np.inf)
    # Relative to kappa: three times the radius is beyond it by two.
    assert hidden.certificate(point.replace(B=point.B * 3)).violation == pytest.approx(2.0)
    assert state.certificate(it.replace(X=it.X - 1)).violation == pytest.approx(1 - it.X.min())


def test_dead_hidden_features_and_zero_states():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    it = it.replace(X=it.X * np.array([[0.0], [1.0], [1.0]]))
    assert solve_block(problem, it, "hidden", "CLARABEL").certificate.holds(1e-6)
    nothing = it.replace(X=np.zeros_like(it.X))
    assert solve_block(problem, nothing, "hidden", "CLARABEL").certificate.holds(1e-6)


def test_relative_gap_and_repr():
    assert Certificate(0.0, 0.0, 0.0, 0.0).relative_gap == 0
    assert Certificate(1e-3, 0.0, 0.0, 0.0).relative_gap == np.inf
    certificate = Certificate(1e-6, 10.0, 2e-5, 0.0)
    assert certificate.relative_gap == pytest.approx(1e-7)
    assert certificate.holds(1e-6)
    assert not certificate.holds(1e-8)
    assert repr(certificate) == "Certificate(relative_gap=1.00e-07, kkt_residual=2.00e-05, violation=0.00e+00)"
    assert not Certificate(np.inf, 1.0, np.inf, 0.0).known


def test_output_gap_sees_a_column_in_tiny_units():
    problem = random_problem((3, 4, 2, 30), ridge=0.0)
    problem.U[0] *= 1e-8
    block = make_block(problem, random_iterate(problem), "output")
    optimum = solve_block(problem, block.it, "output", "CLARABEL").iterate
    D = optimum.D.copy()
    D[:, 0] += 1e8
    moved = optimum.replace(D=D)
    excess = block.objective(moved) - block.objective(optimum)
    assert excess > 0.1
    assert block.certificate(moved).gap >= excess * (1 - 1e-6)


def test_no_state_certificate_without_well_posedness():
    problem = random_problem((3, 4, 2, 30))
    it = random_iterate(problem)
    block = make_block(problem, it.replace(A=2 * np.eye(3)), "state")
    with pytest.raises(NotWellPosedError, match="is not below 1"):
        block.certificate(block.it)


def test_responses_are_believed_only_if_they_meet_their_equation():
    problem = random_problem((4, 6, 9, 30), activation="leaky_relu")
    base = random_iterate(problem, relaxed=False)
    slopes = problem.activation.derivative(problem.preactivation(base))
    R = np.linalg.qr(base.C)[1]
    by_hand = np.stack(
        [R @ np.linalg.inv(np.eye(4) - slopes[:, k, None] * base.A) @ np.diag(slopes[:, k]) for k in range(30)], axis=2
    )
    for claim in (None, by_hand, by_hand * (1 + 1e-8), np.zeros_like(by_hand)):
        parts = list(equilibrium_responses(problem, base, claim)())
        found = np.concatenate([J for _, J in parts], axis=2)
        np.testing.assert_allclose(found, by_hand, rtol=1e-10, atol=1e-12)
        assert any(J is claim for _, J in parts) == (claim is by_hand)


def test_a_wrong_linearisation_does_not_fool_the_certificate():
    problem = random_problem((4, 6, 9, 30))
    base = random_iterate(problem, relaxed=False)
    block = make_block(problem, base, "prox-linear")
    wrong = solve_block(problem, base, "prox-linear").iterate
    honest = block.certificate(wrong)
    spoilt = make_block(problem, base, "prox-linear")
    spoilt.linearisation.kept[0] *= 1.5
    # Rounding is allowed for where the responses are computed anew.
    assert spoilt.certificate(wrong).gap == pytest.approx(honest.gap, rel=1e-6, abs=1e-10)
    away = wrong_point(problem, block, wrong, 0.01)
    assert spoilt.certificate(away).gap == pytest.approx(block.certificate(away).gap, rel=1e-6)


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("name", ["penalty", "leaky", "largest"])
def test_a_ridge_that_is_too_weak_to_matter_costs_no_certificate(name, block):
    # Beside an input times 1e12 the ridge is nothing, and the conjugate that divides by it all rounding.
    problem = random_problem((4, 10, 1, 100), **OPTIONS[name])
    assert problem.ridge_hidden > 0
    scaled, factors = scale_input(problem, block, 1e12)
    solution = solve_block(scaled, applied(at(problem, block), factors), block, "native")
    assert solution.certificate.holds(1e-6)
    wrong = solution.iterate.replace(B=1.01 * solution.iterate.B)
    assert not make_block(scaled, applied(at(problem, block), factors), block).certificate(wrong).holds(1e-6)
