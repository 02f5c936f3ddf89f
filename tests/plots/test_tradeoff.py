"""The picture of accuracy against robustness."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from bcd_implicit import ImplicitModel, InvalidInputError, plots
from bcd_implicit.tradeoff import RobustnessCurve, RobustPoint


def curve_of(classes):
    rng = np.random.default_rng(0)
    models = [
        ImplicitModel(
            np.zeros((2, 2)), np.eye(2), None, [[size, 0], [0, size]], link="softmax" if classes else "identity"
        )
        for size in (3.0, 2.0, 1.0)
    ]
    points = [
        RobustPoint(name, bound, model, result)
        for name, bound, model, result in zip(
            ["plain", "2", "net"], [np.inf, 2.0, np.inf], models, [1, 1, None], strict=True
        )
    ]
    y = rng.integers(0, 2, 20) if classes else rng.standard_normal((20, 2))
    return RobustnessCurve(tuple(points), 0.2, classes, (rng.standard_normal((20, 2)), y), 0)


@pytest.mark.parametrize(
    ("classes", "good", "proved"), [(True, "accuracy", "certified"), (False, "R2", "certified width")]
)
def test_the_curve_and_the_others(ax, classes, good, proved):
    curve = curve_of(classes)
    assert plots.robustness(curve, ax) is ax
    table = curve.table
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert_allclose(drawn["certified, gain bounded"], table.loc[["plain", "2"], [good, proved]].to_numpy())
    assert_allclose(drawn["certified, others"], table.loc[["net"], [good, proved]].to_numpy())
    assert [text.get_text() for text in ax.texts] == ["plain", "2", "net"]
    assert ax.get_xlabel() == f"{good} on test samples"


def test_something_else_is_refused(ax):
    with pytest.raises(InvalidInputError, match="curve"):
        plots.robustness(3, ax)
