"""Five measures of inputs side by side, each beside its formula."""

from __future__ import annotations

import numpy as np
import pytest
from boxes import drawn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance

import bcd_implicit as bi
from bcd_implicit.model.explanations.importance import MEASURES


class AsEstimator(RegressorMixin, BaseEstimator):
    """A model that scikit-learn can score."""

    def __init__(self, model):
        self.model, self.is_fitted_ = model, True

    def fit(self, X, y):
        return self

    def predict(self, X):
        return self.model.predict(X)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_every_measure_is_its_formula(rng):
    model, U = drawn(rng, input_names=["a", "b", "c"]), rng.normal(size=(40, 3)) * [1.0, 5.0, 0.2]
    found = model.importance(U)
    spread, unit = U.std(axis=0), model.predict(U).std(axis=0)
    S = model.sensitivity().to_numpy()
    assert_allclose(found.measures["sensitivity"], (S * spread / unit[:, None]).mean(axis=0), rtol=1e-12)
    slopes = np.abs(model.jacobian(U)).mean(axis=0)
    assert_allclose(found.measures["slope"], (slopes * spread / unit[:, None]).mean(axis=0), rtol=1e-12)
    assert_allclose(found.measures["norm_B"], np.linalg.norm(model.B, axis=0) * spread, rtol=1e-12)
    assert_allclose(found.measures["norm_D"], np.linalg.norm(model.D / unit[:, None], axis=0) * spread, rtol=1e-12)
    # No slope is above what the sensitivity allows.
    assert (found.measures["slope"] <= found.measures["sensitivity"]).all()
    assert found.score == pytest.approx(1.0)
    table = found.table
    assert set(table.columns) == {"input", *MEASURES, "permutation_std", *(f"rank_{name}" for name in MEASURES)}
    assert_array_equal(np.sort(-table["permutation"]), -table["permutation"])
    assert table["rank_permutation"].tolist() == [1, 2, 3]
    for name in MEASURES:
        assert table.loc[table[f"rank_{name}"] == 1, name].item() == table[name].max()
    assert "rank of each input" in str(found)
    assert "sensitivity" in found._repr_html_()
    assert repr(found) == "Importance(3 inputs or groups, score=1)"


def test_permutations_are_those_of_scikit_learn(rng):
    model, U = drawn(rng, q=1), rng.normal(size=(200, 3))
    Y = model.predict(U) + rng.normal(size=(200, 1))
    ours = model.importance(U, Y, n_repeats=100)
    theirs = permutation_importance(AsEstimator(model), U, Y, n_repeats=100, random_state=0)
    # Both are means of 100 shuffles.
    near = 4 * (ours.permutation_std + theirs.importances_std) / 10
    assert (np.abs(ours.measures["permutation"] - theirs.importances_mean) <= near).all()
    assert_allclose(ours.permutation_std, theirs.importances_std, rtol=0.5)
    assert ours.score == pytest.approx(AsEstimator(model).score(U, Y))


def test_units_of_inputs_and_outputs_do_not_matter(rng):
    model, U = drawn(rng), rng.normal(size=(30, 3))
    Y = model.predict(U) + 0.3 * rng.normal(size=(30, 2))
    u, y = np.array([1e3, 1.0, 1e-4]), np.array([1e-3, 1e2])
    C, D, d = model.C * y[:, None], model.D * y[:, None] / u, model.d * y
    other = bi.ImplicitModel(model.A, model.B / u, model.b, C, D, d)
    one, two = model.importance(U, Y), other.importance(U * u, Y * y)
    for name in MEASURES:
        assert_allclose(one.measures[name], two.measures[name], rtol=1e-6)


