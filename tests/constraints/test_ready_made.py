"""Every ready-made constraint: what it calls feasible, what training makes of it, and how it is shown and kept."""

import copy
import pickle

import numpy as np
import pytest
from constrained import BLOCK_OF, LAYERS, MASK, METHODS, SIZE, TRIANGLE, N, P, Q, ones, problem_with, start_of, train
from problems import random_problem
from slow_but import slow_but

from bcd_implicit import SOLVERS
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import solve_block

READY = [
    (ready.nonnegative("A"), TRIANGLE, TRIANGLE - 0.25 * np.eye(N), 0.25),
    (ready.nonnegative("B"), ones(N, P), ones(N, P, r1c2=-0.5), 0.5),
    (ready.nonpositive("C"), -ones(Q, N), ones(Q, N), 1.0),
    (ready.nonpositive("b"), -np.ones(N), np.array([-1, 0, 0.1, -1]), 0.1),
    (ready.box("C", -0.3, 0.3), 0.3 * ones(Q, N), ones(Q, N), 0.7),
    (ready.box("B", upper=ones(N, P, r0c0=np.inf)), ones(N, P, r0c0=9), ones(N, P, r0c1=1.25), 0.25),
    (ready.box("d", lower=[0.5, 1.5]), np.array([0.5, 2]), np.ones(2), 0.5),
    (ready.fixed_entries("D", MASK, 0.1), ones(Q, P, r0c0=0.1, r1c1=0.1), ones(Q, P), 0.9),
    (ready.fixed_entries("A", np.eye(N) > 0, 0.2 * np.eye(N)), 0.2 * np.eye(N), TRIANGLE, 0.2),
    (ready.banded("A", 0, 1), np.eye(N) + np.eye(N, k=1), np.eye(N, k=2) + 3 * np.eye(N, k=-1), 3.0),
    (ready.banded("B"), np.tri(N, P, 1) - np.tri(N, P, -2), ones(N, P), 1.0),
    (ready.feedforward([2, 2]), LAYERS, LAYERS + 0.25 * np.eye(N), 0.25),
    (ready.symmetric(), TRIANGLE + TRIANGLE.T, TRIANGLE, 1.0),
    (ready.l1_bound("C", 0.5), -ones(Q, N) / 16, -ones(Q, N), 7.5),
    (ready.nuclear_norm_bound("B", 0.5), 0.5 * np.eye(N, P) / N, np.eye(N, P), 3.5),
    (ready.spectral_norm_bound("A", 0.3), 0.3 * np.eye(N), ones(N, N), 3.7),
    (ready.spectral_norm_bound("D", 0.3), 0.3 * np.eye(Q, P), np.eye(Q, P), 0.7),
    (ready.row_norm_bound("C", [0.1, 2]), ones(Q, N) * [[0.05], [1]], ones(Q, N), 1.9),
    (ready.row_norm_bound("B", 1, norm=1), ones(N, P) / 5, -ones(N, P), 4.0),
    (ready.column_norm_bound("B", 0.2, norm="inf"), 0.2 * ones(N, P), ones(N, P), 0.8),
    (ready.column_norm_bound("C", [1, 2, 3, 4], norm=1), 0.5 * ones(Q, N), 4 * ones(Q, N), 7.0),
    (ready.state_gain_bound(2.0), (np.eye(N) / 4, ones(N, P) * 1.5 / P), (np.eye(N) / 4, ones(N, P) * 2 / P), 0.5),
    (ready.state_gain_bound(1.0, 0.5), (0.5 * np.eye(N), ones(N, P) * 1.5 / P), (np.eye(N), ones(N, P) * 2 / P), 0.5),
    (ready.output_gain_bound([1, 4]), (ones(Q, N) / 8, -ones(Q, P) / 2 / P), (-ones(Q, N), 0 * ones(Q, P)), 3.0),
    (ready.margin_gain_bound(1, 2.0), (ones(Q, N), ones(Q, P)), (np.eye(Q, N), ones(Q, P)), 3.0),
    (ready.nonnegative("B", inputs=[0, 2]), ones(N, P, r0c1=-3), ones(N, P, r1c2=-0.5, r0c1=-3), 0.5),
    (ready.box("D", -0.5, 0.5, inputs=[1]), ones(Q, P) - 0.5 * np.eye(P)[1], 2 * ones(Q, P), 1.5),
    (ready.column_norm_bound("B", 0.2, "inf", inputs=[1]), ones(N, P) - 0.8 * np.eye(P)[1], ones(N, P), 0.8),
    (ready.convex_state(), 0.5 * np.eye(N), np.eye(N), 1.0),
    (ready.convex_state([4.0, 1.0, 1.0, 1.0]), 0.5 * np.eye(N, k=-1), np.outer(np.eye(N)[0], np.eye(N)[1]), 1.0),
]


