import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bcd_implicit as bi
from bcd_implicit import ImplicitClassifier, ImplicitFeatureSelector, ImplicitRegressor, InvalidInputError
from bcd_implicit.model.standardization import Standardization

# One check skips itself, whatever the estimator: check_array_api_input, unless SCIPY_ARRAY_API is set before SciPy is
# imported. The estimators do not claim support for the array API.


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # checks fit noise, a constant, two samples: they do not converge, and say so
@parametrize_with_checks([ImplicitRegressor(), ImplicitClassifier(), ImplicitFeatureSelector()])
def test_scikit_learns_checks_with_the_defaults(estimator, check):
    check(estimator)


# The same, quickly, in every run: a few cycles, and nothing to choose by cross-validation. Selection takes longer.
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        ImplicitRegressor(2, alpha=0.1, max_cycles=4, n_init=1),
        ImplicitClassifier(2, alpha=0.01, max_cycles=4, n_init=1),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal([5, -2, 0, 100], [1, 3, 0.1, 20], (80, 4)), columns=["a", "b", "c", "d"])
    y = 3 * np.abs(X["a"] - 5) - X["b"] + 0.1 * rng.standard_normal(80)
    return X, y.rename("target")


def test_regressor_is_solve_on_standardised_data_and_models_take_raw_inputs(table):
    X, y = table
    fitted = ImplicitRegressor(4, alpha=0.01, tol=1e-3, n_init=1, random_state=3).fit(X, y)
    scales = Standardization.fit(X.to_numpy(), y.to_numpy()[:, None])
    problem = bi.TrainingProblem(
        *scales.apply(X.to_numpy(), y.to_numpy()[:, None]), 4, kappa=0.0, ridge=0.01, ridge_hidden=0.01
    )
    # the same objective, though samples are sorted; its value at the estimator's matrices by our own formula
    it = fitted.result_.iterate
    here = problem.at_equilibrium(it.replace(X=np.zeros((4, 80))))
    assert problem.objective_at_states(here) == pytest.approx(fitted.result_.objective)
    U, _ = scales.apply(X.to_numpy(), y.to_numpy()[:, None])
    raw = fitted.result_.model.predict(U) * scales.target_scale + scales.target_mean
    np.testing.assert_allclose(fitted.predict(X), raw)
    assert fitted.score(X, y) > 0.9
    assert fitted.n_iter_ == fitted.result_.n_cycles
    assert fitted.model_.input_names == ["a", "b", "c", "d"]


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_order_repetition_and_weights_say_the_same_to_the_last_bit(table):
    X, y = (part.to_numpy() for part in table)
    regressor = ImplicitRegressor(3, max_cycles=5, alpha=(0.1, 0.01), n_folds=3)
    times = np.random.default_rng(1).integers(0, 4, 80)
    weighted = regressor.fit(X, y, sample_weight=times).predict(X)
    places = np.random.default_rng(2).permutation(np.repeat(np.arange(80), times))
    repeated = clone(regressor).fit(X[places], y[places]).predict(X)
    np.testing.assert_array_equal(weighted, repeated)
    unweighted = clone(regressor).fit(X, y).predict(X)
    assert np.abs(weighted - unweighted).max() > 1e-3


def test_alpha_is_chosen_by_cross_validation():
    X, y = load_diabetes(return_X_y=True)
    fitted = ImplicitRegressor(5, alpha=(1e-3, 0.1, 10), max_cycles=300).fit(X, y)
    assert fitted.alpha_ == 0.1
    errors = fitted.cv_errors_
    assert sorted(errors) == [1e-3, 0.1, 10]
    assert errors[0.1] < min(errors[1e-3], errors[10])
    # in shares of the variance: predicting the mean has an error of 1
    assert 0.4 < errors[0.1] < 0.6
    with pytest.warns(bi.ConvergenceWarning, match=r"^B = 0 at alpha=0\.5: no input .* Choose a smaller alpha"):
        assert ImplicitRegressor(5, alpha=0.5, tol=1e-2, n_init=1).fit(X, y).alpha_ == 0.5


@pytest.mark.slow
def test_diabetes_is_not_overfitted():
    X, y = load_diabetes(return_X_y=True)
    ours, ridge = [], []
    for seed in range(5):
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=seed)
        ours.append(ImplicitRegressor(random_state=seed).fit(X_train, y_train).score(X_test, y_test))
        peer = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e4, 31)))
        ridge.append(peer.fit(X_train, y_train).score(X_test, y_test))
    assert np.mean(ours) > np.mean(ridge) - 0.01


