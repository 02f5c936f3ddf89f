"""The best dual vectors: those of linear programs, of any function, in cases, and refused for large models."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn, held_back, inside, layers, made_sparse, reached

import bcd_implicit as bi
from bcd_implicit.model.robustness.backward import Lines, bounded, tightened
from bcd_implicit.model.robustness.box import Box, Rows, Tasks
from bcd_implicit.model.robustness.dual import best
from bcd_implicit.model.robustness.intervals import state_ranges
from bcd_implicit.model.robustness.programs import by_programs


def on_the_same_ranges(model, U, radius):
    """The largest values of all outputs by lines, by the best dual vectors and by linear programs."""
    system, box = model._bounded, Box(U.T, np.full(U.T.shape, radius))
    tasks = Tasks.each(Rows(model.C, model.D, model.d), len(U))
    x, z = state_ranges(system.structure, box, system.b)
    lines, _ = tightened(system, box, x, z, 3, None)
    assert isinstance(lines, Lines)
    found, multipliers = bounded(system, box, lines, tasks)
    others = [improve(system, box, lines, tasks, found, multipliers)[0] for improve in (best, by_programs)]
    return found, *others


@pytest.mark.parametrize(
    "activation", ["relu", "clip", "abs", "leaky_relu", "soft_threshold", [("relu", 6), ("clip", 4)]]
)
@pytest.mark.parametrize("norm", [0.5, 0.95])
def test_they_are_those_of_linear_programs(activation, norm):
    rng = np.random.default_rng(0)
    model, U = drawn(rng, n=10, activation=activation, norm=norm), rng.normal(size=(1, 3))
    for radius in (0.1, 1.0):
        lines, found, linear = on_the_same_ranges(model, U, radius)
        np.testing.assert_allclose(found, linear, rtol=1e-7, atol=1e-7)
        assert (found <= lines).all()
    assert (found < lines - 1e-3).any()


@pytest.mark.parametrize("kind", [held_back, lambda rng: layers(rng, (3, 8, 6, 2))[0]])
def test_with_ranges_of_their_own_bounds_are_those_of_lp(kind):
    rng = np.random.default_rng(1)
    model, U = kind(rng), rng.normal(size=(2, 3))
    for radius in (0.2, [1.0, 0.0, 0.3]):
        found, linear = (
            model.bounds(U, radius, method=name, **more) for name, more in (("dual", {"n_cuts": 0}), ("lp", {}))
        )
        np.testing.assert_allclose(found.lower, linear.lower, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found.upper, linear.upper, rtol=1e-6, atol=1e-6)
        assert found.check()
        np.testing.assert_allclose(
            made_sparse(model).bounds(U, radius, method="dual").upper,
            model.bounds(U, radius, method="dual").upper,
            rtol=1e-6,
        )


@pytest.mark.parametrize("activation", ["relu", "clip", "tanh", "softplus", [("relu", 4), ("tanh", 4)]], ids=str)
def test_they_tighten_what_lines_prove_and_break_nothing(activation):
    rng = np.random.default_rng(2)
    model, U = drawn(rng, activation=activation, norm=0.9), rng.normal(size=(4, 3))
    least, largest = reached(model, inside(rng, U, 1.0, 500))
    for n_cuts in (0, 2):
        lines, found = (model.bounds(U, 1.0, method=name, n_cuts=n_cuts) for name in ("backward", "dual"))
        assert found.check()
        assert found.width.mean() < 0.99 * lines.width.mean()
        assert (found.lower <= least + 1e-9).all()
        assert (largest - 1e-9 <= found.upper).all()
    if activation == "relu":
        exact = model.bounds(U, 0.3, method="exact")
        assert np.median(model.bounds(U, 0.3, method="dual").width / exact.width) < 1.01


def test_one_sample_alone_has_the_same_bounds_and_units_may_be_far_apart():
    rng = np.random.default_rng(3)
    model, U = drawn(rng), rng.normal(size=(3, 3))
    whole = model.bounds(U, 0.5, method="dual")
    for j in range(3):
        np.testing.assert_allclose(model.bounds(U[[j]], 0.5, method="dual").upper[0], whole.upper[j], rtol=1e-8)
    for center, radius in ((0.0, 1e99), (1e30, 1e-5), (1e-300, 1e-300)):
        found = model.bounds(np.full((1, 3), center), radius, method="dual")
        assert np.isfinite(found.width).all()
        assert found.check()


def test_large_models_are_refused():
    model = bi.ImplicitModel(np.zeros((301, 301)), np.ones((301, 1)), None, np.ones((1, 301)))
    with pytest.raises(bi.InvalidInputError, match='model: has 301 states.*Use method="backward"'):
        model.bounds([[1.0]], 0.1, method="dual")


def test_by_default_cuts_are_made_where_they_cost_little():
    rng = np.random.default_rng(4)
    for n, n_cuts in ((10, 3), (2, 2), (51, 0)):
        model, U = drawn(rng, n=n), rng.normal(size=(1, 3))
        found, asked = model.bounds(U, 0.3), model.bounds(U, 0.3, n_cuts=n_cuts)
        np.testing.assert_array_equal(found.upper, asked.upper)
        assert (found.certificate.cuts is None) == (n_cuts == 0)
