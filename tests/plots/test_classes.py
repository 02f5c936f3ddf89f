"""A classifier's probabilities over a plane, and against what they promise."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from shown import legend

from bcd_implicit import ImplicitClassifier, ImplicitRegressor, InvalidInputError, plots


class Known:
    """Probabilities that are known, of two or three classes, by the first input."""

    def __init__(self, classes):
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        first = np.clip(np.asarray(X)[:, 0], 0, 1)
        return np.column_stack([first, 1 - first] if len(self.classes_) == 2 else [first / 2, first / 2, 1 - first])


class SeveralLabels:
    """A classifier of labels of which a sample may have several."""

    classes_ = np.arange(2)

    def predict_proba(self, X):
        return np.full((len(X), 2), 0.9)


def test_a_point_has_the_colours_of_its_classes_in_the_shares_of_their_probabilities(ax):
    X = np.array([[0.0, 0.0], [1.0, 2.0]])
    assert plots.decision_regions(Known(["no", "yes"]), X, ["yes", "no"], ax) is ax
    image = np.asarray(ax.images[0].get_array())
    low, high, bottom, top = ax.images[0].get_extent()
    assert low < 0 < 1 < high
    assert bottom < 0 < 2 < top
    first = np.clip(low + (np.arange(image.shape[1]) + 0.5) / image.shape[1] * (high - low), 0, 1)[:, None]
    mixed = first * to_rgb("C0") + (1 - first) * to_rgb("C1")
    # Paler, to show samples on it, but by one factor.
    paler = (1 - image[0, 0, 2]) / (1 - mixed[0, 2])
    assert 0 < paler < 1
    np.testing.assert_allclose(1 - image[0], paler * (1 - mixed), atol=1e-12)
    assert np.array_equal(image[0], image[-1])  # the second input plays no part
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[1.0, 2.0]], [[0.0, 0.0]]]
    assert legend(ax) == ["no", "yes"]


def test_a_line_parts_the_regions(ax):
    X = np.random.default_rng(0).uniform(0, 1, (20, 2))
    plots.decision_regions(Known([0, 1]), X, np.zeros(20, dtype=int), ax)
    (border,) = ax.collections
    np.testing.assert_allclose(border.get_paths()[0].vertices[:, 0], 0.5)
    other = Figure().subplots()
    plots.decision_regions(Known([0, 1]), 0.4 * X, np.zeros(20, dtype=int), other)
    assert not other.collections  # all of it is one region


def test_three_regions_have_all_their_borders(ax):
    X = np.random.default_rng(0).uniform(0, 1, (20, 2))
    classifier = Known([0, 1, 2])
    # Along the first input, in thirds.
    classifier.predict_proba = lambda X: np.eye(3)[np.clip(3 * np.asarray(X)[:, 0], 0, 2.9).astype(int)]
    plots.decision_regions(classifier, X, np.zeros(20, dtype=int), ax)
    at = {round(x, 1) for border in ax.collections for x in border.get_paths()[0].vertices[:, 0]}
    assert at == {0.3, 0.7}


def test_regions_of_our_classifier_have_the_names_of_a_table(ax):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((60, 2)), columns=[r"$\foo$", "width"])
    y = pd.Series(np.where(X["width"] > 0, "wide", "narrow"))
    fitted = ImplicitClassifier(2, alpha=0.01, tol=1e-2, n_init=1).fit(X, y)
    plots.decision_regions(fitted, X, y, ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"$\foo$", "width")
    ax.figure.draw_without_rendering()


def test_shares_against_probabilities(ax):
    p = np.array([0.1, 0.1, 0.1, 0.1, 0.7, 0.7, 0.7, 1.0])
    y = np.array(["b", "a", "b", "b", "a", "a", "b", "a"])
    classifier = Known(["b", "a"])
    classifier.predict_proba = lambda X: np.column_stack([1 - p, p])
    assert plots.reliability(classifier, np.zeros((8, 1)), y, ax, n_bins=4, label="ours") is ax
    points, _, (bars,) = ax.containers[0]
    np.testing.assert_allclose(points.get_xydata(), [[0.1, 1 / 4], [0.7, 2 / 3], [1, 1]])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    shares, errors = np.array([1 / 4, 2 / 3, 1]), 2 * np.sqrt([0.09 / 4, 0.21 / 3, 0])
    np.testing.assert_allclose(ends[:, 0], np.maximum(shares - errors, 0), atol=1e-12)
    np.testing.assert_allclose(ends[:, 1], np.minimum(shares + errors, 1), atol=1e-12)
    assert legend(ax) == ["ours"]


def test_calibrated_probabilities_of_several_classes_are_on_the_diagonal(ax):
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (50_000, 1))
    P = Known([0, 1, 2]).predict_proba(X)
    y = (rng.uniform(size=len(X))[:, None] > P.cumsum(axis=1)).sum(axis=1)
    plots.reliability(Known([0, 1, 2]), X, y, ax)
    mean, share = ax.containers[0][0].get_data()
    np.testing.assert_allclose(mean, share, atol=0.02)
    assert len(mean) == 10
    wrong = Figure().subplots()
    plots.reliability(Known([0, 1, 2]), X, (y + 1) % 3, wrong)
    assert np.abs(np.subtract(*wrong.containers[0][0].get_data())).max() > 0.2


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda X, y, ax: plots.reliability(ImplicitRegressor(), X, y, ax),
            "classifier: is of type ImplicitRegressor, and has no probabilities. Pass a fitted classifier with predict",
        ),
        (
            lambda X, y, ax: plots.decision_regions(ImplicitClassifier(), X, y, ax),
            "classifier: is of type ImplicitClassifier, and is not fitted. Fit it first.",
        ),
        (
            lambda X, y, ax: plots.reliability(Known([0, 1]), X, [0, 1, None, 1], ax),
            "y: contains missing values: 1 (first at row 2). Drop these rows.",
        ),
        (
            lambda X, y, ax: plots.reliability(SeveralLabels(), X, np.eye(2)[y], ax),
            "classifier: gives probabilities of 2 labels, of which a sample may have several. Fit it on one column",
        ),
        (
            lambda X, y, ax: plots.decision_regions(SeveralLabels(), X, y, ax),
            "classifier: gives probabilities of 2 labels, of which a sample may have several.",
        ),
        (
            lambda X, y, ax: plots.decision_regions(Known(range(11)), X, y, ax),
            "classifier: has 11 classes, colours are for 10. Fit it on fewer classes.",
        ),
        (lambda X, y, ax: plots.decision_regions(Known([0, 1]), X[:, :1], y, ax), "X: has 1 columns, 2 needed."),
        (lambda X, y, ax: plots.reliability(Known([0, 1]), X, y[1:], ax), "y: has shape (3,) for 4 samples."),
        (
            lambda X, y, ax: plots.reliability(Known([0, 2]), X, y, ax),
            "y: holds '1', which the classifier does not know. The classes are 0, 2.",
        ),
        (lambda X, y, ax: plots.reliability(Known([0, 1]), X, y, ax, n_bins=0), "n_bins: got 0"),
    ],
)
def test_bad_input_is_named(ax, draw, message):
    with pytest.raises(InvalidInputError) as error:
        draw(np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1]), ax)
    assert str(error.value).startswith(message)
