"""The gap under a user's constraint on random problems: optima are accepted, those of neighbouring problems refused."""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from problems import random_iterate, random_problem

from bcd_implicit import ACTIVATIONS, BlockSolveError
from bcd_implicit import constraints as ready
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solvers import run_solver
from bcd_implicit.certificates.conic import conic_certificate

pytestmark = pytest.mark.hard

CONIC = [name for name, phi in ACTIVATIONS.items() if phi.conic]

# By block, functions of a factor that moves their bounds and weights.
OF_OUTPUT = [
    lambda t: ready.nonnegative("C"),
    lambda t: ready.nuclear_norm_bound("C", 0.5 * t),
    lambda t: ready.box("C", -0.1 * t, 0.1 * t),
    lambda t: lambda v: 0.05 * t * cp.sum(cp.exp(v["C"])),
]
OF_MATRICES = [
    lambda t: ready.nonnegative("B"),
    lambda t: ready.l1_penalty("A", 0.02 * t),
    lambda t: ready.spectral_norm_bound("A", 0.2 * t),
    lambda t: ready.box("B", -0.1 * t, 0.2 * t),
    lambda t: lambda v: cp.sum(v["A"]) == 0.3 * t,
    lambda t: lambda v: -0.02 * t * cp.log(v["A"][0, 0] + 1),
]


def claimed(block):
    """CLARABEL's point and claim."""
    posed = block.cvxpy_problem()
    _, compiled = run_solver(posed, block.name, "CLARABEL", 1e-8)
    values = {k: v.value for k, v in posed.var_dict.items() if k in block.letters}
    return block.repair(block.it.replace(**values)), compiled.claim()


def neighbours(rng, problem, make):
    """The same problem with one number changed."""
    factor = float(rng.choice([0.5, 0.9, 0.99, 1.01, 1.1, 2.0]))
    yield problem.replace(kappa=factor * problem.kappa)
    yield problem.replace(norm_bound=min(factor * problem.norm_bound, 0.99))
    yield problem.replace(ridge=factor * problem.ridge, ridge_hidden=factor * problem.ridge_hidden)
    yield problem.replace(constraints=[make(factor)])


@pytest.mark.parametrize("name", ["output", "hidden", "prox-linear"])
def test_optima_are_accepted_and_those_of_neighbouring_problems_refused(name):
    rng, n_wrong = np.random.default_rng(0), 0
    for number in range(20):
        makers = OF_OUTPUT if name == "output" else OF_MATRICES
        make = makers[number % len(makers)]
        problem = random_problem(
            (3, 4, 2, 30),
            number,
            kappa=float(10 ** rng.uniform(-2.5, 0.5)),
            group_form=str(rng.choice(["penalty", "constraint"])),
            ridge=float(rng.choice([0, 1e-2])),
            ridge_hidden=float(rng.choice([0, 1e-4, 1e-1])),
            norm_bound=0.8,
            activation=str(rng.choice(CONIC)),
            constraints=[make(1.0)],
        )
        block = make_block(problem, random_iterate(problem, number, relaxed=name != "prox-linear"), name)
        try:
            best, claim = claimed(block)
        except BlockSolveError:  # without a ridge a block may be unbounded for CLARABEL
            continue
        optimum = block.objective(best)
        assert conic_certificate(block.certificate(best), claim, optimum, 0.0, 0.0).relative_gap <= 1e-6, number
        for other in neighbours(rng, problem, make):
            try:
                point, theirs = claimed(make_block(other, block.it, name))
            except BlockSolveError:
                continue
            if theirs.x.shape != claim.x.shape or theirs.y.shape != claim.y.shape:
                continue
            objective, violation = block.objective(point), max(block.user_violations(point).values(), default=0.0)
            wrong = replace(claim, x=theirs.x, y=theirs.y)
            certificate = conic_certificate(block.certificate(point), wrong, objective, 0.0, violation)
            missed = (objective - optimum) / certificate.scale
            if certificate.violation <= 1e-6:
                n_wrong += missed > 1e-6
                assert certificate.relative_gap >= missed * (1 - 1e-3) - 1e-9, number
            else:
                assert not certificate.holds(1e-6), number
    assert n_wrong >= 10
