"""Faults of conic solvers by the hundred: none ends a run raw, none is believed."""

import warnings
from itertools import count

import numpy as np
import pytest
from constrained import METHODS
from faults import KINDS, SOLVERS, faulty
from problems import random_iterate, random_problem

import bcd_implicit as bi
from bcd_implicit import constraints as ready

pytestmark = pytest.mark.hard
TOL = 1e-6

BLOCKS = {
    "output": ("output", None),
    "output, nonnegative": ("output", ready.nonnegative("C")),
    "output, nuclear norm": ("output", ready.nuclear_norm_bound("C", 0.5)),
    "state": ("state", None),
    "hidden": ("hidden", None),
    "hidden, penalty": ("hidden", ready.l1_penalty("B", 0.05)),
    "prox-linear": ("prox-linear", None),
    "prox-linear, nonnegative": ("prox-linear", ready.nonnegative("B")),
}
# The solver asked for, and those that fail.
ASKED = [*((solver, [solver]) for solver in SOLVERS), ("cvxpy", ["SCS", "CLARABEL"]), ("cvxpy", SOLVERS)]


def warned(run):
    """What a run returns, its ConvergenceWarnings, and that there are no others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run()
    assert {w.category for w in caught} <= {bi.ConvergenceWarning}, [str(w.message) for w in caught]
    return result, [str(w.message) for w in caught]


@pytest.mark.parametrize("case", BLOCKS)
def test_no_fault_in_a_block_is_raw_or_believed(case):
    name, constraint = BLOCKS[case]
    problem = random_problem((3, 4, 2, 30), norm_bound=0.8, kappa=0.02, constraints=[constraint] if constraint else [])
    it = random_iterate(problem, relaxed=name != "prox-linear")
    right = bi.solve_block(problem, it, name, "CLARABEL", tol=1e-8)
    seeds, injected = count(), 0
    for number, kind in enumerate(KINDS):
        for solver, broken in (ASKED[number % len(ASKED)], ASKED[-1]):
            if (case == "output, nuclear norm") and solver == "ECOS":
                continue  # which lacks the cone
            injected += 1
            where = f"{kind}, {solver} asked for, {broken} broken"
            with faulty(kind, broken, next(seeds)):
                try:
                    solution, said = warned(lambda s=solver: bi.solve_block(problem, it, name, s, tol=TOL))
                except bi.BlockSolveError as error:
                    assert len(broken) > 1, where
                    np.testing.assert_array_equal(error.iterate.C, it.C)
                    continue
            assert all(np.isfinite(getattr(solution.iterate, k)).all() for k in "ABbCDdX"), where
            off = (solution.objective - right.objective) / right.certificate.scale
            if not said or solution.certificate.holds(TOL):
                assert abs(off) <= 2 * TOL, where
                assert solution.feasible, where
            if solution.solver != solver != "cvxpy":
                assert solver in said[0], where
                assert solution.solver in said[0], where
    assert injected >= 60


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("constrained", [False, True])
def test_no_fault_in_a_loop_is_raw_or_believed(method, constrained):
    constraints = [ready.nonnegative("B"), ready.box("C", -1, 1)] if constrained else []
    problem = random_problem((2, 3, 2, 20), norm_bound=0.8, kappa=0.02, constraints=constraints)
    start = problem.initial(0)
    start = problem.at_equilibrium(start.replace(B=np.abs(start.B)))
    for number, kind in enumerate(KINDS):
        solver, broken = ASKED[number % len(ASKED)]
        where = f"{kind}, {solver} asked for, {broken} broken"
        with faulty(kind, broken, number):
            try:
                result, said = warned(
                    lambda s=solver: bi.solve(problem, method, s, max_cycles=2, tol=1e-2, start=start)
                )
            except bi.BlockSolveError as error:
                if "unbounded" not in error.status or len(broken) == 1:  # unless all solvers say so
                    raise
                continue
        assert all(np.isfinite(getattr(result.iterate, k)).all() for k in "ABbCDdX"), where
        assert max(result.violations.values()) <= 1e-6, where
        assert result.objective <= problem.objective_at_states(start) * (1 + 1e-9), where
        if result.status.ok:
            assert said or all(c.holds(1e-5) for c in result.certificates.values()), where
        elif len(broken) == 1:
            assert result.n_cycles == 2, where
