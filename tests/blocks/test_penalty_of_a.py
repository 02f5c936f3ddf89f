"""Blocks under an entrywise penalty of A: natively, by CVXPY and by certificate, and from where on A = 0."""

import numpy as np
import pytest
from patterns import iterate_with_large_links, masked_iterate, mixed_masks, random_masks
from problems import OPTIONS, TOL, check_native, random_iterate, random_problem, wrong_point
from slow_but import every_pair, slow_but

from bcd_implicit import ACTIVATIONS, block_problem, gradient, solve_block
from bcd_implicit.blocks import make_block

SIZE = (5, 4, 2, 50)
# Weights at which blocks follow the states that they are given, and A pays more than rounding.
SETTINGS = {"kappa_A": 3e-3, "fenchel_weight": 30.0}
WEIGHTS = np.random.default_rng(2).choice([0.0, 1e-3, 1e-2, 0.1], (5, 5))
by_block = pytest.mark.parametrize("block", ["hidden", "prox-linear"])


def near_equilibrium(problem, block, seed=0):
    it = random_iterate(problem, seed, relaxed=False)
    if block == "prox-linear":
        return it
    noise = 0.01 * np.random.default_rng(seed).standard_normal(it.X.shape)
    return it.replace(X=np.clip(it.X + noise, *problem.activation.domain))


def penalty_by_hand(problem, A):
    weights = np.broadcast_to(problem.kappa_A, A.shape).copy()
    if problem.well_posedness == "measure":
        np.fill_diagonal(weights, 0)
    return sum(weights[i, j] * abs(A[i, j]) for i in range(len(A)) for j in range(len(A)))


def check(problem, it, block):
    """As good as CVXPY, with the same entries; the objective holds the penalty, and zeros are exact."""
    native, conic = check_native(problem, it, block)
    A, prepared = native.iterate.A, make_block(problem, it, block)
    plain = make_block(problem.replace(kappa_A=0.0), it, block)
    if block == "prox-linear":  # its own weight depends on nothing else
        assert prepared.mu == plain.mu
    paid = prepared.objective(native.iterate) - plain.objective(native.iterate)
    assert paid == pytest.approx(penalty_by_hand(problem, A), rel=1e-9, abs=1e-12)
    if conic is not None:
        assert native.objective == pytest.approx(conic.objective, rel=1e-6)
        np.testing.assert_allclose(A, conic.iterate.A, atol=1e-3)
    return native, conic