def test_inputs_without_a_part_are_last_and_groups_count_together(rng):
    model, U = drawn(rng, p=4), rng.normal(size=(30, 4))
    B, D = model.B.copy(), model.D.copy()
    B[:, 1] = D[:, 1] = 0
    model = bi.ImplicitModel(model.A, B, model.b, model.C, D, model.d)
    alone = model.importance(U)
    assert all(values[1] == 0 for values in alone.measures.values())
    assert alone.table["input"].iloc[-1] == "u1"
    together = model.importance(U, groups={"pair": ["u0", "u3"]})
    assert together.names == ["pair", "u1", "u2"]
    for name in ("sensitivity", "slope"):
        assert_allclose(together.measures[name][0], alone.measures[name][[0, 3]].sum())
    assert_allclose(together.measures["norm_B"][0], np.hypot(*alone.measures["norm_B"][[0, 3]]))
    # Shuffled together: rows of both move with one order.
    order = np.random.default_rng(0).permutation(30)
    shuffled = U.copy()
    shuffled[:, [0, 3]] = U[order][:, [0, 3]]
    Y = model.predict(U) / model.predict(U).std(axis=0)
    lost = ((model.predict(shuffled) / model.predict(U).std(axis=0) - Y) ** 2).sum()
    once = model.importance(U, groups={"pair": ["u0", "u3"]}, n_repeats=1)
    assert once.measures["permutation"][0] == pytest.approx(lost / ((Y - Y.mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize(("link", "q"), [("softmax", 3), ("logit", 1), ("logit", 2), ("log", 1)])
def test_scores_are_of_the_link_and_classes_are_numbers_names_or_columns(rng, link, q):
    names = [f"class{k}" for k in range(q)]
    model, U = drawn(rng, q=q, link=link, output_names=names), rng.normal(size=(60, 3))
    Y = model.predict(U)
    if link == "log":
        targets, others = rng.poisson(np.exp(np.minimum(Y, 3))).astype(float), []
    elif q == 1:
        targets, others = (Y > 0).astype(float), [Y[:, 0] > 0]
    elif link == "logit":
        targets, others = (Y > 0).astype(float), []
    else:
        best = Y.argmax(axis=1)
        targets, others = np.eye(3)[best], [best, np.array(names)[best]]
    found = model.importance(U, targets)
    assert found.score <= 1
    assert found.measures["permutation"].max() > 0
    for same in others:
        assert_array_equal(model.importance(U, same).measures["permutation"], found.measures["permutation"])


def test_without_a_bound_for_all_inputs_the_sensitivity_is_not_known(rng):
    model = bi.ImplicitModel([[0.0]], [[1.0, 0.0]], None, [[1.0]], activation="square")
    found = model.importance(rng.normal(size=(20, 2)))
    assert np.isnan(found.measures["sensitivity"]).all()
    assert found.table["rank_sensitivity"].isna().all()
    assert found.table["rank_slope"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"U": np.zeros((1, 3))}, "U: has 1 sample, at least 2 needed"),
        ({"U": np.zeros((5, 2))}, "U: has 2 columns, 3 needed"),
        ({"Y": np.zeros((4, 2))}, "Y: has 4 samples but U has 5"),
        ({"Y": np.zeros((5, 1))}, "Y: has 1 columns, 2 needed"),
        ({"loss": "poisson"}, "loss: 'poisson' is for predictions on the scale 'log', but the model is on 'identity'"),
        ({"loss": "none"}, "loss: unknown loss 'none'"),
        ({"n_repeats": 0}, "n_repeats: got 0"),
        ({"groups": [1]}, "groups: has 1 labels for 3 inputs"),
        ({"random_state": -1}, "random_state: got -1"),
    ],
)
def test_what_does_not_fit_is_said(rng, options, words):
    with pytest.raises(bi.InvalidInputError, match=words):
        drawn(rng).importance(**({"U": rng.normal(size=(5, 3))} | options))


def test_a_class_that_is_not_there_is_said(rng):
    model = drawn(rng, q=3, link="softmax")
    with pytest.raises(bi.InvalidInputError, match="Y: has the class 3. Use names of outputs or numbers from 0 to 2"):
        model.importance(rng.normal(size=(4, 3)), [0, 1, 2, 3])


def test_targets_that_do_not_vary_are_warned_of_and_a_class_that_samples_lack_is_not():
    rng = np.random.default_rng(20)
    model, U = drawn(rng, q=1), rng.normal(size=(10, 3))
    with pytest.warns(bi.DataWarning, match="the target 'y0' does not vary"):
        model.importance(U, np.zeros(10))
    classes = drawn(rng, q=3, link="softmax")
    assert np.isfinite(classes.importance(U, np.arange(10) % 2).score)
