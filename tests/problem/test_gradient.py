"""The problem's gradient against differences of its objective, for every activation, loss and option."""

import numpy as np
import pytest
from adjoints import adjoint_in_more_digits
from losses import loss_iterate, loss_problem
from problems import random_iterate, random_problem

import bcd_implicit as bi
from bcd_implicit.blocks.linearisation import Linearisation
from bcd_implicit.blocks.matrices import centred_regressors
from bcd_implicit.terms.losses import get_loss

LETTERS = "ABbCDd"
SIZE = (4, 3, 3, 12)
BUILT_IN = [name for name, phi in bi.ACTIVATIONS.items() if type(phi).__module__.startswith("bcd_implicit")]
# Within so much of any of them there is no kink, so that differences are those of one smooth piece.
FREE = 2e-3
STEP = 1e-4


def smooth_part(problem, it):
    """The loss and the ridges, spelt out, at states to rounding."""
    X = problem.equilibrium(it, tol=0.0).X
    prediction = it.C @ X + it.D @ problem.U + it.d[:, None]
    ridge = 0.5 * problem.ridge * (np.sum(it.C**2) + np.sum(it.D**2))
    ridge += 0.5 * problem.ridge_hidden * (np.sum(it.A**2) + np.sum(it.B**2))
    return float(problem.loss.value(prediction, problem.Y) @ problem.shares + ridge)


def near_a_kink(problem, it):
    Z, f, Y = problem.preactivation(it), problem.prediction(it), problem.Y
    slopes = [problem.activation.derivative(Z + k * FREE) for k in (-1, 1)]
    values = [problem.loss.gradient(f + k * FREE, Y) for k in (-1, 1)]
    jump = 0.0 if problem.loss.smooth else np.abs(values[0] - values[1]).max()
    return np.abs(slopes[0] - slopes[1]).max() > 5 * FREE or jump > 0


def smooth_iterate(problem, make):
    """The first random iterate at which no sample is near a kink."""
    for seed in range(200):
        it = problem.at_equilibrium(make(problem, seed))
        if not near_a_kink(problem, it):
            return it
    raise AssertionError("no iterate away from kinks")


def slope(problem, it, letter, direction):
    values = [
        smooth_part(problem, it.replace(**{letter: getattr(it, letter) + k * STEP * direction})) for k in (-2, -1, 1, 2)
    ]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)


def check_differences(problem, it, every_entry=False):
    found, rng = bi.gradient(problem, it), np.random.default_rng(0)
    held = {"b": not problem.fit_intercept, "d": not problem.fit_intercept, "D": not problem.pass_through}
    size = max(np.linalg.norm(getattr(found, letter)) for letter in LETTERS)
    for letter in LETTERS:
        own = getattr(found, letter)
        assert own.shape == getattr(it, letter).shape
        free = problem.pattern.entries(letter, own.shape) & (not held.get(letter, False))
        assert not own[~free].any()
        directions = [np.where(free, rng.standard_normal(own.shape), 0.0)] if free.any() else []
        for place in zip(*np.nonzero(free), strict=True) if every_entry else ():
            directions.append(np.zeros(own.shape))
            directions[-1][place] = 1.0
        for direction in directions:
            unit = size * np.linalg.norm(direction)
            assert np.sum(own * direction) == pytest.approx(slope(problem, it, letter, direction), abs=1e-7 * unit)
    return found


@pytest.mark.parametrize("activation", BUILT_IN)
@pytest.mark.parametrize("loss", [*bi.LOSSES])
def test_it_is_the_limit_of_differences_for_every_activation_and_loss(activation, loss):
    problem = loss_problem(get_loss(loss), SIZE, activation=activation, norm_bound=0.9, ridge=0.1, ridge_hidden=0.05)

    def make(problem, seed):
        A = np.random.default_rng(seed).standard_normal((4, 4))
        return loss_iterate(problem, seed).replace(A=problem.row_set.project(A))

    it = smooth_iterate(problem, make)
    assert np.abs(it.A).sum(axis=1).max() * problem.activation.max_slope == pytest.approx(0.9)
    found = check_differences(problem, it)
    assert all(np.linalg.norm(getattr(found, letter)) > 1e-6 for letter in LETTERS)


