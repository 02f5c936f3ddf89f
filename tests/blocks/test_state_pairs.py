"""The state block for every activation with every loss."""

import mpmath
import numpy as np
import pytest
from exact_states import state_objectives
from problems import TOL, random_iterate, table_of
from slow_but import every_pair

from bcd_implicit import ACTIVATIONS, LOSSES, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block

WEIGHTS = [0.5, 1.0, 3.0]
CONIC = [name for name, phi in ACTIVATIONS.items() if phi.conic]
NATIVE_ONLY = [name for name in ACTIVATIONS if name not in CONIC]


def posed(activation, loss, size=(3, 4, 3, 8), **options) -> tuple[TrainingProblem, object]:
    """A problem with a weight for each hidden feature and states away from equilibrium."""
    options = {"norm_bound": 0.9, "fenchel_weight": WEIGHTS[: size[0]]} | options
    problem = TrainingProblem(*table_of(loss, size), size[0], activation=activation, loss=loss, **options)
    return problem, random_iterate(problem)


def moved(problem, it, size):
    step = size * np.random.default_rng(1).standard_normal(it.X.shape)
    return it.replace(X=np.clip(it.X + step, *problem.activation.domain))


@pytest.mark.parametrize(("activation", "loss"), every_pair(CONIC, [*LOSSES]))
def test_native_is_as_good_as_clarabel_and_wrong_points_are_not(activation, loss):
    problem, it = posed(activation, loss)
    native, conic = (solve_block(problem, it, "state", solver) for solver in ("native", "CLARABEL"))
    assert native.solver == "native"
    assert native.objective == pytest.approx(conic.objective, rel=1e-5)
    # Where a point is worse than another, its gap says so; and both are as good as they claim.
    block, rounding = make_block(problem, it, "state"), 1e-12 * native.objective
    best = min(native.objective, conic.objective)
    for solution in (native, conic):
        assert solution.certificate.holds(TOL)
        assert solution.objective - best <= solution.certificate.gap + rounding
    for size in (1.0, 1e-2):
        wrong = moved(problem, native.iterate, size)
        excess, certificate = block.objective(wrong) - best, block.certificate(wrong)
        assert not certificate.holds(TOL)
        assert excess - rounding <= certificate.gap <= 1.3 * excess
        assert certificate.kkt_residual > 1e-4


@pytest.mark.parametrize(("activation", "loss"), every_pair(NATIVE_ONLY, [*LOSSES]))
def test_what_no_cone_can_say_is_better_than_all_points_near_it(activation, loss):
    problem, it = posed(activation, loss, size=(3, 4, 3, 4))
    native = solve_block(problem, it, "state", "native")
    assert native.certificate.holds(TOL)
    block = make_block(problem, it, "state")
    with mpmath.workdps(30):
        found = state_objectives(problem, it, block.proximal, native.iterate.X)
        for size in (1.0, 1e-1, 1e-2):
            wrong = moved(problem, native.iterate, size)
            excess = state_objectives(problem, it, block.proximal, wrong.X) - found
            assert np.all(excess >= -native.certificate.gap)
            certificate, excess = block.certificate(wrong), float(excess @ problem.shares)
            assert not certificate.holds(TOL)
            assert excess <= certificate.gap <= 1.3 * excess


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_many_samples_are_solved_in_parts(activation, loss, monkeypatch):
    problem, it = posed(activation, loss)
    whole = solve_block(problem, it, "state", "native", tol=1e-8)
    monkeypatch.setattr("bcd_implicit.support.parts.PART", 20)
    apart = solve_block(problem, it, "state", "native", tol=1e-8)
    assert apart.objective == pytest.approx(whole.objective, rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "absolute", "cross-entropy"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "elu", "softplus", "arctan", "softsign"])
def test_states_may_start_at_the_ends_of_the_domain_and_end_there(activation, loss):
    """Preactivations so large that phi is at its ends to the last digit, and states at the wrong ones."""
    problem, it = posed(activation, loss)
    low, high = np.clip(problem.activation.domain, -30, 30)
    signs = np.random.default_rng(0).choice([-1, 1], it.X.shape)
    it = it.replace(B=20 * it.B, X=np.where(signs > 0, low, high))
    native = solve_block(problem, it, "state", "native")
    assert native.certificate.holds(TOL)
    assert not make_block(problem, it, "state").certificate(it).holds(TOL)


def test_rates_of_overflow_are_left_behind():
    """The gradient at the start is e^200: a full step beyond it would have no number."""
    problem, it = posed("relu", "poisson")
    it = it.replace(X=it.X + 1.0)
    it = it.replace(C=it.C * 200 / np.abs(it.C @ it.X).max())
    native = solve_block(problem, it, "state", "native")
    assert native.certificate.holds(TOL)
    assert native.objective < 1e3 < 1e60 < make_block(problem, it, "state").objective(it)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.free_targets])
@pytest.mark.parametrize("activation", ["relu", "soft_threshold", "tanh"])
def test_units_of_the_targets_do_not_matter(activation, loss, scale):
    problem, it = posed(activation, loss)
    U, Y = problem.U.T, scale * problem.Y.T
    # Quadratic losses grow like the square of the units, the others like the units.
    kind = type(problem.loss)(scale) if loss == "huber" else problem.loss
    growth = scale**2 if loss in ("squared", "huber") else scale
    scaled = TrainingProblem(
        U, Y, 3, activation=activation, loss=kind, norm_bound=0.9, fenchel_weight=np.multiply(growth, WEIGHTS)
    )
    there = it.replace(**{letter: scale * getattr(it, letter) for letter in "CDd"})
    plain, other = solve_block(problem, it, "state", "native"), solve_block(scaled, there, "state", "native")
    np.testing.assert_allclose(other.iterate.X, plain.iterate.X, atol=1e-3)
    assert other.certificate.holds(TOL)
    wrong = moved(problem, plain.iterate, 0.1)
    gaps = [
        make_block(*pose, "state").certificate(wrong.replace(**{k: getattr(pose[1], k) for k in "CDd"})).gap
        for pose in ((problem, it), (scaled, there))
    ]
    assert gaps[1] == pytest.approx(growth * gaps[0], rel=0.2)
