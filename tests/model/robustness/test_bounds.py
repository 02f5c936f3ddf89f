"""Bounds of all methods: sound, proved by their certificates, and refused where they cannot be had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from boxes import drawn, held_back, inside, layers, made_sparse, reached
from composed import drawn_graph

import bcd_implicit as bi
from bcd_implicit.model.robustness.bounds import METHODS
from bcd_implicit.terms.function import ElementwiseFunction

QUICK = ["perron-frobenius", "interval", "backward"]
SMOOTH = ["tanh", "sigmoid", "softplus", "elu", "arctan", "softsign"]
PIECEWISE = ["relu", "leaky_relu", "clip", "identity", "soft_threshold", "abs"]
BLOCKS = [("relu", 3), ("tanh", 2), ("abs", 3)]


def check_sound(model, U, radius, methods=QUICK, n_points=200, seed=0):
    """Bounds hold at many points of each box, are proved, and intervals are no wider than gains have it."""
    rng = np.random.default_rng(seed)
    points = inside(rng, U, radius, n_points)
    least, largest = reached(model, points)
    for method in methods:
        found = model.bounds(U, radius, method=method)
        # Predictions themselves are accurate to a part in 1e10.
        slack = 1e-9 * (1 + np.abs(least) + np.abs(largest))
        assert (found.lower <= least + slack).all(), method
        assert (largest - slack <= found.upper).all(), method
        assert (found.lower <= found.prediction).all()
        assert (found.prediction <= found.upper).all()
        np.testing.assert_allclose(found.prediction, model.predict(U), rtol=1e-7, atol=1e-8)
        assert found.check(), method
    return least, largest


@pytest.mark.parametrize("norm", [0.5, 0.97])
@pytest.mark.parametrize("activation", [*PIECEWISE, *SMOOTH, BLOCKS], ids=str)
def test_bounds_are_sound_for_every_activation(activation, norm):
    rng = np.random.default_rng(1)
    model = drawn(rng, activation=activation, norm=norm)
    U = rng.normal(size=(4, 3))
    for radius in (0.1, 3.0):
        check_sound(model, U, radius)


@pytest.mark.parametrize("activation", ["relu", "tanh", "clip", "elu", [("relu", 4), ("sigmoid", 4)]], ids=str)
def test_bounds_are_sound_where_only_the_matrix_measure_proves_the_model(activation):
    rng = np.random.default_rng(2)
    model = held_back(rng, activation=activation)
    assert model.norm_inf() > 2
    assert np.abs(np.linalg.eigvals(np.abs(model.A))).max() > 1
    check_sound(model, rng.normal(size=(4, 3)), [0.5, 0.1, 0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_bounds_are_sound_for_models_put_together(seed):
    rng = np.random.default_rng(seed)
    model = drawn_graph(rng, 3).model
    if not model.is_well_posed():
        return
    U = rng.normal(size=(3, model.B.shape[1]))
    lipschitz = np.isfinite(model.activation.slopes(model.n_hidden)).all()
    check_sound(model, U, 0.3, QUICK if lipschitz else QUICK[1:], n_points=60)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_bounds_are_sound_for_layers_of_any_functions_and_sparse_models_agree(kind):
    rng = np.random.default_rng(3)
    model, *_ = layers(rng, (3, 5, 4, 2), [("square", 3), ("relu", 2), ("abs", 2), ("tanh", 2)])
    U = rng.normal(size=(3, 3))
    check_sound(made_sparse(model) if kind == "sparse" else model, U, 0.2, QUICK[1:])
    for method in QUICK[1:]:
        one, other = (some.bounds(U, 0.2, method=method) for some in (model, made_sparse(model)))
        np.testing.assert_allclose(one.lower, other.lower, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_without_uncertainty_bounds_are_the_prediction(method):
    rng = np.random.default_rng(4)
    model, U = drawn(rng), rng.normal(size=(3, 3))
    found = model.bounds(U, 0, method=method)
    expected = model._states(U.T, tol=0.0).X
    expected = (model.C @ expected + model.D @ U.T + model.d[:, None]).T
    for side in (found.lower, found.upper, found.prediction):
        np.testing.assert_allclose(side, expected, atol=1e-6 if method == "exact" else 1e-11)
    assert found.check()


def test_a_radius_counts_for_each_input_and_sample():
    rng = np.random.default_rng(5)
    model, U = drawn(rng), rng.normal(size=(4, 3))
    radius = rng.uniform(0, 1, (4, 3))
    whole = model.bounds(U, radius)
    for j in range(4):
        alone = model.bounds(U[[j]], radius[j])
        np.testing.assert_allclose(alone.lower[0], whole.lower[j], rtol=1e-6)
        np.testing.assert_allclose(alone.upper[0], whole.upper[j], rtol=1e-6)
    assert (model.bounds(U, radius / 2).width <= whole.width).all()


def test_labels_of_a_radius_are_names_of_inputs():
    rng = np.random.default_rng(11)
    model, U = drawn(rng, input_names=["a", "b", "c"]), rng.normal(size=(2, 3))
    radius = rng.uniform(0, 1, (2, 3))
    expected = model.bounds(U, radius)
    by_name = pd.DataFrame(radius, columns=["a", "b", "c"])[["c", "a", "b"]]
    np.testing.assert_array_equal(model.bounds(U, by_name).upper, expected.upper)
    np.testing.assert_array_equal(model.bounds(U, pd.DataFrame(radius)).upper, expected.upper)
    one = pd.Series({"b": 0.2, "c": 0.3, "a": 0.1})
    np.testing.assert_array_equal(model.bounds(U, one).upper, model.bounds(U, [0.1, 0.2, 0.3]).upper)
    np.testing.assert_array_equal(model.bounds(U, pd.Series([0.1, 0.2, 0.3])).upper, model.bounds(U, one).upper)
    with pytest.raises(bi.InvalidInputError, match="radius: has the labels 'a', 'c' but not 'b'"):
        model.bounds(U, one[["a", "c"]])


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softsign"])
def test_bounds_hold_in_units_far_apart(activation):
    rng = np.random.default_rng(12)
    model = drawn(rng, activation=activation)
    for U, radius in ((np.zeros((1, 3)), 1e99), (np.full((1, 3), 1e30), 1e-5), (np.full((1, 3), 1e-300), 1e-300)):
        for method in QUICK:
            found = model.bounds(U, radius, method=method)
            assert np.isfinite(found.width).all()
            assert found.check()


@pytest.mark.parametrize("method", METHODS)
def test_wrong_bounds_and_wrong_certificates_prove_nothing(method):
    rng = np.random.default_rng(6)
    model, U = drawn(rng), rng.normal(size=(2, 3))
    found = model.bounds(U, 0.5, method=method, n_cuts=0)
    assert found.check()
    small = 1e-3 * found.width
    assert not replace(found, upper=found.upper - small).check()
    assert not replace(found, lower=found.lower + small).check()
    proof = found.certificate
    if method == "perron-frobenius":
        wrong = [replace(proof, gains=0.99 * proof.gains), replace(proof, states=proof.states + 1e-3)]
    elif method == "sdp":
        wrong = [replace(proof, linear_bounds=proof.linear_bounds - small.ravel().min())]
    elif method == "exact":
        wrong = [replace(proof, inputs=0.9 * proof.inputs), replace(proof, inputs=proof.inputs + 1.0)]
    else:
        multipliers = rng.normal(size=proof.multipliers.shape)
        x, z = proof.states, proof.preactivations
        wrong = [
            replace(proof, multipliers=multipliers),
            replace(proof, states=replace(x, high=x.high - 0.05 * (x.high - x.low))),
            replace(proof, preactivations=replace(z, low=z.low + 0.05 * (z.high - z.low))),
        ]
        if proof.steps:
            first = proof.steps[0]
            assert len(proof.steps) > 1 or method == "lp"
            after = replace(first.after, high=first.after.high - 0.05)
            wrong += [
                replace(proof, steps=(replace(first, after=after), *proof.steps[1:])),
                replace(proof, steps=(replace(first, multipliers=0 * first.multipliers), *proof.steps[1:])),
            ]
    for certificate in wrong:
        assert not replace(found, certificate=certificate).check()


def test_a_step_may_only_claim_what_it_was_about():
    rng = np.random.default_rng(7)
    found = drawn(rng).bounds(rng.normal(size=(2, 3)), 0.5)
    proof = found.certificate
    first = proof.steps[0]
    # Rows that are not those of preactivations, but say that their sums are 0.
    nothing = replace(first.tasks.rows, x=0 * first.tasks.rows.x, u=0 * first.tasks.rows.u)
    step = replace(first, tasks=replace(first.tasks, rows=nothing))
    assert not replace(found, certificate=replace(proof, steps=(step, *proof.steps[1:]))).check()


def test_outputs_are_chosen_by_name_or_number_and_named_in_the_table():
    rng = np.random.default_rng(8)
    model = drawn(rng, q=3, input_names=["a", "b", "c"], output_names=["x", "y", "z"])
    U = pd.DataFrame(rng.normal(size=(2, 3)), columns=["c", "a", "b"])
    whole, some = model.bounds(U, 0.1), model.bounds(U, 0.1, outputs=["z", 0])
    np.testing.assert_allclose(some.lower, whole.lower[:, [2, 0]], rtol=1e-12)
    table = some.table
    assert list(table.columns) == ["lower", "prediction", "upper"]
    assert table.loc[(1, "z"), "upper"] == some.upper[1, 0]
    assert table.loc[(0, "x"), "prediction"] == some.prediction[0, 1]
    np.testing.assert_array_equal(some.width, some.upper - some.lower)
    html = some._repr_html_()
    assert "backward" in html
    assert "median width" in html
    assert "certificate" not in repr(some)


@pytest.mark.parametrize(
    ("argument", "changes", "words"),
    [
        ("radius", {"radius": -0.1}, "contains -0.1, a negative number"),
        ("radius", {"radius": [0.1, 0.2]}, r"has shape (2,), () or (3,) or (2, 3) needed"),
        ("radius", {"radius": np.ones((3, 1))}, "has shape (3, 1)"),
        ("radius", {"radius": np.nan}, "NaN"),
        ("radius", {"radius": 1e200}, "has entries as large as"),
        ("radius", {"radius": "wide"}, ""),
        ("U", {"U": np.ones((2, 4))}, ""),
        ("method", {"method": "magic"}, "unknown method 'magic'"),
        ("outputs", {"outputs": ["y9"]}, "there is no 'y9'"),
        ("outputs", {"outputs": [5]}, ""),
        ("outputs", {"outputs": "y0"}, "must be a list"),
        ("rounds", {"rounds": -1}, ""),
        ("n_cuts", {"n_cuts": 11}, "Give 0 to 10 cuts"),
        ("n_cuts", {"n_cuts": 2, "method": "lp"}, "applies only to method='backward' or 'dual'"),
        ("max_seconds", {"max_seconds": 2.0}, "applies only to method='exact'"),
        ("max_seconds", {"max_seconds": -1}, ""),
    ],
)
def test_what_does_not_fit_is_refused(argument, changes, words):
    model = drawn(np.random.default_rng(9))
    given = {"U": np.ones((2, 3)), "radius": 0.1} | changes
    with pytest.raises(bi.InvalidInputError) as caught:
        model.bounds(given.pop("U"), given.pop("radius"), **given)
    assert caught.value.argument == argument
    assert words in str(caught.value)


def test_models_that_a_method_cannot_bound_are_refused():
    rng = np.random.default_rng(10)
    wild = bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]])
    squares = bi.ImplicitModel(np.zeros((1, 1)), [[1.0]], None, [[1.0]], activation="square")
    for method in METHODS:
        with pytest.raises(bi.NotWellPosedError):
            wild.bounds([[1.0]], 0.1, method=method)
    with pytest.raises(bi.InvalidInputError, match="no Lipschitz constant.*interval"):
        squares.bounds([[1.0]], 0.1, method="perron-frobenius")
    np.testing.assert_allclose(squares.bounds([[1.0]], 0.1).upper, 1.21)
    np.testing.assert_allclose(squares.bounds([[1.0]], 1.1).lower, 0.0, atol=1e-12)
    for method in ("lp", "exact"):
        with pytest.raises(bi.InvalidInputError, match='not piecewise linear.*Use method="backward"'):
            drawn(rng, activation="tanh").bounds(np.ones((1, 3)), 0.1, method=method)


def test_results_are_one_line_each():
    rng = np.random.default_rng(12)
    model, U = drawn(rng, q=3), rng.normal(size=(200, 3))
    found = model.bounds(U, 0.1)
    width = np.median(found.upper - found.lower)
    assert repr(found) == f"Bounds('backward', n_samples=200, n_outputs=3, median width={width:.4g})"
    attack = model.attack(U, 0.1, n_inputs=2)
    assert repr(attack).startswith("Attack(n_samples=200, inputs moved=2 a sample, median gain=0.")
    accuracy = bi.certified_accuracy(model, U, np.zeros(200), 0.1)
    assert repr(accuracy).startswith("CertifiedAccuracy(accuracy=0.")
    assert all("\n" not in repr(result) for result in (found, attack, accuracy))


class Bump(ElementwiseFunction):
    """It falls from 0 on, and says otherwise."""

    name = "bump"
    max_slope = 0.61
    nondecreasing = True

    def __call__(self, z):
        return np.exp(-np.square(z) / 2)

    def derivative(self, z):
        return -z * np.exp(-np.square(z) / 2)


@pytest.mark.parametrize(("center", "words"), [(0.1, "lower bounds above upper ones"), (0.0, "false bounds")])
def test_a_function_that_does_not_tell_the_truth_is_found_out(center, words):
    model = bi.ImplicitModel([[0.0]], [[1.0]], [0.0], [[1.0]], None, None, Bump())
    with pytest.raises(bi.InvalidInputError, match=f"activation: bump has {words}.*check image, nondecreasing"):
        model.bounds([[center]], 1.0)


def test_what_does_not_converge_is_told_once():
    # Next to a contraction factor of 1 every prediction warns that rounding grows.
    model = bi.ImplicitModel([[1 - 1e-12]], [[1.0]], None, [[1.0]], activation="softplus")
    with pytest.warns(bi.ConvergenceWarning) as told:
        model.attack([[1.0]], 0.1, towards=[1.0])
    # States and gradients, each once.
    assert len(told) == 2
    assert all("times in this run" in str(warning.message) for warning in told)
    assert {warning.filename for warning in told} == {__file__}