def at(it, constraint, matrices):
    """The iterate with these in the place of those that are constrained: one array, or a tuple of them."""
    given = matrices if isinstance(matrices, tuple) else (matrices,)
    return it.replace(**{k: np.asarray(X, float) for k, X in zip(constraint.matrices, given, strict=True)})


IDS = [f"{constraint.name} {i}" for i, (constraint, *_) in enumerate(READY)]


@pytest.mark.parametrize(("constraint", "feasible", "infeasible", "violation"), READY, ids=IDS)
class TestReadyMade:
    def test_a_feasible_and_an_infeasible_point(self, constraint, feasible, infeasible, violation):
        problem = problem_with(constraint)
        it = problem.initial()
        good, bad = (at(it, constraint, matrices) for matrices in (feasible, infeasible))
        assert problem.violations(good)[constraint.name] <= 1e-12
        assert problem.violations(bad)[constraint.name] == pytest.approx(violation)

    @pytest.mark.parametrize("method", slow_but(["prox-linear"], METHODS))
    def test_the_trained_model_meets_it(self, method, constraint, feasible, infeasible, violation):
        result = train(problem_with(constraint), method, max_cycles=2)
        assert result.violations[constraint.name] <= 1e-6
        assert result.violations["norm_bound"] <= 1e-12
        assert result.history["violation"].max() <= 1e-6
        assert np.all(np.diff(result.history["objective"]) <= 1e-9)
        assert constraint.name in result.dual_values

    def test_it_costs_its_block_something(self, constraint, feasible, infeasible, violation):
        block = BLOCK_OF[constraint.matrices[0]]
        free, bound = problem_with(), problem_with(constraint)
        it = start_of(free, block)
        loose, tight = (solve_block(problem, it, block) for problem in (free, bound))
        assert tight.solver in SOLVERS
        assert tight.certificate.violation <= 1e-6
        assert tight.objective >= loose.objective - 1e-6 * abs(loose.objective)
        if bound.violations(loose.iterate)[constraint.name] > 1e-2:
            assert tight.objective > loose.objective + 1e-6 * abs(loose.objective)

    def test_it_can_be_shown_pickled_and_subsetted(self, constraint, feasible, infeasible, violation):
        again = pickle.loads(pickle.dumps(constraint))
        assert repr(again) == repr(constraint)
        assert again.name == constraint.name
        assert len(repr(constraint)) < 100
        fewer = pickle.loads(pickle.dumps(problem_with(again).subset(inputs=np.arange(P) < 4)))
        assert list(fewer.constraints) == [constraint.name]
        if constraint.matrices in {("B",), ("D",)}:
            it = at(fewer.initial(), constraint, np.asarray(infeasible, float)[:, :4])
            assert fewer.violations(it)[constraint.name] > 0.05


def test_arrays_that_change_later_change_no_constraint():
    mask, lower = np.eye(Q, P, dtype=bool), np.zeros((Q, P))
    fixed, box = ready.fixed_entries("D", mask), ready.box("D", lower=lower)
    mask[:], lower[:] = False, 5.0
    it = problem_with().initial().replace(D=np.ones((Q, P)))
    for constraint, violation in ((fixed, 1.0), (box, 0.0)):
        for copied in (constraint, copy.deepcopy(constraint), pickle.loads(pickle.dumps(constraint))):
            assert problem_with(copied).violations(it)[constraint.name] == violation


def test_representations():
    assert repr(ready.box("B", lower=0)) == "box(matrix='B', lower=0, upper=None)"
    assert repr(ready.box("B", lower=np.zeros((4, 5)))) == "box(matrix='B', lower=<array of shape (4, 5)>, upper=None)"
    assert repr(ready.row_norm_bound("C", np.ones(2))) == "row_norm_bound(matrix='C', bound=[1.0, 1.0], norm=2)"
    assert repr(ready.convex_state()) == "convex_state()"
    assert "constraints=['nonnegative(B)', 'mine']" in repr(
        random_problem(SIZE, constraints={"nonnegative(B)": ready.nonnegative("B"), "mine": lambda v: v["A"] <= 1})
    )
