"""Every result can be pickled and copied, under lambdas too; what cannot be stored says why and what to do."""

import copy
import io
import pickle
import threading

import cvxpy as cp
import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

import bcd_implicit as bi

RNG = np.random.default_rng(3)
U = RNG.standard_normal((30, 3))
Y = np.maximum(U[:, 0], 0) - 0.5 * U[:, 1]
pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def keeps_b_small(v):
    return cp.norm(v["b"], 2) <= 0.3


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


def through_joblib(value):
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


WAYS = {"pickle": through_pickle, "joblib": through_joblib, "copy": copy.copy, "deepcopy": copy.deepcopy}


def constraints():
    least = -0.3

    def local(v):
        return v["B"] >= least

    return {"lambda": lambda v: v["A"] >= least, "local": local, "named": keeps_b_small, "text": "nonpositive(C)"}


@pytest.fixture(scope="module")
def constrained():
    problem = bi.TrainingProblem(U, Y, 2, constraints=constraints(), standardize=True)
    return bi.solve(problem, max_cycles=1, solver="CLARABEL")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_result_under_functions_of_all_kinds(constrained, way):
    again = way(constrained)
    assert_array_equal(again.model.predict(U), constrained.model.predict(U))
    assert again.objective == constrained.objective
    assert again.violations == constrained.violations
    assert list(again.problem.constraints) == ["lambda", "local", "named", "text"]
    assert again.problem.constraints["named"] is keeps_b_small
    # They are functions again, which a new problem tries and a block poses.
    moved = again.problem.replace(kappa=0.2)
    at = moved.at_equilibrium(again.iterate.replace(B=again.iterate.B - 1))
    assert moved.violations(at)["local"] > 0
    part = way(moved.subset(inputs=np.array([True, True, False])))
    assert part.violations(part.initial()).keys() == moved.violations(at).keys()


def test_copies_keep_the_very_functions(constrained):
    for way in (copy.copy, copy.deepcopy):
        assert way(constrained.problem).constraints["lambda"] is constrained.problem.constraints["lambda"]


def everything(problem, result):
    """What the library returns, each kind once."""
    model = result.model
    path = bi.kappa_path(problem, kappas=[1e-4, 1e-3], max_cycles=2, start=result)
    fast = {"n_hidden": 2, "alpha": 0.1, "n_init": 1, "max_cycles": 2}
    yield from (problem, result, result.iterate, model, path, bi.gradient(problem, result.iterate))
    yield bi.solve_block(problem, result.iterate, "output")
    yield path.select(n_features=2, n_folds=2, grow_hidden=False, max_cycles=2)
    yield bi.architecture_path(problem, kappas=[0.1], max_cycles=2)
    yield bi.robustness_curve(problem, [5.0], U, Y, 0.1, max_cycles=2, start=result)
    yield bi.compress(model, U, target=0.5)
    yield from (model.states(U), model.structure(), model.bounds(U, 0.1), model.attack(U, 0.1, towards=[1]))
    yield from (model.explain(U[:2], 0.1), model.importance(U, Y, n_repeats=1), model @ np.eye(3), model | model)
    yield from (bi.ImplicitRegressor(**fast).fit(U, Y), bi.ImplicitClassifier(**fast).fit(U, Y > 0))
    yield bi.datasets.make_column_sparse(n_samples=10, n_features=3, n_outputs=1, n_hidden=2, n_informative=1)


def test_everything_that_is_returned():
    problem = bi.TrainingProblem(U, Y, 2, kappa=1e-4, standardize=True)
    kinds = set()
    for value in everything(problem, bi.solve(problem, max_cycles=3)):
        again = through_pickle(value)
        assert type(again) is type(value)
        assert repr(again) == repr(value)
        assert repr(copy.deepcopy(value)) == repr(value)
        kinds.add(type(value))
    assert len(kinds) == 20


@pytest.mark.parametrize("name", sorted(bi.ACTIVATIONS))
def test_activations(name):
    problem = bi.TrainingProblem(U, Y, 2, activation=name)
    assert through_pickle(problem).activation.name == name
    model = problem.model(problem.initial())
    assert_array_equal(through_pickle(model).predict(U), model.predict(U))


def test_an_activation_by_formulas():
    phi = bi.register_activation(
        "stored_asinh",
        phi=np.arcsinh,
        derivative=lambda z: 1 / np.hypot(1, z),
        g=lambda x: 2 * np.sinh(x / 2) ** 2,
        g_derivative=np.sinh,
        g_conjugate=lambda z: z * np.arcsinh(z) - z**2 / (1 + np.hypot(1, z)),
    )
    try:
        problem = bi.TrainingProblem(U, Y, 2, activation="stored_asinh")
        stored = pickle.dumps(bi.solve(problem, max_cycles=1))
        expected = pickle.loads(stored).model.predict(U)
    finally:
        del bi.ACTIVATIONS["stored_asinh"]
    # Nobody has registered it where it is loaded.
    again = pickle.loads(stored)
    assert_array_equal(again.model.predict(U), expected)
    assert copy.copy(phi).formulas["g"] is phi.formulas["g"]


@pytest.mark.parametrize("name", sorted(bi.LOSSES))
def test_losses(name):
    problem = bi.TrainingProblem(U, np.eye(2)[(Y > 0).astype(int)], 2, loss=name)
    it = problem.initial()
    assert through_pickle(problem).objective(it) == problem.objective(it)


def test_estimators_under_lambdas():
    fast = {"n_hidden": 2, "alpha": 0.1, "n_init": 1, "max_cycles": 1}
    for given in (lambda v: v["B"] >= -1, [lambda v: v["B"] >= -1], {"mine": lambda v: v["B"] >= -1}):
        fitted = bi.ImplicitRegressor(constraints=given, **fast).fit(U, Y)
        again = through_pickle(fitted)
        assert_array_equal(again.predict(U), fitted.predict(U))
        assert through_pickle(clone(again)).fit(U, Y).score(U, Y) == pytest.approx(fitted.score(U, Y))
        assert copy.copy(fitted).constraints is given or copy.copy(fitted).constraints == given


def test_what_cannot_be_stored_says_so():
    lock = threading.Lock()

    def locked(v):
        with lock:
            return v["B"] >= -1

    problem = bi.TrainingProblem(U, Y, 2, constraints={"mine": locked})
    with pytest.raises(
        bi.InvalidInputError, match=r"constraint 'mine': cannot be stored \(.*lock.*Use a function of a mod"
    ):
        pickle.dumps(problem)
    assert copy.copy(problem).constraints["mine"] is locked
