"""The curve of accuracy against robustness."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris

import bcd_implicit as bi
from bcd_implicit.tradeoff import measured

# Two inputs, and one output.
SMALL = bi.ImplicitModel([[0.0]], [[1.0, 1.0]], None, [[1.0]])


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    U = rng.uniform(-1, 1, (120, 3))
    y = np.abs(U[:, 0]) + 0.5 * U[:, 1] + 0.05 * rng.standard_normal(120)
    problem = bi.TrainingProblem(U[:80], y[:80], 4, norm_bound=0.9, ridge=1e-4)
    plain = bi.solve(problem, max_cycles=40, tol=5e-2)
    curve = bi.robustness_curve(
        problem, [0.5, 2.0], U[80:], y[80:], 0.05, start=plain, baselines={"again": plain.model}, tol=5e-2
    )
    return problem, U[80:], y[80:], curve


def test_bounds_hold_from_loose_to_tight(regression):
    curve = regression[-1]
    assert list(curve.table.index) == ["plain", "2", "0.5", "again"]
    assert list(curve.table.columns) == ["bound", "gain", "R2", "attacked width", "certified width"]
    table = curve.table
    assert np.all(table["gain"] <= table["bound"] * (1 + 1e-5))
    assert np.all(table["attacked width"] <= table["certified width"])
    # No output moves by more than gain times radius, up and down.
    assert np.all(table["certified width"] <= 2 * 0.05 * table["gain"] * (1 + 1e-6))
    assert table["R2"]["2"] > table["R2"]["0.5"]
    assert table["certified width"]["2"] > table["certified width"]["0.5"]
    assert_allclose(table.loc["again"].to_numpy(), table.loc["plain"].to_numpy())
    for name in ("2", "0.5"):
        result = curve[name].result
        assert max(result.violations.values()) <= 1e-6
        assert set(result.problem.constraints) == {"state_gain_bound(A, B)", "output_gain_bound(C, D)"}


def test_the_columns_are_what_models_say(regression):
    _, U, y, curve = regression
    row, model = curve.table.loc["2"], curve["2"].model
    assert row["R2"] == pytest.approx(1 - np.mean((model.predict(U) - y) ** 2) / y.var())
    assert row["certified width"] == pytest.approx(model.bounds(U, 0.05).width.mean())
    ends = [model.attack(U, 0.05, towards=[sign]).predictions for sign in (1.0, -1.0)]
    assert row["attacked width"] == pytest.approx(np.mean(ends[0] - ends[1]))
    assert row["gain"] == pytest.approx(model.sensitivity().sum(axis=1).max())
    wider = curve.at(0.1)
    assert np.all(wider["certified width"] > curve.table["certified width"])
    assert_allclose(wider["R2"], curve.table["R2"])


@pytest.mark.parametrize("margins", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_classes_with_bounds_on_outputs_or_margins(margins):
    U, y = load_iris(return_X_y=True)
    U = (U - U.mean(axis=0)) / U.std(axis=0)
    train, test = np.arange(150) % 3 == 0, np.arange(150) % 3 == 1
    problem = bi.TrainingProblem(U[train], np.eye(3)[y[train]], 2, norm_bound=0.9, ridge=1e-4)
    plain = bi.solve(problem, max_cycles=60, tol=5e-2)
    curve = bi.robustness_curve(problem, [0.5], U[test], y[test], 0.3, margins=margins, start=plain, tol=1e-1)
    table = curve.table
    gains = ["gain", "gain of margins"] if margins else ["gain"]
    assert list(table.columns) == ["bound", *gains, "accuracy", "attacked", "certified"]
    assert np.all(table[gains[-1]] <= table["bound"] * (1 + 1e-5))
    assert np.all((table["certified"] <= table["attacked"]) & (table["attacked"] <= table["accuracy"]))
    C, D = curve["0.5"].model.C, curve["0.5"].model.D
    if margins:
        C, D = C - np.roll(C, 1, axis=0), D - np.roll(D, 1, axis=0)
    assert np.all(np.abs(C).sum(axis=1) + np.abs(D).sum(axis=1) <= 0.5 * (1 + 1e-6))
    assert table["gain"]["plain"] > 0.5
    found = bi.certified_accuracy(curve["0.5"].model, U[test], y[test], 0.3)
    assert (table["accuracy"]["0.5"], table["certified"]["0.5"]) == (found.accuracy, found.certified)
    right = curve["0.5"].model.predict(U[test]).argmax(axis=1) == y[test]
    held = curve["0.5"].model.attack(U[test], 0.3).predictions.argmax(axis=1) == y[test]
    assert table["attacked"]["0.5"] == pytest.approx(np.mean(right & held))
    name = "margin_gain_bound(C, D)" if margins else "output_gain_bound(C, D)"
    assert name in curve["0.5"].result.problem.constraints


@pytest.mark.slow
def test_constraints_of_ones_own_stay(regression):
    problem, U, y, _ = regression
    signed = problem.replace(constraints=[bi.constraints.nonnegative("C")])
    start = bi.solve(signed, max_cycles=30, tol=1e-2)
    found = bi.robustness_curve(signed, [2.0], U, y, 0.05, start=start, tol=1e-2)
    assert found["2"].result.iterate.C.min() >= -1e-6
    assert found["2"].model.lipschitz("inf") <= 2 * (1 + 1e-5)


def test_it_can_be_shown(regression):
    curve = regression[-1]
    assert repr(curve) == "RobustnessCurve(plain, 2, 0.5, again)"
    assert "certified width" in curve._repr_html_()
    with pytest.raises(bi.InvalidInputError, match="no '3'. Choose from 'plain', '2', '0.5', 'again', or give"):
        curve["3"]
    assert curve[2] is curve["2"] is curve[2.0]
    assert curve[0.5] is curve["0.5"]
    for unknown in (3, np.inf, True, [2], slice(1)):
        with pytest.raises(bi.InvalidInputError, match="name: there is no"):
            curve[unknown]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bounds": 3.0}, "bounds: must be a list of positive numbers"),
        ({"bounds": ["a"]}, "bounds: must be a number, got 'a'. Give positive numbers such as"),
        ({"bounds": [1.0, -1.0]}, "bounds: got -1.0, must be > 0. Give positive"),
        ({"bounds": [np.inf]}, "bounds: must be finite"),
        ({"bounds": [True]}, "bounds: must be a number"),
        ({"bounds": []}, "bounds: is empty"),
        ({"bounds": [3, 3.0]}, "bounds: has 3 twice"),
        ({"states": 0}, "states: got 0"),
        ({"n_cuts": -1}, "n_cuts: got -1"),
        ({"n_cuts": "a"}, "n_cuts: must be a whole number"),
        ({"baselines": [1]}, "baselines: is"),
        ({"baselines": {"mlp": 3}}, "'mlp' is 3"),
        ({"baselines": {1: SMALL}}, "baselines: has '1', and another model"),
        ({"baselines": {"x": SMALL}}, r"baselines: 'x' does not fit: U_test has 3 columns, 2 needed"),
        ({"margins": 2}, "margins"),
        ({"start": 3}, "start: is 3. Pass what bi.solve"),
        ({"y_test": np.ones((40, 2))}, r"y_test: has shape \(40, 2\), \(40, 1\) needed"),
        ({"y_test": np.ones((40, 2)), "baselines": {"x": SMALL}}, "y_test: has shape"),
        ({"radius": -1.0}, "radius"),
        ({"margins": True}, "margins: there is one output, so there are no pairs"),
    ],
)
def test_what_does_not_fit_is_told(regression, monkeypatch, change, words):
    problem, U, y, curve = regression
    asked = {"bounds": [1.0], "U_test": U, "y_test": y, "radius": 0.1} | change
    # Before any training, with a start or without one.
    monkeypatch.setattr("bcd_implicit.tradeoff.curve.solve", None)
    for start in (None, curve["plain"].result):
        with pytest.raises(bi.InvalidInputError, match=words):
            bi.robustness_curve(problem, **{"start": start} | asked)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_hidden": 5}, "start: is of a problem with n_hidden 4, and this has 5. Pass what bi.solve"),
        ({"activation": "tanh"}, "start: is of a problem with activation 'relu', and this has 'tanh'"),
        ({"loss": "logistic"}, "start: is of a problem with link 'identity', and this has 'logit'"),
    ],
)
def test_a_start_of_another_problem_is_told(regression, change, words):
    problem, U, y, curve = regression
    settings = {"n_hidden": 4, "norm_bound": 0.9} | change
    other = bi.TrainingProblem(problem.U.T, (problem.Y.T > 0.5).astype(float), **settings)
    with pytest.raises(bi.InvalidInputError, match=words):
        bi.robustness_curve(other, [1.0], U, y, 0.1, start=curve["plain"].result)


def test_what_cannot_share_blocks_is_told_before_training(regression, monkeypatch):
    problem, U, y, _ = regression
    monkeypatch.setattr("bcd_implicit.tradeoff.curve.solve", None)
    with pytest.raises(bi.ConstraintError, match="couples C and D"):
        bi.robustness_curve(problem.replace(group_over="BD"), [1.0], U, y, 0.1)


def test_a_wide_attack_on_wrong_samples_does_not_make_them_right():
    # One output, log odds: the sample at -1 is wrong, and an attack would make it right.
    model = bi.ImplicitModel([[0.0]], [[0.0]], [0.0], [[0.0]], [[1.0]], [0.0], link="logit")
    found = measured(model, [[-1.0], [1.0], [3.0]], [1, 1, 1], 1.5, classes=True)
    assert (found["accuracy"], found["attacked"], found["certified"]) == pytest.approx((2 / 3, 1 / 3, 1 / 3))


def test_the_gain_of_margins_is_that_of_a_model_of_them():
    rng = np.random.default_rng(0)
    A, B, C, D = (rng.uniform(-0.3, 0.3, shape) for shape in ((3, 3), (3, 2), (3, 3), (3, 2)))
    model = bi.ImplicitModel(A, B, None, C, D)
    U, y = rng.standard_normal((5, 2)), [0, 1, 2, 0, 1]
    found = measured(model, U, y, 0.1, classes=True, margins=True)
    N = np.linalg.inv(np.eye(3) - np.abs(A)) @ np.abs(B)
    pairs = [(0, 1), (0, 2), (1, 2)]
    by_hand = max((np.abs(C[i] - C[j]) @ N + np.abs(D[i] - D[j])).sum() for i, j in pairs)
    assert found["gain of margins"] == pytest.approx(by_hand)
    assert found["gain"] == pytest.approx((np.abs(C) @ N + np.abs(D)).sum(axis=1).max())
    assert measured(model, U, y, 0.1, classes=True) == {k: v for k, v in found.items() if k != "gain of margins"}


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_progress_goes_from_training_to_training(regression):
    problem, U, y, curve = regression
    told = []
    start = curve["plain"].result
    bi.robustness_curve(
        problem, [2.0, 1.0], U, y, 0.5, start=start, max_cycles=2, progress=lambda *seen: told.append(seen)
    )
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert [text.split(":")[0] for _, text in told if text.split()[1] != "cycle"] == ["2", "1"]
