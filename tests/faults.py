"""Faults of conic solvers, injected where CVXPY calls them: what they raise, and wrong values that they call optimal.

A fault of what a solver returns is put into its interface's ``invert``, so that it looks the same to whoever reads the
solution; the status is "optimal" whatever the solver said.
"""

import contextlib
import copy

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.reductions.solvers.solving_chain import SolvingChain

import bcd_implicit as bi

SOLVERS = tuple(bi.SOLVERS)


class Panic(BaseException):
    """What a solver written in Rust raises: no Exception."""


RAISED = {
    "RuntimeError": RuntimeError("boom"),
    "KeyError": KeyError("info"),
    "AttributeError": AttributeError("'NoneType' object has no attribute 'x'"),
    "IndexError": IndexError("list index out of range"),
    "TypeError": TypeError("argument of type 'NoneType' is not iterable"),
    "MemoryError": MemoryError(),
    "LinAlgError": np.linalg.LinAlgError("SVD did not converge"),
    "SolverError": cp.SolverError("Solver failed. Try another"),
    "ZeroDivisionError": ZeroDivisionError("division by zero"),
    "SystemExit": SystemExit(3),
    "GeneratorExit": GeneratorExit(),
    "panic": Panic("index out of bounds: the len is 3 but the index is 3"),
}


def _noise(values, rng, share=None):
    size = np.abs(values).max(initial=0.0) or 1.0
    return (0 if share is None else values) + size * (share or 1.0) * rng.standard_normal(values.shape)


def _both(change):
    return {"primal": change, "dual": change}


# Each takes values and a random generator; what is not named stays right.
RETURNED = {
    "nan": _both(lambda v, rng: np.full_like(v, np.nan)),
    "one nan": {"primal": lambda v, rng: np.where(np.arange(v.size).reshape(v.shape) == 0, np.nan, v)},
    "infinity": _both(lambda v, rng: np.full_like(v, np.inf)),
    "huge": _both(lambda v, rng: 1e200 * np.ones_like(v)),
    "zeros": _both(lambda v, rng: np.zeros_like(v)),
    "noise": _both(_noise),
    "little noise": _both(lambda v, rng: 1e-3 * _noise(v, rng)),
    "tiny noise": _both(lambda v, rng: 1e-9 * _noise(v, rng)),
    "zeros, right duals": {"primal": lambda v, rng: np.zeros_like(v)},
    "noise, right duals": {"primal": _noise},
    "1 % off, right duals": {"primal": lambda v, rng: _noise(v, rng, 1e-2)},
    "half of it": _both(lambda v, rng: 0.5 * v),
    "half of it, right duals": {"primal": lambda v, rng: 0.5 * v},
    "twice the duals, half the point": {"primal": lambda v, rng: 0.5 * v, "dual": lambda v, rng: 2 * v},
    "1 % off": _both(lambda v, rng: _noise(v, rng, 1e-2)),
    "signs": _both(lambda v, rng: -v),
}
# The point is right here: it may be believed, but not what is wrong of it.
DUALS = {
    "nan as duals": {"dual": lambda v, rng: np.full_like(v, np.nan)},
    "zeros as duals": {"dual": lambda v, rng: np.zeros_like(v)},
    "noise as duals": {"dual": _noise},
    "no duals": {"dual": None},
}
# Problems that a solver may have solved instead.
ANOTHER = {
    "other costs": ("c", lambda v, rng: v * rng.uniform(0.5, 2, v.shape)),
    "slightly other costs": ("c", lambda v, rng: v * rng.uniform(0.97, 1.03, v.shape)),
    "other bounds": ("b", lambda v, rng: v * rng.uniform(0.5, 2, v.shape)),
}
STATUSES = {"infeasible": "infeasible", "unbounded": "unbounded", "failed": "solver_error"}
KINDS = [*RAISED, *RETURNED, *DUALS, *ANOTHER, *STATUSES]


@contextlib.contextmanager
def faulty(kind, solvers=SOLVERS, seed=0):
    """While it lasts these solvers have a fault of this kind."""
    rng = np.random.default_rng(seed)
    solve = SolvingChain.solve_via_data

    def solve_via_data(chain, problem, data, *args, **options):
        if chain.solver.name() in solvers:
            if kind in RAISED:
                raise RAISED[kind]
            if kind in ANOTHER:
                name, change = ANOTHER[kind]
                data = copy.copy(data)
                # ECOS has its own names for the parts.
                name = {"b": "h"}.get(name, name) if name not in data or "h" in data else name
                if data.get(name) is not None:
                    data[name] = change(np.asarray(data[name], dtype=float), rng)
        return solve(chain, problem, data, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SolvingChain, "solve_via_data", solve_via_data)
        if kind in RETURNED or kind in DUALS or kind in STATUSES:
            for solver in solvers:
                interface = type(_interface(solver))
                patch.setattr(interface, "invert", _spoilt(interface.invert, kind, rng))
        yield


def _interface(solver):
    x = cp.Variable()
    return cp.Problem(cp.Minimize(x), [x >= 0]).get_problem_data(solver)[1].solver


def _spoilt(invert, kind, rng):
    made = {}

    def spoilt(self, raw, inverse):
        solution = invert(self, raw, inverse)
        if kind in STATUSES:
            return type(solution)(STATUSES[kind], np.nan, {}, {}, solution.attr)
        changes = RETURNED.get(kind) or DUALS[kind]
        # The same answer to the same question: a solution is read more than once.
        if id(raw) not in made:
            primal, dual = solution.primal_vars, solution.dual_vars
            if "primal" in changes:
                primal = {k: changes["primal"](np.asarray(v, dtype=float), rng) for k, v in primal.items()}
            if "dual" in changes:
                change = changes["dual"]
                dual = {k: change(np.asarray(v, dtype=float), rng) for k, v in dual.items()} if change else {}
            made[id(raw)] = raw, type(solution)("optimal", solution.opt_val, primal, dual, solution.attr)
        return made[id(raw)][1]

    return spoilt
