"""Whole states leave: the problem that says which, its certificate, and what is left."""

from importlib import import_module
from types import SimpleNamespace

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array

from bcd_implicit import LOSSES, ConvergenceWarning, ImplicitModel, compress
from bcd_implicit.compression import units
from bcd_implicit.compression.fits import FenchelFit, LossFit
from bcd_implicit.compression.matching import Regressors, Rows
from bcd_implicit.compression.rows import certify, solve_rows
from bcd_implicit.terms.activations import ACTIVATIONS
from bcd_implicit.terms.columnwise import Columnwise

# The function of that name hides its module.
searching = import_module("bcd_implicit.compression.compress")
M = 50


def layered(activation="relu", link="identity", seed=0):
    """Layers of 6 and 5; the last two states of the first layer give the second next to nothing."""
    rng = np.random.default_rng(seed)
    A, B = np.zeros((11, 11)), np.zeros((11, 3))
    A[6:, :6] = rng.standard_normal((5, 6))
    A[6:, 4:6] *= 1e-3
    B[:6] = rng.standard_normal((6, 3))
    C = np.hstack([np.zeros((2, 6)), rng.standard_normal((2, 5))])
    return ImplicitModel(A, B, 0.3 * rng.standard_normal(11), C, activation=activation, link=link)


def inputs(m=100):
    return np.random.default_rng(1).standard_normal((m, 3))


def joint(seed=2):
    """Three rows of relu, and two of squared errors that stand for outputs, over the same four columns."""
    rng = np.random.default_rng(seed)
    regressors = Regressors(rng.standard_normal((4, M)))
    rows = []
    for k in range(5):
        z = rng.standard_normal((1, 4)) @ regressors.R + 0.3 * rng.standard_normal((1, M))
        x = np.maximum(z, 0) if k < 3 else z
        fit = FenchelFit(ACTIVATIONS["relu"], x) if k < 3 else LossFit(LOSSES["squared"], x)
        shape = np.ones((1, 4), dtype=bool)
        rows.append(Rows(regressors, fit, x.std(axis=1), np.arange(4), shape, np.zeros((1, 5))))
    W = np.vstack([regressors.centered(np.arange(4)) / regressors.sd[:, None], np.ones(M)])
    return units.Joint(rows), W


def columns(alpha):
    free = np.ones((5, 5), dtype=bool)
    free[0, 2] = False
    return Columnwise(alpha / np.sqrt(5) * np.array([1.0, 1, 1, 0, 0]), 1e-4, free)


@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_the_joint_problem_is_what_cvxpy_finds(alpha):
    (fit, W), terms = joint(), columns(alpha)
    T = solve_rows(fit, W, terms, np.zeros((5, 5)), 1e-10, units.among_columns)
    assert certify(fit, W, terms, T).relative_gap <= 1e-10
    V, total = cp.Variable((5, 5)), 0
    for k, (part, scale) in enumerate(zip(fit.fits, fit.scales, strict=True)):
        z = scale * V[k] @ W
        if k < 3:
            # Around a level that is 0 here.
            x = part.fit.x[0]
            one = 0.5 * cp.sum_squares(cp.pos(z)) - x @ z + 0.5 * np.sum(x**2)
        else:
            one = 0.5 * cp.sum_squares(z - part.Y[0])
        total += one / scale**2 / M / 5
    total += sum(w * cp.norm(V[:, j]) for j, w in enumerate(terms.weights)) + 0.5e-4 * cp.sum_squares(V)
    problem = cp.Problem(cp.Minimize(total), [V[0, 2] == 0])
    problem.solve("CLARABEL")
    assert fit.value(T @ W) + terms.value(T) == pytest.approx(problem.value, abs=1e-7)
    assert_allclose(T, V.value, atol=1e-3)
    # Wrong points fail, and by no more than they are above the optimum.
    wrong = terms.feasible(T + 0.01 * np.random.default_rng(3).standard_normal(T.shape))
    above = fit.value(wrong @ W) + terms.value(wrong) - problem.value
    assert certify(fit, W, terms, wrong).gap >= above > 1e-6


def test_the_gradient_and_the_curvature_are_those_of_the_value():
    fit = joint()[0]
    rng = np.random.default_rng(4)
    Z, V = rng.standard_normal((2, 5, M))
    slope = (fit.value(Z + 1e-6 * V) - fit.value(Z - 1e-6 * V)) / 2e-6
    assert slope == pytest.approx(float(np.sum(fit.gradient(Z) * V)), rel=1e-6)
    bend = (fit.gradient(Z + 1e-6 * V) - fit.gradient(Z - 1e-6 * V)) / 2e-6
    assert_allclose(bend, np.einsum("ikm,km->im", fit.curvature(Z), V), atol=1e-8)


