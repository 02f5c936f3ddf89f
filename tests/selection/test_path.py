import pickle
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from problems import random_problem
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, kappa_path
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.refits import Fold, Refit, folds, has_faded, run_refit
from bcd_implicit.selection.rules import RULES
from bcd_implicit.selection.walk import reference_kappa


@pytest.fixture(scope="module")
def data():
    return bi.datasets.make_column_sparse(
        n_samples=120, n_features=8, n_outputs=6, n_hidden=4, n_informative=2, noise=0.1, random_state=0
    )


@pytest.fixture(scope="module")
def small():
    """For paths under constraints, whose every step is a conic solve."""
    return bi.datasets.make_column_sparse(
        n_samples=40, n_features=4, n_outputs=2, n_hidden=2, n_informative=2, noise=0.1, random_state=0
    )


@pytest.fixture(scope="module")
def problem(data):
    return bi.TrainingProblem(data.U, data.Y, 3, pass_through=False)


@pytest.fixture(scope="module")
def path(problem):
    return kappa_path(problem, 8, random_state=0)


@pytest.fixture(scope="module")
def short_path(problem):
    """A path of few kappas, where a test walks it again or refits all that is on it."""
    return kappa_path(problem, 4, random_state=0)


@pytest.fixture(scope="module")
def by_rule(path):
    """What a rule alone chooses from the path, without score tests, growing or a choice of the ridge."""

    @cache
    def choose(rule):
        return path.select(rule, n_subsamples=4, level=None, grow_hidden=False, ridges=[1e-4], tol=0.2, random_state=0)

    return choose


def test_path_goes_up_and_thins_out(path, problem):
    assert np.all(np.diff(path.kappas) > 0)
    sizes = path.supports.sum(axis=1)
    assert sizes[0] >= 5
    assert sizes[-1] <= 2
    assert path.column_norms.shape == (len(path.kappas), 8)
    np.testing.assert_array_equal(path.column_norms > 0, path.supports)
    assert path.table["n_selected"].tolist() == sizes.tolist()
    assert (path.table["status"] == "CONVERGED").all()
    for result in path.results:
        assert result.objective == pytest.approx(result.problem.equilibrium_objective(result.iterate))
        assert result.model.norm_inf() <= problem.norm_bound + 1e-8


def test_selection_finds_the_true_inputs_and_refits(path, data, problem):
    chosen = path.select(random_state=0)
    np.testing.assert_array_equal(chosen.support, data.support)
    assert chosen.names == [f"u{j}" for j in np.flatnonzero(data.support)]
    assert chosen.kappa == path.kappas[chosen.index]
    np.testing.assert_array_equal(path.supports[chosen.index], chosen.support)
    assert not chosen.model.B[:, ~data.support].any()
    assert not chosen.model.D.any()
    U, Y = data.sample(500, 1)
    refit = np.mean((chosen.model.predict(U) - Y) ** 2)
    penalised = np.mean((path.results[chosen.index].model.predict(U) - Y) ** 2)
    assert refit < penalised < 1
    table = chosen.table
    assert table["chosen"].sum() == 1
    assert table.loc[table["chosen"], "n_selected"].item() == 2
    assert table.loc[table["chosen"], "error"].item() == table["error"].min()
    assert table["n_selected"].iloc[-1] == 0
    assert "Selection(kappa=" in repr(chosen)
    assert chosen.changed_by_tests == {"entered": [], "left": []}


@pytest.mark.parametrize(("rule", "spread"), [("one-se", "standard_error"), ("paired-one-se", "standard_error_above")])
def test_rules_with_a_standard_error_take_the_sparsest_support_within_it(by_rule, rule, spread):
    table = by_rule(rule).table
    best = table["error"].idxmin()
    limits = table[spread] if rule == "paired-one-se" else table[spread][best]
    allowed = table[table["above_best"] <= limits]
    assert table.loc[table["chosen"], "n_selected"].item() == allowed["n_selected"].min()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_the_inputs_of_an_easy_problem(by_rule, data, rule):
    chosen = by_rule(rule)
    assert chosen.rule == rule
    if rule in ("bic", "ebic"):  # they keep too much where the model is wrong
        assert chosen.support[data.support].all()
    else:
        np.testing.assert_array_equal(chosen.support, data.support)


