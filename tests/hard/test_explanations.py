"""Explanations of random models of all kinds: no value leaves its bounds, no class that is proved changes."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn, held_back, layers, made_sparse

import bcd_implicit as bi

pytestmark = pytest.mark.hard


def a_model(rng, seed):
    n, p, q = rng.integers(3, 15), rng.integers(2, 7), rng.integers(1, 5)
    activation = list(bi.ACTIVATIONS)[seed % len(bi.ACTIVATIONS)]
    norm = 0.8 / bi.ACTIVATIONS[activation].max_slope
    makers = (
        lambda: drawn(rng, n, p, q, activation, norm),
        lambda: made_sparse(drawn(rng, n, p, q, activation, norm)),
        lambda: held_back(rng, n, p, q),
        lambda: layers(rng, [p, n, n, q], activation)[0],
    )
    model = makers[seed % 4]()
    link = ["identity", "softmax", "logit", "log"][rng.integers(4)]
    return model._copy(link=link if link != "softmax" or q > 1 else "logit")


@pytest.mark.parametrize("seed", range(40))
def test_nothing_that_is_tried_leaves_what_is_proved(seed):
    rng = np.random.default_rng(seed)
    model = a_model(rng, seed)
    p, q = model.B.shape[1], len(model.d)
    U, radius = 2 * rng.normal(size=(3, p)), rng.exponential(size=(3, p)) * (rng.random((3, p)) > 0.2)
    groups = None if rng.random() < 0.5 else rng.integers(0, 3, p)
    method = ["backward", "interval", "perron-frobenius"][seed % 3]
    found = model.explain(U, radius, groups=groups, method=method)
    safe = found.safe(None if found.question.margins else 0.3)
    assert found.check()
    assert safe.check()
    names = found.question.groups.names
    for answer in (found, safe):
        for g, members in enumerate(found.question.groups.members):
            radii = np.zeros((3, p))
            radii[:, members] = (answer.shares[:, [g]] * radius)[:, members]
            shares = rng.choice([-1.0, 1.0, 0.0], size=(2000, 3, p)) * rng.random((2000, 3, p)) ** 0.3
            tried = U + radii * np.where(rng.random((2000, 1, 1)) < 0.5, np.sign(shares), shares)
            Y = model.predict(tried.reshape(-1, p)).reshape(2000, 3, q)
            asked = found.question.asked(Y)
            off = 1e-8 * max(1.0, np.abs(Y).max())
            assert (asked >= answer.lower[:, :, g] - off).all()
            assert (asked <= answer.upper[:, :, g] + off).all()
            if found.question.margins:
                still = (answer.class_changes[:, :, g] == "no") & (answer.lower[:, :, g] > off)
                assert (asked[:, still] > 0).all()
    if not found.question.margins:
        assert (safe.change <= 0.3).all()
    assert len(found.table) == found.lower.size
    assert set(found.table["input"]) == set(names)
    assert str(found)
    assert str(safe)
