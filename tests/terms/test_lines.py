"""Lines around functions of states: sound on fine grids, whatever the slope, and close to the function half-way."""

from __future__ import annotations

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit import ACTIVATIONS, Activation
from bcd_implicit.terms.block_activation import BlockActivation
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import FUNCTIONS
from bcd_implicit.terms.piecewise_linear import LeakyRelu, SoftThreshold

KNOWN = [*(ACTIVATIONS | FUNCTIONS).values(), LeakyRelu(0.5), SoftThreshold(0.1)]
SHARES = np.linspace(0, 1, 2001)[:, None]


class Half(Activation):
    """A function of which nothing but its largest slope is known."""

    name = "half of tanh"
    max_slope = 0.5

    def __call__(self, z):
        return 0.5 * np.tanh(z)

    def derivative(self, z):
        return 0.5 / np.cosh(z) ** 2


class Wave(ElementwiseFunction):
    """One that falls too."""

    name = "wave"

    def __call__(self, z):
        return np.sin(z)

    def derivative(self, z):
        return np.cos(z)

    def image(self, low, high):
        return np.full_like(low, -1.0), np.full_like(high, 1.0)


ALL = [*KNOWN, Half(), Wave()]


def intervals(rng, n):
    """Narrow and wide ones, on either side of 0 and around it, some of them points."""
    middle, radius = rng.normal(size=n) * rng.choice([0.1, 1, 10], n), rng.choice([0, 1e-9, 1e-3, 0.3, 2, 20], n)
    return middle - radius, middle + radius


def name_of(function):
    return f"{function.name} {function.parameters}"


@pytest.mark.parametrize("function", ALL, ids=name_of)
def test_no_value_on_a_fine_grid_is_above_the_bound(function):
    rng = np.random.default_rng(0)
    low, high = intervals(rng, 400)
    w, tilt = rng.normal(size=(2, 400))
    tilt[::5] = 0.0
    w[::7] = 0.0
    bound = function.tilted_max(w, tilt, low, high)
    z = np.clip(low + SHARES * (high - low), low, high)
    values = w * function(z) - tilt * z
    assert (values <= bound).all()
    if function.curvatures is not None:
        # The grid may miss the largest value between two of its points: by the square of their distance, or at a kink.
        step = (high - low) / 2000
        slack = 1e-12 + np.abs(w) * (step if function.piecewise_linear else 0.3 * step**2)
        sizes = np.abs(w) * np.abs(function(z)).max(axis=0) + np.abs(tilt) * np.abs(z).max(axis=0)
        assert (bound - values.max(axis=0) <= slack + 1e-13 * sizes).all()


@pytest.mark.parametrize("function", ALL, ids=name_of)
def test_lines_of_the_chosen_slopes_enclose_the_function_and_are_the_closest_half_way(function):
    rng = np.random.default_rng(1)
    low, high = intervals(rng, 300)
    one = np.ones(300)
    below, above = function.envelope_slopes(low, high)
    below_0 = -function.tilted_max(-one, -below, low, high)
    above_0 = function.tilted_max(one, above, low, high)
    z = np.clip(low + SHARES * (high - low), low, high)
    assert (below * z + below_0 <= function(z)).all()
    assert (function(z) <= above * z + above_0).all()
    if function.curvatures is None:
        return
    # No line above is closer half-way: others of many slopes are tried.
    middle, width = (low + high) / 2, high - low
    scale = np.abs(function(z)).max(axis=0) + width
    for slope in np.linspace(-1, 1, 41)[:, None] * one * np.minimum(function.max_slope, 20):
        other = function.tilted_max(one, slope, low, high) + slope * middle
        assert (above * middle + above_0 <= other + 0.02 * scale + 1e-12).all()
        other = -function.tilted_max(-one, -slope, low, high) + slope * middle
        assert (below * middle + below_0 >= other - 0.02 * scale - 1e-12).all()


def test_slopes_for_relu_are_those_of_crown():
    relu, low, high = ACTIVATIONS["relu"], np.array([-1.0, -3.0, 1.0, -2.0]), np.array([3.0, 1.0, 2.0, -1.0])
    below, above = relu.envelope_slopes(low, high)
    np.testing.assert_allclose(above, [0.75, 0.25, 1, 0])
    np.testing.assert_allclose(below, [1, 0, 1, 0])


