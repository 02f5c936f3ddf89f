"""Targets in data frames: which columns go by name, which by their order, and who takes them so."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit import InvalidInputError
from bcd_implicit.model.inputs import targets_of

FRAME = pd.DataFrame({"z": [1.0, 2.0], "y": [3.0, 4.0]})
BY_NAME, BY_ORDER = [[3.0, 1.0], [4.0, 2.0]], [[1.0, 3.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    ("names", "table", "expected"),
    [
        (["y", "z"], FRAME, BY_NAME),
        (["y", "z"], FRAME.assign(more="text"), BY_NAME),
        (["y", "z"], FRAME.to_numpy(), BY_ORDER),
        (["y", "z"], FRAME.set_axis([0, 1], axis=1), BY_ORDER),
        (["y0", "y1"], FRAME, BY_ORDER),
        (["0", "1"], FRAME, BY_ORDER),
        (["y0", "y1"], FRAME.set_axis(["y1", "y0"], axis=1), BY_NAME),
        (["y"], FRAME, [[3.0], [4.0]]),
        (["price"], FRAME[["y"]], [[3.0], [4.0]]),
        (["price"], FRAME["y"], [[3.0], [4.0]]),
        (["c=a", "c=b"], pd.DataFrame({"c": ["b", "a"]}), [[0.0, 1.0], [1.0, 0.0]]),
    ],
)
def test_columns_of_targets_go_by_name_where_both_sides_have_names(names, table, expected):
    np.testing.assert_array_equal(targets_of("Y", table, names), expected)


@pytest.mark.parametrize("names", [["y", "w"], ["v", "w"], ["y", "z", "w"]])
def test_targets_without_a_column_for_each_output_are_refused(names):
    with pytest.raises(InvalidInputError, match=f"Y: lacks the model's output column '{'v' if 'v' in names else 'w'}'"):
        targets_of("Y", FRAME, names)


@pytest.fixture(scope="module")
def two_outputs():
    """A problem, its model, inputs, and targets in its order and in another."""
    rng = np.random.default_rng(0)
    U = pd.DataFrame(rng.standard_normal((60, 3)), columns=list("abc"))
    Y = pd.DataFrame({"y": U["a"] - U["b"], "z": np.abs(U["c"])})
    problem = bi.TrainingProblem(U, Y, n_hidden=3, norm_bound=0.9, kappa=0.001)
    return problem, bi.solve(problem, tol=0.5).model, U, Y, Y[["z", "y"]].assign(more=0.0)


def test_whoever_takes_targets_takes_columns_by_name(two_outputs):
    _, model, U, Y, turned = two_outputs
    first, second = (model.importance(U, targets, n_repeats=1) for targets in (Y, turned))
    assert first.score == second.score
    with pytest.raises(InvalidInputError, match="Y: lacks the model's output column 'z'"):
        model.importance(U, Y.rename(columns={"z": "w"}))
    first, second = (bi.compress(model, U, targets, alpha=0.1).model for targets in (Y, turned))
    np.testing.assert_array_equal(first.predict(U), second.predict(U))


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_paths_and_curves_take_columns_by_name(two_outputs):
    problem, model, U, Y, turned = two_outputs
    unnamed = model._copy(input_names=None, output_names=None)
    options = {"tol": 0.1, "max_cycles": 1}
    curve = bi.robustness_curve(problem, [4.0], U, turned, 0.1, baselines={"unnamed": unnamed}, **options)
    for point in curve.points:
        r2 = r2_score(Y, point.model.predict(U.to_numpy()), multioutput="variance_weighted")
        assert curve.table.loc[point.name, "R2"] == pytest.approx(r2)
    mixed = U[["c", "a", "b"]].assign(more=0.0)
    first, second = (
        bi.architecture_path(problem, kappas=[0.1], unseen=pair, **options)[0].unseen_losses
        for pair in ((U, Y), (mixed, turned))
    )
    assert first == second


def test_estimators_score_by_name():
    rng = np.random.default_rng(1)
    U = rng.standard_normal((60, 2))
    Y = pd.DataFrame({"y": U[:, 0], "z": U[:, 1]})
    regressor = bi.ImplicitRegressor(n_hidden=2, alpha=0.01, tol=0.1).fit(U, Y)
    assert regressor.score(U, Y[["z", "y"]]) == regressor.score(U, Y) > 0.5
    labels = (Y > 0).astype(int)
    classifier = bi.ImplicitClassifier(n_hidden=2, alpha=0.01, tol=0.1).fit(U, labels)
    assert classifier.score(U, labels[["z", "y"]]) == classifier.score(U, labels) > 0.5
