"""Where the objective has no digits left, Newton's steps are taken whole, and a polish ends once the gap is met."""

import numpy as np
import pytest
from problems import OPTIONS, at, random_problem

from bcd_implicit import solve_block
from bcd_implicit.blocks import make_block, proximal_newton
from bcd_implicit.blocks.proximal_newton import _at, _newton_step, _polish


@pytest.fixture
def evaluated(monkeypatch):
    """The points at which the solver asks for the objective."""
    points = []

    def counted(smooth, terms, T):
        points.append(T)
        return _at(smooth, terms, T)

    monkeypatch.setattr(proximal_newton, "_at", counted)
    return points


@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
@pytest.mark.parametrize("name", OPTIONS)
def test_no_step_is_halved_over_rounding(name, block, evaluated):
    problem = random_problem((3, 4, 2, 30), **OPTIONS[name])
    posed = make_block(problem, at(problem, block), block)
    T = posed.joined(solve_block(problem, at(problem, block), block, "native", tol=1e-12).iterate)
    smooth, terms = posed.smooth(), posed.terms
    rng = np.random.default_rng(0)
    for size in np.repeat([1e-9, 1e-10, 1e-11], 10):
        # On the face of the optimum, and so near that the objective is the same but for rounding.
        near = terms.move(T, size * T * rng.standard_normal(T.shape), terms.face(T, np.zeros_like(T))[0])
        start = _at(smooth, terms, near)
        evaluated.clear()
        _newton_step(smooth, terms, start, 0.0)
        assert len(evaluated) <= 1


def test_a_polish_asks_as_the_gradient_falls_and_ends_where_the_answer_is_yes(evaluated):
    problem = random_problem((3, 4, 2, 30), **OPTIONS["leaky"])
    posed = make_block(problem, at(problem, "hidden"), "hidden")
    smooth, terms = posed.smooth(), posed.terms
    start = _at(smooth, terms, posed.joined(posed.it))
    asked = []

    def met(T, enough):
        asked.append(T)
        return len(asked) == enough

    T, optimal = _polish(smooth, terms, start, 1.0, lambda T: met(T, 2))
    assert optimal
    assert len(asked) == 2
    np.testing.assert_array_equal(T, asked[-1])
    few = len(evaluated)
    asked.clear()
    evaluated.clear()
    T, optimal = _polish(smooth, terms, start, 1.0, lambda T: met(T, None))
    assert not optimal
    assert len(asked) > 2
    np.testing.assert_array_equal(T, asked[-1])
    assert few < len(evaluated)
