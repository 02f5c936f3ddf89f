"""``standardize=True``: what is trained is the standardised problem, what a person sees is in the data's units."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes

import bcd_implicit as bi
from bcd_implicit.problem.iterate import Iterate

RNG = np.random.default_rng(1)
M = 60
U = pd.DataFrame(
    {"metres": RNG.normal(3, 1, M), "millimetres": RNG.normal(500, 900, M), "rare": (np.arange(M) % 30 == 0) * 1.0}
)
Y = pd.DataFrame({"cost": 40 * np.maximum(U["metres"] - 3, 0) + 5, "risk": 1e-3 * U["millimetres"] - U["rare"]})
Y += RNG.normal(0, 0.1, Y.shape) * Y.std().to_numpy()
OPTIONS = {"n_hidden": 4, "kappa": 0.01}


def by_hand(values, weight=None):
    """Columns of mean 0 and deviation 1, in NumPy alone."""
    shares = np.ones(len(values)) if weight is None else np.asarray(weight)
    shares = shares / shares.sum()
    mean = shares @ values
    return (values - mean) / np.sqrt(shares @ (values - mean) ** 2)


def standardised(**options):
    return bi.TrainingProblem(U, Y, **OPTIONS, standardize=True, **options)


@pytest.fixture(scope="module")
def trained():
    return bi.solve(standardised(), tol=1e-3)


def test_the_problem_is_that_of_standardised_columns(trained):
    u, y = by_hand(U.to_numpy()), by_hand(Y.to_numpy())
    same = bi.TrainingProblem(u, y, **OPTIONS, input_names=list(U), output_names=list(Y))
    assert_allclose(trained.problem.U, u.T, atol=1e-12)
    assert_allclose(trained.problem.Y, y.T, atol=1e-12)
    assert same.objective(trained.iterate) == pytest.approx(trained.problem.objective(trained.iterate), rel=1e-9)
    other = bi.solve(same, tol=1e-3)
    assert other.objective == pytest.approx(trained.objective, rel=1e-6)


def test_models_take_and_give_the_data_s_units(trained):
    model, it, problem = trained.model, trained.iterate, trained.problem
    u, y = U.to_numpy(), Y.to_numpy()
    expected = y.mean(axis=0) + y.std(axis=0) * problem.prediction(it).T
    assert_allclose(model.predict(U), expected, rtol=1e-9)
    assert_allclose(model.B, it.B / u.std(axis=0), rtol=1e-12)
    assert_allclose(model.D, it.D / u.std(axis=0) * y.std(axis=0)[:, None], rtol=1e-12)
    assert model.input_names == list(U)
    assert_allclose(problem.samples[0], u, atol=1e-9)
    assert_allclose(problem.samples[1], y, atol=1e-9)


def test_a_model_goes_in_as_it_came_out(trained):
    back = trained.problem.iterate(trained.model)
    for letter in "ABCDbdX":
        assert_allclose(getattr(back, letter), getattr(trained.iterate, letter), atol=1e-9)
    again = bi.solve(trained.problem, start=trained.model, tol=1e-3)
    assert again.objective <= trained.objective * (1 + 1e-9)
    assert again.n_cycles <= trained.n_cycles


def test_a_result_of_other_units_starts_where_it_predicts_the_same(trained):
    raw = bi.TrainingProblem(U, Y, **OPTIONS, standardize=False)
    for problem, start in ((raw, trained), (trained.problem, bi.solve(raw, tol=1e-2, block_tol=None))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bi.ConvergenceWarning)
            once = bi.solve(problem, start=start, max_cycles=1)
        assert once.objective <= problem.objective(problem.iterate(start.model)) * (1 + 1e-6)


def test_weights_and_intercepts_count():
    weight = np.linspace(0, 1, M)
    problem = standardised(sample_weight=weight)
    assert_allclose(problem.U.T, by_hand(U.to_numpy()[1:], weight[1:]), atol=1e-12)
    plain = standardised(fit_intercept=False)
    assert_allclose(plain.U.T, U.to_numpy() / U.to_numpy().std(axis=0), rtol=1e-12)
    it = plain.initial()
    assert not plain.model(it).b.any()
    assert not plain.model(it).d.any()


def test_classes_and_counts_stay_as_they_are():
    counts = np.arange(M) % 3
    for loss, targets in (("poisson", counts), ("logistic", counts > 0), ("cross-entropy", np.eye(3)[counts])):
        problem = bi.TrainingProblem(U, targets, 3, loss=loss, standardize=True)
        assert_array_equal(problem.Y.T, np.reshape(targets, (M, -1)))
        assert_allclose(problem.U.std(axis=1), 1)


def test_constraints_and_bounds_act_on_standardised_columns():
    problem = standardised(constraints="box(B, lower=-0.2, upper=0.2)")
    result = bi.solve(problem, tol=1e-2, max_cycles=30)
    assert np.abs(result.iterate.B).max() <= 0.2 + 1e-6
    assert_allclose(result.model.B * U.to_numpy().std(axis=0), result.iterate.B, atol=1e-12)


def test_subsets_keep_the_units_of_the_whole(trained):
    problem = trained.problem
    kept = np.array([True, False, True])
    part = problem.subset(np.arange(0, M, 2), kept)
    it = part.initial()
    raw = part.model(it).predict(U.loc[::2, kept])
    assert_allclose(raw, Y.to_numpy().mean(axis=0) + Y.to_numpy().std(axis=0) * part.prediction(it).T, rtol=1e-9)


@pytest.mark.slow
def test_paths_and_choices():
    path = bi.kappa_path(standardised(), 6)
    chosen = path.select(grow_hidden=False)
    same = bi.kappa_path(bi.TrainingProblem(by_hand(U.to_numpy()), by_hand(Y.to_numpy()), **OPTIONS), 6)
    assert_array_equal(path.supports, same.supports)
    assert_array_equal(chosen.support, same.select(grow_hidden=False).support)
    it, problem = chosen.result.iterate, chosen.result.problem
    expected = Y.to_numpy().mean(axis=0) + Y.to_numpy().std(axis=0) * problem.prediction(it).T
    assert_allclose(chosen.model.predict(U), expected, rtol=1e-9)
    empty = path.select(n_features=1, grow_hidden=False)
    assert empty.model.predict(U).shape == Y.shape


def test_architectures_judge_in_one_unit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        seen = bi.architecture_path(standardised(), n_kappas=2, unseen=(U, Y), max_cycles=2)
    for found in seen.found:
        result = found.penalised
        # The samples are those of the training.
        assert found.unseen_losses[0] == pytest.approx(result.problem.mean_loss(result.iterate), rel=1e-6)


def test_other_settings_that_change_the_units_are_refused(trained):
    with pytest.raises(bi.InvalidInputError, match="fit_intercept: cannot be replaced.*Build a new problem"):
        trained.problem.replace(fit_intercept=False)
    with pytest.raises(bi.InvalidInputError, match="loss: cannot be replaced"):
        trained.problem.replace(loss="poisson")
    assert trained.problem.replace(loss="huber", kappa=1.0).scaling is trained.problem.scaling
    with pytest.raises(bi.InvalidInputError, match="standardize: must be True or False, got 'yes'"):
        bi.TrainingProblem(U, Y, 3, standardize="yes")
    with pytest.raises(bi.InvalidInputError, match="standardize: cannot be replaced"):
        trained.problem.replace(standardize=True)
    assert "standardize=True" in repr(trained.problem)


def test_a_checkpoint_goes_on(tmp_path):
    file = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        bi.solve(standardised(), max_cycles=2, checkpoint=file)
        resumed = bi.solve(standardised(), max_cycles=4, checkpoint=file)
        straight = bi.solve(standardised(), max_cycles=4)
    assert_array_equal(resumed.model.B, straight.model.B)
    with pytest.raises(bi.InvalidInputError, match="U"):
        bi.solve(bi.TrainingProblem(U, Y, **OPTIONS, standardize=False), checkpoint=file)


class TestWarning:
    def test_it_names_the_columns_and_the_remedy(self):
        with pytest.warns(bi.DataWarning) as given:
            bi.TrainingProblem(U, Y, 3)
        texts = [str(warning.message) for warning in given]
        deviation = U["millimetres"].std(ddof=0)
        assert len(texts) == 2
        assert texts[0].startswith("U: the spreads of its columns differ by a factor of")
        assert f"'millimetres' has {deviation:.3g}" in texts[0]
        assert "Pass standardize=True" in texts[0]
        assert texts[1].startswith("Y: ")
        assert given[0].filename == __file__

    @pytest.mark.parametrize("answer", [True, False])
    def test_whoever_has_answered_is_not_asked(self, answer):
        bi.TrainingProblem(U, Y, 3, standardize=answer)

    def test_a_rare_indicator_is_no_small_unit(self):
        u = np.column_stack([RNG.normal(size=1000), np.arange(1000) == 3])
        assert u[:, 1].std() < 0.1 * u[:, 0].std()
        bi.TrainingProblem(u, u[:, 0], 3)
        # Nor is it one where it was standardised already.
        bi.TrainingProblem(by_hand(u), u[:, 0], 3)
        with pytest.warns(bi.DataWarning, match="'u0' has.*'u1' 0.0005"):
            bi.TrainingProblem(u * [1, 0.001], u[:, 0], 3)

    def test_constant_columns_do_not_count_and_nor_do_parts(self):
        problem = bi.TrainingProblem(np.column_stack([U["metres"], np.ones(M)]), Y["cost"], 3)
        once = copy.copy(problem)
        once.subset(np.arange(10)).replace(kappa=1.0)

    def test_the_first_diabetes_samples(self):
        """Unscaled, three inputs in large units are chosen; the warning says what to do, and then it is as by hand."""
        X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
        X, y = X[:150], y[:150]
        with pytest.warns(bi.DataWarning, match="U: the spreads of its columns differ by a factor of 63.9"):
            bi.TrainingProblem(X, y, 5)
        problem = bi.TrainingProblem(X, y, 5, standardize=True)
        hand = bi.TrainingProblem(by_hand(X.to_numpy()), by_hand(y.to_numpy()[:, None])[:, 0], 5)
        assert_allclose(problem.U, hand.U, atol=1e-12)
        assert_allclose(problem.Y, hand.Y, atol=1e-12)


def test_what_the_library_builds_itself_does_not_warn():
    table = U.assign(step=RNG.integers(0, 3, M))
    fast = {"n_hidden": 2, "max_cycles": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", bi.DataWarning)
        bi.ImplicitRegressor(alpha=(0.1, 1.0), n_folds=2, **fast).fit(table, Y)
        bi.ImplicitClassifier(alpha=0.1, **fast).fit(table, Y["risk"] > 0.5)
        problem = standardised()
        bi.kappa_path(problem, 3, max_cycles=2).select(n_folds=2, max_cycles=2, ridges=[1e-4])
        bi.experiments.convergence(3, 3, 40, n_steps=20)
        bi.robustness_curve(problem, [5.0], U, Y, 0.1, max_cycles=2)


def test_gradients_are_those_of_the_standardised_problem(trained):
    it = trained.iterate
    found = bi.gradient(trained.problem, it)
    step = 1e-6
    moved = [trained.problem.at_equilibrium(it.replace(d=it.d + sign * step * np.eye(2)[0])) for sign in (1, -1)]
    slope = np.diff([trained.problem.mean_loss(point) for point in moved[::-1]])[0] / (2 * step)
    assert isinstance(it, Iterate)
    assert found.d[0] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_what_explains_it_names_the_units_and_agrees_with_columns_standardised_by_hand(trained):
    same = bi.TrainingProblem(by_hand(U.to_numpy()), by_hand(Y.to_numpy()), **OPTIONS, input_names=list(U))
    assert trained.problem.explain().formula.text() == same.explain().formula.text()
    assert "Units: kappa, norms, losses and constraints refer to standardised columns" in str(trained.problem.explain())
    assert "Units" not in str(same.explain())
    by_columns = replace(trained, problem=same)
    pd.testing.assert_frame_equal(trained.explain().table, by_columns.explain().table, rtol=1e-6, atol=1e-9)
    axes = Figure().subplots(1, 2)
    labels = [bi.plots.column_norms(of, ax=ax).get_ylabel() for of, ax in zip((trained, by_columns), axes, strict=True)]
    assert labels == [f"{labels[1]}, standardised", labels[1]]