def test_targets_keep_their_shape(table):
    X, y = table
    both = np.column_stack([y, -2 * y + 1])
    regressor = ImplicitRegressor(3, alpha=0.01, tol=1e-2, n_init=1)
    assert regressor.fit(X, both).predict(X).shape == (80, 2)
    assert regressor.fit(X, both[:, :1]).predict(X).shape == (80, 1)
    assert regressor.fit(X, both[:, 0]).predict(X).shape == (80,)


def test_classifier_takes_the_largest_indicator():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    fitted = ImplicitClassifier(5, loss="squared", alpha=0.001, tol=1e-3, n_init=1).fit(X, names)
    assert fitted.score(X, names) > 0.95
    scores = fitted.decision_function(X)
    assert scores.shape == (150, 3)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[scores.argmax(axis=1)])
    # indicators of -1 and 1: a squared loss with intercept keeps their mean
    np.testing.assert_allclose(scores.mean(axis=0), -1 / 3, atol=1e-6)
    two = ImplicitClassifier(5, loss="squared", alpha=0.001, tol=1e-3, n_init=1).fit(X[50:], names[50:])
    assert two.decision_function(X).shape == (150,)
    np.testing.assert_array_equal(two.predict(X) == "virginica", two.decision_function(X) > 0)


def test_classifier_without_weight_on_a_class_does_not_know_it():
    X, y = load_iris(return_X_y=True)
    weight = np.where(y == 1, 0.0, 1.0)
    fitted = ImplicitClassifier(3, alpha=0.01, tol=1e-3, n_init=1).fit(X, y, sample_weight=weight)
    assert fitted.classes_.tolist() == [0, 2]
    assert fitted.decision_function(X).shape == (150,)
    assert (fitted.decision_function(X)[y == 2] > 0).all()  # positive for the second
    np.testing.assert_array_equal(fitted.predict(X[y != 1]), y[y != 1])
    with pytest.raises(InvalidInputError, match=r"y: has only one class, '0.0', .*Give samples of two classes or more"):
        ImplicitClassifier().fit(X, np.zeros(150))


@pytest.mark.slow
def test_selector_keeps_names_of_what_matters():
    data = bi.datasets.make_column_sparse(
        n_samples=120, n_features=8, n_outputs=6, n_hidden=4, n_informative=2, noise=0.1, random_state=0
    )
    X = pd.DataFrame(data.U, columns=[f"input {j}" for j in range(8)])
    selector = ImplicitFeatureSelector(3, n_kappas=8).set_output(transform="pandas").fit(X, data.Y)
    true = [f"input {j}" for j in np.flatnonzero(data.support)]
    assert selector.get_feature_names_out().tolist() == true
    assert selector.transform(X).columns.tolist() == true
    pd.testing.assert_frame_equal(selector.transform(X), X[true])
    left = selector.leaves_at_
    assert left[data.support].min() > left[~data.support].max()
    assert ImplicitFeatureSelector(3, n_kappas=8, n_features_to_select=1).fit(X, data.Y).get_support().sum() == 1
    # a model with D is grouped over (B; D)
    assert ImplicitFeatureSelector(3, n_kappas=4, pass_through=True).fit(X, data.Y).path_.problem.stacked


def test_selector_turns_labels_that_are_words_into_indicators(plain_choice):
    X, y = load_wine(return_X_y=True)
    words = np.array(["one", "two", "three"])[y]
    selector = ImplicitFeatureSelector(1, n_kappas=4, rule="plateau", level=None).fit(X, words)
    assert selector.path_.problem.n_outputs == 3


