"""The conic solvers behind CVXPY, by name: how a tolerance becomes each one's options, and what their words mean.

To add a solver that CVXPY knows, add a line to :data:`SOLVERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cvxpy as cp
import numpy as np

from bcd_implicit.errors import BlockSolveError, InvalidInputError
from bcd_implicit.support.interruption import check_stop, in_background, press, seconds_left
from bcd_implicit.support.notices import ignored

# Each solver's own measures of accuracy are not ours: asked for a thousandth of the tolerance, an interior-point
# method meets it on our certificate at the price of two or three more iterations. SCS, of first order, pays more
# for each digit and gets by with a tenth.
#: The options of each conic solver for a relative tolerance.
SOLVERS: dict[str, Callable[[float], dict[str, Any]]] = {
    "CLARABEL": lambda tol: {"tol_gap_abs": 1e-3 * tol, "tol_gap_rel": 1e-3 * tol, "tol_feas": 1e-3 * tol},
    "ECOS": lambda tol: {"abstol": 1e-3 * tol, "reltol": 1e-3 * tol, "feastol": 1e-3 * tol, "max_iters": 200},
    "SCS": lambda tol: {"eps_abs": 0.1 * tol, "eps_rel": 0.1 * tol, "max_iters": 50_000},
}
# The options by which a solver ends itself: one that is left alone at the time limit would work on.
_TIME_LIMITS = {"CLARABEL": "time_limit", "SCS": "time_limit_secs"}
# The blocks' own solvers, in their files. They know nothing of a user's constraints: where one acts, CVXPY it is.
NATIVE = "native"
# Through CVXPY, to the conic solver that serves the block best, and to another when the certificate is missed.
CVXPY = "cvxpy"
# Native, then through CVXPY where that misses the tolerance.
AUTO = "auto"
#: What leaves the choice of a conic solver to the block.
CHOICES = (AUTO, NATIVE, CVXPY)
_USABLE = (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.USER_LIMIT)


def _interrupted(raw: Any) -> bool:
    """Whether the solver ended on Ctrl-C: ECOS and SCS catch the signal themselves and only report it."""
    info = raw.get("info", {}) if isinstance(raw, dict) else {}
    return info.get("exitFlag") == -4 or info.get("status_val") == -5


def _time_limit(solver: str) -> dict[str, float]:
    """The solver's option for the time that is left, if there is a limit."""
    left = seconds_left()
    return {_TIME_LIMITS[solver]: left} if np.isfinite(left) and solver in _TIME_LIMITS else {}


def check_solver(solver: str) -> str:
    """The solver's canonical name, or one of :data:`CHOICES`.

    Raises
    ------
    InvalidInputError
        An unknown name; the message lists the known ones.
    """
    if not isinstance(solver, str):
        raise InvalidInputError("solver", f"is a {type(solver).__name__}", "Give a name such as 'auto'")
    if solver.lower() in CHOICES:
        return solver.lower()
    name = solver.upper()
    if name not in SOLVERS:
        raise InvalidInputError("solver", f"unknown solver {solver!r}", f"Use one of {', '.join((*CHOICES, *SOLVERS))}")
    return name


def run_solver(
    problem: cp.Problem, block: str, solver: str, tol: float, options: Mapping[str, Any] | None = None
) -> str:
    """Solve a CVXPY problem in place and return its status: "optimal", or a word for less accurate.

    Parameters
    ----------
    problem : cvxpy.Problem
    block : str
        The block's name, for messages.
    solver : str
        A key of :data:`SOLVERS`.
    tol : float
        Relative accuracy aimed at.
    options : mapping, optional
        The solver's own options; they win over those derived from ``tol``.

    Raises
    ------
    BlockSolveError
        The solver gave no point at all.
    """
    options = SOLVERS[solver](tol) | _time_limit(solver) | dict(options or {})
    try:
        # "Solution may be inaccurate": our certificate says how inaccurate, so the warning is given there.
        with ignored("Solution may be inaccurate", "Forming a nonconvex expression"):
            data, chain, inverse = problem.get_problem_data(solver, solver_opts=options)
            raw = in_background(lambda: chain.solve_via_data(problem, data, solver_opts=options))
            if _interrupted(raw):
                press()
            # Not that a point of the time limit's passes for a solution.
            check_stop()
            problem.unpack_results(raw, chain, inverse)
        status = str(problem.status)
    except (cp.SolverError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        # CVXPY's own errors, and those of its factorisations where the numbers are beyond them.
        status = f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    except TypeError as error:  # CVXPY's solver interfaces let unknown options fall through to the solver
        raise InvalidInputError(
            "solver_options", f"{solver} refused them ({error})", "Check the option's name"
        ) from None
    if status in _USABLE and all(v.value is not None for v in problem.variables()):
        return status
    if "infeasible" in status:
        remedy = "No point meets all constraints: relax the user's constraints, or check norm_bound and kappa"
    elif "unbounded" in status:
        remedy = "Give ridge or ridge_hidden a positive value, and check that no penalty of yours falls without end"
    elif "cannot solve this problem" in status:  # CVXPY's words for a cone that the solver lacks
        cone = "a cone that the block needs (spectral norms need a semidefinite one)"
        remedy = f"{solver} lacks {cone}: use SCS or CLARABEL"
    else:
        remedy = (
            f"Try another solver ({', '.join(s for s in SOLVERS if s != solver)}) or a looser tol, or scale the data"
        )
    raise BlockSolveError(block, solver, status, remedy)
