"""Arguments of the estimators that contradict each other or the data, and what is said of them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

import bcd_implicit as bi
from bcd_implicit import DataWarning, ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor, InvalidInputError

QUICK = {"n_hidden": 2, "alpha": 0.01, "n_init": 1, "tol": 1e-1}
rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
COUNTS = rng.poisson(np.exp(X[:, :2])).astype(float)
IRIS, SPECIES = load_iris(return_X_y=True)
WORDS = np.array(["a", "b", "c"])[SPECIES]


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", "quantile", "poisson"])
def test_scores_are_of_targets_like_those_of_the_fit(loss):
    one, two = (ImplicitRegressor(**QUICK, loss=loss).fit(X, y) for y in (COUNTS[:, 0], COUNTS))
    assert one.score(X, COUNTS[:, :1]) == one.score(X, COUNTS[:, 0])
    for fitted, y, message in (
        (one, COUNTS, "y: has 2 columns, 1 needed"),
        (two, COUNTS[:, 0], "y: has 1 columns, 2 needed"),
        (one, COUNTS[1:, 0], "y: has 39 samples but X has 40. Give both the same rows"),
        (two, COUNTS.T, "y: has 40 columns, 2 needed"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            fitted.score(X, y)
    with pytest.raises(InvalidInputError, match="sample_weight: has 3 weights for 40 samples"):
        one.score(X, COUNTS[:, 0], np.ones(3))


def test_accuracies_are_of_labels_like_those_of_the_fit():
    Y = np.column_stack([SPECIES == 1, SPECIES == 2]).astype(int)
    one, several = ImplicitClassifier(**QUICK).fit(IRIS, SPECIES), ImplicitClassifier(**QUICK).fit(IRIS, Y)
    assert one.score(IRIS, SPECIES) == np.mean(one.predict(IRIS) == SPECIES)
    assert several.score(IRIS, Y) == np.mean((several.predict(IRIS) == Y).all(axis=1))
    assert several.score(IRIS, pd.DataFrame(Y)) == several.score(IRIS, Y)
    for fitted, y, message in (
        (one, Y, r"y: has shape \(150, 2\), but the classifier was fitted on one column"),
        (several, SPECIES, r"y: has shape \(150,\), but the classifier was fitted on 2 columns, one for each label"),
        (one, SPECIES[1:], "y: has 149 samples but X has 150"),
        (one, None, "y: fit requires y to be passed"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            fitted.score(IRIS, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantile": 0.9}, r"""quantile: applies only to loss="quantile", but loss is 'squared'. Choose loss="""),
        (
            {"quantile": 0.9, "loss": bi.QuantileLoss(0.5)},
            r"quantile: .* but loss is <loss quantile .*an object has its",
        ),
        ({"huber_threshold": 0.3}, """huber_threshold: applies only to loss="huber", but"""),
        ({"huber_threshold": 0.3, "loss": bi.HuberLoss()}, "huber_threshold: .*an object has its own number"),
        ({"huber_threshold": 0.3, "loss": "quantile", "quantile": 0.9}, "huber_threshold: "),
    ],
)
def test_a_number_that_the_loss_does_not_look_at_is_refused(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        ImplicitRegressor(**QUICK, **settings).fit(X, X[:, 0])
    # The defaults pass.
    ImplicitRegressor(**QUICK, loss="absolute", quantile=0.5, huber_threshold=1.0).fit(X, X[:, 0])


def test_class_weights_may_name_a_class_that_a_fold_lacks():
    rare = np.r_[0:102, 148:150]  # of the third class there are two samples, both in the last fold
    weights = {"a": 1.0, "b": 2.0, "c": 3.0}
    classifier = ImplicitClassifier(**QUICK, class_weight=weights)
    folds = [(np.arange(100), rare[100:]), (rare, rare)]
    assert np.isfinite(cross_val_score(classifier, IRIS, WORDS, cv=folds)).all()
    # As in scikit-learn: one that is misspelt leaves a class without a weight.
    for wrong in ({"a": 1.0, "B": 2.0, "c": 3.0}, {"z": 2.0}):
        with pytest.raises(InvalidInputError, match="class_weight: names the class '[Bz]', which is not in y"):
            ImplicitClassifier(**QUICK, class_weight=wrong).fit(IRIS, WORDS)
        with pytest.raises(ValueError, match="not in class_weight"):
            LogisticRegression(class_weight=wrong).fit(IRIS, WORDS)
    with pytest.raises(InvalidInputError, match="class_weight: names the class 9"):
        ImplicitClassifier(class_weight={np.int64(9): 1.0}).fit(IRIS, SPECIES)


def test_class_weights_that_leave_nothing():
    with pytest.raises(InvalidInputError, match="class_weight: gives no sample a positive weight"):
        ImplicitClassifier(**QUICK, class_weight={0: 0, 1: 0}).fit(IRIS[:100], SPECIES[:100])
    with pytest.raises(InvalidInputError, match="y: has only one class, '1', among the samples that have a weight"):
        ImplicitClassifier(**QUICK, class_weight={0: 0}).fit(IRIS[:100], SPECIES[:100])


def test_probabilities_go_by_the_loss_that_was_fitted():
    fitted = ImplicitClassifier(**QUICK).fit(IRIS, SPECIES).set_params(loss="squared")
    assert fitted.predict_proba(IRIS).shape == (150, 3)
    fitted = ImplicitClassifier(**QUICK, loss="squared").fit(IRIS, SPECIES).set_params(loss="cross-entropy")
    with pytest.raises(AttributeError) as error:
        _ = fitted.predict_proba
    assert str(error.value.__cause__).startswith('there are no probabilities with loss="squared": fit with')
    assert not hasattr(ImplicitClassifier(loss="nonsense"), "predict_proba")


def test_logistic_is_not_for_several_classes_anywhere():
    for estimator in (ImplicitClassifier(loss="logistic"), ImplicitFeatureSelector(loss="logistic")):
        for y in (WORDS, pd.Series(SPECIES, dtype="category")):
            with pytest.raises(InvalidInputError, match="loss: 'logistic' is for two classes, .* 3 classes. Use cross"):
                estimator.fit(IRIS, y)


def test_a_classifier_speaks_of_its_own_losses():
    for loss in ("hinge", "poisson"):
        with pytest.raises(InvalidInputError) as error:
            ImplicitClassifier(loss=loss).fit(IRIS, SPECIES)
        assert str(error.value).endswith("Use one of cross-entropy, logistic, squared.")
    with pytest.raises(InvalidInputError) as error:
        ImplicitClassifier().fit(IRIS, IRIS[:, 0])
    assert str(error.value).endswith("Give one column of labels; for numbers use ImplicitRegressor.")


def test_messages_about_targets_of_classes_do_not_contradict_each_other():
    with pytest.raises(
        InvalidInputError, match=r'classes as pandas.get_dummies\(y\) with loss="cross-entropy"'
    ) as error:
        ImplicitRegressor(loss="logistic").fit(IRIS, SPECIES)
    assert "row 100 of 'y0' is 2" in str(error.value)
    with pytest.raises(InvalidInputError, match="the cross-entropy needs a column for each class, but there is one"):
        ImplicitRegressor(loss="cross-entropy").fit(IRIS, SPECIES)
    with pytest.raises(InvalidInputError, match="columns that sum to 1, and row 0 sums to 2"):
        ImplicitRegressor(loss="cross-entropy").fit(IRIS, np.ones((150, 2)))
    fitted = ImplicitRegressor(**QUICK, loss="cross-entropy").fit(IRIS, pd.get_dummies(SPECIES))
    assert fitted.predict(IRIS).shape == (150, 3)


@pytest.mark.filterwarnings("default:the target")
def test_a_label_that_never_or_always_occurs_is_warned_of():
    Y = pd.DataFrame({"rare": SPECIES == 1, "never": False, "always": True})
    with pytest.warns(DataWarning, match="^the targets never, always do not vary, so no input can explain them: check"):
        ImplicitClassifier(**QUICK).fit(IRIS, Y)


def test_rates_beyond_floating_point_are_warned_of():
    y = np.exp(X[:, 0]).round()
    fitted = ImplicitRegressor(**QUICK, loss="poisson").fit(X, y)
    far = X.copy()
    far[3, 0], far[7, 0] = 1e5, 1e6
    with pytest.warns(DataWarning, match="^rates of 2 of 40 samples are infinite: their logarithms go up to "):
        assert np.isinf(fitted.predict(far)).sum() == 2


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_hubers_threshold_is_in_units_that_outliers_do_not_stretch(size):
    truth = X @ [1.0, 2.0, 3.0]
    clean = truth + 0.3 * np.random.default_rng(1).standard_normal(40)
    y = clean.copy()
    y[[5, 20]] = size
    off = [
        np.sqrt(np.mean((ImplicitRegressor(**QUICK, loss="huber").fit(X, t).predict(X) - truth) ** 2))
        for t in (clean, y)
    ]
    assert off[1] < 0.2 * truth.std()
    assert off[1] < off[0] + 0.6
    # Half of the targets and more are one number: standard deviations.
    many = np.where(np.arange(40) < 30, 0.0, X[:, 0])
    scale = ImplicitRegressor(**QUICK, loss="huber").fit(X, many)
    assert scale.result_.problem.Y.std() == pytest.approx(1.0)
