"""What bounds a vector x with x <= Gx + s, for G without negative entries; what is below 1, and what next to it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bcd_implicit as bi
from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model import well_posedness


@given(seed=st.integers(0, 10_000), size=st.sampled_from([0.1, 1.0, 10.0]))
def test_room_bounds_every_solution_of_a_triangle_with_cycles(seed, size):
    rng = np.random.default_rng(seed)
    G = size * np.triu(rng.random((6, 6)), 1)
    G[1:3, 1:3] = [[0.0, 0.9], [0.5, 0.3]]  # spectral radius below 1, one row sum 0.9
    room = well_posedness.room(G)
    assert (room > 0).all()
    s = rng.random((6, 20))
    # The largest x is that of equality, here by Neumann's series: after k terms what is left is small.
    x, term = s.copy(), s
    for _ in range(500):
        term = G @ term
        x += term
    bound = s.max(axis=0) / room[:, None]
    assert (x <= bound * (1 + 1e-12)).all()
    # Where all of s is equal it is the solution itself.
    np.testing.assert_allclose(np.linalg.solve(np.eye(6) - G, np.ones(6)), 1 / room, rtol=1e-7)


@given(seed=st.integers(0, 10_000), near=st.sampled_from([0.5, 0.99, 1 - 1e-9]), held=st.booleans())
def test_the_bound_of_the_inverse_holds_exactly_and_is_hardly_more(seed, near, held):
    rng = np.random.default_rng(seed)
    G = rng.random((4, 4))
    G *= near / G.sum(axis=1, keepdims=True)
    G -= np.diag(5 * rng.random(4)) * held
    asked = rng.random((4, 3)) * 10.0 ** rng.integers(-6, 6, 3)
    V = well_posedness.inverse_bound(G, asked)
    # In fractions: no rounding.
    exact = [[Fraction(float(i == j)) - Fraction(float(G[i, j])) for j in range(4)] for i in range(4)]
    for column, wanted in zip(V.T, asked.T, strict=True):
        got = [sum(row[j] * Fraction(float(column[j])) for j in range(4)) for row in exact]
        assert all(a >= Fraction(float(b)) for a, b in zip(got, wanted, strict=True))
        assert column == pytest.approx(np.linalg.solve(np.eye(4) - G, wanted), rel=1e-4)


@pytest.mark.parametrize("G", [np.eye(2), 1.1 * np.eye(2), [[0.0, 2.0], [2.0, 0.0]], [[0.5, 9.0], [0.1, 0.5]]])
def test_there_is_no_room_where_the_spectral_radius_is_one_or_more(G):
    assert well_posedness.room(np.array(G)) is None


def halves(factor):
    return bi.ImplicitModel([[factor / 2, factor / 2]] * 2, np.ones((2, 1)), None, np.ones((1, 2)))


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_next_to_1_the_verdict_and_the_solver_agree():
    with pytest.raises(NotWellPosedError, match=r"not below 1 by more than rounding, so an.*Scale A down"):
        halves(1 - 1e-15).predict([[1.0]])
    assert "is 1 - 1.1e-15, not below 1 by more than rounding" in halves(1 - 1e-15).structure().reason
    rng, verdicts = np.random.default_rng(0), []
    for k in range(60):
        n = int(rng.integers(1, 20))
        A = rng.standard_normal((n, n)) * np.exp(rng.integers(0, 4) * rng.standard_normal((n, n)))
        np.fill_diagonal(A, np.abs(np.diagonal(A)))
        size = np.abs(np.linalg.eigvals(np.abs(A))).max() if k % 2 else np.abs(A).sum(axis=1).max()
        model = bi.ImplicitModel(A / size * (1 - 10 ** -rng.uniform(12, 16.5)), np.ones((n, 1)), None, np.ones((1, n)))
        try:
            model.predict([[1.0]])
            solved = True
        except NotWellPosedError:
            solved = False
        assert model.is_well_posed() == solved
        verdicts.append(solved)
    assert 10 < sum(verdicts) < 50


def test_rounding_next_to_1_is_told():
    with pytest.warns(
        bi.ConvergenceWarning, match=r"rounding errors grow.*only known to within.*factor 1 - 1.0e-12\)\. Scale A"
    ):
        point = halves(1 - 1e-12).states([[1.0]])
    exact = 1 / float(1 - sum(map(Fraction, [(1 - 1e-12) / 2] * 2)))
    assert np.abs(point.X - exact).max() <= point.error_bound[0] < 1e-2 * exact
    assert halves(1 - 1e-6).states([[1.0]]).error_bound[0] < 1e-8 * 1e6


def test_states_that_are_none_are_refused():
    structure = halves(0.5).structure()
    for states in ([7], "a", [True], [0, 0], [-1], [0.5], 3, []):
        with pytest.raises(bi.InvalidInputError, match=r"^states: .*from 0 to 1, each once, or a mask of 2"):
            structure.weights(states)
    for states in ([1], np.array([1]), [False, True], slice(1, 2)):
        assert structure.weights(states).tolist() == [1.0]