def test_ranking_says_who_stays_longest_and_how_often(short_path, data):
    table = short_path.ranking(4)
    assert set(table["input"][:2]) == {f"u{j}" for j in np.flatnonzero(data.support)}
    assert (np.diff(table["leaves_at"].replace(np.inf, 1e9)) <= 0).all()
    for name, leaves in zip(table["input"], table["leaves_at"], strict=True):
        column = short_path.supports[:, int(name[1:])]
        assert not column[short_path.kappas >= leaves].any()
        assert leaves == short_path.kappas[0] or column[short_path.kappas < leaves][-1]
    assert (table["frequency"][:2] == 1).all()
    assert table["frequency"].between(0, 1).all()


@pytest.mark.parametrize("n_features", [1, 2, 5, 8])
def test_a_number_of_features_is_taken_by_the_ranking(path, n_features):
    chosen = path.select(n_features=n_features, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.names == sorted(path.ranking()["input"][:n_features])
    assert chosen.rule == "n_features"
    assert chosen.model.B.any(axis=0).sum() == n_features


def test_the_refit_grows_where_more_hidden_features_explain_more(data):
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 1, pass_through=False), 3)
    small, grown = (path.select(grow_hidden=grow, ridges=[1e-4]) for grow in (False, True))
    assert small.model.n_hidden == 1
    assert grown.model.n_hidden in (2, 4, 8)
    U, Y = data.sample(500, 1)
    errors = [np.mean((chosen.model.predict(U) - Y) ** 2) for chosen in (small, grown)]
    assert errors[1] < 0.7 * errors[0]


def test_inputs_without_a_part_are_not_selected_even_if_all_candidates_hold_them(path, data, problem):
    crowded = path.supports.copy()
    extra = int(np.flatnonzero(~data.support)[0])
    crowded[:, extra] |= crowded[:, data.support].any(axis=1)
    from bcd_implicit.selection.adjustment import polish
    from bcd_implicit.selection.evidence import Evidence, Settings

    evidence = Evidence(path, Settings(3, 8, 2, 0, None, [1e-4], path.solve_options | {"max_cycles": 50, "tol": 5e-2}))
    np.testing.assert_array_equal(polish(evidence, crowded[path.nearest(data.support)], 0.05), data.support)
    missing = data.support.copy()
    missing[np.flatnonzero(data.support)[0]] = False
    np.testing.assert_array_equal(polish(evidence, missing, 0.05), data.support)


@pytest.mark.slow
def test_data_without_any_signal_select_nothing():
    kept = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        problem = bi.TrainingProblem(rng.standard_normal((60, 5)), rng.standard_normal(60), 2, pass_through=False)
        kept += kappa_path(problem, 4).select(grow_hidden=False).support.any()
    assert kept <= 2  # at most 1 in 20 of them is to be expected


def test_what_the_score_tests_change_is_named(path):
    everything = replace(path, results=path.results[:1])  # all inputs, or none
    before = everything.select(level=None, grow_hidden=False, ridges=[1e-4], tol=0.2)
    after = everything.select(grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert before.changed_by_tests == {"entered": [], "left": []}
    assert after.changed_by_tests["left"] == [name for name in before.names if name not in after.names] != []
    assert "left after score tests" in after._repr_html_()


def test_a_strong_false_input_is_not_shielded_by_a_weak_true_one():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((100, 5))
    U[:, 1] = U[:, 0] + 0.3 * rng.standard_normal(100)
    y = 2 * np.maximum(U[:, 0], 0) + 0.2 * U[:, 2] + 0.2 * rng.standard_normal(100)
    assert kappa_path(bi.TrainingProblem(U, y, 3), 4).select(ridges=[1e-4]).names == ["u0", "u2"]


def test_number_of_features_with_groups(data):
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 3, groups=[0, 0, 0, 1, 1, 1, 2, 2], pass_through=False), 4)
    first = path.ranking()["input"][0]
    size = 2 if first in ("u6", "u7") else 3
    assert path.select(n_features=size, grow_hidden=False, ridges=[1e-4], tol=0.2).support.sum() == size
    with pytest.raises(InvalidInputError, match="n_features: 1 is less than group '.' has"):
        path.select(n_features=1)


