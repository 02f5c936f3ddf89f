"""Random patterns with and without cycles, of all activations and losses: what solutions say of themselves is true."""

import warnings

import numpy as np
import pytest
from losses import loss_targets
from patterns import entries_held
from problems import in_both_sets

from bcd_implicit import ACTIVATIONS, LOSSES, BlockSolveError, ConvergenceWarning, TrainingProblem, solve
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solve import solve_prepared

pytestmark = pytest.mark.hard
TOL = 1e-6


def draw(seed, well_posedness="inf-norm"):
    """A problem whose A is block triangular: components of one to three states, some of them with a cycle."""
    rng = np.random.default_rng([seed, 29])
    n, p, q, m = (int(rng.integers(low, high)) for low, high in ((2, 10), (1, 8), (1, 4), (10, 80)))
    component = np.sort(rng.integers(0, max(n // 2, 1) + 1, n))
    A = (component[:, None] > component) & (rng.random((n, n)) < 0.6)
    A |= (component[:, None] == component) & (rng.random((n, n)) < rng.choice([0.0, 0.5, 1.0]))
    order = rng.permutation(n)
    B = rng.random((n, p)) < 0.6
    B[order[0], 0], B[order[-1], 0] = True, False
    loss = LOSSES[str(rng.choice([*LOSSES]))] if rng.random() < 0.5 else LOSSES["squared"]
    U = rng.standard_normal((m, p))
    Y = np.abs(U @ rng.standard_normal((p, 2))) @ rng.standard_normal((2, q)) + 0.3 * rng.standard_normal((m, q))
    if not loss.quadratic:
        Y = loss_targets(loss, Y if loss.separable or q > 1 else np.hstack([Y, -Y]), rng)
    problem = TrainingProblem(
        U,
        Y,
        n,
        activation=str(rng.choice([*ACTIVATIONS])),
        loss=loss,
        norm_bound=float(rng.choice([0.0, 0.3, 0.9])),
        kappa=float(10 ** rng.uniform(-4, -1)),
        group_form=str(rng.choice(["penalty", "constraint"])),
        fenchel_weight=float(10 ** rng.uniform(-1, 1)),
        ridge=float(10 ** rng.uniform(-4, -1)),
        ridge_hidden=float(10 ** rng.uniform(-5, -1)),
        fit_intercept=bool(rng.random() < 0.7),
        pass_through=bool(rng.random() < 0.5),
        group_norm=rng.choice(["2", "inf"]),
        pattern={"A": A[np.ix_(order, order)], "B": B},
        well_posedness=well_posedness,
    )
    return rng, problem


def some_iterate(rng, problem, relaxed):
    A = np.where(problem.pattern.entries("A", problem.shapes["A"]), rng.standard_normal(problem.shapes["A"]), 0.0)
    A *= 10 ** rng.uniform(-1, 0.7)
    if problem.well_posedness == "measure":  # far out of the ball, where the diagonal is free
        A -= rng.choice([0, 1, 10]) * np.diag(np.diagonal(problem.pattern.entries("A", A.shape)))
    it = problem.initial(rng).replace(A=problem.row_set.repair(A))
    it = problem.at_equilibrium(problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it))))
    # In the states' units: rates of exp(30) have no digits left.
    it = it.replace(C=rng.standard_normal(problem.shapes["C"]) / max(np.abs(it.X).max(), 1.0))
    noise = 0.1 * relaxed * rng.standard_normal(it.X.shape)
    return it.replace(X=np.clip(it.X + noise, *problem.activation.domain))


@pytest.mark.parametrize(("seed", "well_posedness"), in_both_sets(range(300)))
def test_blocks(seed, well_posedness):
    rng, problem = draw(seed, well_posedness)
    name = ("hidden", "prox-linear", "state")[seed % 3]
    block = make_block(problem, some_iterate(rng, problem, name != "prox-linear"), name)
    if not (block.conic or block.has_native):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        solution = solve_prepared(block, "auto", TOL)
    it = solution.iterate
    assert solution.certificate.holds(TOL)
    assert not entries_held(problem, it).any()
    assert problem.violation(it) <= 1e-9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            conic = solve_prepared(block, "CLARABEL", TOL) if block.conic else solution
        except BlockSolveError:
            conic = solution
    scale = solution.certificate.scale
    assert solution.objective <= conic.objective + TOL * scale
    rounding = 1e-12 * abs(solution.objective)
    for _ in range(5):
        size = 10 ** rng.uniform(-5, 0.5)
        moved = {k: getattr(it, k) + size * rng.standard_normal(problem.shapes[k]) for k in block.letters}
        fixed = {"b": problem.fit_intercept}
        point = problem.pattern.applied(it.replace(**{k: v for k, v in moved.items() if fixed.get(k, True)}))
        point = point.replace(A=problem.row_set.repair(point.A), X=np.clip(point.X, *problem.activation.domain))
        point = problem.with_grouped(point, problem.group_lasso.repair(problem.grouped(point)))
        above, certificate = block.objective(point) - solution.objective, block.certificate(point)
        assert certificate.gap >= above - rounding - 1e-9 * scale
        assert not certificate.holds(0.5 * above / certificate.scale) or above <= 1e-9 * scale


@pytest.mark.parametrize(("seed", "well_posedness"), in_both_sets(range(100)))
def test_loops(seed, well_posedness):
    _, problem = draw(1000 + seed, well_posedness)
    method = ("prox-linear", "fenchel")[seed % 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            result = solve(problem, method, max_cycles=6, random_state=seed)
        except BlockSolveError as error:
            assert "has no solver of its own" in str(error)  # noqa: PT017
            return
    objectives = result.history["objective"].to_numpy()
    assert np.all(np.diff(objectives) <= 1e-12 * np.abs(objectives[:-1]))
    assert not entries_held(problem, result.iterate).any()
    assert problem.violation(result.iterate) <= 1e-9
    again = problem.activation(problem.preactivation(result.iterate))
    np.testing.assert_allclose(again, result.iterate.X, rtol=1e-10, atol=1e-10 * (1 + np.abs(again).max()))
