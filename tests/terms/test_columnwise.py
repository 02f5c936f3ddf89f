"""The penalty of whole columns: its proximal map and its conjugate, beside CVXPY and formulas by hand."""

import cvxpy as cp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from bcd_implicit.terms.columnwise import Columnwise

RNG = np.random.default_rng(0)
FREE = np.ones((4, 3), dtype=bool)
FREE[2, 1] = False
PENALTY = Columnwise(np.array([0.5, 1.0, 0.0]), 0.2, FREE)


def posed(T):
    columns = [w * cp.norm(T[:, j]) for j, w in enumerate(PENALTY.weights)]
    return cp.sum(cp.hstack(columns)) + 0.1 * cp.sum_squares(T)


def test_the_value_is_that_of_the_formula():
    T = RNG.standard_normal((4, 3))
    lengths = np.linalg.norm(T, axis=0)
    assert PENALTY.value(T) == pytest.approx(0.5 * lengths[0] + lengths[1] + 0.1 * np.sum(T**2))


def test_the_proximal_map_is_the_minimum():
    V, step = 2 * RNG.standard_normal((4, 3)), np.array([0.7, 3.0, 1.5])
    T = cp.Variable((4, 3))
    distance = 0.5 * cp.sum_squares((T - V) @ np.diag(1 / np.sqrt(step)))
    cp.Problem(cp.Minimize(posed(T) + distance), [T[2, 1] == 0]).solve("CLARABEL")
    assert_allclose(PENALTY.prox(V, step * np.ones((4, 3))), T.value, atol=1e-6)
    # A column as long as its weight or less leaves as a whole.
    short = 0.4 * V / np.linalg.norm(V, axis=0)
    assert not PENALTY.prox(short, np.ones((4, 3)))[:, :2].any()


def test_the_conjugate_is_the_supremum():
    G, T = 2 * RNG.standard_normal((4, 3)), cp.Variable((4, 3))
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(G, T)) - posed(T)), [T[2, 1] == 0])
    problem.solve("CLARABEL")
    assert PENALTY.conjugate(G) == pytest.approx(problem.value, rel=1e-6)
    # Of any T the gap is Fenchel's inequality, and zero where G is the negative of a subgradient.
    there = T.value * FREE
    assert PENALTY.gap(there, -G) == pytest.approx(0.0, abs=1e-6)
    assert PENALTY.gap(there + 0.1 * FREE, -G) > 1e-4


def test_entries_that_are_held_must_be_zero():
    T = np.zeros((4, 3))
    assert PENALTY.violation(T) == 0.0
    T[2, 1] = 1e-9
    assert PENALTY.violation(T) == np.inf
    assert not PENALTY.feasible(T).any()