def test_the_empty_model_is_judged_by_the_mean(problem):
    empty = kappa_path(problem, kappas=[1e4])
    assert not empty.supports.any()
    chosen = empty.select(level=None)
    assert chosen.table["error"].item() == pytest.approx(1.0, abs=0.1)
    assert not chosen.support.any()
    assert not chosen.model.B.any()
    predictions = chosen.model.predict(problem.U.T)
    np.testing.assert_allclose(predictions, np.broadcast_to(problem.Y.mean(axis=1), predictions.shape), atol=1e-3)


def test_score_tests_find_the_inputs_even_from_an_empty_path(problem, data):
    chosen = kappa_path(problem, kappas=[1e4]).select()
    np.testing.assert_array_equal(chosen.support, data.support)
    U, Y = data.sample(500, 1)
    assert np.mean((chosen.model.predict(U) - Y) ** 2) < 0.5


@pytest.mark.slow
def test_an_input_of_weight_zero_stays_in_every_choice(data):
    never = int(np.flatnonzero(~data.support)[0])
    weights = np.ones(8)
    weights[never] = 0
    path = kappa_path(bi.TrainingProblem(data.U, data.Y, 3, pass_through=False, group_weights=weights), 4)
    for options in ({}, {"n_features": 1}, {"max_features": 1}, {"rule": "bic"}):
        assert path.select(**options).support[never]


