"""A look ahead goes on along the last step, stays feasible, and saves cycles."""

import numpy as np
import pytest
from problems import random_iterate, random_problem

import bcd_implicit as bi
from bcd_implicit.training.extrapolation import LEAST_REACH, MOST_REACH, Extrapolation
from bcd_implicit.training.loop import Loop

SIZE = (3, 5, 2, 40)


def two_iterates(problem):
    """Feasible ones with states at equilibrium, near each other, and no entry of which is zero."""
    old = random_iterate(problem, relaxed=False)
    new = old.replace(A=0.98 * old.A, B=1.01 * old.B, b=old.b + 0.01, D=1.01 * old.D, d=old.d - 0.02)
    return old, problem.at_equilibrium(new)


@pytest.mark.parametrize("options", [{"kappa": 0.1}, {"kappa": 0.1, "group_over": "BD"}])
@pytest.mark.parametrize("reach", [0.5, 3.0])
def test_it_lies_on_the_line_through_the_last_step(options, reach):
    problem = random_problem(SIZE, **options)
    old, new = two_iterates(problem)
    ahead = Extrapolation(reach, (old, new)).point(problem)
    for letter in ("A", "B", "b", "d", *("D" if problem.stacked else "")):
        step = getattr(new, letter) - getattr(old, letter)
        np.testing.assert_allclose(getattr(ahead, letter), getattr(new, letter) + reach * step, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(ahead.C, new.C)
    np.testing.assert_allclose(problem.at_equilibrium(ahead).X, ahead.X, atol=1e-9)


def test_without_a_step_there_is_nothing_ahead():
    assert Extrapolation().point(random_problem(SIZE)) is None


def test_zeros_stay_zero_and_what_would_turn_round_becomes_zero():
    problem = random_problem(SIZE, kappa=0.1)
    old, new = two_iterates(problem)
    A, B = new.A.copy(), new.B.copy()
    A[0, 0], A[1, 1] = 0.0, 0.1 * old.A[1, 1]
    B[:, 0], B[:, 1] = 0.0, 0.1 * old.B[:, 1]
    ahead = Extrapolation(3.0, (old, new.replace(A=A, B=B))).point(problem)
    assert ahead.A[0, 0] == ahead.A[1, 1] == 0
    assert not ahead.B[:, :2].any()
    assert ahead.B[:, 2:].all()


def test_groups_turn_round_as_a_whole_and_unpenalised_inputs_stay():
    problem = random_problem(SIZE, kappa=0.1, groups=["free", "pair", "pair", "a", "b"], group_weights=[0, 1, 1, 1])
    old, new = two_iterates(problem)
    B = new.B.copy()
    B[:, :2] *= 0.1  # both turn round; the second is the smaller half of its group, which does not
    B[:, 2] *= 100
    ahead = Extrapolation(3.0, (old, new.replace(B=B))).point(problem)
    assert ahead.B.all()


@pytest.mark.parametrize("options", [{"norm_bound": 0.2}, {"group_form": "constraint", "kappa": 0.4}])
def test_it_stays_feasible(options):
    problem = random_problem(SIZE, **options)
    old = random_iterate(problem, relaxed=False)
    # Away from zero, so that a longer step leaves the balls.
    A, B = problem.row_ball.repair(1.2 * old.A), problem.group_lasso.repair(1.2 * problem.grouped(old))
    new = problem.at_equilibrium(problem.with_grouped(old, B).replace(A=A))
    smaller = old.replace(A=0.5 * new.A, B=0.5 * new.B, D=0.5 * new.D)
    assert problem.violation(Extrapolation(5.0, (smaller, new)).point(problem)) <= 1e-12


def test_the_reach_learns_within_its_limits():
    extrapolation = Extrapolation()
    extrapolation.learn(True)
    assert extrapolation.reach > 1
    for lower, limit in ((True, MOST_REACH), (False, LEAST_REACH)):
        for _ in range(50):
            extrapolation.learn(lower)
        assert extrapolation.reach == limit


def test_after_as_many_cycles_the_objective_is_lower_and_no_cycle_ends_higher(monkeypatch):
    ends = {True: [], False: []}
    for ahead in (True, False):
        if not ahead:
            monkeypatch.setattr(Loop, "look_ahead", lambda self, it, objective: (it, objective))
        for seed in range(4):
            data = bi.datasets.make_column_sparse(100, 8, 10, 10, 8, noise=0.05, random_state=seed)
            problem = bi.TrainingProblem(data.U, data.Y, 6, pass_through=False)
            with pytest.warns(bi.ConvergenceWarning, match="stopped at max_cycles"):
                history = bi.solve(problem, max_cycles=15, tol=0.0, block_tol=None).history
            assert (np.diff(history["objective"]) <= 0).all()
            ends[ahead].append(history["objective"].iloc[-1])
    # By 4 % in the geometric mean, with room for another machine's rounding.
    assert np.log(ends[True]).mean() < np.log(ends[False]).mean() - 0.01


def test_exact_steps_and_the_users_constraints_do_not_look_ahead(monkeypatch):
    problem = random_problem(SIZE, kappa=0.05)
    monkeypatch.setattr(Loop, "look_ahead", lambda self, it, objective: pytest.fail("looked ahead"))
    constrained = problem.replace(constraints=[bi.constraints.nonnegative("B")])
    for one, solver in ((problem, "CLARABEL"), (constrained, "auto")):
        with pytest.warns(bi.ConvergenceWarning, match="stopped at max_cycles"):
            bi.solve(one, solver=solver, max_cycles=2, tol=0.0)
