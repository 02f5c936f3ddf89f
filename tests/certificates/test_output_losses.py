"""The output block's certificate under losses other than the squared one: no wrong point passes, good ones do."""

import mpmath
import numpy as np
import pytest
from losses import KINKED, LIKELIHOODS, OTHER_LOSSES, exact_output_objective, loss_iterate, loss_problem

from bcd_implicit import TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.terms.losses import CrossEntropy, HuberLoss

by_loss = pytest.mark.parametrize("loss", OTHER_LOSSES, ids=repr)
CASES = {
    "plain": {},
    "no ridge": {"ridge": 0.0},
    "tiny ridge": {"ridge": 1e-12},
    "no intercept": {"fit_intercept": False},
    "stacked": {"group_over": "BD"},
    "few samples": {"m": 6},
}
TOL = 1e-6
# The gap is a double, and so are the comparisons.
COMPARED = 1 + 1e-9


def in_units(problem: TrainingProblem, input_units: float) -> TrainingProblem:
    """The first input in other units."""
    U = problem.U.copy()
    U[0] *= input_units
    kept = ("loss", "ridge", "fit_intercept", "group_over", "pass_through")
    return TrainingProblem(U.T, problem.Y.T, problem.n_hidden, **{name: getattr(problem, name) for name in kept})


def moved(problem, it, rng):
    """A point some way from another, by a size anywhere between scales."""
    letters = ("C", "d") if problem.stacked else ("C", "D", "d")
    if not problem.fit_intercept:
        letters = letters[:-1]
    parts = {}
    for letter in letters:
        part = getattr(it, letter)
        size = np.abs(part).max() * 10 ** rng.uniform(-9, 3)
        parts[letter] = part + size * rng.standard_normal(part.shape)
    return it.replace(**parts)


@pytest.mark.parametrize(
    "case", [case if case in ("plain", "no ridge") else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
@by_loss
def test_no_wrong_point_passes_and_the_solution_does(loss, case):
    options = {"ridge": 1e-3} | CASES[case]
    m = options.pop("m", 12)
    rng = np.random.default_rng(len(case))
    for seed in range(3):
        units = 10.0 ** rng.uniform(-6, 6) if loss.free_targets else 1.0
        problem = in_units(loss_problem(loss, (2, 3, 2, m), seed, units, **options), 10.0 ** rng.uniform(-6, 6))
        it = loss_iterate(problem, seed, units)
        best = solve_block(problem, it, "output", "native", tol=TOL)
        assert best.certificate.holds(TOL)
        zero = it.replace(C=0 * it.C, d=0 * it.d, **({} if problem.stacked else {"D": 0 * it.D}))
        points = [best.iterate, it, zero, *(moved(problem, best.iterate, rng) for _ in range(5))]
        with mpmath.workdps(60):
            objectives = [exact_output_objective(problem, point) for point in points]
            excesses = [float(objective - min(objectives)) for objective in objectives]
        for point, excess in zip(points, excesses, strict=True):
            certificate = output_certificate(problem, point)
            assert certificate.gap * COMPARED >= excess
            assert not certificate.holds(TOL) or excess <= TOL * COMPARED * certificate.scale


@by_loss
def test_the_gap_is_not_much_larger_than_what_is_missing(loss):
    problem = loss_problem(loss, (2, 3, 2, 40), ridge=1e-2)
    best = solve_block(problem, loss_iterate(problem), "output", "native", tol=1e-9)
    assert best.certificate.relative_gap <= 1e-9
    for size in (1e-5, 1e-4, 1e-3):
        point = best.iterate.replace(C=best.iterate.C + size)
        certificate = output_certificate(problem, point)
        missing = problem.output_objective(point) - problem.output_objective(best.iterate)
        assert certificate.gap >= missing * (1 - 1e-6) - 1e-12
        # A little off the kinks it is no longer known which residuals are to be zero.
        assert certificate.gap <= (1000 if loss in KINKED else 50) * missing


@by_loss
def test_points_that_are_no_use_have_no_gap_that_holds(loss):
    problem = loss_problem(loss, (2, 3, 2, 20), ridge=1e-3)
    it = loss_iterate(problem)
    for factor in (1e3, 1e30, 1e90):
        certificate = output_certificate(problem, it.replace(C=factor * it.C))
        assert not certificate.holds(TOL)


@pytest.mark.parametrize("loss", [HuberLoss(1.0), *LIKELIHOODS], ids=repr)
def test_residual_is_the_gradient_against_that_at_zero(loss):
    problem = loss_problem(loss, (2, 3, 2, 30), fit_intercept=False, pass_through=False)
    it = loss_iterate(problem)
    gradients = [
        (loss.gradient(point.C @ point.X, problem.Y) / 30) @ point.X.T + problem.ridge * point.C
        for point in (it, it.replace(C=0 * it.C))
    ]
    residual = np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[1])
    assert output_certificate(problem, it).kkt_residual == pytest.approx(residual, rel=1e-9)


@by_loss
def test_states_that_are_zero_leave_the_ridge_to_be_paid_for(loss):
    problem = loss_problem(loss, (2, 3, 2, 30), ridge=1e-5, pass_through=False, fit_intercept=False)
    it = loss_iterate(problem)
    it = it.replace(X=0 * it.X)
    block = make_block(problem, it, "output")
    missing = problem.output_regularization(it)
    assert block.certificate(it).gap >= missing * (1 - 1e-9)
    assert block.certificate(it.replace(C=0 * it.C)).gap <= 1e-12


def test_dual_points_of_classes_sum_to_zero():
    loss, Y = CrossEntropy(), np.eye(3)[:, [0, 1, 1, 0]]
    for V in (np.array([[-0.4], [0.2], [0.0]]) * (2 * Y[:1] - 1), -0.5 * Y, 0.5 - Y):
        assert np.isfinite(loss.conjugate(loss.inside(V, Y), Y)).all()


@pytest.mark.parametrize("intercept", [True, False])
def test_a_class_that_no_sample_has(intercept):
    U = np.random.default_rng(0).standard_normal((30, 3))
    Y = np.eye(3)[(U[:, 0] + 0.5 * U[:, 1] ** 2 > 0.3).astype(int)]
    problem = TrainingProblem(U, Y, 1, loss="cross-entropy", ridge=1e-4, fit_intercept=intercept)
    best = solve_block(problem, problem.initial(0), "output", "native")
    assert best.certificate.holds(TOL)
    rng = np.random.default_rng(1)
    for _ in range(20):
        point = moved(problem, best.iterate, rng)
        missing = problem.output_objective(point) - problem.output_objective(best.iterate)
        assert output_certificate(problem, point).gap >= missing * (1 - 1e-9) - 1e-12
