"""Certified accuracy: margins as rows of their own, no sample proved that an attack changes."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn

import bcd_implicit as bi


def test_margins_are_those_of_models_of_differences():
    rng = np.random.default_rng(0)
    model, U, y = drawn(rng, q=3), rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    for method in ("backward", "interval", "perron-frobenius", "lp", "exact"):
        found = bi.certified_accuracy(model, U, y, 0.2, method=method)
        for j, k in enumerate(y):
            M = np.array([np.eye(3)[k] - np.eye(3)[i] for i in range(3) if i != k])
            alone = (M @ model).bounds(U[[j]], 0.2, method=method)
            assert found.margins[j] == pytest.approx(alone.lower.min(), rel=1e-6, abs=1e-9)
    assert found.accuracy == np.mean(model.predict(U).argmax(axis=1) == y)


def test_what_is_proved_is_right_and_stays_so():
    rng = np.random.default_rng(1)
    model, U = drawn(rng, q=3), rng.normal(size=(30, 3))
    y = model.predict(U).argmax(axis=1)
    y[:5] = (y[:5] + 1) % 3
    exact = bi.certified_accuracy(model, U, y, 0.3, method="exact")
    attacked = model.attack(U, 0.3).predictions.argmax(axis=1)
    last = exact.certified
    for method in ("backward", "interval", "perron-frobenius"):
        found = bi.certified_accuracy(model, U, y, 0.3, method=method)
        assert (found.correct | ~found.proved).all()
        assert not found.proved[:5].any()
        assert (attacked[found.proved] == y[found.proved]).all()
        assert found.certified <= last
        # Exact ones are so to the tolerances of a solver.
        assert (found.margins <= exact.margins + 1e-5).all()
        assert found.accuracy == pytest.approx(25 / 30)
        last = found.certified
    assert bi.certified_accuracy(model, U, y, 0).certified == pytest.approx(25 / 30)
    assert "certified accuracy" in found._repr_html_()


def test_classes_are_numbers_or_names_and_of_one_output_its_sign():
    rng = np.random.default_rng(2)
    model, U = drawn(rng, q=3, output_names=["cat", "dog", "cow"]), rng.normal(size=(10, 3))
    y = model.predict(U).argmax(axis=1)
    by_name = bi.certified_accuracy(model, U, np.array(["cat", "dog", "cow"])[y], 0.1)
    np.testing.assert_array_equal(by_name.margins, bi.certified_accuracy(model, U, y.astype(float), 0.1).margins)
    odds = drawn(rng, q=1, link="logit")
    positive = odds.predict(U)[:, 0] > 0
    found, bounds = bi.certified_accuracy(odds, U, positive, 0.1), odds.bounds(U, 0.1)
    assert found.accuracy == 1
    np.testing.assert_allclose(found.margins, np.where(positive, bounds.lower[:, 0], -bounds.upper[:, 0]), rtol=1e-9)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0, 1], "has shape (2,), (3,) needed"),
        ([0, 1, 3], "has the class 3"),
        ([0, 1, 0.5], "has the class 0.5"),
        (["y0", "y1", "y7"], "has the class 'y7'"),
        ("abc", "must be a list"),
    ],
)
def test_other_classes_are_refused(y, words):
    model = drawn(np.random.default_rng(3), q=3)
    with pytest.raises(bi.InvalidInputError) as caught:
        bi.certified_accuracy(model, np.ones((3, 3)), y, 0.1)
    assert words in str(caught.value)
    with pytest.raises(bi.InvalidInputError, match="must be an ImplicitModel"):
        bi.certified_accuracy("model", np.ones((3, 3)), [0, 1, 2], 0.1)
