"""Samples that belong together: checks, folds, halves, standard errors, and a whole selection."""

import numpy as np
import pandas as pd
import pytest

import bcd_implicit as bi
from bcd_implicit import InvalidInputError
from bcd_implicit.problem import statistics
from bcd_implicit.selection.sample_groups import check_sample_groups, halves, split


def test_labels_of_any_kind_become_numbers():
    for labels in (
        ["a", "b", "a"],
        [2.5, 1, 2.5],
        pd.Series([7, 8, 7], index=[4, 5, 6]),
        np.array([["x"], ["y"], ["x"]]),
    ):
        np.testing.assert_array_equal(check_sample_groups(labels, 3), [0, 1, 0])
    assert check_sample_groups(None, 3) is None


@pytest.mark.parametrize(
    ("labels", "n_folds", "message"),
    [
        ([1, 2], 2, "sample_groups: has 2 labels for 3 samples. Give one label per sample"),
        ([1, None, 2], 2, "sample_groups: has no label at row 1"),
        (
            [1, 1, 2],
            3,
            "sample_groups: has 2 group(s), but 3 are needed. Folds and halves of the samples never split a group",
        ),
        (np.ones((3, 2)), 2, "sample_groups: has shape (3, 2)"),
    ],
)
def test_wrong_labels_are_named(labels, n_folds, message):
    with pytest.raises(InvalidInputError) as error:
        check_sample_groups(labels, 3, n_folds)
    assert message in str(error.value)


def test_folds_and_halves_never_split_a_group():
    groups = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 1, 2, 3, 4])
    for train, test in split(25, 3, 0, groups):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == 25
    first, second = halves(25, np.random.default_rng(0), groups)
    assert not set(groups[first]) & set(groups[second])
    assert len(set(groups[first])) == len(set(groups[second])) == 4
    first, second = halves(25, np.random.default_rng(0))
    assert len(first) == len(second) == 12


def test_rankings_go_by_halves_of_the_groups(monkeypatch):
    rng = np.random.default_rng(0)
    U, groups = rng.standard_normal((24, 4)), np.repeat(np.arange(6), 4)
    path = bi.kappa_path(bi.TrainingProblem(U, U[:, 0], 2), 3)
    seen = []

    def noted(problem, half, kappas, *rest):
        seen.append(set(groups[half]))
        return np.zeros((len(kappas), 4), dtype=bool)

    monkeypatch.setattr("bcd_implicit.selection.subsamples._supports_on", noted)
    assert list(path.ranking(4, sample_groups=groups)["frequency"]) == [0, 0, 0, 0]
    assert [len(half) for half in seen] == [3, 3, 3, 3]
    assert not seen[0] & seen[1]
    with pytest.raises(InvalidInputError, match=r"sample_groups: has 1 group\(s\), but 2 are needed"):
        path.frequencies(4, sample_groups=np.ones(24))


def test_the_standard_error_counts_groups():
    rng = np.random.default_rng(0)
    values, groups = rng.standard_normal((2, 20)), np.array([4, 1, 1, 3] * 5)
    shares = rng.random(20)
    shares /= shares.sum()
    misses = shares * (values - (values @ shares)[:, None])
    sums = np.array([misses[:, groups == g].sum(axis=1) for g in (1, 3, 4)])
    of_groups = np.array([shares[groups == g].sum() for g in (1, 3, 4)])
    expected = np.sqrt((sums**2).sum(axis=0) / (1 - of_groups @ of_groups))
    np.testing.assert_allclose(statistics.standard_error(values, shares, groups), expected)
    alone = statistics.standard_error(values, shares)
    np.testing.assert_allclose(statistics.standard_error(values, shares, np.arange(20)), alone)


@pytest.fixture(scope="module")
def people():
    """Six samples of each of twenty; one input matters, the others are the people's own, like the noise."""
    rng = np.random.default_rng(1)
    own = np.repeat(rng.standard_normal((20, 4)), 6, axis=0)
    U = np.column_stack([rng.standard_normal(120), own[:, :3] + 0.3 * rng.standard_normal((120, 3))])
    return U, U[:, 0] + own[:, 3] + 0.3 * rng.standard_normal(120), np.repeat(np.arange(20), 6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_a_selection_with_groups_keeps_what_matters_and_says_how_it_was_tested(people):
    U, y, groups = people
    path = bi.kappa_path(bi.TrainingProblem(U, y, 2, pass_through=False), 4)
    options = {"grow_hidden": False, "ridges": [1e-3]}
    chosen = path.select(sample_groups=groups, **options)
    assert chosen.names == ["u0"]
    assert list(chosen.tests.columns) == ["inputs", "asked", "p_value", "by"]
    assert set(chosen.tests["by"]) == {"permutation"}
    stays = chosen.tests.query("asked == 'stay'")
    assert stays.loc[[names == ["u0"] for names in stays["inputs"]], "p_value"].max() < 0.05
    pd.testing.assert_frame_equal(path.select(sample_groups=groups, **options).tests, chosen.tests)
    with pytest.warns(UserWarning, match="the samples do not look independent"):
        path.select(**options)
    with pytest.warns(UserWarning, match="too few groups of one size can be permuted"):
        assert path.select(sample_groups=groups // 6, **options).tests is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_the_selector_takes_groups_and_warns_without(people):
    U, y, groups = people
    selector = bi.ImplicitFeatureSelector(2, n_kappas=4)
    assert selector.fit(U, y, sample_groups=groups).support_.tolist() == [True, False, False, False]
    weights = np.where(np.arange(120) < 6, 0.0, 1.0)
    assert selector.fit(U, y, weights, groups).support_[0]
    assert len(selector.path_.problem.shares) == 114
    with pytest.warns(UserWarning, match="neighbouring rows are alike"):
        selector.fit(U, y)


def test_the_selector_checks_groups_before_it_walks_a_path(people):
    with pytest.raises(InvalidInputError, match="sample_groups: has 3 labels for 120 samples"):
        bi.ImplicitFeatureSelector(2).fit(*people[:2], sample_groups=[1, 2, 3])