def test_where_all_supports_are_too_large_the_longest_inputs_are_the_candidate(data, problem):
    crowded = kappa_path(problem, kappas=[1e-4])
    assert crowded.supports.sum() == 8
    chosen = crowded.select(max_features=3, level=None, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.support.sum() == 3


def test_no_parameter_sees_the_samples_it_is_judged_on(problem):
    # Wreck the targets of one sample: the fits of the fold that judges it, and so its neighbours' errors, stay.
    wrecked = problem.replace()
    wrecked.Y = problem.Y.copy()
    wrecked.Y[:, 7] += 100.0
    chain = [Refit(np.ones(8, dtype=bool), 3, ridge, ridge) for ridge in (1e-3, 1e-2)]
    options = {"max_cycles": 20, "tol": 1e-2}
    fold = next(fold for fold in folds(problem, 4, 0) if 7 in fold.test)
    others = fold.test != 7
    # Errors are in units of the targets' variances, which the wreck changes: compare the fits themselves.
    (before, it), (after, it_after) = (
        Fold(p, fold.train, fold.test).run(chain, 0, options) for p in (problem, wrecked)
    )
    np.testing.assert_array_equal(it.B, it_after.B)
    np.testing.assert_array_equal(it.C, it_after.C)
    assert not np.array_equal(before[:, others], after[:, others])  # only by those units
    elsewhere = next(other for other in folds(problem, 4, 0) if 7 in other.train)
    _, seen = Fold(wrecked, elsewhere.train, elsewhere.test).run(chain, 0, options)
    assert not np.array_equal(seen.C, elsewhere.run(chain, 0, options)[1].C)


def test_cross_validation_trains_on_the_other_folds_and_the_refit_on_all(short_path, monkeypatch):
    import bcd_implicit.selection.refits as module

    trained_on = []
    real = module.solve

    def spy(problem, *args, **options):
        trained_on.append(problem.n_samples)
        return real(problem, *args, **options)

    monkeypatch.setattr(module, "solve", spy)
    short_path.select(
        n_folds=4, level=None, ridges=[1e-4, 1e-2], tol=0.2
    )  # the score test's fits are on all samples, and are not judged on any
    assert set(trained_on[:-1]) == {90}
    assert trained_on[-1] == 120


@pytest.mark.parametrize("ridges", [[3e-3, 0.1, 10.0], [10.0, 0.1, 3e-3]])
def test_a_large_ridge_does_not_spoil_the_others(ridges):
    x = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    problem = bi.TrainingProblem(x, scale(np.sin(4 * x[:, 0])), 5)
    chosen = kappa_path(problem, kappas=[1e-3, 1e-2], tol=1e-2).select(
        ridges=ridges, level=None, grow_hidden=False, n_folds=2
    )
    assert chosen.result.problem.ridge_hidden == 3e-3
    assert chosen.result.model.predict(x[:, chosen.support]).var() > 0.85


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
def test_a_start_whose_inputs_faded_is_replaced(problem):
    fresh = problem.initial(0)
    assert has_faded(problem, fresh.replace(B=1e-6 * fresh.B), fresh)
    assert not has_faded(problem, fresh.replace(B=0.1 * fresh.B), fresh)
    # whatever the units
    other = bi.TrainingProblem(problem.U.T * np.r_[1e6, np.ones(7)], problem.Y.T, 3, pass_through=False)
    assert has_faded(other, other.initial(0).replace(B=1e-6 * other.initial(0).B), other.initial(0))
    options = {"max_cycles": 3, "tol": 1e-9}
    everything = Refit(np.ones(8, dtype=bool), 3, 1e-3)
    faded, anew = (run_refit(problem, everything, it, 0, options) for it in (fresh.replace(B=1e-9 * fresh.B), fresh))
    assert faded.objective == anew.objective


def test_an_input_that_a_constraint_asks_for_stays(small):
    false = int(np.flatnonzero(~small.support)[0])
    problem = bi.TrainingProblem(
        small.U, small.Y, 1, pass_through=False, constraints={"asked for": lambda v: v["B"][0, false] >= 0.1}
    )
    chosen = kappa_path(problem, kappas=[0.05], tol=1e-2).select(n_folds=2, ridges=[1e-4], tol=0.2)
    assert chosen.support[false]
    assert chosen.model.B[0, false] >= 0.1 - 1e-6


def test_a_choice_under_constraints_can_be_pickled(small):
    constraints = [bi.constraints.nonnegative("B")]
    problem = bi.TrainingProblem(small.U, small.Y, 2, pass_through=False, constraints=constraints)
    path = kappa_path(problem, kappas=[0.02], tol=1e-2)
    chosen = path.select(n_features=2, ridges=[1e-4], grow_hidden=False, tol=0.1)
    again = pickle.loads(pickle.dumps(chosen))
    assert chosen.model.B.any()
    np.testing.assert_array_equal(again.model.B, chosen.model.B)
    assert again.result.violations == chosen.result.violations


@pytest.mark.parametrize("constant", [False, True])
def test_a_constant_input_is_none_of_all_inputs(data, constant):
    U = np.column_stack([data.U, np.ones(120)]) if constant else data.U
    supports = np.zeros((4, U.shape[1]), dtype=bool)
    supports[:, :8] = np.array([8, 8, 3, 0])[:, None] > np.arange(8)
    walk = SimpleNamespace(problem=bi.TrainingProblem(U, data.Y, 3), supports=supports, kappas=np.geomspace(1, 1e3, 4))
    walk.plateau = lambda: PathRecord.plateau(walk)
    assert RULES["plateau"](SimpleNamespace(path=walk)).support.sum() == 3


def test_path_is_deterministic(path, problem):
    again = kappa_path(problem, 8, random_state=0)
    np.testing.assert_array_equal(again.column_norms, path.column_norms)


def test_reference_kappa_follows_the_units_of_the_targets():
    base = random_problem((3, 4, 2, 30), ridge=0.0, ridge_hidden=0.0)
    scaled = bi.TrainingProblem(base.U.T, 10 * base.Y.T, 3, ridge=0.0, ridge_hidden=0.0)
    # With C free to grow by 10, the loss and with it the kappa that empties B grow by 100.
    assert reference_kappa(scaled) == pytest.approx(100 * reference_kappa(base), rel=1e-2)


def test_constraint_form_shrinks_the_radius(data):
    problem = bi.TrainingProblem(data.U, data.Y, 3, pass_through=False, group_form="constraint")
    path = kappa_path(problem, 6)
    assert np.all(np.diff(path.kappas) < 0)
    for radius, norms in zip(path.kappas, path.column_norms, strict=True):
        assert norms.sum() <= radius + 1e-8
    assert path.supports.sum(axis=1)[-1] < 8


@pytest.mark.slow
def test_fenchel_path_selects_the_same_inputs(problem, data):
    chosen = kappa_path(problem, 8, method="fenchel").select()
    np.testing.assert_array_equal(chosen.support, data.support)


def test_user_constraints_stay_in_force_through_the_refit(small):
    free, bounded = (
        bi.TrainingProblem(small.U, small.Y, 2, pass_through=False, constraints=constraints)
        for constraints in ((), [lambda v: v["B"] >= -0.2 * np.ones((2, 4))])
    )
    chosen = (
        kappa_path(p, kappas=[0.01], tol=1e-2).select(n_folds=2, ridges=[1e-4], level=None) for p in (free, bounded)
    )
    loose, tight = (choice.model.B.min() for choice in chosen)
    assert loose < -0.21  # or the bound would mean nothing
    assert tight >= -0.2 - 1e-6


def test_progress_is_told(problem):
    told = []
    path = kappa_path(problem, kappas=[1.0, 2.0], progress=lambda share, text: told.append(share))
    path.select(n_folds=2, ridges=[1e-4, 1e-2], tol=0.2, progress=lambda share, text: told.append(1 + share))
    assert told == sorted(told)
    assert told[-1] == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, path: kappa_path(p, 1), "n_kappas: got 1"),
        (lambda p, path: kappa_path(p, kappas=[]), "kappas: is empty"),
        (lambda p, path: kappa_path(p, kappas=1.0), "kappas: must be a list of numbers, got 1.0"),
        (lambda p, path: path.select(random_state=-1), "random_state: got -1"),
        (lambda p, path: kappa_path(p, kappas=[0.1, -1]), "kappas: got -1"),
        (lambda p, path: kappa_path(p, 2, method="adam"), "method: unknown method 'adam'"),
        (lambda p, path: kappa_path(p, 2, solver="x"), "solver: unknown solver 'x'"),
        (
            lambda p, path: path.select("aic"),
            "rule: unknown rule 'aic'. Use one of min, ",
        ),
        (lambda p, path: path.select(n_folds=1), "n_folds: got 1"),
        (lambda p, path: path.select(n_features=9), "n_features: got 9"),
        (lambda p, path: path.select(level=1.5), "level: got 1.5"),
        (lambda p, path: path.select(ridges=[-1]), "ridges: got -1"),
        (lambda p, path: path.select(ridges=()), "ridges: must be a list of numbers"),
        (lambda p, path: path.select(n_jobs=0), "n_jobs: got 0"),
        (lambda p, path: path.frequencies(1), "n_subsamples: got 1"),
        (lambda p, path: path.select(n_folds=100), "n_folds: got 100"),
    ],
)
def test_bad_arguments_are_named(problem, path, call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(problem, path)


def test_targets_without_variation_select_nothing():
    rng = np.random.default_rng(0)
    path = kappa_path(bi.TrainingProblem(rng.standard_normal((30, 4)), np.full(30, 7.0), 2, pass_through=False), 4)
    assert np.all(path.kappas > 0)
    chosen = path.select()
    assert not chosen.support.any()
    np.testing.assert_allclose(chosen.model.predict(np.ones((1, 4))), 7.0, atol=1e-4)
    assert repr(path).startswith("PathResult(n_kappas=1, ")


def test_reweighted_path_divides_weights_by_norms_and_finds_what_the_plain_one_misses():
    U, y = make_friedman1(120, n_features=8, noise=1.0, random_state=1)
    true = np.arange(8) < 5
    weights = np.ones(8)
    weights[0] = 0.0
    problem = bi.TrainingProblem(scale(U), scale(y), 6, pass_through=False, group_weights=weights)
    path = kappa_path(problem, 5)
    second = path.reweighted(5)
    norms = path.column_norms[0]
    np.testing.assert_allclose(second.problem.group_weights[1:], norms.max() / norms[1:])
    assert second.problem.group_weights[0] == 0
    wrong = [(p.supports != true).sum(axis=1).min() for p in (path, second)]
    assert wrong[1] == 0 < wrong[0]