RNG = np.random.default_rng(5)
OPTIONS = {
    "no intercept, no D": {"fit_intercept": False, "pass_through": False},
    "sample weights": {"sample_weight": RNG.uniform(0, 3, 15) * (np.arange(15) != 4)},
    "groups over B and D": {"group_over": "BD"},
    "pattern": {"pattern": {"A": np.triu(np.ones((5, 5)), 1), "B": RNG.random((5, 4)) < 0.6, "D": np.eye(3, 4)}},
    "no ridge": {"ridge": 0.0, "ridge_hidden": 0.0, "kappa": 3.0},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_it_honours(name):
    problem = random_problem((5, 4, 3, 15), activation="softplus", **OPTIONS[name])
    it = random_iterate(problem)
    check_differences(problem, problem.at_equilibrium(problem.pattern.applied(it)), every_entry=True)


def test_states_of_the_iterate_are_only_a_start_and_what_is_not_smooth_is_left_out():
    problem = random_problem((5, 4, 3, 15), activation="tanh")
    it = random_iterate(problem, relaxed=False)
    found = bi.gradient(problem, it)
    elsewhere = bi.gradient(problem.replace(kappa=7.0), it.replace(X=0.5 * it.X))
    for letter in (*LETTERS, "X"):
        np.testing.assert_allclose(getattr(elsewhere, letter), getattr(found, letter), rtol=1e-9, atol=1e-11)
    assert repr(found) == "ProblemGradient(n_hidden=5, n_inputs=4, n_outputs=3, n_samples=15)"


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "cross-entropy", "poisson"])
def test_the_prox_linear_block_begins_with_the_same_gradient(loss):
    """Its linearisation has the gradient as a by-product of sensitivities; two ways to it, and they agree."""
    problem = loss_problem(get_loss(loss), (6, 4, 3, 40), activation="tanh", ridge=0.0, ridge_hidden=0.0)
    it = problem.at_equilibrium(loss_iterate(problem))
    found, block = bi.gradient(problem, it), -Linearisation(problem, it).k
    # The block's regressors are centred: what its intercept gets, A and B get times the means.
    W = centred_regressors(problem, it.X)
    means = np.concatenate([it.X, problem.U])[:, 0] - W[:-1, 0]
    expected = np.hstack([found.A, found.B]) - np.outer(found.b, means)
    np.testing.assert_allclose(block[:, -1], found.b, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(block[:, :-1], expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("options", [{}, {"method": "jacobian-free"}, {"method": "neumann", "n_terms": 8}], ids=str)
def test_error_bounds_hold_in_more_digits(options):
    for seed, activation in ((0, "relu"), (1, "tanh"), (2, "sigmoid")):
        problem = random_problem((5, 4, 3, 15), seed, activation=activation, norm_bound=0.9)
        it = random_iterate(problem, seed, relaxed=False)
        found = bi.gradient(problem, it, **options)
        it = it.replace(X=found.X)
        dY = (problem.prediction(it) - problem.Y) * problem.shares
        slopes = problem.activation.derivative(problem.preactivation(it))
        adjoint = adjoint_in_more_digits(it.A, slopes, np.longdouble(it.C.T) @ np.longdouble(dY))
        U, X, dY = (np.longdouble(part) for part in (problem.U, it.X, dY))
        exact = {"A": adjoint @ X.T + problem.ridge_hidden * np.longdouble(it.A)}
        exact |= {"B": adjoint @ U.T + problem.ridge_hidden * np.longdouble(it.B), "b": adjoint.sum(axis=1)}
        exact |= {"C": dY @ X.T + problem.ridge * np.longdouble(it.C), "d": dY.sum(axis=1)}
        exact |= {"D": dY @ U.T + problem.ridge * np.longdouble(it.D)}
        for letter, value in exact.items():
            error = np.linalg.norm((getattr(found, letter) - value).astype(float))
            assert error <= found.error_bound[letter]
            if not options or letter in "CDd":
                assert found.error_bound[letter] <= 1e-11
            else:
                # A bound of nothing would not do, and this one is not far off.
                assert found.error_bound[letter] <= 200 * error


def test_what_does_not_fit_is_refused():
    problem = random_problem((5, 4, 3, 15))
    it = problem.initial()
    with pytest.raises(bi.InvalidInputError, match="^problem: is of type dict"):
        bi.gradient({}, it)
    with pytest.raises(bi.InvalidInputError, match="^iterate: is of type NoneType"):
        bi.gradient(problem, None)
    with pytest.raises(bi.InvalidInputError, match="^method: unknown method 'jfb'. Use one of exact, jacobian-free"):
        bi.gradient(problem, it, method="jfb")
    with pytest.raises(bi.NotWellPosedError):
        bi.gradient(problem, it.replace(A=np.eye(5)))
