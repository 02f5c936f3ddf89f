"""Smaller models: limits, masks, certificates, the search for a target, and what is refused."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, issparse

from bcd_implicit import ConvergenceWarning, ImplicitModel, InvalidInputError, NotWellPosedError, compress
from bcd_implicit.compression import change_bound


def layered(activation="relu", seed=0, link="identity"):
    """Two layers of 6 and 5, three inputs, two outputs: the second layer comes first."""
    rng = np.random.default_rng(seed)
    A = np.zeros((11, 11))
    A[:5, 5:] = rng.standard_normal((5, 6))
    B = np.zeros((11, 3))
    B[5:] = rng.standard_normal((6, 3))
    C = np.hstack([rng.standard_normal((2, 5)), np.zeros((2, 6))])
    b, d = rng.standard_normal(11), rng.standard_normal(2)
    return ImplicitModel(A, B, b, C, None, d, activation, link=link)


def cyclic(seed=0, size=0.8, activation="relu"):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((7, 7))
    A *= size / np.abs(A).sum(axis=1, keepdims=True)
    return ImplicitModel(A, rng.standard_normal((7, 3)), None, rng.standard_normal((2, 7)), activation=activation)


def inputs(m=80, seed=1):
    return np.random.default_rng(seed).standard_normal((m, 3))


def test_alpha_zero_gives_the_model_back():
    for model in (layered(), cyclic(), layered("tanh")):
        result = compress(model, inputs(), alpha=0)
        assert result.small.gap <= 1e-6
        assert_allclose(result.model.predict(inputs()), model.predict(inputs()), atol=1e-2)


@pytest.mark.parametrize("matching", ["fenchel", "least-squares"])
@pytest.mark.parametrize("connections", ["model", "forward", "any"])
def test_from_alpha_four_on_all_is_constant(matching, connections):
    model = layered("sigmoid")
    result = compress(model, inputs(), alpha=[4.0, 8.0], matching=matching, connections=connections)
    for point in result.path:
        assert point.n_nonzero == 0
        assert_allclose(point.model.predict(inputs(seed=9)) - model.predict(inputs()).mean(axis=0), 0, atol=1e-8)


def test_a_target_is_met_and_the_path_is_told():
    model = layered()
    total = 6 * 3 + 5 * 6 + 2 * 5
    result = compress(model, inputs(), target=0.4)
    assert 0 < result.small.n_nonzero <= 0.4 * total
    table = result.table
    assert table["alpha"].is_monotonic_increasing
    assert (table["gap"] <= 1e-6).all()
    assert (table["certified change"] >= table["largest change"]).all()
    assert_array_equal(table["total"], table[["A", "B", "C", "D"]].sum(axis=1))
    # Of those small enough the largest was chosen.
    assert result.small.n_nonzero == table["total"][table["total"] <= 0.4 * total].max()
    assert f"{result.small.n_nonzero} of {total} entries" in repr(result)
    assert "Compression" in result._repr_html_()
    given = compress(model, inputs(), target=0.4, alpha=[0.01, 0.5])
    assert [point.alpha for point in given.path] == [0.01, 0.5]
    assert given.small.share <= 0.4


@pytest.mark.parametrize("matching", ["fenchel", "least-squares"])
def test_the_pattern_is_kept_also_by_the_refit(matching):
    model = layered()
    small = compress(model, inputs(), alpha=0.05, matching=matching, connections="model").small.matched
    for letter in "ABCD":
        assert not np.any((getattr(model, letter) == 0) & (getattr(small, letter) != 0))
    assert small.structure().acyclic
    options = {"alpha": 0.05, "matching": matching, "connections": "model", "reweight": 0}
    penalised = compress(model, inputs(), refit=False, **options).small
    refitted = compress(model, inputs(), **options).small
    # The first layer's rows see inputs alone, so that its zeros are the same.
    assert_array_equal(penalised.matched.B != 0, refitted.matched.B != 0)
    assert refitted.r2 > penalised.r2


def test_connections_may_appear_and_the_model_stays_well_posed():
    model = layered()
    forward = compress(model, inputs(), alpha=0.02, connections="forward").small.matched
    assert forward.structure().acyclic
    assert forward.D.any() or forward.B[:5].any() or forward.C[:, 5:].any()
    free = compress(model, inputs(), alpha=0.02, connections="any", norm_bound=0.5).small.matched
    assert free.is_well_posed()
    assert not np.diagonal(free.A).any()
    assert free.structure().cycles
    rows = compress(cyclic(), inputs(), alpha=0.02, norm_bound=0.6).small.matched
    assert rows.norm_inf() <= 0.6
    assert rows.contraction() <= 0.6


def test_masks_may_be_given():
    model = layered()
    A = np.zeros((11, 11), dtype=bool)
    A[0, 5:] = True
    result = compress(model, inputs(), alpha=0, connections={"A": A})
    assert not result.small.matched.A[~A].any()
    assert result.small.matched.A[A].all()
    # Rows 1 to 4 have no way left, and the outputs make up for them.
    assert result.model.n_hidden <= 7


def test_targets_take_the_loss_of_the_link():
    rng = np.random.default_rng(5)
    U = inputs(200)
    for link, Y in (
        ("softmax", np.eye(2)[(U[:, 0] + 0.5 * rng.standard_normal(200) > 0).astype(int)]),
        ("logit", (U[:, :2] + rng.standard_normal((200, 2)) > 0).astype(float)),
        ("log", rng.poisson(np.exp(0.3 * U[:, :2])).astype(float)),
        ("identity", U[:, :2]),
    ):
        result = compress(layered("tanh", link=link), U, Y, alpha=0.05)
        assert result.small.gap <= 1e-6
        # At the optimum of the refit the mean response is that of the targets.
        assert_allclose(result.model.response(U).mean(axis=0), Y.mean(axis=0), atol=1e-3)


def test_functions_without_a_fenchel_pair_are_matched_by_least_squares():
    model = layered("square")
    with pytest.raises(InvalidInputError, match="matching: has no divergence for the function 'square'"):
        compress(model, inputs(), alpha=0.1)
    result = compress(model, inputs(), alpha=0.01, matching="least-squares")
    assert result.small.gap <= 1e-6
    change = np.abs(result.small.matched.predict(inputs()) - model.predict(inputs()))
    assert (change <= result.change_bound(inputs())).all()


def test_sparse_models_stay_sparse():
    model = layered()
    sparse = ImplicitModel(*(csr_array(model.A), csr_array(model.B), model.b, csr_array(model.C), None, model.d))
    found = compress(sparse, inputs(), alpha=0.05).small.matched
    assert issparse(found.A)
    assert issparse(found.C)
    assert_allclose(found.A.toarray(), compress(model, inputs(), alpha=0.05).small.matched.A, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "target: is missing, and so is alpha. Give one, such as target=0.2."),
        ({"target": 1.5}, "target: got 1.5"),
        ({"alpha": -1}, "alpha: got -1"),
        ({"alpha": []}, "alpha: is an empty list"),
        ({"alpha": 0.1, "matching": "exact"}, "matching"),
        ({"alpha": 0.1, "connections": "all"}, "connections"),
        ({"alpha": 0.1, "connections": {"E": [[1]]}}, "connections: has 'E', which is not a matrix"),
        ({"alpha": 0.1, "connections": {"A": [[1]]}}, "connections: of A must be a mask of shape \\(11, 11\\)"),
        ({"alpha": 0.1, "reweight": -1}, "reweight: got -1, must be >= 0. Give 0 or more rounds."),
        ({"alpha": 0.1, "tol": 0}, "tol: got 0, must be > 0. Give a small positive number, such as 1e-6."),
        ({"alpha": 0.1, "refit": "no"}, "refit: must be True or False"),
        ({"alpha": 0.1, "norm_bound": 1.0}, "norm_bound"),
        ({"alpha": 0.1, "Y": np.zeros((3, 2))}, r"Y: has shape \(3, 2\), \(80, 2\) needed"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        compress(layered(), inputs(), **arguments)


def test_what_is_no_model_or_not_well_posed_is_refused():
    with pytest.raises(InvalidInputError, match="model: must be an ImplicitModel, got 'm'. Pass result.model"):
        compress("m", inputs(), alpha=0.1)
    with pytest.raises(NotWellPosedError):
        compress(cyclic(size=3.0), inputs(), alpha=0.1)
    with pytest.raises(InvalidInputError, match="small: has A of shape"):
        change_bound(layered(), cyclic(), inputs())


def test_an_output_that_does_not_vary_is_a_constant():
    model = layered()
    C = np.array(model.C)
    C[1] = 0.0
    still = ImplicitModel(model.A, model.B, model.b, C, None, model.d)
    for alpha in (0, 0.1):
        result = compress(still, inputs(), alpha=alpha, connections="forward")
        assert_allclose(result.model.predict(inputs())[:, 1], model.d[1], atol=1e-12)
        assert result.small.gap <= 1e-6


def test_states_that_do_not_vary_become_constants_without_a_warning():
    model = layered()
    b = model.b.copy()
    b[6] = -100.0
    dead = ImplicitModel(model.A, model.B, b, model.C, None, model.d)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = compress(dead, inputs(), alpha=0.01)
    assert not result.small.matched.B[6].any()
    assert result.model.n_hidden < 11
    assert_allclose(result.model.predict(inputs()), result.small.matched.predict(inputs()), atol=1e-12)


@pytest.mark.parametrize("matching", ["fenchel", "least-squares"])
@pytest.mark.parametrize("connections", ["model", "any"])
def test_states_that_hold_themselves_back_keep_doing_so(matching, connections):
    rng = np.random.default_rng(6)
    A = rng.standard_normal((6, 6))
    np.fill_diagonal(A, 0)
    # Row sums of 3 without the diagonal: the matrix measure alone proves it well-posed.
    A = 3 * A / np.abs(A).sum(axis=1, keepdims=True) - np.diag([3.0, 3, 2.5, 4, 8, 2.2])
    model = ImplicitModel(A, rng.standard_normal((6, 3)), None, rng.standard_normal((2, 6)), activation="tanh")
    assert model.norm_inf() > 3
    same = compress(model, inputs(), alpha=0, matching=matching, connections="model")
    assert_allclose(same.model.predict(inputs()), model.predict(inputs()), atol=1e-2)
    result = compress(model, inputs(), alpha=0.01, matching=matching, connections=connections)
    small = result.small.matched
    assert_array_equal(np.diagonal(small.A), np.diagonal(A))
    # More room than the ball of the norm has.
    assert np.abs(small.A - np.diag(np.diagonal(A))).sum(axis=1).max() > 1
    assert small.is_well_posed()
    assert small.measure_inf() <= 0.95
    assert result.small.gap <= 1e-6
    assert result.small.r2 > 0.9
    change = np.abs(small.predict(inputs()) - model.predict(inputs()))
    assert (change <= result.change_bound(inputs()) + 1e-8).all()


@pytest.mark.parametrize("connections", ["model", "forward", "any", {"A": np.ones((7, 7))}])
def test_no_state_explains_itself(connections):
    model = cyclic(seed=3)
    np.fill_diagonal(A := model.A.copy(), [0.5, -0.4, 0, 0.6, 0, 0.2, -0.1])
    A *= np.minimum(1, 0.9 / np.abs(A).sum(axis=1, keepdims=True))
    model = ImplicitModel(A, model.B, None, model.C, activation="relu")
    result = compress(model, inputs(), alpha=0.02, connections=connections)
    small = result.small.matched
    assert_array_equal(np.diagonal(small.A), np.diagonal(A))
    assert small.norm_inf() <= 0.95
    assert result.small.gap <= 1e-6
    # With self-loops for the choosing they went to 0.95, and this to 0.01 to 0.7.
    assert result.small.r2 > 0.98


def test_a_smaller_norm_bound_makes_self_loops_smaller_too():
    result = compress(cyclic(seed=3), inputs(), alpha=0.02, norm_bound=0.4)
    assert result.small.matched.norm_inf() <= 0.4
    assert_allclose(np.diagonal(result.small.matched.A), 0.5 * np.diagonal(cyclic(seed=3).A))


def test_a_mask_may_exclude_self_loops():
    result = compress(cyclic(), inputs(), alpha=0.02, connections={"A": ~np.eye(7, dtype=bool)})
    assert not np.diagonal(result.small.matched.A).any()


def test_connections_forward_are_the_default_where_they_are_few_and_nothing_is_in_a_circle(monkeypatch):
    model = layered()
    default, forward = (
        compress(model, inputs(), alpha=0.02, **given).small for given in ({}, {"connections": "forward"})
    )
    assert_array_equal(default.matched.A, forward.matched.A)
    assert default.matched.D.any() or default.matched.C[:, 5:].any() or default.matched.B[:5].any()
    monkeypatch.setattr(sys.modules[compress.__module__], "MOST_FORWARD", 100)
    small = compress(model, inputs(), alpha=0.02).small.matched
    assert not any(np.any((getattr(model, k) == 0) & (getattr(small, k) != 0)) for k in "ABCD")
    cycle = cyclic()
    C = np.array(cycle.C)
    C[:, 0] = 0.0
    small = compress(ImplicitModel(cycle.A, cycle.B, None, C), inputs(), alpha=0.02).small.matched
    assert not small.D.any()
    assert not small.C[:, 0].any()


def test_the_search_ends_where_most_of_the_target_is_in_use():
    found = compress(layered(), inputs(), target=0.4)
    assert 0.3 < found.small.share <= 0.4
    assert len(found.path) <= 11


def test_a_target_that_no_alpha_meets_is_told():
    model, U = layered(), inputs()
    with pytest.warns(
        ConvergenceWarning, match=r"target=0.05 is not met: the smallest model \(alpha=0.001\) keeps"
    ) as told:
        result = compress(model, U, alpha=[1e-6, 1e-3], target=0.05)
    assert told[0].filename == __file__
    assert result.small.n_nonzero == min(small.n_nonzero for small in result.path)


def test_where_all_may_stay_nothing_is_asked_to_leave():
    model, U = layered(), inputs()
    result = compress(model, U, target=1)
    assert [small.alpha for small in result.path] == [0]
    assert result.small.r2 == pytest.approx(1, abs=1e-9)
    # A target that hardly any penalty reaches: none does, if that is small enough.
    most = result.small.share
    result = compress(model, U, target=min(1.05 * most, 0.999))
    assert result.small.share <= min(1.05 * most, 0.999)
    assert result.small.share >= 0.9 * most


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-10])
@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 0.05}, {"alpha": 0.05, "remove": "units"}], ids=str)
def test_a_large_constant_takes_nothing_from_small_variation(size, options):
    rng = np.random.default_rng(0)
    B, U = rng.standard_normal((4, 3)), rng.standard_normal((50, 3))
    plain = ImplicitModel(np.zeros((4, 4)), B, None, np.ones((1, 4)))
    shifted = ImplicitModel(np.zeros((4, 4)), B, None, size * np.ones((1, 4)), None, [1.0])
    expected, found = compress(plain, U, **options).small, compress(shifted, U, **options).small
    assert found.r2 == pytest.approx(expected.r2, abs=1e-6)
    assert found.gap <= 1e-6


def test_a_copy_of_a_constant_is_perfect_and_another_constant_is_not():
    model = layered()
    for U in (np.ones((50, 3)), np.ones((1, 3))):
        small = compress(model, U, target=0.3).small
        assert small.r2 == 1
        assert replace(small, matched=small.matched._copy(d=small.matched.d + 1.0)).r2 == 0
