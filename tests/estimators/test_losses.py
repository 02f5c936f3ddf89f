"""Losses of the estimators: probabilities, quantiles, rates, against scikit-learn where the model is linear."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_multilabel_classification
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import d2_pinball_score, d2_tweedie_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler, scale

import bcd_implicit as bi
from bcd_implicit import ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor, InvalidInputError

# A kappa that leaves B = 0, and a linear model: what is in D is penalised as scikit-learn does.
LINEAR = {"n_hidden": 1, "kappa": 100.0, "n_init": 1, "tol": 1e-12}
QUICK = {"n_hidden": 3, "alpha": 0.01, "n_init": 1, "tol": 1e-2}
linear = pytest.mark.filterwarnings("ignore:B = 0 at kappa=100")


@linear
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_a_linear_classifier_is_logistic_regression(load):
    X, y = load(return_X_y=True)
    alpha, weight = 0.02, np.random.default_rng(0).integers(1, 4, len(y))
    ours = ImplicitClassifier(**LINEAR, alpha=alpha).fit(X, y, weight)
    peer = LogisticRegression(C=1 / (alpha * weight.sum()), tol=1e-10, max_iter=10_000)
    rows = StandardScaler().fit(X, sample_weight=weight).transform(X)
    peer.fit(rows, y, weight)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(rows), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(rows))


@linear
def test_a_linear_model_of_counts_is_a_poisson_regression():
    rng = np.random.default_rng(0)
    X = scale(rng.standard_normal((300, 4)))
    y = rng.poisson(np.exp(X @ [0.5, -0.3, 0.0, 0.2] + 1)).astype(float)
    ours = ImplicitRegressor(**LINEAR, alpha=0.01, loss="poisson").fit(X, y)
    peer = PoissonRegressor(alpha=0.01, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-5)
    assert ours.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-6)
    assert ours.score(X, y) == pytest.approx(d2_tweedie_score(y, ours.predict(X), power=1))
    both = ImplicitRegressor(**LINEAR, alpha=0.01, loss="poisson").fit(X, np.column_stack([y, 2 * y]))
    # Each output by itself, and a rate twice as large for counts twice as large but for the ridge.
    np.testing.assert_allclose(both.predict(X)[:, 0], ours.predict(X), rtol=1e-4)
    assert both.score(X, np.column_stack([y, 2 * y])) > ours.score(X, y)


@linear
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_a_linear_quantile_is_a_quantile_regression(level):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 3))
    y = 100 * (X @ [1.0, -1.0, 0.5] + 0.3 * rng.standard_t(2, 200))
    ours = ImplicitRegressor(**LINEAR, alpha=1e-7, loss="quantile", quantile=level).fit(X, y)
    peer = QuantileRegressor(quantile=level, alpha=0, solver="highs").fit(X, y)
    truth, theirs = (d2_pinball_score(y, e.predict(X), alpha=level) for e in (ours, peer))
    assert truth == pytest.approx(theirs, abs=1e-5)
    assert ours.score(X, y) == pytest.approx(truth)
    assert np.mean(y <= ours.predict(X) + 1e-6) == pytest.approx(level, abs=0.03)
    if level == 0.5:
        median = ImplicitRegressor(**LINEAR, alpha=2e-7, loss="absolute").fit(X, y)  # twice the loss
        np.testing.assert_allclose(median.predict(X), ours.predict(X), atol=0.5)


@pytest.mark.slow
def test_rates_and_quantiles_that_are_not_linear_are_fitted_better():
    rng = np.random.default_rng(2)
    X, X_test = rng.uniform(-2, 2, (2, 400, 2))
    counts, counts_test = (rng.poisson(np.exp(np.abs(U[:, 0]))) for U in (X, X_test))
    ours = ImplicitRegressor(loss="poisson").fit(X, counts).score(X_test, counts_test)
    assert ours > PoissonRegressor(alpha=1e-3).fit(X, counts).score(X_test, counts_test) + 0.2
    y, y_test = (np.abs(U[:, 0]) + rng.exponential(1, 400) * (1 + np.abs(U[:, 1])) for U in (X, X_test))
    fitted = ImplicitRegressor(loss="quantile", quantile=0.8).fit(X, y)
    peer = QuantileRegressor(quantile=0.8, alpha=0).fit(X, y)
    assert fitted.score(X_test, y_test) > d2_pinball_score(y_test, peer.predict(X_test), alpha=0.8)
    assert np.mean(y_test <= fitted.predict(X_test)) == pytest.approx(0.8, abs=0.05)


def test_huber_takes_little_notice_of_outliers():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((200, 2))
    truth = X @ [1.0, 2.0]
    y = truth + 0.1 * rng.standard_normal(200)
    y[::20] += 50
    errors = [
        np.mean((ImplicitRegressor(**QUICK | {"alpha": 1e-4}, **loss).fit(X, y).predict(X) - truth) ** 2)
        for loss in ({"loss": "huber", "huber_threshold": 0.05}, {"loss": bi.HuberLoss(0.05)}, {"loss": "squared"})
    ]
    assert errors[0] == errors[1]
    assert errors[0] < 0.05 < 1 < errors[2]


def test_probabilities_are_of_all_classes_and_sum_to_one():
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    three = ImplicitClassifier(**QUICK).fit(X, names)
    two = ImplicitClassifier(**QUICK).fit(X[50:], names[50:])
    for fitted, rows in ((three, X), (two, X[50:])):
        p, log_p = fitted.predict_proba(rows), fitted.predict_log_proba(rows)
        assert p.shape == log_p.shape == (len(rows), len(fitted.classes_))
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
        np.testing.assert_allclose(np.exp(log_p), p)
        np.testing.assert_array_equal(fitted.classes_[p.argmax(axis=1)], fitted.predict(rows))
    assert (three.result_.problem.loss.name, two.result_.problem.loss.name) == ("cross-entropy", "logistic")
    assert two.decision_function(X[50:]).shape == (100,)
    np.testing.assert_allclose(three.model_.response(X), three.predict_proba(X))
    # The mean of the probabilities is the share of the class: the intercept is free.
    np.testing.assert_allclose(three.predict_proba(X).mean(axis=0), 1 / 3, atol=1e-5)


def test_logarithms_of_tiny_probabilities_are_accurate():
    X, y = load_iris(return_X_y=True)
    far = 1e4 * X[:3]
    three = ImplicitClassifier(**QUICK).fit(X, y)
    scores = three.decision_function(far)
    np.testing.assert_allclose(three.predict_log_proba(far), log_softmax(scores, axis=1), rtol=1e-12)
    assert np.isfinite(three.predict_log_proba(far)).all()
    assert three.predict_log_proba(far).min() < -1000  # the probability itself is 0
    two = ImplicitClassifier(**QUICK).fit(X[50:], y[50:])
    score, log_p = two.decision_function(far), two.predict_log_proba(far)
    np.testing.assert_allclose(log_p.min(axis=1), -np.abs(score), rtol=1e-12)


def test_the_squared_loss_has_no_probabilities():
    X, y = load_iris(return_X_y=True)
    fitted = ImplicitClassifier(**QUICK, loss="squared").fit(X, y)
    assert not hasattr(fitted, "predict_proba")
    assert not hasattr(fitted, "predict_log_proba")
    assert hasattr(ImplicitClassifier(), "predict_proba")


def test_class_weights_are_sample_weights():
    X, y = load_iris(return_X_y=True)
    X, y = X[25:], np.array(["a", "b", "c"])[y[25:]]  # 25, 50, 50
    weight = np.random.default_rng(0).integers(1, 3, len(y))

    def predicted(sample_weight, class_weight=None):
        fitted = ImplicitClassifier(**QUICK, class_weight=class_weight).fit(X, y, sample_weight)
        return fitted.predict_proba(X)

    by_hand = np.where(y == "b", 3.0, 1.0)
    np.testing.assert_array_equal(predicted(weight, {"b": 3.0}), predicted(weight * by_hand))
    totals = {label: weight[y == label].sum() for label in "abc"}
    balanced = np.array([1 / totals[label] for label in y])
    np.testing.assert_allclose(predicted(weight, "balanced"), predicted(weight * balanced), atol=1e-4)
    twice = np.repeat(np.arange(len(y)), weight)
    repeated = ImplicitClassifier(**QUICK, class_weight="balanced").fit(X[twice], y[twice])
    np.testing.assert_allclose(repeated.predict_proba(X), predicted(weight, "balanced"), atol=1e-4)
    # A class of weight 0 is left out, as by sample weights.
    assert ImplicitClassifier(**QUICK, class_weight={"a": 0}).fit(X, y).classes_.tolist() == ["b", "c"]


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", r"class_weight: got 'even'\. Give None, \"balanced\""),
        ({"d": 1.0}, r"class_weight: names the class 'd', which is not in y\. The classes are 'a', 'b', 'c'"),
        ({"a": -1.0}, "class_weight: got -1"),
        ([1, 2, 3], "class_weight: got"),
    ],
)
def test_class_weights_that_cannot_be_used(class_weight, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(InvalidInputError, match=message):
        ImplicitClassifier(**QUICK, class_weight=class_weight).fit(X, np.array(["a", "b", "c"])[y])


@linear
def test_labels_of_which_a_sample_may_have_several():
    X, Y = make_multilabel_classification(120, 5, n_classes=3, random_state=0)
    X = scale(X)
    fitted = ImplicitClassifier(**LINEAR, alpha=0.01).fit(X, pd.DataFrame(Y, columns=["x", "y", "z"]))
    assert fitted.predict(X).shape == fitted.predict_proba(X).shape == fitted.decision_function(X).shape == (120, 3)
    assert fitted.model_.output_names == ["x", "y", "z"]
    for j in range(3):
        peer = LogisticRegression(C=1 / (0.01 * 120), tol=1e-10, max_iter=10_000).fit(X, Y[:, j])
        np.testing.assert_allclose(fitted.predict_proba(X)[:, j], peer.predict_proba(X)[:, 1], atol=1e-5)
        np.testing.assert_array_equal(fitted.predict(X)[:, j], peer.predict(X))
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X))
    assert 0.3 < fitted.score(X, Y) < 1.0  # all labels right
    with pytest.raises(
        InvalidInputError,
        match="class_weight: is 'balanced', for one class per sample, but y has 3 labels. Omit it",
    ):
        ImplicitClassifier(class_weight="balanced").fit(X, Y)
    least_squares = ImplicitClassifier(**QUICK, loss="squared").fit(X, Y)
    assert least_squares.predict(X).shape == (120, 3)


def test_losses_that_do_not_suit_are_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(InvalidInputError, match="loss: 'logistic' is for two classes, or .*, but y has 3 classes"):
        ImplicitClassifier(loss="logistic").fit(X, y)
    with pytest.raises(InvalidInputError, match="loss: 'huber' is not a loss for classes. Use one of cross-entropy, "):
        ImplicitClassifier(loss="huber").fit(X, y)
    with pytest.raises(InvalidInputError, match="loss: unknown loss 'pinball'"):
        ImplicitRegressor(loss="pinball").fit(X, y)
    with pytest.raises(InvalidInputError, match="quantile: got 1.5"):
        ImplicitRegressor(loss="quantile", quantile=1.5).fit(X, y)
    with pytest.raises(InvalidInputError, match="huber_threshold: got 0"):
        ImplicitRegressor(loss="huber", huber_threshold=0).fit(X, y)
    # The row is the person's own, though samples are sorted.
    with pytest.raises(InvalidInputError, match="y: the Poisson loss needs targets of 0 or more, row 7 of 'y0' is -1"):
        ImplicitRegressor(loss="poisson").fit(X, np.where(np.arange(150) == 7, -1, y))


def test_cross_validated_errors_are_log_losses():
    X, y = load_iris(return_X_y=True)
    fitted = ImplicitClassifier(3, alpha=(0.01, 10.0), n_init=1, tol=1e-2, n_folds=3).fit(X, y)
    # In shares of log 3, what the classes' shares alone lose: so much regularisation leaves nothing else.
    assert fitted.cv_errors_[10.0] == pytest.approx(1.0, abs=0.1)
    assert fitted.cv_errors_[0.01] < 0.3
    assert fitted.alpha_ == 0.01


@pytest.mark.parametrize(
    ("loss", "y", "expected", "n_outputs"),
    [
        ("auto", np.array(["u", "v", "w"] * 20), "cross-entropy", 3),
        ("auto", np.array(["u", "v"] * 30), "logistic", 1),
        ("auto", np.arange(60) % 7 + 0.5, "squared", 1),
        pytest.param("squared", np.array(["u", "v", "w"] * 20), "squared", 3, marks=pytest.mark.slow),
        pytest.param("cross-entropy", np.arange(60) % 3, "cross-entropy", 3, marks=pytest.mark.slow),
        ("cross-entropy", np.arange(60) % 2, "logistic", 1),
        pytest.param("logistic", np.arange(60) % 2, "logistic", 1, marks=pytest.mark.slow),
        pytest.param("poisson", np.arange(60) % 7, "poisson", 1, marks=pytest.mark.slow),
        pytest.param("huber", np.arange(60) % 7, "huber", 1, marks=pytest.mark.slow),
        (bi.QuantileLoss(0.7), np.arange(60) % 7, "quantile", 1),
    ],
)
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@pytest.mark.usefixtures("plain_choice")
def test_the_selector_takes_the_loss_that_suits(loss, y, expected, n_outputs):
    X = np.random.default_rng(0).standard_normal((60, 2))
    X[:, 0] += np.unique(y, return_inverse=True)[1]
    settings = {"n_kappas": 2, "rule": "plateau", "level": None, "n_folds": 2, "min_features_to_select": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error", bi.DataWarning)
        problem = ImplicitFeatureSelector(1, loss=loss, **settings).fit(X, y).path_.problem
    assert (problem.loss.name, problem.n_outputs) == (expected, n_outputs)
    # Huber's loss has medians.
    centre = np.median(problem.Y) if problem.loss.robust_units else problem.Y.mean()
    assert problem.loss.free_targets == (abs(centre) < 1e-9)


def test_targets_that_do_not_suit_the_selectors_loss():
    X = np.random.default_rng(0).standard_normal((60, 2))
    with pytest.raises(InvalidInputError, match="y: is not numeric: text"):
        ImplicitFeatureSelector(loss="poisson").fit(X, ["a", "b", "c"] * 20)
    with pytest.raises(InvalidInputError, match="y: the Poisson loss needs targets of 0 or more, row 0 of 'y0' is -2"):
        ImplicitFeatureSelector(loss="poisson").fit(X, np.arange(60) - 2)


@pytest.mark.slow
def test_handwritten_digits():
    X, y = load_digits(return_X_y=True)
    scores = []
    for seed in range(3):
        parts = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
        classifier = ImplicitClassifier(30, alpha=0.003, pass_through=False, n_init=1, tol=1e-3, random_state=seed)
        scores.append(classifier.fit(parts[0], parts[2]).score(parts[1], parts[3]))
    # 0.978, 0.973 and 0.971 here.
    assert np.mean(scores) >= 0.97
