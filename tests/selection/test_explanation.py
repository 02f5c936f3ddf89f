"""Why inputs were selected: the words say what path, rule, tests and refits say."""

from dataclasses import replace

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.problem import statistics
from bcd_implicit.selection.refits import Refit, folds, run_refit, sample_errors

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture(scope="module")
def chosen(path):
    """Of a path whose only support has false inputs too, so that score tests have something to do."""
    return replace(path, results=path.results[:1]).select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)


def row_of(reasons, name):
    return reasons.table.set_index("input").loc[name]


def test_the_sentence_says_what_was_chosen_where_and_what_the_tests_changed(chosen):
    dropped = chosen.changed_by_tests["left"]
    assert dropped
    assert chosen.chosen_kappa == chosen.evidence.path.kappas[0]
    assert not chosen.on_path
    assert chosen.how.startswith(
        f"Cross-validation chose kappa {chosen.chosen_kappa:.3g}, where {len(dropped) + 2} of 8 inputs are in. "
        "Score tests at level 0.05 dropped "
    )
    assert chosen.how.endswith(": 2 selected.")
    for name in dropped:
        (p_value,) = (row.p_value for row in chosen.tests.itertuples() if row.inputs == [name] and row.asked == "stay")
        assert f"{name} (p = {p_value:.2g})" in chosen.how
    assert chosen.how in repr(chosen)
    assert f"{chosen.kappa:.4g}" in chosen._repr_html_()
    assert "kappa nearest to it on the path" in chosen._repr_html_()


def test_each_input_has_a_line_with_its_kappa_and_p_value(chosen):
    reasons = chosen.explain()
    assert sorted(reasons.table["input"]) == sorted(chosen.input_names)
    outcomes = dict(zip(reasons.table["input"], reasons.table["outcome"], strict=True))
    assert [name for name in chosen.input_names if outcomes[name] == "kept"] == chosen.names
    # Those that were kept come first.
    assert list(reasons.table["outcome"]) == sorted(reasons.table["outcome"], key=["kept", "dropped"].index)
    leaves = chosen.evidence.path.leaves_at
    for row in reasons.table.itertuples():
        assert row.dropped_at == leaves[chosen.input_names.index(row.input)]
        assert f"p = {row.p_value:.2g}" in row.why
        assert ("dropped by a score test" in row.why) == (row.input in chosen.changed_by_tests["left"])
    text = repr(reasons)
    assert max(map(len, text.splitlines())) <= 79
    assert all(text.count(f"\n{name}") == 1 for name in chosen.input_names)
    assert "<td>dropped</td>" in reasons._repr_html_()
    assert reasons.why.keys() == set(chosen.input_names)


def test_inputs_that_the_tests_let_in_are_added(path):
    """The rule knows one of two inputs with a part; a score test lets the other in."""
    chosen = path.select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    first, second = np.flatnonzero(chosen.support)
    alone = np.arange(8) == first
    other = replace(chosen, before_tests=alone, rule="stability", table=chosen.table.assign(chosen=False))
    reasons = other.explain()
    added = row_of(reasons, chosen.input_names[second])
    assert added["outcome"] == "added"
    assert "added by a score test" in added["why"]
    assert added["why"].endswith("the rule stability had dropped it")
    assert other.how.startswith("The rule stability chose 1 of 8 inputs. Score tests at level 0.05 added ")


def test_without_tests_and_with_a_number_no_p_values_are_told(path):
    chosen = path.select(n_features=2, n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.how == "2 of 8 inputs were asked for: those that stay longest on the path. There were no score tests."
    reasons = chosen.explain()
    assert reasons.table["p_value"].isna().all()
    assert not any("p =" in why for why in reasons.table["why"])
    with pytest.raises(bi.InvalidInputError, match="costs: got 'some'. Give True, False or 'all'"):
        chosen.explain(costs="some")


def test_costs_are_those_of_refits_without_the_input_on_held_out_samples(chosen, problem):
    table = chosen.explain(costs=True).table.set_index("input")
    # Those of the rule's choice that the tests dropped have costs too, as others have not.
    asked = set(chosen.names) | set(chosen.changed_by_tests["left"])
    assert set(table.index[table["cost"].notna()]) == asked
    settings, name = chosen.evidence.settings, chosen.names[0]
    smaller = chosen.support & (np.array(chosen.input_names) != name)
    errors = {}
    for support in (chosen.support, smaller):
        errors[support.tobytes()] = each = np.zeros(problem.n_samples)
        for fold in folds(problem, settings.n_folds, settings.random_state):
            training = problem.subset(fold.train)
            what = Refit(support, problem.n_hidden, 1e-4)
            # From starts of their own, and as fine.
            options = settings.options | {"tol": 1e-4, "max_cycles": 600}
            result = run_refit(training, what, training.initial(0), 0, options)
            prediction = result.model.predict(problem.U[support][:, fold.test].T).T
            each[fold.test] = sample_errors(problem, prediction, problem.Y[:, fold.test])
    before, after = errors.values()
    growth = after - before
    found = table.loc[name]
    assert found["error_with"] == pytest.approx(before.mean(), rel=0.1)
    assert found["cost"] == pytest.approx(growth.mean(), rel=0.1)
    assert found["cost"] == pytest.approx(found["error_without"] - found["error_with"])
    assert found["standard_error"] == pytest.approx(statistics.standard_error(growth, problem.shares), rel=0.2)
    assert found["cost"] > 4 * found["standard_error"]
    for other in chosen.changed_by_tests["left"]:  # which has no part in the targets
        assert table.loc[other, "cost"] < 0.05 * found["cost"]
    assert f"leaving it out costs {found['cost']:.2g} +- {found['standard_error']:.2g}" in found["why"]


def test_costs_cut_short_are_those_found_by_then(chosen):
    reasons = chosen.explain(costs=True, max_seconds=1e-6)
    assert reasons.table["cost"].isna().all()
    assert "Stopped at max_seconds: some were not refitted." in reasons.sentences[-1]


def test_groups_have_a_line_each_and_unpenalised_inputs_always_stay(data):
    groups = {"pair": ["u0", "u1"], "rest": ["u2", "u3"]}
    weights = {"u4": 0.0}
    problem = bi.TrainingProblem(data.U, data.Y, 3, groups=groups, group_weights=weights, pass_through=False)
    chosen = bi.kappa_path(problem, 4).select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    reasons = chosen.explain()
    assert set(reasons.table["input"]) == {"pair (u0, u1)", "rest (u2, u3)", "u4", "u5", "u6", "u7"}
    assert row_of(reasons, "u4")["why"].startswith("not penalised: it always stays")
    assert reasons.why["u0"] == reasons.why["u1"]
    assert reasons.why.keys() == set(problem.input_names)
    # Every group that is out has been tested next to those that are in.
    out = {row.inputs[0] for row in chosen.tests.itertuples() if row.asked == "enter"}
    assert {names[0] for names in reasons.table.query("not selected")["inputs"]} <= out


def test_where_nothing_matters_all_are_tested_next_to_none(problem):
    rng = np.random.default_rng(0)
    noise = bi.TrainingProblem(problem.U.T, rng.standard_normal((problem.n_samples, 1)), 2, pass_through=False)
    chosen = bi.kappa_path(noise, 4).select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert not chosen.support.any()
    reasons = chosen.explain(costs=True)
    assert (reasons.table["outcome"] == "dropped").all()
    assert (reasons.table["p_value"] > 0.01).all()
    assert any(why.endswith("next to no inputs") for why in reasons.table["why"])
