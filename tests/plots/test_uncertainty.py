"""Bounds by sample and sensitivities by input: what is drawn is what was found, and names stay legible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from boxes import drawn
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from shown import legend, tick_names

from bcd_implicit import ImplicitModel, InvalidInputError, plots


@pytest.fixture(scope="module")
def model():
    return drawn(np.random.default_rng(0), q=2, output_names=["price", "rent_$a"], input_names=["a", "b", "c"])


def line(ax, label):
    return next(one for one in ax.lines if one.get_label() == label)


def test_each_sample_and_output_has_its_interval_and_marks(ax, model):
    U = np.random.default_rng(1).normal(size=(5, 3))
    found, attacks = model.bounds(U, 0.1), [model.attack(U, 0.1, towards=[sign, sign]) for sign in (1, -1)]
    truth = pd.DataFrame(found.prediction[:, ::-1], columns=["rent_$a", "price"])
    assert plots.bounds(found, ax, truth=truth, attack=attacks, names=list("vwxyz")) is ax
    intervals = [one.get_segments() for one in ax.collections if isinstance(one, LineCollection)]
    assert len(intervals) == 2
    for i, segments in enumerate(intervals):
        ends = np.array(segments)[:, :, 1]
        assert_allclose(ends, np.column_stack([found.lower[:, i], found.upper[:, i]]))
    # Next to each other, and both between a sample and the next.
    places = [np.array(segments)[:, 0, 0] for segments in intervals]
    assert (places[0] < places[1]).all()
    assert (np.abs(np.concatenate(places) - np.tile(np.arange(5), 2)) < 0.5).all()
    assert_allclose(line(ax, "prediction").get_ydata(), found.prediction[:, 0])
    assert_allclose(line(ax, "truth").get_ydata(), found.prediction[:, 0])
    assert_allclose(line(ax, "attack").get_ydata(), attacks[0].predictions[:, 0])
    assert [text.get_text() for text in ax.get_xticklabels()] == list("vwxyz")
    texts = legend(ax)
    assert texts == ["price", "rent_$a", "prediction", "attack", "truth"]


def test_samples_may_be_in_the_order_of_their_predictions(ax, model):
    U = np.random.default_rng(2).normal(size=(100, 3))
    found = model.bounds(U, 0.1, outputs=["price"])
    plots.bounds(found, ax, sort=True, truth=found.prediction[:, 0])
    drawn_at = line(ax, "prediction").get_ydata()
    assert_allclose(drawn_at, np.sort(found.prediction[:, 0]))
    assert_allclose(line(ax, "truth").get_ydata(), drawn_at)
    assert ax.get_xlabel() == "100 samples, by prediction"
    assert legend(ax) == ["bounds", "prediction", "truth"]


def test_what_does_not_fit_the_bounds_is_refused(ax, model):
    U = np.ones((2, 3))
    found = model.bounds(U, 0.1, outputs=["price"])
    with pytest.raises(InvalidInputError, match=r"truth: has shape \(3, 1\), \(2, 1\) needed"):
        plots.bounds(found, ax, truth=[1.0, 2.0, 3.0])
    with pytest.raises(InvalidInputError, match="attack: has shape"):
        plots.bounds(found, ax, attack=model.attack(U, 0.1))
    with pytest.raises(InvalidInputError, match="attack: is of type int"):
        plots.bounds(found, ax, attack=[3])
    with pytest.raises(InvalidInputError, match="attack: must be a list of attacks, got 3. Pass what model.attack"):
        plots.bounds(found, ax, attack=3)
    with pytest.raises(InvalidInputError, match="truth: has the labels 'w' but not 'price'"):
        plots.bounds(found, ax, truth=pd.DataFrame({"w": [1.0, 2.0]}))
    for draw in (lambda: plots.bounds(found, ax, sort="a"), lambda: plots.sensitivity(model, ax, sort="a")):
        with pytest.raises(InvalidInputError, match="sort: must be True or False, got 'a'"):
            draw()
    with pytest.raises(InvalidInputError, match="of: contains -.*, a negative number.*Pass what model.sensitivity"):
        plots.sensitivity(-model.sensitivity(), ax)
    with pytest.raises(InvalidInputError, match="found: is of type ImplicitModel"):
        plots.bounds(model, ax)
    many = drawn(np.random.default_rng(3), q=11).bounds(U, 0.1)
    with pytest.raises(InvalidInputError, match="found: has 11 outputs"):
        plots.bounds(many, ax)


def test_many_outputs_are_told_apart_and_no_attack_is_none(ax, model):
    found = drawn(np.random.default_rng(5), q=10).bounds(np.random.default_rng(6).normal(size=(12, 3)), 0.1)
    plots.bounds(found, ax, attack=None)
    assert all(one.get_alpha() > 0.6 for one in ax.collections)
    assert all(one.get_linewidth() >= 3 for one in ax.get_legend().get_lines()[:10])
    other = Figure().subplots()
    plots.bounds(model.bounds(np.ones((3, 3)), 0.1), other)
    assert all(one.get_alpha() == 0.35 for one in other.collections)


def test_sensitivities_are_a_map_with_numbers_and_names(ax, model):
    assert plots.sensitivity(model, ax) is ax
    S = model.sensitivity()
    assert_allclose(np.asarray(ax.collections[0].get_array()).reshape(S.shape), S)
    assert [text.get_text() for text in ax.texts] == [f"{value:.2g}" for value in S.to_numpy().ravel()]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b", "c"]
    assert tick_names(ax.yaxis) == ["price", "rent_$a"]


def test_many_inputs_are_numbered_or_the_largest_named():
    wide = drawn(np.random.default_rng(4), q=2, p=300)
    S = wide.sensitivity()
    left, right = Figure(figsize=(12, 4)).subplots(1, 2)
    plots.sensitivity(wide, left)
    assert left.get_xlabel() == "input $j$"
    assert not left.texts
    plots.sensitivity(S, right, sort=True)
    shown = [text.get_text() for text in right.get_xticklabels()]
    order = S.max(axis=0).sort_values(ascending=False, kind="stable").index
    assert shown == list(order[: len(shown)])
    assert 10 < len(shown) < 100
    assert right.get_xlabel() == f"the {len(shown)} that can move an output most, of 300 inputs"


def test_a_model_that_nothing_moves_is_blank_but_drawn(ax):
    plots.sensitivity(ImplicitModel(np.zeros((1, 1)), np.zeros((1, 2)), None, [[1.0]]), ax)
    assert [text.get_text() for text in ax.texts] == ["0", "0"]
    with pytest.raises(InvalidInputError, match="of: is of type int"):
        plots.sensitivity(3, ax)