@by_block
@pytest.mark.parametrize("well_posedness", ["inf-norm", "measure"])
@pytest.mark.parametrize("name", slow_but(["penalty"], [*OPTIONS]))
def test_native_is_as_good_as_cvxpy(block, name, well_posedness):
    problem = random_problem(SIZE, **OPTIONS[name] | SETTINGS | {"well_posedness": well_posedness})
    native, conic = check(problem, near_equilibrium(problem, block), block)
    A = native.iterate.A
    assert 0 < np.count_nonzero(A) < 25
    # Not only near zero: what CVXPY leaves there is taken to it.
    assert np.count_nonzero(conic.iterate.A) < 25
    np.testing.assert_allclose(native.dual_values["norm_bound"], conic.dual_values["norm_bound"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("activation", "block"), every_pair([*ACTIVATIONS], ["hidden", "prox-linear"]))
def test_every_activation(activation, block):
    problem = random_problem(SIZE, activation=activation, kappa=0.05, **SETTINGS)
    check(problem, near_equilibrium(problem, block), block)


@by_block
def test_a_weight_for_each_entry(block):
    problem = random_problem(SIZE, kappa=0.05, **SETTINGS | {"kappa_A": WEIGHTS})
    native, _ = check(problem, near_equilibrium(problem, block), block)
    kept = native.iterate.A != 0
    assert kept[WEIGHTS == 0].mean() > kept.mean() > kept[WEIGHTS == 0.1].mean()


@by_block
@pytest.mark.parametrize("ridge_hidden", [1e-4, 0.0])
def test_under_a_pattern_links_outside_cycles_pay_too(block, ridge_hidden):
    problem = random_problem((7, 4, 2, 50), pattern=mixed_masks(4, 2), pass_through=False, kappa=0.02, norm_bound=0.6)
    problem = problem.replace(**SETTINGS | {"ridge_hidden": ridge_hidden})
    it = iterate_with_large_links(problem, block)
    native, _ = check(problem, it, block)
    free = problem.pattern.entries("A", it.A.shape)
    assert native.certificate.holds(TOL)
    assert not native.iterate.A[~free].any()
    # Without a ridge the gap of a free entry is known only because its weight bounds the dual.
    outside = free & ~problem.row_set.inside
    assert native.iterate.A[outside].any()
    assert make_block(problem.replace(kappa_A=0.0), it, block).certificate(it).known == (ridge_hidden > 0)
    many = solve_block(problem.replace(kappa_A=1e4), it, block)
    assert not many.iterate.A.any()
    assert many.certificate.holds(TOL)


@by_block
def test_under_a_random_pattern(block):
    problem = random_problem(SIZE, pattern=random_masks(random_problem(SIZE).shapes), kappa=0.02, **SETTINGS)
    check(problem, masked_iterate(problem, block), block)


@by_block
@pytest.mark.parametrize("well_posedness", ["inf-norm", "measure"])
def test_wrong_points_fail(block, well_posedness):
    problem = random_problem(SIZE, seed=1, kappa=0.05, **SETTINGS | {"kappa_A": 0.03}, well_posedness=well_posedness)
    it = near_equilibrium(problem, block)
    best, prepared = solve_block(problem, it, block, "native", tol=1e-8), make_block(problem, it, block)
    dense = solve_block(problem.replace(kappa_A=0.0), it, block, "native", tol=1e-8).iterate
    A, last = best.iterate.A, int(np.flatnonzero(best.iterate.A)[-1])
    fewer = np.where(np.arange(A.size).reshape(A.shape) == last, 0.0, A)
    points = [wrong_point(problem, prepared, best.iterate, size) for size in (1e-4, 1e-2, 1.0)]
    for point in (*points, dense, best.iterate.replace(A=0.999 * A), best.iterate.replace(A=fewer)):
        above, certificate = prepared.objective(point) - best.objective, prepared.certificate(point)
        assert above > 0
        assert certificate.gap >= above * (1 - 1e-6) - 1e-12
        assert not certificate.holds(0.1 * above / certificate.scale)
        assert certificate.kkt_residual > best.certificate.kkt_residual


def test_the_weight_of_all_entries_is_a_parameter():
    problem = random_problem(SIZE, kappa=0.05, **SETTINGS)
    it = near_equilibrium(problem, "hidden")
    live = block_problem(problem, it, "hidden")
    for weight in (0.01, 0.05):
        live.param_dict["kappa_A"].value = weight
        live.solve(solver="CLARABEL")
        native = solve_block(problem.replace(kappa_A=weight), it, "hidden", "native")
        assert live.value == pytest.approx(native.objective, rel=1e-6)
    # Nothing is added where there is no penalty, and several weights are constants.
    for weights in (0.0, WEIGHTS):
        assert "kappa_A" not in block_problem(problem.replace(kappa_A=weights), it, "hidden").param_dict


@by_block
def test_from_a_weight_on_a_is_zero(block):
    """The largest gradient at the best B and b for A = 0; by finite differences."""
    problem = random_problem(SIZE, kappa=0.05, fenchel_weight=30.0)
    it = near_equilibrium(problem.replace(norm_bound=0.0), block)
    empty = solve_block(problem.replace(norm_bound=0.0), it, block, "native", tol=1e-10)
    prepared, least = make_block(problem, it, block), 0.0
    for place in np.ndindex(5, 5):
        moved = np.zeros((5, 5))
        moved[place] = 1e-5
        ends = [prepared.objective(empty.iterate.replace(A=sign * moved)) for sign in (1, -1)]
        least = max(least, abs(ends[0] - ends[1]) / 2e-5)
    above, below = (solve_block(problem.replace(kappa_A=f * least), it, block, "native", tol=1e-9) for f in (1.01, 0.9))
    assert not above.iterate.A.any()
    assert np.count_nonzero(below.iterate.A) == 1
    if block == "prox-linear":
        # At its base that gradient is the one of (T).
        base = it.replace(A=0 * it.A)
        base_block, at_base = make_block(problem.replace(kappa_A=0.3), base, block), gradient(problem, base).A
        moved = np.zeros((5, 5))
        moved[1, 2] = 1e-5
        ends = [base_block.objective(base_block.it.replace(A=sign * moved)) - 3e-6 for sign in (1, -1)]
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(at_base[1, 2], rel=1e-4, abs=1e-7)
