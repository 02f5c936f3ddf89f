"""Explanations of predictions: every input by itself, proved from outside, reached from inside."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from boxes import drawn, held_back, layers
from numpy.testing import assert_allclose, assert_array_equal
from slow_but import slow_but

import bcd_implicit as bi

NAMES = ["age", "size", "rooms"]


def moved(U, radius, sample, members, n=201):
    """Inputs of a sample with some moved together across their radius, the others as they are."""
    points = np.repeat(U[[sample]], n, axis=0)
    points[:, members] += np.linspace(-1, 1, n)[:, None] * np.broadcast_to(radius, U.shape)[sample, members]
    return points


@pytest.mark.parametrize("kind", ["dense", "held back", "layers", "tanh"])
def test_no_value_of_an_input_by_itself_leaves_its_bounds_and_what_is_reached_is_near_the_best_of_a_grid(kind):
    rng = np.random.default_rng(0)
    model = {
        "dense": lambda: drawn(rng),
        "held back": lambda: held_back(rng),
        "layers": lambda: layers(rng, [3, 6, 6, 2])[0],
        "tanh": lambda: drawn(rng, activation="tanh"),
    }[kind]()
    U, radius = rng.normal(size=(4, 3)), np.array([0.3, 0.0, 1.0])
    found = model.explain(U, radius)
    assert found.lower.shape == (4, 2, 3)
    assert found.check()
    assert_allclose(found.prediction, model.predict(U), rtol=1e-9)
    for i in range(4):
        for j in range(3):
            Y = model.predict(moved(U, radius, i, [j]))
            # As accurate as predictions are.
            assert (found.lower[i, :, j] <= Y.min(axis=0) + 1e-8).all()
            assert (found.upper[i, :, j] >= Y.max(axis=0) - 1e-8).all()
            # At least as good as the grid, but for its 201 points being 21 here.
            near = 0.02 * np.ptp(Y, axis=0) + 1e-9
            assert (found.reached_lower[i, :, j] <= Y.min(axis=0) + near).all()
            assert (found.reached_upper[i, :, j] >= Y.max(axis=0) - near).all()
    assert (found.lower <= found.reached_lower).all()
    assert (found.reached_upper <= found.upper).all()
    # An input that cannot move cannot change anything, but for rounding.
    assert found.change[:, :, 1].max() < 1e-9
    assert "nothing would have changed" in str(found)


def test_bounds_are_those_of_boxes_in_which_one_input_is_uncertain():
    rng = np.random.default_rng(1)
    model, U = drawn(rng), rng.normal(size=(2, 3))
    found = model.explain(U, 0.5, outputs=[1])
    for j in range(3):
        alone = model.bounds(U, 0.5 * np.eye(3)[j], outputs=[1])
        assert_allclose(found.lower[:, :, j], alone.lower, rtol=1e-7)
        assert_allclose(found.upper[:, :, j], alone.upper, rtol=1e-7)


def test_of_a_linear_model_all_is_known_and_inputs_are_ordered_by_what_they_can_do():
    weights = np.array([[1.0, -3.0, 2.0]])
    model = bi.ImplicitModel(np.zeros((1, 1)), np.zeros((1, 3)), None, [[0.0]], weights, [5.0], input_names=NAMES)
    found = model.explain(np.array([1.0, 1.0, 1.0]), [0.5, 0.1, 1.0])
    assert_allclose(found.lower[0, 0], [4.5, 4.7, 3.0], rtol=1e-12)
    assert_allclose(found.upper[0, 0], [5.5, 5.3, 7.0], rtol=1e-12)
    assert_allclose(found.reached_lower[0, 0], found.lower[0, 0], rtol=1e-12)
    table = found.table
    assert table["input"].tolist() == ["rooms", "age", "size"]
    assert_allclose(table[["value", "radius"]].iloc[0], [1.0, 1.0])
    assert "class_changes" not in table
    assert str(found).splitlines() == [
        "y0: 5 is predicted. Had one input alone been off by up to so much:",
        "  rooms, 1 ± 1: between 3 and 7 (3 and 7 are reached)",
        "  age, 1 ± 0.5: between 4.5 and 5.5 (4.5 and 5.5 are reached)",
        "  size, 1 ± 0.1: between 4.7 and 5.3 (4.7 and 5.3 are reached)",
    ]
    assert "largest change" in found._repr_html_()
    assert repr(found) == "Explanation(about='values', samples=1, outputs=1, inputs or groups=3)"
    # The radii at which the prediction moves by 0.2 at most: 0.2, 0.2/3 and 0.1.
    safe = found.safe(0.2)
    assert safe.check()
    assert_allclose(safe.shares[0] * [0.5, 0.1, 1.0], [0.2, 0.2 / 3, 0.1], rtol=5e-3)
    assert (safe.change <= 0.2).all()
    assert safe.table["input"].tolist() == ["rooms", "age", "size"]
    # What changes nothing at its whole radius keeps it.
    assert_array_equal(found.safe(1.0).shares[0] == 1, [True, True, False])


def test_safe_radii_do_not_depend_on_the_radius_given_and_all_are_told():
    rng = np.random.default_rng(11)
    model, U = drawn(rng, p=8, q=1), rng.normal(size=(1, 8))
    near = model.explain(U, 1.0).safe(0.05)
    far = model.explain(U, 1e6).safe(0.05)
    assert far.check()
    narrowed = near.shares < 1
    assert narrowed.any()
    assert_allclose((1e6 * far.shares)[narrowed], near.shares[narrowed], rtol=5e-3)
    # Each radius, to a part in 4096 of itself, takes the prediction as far as it may go.
    assert_allclose(far.change[0, 0], 0.05, rtol=1e-2)
    for g in range(8):
        assert f"u{g}, {far.amount(0, g)}" in str(far)
    # Where even the smallest change is too much nothing is safe.
    edge = bi.ImplicitModel([[0.0]], [[1.0]], [0.0], [[1.0]], link="logit")
    assert edge.explain([0.0], 1.0).safe().shares[0, 0] == 0


def test_groups_move_together_and_have_their_own_names():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, input_names=NAMES), rng.normal(size=(1, 3))
    found = model.explain(U, 0.4, groups={"place": ["age", "rooms"]})
    assert set(found.table["input"]) == {"place", "size"}
    together = model.bounds(U, [0.4, 0.0, 0.4])
    place = found.question.groups.names.index("place")
    assert_allclose(found.upper[:, :, place], together.upper, rtol=1e-7)
    assert (found.reached_upper[0, :, place] >= model.predict(moved(U, 0.4, 0, [0, 2])).max(axis=0) - 1e-8).all()
    row = found.table.set_index(["output", "input"]).loc[("y0", "place")]
    assert np.isnan(row["value"])
    assert row["radius"] == pytest.approx(0.4)
    assert "place, ± 0.4: between" in str(found)
    assert found.check()


@pytest.mark.parametrize("method", slow_but(["backward"], ["backward", "interval"]))
def test_classes_change_where_that_is_found_and_never_where_they_are_proved(method):
    rng = np.random.default_rng(3)
    model = drawn(rng, q=3, link="softmax", input_names=NAMES, output_names=["cat", "dog", "cow"])
    U = rng.normal(size=(8, 3))
    found = model.explain(U, [0.2, 1.0, 3.0], method=method)
    Y = model.predict(U)
    ordered = np.sort(Y, axis=1)
    assert_allclose(found.prediction[:, 0], ordered[:, -1] - ordered[:, -2], rtol=1e-7)
    assert {"yes", "no"} <= set(found.class_changes.ravel())
    names = np.array(model.output_names)
    for i in range(8):
        for j in range(3):
            classes = model.predict(moved(U, [0.2, 1.0, 3.0], i, [j])).argmax(axis=1)
            if found.class_changes[i, 0, j] == "no":
                assert (classes == Y[i].argmax()).all()
            if found.class_changes[i, 0, j] == "yes":
                at = found.changed[i, 0, j]
                assert model.predict(at[None]).argmax() != Y[i].argmax()
                # Half as far, and all the way but for a little, the class is the same.
                off = at - U[i]
                assert_array_equal(model.predict(U[i] + [0.5 * off, 0.999 * off]).argmax(axis=1), Y[i].argmax())
                assert (np.flatnonzero(off) == j).all()
                row = found.table[(found.table["sample"] == i) & (found.table["input"] == NAMES[j])]
                assert row["becomes"].item() == names[model.predict(at[None]).argmax()]
                assert row["changes_at"].item() == at[j]
                assert row["output"].item() == names[Y[i].argmax()]
    assert found.check()
    safe = found.safe()
    assert safe.check()
    assert (safe.class_changes == "no").all()
    assert (safe.shares <= 1).all()
    assert_array_equal(safe.shares == 1, found.class_changes[:, 0] == "no")
    # What is proved to be safe is nearer than the nearest change that was found.
    nearest = np.abs(found.changed[:, 0] - U[:, None]).sum(axis=-1)
    assert (safe.shares * [0.2, 1.0, 3.0] <= np.nan_to_num(nearest, nan=np.inf)).all()
    if method == "backward":
        assert np.nanmedian(safe.shares * [0.2, 1.0, 3.0] / nearest) > 0.9
    for text in ("by a margin of", "the class could be", "the class stays"):
        assert text in str(found)
    assert f"{8 - 4} more predictions" in str(found)


def test_of_one_output_the_class_is_its_side_of_zero():
    rng = np.random.default_rng(4)
    model, U = drawn(rng, q=1, link="logit", output_names=["ill"]), rng.normal(size=(6, 3))
    model = model._copy(d=model.d - np.median(model.predict(U)))
    found, odds = model.explain(U, 0.5), model.predict(U)[:, 0]
    assert found.question.about == "labels"
    assert_allclose(found.prediction[:, 0], np.abs(odds), rtol=1e-9)
    as_values = model.explain(U, 0.5, about="values")
    positive = odds > 0
    assert {*found.table["output"]} == {"ill", "not ill"}
    assert_allclose(found.lower[positive], as_values.lower[positive], rtol=1e-9)
    assert_allclose(found.lower[~positive], -as_values.upper[~positive], rtol=1e-9)
    assert found.check()
    assert as_values.check()
    assert str(as_values).startswith("log odds of ill of sample 0: ")
    # A person may ask of an output without a link what its class is.
    plain = bi.ImplicitModel(model.A, model.B, model.b, model.C, model.D, model.d)
    assert_allclose(plain.explain(U, 0.5, about="class").lower, found.lower)


def test_labels_are_explained_one_by_one():
    rng = np.random.default_rng(5)
    model, U = drawn(rng, q=2, link="logit", output_names=["red", "round"]), rng.normal(size=(3, 3))
    found = model.explain(U, 2.0)
    assert found.lower.shape == (3, 2, 3)
    assert_allclose(found.prediction, np.abs(model.predict(U)), rtol=1e-9)
    flipped = found.table[found.table["class_changes"] == "yes"]
    assert len(flipped)
    assert all(
        a != b and a.split()[-1] == b.split()[-1] for a, b in zip(flipped["output"], flipped["becomes"], strict=True)
    )
    assert_allclose(model.explain(U, 2.0, outputs=["round"]).lower, found.lower[:, 1:])


def test_a_row_of_a_frame_and_radii_by_name():
    rng = np.random.default_rng(6)
    model = drawn(rng, input_names=NAMES)
    frame = pd.DataFrame(rng.normal(size=(5, 3)), columns=NAMES)
    shuffled = frame[["rooms", "age", "size"]]
    by_name = model.explain(shuffled.iloc[2], shuffled.std())
    assert_allclose(by_name.lower, model.explain(frame.to_numpy()[2], frame.std().to_numpy()).lower)
    assert_allclose(by_name.lower, model.explain(frame.iloc[[2]], frame.std()).lower)


def test_where_a_model_has_no_names_labels_of_a_radius_say_the_order():
    rng = np.random.default_rng(12)
    model, frame = drawn(rng), pd.DataFrame(rng.normal(size=(5, 3)), columns=NAMES)
    by_order = model.explain(frame.iloc[0], [0.1, 0.2, 0.3]).lower
    for radius in (pd.Series([0.1, 0.2, 0.3], NAMES), dict(zip(NAMES, [0.1, 0.2, 0.3], strict=True))):
        assert_array_equal(model.explain(frame.iloc[0], radius).lower, by_order)
    by_name = model.explain(frame.iloc[0], {"u2": 0.3, "u0": 0.1, "u1": 0.2})
    assert_array_equal(by_name.lower, by_order)


def test_units_of_inputs_do_not_matter():
    rng = np.random.default_rng(7)
    model, U = drawn(rng), rng.normal(size=(2, 3))
    units = np.array([1e3, 1.0, 1e-4])
    scaled = bi.ImplicitModel(model.A, model.B / units, model.b, model.C, model.D / units, model.d)
    one, other = model.explain(U, 0.3), scaled.explain(U * units, 0.3 * units)
    assert_allclose(one.lower, other.lower, rtol=1e-6)
    assert_allclose(one.reached_upper, other.reached_upper, rtol=1e-6)


def test_a_wrong_answer_does_not_pass_its_check():
    rng = np.random.default_rng(8)
    model, U = drawn(rng), rng.normal(size=(2, 3))
    found = model.explain(U, 0.5)
    bounds = found.proved.bounds[0]
    tighter = dataclasses.replace(bounds, upper=bounds.upper - 1e-3 * bounds.width)
    assert not dataclasses.replace(found, proved=dataclasses.replace(found.proved, bounds=(tighter,))).check()
    reached = found.reached
    for wrong in (
        dataclasses.replace(reached, lower=reached.lower - 1e-3),
        dataclasses.replace(reached, lower_inputs=reached.lower_inputs + 0.6),
    ):
        assert not dataclasses.replace(found, reached=wrong).check()
    # Bounds that were taken from others than those that are proved.
    narrower = dataclasses.replace(found.proved, upper=0.999 * found.upper + 0.001 * found.reached_upper)
    assert not dataclasses.replace(found, proved=narrower).check()


@pytest.mark.parametrize(
    ("U", "radius", "options", "words"),
    [
        ([1.0, 2.0], 0.1, {}, "U: has 2 columns, 3 needed"),
        (1.0, 0.1, {}, "U: is one float, not a table"),
        ([1.0, 2.0, np.nan], 0.1, {}, "U: contains missing values"),
        ([1.0, 2.0, 3.0], -0.1, {}, "radius: contains -0.1, a negative number. Give 0 or more"),
        ([1.0, 2.0, 3.0], [0.1, 0.2], {}, r"radius: has shape \(2,\)"),
        ([1.0, 2.0, 3.0], None, {}, "radius: is None, not a number. Give one number"),
        ([1.0, 2.0, 3.0], True, {}, "radius: is True, not a number. Give one number"),
        ([1.0, 2.0, 3.0], np.ones(3, dtype=bool), {}, "radius: is an array.*, not a number. Give one number"),
        ([1.0, 2.0, 3.0], np.inf, {}, "radius: contains infinity: 1 .*Give a finite radius"),
        ([1.0, 2.0, 3.0], np.nan, {}, "radius: contains missing values .*Give 0 for inputs that are certain"),
        ([1.0, 2.0, 3.0], {"u0": 0.1}, {}, "radius: has the labels 'u0' but not 'u1'. Give a number for each of"),
        ([1.0, 2.0, 3.0], {}, {}, r"radius: has shape \(0,\). Give one number"),
        ([1.0, 2.0, 3.0], 0.1, {"groups": [0, 1]}, "groups: has 2 labels for 3 inputs"),
        ([1.0, 2.0, 3.0], 0.1, {"groups": {"a": ["none"]}}, "names an input 'none' that does not exist"),
        ([1.0, 2.0, 3.0], 0.1, {"about": "odds"}, "about: unknown about 'odds'. Use one of values, class, labels"),
        ([1.0, 2.0, 3.0], 0.1, {"about": "class", "outputs": [0]}, "outputs: is for values and labels"),
        ([1.0, 2.0, 3.0], 0.1, {"outputs": ["none"]}, "outputs: there is no 'none'"),
        ([1.0, 2.0, 3.0], 0.1, {"method": "guess"}, "method: unknown method 'guess'"),
    ],
)
def test_what_does_not_fit_is_said(U, radius, options, words):
    with pytest.raises(bi.InvalidInputError, match=words):
        drawn(np.random.default_rng(0)).explain(U, radius, **options)


def test_what_cannot_be_asked_of_values_or_classes_is_said():
    rng = np.random.default_rng(9)
    values, classes = (drawn(rng, link=link).explain(np.zeros(3), 0.1) for link in ("identity", "softmax"))
    for change, words in ((None, "change: must be a number, got None. Give by how much"), (0.0, "change: got 0.0")):
        with pytest.raises(bi.InvalidInputError, match=words):
            values.safe(change)
    with pytest.raises(bi.InvalidInputError, match="change: is for values, but this explanation is about classes"):
        classes.safe(1.0)
    with pytest.raises(bi.InvalidInputError, match="about: is 'values', which have no classes"):
        values.class_changes  # noqa: B018
    with pytest.raises(bi.NotWellPosedError):
        bi.ImplicitModel([[2.0]], [[1.0]], None, [[1.0]]).explain([0.0], 0.1)
