"""A monotone effect of an input, and constraints on the columns of inputs by name."""

import pickle

import numpy as np
import pandas as pd
import pytest

import bcd_implicit as bi
from bcd_implicit.constraints import box, from_text, monotone, nonnegative

NAMES = ["age", "bmi", "dose"]


def data():
    """The target falls where bmi rises, and rises with age at some places only."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((60, 3)), columns=NAMES)
    return X, (np.sin(2 * X.age) - X.bmi + 0.1 * rng.standard_normal(60)).rename("y")


def largest_fall(model, X, name):
    """How much predictions fall at most where this input rises, by small and large steps from each sample."""
    steps = [0.01, 0.3, 2.0]
    return max(float((model.predict(X) - model.predict(X.assign(**{name: X[name] + t}))).max()) for t in steps)


@pytest.mark.parametrize("pass_through", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_effects_are_monotone(pass_through, activation):
    X, y = data()
    free = bi.TrainingProblem(X, y, 3, activation, kappa=0.01, pass_through=pass_through)
    signed = free.replace(constraints=monotone(increasing=["bmi"], decreasing=[0]))
    models = [bi.solve(problem, tol=1e-2, max_cycles=20).model for problem in (free, signed)]
    # Without the constraints both effects go the other way somewhere.
    assert largest_fall(models[0], X, "bmi") > 0.01 < largest_fall(models[0], -X, "age")
    assert largest_fall(models[1], X, "bmi") <= 1e-9
    assert (
        -min(float((models[1].predict(X) - models[1].predict(X.assign(age=X.age + t))).min()) for t in (0.1, 2)) <= 1e-9
    )


def test_an_estimator_takes_it_as_text():
    X, y = data()
    fitted = bi.ImplicitRegressor(3, alpha=0.01, tol=1e-2, constraints="monotone(increasing=[bmi])").fit(
        X * [1, 20, 1], y
    )
    assert largest_fall(fitted, X * [1, 20, 1], "bmi") <= 1e-9
    assert {"nonnegative(B: bmi)", "nonnegative(D: bmi)"} < fitted.result_.dual_values.keys()


def test_names_of_inputs_are_columns():
    X, y = data()
    problem = bi.TrainingProblem(
        X, y, 2, constraints=[nonnegative("B", ["bmi", "dose"]), box("D", upper=0, inputs=["age"])]
    )
    it = problem.initial().replace(B=np.array([[-9.0, -0.5, 1], [1, 1, 1]]), D=np.array([[2.0, 9, 9]]))
    wanted = {"nonnegative(B: bmi, dose)": 0.5, "box(D: age)": 2.0}
    again = pickle.loads(pickle.dumps(problem))
    # Without age: its column counts as zero.
    fewer = problem.subset(inputs=np.array([False, True, True]))
    narrow = it.replace(B=it.B[:, 1:], D=it.D[:, 1:])
    for each, point, size in (
        (problem, it, 1),
        (again, it, 1),
        (problem.replace(kappa=1.0), it, 1),
        (fewer, narrow, 0),
    ):
        found = each.violations(point)
        assert {name: found[name] for name in wanted} == {"nonnegative(B: bmi, dose)": 0.5, "box(D: age)": 2.0 * size}
    assert r"B_ij >= 0 for the inputs bmi, dose" in problem.explain().formula.text()


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (lambda: nonnegative("B", ["bmo"]), "inputs: no input 'bmo'. The inputs are age, bmi, dose"),
        (lambda: nonnegative("B", "bmi"), "inputs: must be a list of names, got 'bmi'"),
        (lambda: nonnegative("C", ["bmi"]), "inputs: C has no columns of inputs"),
        (lambda: nonnegative("B", []), "inputs: is empty"),
        (lambda: monotone(["bmi"], ["bmi"]), "inputs: names 'bmi' twice"),
        (lambda: from_text("monotone()"), "Name at least one input"),
        (lambda: monotone("bmi"), "increasing: must be a list of names"),
        (lambda: from_text("monotone([f(x)])"), r"f\(x\) is not a letter, number or list"),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_meant(constraints, message):
    X, y = data()
    with pytest.raises(bi.InvalidInputError, match=message):
        bi.TrainingProblem(X, y, 2, constraints=constraints())


def test_a_constraint_by_name_needs_a_problem():
    with pytest.raises(bi.InvalidInputError, match="are names, which only a problem knows"):
        nonnegative("B", ["bmi"])({"B": np.zeros((2, 3))})
