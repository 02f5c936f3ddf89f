"""Random problems of every kind: what a solution says of itself, recomputed in extended precision."""

import warnings

import numpy as np
import pytest
from extended import EXTENDED, Extended
from losses import loss_targets
from problems import in_both_sets

from bcd_implicit import ACTIVATIONS, BLOCKS, LOSSES, BlockSolveError, ConvergenceWarning, TrainingProblem, solve
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solve import solve_prepared

pytestmark = [pytest.mark.hard, pytest.mark.skipif(not EXTENDED, reason="longdouble is no longer than double here")]
TOL = 1e-6


def draw(seed: int, well_posedness: str = "inf-norm") -> tuple[np.random.Generator, TrainingProblem]:
    rng = np.random.default_rng([seed, 15])
    n, p, q = (int(rng.integers(1, most + 1)) for most in (15, 40, 20))
    m = int(np.exp(rng.uniform(np.log(4), np.log(300))))
    U = rng.standard_normal((m, p)) * 10 ** rng.uniform(-1, 1, p)
    W = rng.standard_normal((p, 3)) / (np.sqrt(p) * U.std(axis=0)[:, None])
    Y = np.abs(U @ W) @ rng.standard_normal((3, q)) + 0.3 * rng.standard_normal((m, q))
    Y /= Y.std()
    loss = LOSSES[str(rng.choice([*LOSSES]))]
    if not loss.quadratic:
        Y = loss_targets(loss, Y if loss.separable or q > 1 else np.hstack([Y, -Y]), rng)
    stacked = bool(rng.random() < 0.25)
    form = str(rng.choice(["penalty", "constraint"]))
    problem = TrainingProblem(
        U,
        Y,
        n,
        activation=str(rng.choice([*ACTIVATIONS])),
        loss=loss,
        norm_bound=float(rng.choice([0.0, 0.3, 0.5, 0.9])),
        kappa=float(10 ** rng.uniform(-3, 0)),
        group_form=form,
        fenchel_weight=float(10 ** rng.uniform(-1, 2)),
        ridge=float(10 ** rng.uniform(-4, -1)),
        ridge_hidden=float(10 ** rng.uniform(-5, -1)),
        fit_intercept=bool(rng.random() < 0.7),
        pass_through=stacked or bool(rng.random() < 0.5),
        groups=[int(j // rng.integers(1, 4)) for j in range(p)] if rng.random() < 0.4 else None,
        group_norm=rng.choice(["2", "inf"]),
        group_over="BD" if stacked else "B",
        sample_weight=rng.uniform(0.1, 2, m) if rng.random() < 0.3 else None,
        well_posedness=well_posedness,
    )
    return rng, problem


def some_iterate(rng, problem, block):
    it = problem.initial(rng)
    # Of the measure's set mostly points that are far out of the ball.
    held_back = (0, 1, 10)[problem.n_samples % 3] if problem.well_posedness == "measure" else 0
    spread = max(float(problem.Y.std()), 1e-300) if problem.loss.free_targets else 1.0
    it = it.replace(
        A=problem.row_set.project(0.5 * rng.standard_normal(it.A.shape) - held_back * np.eye(len(it.A))),
        C=spread * rng.standard_normal(it.C.shape),
        d=spread * rng.standard_normal(it.d.shape) * problem.fit_intercept,
    )
    it = problem.at_equilibrium(problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it))))
    if block != "prox-linear":
        noise = 0.3 * rng.standard_normal(it.X.shape)
        it = it.replace(X=np.clip(it.X + noise, *problem.activation.domain))
    return it


def perturbed(rng, problem, block, it):
    """Points away from a solution, feasible."""
    for letter in block.letters:
        part = getattr(it, letter)
        if (
            not part.size
            or (letter in "bd" and not problem.fit_intercept)
            or (letter == "D" and not problem.pass_through)
        ):
            continue
        usual = np.abs(part).max() or 1.0
        moved = it.replace(**{letter: part + usual * 10 ** rng.uniform(-2, 0.5) * rng.standard_normal(part.shape)})
        moved = moved.replace(A=problem.row_set.repair(moved.A), X=np.clip(moved.X, *problem.activation.domain))
        yield problem.with_grouped(moved, problem.group_lasso.repair(problem.grouped(moved)))


@pytest.mark.parametrize(("seed", "well_posedness"), in_both_sets(range(300)))
def test_blocks(seed, well_posedness):
    rng, problem = draw(seed, well_posedness)
    name = list(BLOCKS)[seed % 4]
    it = some_iterate(rng, problem, name)
    block = make_block(problem, it, name)
    if not (block.conic or block.has_native):
        with pytest.raises(BlockSolveError, match="has no solver of its own"):
            solve_prepared(block, "auto", TOL)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        solution = solve_prepared(block, "auto", TOL)
    certificate = solution.certificate
    assert certificate.holds(TOL)
    exact = Extended(problem, name, block.it, getattr(block, "mu", 0.0), getattr(block, "proximal", None))
    value = exact.objective(solution.iterate)
    # Of the joint objective; what is beside the block's own part may be much larger.
    rounding = 1e-12 * abs(float(value))
    assert solution.objective == pytest.approx(float(value), rel=1e-12, abs=rounding)
    assert certificate.violation == pytest.approx(exact.violation(solution.iterate), abs=1e-14)
    if name != "state" and not problem.stacked and (name != "output" or problem.loss.quadratic):
        gap = float(value - exact.bound(solution.iterate))
        # Never less than what the same dual point says with more digits; more only by the rounding that it counts.
        assert certificate.gap >= gap * (1 - 1e-6) - rounding
        assert certificate.gap <= gap * (1 + 1e-6) + 1e-9 * certificate.scale + rounding
    # Whatever is worse by more than the tolerance is refused.
    refused = 0
    for point in perturbed(rng, problem, block, solution.iterate):
        worse = float(exact.objective(point) - value)
        verdict = block.certificate(point)
        assert verdict.gap >= worse - rounding
        if worse > 2 * TOL * verdict.scale + rounding:
            refused += 1
            assert not verdict.holds(TOL)
    assert refused or problem.norm_bound == 0 or solution.objective == 0 or name in ("hidden", "prox-linear")


@pytest.mark.parametrize(("seed", "well_posedness"), in_both_sets(range(0, 300, 10)))
@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_states_and_objective_of_loops(method, seed, well_posedness):
    _, problem = draw(seed, well_posedness)
    result = solve(problem, method, max_cycles=4)
    exact = Extended(problem, "output", result.iterate)
    states = result.model.states(problem.U.T)
    error = np.abs(states.X - exact.states(result.iterate).T).max(axis=1)
    assert (states.error_bound + 1e-300 >= error).all()
    assert result.objective == pytest.approx(float(exact.true_objective(result.iterate)), rel=1e-10)
    assert max(result.violations.values()) <= 1e-12