@pytest.mark.slow
def test_pipeline_in_a_grid_search_on_a_data_frame(table):
    X, y = table
    pipeline = make_pipeline(
        ImplicitFeatureSelector(2, n_kappas=2, n_folds=2, pass_through=True).set_output(transform="pandas"),
        ImplicitRegressor(3, alpha=0.01, tol=1e-2, n_init=1),
    )
    grid = {"implicitfeatureselector__n_features_to_select": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_ == {"implicitfeatureselector__n_features_to_select": 2}
    best = search.best_estimator_
    assert best[0].get_feature_names_out().tolist() == ["a", "b"]
    assert best[-1].feature_names_in_.tolist() == ["a", "b"]
    assert best.score(X, y) > 0.9
    again = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_warm_start_goes_on_where_the_last_fit_ended(table):
    X, y = table
    regressor = ImplicitRegressor(4, alpha=0.01, max_cycles=3, tol=0.0, warm_start=True).fit(X, y)
    reached = regressor.result_.objective
    assert clone(regressor).fit(X, y).result_.objective == reached
    assert regressor.fit(X, y).result_.objective < reached
    regressor.set_params(n_hidden=5).fit(X, y)  # another size: from the beginning
    assert regressor.model_.n_hidden == 5


@pytest.mark.slow
def test_warm_start_leaves_a_model_that_a_large_alpha_emptied():
    x = np.random.default_rng(0).uniform(-1, 1, (120, 1))
    y = np.sin(4 * x[:, 0])
    with pytest.warns(bi.ConvergenceWarning, match="B = 0 at alpha=10"):
        regressor = ImplicitRegressor(alpha=10.0, warm_start=True, tol=1e-3).fit(x, y)
    assert regressor.score(x, y) < 0.3
    assert regressor.set_params(alpha=1e-3).fit(x, y).score(x, y) > 0.95


def test_warm_start_begins_anew_where_the_intercept_goes(table):
    X, y = table
    settings = {"alpha": 0.01, "fit_intercept": False, "tol": 1e-2, "n_init": 1}
    regressor = ImplicitRegressor(4, **settings | {"fit_intercept": True}, warm_start=True).fit(X, y)
    again = regressor.set_params(fit_intercept=False).fit(X, y)
    assert again.result_.objective == ImplicitRegressor(4, **settings).fit(X, y).result_.objective
    with pytest.raises(InvalidInputError, match="warm_start: must be True or False, got 'yes'"):
        regressor.set_params(warm_start="yes").fit(X, y)
    with pytest.raises(InvalidInputError, match="verbose: got 'no'"):
        ImplicitRegressor(verbose="no").fit(X, y)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_the_best_of_several_starts_is_kept(table):
    X, y = table
    settings = {"alpha": 0.01, "max_cycles": 5, "tol": 0.0, "n_init": 1}
    each = [ImplicitRegressor(4, **settings, random_state=s).fit(X, y) for s in (4, 5, 6)]
    several = settings | {"n_init": 3, "random_state": 4}  # of its three starts the first is neither best nor worst
    best, parallel = (ImplicitRegressor(4, **several, n_jobs=k).fit(X, y) for k in (1, 2))
    assert best.result_.objective == parallel.result_.objective <= each[0].result_.objective
    np.testing.assert_array_equal(best.predict(X), parallel.predict(X))
    starts = {round(e.result_.objective, 10) for e in each}
    assert len(starts) == 3  # the starts matter


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=[pytest.mark.processes, pytest.mark.slow])])
def test_only_the_best_start_warns(table, n_jobs):
    X, y = table
    fits = []
    for max_cycles in (3, 200):  # too few for any start, and enough
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fits.append(
                ImplicitRegressor(4, alpha=0.01, max_cycles=max_cycles, n_init=3, n_jobs=n_jobs, random_state=0).fit(
                    X, y
                )
            )
        told = [str(w.message) for w in caught if issubclass(w.category, bi.ConvergenceWarning)]
        assert len(told) == (0 if fits[-1].result_.status.ok else 1)
    assert {fit.result_.status.ok for fit in fits} == {True, False}


def test_importances_are_derivatives(table):
    X, y = table
    fitted = ImplicitRegressor(4, alpha=0.01, tol=1e-2, n_init=1).fit(X, y)
    assert fitted.feature_importances_.shape == (4,)
    step = 1e-6 * X.std(ddof=0)
    for j, name in enumerate(X.columns):
        up, down = X.copy(), X.copy()
        up[name] += step[name]
        down[name] -= step[name]
        slope = (fitted.predict(up) - fitted.predict(down)) / 2e-6 / y.std(ddof=0)
        assert fitted.feature_importances_[j] == pytest.approx(np.sqrt(np.mean(slope**2)), rel=1e-3)
    chosen = SelectFromModel(ImplicitRegressor(4, alpha=0.01, tol=1e-2, n_init=1)).fit(X, y).get_support()
    assert chosen.tolist() == [True, True, False, False]


def test_without_intercept_the_origin_stays_where_it_is(table):
    X, y = table
    fitted = ImplicitRegressor(4, alpha=0.1, fit_intercept=False, tol=1e-2, n_init=1).fit(X, y)
    assert not fitted.model_.b.any()
    assert not fitted.model_.d.any()
    assert fitted.predict(pd.DataFrame(np.zeros((1, 4)), columns=X.columns)) == 0


def test_a_column_that_only_rounding_moves_is_a_constant(table):
    X, y = table
    almost = X.assign(e=np.where(np.arange(80) % 2, 0.3, 0.1 * 3))
    assert almost["e"].std() > 0
    with_it, without = (ImplicitRegressor(3, alpha=0.01, tol=1e-3, n_init=1).fit(table, y) for table in (almost, X))
    assert not with_it.model_.B[:, 4].any()
    assert with_it.score(almost, y) > without.score(X, y) - 0.01


