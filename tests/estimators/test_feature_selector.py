"""The feature selector as a step of pipelines: what it asks for, and what it says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from bcd_implicit import DataWarning, ImplicitFeatureSelector, InvalidInputError, TrainingProblem

X = np.random.default_rng(0).standard_normal((40, 3))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_features_to_select": 0}, r"^n_features_to_select: .* Give a number from 1 to the number of inputs\.$"),
        ({"n_features_to_select": 4}, r"^n_features_to_select: .* Give a number from 1 to the number of inputs\.$"),
        ({"n_features_to_select": 0.5}, r"^n_features_to_select: must be a whole number"),
        ({"min_features_to_select": 4}, r"^min_features_to_select: .* Give a number from 0 to the number of inputs\.$"),
        ({"n_folds": "3"}, r"^n_folds: must be a whole number, got '3'"),
        ({"n_folds": 1}, r"^n_folds: got 1, must be >= 2"),
        ({"rule": "best"}, r"^rule: unknown rule 'best'"),
        ({"level": 2}, r"^level: got 2"),
        ({"rule": "min", "n_features_to_select": 2}, r"^rule: min does not choose .*, n_features_to_select=2 does"),
        ({"level": 0.05, "n_features_to_select": 2}, r"^level: got 0.05, .* which n_features_to_select=2 fixes"),
        ({"n_jobs": 0}, r"^n_jobs: got 0"),
    ],
)
def test_bad_parameters_are_named_before_the_path_is_walked(monkeypatch, parameters, message):
    monkeypatch.setattr("bcd_implicit.estimators.selector.kappa_path", None)
    with pytest.raises(InvalidInputError, match=message):
        ImplicitFeatureSelector(**parameters).fit(X, X[:, 0])


def test_too_few_samples_are_said_to_be_too_few():
    with pytest.raises(InvalidInputError, match=r"X: has 3 samples that differ and have a weight\. Give 4 or more"):
        ImplicitFeatureSelector().fit(X[:3], X[:3, 0])
    with pytest.raises(InvalidInputError, match=r"X: has 2 samples that differ"):
        ImplicitFeatureSelector().fit(X, X[:, 0], sample_weight=np.arange(40) < 2)


def test_zeros_of_either_sign_are_one_value():
    zeros = np.where(np.arange(40) % 3, 0.0, -0.0)
    with pytest.raises(InvalidInputError, match=r"X: has no samples that differ and have a weight\. Give 4 or more"):
        ImplicitFeatureSelector().fit(zeros[:, None], zeros)
    problem = TrainingProblem(zeros[:, None], zeros, 1)
    assert not np.signbit(problem.U).any()
    assert not np.signbit(problem.Y).any()


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_where_nothing_stands_out_the_next_step_still_gets_an_input(plain_choice):
    noise = np.random.default_rng(1).standard_normal(40)
    with pytest.warns(UserWarning, match="none of the inputs stands out, fewer than min_features_to_select=1"):
        kept = ImplicitFeatureSelector(2, n_kappas=4).fit(X, noise)
    assert kept.support_.sum() == 1
    assert kept.transform(X).shape == (40, 1)
    said = kept.explain().sentences[:2]
    assert said[0] == "Fewer inputs stand out than min_features_to_select=1."
    assert said[1].startswith("Chosen by number: the 1 of 3 inputs that stays longest on the path.")
    empty = ImplicitFeatureSelector(2, n_kappas=4, min_features_to_select=0).fit(X, noise)
    assert not empty.support_.any()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_numbers_of_any_type_are_numbers_and_texts_are_classes():
    settings = {"n_hidden": 2, "n_kappas": 6, "rule": "plateau", "level": None}
    y = X[:, 0] + 0.1 * X[:, 1]
    floats, objects = (ImplicitFeatureSelector(**settings).fit(X, y.astype(kind)) for kind in (float, object))
    np.testing.assert_array_equal(floats.leaves_at_, objects.leaves_at_)
    inputs, labels = load_iris(return_X_y=True)
    with pytest.warns(UserWarning, match=r"y holds 3 different whole numbers, .* pass pandas.Series\(y, dtype="):
        assert ImplicitFeatureSelector(**settings).fit(inputs, labels).path_.problem.n_outputs == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        categories = pd.Series(labels, dtype="category")
        problem = ImplicitFeatureSelector(**settings).fit(inputs, categories).path_.problem
        ImplicitFeatureSelector(**settings).fit(inputs, labels.astype(float))
    assert problem.output_names == ["0", "1", "2"]


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_the_least_number_counts_whole_groups(plain_choice):
    noise = np.random.default_rng(1).standard_normal(40)
    groups = [0, 0, 1]
    with pytest.warns(UserWarning, match=r"min_features_to_select=2: the [23] that stay longest"):
        kept = ImplicitFeatureSelector(2, n_kappas=3, groups=groups, min_features_to_select=2).fit(X, noise)
    assert kept.support_[0] == kept.support_[1]
    assert kept.support_.sum() >= 2


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_the_path_ends_at_the_number_of_inputs_asked_for(plain_choice):
    y = X @ [1.0, 0.5, 0.1]
    selector = ImplicitFeatureSelector(2, n_kappas=4, n_features_to_select=2).fit(X, y)
    assert selector.support_.tolist() == [True, True, False]
    sizes = selector.path_.supports.sum(axis=1)
    assert sizes[-1] <= 2 < min(sizes[:-1], default=3)
    assert np.isinf(selector.leaves_at_[selector.path_.supports[-1]]).all()
    reasons = selector.explain()
    assert set(reasons.table.query("outcome == 'kept'")["input"]) == {"x0", "x1"}
    assert "the 2 of 3 inputs that stay longest" in repr(reasons)


def test_inputs_that_were_never_in_are_not_kept():
    with (
        pytest.warns(DataWarning, match="the target 'y0' does not vary, so no input can explain it"),
        pytest.warns(UserWarning, match="no input is in even at the first kappa"),
        pytest.warns(UserWarning, match=r"none is kept, because none was ever on the path\.$"),
    ):
        selector = ImplicitFeatureSelector(2, n_kappas=2).fit(X, np.full(40, 7.0))
    assert not selector.support_.any()


def test_a_table_of_another_library_keeps_its_names_to_the_end():
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((40, 3)), columns=["a", "b", "c"])

    class Library:
        """A data frame such as polars'."""

        def to_pandas(self):
            return X

    y = np.maximum(X["a"], 0).to_numpy()
    selector = ImplicitFeatureSelector(3, n_kappas=4, level=None).fit(Library(), y)
    # Without a warning that the names are missing.
    np.testing.assert_array_equal(selector.transform(Library()), X[selector.get_feature_names_out()])
