"""Without a ridge C may grow until rounding is much of what it multiplies: that is told, and nothing is made of it."""

import warnings

import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit.training.digits import warn_of_lost_digits

SIZE = (3, 5, 2, 40)


def told(problem, it):
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        warn_of_lost_digits(problem, it)
    return [str(warning.message) for warning in messages]


def with_states_of_small_spread(problem, spread):
    """An iterate whose states differ from sample to sample by the spread, about 0.2, and are told apart by C alone."""
    rng = np.random.default_rng(0)
    n, p, q, _ = SIZE
    it = problem.initial(0).replace(
        A=np.zeros((n, n)), B=spread * rng.standard_normal((n, p)), b=np.full(n, 0.2),
        C=rng.standard_normal((q, n)) / spread, d=np.zeros(q),
    )  # fmt: skip
    it = problem.at_equilibrium(it)
    return it.replace(d=-it.C @ it.X.mean(axis=1))


def test_how_much_rounding_may_make_is_told_with_numbers():
    problem = random_problem(SIZE, activation="arctan", ridge=0.0, pass_through=False)
    it = with_states_of_small_spread(problem, 1e-12)
    (message,) = told(problem, it)
    assert "Rounding may change" in message
    assert "with ridge=0; raise ridge." in message
    # The bound is one: in twice as many digits the predictions differ by less.
    claimed = float(message.split(") by ")[1].split(":")[0])
    Z = it.B.astype(np.longdouble) @ problem.U.astype(np.longdouble) + it.b.astype(np.longdouble)[:, None]
    off = np.abs(it.C.astype(np.longdouble) @ (np.arctan(Z) - it.X)).max()
    assert 0 < off <= claimed


@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_nothing_is_told_where_digits_are_left(spread):
    problem = random_problem(SIZE, activation="arctan", ridge=0.0, pass_through=False)
    assert told(problem, with_states_of_small_spread(problem, spread)) == []


def test_states_that_are_zero_keep_nothing_of_where_they_came_from():
    # Leaky relu, no intercepts, a large kappa: B is zero, and from other states Picard comes near to zero for ever.
    data = bi.datasets.make_column_sparse(60, 8, 4, 5, 3, noise=0.2, random_state=0)
    U = data.U.copy()
    U[:, 1] = 0.3 * U[:, 0]
    problem = bi.TrainingProblem(
        U, data.Y, 4, "leaky_relu", kappa=5, ridge=0, ridge_hidden=0, pass_through=False, fit_intercept=False
    )
    it = problem.initial(0)
    assert not problem.at_equilibrium(it.replace(A=np.full((4, 4), 0.1), B=0 * it.B)).X.any()
    with pytest.warns(bi.ConvergenceWarning, match="max_cycles") as messages:
        result = bi.solve(problem, "fenchel", max_cycles=30)
    assert len(messages) == 1
    loss = 0.5 * np.mean(np.sum((result.model.predict(U) - data.Y) ** 2, axis=1))
    groups = 5 * np.linalg.norm(result.model.B, axis=0).sum()
    assert result.objective == pytest.approx(loss + groups, rel=1e-9)
