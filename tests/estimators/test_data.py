"""What the estimators read: the same door as problems have, names as scikit-learn keeps them, and labels."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from odd_tables import BROKEN, odd_samples, refused, tried

import bcd_implicit as bi
from bcd_implicit import ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor, InvalidInputError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 3))
Y = np.abs(X[:, 0]) + 0.1 * RNG.standard_normal(30)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
QUICK = {"n_hidden": 2, "alpha": 0.1, "max_cycles": 3, "n_init": 1}
QUICK_CHOICE = {
    "loss": "squared",
    "n_hidden": 2,
    "n_kappas": 2,
    "rule": "plateau",
    "level": None,
    "min_features_to_select": 0,
}

# A selector that looks for more is tested elsewhere; here it is what stands before it that counts.
pytestmark = [
    pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning"),
    pytest.mark.usefixtures("plain_choice"),
]
few = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@few
@given(odd_samples())
def test_regressors_take_and_refuse_what_problems_do(samples):
    inputs, targets, weight = samples
    fitted = tried(lambda: ImplicitRegressor(**QUICK).fit(inputs, targets, weight))
    problem = tried(lambda: bi.TrainingProblem(inputs, targets, 2, sample_weight=weight))
    if refused(fitted, "X", "y", "sample_weight"):
        assert targets is None or fitted.cause.replace("X", "U") == problem.cause
    else:
        assert np.isfinite(tried(lambda: fitted.predict(inputs))).all()
        assert isinstance(problem, bi.TrainingProblem)


@few
@given(odd_samples(words=True))
def test_classifiers_fit_or_say_why_not(samples):
    inputs, labels, weight = samples
    fitted = tried(lambda: ImplicitClassifier(**QUICK).fit(inputs, labels, weight))
    if not refused(fitted, "X", "y", "sample_weight"):
        assert np.isin(tried(lambda: fitted.predict(inputs)), fitted.classes_).all()


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        return ImplicitRegressor(**QUICK).fit(FRAME, Y)


@pytest.mark.parametrize("dress", BROKEN)
def test_predict_and_transform_refuse_what_fit_refuses(fitted, dress):
    broken = BROKEN[dress](X)
    for call in (
        fitted.predict,
        lambda table: fitted.score(table, Y),
        ImplicitRegressor(**QUICK).fit(FRAME, Y).predict,
    ):
        with pytest.raises(ValueError, match="X"):
            call(broken)
    problem = tried(lambda: bi.TrainingProblem(broken, Y, 2))
    assert isinstance(problem, InvalidInputError)


def test_names_reach_the_model_from_every_kind_of_frame(fitted):
    assert fitted.model_.input_names == ["a", "b", "c"]
    arrow = pa.Table.from_pandas(FRAME)
    np.testing.assert_array_equal(fitted.predict(arrow), fitted.predict(FRAME))
    assert ImplicitRegressor(**QUICK).fit(arrow, Y).feature_names_in_.tolist() == ["a", "b", "c"]
    # scikit-learn keeps names that are text only; the model keeps all of them
    years = pd.DataFrame(X, columns=[2019, 2020, 2021])
    counted = ImplicitRegressor(**QUICK).fit(years, Y)
    assert not hasattr(counted, "feature_names_in_")
    assert counted.model_.input_names == ["2019", "2020", "2021"]
    mixed = ImplicitRegressor(**QUICK).fit(years.rename(columns={2019: "first"}), Y)
    assert mixed.feature_names_in_.tolist() == ["first", "2020", "2021"]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_other_columns_than_in_fit_are_refused_in_the_words_of_scikit_learn(fitted):
    with pytest.raises(ValueError, match="X has 2 features, but ImplicitRegressor is expecting 3 features as input"):
        fitted.predict(X[:, :2])
    with pytest.raises(ValueError, match="The feature names should match"):
        fitted.predict(FRAME[["b", "a", "c"]])


def test_targets_as_text_are_numbers_for_regressor_and_selector_alike():
    text = Y.astype(str)
    assert ImplicitRegressor(**QUICK).fit(X, text).score(X, text) == ImplicitRegressor(**QUICK).fit(X, Y).score(X, Y)
    numbers, texts = (ImplicitFeatureSelector(**QUICK_CHOICE).fit(X, y) for y in (Y, text))
    np.testing.assert_array_equal(numbers.path_.problem.Y, texts.path_.problem.Y)
    # one entry that is no number is no reason to make thirty classes
    text[3] = "n/a"
    for estimator in (ImplicitRegressor(**QUICK), ImplicitFeatureSelector(**QUICK_CHOICE)):
        with pytest.raises(
            InvalidInputError, match=r"^y: is not numeric: text, row 3 holds 'n/a'\. Encode it as numbers"
        ):
            estimator.fit(X, text)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["low", "high", "low"] * 10, ["low"]),
        (pd.Series([1, 2, 3] * 10, dtype="category"), ["1", "2", "3"]),
        (pd.Categorical(["1", "2", "3"] * 10), ["1", "2", "3"]),
    ],
)
def test_words_and_categories_are_classes_for_the_selector(labels, names):
    assert ImplicitFeatureSelector(**QUICK_CHOICE).fit(X, labels).path_.problem.output_names == names


NUMBERS = pd.Series(np.round(Y, 2))


@pytest.mark.parametrize("dress", [list, pd.Series, np.array, pd.DataFrame])
def test_a_decimal_comma_makes_no_classes(dress):
    commas = dress(NUMBERS.astype(str).str.replace(".", ",").to_list())
    problem = tried(lambda: bi.TrainingProblem(X, commas, 2))
    assert "text, row 0 holds '" in problem.cause
    for estimator in (ImplicitRegressor(**QUICK), ImplicitFeatureSelector(**QUICK_CHOICE)):
        with pytest.raises(InvalidInputError) as caught:
            estimator.fit(X, commas)
        error = caught.value
        assert (error.argument, error.cause, error.remedy) == ("y", problem.cause, problem.remedy)


@pytest.mark.parametrize(
    "dress", [lambda n: n, lambda n: n.astype(str).str.replace(".", ","), lambda n: n.map("{} kg".format)]
)
def test_many_labels_that_look_like_numbers_are_warned_of(dress):
    inputs = np.tile(X, (3, 1)) + np.arange(90)[:, None] % 7
    labels = dress(pd.concat([NUMBERS] * 3, ignore_index=True).astype(str))
    with pytest.warns(
        bi.DataWarning, match=rf"^y holds {labels.nunique()} different labels that look like numbers, such"
    ):
        ImplicitFeatureSelector(**QUICK_CHOICE).fit(inputs, pd.Categorical(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error", bi.DataWarning)
        ImplicitFeatureSelector(**QUICK_CHOICE).fit(inputs, pd.Categorical(labels.str[:3]))
        ImplicitFeatureSelector(**QUICK_CHOICE).fit(inputs, pd.Categorical("nr " + labels))


@pytest.mark.parametrize("estimator", [ImplicitClassifier(**QUICK), ImplicitFeatureSelector(**QUICK_CHOICE)])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([b"u", b"v"] * 15), r"^y: holds bytes, row 0 holds b'u'\. Decode them: numpy\.char\.decode"),
        (pd.Series(["u", b"v"] * 15), r"^y: holds bytes, row 1 holds b'v'\. Decode"),
        (pd.Categorical(["a", 1] * 15), r"^y: holds labels of several kinds: int, str\. Pass them all as text"),
        (pd.Categorical(pd.to_timedelta([1, 2] * 15)), r"^y: holds durations\. Pass labels that are text or whole"),
    ],
)
def test_labels_of_odd_kinds_are_refused(estimator, labels, message):
    with pytest.raises(InvalidInputError, match=message):
        estimator.fit(X, labels)


def test_the_remedy_for_bytes_works():
    labels = np.char.decode(np.asarray([b"u", b"v"] * 15, dtype="S"))
    assert ImplicitClassifier(**QUICK).fit(X, labels).classes_.tolist() == ["u", "v"]


@pytest.mark.parametrize("names", [[2019, "a", 3.5], [True, False, "b"], ["a", np.nan, "b"], [2019, 2020, 2021]])
def test_names_of_several_kinds_are_text_at_every_door(names):
    frame = pd.DataFrame(X, columns=names)
    regressor = ImplicitRegressor(**QUICK).fit(frame, Y)
    assert regressor.predict(frame).shape == (30,)
    selector = ImplicitFeatureSelector(2, n_features_to_select=3, n_kappas=2).fit(frame, Y)
    np.testing.assert_array_equal(selector.transform(frame), X)
    assert selector.set_output(transform="pandas").transform(frame).shape == (30, 3)
    assert bi.TrainingProblem(frame, Y, 2).input_names == [str(name) for name in names]


def test_two_columns_of_one_name_as_text_are_refused_at_every_door(fitted):
    frame = pd.DataFrame(X, columns=[1, "1", "b"])
    for call in (
        lambda: ImplicitRegressor(**QUICK).fit(frame, Y),
        lambda: ImplicitFeatureSelector(**QUICK_CHOICE).fit(frame, Y),
        lambda: bi.TrainingProblem(frame, Y, 2),
        lambda: fitted.predict(frame),
        lambda: bi.ImplicitModel([[0]], np.ones((1, 3)), None, [[1]], input_names=["1", "b", "c"]).predict(frame),
    ):
        with pytest.raises(InvalidInputError, match=r"has two columns named '1'\. Rename one of them"):
            call()


@pytest.mark.parametrize("kind", [int, str])
def test_a_few_whole_numbers_may_be_classes_however_they_are_written(kind):
    labels = (np.arange(30) % 3).astype(kind)
    with pytest.warns(bi.DataWarning, match=r"^y holds 3 different whole numbers, which are treated as numbers"):
        ImplicitFeatureSelector(**QUICK_CHOICE).fit(X, labels)


@pytest.mark.parametrize("estimator", [ImplicitClassifier(**QUICK), ImplicitFeatureSelector(**QUICK_CHOICE)])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "fit requires y to be passed, but the target y is None"),
        (["a"] * 30, "has only one class, 'a', among the samples that have a weight"),
        (["a", None, "b"] * 10, r"contains missing values \(NaN\): 10 \(first at row 1\)"),
        (["a", "b"] * 7, "has 14 samples but X has 30. Give both the same rows"),
        (np.ones((30, 1, 1)), "has 3 dimensions|dim 3"),
        (np.arange(30) + 1j, "Complex data not supported"),
        (np.where(np.arange(30) == 4, -np.inf, 1.5), r"contains infinity: 1 \(first at row 4\)"),
    ],
)
def test_labels_that_cannot_be_used_are_named(estimator, labels, message):
    with pytest.raises(InvalidInputError, match=f"^y: .*({message})"):
        estimator.fit(X, labels)


def test_numbers_and_tables_of_labels_are_no_classes():
    with pytest.raises(InvalidInputError, match=r"^y: Unknown label type: continuous.*for numbers use ImplicitReg"):
        ImplicitClassifier(**QUICK).fit(X, Y)
    with pytest.raises(InvalidInputError, match=r"^y: 2 columns are not numeric: 0 \(text, row 0 holds 'a'\)"):
        ImplicitClassifier(**QUICK).fit(X, np.full((30, 2), "a"))
    cause = "y: has 2 columns, but row 3 in column 1 is neither 0 nor 1. Give one column of labels, or a column of 0 "
    with pytest.raises(InvalidInputError, match=cause):
        ImplicitClassifier(**QUICK).fit(X, np.column_stack([np.zeros(30), np.where(np.arange(30) == 3, 2, 1)]))


def test_groups_by_whole_number_names():
    selector = ImplicitFeatureSelector(**QUICK_CHOICE, groups={"early": [2019, 2020]})
    groups = selector.fit(pd.DataFrame(X, columns=[2019, 2020, 2021]), Y).path_.problem.groups
    assert groups == ["early", "early", "2021"]


def test_limits_and_ridges_of_a_selector_reach_its_choice():
    settings = QUICK_CHOICE | {"n_kappas": 6, "rule": "min", "n_folds": 2}
    selector = ImplicitFeatureSelector(**settings, max_features=1, ridges=[0.5]).fit(X, Y)
    assert selector.path_.max_features == 1
    assert selector.support_.sum() <= 1
    assert selector.selection_.result.problem.ridge_hidden == 0.5
    with pytest.raises(InvalidInputError, match="ridges: got -1, must be >= 0. Give 0 or more"):
        ImplicitFeatureSelector(**QUICK_CHOICE, ridges=[-1]).fit(X, Y)


@pytest.mark.parametrize("estimator", [ImplicitRegressor(**QUICK), ImplicitFeatureSelector(**QUICK_CHOICE)])
def test_what_looks_wrong_is_said_once_and_can_be_silenced(estimator):
    numbered = FRAME.assign(id=range(30))
    with pytest.warns(bi.DataWarning, match=r"^X: column 'id' only numbers the rows") as caught:
        estimator.fit(numbered, Y)
    assert sum(issubclass(w.category, bi.DataWarning) for w in caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bi.DataWarning)
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        estimator.fit(numbered, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": [[0.1, 0.2]]}, r"^alpha: must be a number, got \[0\.1, 0\.2\]\. Choose 0 or more, or a list"),
        ({"alpha": None}, r"^alpha: must be a list of numbers, got None\. Choose 0 or more"),
        ({"alpha": 0.1, "n_folds": 1}, r"^n_folds: got 1, must be >= 2\. Give 2 or more folds"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(InvalidInputError, match=message):
        ImplicitRegressor(**parameters).fit(X, Y)


def test_a_list_of_several_kinds_is_not_made_text():
    X = np.random.default_rng(0).standard_normal((40, 2))
    for y in ([True, "a"] * 20, np.array([True, "a"] * 20, dtype=object)):
        with pytest.raises(
            InvalidInputError, match="y: holds labels of several kinds: bool, str. Pass them all as text"
        ):
            ImplicitClassifier().fit(X, y)
        for estimator in (ImplicitRegressor(), ImplicitFeatureSelector()):
            with pytest.raises(InvalidInputError, match="y: is not numeric: text, row 1 holds 'a'"):
                estimator.fit(X, y)
    quick = ImplicitClassifier(1, alpha=0.1, n_init=1, tol=0.1)
    assert quick.fit(X, ["1", "1.0"] * 20).classes_.tolist() == ["1", "1.0"]
