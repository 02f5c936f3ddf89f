"""Picard's iteration of one hidden feature."""

import numpy as np
import pytest

from bcd_implicit import ImplicitModel, NotWellPosedError, plots
from bcd_implicit.errors import InvalidInputError


def scalar(a, activation="relu"):
    return ImplicitModel([[a]], [[1.0]], None, [[1.0]], activation=activation)


def test_steps_lead_to_the_curve_and_to_the_diagonal(ax):
    assert plots.cobweb(scalar(0.5), 1.0, ax, n_steps=2) is ax
    curve, diagonal, steps, start = ax.lines
    # x = 0, 1, 1.5 by hand.
    np.testing.assert_array_equal(steps.get_xydata(), [[0, 0], [0, 1], [1, 1], [1, 1.5], [1.5, 1.5]])
    np.testing.assert_array_equal(start.get_xydata(), [[0, 0]])
    x, y = curve.get_data()
    np.testing.assert_allclose(y, np.maximum(0.5 * x + 1, 0))
    np.testing.assert_array_equal(*diagonal.get_data())
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((-0.15, 1.65))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x$", "next $x$")
    assert ax.get_aspect() == 1


def test_a_model_with_two_equilibria_is_drawn_from_two_starts(ax):
    model = scalar(1.5)  # 0 and 1.8 for u = -0.9
    with pytest.raises(NotWellPosedError):
        model.predict([[-0.9]])
    plots.cobweb(model, [-0.9], ax, starts=[1.7, 1.9], n_steps=12, limits=(-0.2, 3))
    falls, _, grows, _ = ax.lines[2:]
    assert falls.get_xydata()[-1].tolist() == [0, 0]
    assert grows.get_xydata()[-1, 0] == pytest.approx(1.8 + 0.1 * 1.5**12)
    assert ax.get_xlim() == ax.get_ylim() == (-0.2, 3)


def test_of_several_features_one_is_drawn_with_the_others_at_their_equilibrium(ax):
    A, u = np.array([[0.2, -0.5], [0.3, 0.1]]), 2.0
    model = ImplicitModel(A, [[1.0], [1.0]], [0.0, 0.5], [[1.0, 1.0]], activation="tanh")
    plots.cobweb(model, u, ax, feature=1, n_steps=60)
    curve, _, steps, _ = ax.lines
    x = np.zeros(2)
    for _ in range(200):
        x = np.tanh(A @ x + [2.0, 2.5])
    grid, y = curve.get_data()
    np.testing.assert_allclose(y, np.tanh(0.3 * x[0] + 0.1 * grid + 2.5), atol=1e-9)
    np.testing.assert_allclose(steps.get_xydata()[-1], [x[1], x[1]])
    first = np.tanh(2.5)
    np.testing.assert_allclose(steps.get_xydata()[:3], [[0, 0], [0, first], [first, first]])
    assert ax.get_xlabel() == "$x_{1}$"


def test_an_iteration_that_stands_still_has_limits(ax):
    plots.cobweb(scalar(0.0), 0.0, ax)
    ax.figure.draw_without_rendering()
    plots.cobweb(scalar(0.5), 1.0, ax, starts=2.0)
    assert ax.get_xlim()[0] < 2 < ax.get_xlim()[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": 1}, "feature: "),
        ({"starts": []}, "starts: is empty"),
        ({"starts": [0.0, "x"]}, "starts: must be a number"),
        ({"n_steps": 0}, "n_steps: "),
        ({"limits": (1, 1)}, r"limits: is \(1, 1\)\. Give a low value and a higher one"),
        ({"n_steps": 2000}, "n_steps: is 2000, and the states overflow"),
    ],
)
def test_what_cannot_be_iterated_is_refused(ax, options, message):
    with pytest.raises(InvalidInputError, match=message):
        plots.cobweb(scalar(2.0), 1.0, ax, **options)


def test_two_inputs_for_a_model_of_one_are_refused(ax):
    with pytest.raises(InvalidInputError, match="U"):
        plots.cobweb(scalar(0.5), [1.0, 2.0], ax)


def test_several_features_without_a_certified_equilibrium_are_refused(ax):
    with pytest.raises(NotWellPosedError):
        plots.cobweb(ImplicitModel(2 * np.eye(2), np.ones((2, 1)), None, np.ones((1, 2))), 1.0, ax)
