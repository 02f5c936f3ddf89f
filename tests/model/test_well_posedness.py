"""What bounds a vector x with x <= Gx + s, for G without negative entries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("G", [np.eye(2), 1.1 * np.eye(2), [[0.0, 2.0], [2.0, 0.0]], [[0.5, 9.0], [0.1, 0.5]]])
def test_there_is_no_room_where_the_spectral_radius_is_one_or_more(G):
    assert well_posedness.room(np.array(G)) is None