def test_blocks_ask_their_functions():
    blocks = BlockActivation([(ACTIVATIONS["relu"], 2), (ACTIVATIONS["tanh"], 1)])
    rng = np.random.default_rng(2)
    w, tilt, middle = rng.normal(size=(3, 3, 5))
    low, high = middle - 1, middle + 1
    found, sides = blocks.tilted_max(w, tilt, low, high), blocks.envelope_slopes(low, high)
    for name, rows in (("relu", slice(0, 2)), ("tanh", slice(2, 3))):
        function, ends = ACTIVATIONS[name], (low[rows], high[rows])
        np.testing.assert_array_equal(found[rows], function.tilted_max(w[rows], tilt[rows], *ends))
        np.testing.assert_array_equal(blocks.is_linear(low, high)[rows], function.is_linear(*ends))
        for side, expected in zip(sides, function.envelope_slopes(*ends), strict=True):
            np.testing.assert_array_equal(side[rows], expected)
    assert not blocks.piecewise_linear
    assert BlockActivation([(ACTIVATIONS["relu"], 2), (FUNCTIONS["abs"], 1)]).piecewise_linear


def test_what_is_linear_on_an_interval():
    low, high = np.array([-1.0, 0.0, -2.0, 1.0, 0.3]), np.array([1.0, 2.0, 0.0, 1.0, 0.4])
    np.testing.assert_array_equal(ACTIVATIONS["relu"].is_linear(low, high), [False, True, True, True, True])
    np.testing.assert_array_equal(ACTIVATIONS["clip"].is_linear(low, high), [True, False, False, True, True])
    np.testing.assert_array_equal(ACTIVATIONS["tanh"].is_linear(low, high), [False, False, False, True, False])
    np.testing.assert_array_equal(Half().is_linear(low, high), [False, False, False, True, False])


def test_intervals_are_cut_at_the_nearest_kink_or_half_way():
    low, high = np.array([-1.0, -3.0, 1.0, -2.0]), np.array([3.0, 1.0, 2.0, 2.5])
    np.testing.assert_array_equal(ACTIVATIONS["relu"].cut_points(low, high), [0, 0, 1.5, 0])
    np.testing.assert_array_equal(ACTIVATIONS["clip"].cut_points(low, high), [1, -1, 1.5, 1])
    np.testing.assert_array_equal(ACTIVATIONS["softplus"].cut_points(low, high), [1, -1, 1.5, 0.25])
    blocks = BlockActivation([(ACTIVATIONS["relu"], 1), (ACTIVATIONS["clip"], 1)])
    np.testing.assert_array_equal(blocks.cut_points(low[:2, None], high[:2, None]), [[0], [-1]])


class Bump(ElementwiseFunction):
    """It falls, and tells no more than its largest slope."""

    name = "bump"
    max_slope = 0.61

    def __call__(self, z):
        return np.exp(-np.square(z) / 2)

    def derivative(self, z):
        return -z * np.exp(-np.square(z) / 2)


def test_without_an_image_what_the_largest_slope_allows_is_the_image():
    rng = np.random.default_rng(3)
    low, high = intervals(rng, 400)
    least, largest = Bump().image(low, high)
    values = Bump()(np.clip(low + SHARES * (high - low), low, high))
    assert (least <= values).all()
    assert (values <= largest).all()
    # Between equal ends nothing more.
    np.testing.assert_allclose(Bump().image(low, low), [Bump()(low)] * 2, rtol=1e-14)
    for center in (0.0, 0.1):
        model = bi.ImplicitModel([[0.0]], [[1.0]], [0.0], [[1.0]], None, None, Bump())
        found, U = model.bounds([[center]], 1.0), center + np.linspace(-1, 1, 101)[:, None]
        assert (found.lower <= model.predict(U)).all()
        assert (model.predict(U) <= found.upper).all()
        assert found.prediction == model.predict([[center]])
        assert found.check()


def test_without_an_image_and_a_largest_slope_nothing_is_known():
    class Steep(Bump):
        max_slope = np.inf

    model = bi.ImplicitModel([[0.0]], [[1.0]], [0.0], [[1.0]], None, None, Steep())
    with pytest.raises(bi.InvalidInputError, match="bump may fall and has no largest slope.*Define image"):
        model.bounds([[0.0]], 1.0)
