"""How well the responses of an equilibrium are known where ||A||_inf is beyond 1: against more digits."""

import numpy as np
import pytest
from patterns import iterate_with_large_links, mixed_masks, network_masks
from problems import random_problem

from bcd_implicit.certificates.responses import equilibrium_responses
from bcd_implicit.problem.quadratic_model import QuadraticModel

EXTENDED = np.finfo(np.longdouble).eps < 1e-18


def exact_responses(problem, it):
    """R (I - D_k A)^-1 D_k by the series, in extended precision: (rows, n, m)."""
    A, slopes = it.A.astype(np.longdouble), problem.activation.derivative(problem.preactivation(it))
    _, R = QuadraticModel(problem, it).basis(it.C)
    found = np.empty((len(R), len(A), problem.n_samples), dtype=np.longdouble)
    for k, D in enumerate(slopes.T.astype(np.longdouble)):
        term = R.astype(np.longdouble)
        total = term.copy()
        for _ in range(300):
            term = (term * D) @ A
            total += term
        found[:, :, k] = total * D
    return found


@pytest.mark.skipif(not EXTENDED, reason="longdouble is no longer than double here")
@pytest.mark.parametrize("masks", [network_masks(4, [3, 3, 3], 2), mixed_masks(4, 2)], ids=["network", "mixed"])
def test_what_they_are_off_is_bounded_and_small(masks):
    n = len(masks["A"])
    problem = random_problem((n, 4, 2, 30), activation="tanh", pattern=masks, pass_through=False)
    it = iterate_with_large_links(problem, "prox-linear")
    assert np.abs(it.A).sum(axis=1).max() > 2
    exact = exact_responses(problem, it)

    def off(responses):
        (_, J), *more = responses()
        assert not more
        return float(np.sqrt(np.sum((J - exact) ** 2, axis=(0, 1)).max()))

    own = equilibrium_responses(problem, it)
    assert off(own) <= own.error <= 1e-11 * float(np.abs(exact).max())
    rng = np.random.default_rng(0)
    size = 1e-13
    claim = (exact + size * rng.standard_normal(exact.shape)).astype(float)
    claimed = equilibrium_responses(problem, it, claim)
    assert off(claimed) > 2 * off(own)
    assert off(claimed) <= claimed.error
    # Nobody is believed who is off by more.
    wrong = equilibrium_responses(problem, it, claim * (1 + 1e-6))
    assert off(wrong) == off(own)