def test_models_know_the_names_of_targets_and_classes(table):
    X, y = table
    settings = {"n_hidden": 2, "alpha": 0.1, "tol": 1e-2, "n_init": 1}
    assert ImplicitRegressor(**settings).fit(X, y).model_.output_names == ["target"]
    both = pd.DataFrame({"one": y, "two": -y})
    assert ImplicitRegressor(**settings).fit(X, both).model_.output_names == ["one", "two"]
    classes = np.where(y > 1, "high", np.where(y < -1, "low", "middle"))
    assert ImplicitClassifier(**settings).fit(X, classes).model_.output_names == ["high", "low", "middle"]
    assert ImplicitClassifier(**settings).fit(X, y > 0).model_.output_names == ["True"]


def test_a_kappa_that_empties_B_is_told(table):
    with pytest.warns(bi.ConvergenceWarning, match=r"B = 0 at kappa=100: no input reaches the state"):
        ImplicitRegressor(3, alpha=0.1, kappa=100.0).fit(*table)


@pytest.mark.parametrize("verbose", [1, True])
def test_verbose_shows_the_folds_too(table, capsys, verbose):
    ImplicitRegressor(2, alpha=(0.1, 1.0), n_folds=2, tol=1e-2, n_init=1, verbose=verbose).fit(*table)
    told = capsys.readouterr().err
    assert "fold 2 of 2" in told
    assert "cycle" in told
    ImplicitRegressor(2, alpha=0.1, tol=1e-2, verbose=0).fit(*table)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.processes
def test_answer_does_not_depend_on_n_jobs(table):
    X, y = table
    one, two = (
        ImplicitRegressor(3, alpha=(0.1, 0.01), n_folds=3, tol=1e-2, n_jobs=k).fit(X, y).predict(X) for k in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_constraints_reach_the_problem(table):
    X, y = table
    quick = {"alpha": 0.01, "max_cycles": 3, "n_init": 1}
    free = ImplicitRegressor(3, **quick).fit(X, y)
    assert free.model_.B.min() < -1e-3
    signed = ImplicitRegressor(3, **quick, constraints=[bi.constraints.nonnegative("B")]).fit(X, y)
    assert signed.model_.B.min() >= -1e-6
    assert signed.result_.dual_values["nonnegative(B)"].shape == (3, 4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_hidden": 0}, "n_hidden: "),
        ({"alpha": -1.0}, "alpha: "),
        ({"alpha": ()}, "alpha: is empty"),
        ({"alpha": (1.0, np.nan)}, "alpha: "),
        ({"n_folds": 1}, "n_folds: "),
        ({"activation": "tanhh"}, "tanhh"),
        ({"method": "adam"}, "method: unknown method 'adam'"),
        ({"max_cycles": 0}, "max_cycles: got 0"),
        ({"n_init": 0}, "n_init: got 0"),
        ({"fit_intercept": "no"}, "fit_intercept: must be True or False, got 'no'"),
        ({"random_state": -1}, "random_state: got -1"),
        ({"alpha": "large"}, "alpha: must be a number, got 'large'"),
        ({"constraints": [lambda v: v["A"]]}, "constraint"),
    ],
)
def test_bad_parameters_are_named_by_fit_and_not_by_init(table, parameters, message, monkeypatch):
    X, y = table

    def never(*args, **options):
        raise AssertionError("a fit began before the parameters were checked")

    monkeypatch.setattr("bcd_implicit.training.cycles.prox_linear_cycle", never)
    with pytest.raises(InvalidInputError, match=message):
        ImplicitRegressor(**parameters).fit(X, y)


def test_bad_data_are_named(table):
    X, y = table
    with pytest.raises(ValueError, match="NaN"):
        ImplicitRegressor().fit(X.replace(X.iloc[0, 0], np.nan), y)
    with pytest.raises(InvalidInputError, match="sample_weight: is -1 at row 0"):
        ImplicitRegressor().fit(X, y, sample_weight=np.r_[-1, np.ones(79)])
    fitted = ImplicitRegressor(3, alpha=0.1, tol=1e-2, n_init=1).fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(X.rename(columns={"a": "other"}))
    with pytest.raises(InvalidInputError, match="X: has entries as large as .* in column .*Scale it to about 1"):
        ImplicitRegressor().fit(X * 1e200, y)
    with pytest.raises(InvalidInputError, match="y: is not numeric: text, row 0 holds 'a'. Encode it as numbers"):
        ImplicitRegressor().fit(X, ["a"] * 80)
    unfitted = ImplicitRegressor()
    with pytest.raises(InvalidInputError):
        unfitted.fit(X, y, sample_weight=-np.ones(80))
    with pytest.raises(NotFittedError):  # n_features_in_ is known, a model is not
        unfitted.predict(X)
