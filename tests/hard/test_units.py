"""Units: a power of ten in targets or in an input changes nothing but the units of the solution."""

import numpy as np
import pytest
from problems import OPTIONS, random_problem
from units import applied, outcomes, scale_input, scale_targets

from bcd_implicit import BLOCKS, ConvergenceWarning, solve

pytestmark = pytest.mark.hard


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_certified_in_all_units(block, name):
    found = list(outcomes(block, [name]))
    assert len(found) == 4 * 25
    assert not [o for o in found if o.missed]
    differences = np.array([o.difference for o in found if o.difference is not None])
    assert differences.max() < 1e-9
    # None takes twice as long as in the first units; by counting, as times depend on what else the machine does.
    assert max(o.work for o in found if o.work is not None) < 2


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
@pytest.mark.parametrize("size", [(3, 4, 2, 30), (3, 30, 2, 12), (6, 60, 4, 100)], ids=str)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_loops_know_no_units(name, size, method):
    """A power of two changes no digit of any number, so that all that follows is the same to the last bit."""
    stacked = OPTIONS[name].get("group_over") == "BD"
    none = dict.fromkeys(("ridge", "ridge_hidden"), 0.0)
    for scale, options in ((scale_targets, none if stacked else {}), (scale_input, none)):
        problem = random_problem(size, **OPTIONS[name] | options)
        first = solve(problem, method, "native", max_cycles=8)
        for power in (-40, 7, 33):
            scaled, factors = scale(problem, "prox-linear", 2.0**power)
            second = solve(scaled, method, "native", max_cycles=8, start=applied(problem.initial(0), factors))
            expected = applied(first.iterate, factors)
            for letter in "ABbCDdX":
                np.testing.assert_array_equal(getattr(second.iterate, letter), getattr(expected, letter))
            assert (second.status, second.n_cycles) == (first.status, first.n_cycles)


def test_a_wrong_unit_would_show():
    problem = random_problem((3, 4, 2, 30), **OPTIONS["penalty"])
    scaled, factors = scale_targets(problem, "prox-linear", 1e3)
    with pytest.warns(ConvergenceWarning):
        first, second = (solve(p, max_cycles=2) for p in (problem, scaled.replace(kappa=scaled.kappa * 1.001)))
    expected = scaled.prediction(applied(first.iterate, factors))
    assert np.abs(scaled.prediction(second.iterate) - expected).max() > 1e-6 * np.abs(expected).max()
