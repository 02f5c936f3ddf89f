"""The certificate under a user's constraint: the bound by hand, right points accepted, wrong ones refused."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from constrained import problem_with, start_of
from scipy import sparse

from bcd_implicit import SOLVERS, BlockSolveError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solvers import run_solver
from bcd_implicit.certificates import Certificate
from bcd_implicit.certificates.cones import Nonnegative, Zero
from bcd_implicit.certificates.conic import REACH, ConicClaim, conic_certificate

CASES = {
    "linear": ("hidden", lambda: ready.nonnegative("B")),
    "equality": ("prox-linear", lambda: lambda v: cp.sum(v["A"]) == 0.3),
    "second order": ("output", lambda: ready.column_norm_bound("C", 0.2)),
    "semidefinite": ("hidden", lambda: ready.nuclear_norm_bound("B", 0.5)),
    "eigenvalue": ("prox-linear", lambda: ready.convex_state()),
    "exponential": ("output", lambda: lambda v: 0.1 * cp.sum(cp.exp(v["d"]))),
    "power": ("output", lambda: lambda v: cp.sum(cp.power(cp.abs(v["C"]), 1.5, approx=False)) <= 0.3),
    "penalty": ("hidden", lambda: ready.l1_penalty("A", 0.01)),
}


def claimed(case, solver):
    """A block, what is known of it without the user's terms, and a solver's claim."""
    block_name, make = CASES[case]
    problem = problem_with(make())
    block = make_block(problem, start_of(problem, block_name), block_name)
    posed = block.cvxpy_problem()
    _, compiled = run_solver(posed, block_name, solver, 1e-7)
    it = block.it.replace(**{k: v.value for k, v in posed.var_dict.items()})
    return block, block.certificate(it), compiled.claim(), block.objective(it)


def gap(own, claim, objective):
    return conic_certificate(own, claim, objective, penalty=0.0, violation=0.0).relative_gap


def by_hand(y=(0.0, 4.0), x=(0.0, 1.0)):
    """Min 1/2 (u^2 + v^2) + v - 5 with u = 0 and v >= 1, whose optimum is -3.5 at the multipliers 0 and 2."""
    return ConicClaim(
        P=sparse.csr_array(np.eye(2)),
        c=np.array([0.0, 1.0]),
        d=-5.0,
        A=sparse.csr_array(np.eye(2)),
        b=np.array([0.0, -1.0]),
        cones=[(Zero(), 1, 1), (Nonnegative(), 1, 1)],
        parts=np.array([0, 1]),
        x=np.array(x),
        y=np.array(y),
    )


def test_the_bound_is_that_of_the_formula():
    value, allowance, residual = by_hand(y=(0.0, 2.0)).bound(1.0)
    assert value == pytest.approx(-3.5)
    assert allowance <= 1e-13
    assert residual == 0.0
    # Off by r = (0, -2): d - 1/2 x'Px - b'y = -1.5, and 1/2 r^2 + |r x| = 4 may have to be taken off.
    value, allowance, _ = by_hand().bound(1.0)
    assert (value, allowance) == pytest.approx((-1.5, 4.0))
    # A multiplier of the wrong sign is moved to 0 first.
    value, allowance, _ = by_hand(y=(0.0, -1.0)).bound(1.0)
    assert (value, allowance) == pytest.approx((-5.5, 4.0))
    assert by_hand(x=(1.0, 1.0)).bound(1.0)[2] == pytest.approx(1 / np.sqrt(5))


def test_without_curvature_the_point_says_how_far_the_optimum_may_be():
    claim = replace(by_hand(y=(0.0, 1.0001)), P=sparse.csr_array((2, 2)))
    assert claim.bound(1.0)[1] == pytest.approx(1e-4 * REACH)
    assert replace(claim, y=np.array([0.0, 1.5])).bound(1.0)[1] == pytest.approx(0.5 * REACH)


def test_a_claim_of_nothing_leaves_the_gap_unknown():
    own = Certificate(0.0, 1.0, 0.0, 0.0)
    for claim in (None, by_hand(y=(0.0, np.nan)), by_hand(x=(1.0, 1.0), y=(0.0, 2.0))):
        certificate = conic_certificate(own, claim, -3.5, penalty=0.5, violation=1e-7)
        assert not certificate.known
        assert certificate.kkt_residual == np.inf
        assert certificate.violation == 1e-7
    good = conic_certificate(own, by_hand(y=(0.0, 2.0)), -3.5, penalty=0.5, violation=1e-7)
    assert good.holds(1e-12)
    assert good.scale == 1.5
    assert not replace(good, violation=2e-6).holds(1e-12)
    # A point below the bound is no better than one above it.
    assert not conic_certificate(own, by_hand(y=(0.0, 2.0)), -3.6, penalty=0.0, violation=0.0).holds(1e-2)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", CASES)
def test_right_points_of_every_solver_are_accepted(case, solver):
    try:
        _, own, claim, objective = claimed(case, solver)
    except BlockSolveError:
        assert solver == "ECOS"  # lacks cones, and fails on exponential ones
        return
    assert gap(own, claim, objective) <= (1e-5 if solver == "SCS" else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_wrong_points_and_wrong_multipliers_are_refused(case):
    block, own, claim, objective = claimed(case, "CLARABEL")
    rng = np.random.default_rng(0)
    zeros = {k: np.zeros_like(getattr(block.it, k)) for k in block.letters}
    at_zero = block.objective(block.it.replace(**zeros))
    x, y = claim.x, claim.y
    noise_x, noise_y = (rng.standard_normal(part.shape) * np.abs(part).max() for part in (x, y))
    wrong = {
        "the start with right multipliers": (x, y, block.objective(block.it)),
        "zeros": (0 * x, 0 * y, at_zero),
        "zeros with right multipliers": (x, y, at_zero),
        "noise": (noise_x, noise_y, objective),
        "tiny noise": (1e-9 * noise_x, 1e-9 * noise_y, at_zero),
        "the right point with multipliers of zero": (x, 0 * y, objective),
        "the right point with those of others": (x, noise_y, objective),
        "the right point with those twice as large": (x, 2 * y, objective),
        "one that claims too much": (x, y, objective - 1e-3 * own.scale),
    }
    for name, (x, y, value) in wrong.items():
        assert gap(own, replace(claim, x=x, y=y), value) > 1e-4, name


@pytest.mark.parametrize("case", CASES)
def test_nobody_finds_a_point_better_by_more_than_the_gap(case):
    _, own, claim, objective = claimed(case, "CLARABEL")
    rng = np.random.default_rng(1)
    for size in 10.0 ** np.arange(-9, 0):
        off = replace(
            claim,
            x=claim.x * (1 + size * rng.standard_normal(claim.x.shape)),
            y=claim.y * (1 + size * rng.standard_normal(claim.y.shape)),
        )
        value, allowance, _ = off.bound(own.scale)
        assert value - allowance <= objective + 1e-9 * own.scale
