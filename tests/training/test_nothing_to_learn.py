"""Targets that say next to nothing: rare classes and counts, constants, and states that meet every target."""

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.certificates.output import output_certificate

M, P = 80, 4
U = np.random.default_rng(0).standard_normal((M, P))
RARE = (np.arange(M) < 3).astype(float)
# Hardly any hidden feature pays: what is left of them used to grow beyond all bounds.
TARGETS = {
    "a class that no sample has": ("logistic", np.zeros(M), {"ridge": 1.0, "ridge_hidden": 1.0, "kappa": 0.0}),
    "three of eighty": ("logistic", RARE, {"ridge": 0.5, "ridge_hidden": 0.5, "kappa": 0.0}),
    "a rare label and none": ("logistic", np.column_stack([RARE, 0 * RARE]), {"ridge": 0.1, "ridge_hidden": 0.1}),
    "one class of two": ("cross-entropy", np.column_stack([np.zeros(M), np.ones(M)]), {}),
    "no counts": ("poisson", np.zeros(M), {}),
    "two counts": ("poisson", (np.arange(M) < 2).astype(float), {"ridge": 0.5, "ridge_hidden": 0.5}),
}


@pytest.mark.filterwarnings("ignore:fenchel|prox-linear")
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("name", TARGETS)
def test_hidden_features_that_do_not_pay_stay_within_bounds(name, activation):
    loss, Y, settings = TARGETS[name]
    problem = bi.TrainingProblem(U, Y, 5, activation, loss=loss, **settings)
    seen = []
    result = bi.solve(problem, max_cycles=30, callback=lambda cycle, objective, it: seen.append(it))
    for it in [*seen, result.iterate]:
        assert max(np.abs(it.b).max(), np.abs(it.B).max(), np.abs(it.X).max()) <= 1e4
    assert result.status.ok
    # No worse than the best model without a hidden feature: the output block alone, at states of zero.
    nothing = problem.initial(0)
    nothing = nothing.replace(B=0 * nothing.B, b=0 * nothing.b, X=0 * nothing.X)
    alone = bi.solve_block(problem, problem.at_equilibrium(nothing), "output").objective
    assert result.objective <= alone + 1e-6 * problem.loss_of_zero
    assert np.isfinite(result.model.predict(U)).all()


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", bi.QuantileLoss(0.8), "poisson"], ids=str)
def test_targets_that_are_all_one_are_met_and_certified(loss):
    result = bi.solve(bi.TrainingProblem(U, np.ones(M), 3, loss=loss))
    assert result.status.ok
    assert all(certificate.holds(1e-6) for certificate in result.certificates.values())
    np.testing.assert_allclose(result.model.response(U), 1.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:fenchel")
@pytest.mark.parametrize(
    ("loss", "activation"),
    [("absolute", "soft_threshold"), ("absolute", "softplus"), (bi.QuantileLoss(0.5), "softplus")],
)
def test_an_output_block_at_states_that_meet_every_target_is_certified(loss, activation):
    y = U @ [1, 2, 3, 4.0] + np.random.default_rng(1).standard_t(2, M)
    problem = bi.TrainingProblem(U, y, 3, activation, loss=loss, kappa=0.003, norm_bound=0.8)
    seen = []
    bi.solve(problem, "fenchel", max_cycles=12, callback=lambda cycle, objective, it: seen.append(it))
    solution = bi.solve_block(problem, seen[-1], "output")
    met = np.abs(problem.prediction(solution.iterate) - problem.Y) <= 1e-8
    assert met.sum() > 2 * (3 + P + 1)  # more than there are regressors
    assert solution.certificate.relative_gap <= 1e-6
    # No certificate without right: another point of the same states has no gap of zero.
    other = solution.iterate.replace(C=solution.iterate.C * 1.01)
    assert output_certificate(problem, other).relative_gap >= 1e-5