def test_states_that_matter_least_leave_first():
    model = layered()
    result = compress(model, inputs(), alpha=0.02, remove="units")
    left = result.small.matched
    assert result.small.units_gap <= 1e-6
    assert result.small.gap <= 1e-6
    # Nothing takes from the two, and nothing that they would take is left.
    assert not left.A[:, 4:6].any()
    assert not left.B[4:6].any()
    assert result.model.n_hidden <= 9
    # All other entries stay.
    kept = left.A.any(axis=0) | left.C.any(axis=0)
    assert_array_equal(left.A[:6] != 0, model.A[:6] != 0)
    assert (left.B[:6][kept[:6]] != 0).all()
    assert result.small.r2 > 0.9
    assert (result.small.certified_change >= np.abs(result.model.predict(inputs()) - model.predict(inputs()))).all()


def test_limits_of_the_weight():
    for model in (layered(), layered("tanh")):
        nothing = compress(model, inputs(), alpha=1.0, remove="units", reweight=0).small.matched
        assert not nothing.A.any()
        assert not nothing.C.any()
        everything = compress(model, inputs(), alpha=0, remove="units")
        assert everything.model.n_hidden == 11
        assert_allclose(everything.model.predict(inputs()), model.predict(inputs()), atol=1e-2)


def test_a_target_counts_entries_and_entries_may_follow():
    model = layered()
    first = compress(model, inputs(), target=0.7, remove="units")
    assert first.small.share <= 0.7
    second = compress(first.model, inputs(), target=0.5)
    bound = first.change_bound(inputs()) + second.change_bound(inputs())
    assert (np.abs(second.model.predict(inputs()) - model.predict(inputs())) <= bound).all()


def test_classes_cycles_and_sparse_models_lose_states_too():
    rng = np.random.default_rng(5)
    Y = np.eye(2)[(inputs()[:, 0] > 0).astype(int)]
    result = compress(layered("tanh", "softmax"), inputs(), Y, alpha=0.1, remove="units")
    assert result.small.gap <= 1e-6
    A = 0.1 * rng.standard_normal((7, 7))
    A[:, 5:] *= 1e-3
    C = rng.standard_normal((2, 7))
    C[:, 5:] *= 1e-3
    found = []
    for kind in (np.asarray, csr_array):
        model = ImplicitModel(kind(A), kind(rng.standard_normal((7, 3)) * 0 + 1 + A[:, :3] * 9), None, kind(C))
        found.append(compress(model, inputs(), alpha=0.02, remove="units").small)
    assert found[0].gap <= 1e-6
    assert found[0].model.n_hidden < 7
    assert found[0].matched.is_well_posed()
    assert_array_equal(found[0].matched.A != 0, found[1].matched.A.toarray() != 0)


def test_a_step_of_conjugate_gradients_that_finds_no_curvature_ends():
    found = units._conjugate_gradients(lambda V: -V, lambda V: V, np.ones((2, 2)))
    assert not found.any()


def test_a_start_with_a_good_gap_does_not_end_the_search():
    # Here the gap is worse than that of the start for more than a hundred iterations, while the objective falls.
    rng, h = np.random.default_rng(12), 12
    A, B = np.zeros((2 * h, 2 * h)), np.zeros((2 * h, 4))
    A[h:, :h] = rng.standard_normal((h, h)) / 2
    B[:h] = rng.standard_normal((h, 4))
    C = np.hstack([np.zeros((3, h)), rng.standard_normal((3, h))])
    model = ImplicitModel(A, B, rng.standard_normal(2 * h), C)
    # Three clouds of samples.
    centres = rng.standard_normal((3, 4)) * 3
    U = centres[rng.integers(0, 3, 150)] + 0.3 * rng.standard_normal((150, 4))
    assert compress(model, U, alpha=0.001, remove="units").small.gap <= 1e-6


def with_direct_effects(seed=0):
    """One layer of eight states beside direct effects: whole states leave in large steps."""
    rng = np.random.default_rng(seed)
    return ImplicitModel(
        np.zeros((8, 8)),
        rng.standard_normal((8, 3)),
        0.3 * rng.standard_normal(8),
        rng.standard_normal((1, 8)) * 2.0 ** -np.arange(8),
        rng.standard_normal((1, 3)),
    )


@pytest.mark.parametrize("target", [0.99, 0.95, 0.9, 0.6, 0.3])
def test_the_search_finds_a_step_between_plateaus(monkeypatch, target):
    # Shares by alpha as of whole states: a line would crawl along the first plateau, and never come to the second.
    starts, shares = np.array([0.0, 0.0064, 0.0115, 0.3]), np.array([1.0, 0.86, 0.58, 0.07])

    def point(_, alpha):
        return SimpleNamespace(alpha=alpha, share=float(shares[starts <= alpha][-1]))

    monkeypatch.setattr(searching, "_point", point)
    found = {each.share for each in searching._searched(None, target)}
    assert max(share for share in found if share <= target) == shares[shares <= target][0]


@pytest.mark.parametrize("target", [0.05, 0])
def test_a_target_below_what_stays_is_told(target):
    with pytest.warns(ConvergenceWarning, match=r"is not met: .* a share of 0.0857 \(3 of D\). To remove more"):
        found = compress(with_direct_effects(), inputs(), target=target, remove="units")
    assert found.small.nonzeros == {"A": 0, "B": 0, "C": 0, "D": 3}
    assert len(found.path) == 1
