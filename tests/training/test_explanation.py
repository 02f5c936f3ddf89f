"""Why inputs are in at a kappa or not: the optimality condition against differences of the objective."""

import numpy as np
import pytest

import bcd_implicit as bi

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")

rng = np.random.default_rng(0)
U = rng.standard_normal((50, 5))
Y = np.maximum(U[:, :1], 0) - U[:, 1:2] + 0.3 * rng.standard_normal((50, 1)) + 0.1 * U[:, 2:3]

CASES = {
    "columns": {"pass_through": False},
    "groups, largest entry": {"pass_through": False, "groups": [0, 0, 1, 1, 2], "group_norm": "inf", "kappa": 0.9},
    "B and D": {"group_over": "BD"},
    "not penalised": {"pass_through": False, "group_weights": [1, 1, 0, 1, 2]},
    "bound": {"pass_through": False, "group_form": "constraint", "kappa": 0.12},
}


def solved(max_cycles=400, **options):
    # Smooth: at a kink there are several gradients.
    problem = bi.TrainingProblem(U, Y, 2, **{"kappa": 0.4, "activation": "tanh"} | options)
    return bi.solve(problem, tol=1e-6, max_cycles=max_cycles)


def smooth_by_differences(problem, it, j, step=1e-6):
    """The gradient of loss and ridges in the columns of one input, by central differences through the equilibrium."""
    smooth = problem.replace(group_form="penalty", kappa=0.0)
    grouped = problem.grouped(it)
    found = np.zeros(len(grouped))
    for i in range(len(grouped)):
        values = []
        for sign in (1, -1):
            moved = grouped.copy()
            moved[i, j] += sign * step
            values.append(smooth.equilibrium_objective(problem.with_grouped(it, moved)))
        found[i] = (values[0] - values[1]) / (2 * step)
    return found


@pytest.fixture(scope="module")
def columns():
    return solved(**CASES["columns"])


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_objective_and_decide_who_is_in(case, columns):
    result = columns if case == "columns" else solved(**CASES[case])
    problem, it = result.problem, result.iterate
    table = result.explain().table
    groups = problem.group_lasso.groups
    multiplier = problem.kappa
    if problem.group_form == "constraint":
        # Of the bound: the same for every input that is in.
        first = np.flatnonzero(problem.selected(it))[0]
        multiplier = np.linalg.norm(smooth_by_differences(problem, it, first))
    assert {"kept", "dropped"} == set(table["outcome"])
    for row in table.itertuples():
        members = [problem.input_names.index(name) for name in row.inputs]
        columns = np.array([smooth_by_differences(problem, it, j) for j in members])
        dual = np.abs(columns).sum() if problem.group_norm == "inf" else np.linalg.norm(columns)
        assert row.gradient == pytest.approx(dual, rel=1e-4, abs=1e-7)
        weight = groups.weights[groups.labels[members[0]]]
        assert row.limit == pytest.approx(multiplier * weight, rel=0.05)
        if row.outcome == "dropped":
            assert row.gradient < row.limit
            if problem.group_form == "penalty":
                assert row.enters_at == pytest.approx(dual / weight, rel=1e-4)
                assert f"it comes in below kappa {row.enters_at:.3g}" in row.why
        else:
            assert row.norm > 0
            assert row.gradient == pytest.approx(row.limit, rel=0.02, abs=1e-3)


def test_an_input_comes_in_below_its_kappa_and_not_above(columns):
    problem, it = columns.problem, columns.iterate
    row = columns.explain().table.query("outcome == 'dropped'").iloc[0]
    j = problem.input_names.index(row["input"])
    step, gradient = 1e-2, bi.gradient(problem, it)
    for factor, enters in ((0.99, True), (1.01, False)):
        lasso = problem.replace(kappa=factor * row["enters_at"]).group_lasso
        assert lasso.prox(it.B - step * gradient.B, step)[:, j].any() == enters


@pytest.mark.parametrize("options", [{"pass_through": False}, {"group_over": "BD"}])
def test_the_loss_without_an_input_is_that_with_its_mean(options):
    result = solved(10, **options)
    table = result.explain().table.query("outcome == 'kept'")
    for row in table.itertuples():
        j = result.problem.input_names.index(row.input)
        without = U.copy()
        without[:, j] = U[:, j].mean()
        loss = 0.5 * np.mean((result.model.predict(without) - Y) ** 2)
        assert row.loss_without == pytest.approx(loss, rel=1e-6)
        assert row.loss == pytest.approx(0.5 * np.mean((result.model.predict(U) - Y) ** 2), rel=1e-6)
    assert "loss" not in result.explain(costs=False).table


def test_the_sentences_say_how_training_ended_and_what_the_condition_is(columns):
    first, *blocks, condition, _ = columns.explain().sentences
    assert first.startswith("Training converged: ")
    gap = columns.certificates["prox-linear"].relative_gap
    assert f"Prox-linear block: within {gap:.1e} of its optimum, relative; no constraint is violated." in blocks
    assert condition.startswith("4 of 5 inputs are in at kappa 0.4. ")


def test_what_the_condition_does_not_cover_is_said():
    free = solved(10, kappa=0.0).explain()
    assert "kappa is 0" in free.sentences[-2]
    assert "D passes it through" in free.table["why"].iloc[0]
    empty = solved(10, kappa=50.0, pass_through=False).explain()
    assert "No input is in at kappa 50." in " ".join(empty.sentences)
    assert empty.table["enters_at"].isna().all()
    held = np.ones((2, 5), dtype=bool)
    held[:, 4] = False
    rows = solved(10, pattern={"B": held}, pass_through=False).explain().table.set_index("input")
    assert rows.loc["u4", "why"] == "held at zero by the pattern"
