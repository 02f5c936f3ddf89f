"""The conic solvers behind CVXPY, by name: how a tolerance becomes each one's options, and what their words mean.

Any solver that CVXPY finds installed may be named, with its own tolerances. To have one aim at the tolerance asked
for, add a line to :data:`SOLVERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bcd_implicit.blocks.compiled import Compiled
from bcd_implicit.errors import UNFIT, BlockSolveError, InvalidInputError, shown
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.choices import SOLVER_CHOICES
from bcd_implicit.support.interruption import SOLVER_PAUSE, check_stop, in_background, press, seconds_left
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
# May be named, as all that is installed, but is not offered: it is ECOS within branch and bound, for whole numbers,
# which no block has.
_NOT_OFFERED = {"ECOS_BB"}


def _interrupted(raw: Any) -> bool:
    """Whether the solver ended on Ctrl-C: ECOS and SCS catch the signal themselves and only report it."""
    info = raw.get("info") if isinstance(raw, dict) else None
    # Others have objects of their own there.
    return isinstance(info, dict) and (info.get("exitFlag") == -4 or info.get("status_val") == -5)


def _time_limit(solver: str) -> dict[str, float]:
    """The solver's option for the time that is left, if there is a limit."""
    left = seconds_left()
    return {_TIME_LIMITS[solver]: left} if np.isfinite(left) and solver in _TIME_LIMITS else {}


def check_solver(solver: str) -> str:
    """The solver's canonical name, or "auto", "native" or "cvxpy".

    Raises
    ------
    InvalidInputError
        A solver that is not installed or not known; the message lists those that are.
    """
    if not isinstance(solver, str):
        raise InvalidInputError("solver", f"is of type {type(solver).__name__}", "Give a name such as 'auto'")
    if solver.lower() in SOLVER_CHOICES:
        return solver.lower()
    name = solver.upper()
    if name not in SOLVERS and name not in cp.installed_solvers():
        others = [name for name in cp.installed_solvers() if name not in _NOT_OFFERED]
        known = dict.fromkeys([*SOLVER_CHOICES, *SOLVERS, *others])
        cause = f"{solver!r} is not installed" if name in cp.settings.SOLVERS else f"unknown solver {shown(solver)}"
        raise InvalidInputError("solver", cause, f"Use one of {', '.join(known)}")
    return name


def run_solver(
    problem: cp.Problem, block: str, solver: str, tol: float, options: Mapping[str, Any] | None = None
) -> tuple[str, Compiled]:
    """Solve a CVXPY problem in place.

    Parameters
    ----------
    problem : cvxpy.Problem
    block : str
        The block's name, for messages.
    solver : str
        A key of :data:`SOLVERS`, or another installed solver, which is left its own tolerances.
    tol : float
        Relative accuracy aimed at.
    options : mapping, optional
        The solver's own options; they win over those derived from ``tol``.

    Returns
    -------
    status : str
        "optimal", or a word for less accurate.
    compiled : Compiled
        For :meth:`~bcd_implicit.blocks.compiled.Compiled.claim`.

    Raises
    ------
    BlockSolveError
        The solver gave no point at all, whatever it raised.
    InvalidInputError
        The solver refused one of ``options``.
    """
    given = dict(options or {})
    asked = SOLVERS.get(solver, lambda tol: {})(tol) | _time_limit(solver) | given
    try:
        # "Solution may be inaccurate": our certificate says how inaccurate, so the warning is given there.
        with ignored("Solution may be inaccurate", "Forming a nonconvex expression"), np.errstate(all="ignore"):
            status, compiled = _run(problem, solver, asked)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # A solver may raise whatever it likes; a panic of one that is written in Rust is not even an Exception.
    except BaseException as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        refused = next((name for name in given if name in words[0]), None)
        if refused is not None or (given and isinstance(error, TypeError)):
            cause = f"{solver} refused {refused or 'them'} ({words[0]})"
            raise InvalidInputError("solver_options", cause, "Check the option's name and value") from None
        status, compiled = f"failed: {words[0]}", None
    usable = status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE, cp.USER_LIMIT)
    if usable and compiled is not None and all(v.value is not None for v in problem.variables()):
        return status, compiled
    raise BlockSolveError(block, solver, status, _remedy(solver, status))


def _run(problem: cp.Problem, solver: str, options: dict[str, Any]) -> tuple[str, Compiled | None]:
    """Compile, solve, and put the values into the problem: its status, and what to make a claim of."""
    for variable in problem.variables():
        variable.value = None  # another solver's, which need not even be numbers
    try:
        data, chain, inverse = in_background(lambda: problem.get_problem_data(solver, solver_opts=options))
    except cp.SolverError:
        return f"{UNFIT} the block's {_lacking(solver, problem)}", None
    raw = in_background(lambda: _raw(chain.solve_via_data, problem, data, solver_opts=options), SOLVER_PAUSE)
    if _interrupted(raw):
        press()
    # Not that a point of the time limit's passes for a solution.
    check_stop()
    problem.unpack_results(raw, chain, inverse)
    return str(problem.status), Compiled(data, chain, inverse, raw)


def _raw(solve: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What a solver returns. One that would end the program, or a generator, has failed like any other.

    Only here: outside of the solver's own call an exit is the program's, as from its handler of a signal.
    """
    try:
        return solve(*args, **options)
    except (SystemExit, GeneratorExit) as error:
        raise RuntimeError(f"{type(error).__name__} {error}".strip()) from error


# The cones that not every solver takes: CVXPY's name for the numbers of them, that of its constraint, and words.
_CONES = [
    ("soc", "SOC", "second-order cones"),
    ("psd", "PSD", "semidefinite cones (spectral and nuclear norms, eigenvalues)"),
    ("exp", "ExpCone", "exponential cones"),
    ("p3d", "PowCone3D", "power cones"),
]


def _taken(solver: str) -> list[str]:
    """The cones that a solver takes, by the names of CVXPY's constraints."""
    known = cp.reductions.solvers.defines.SOLVER_MAP_CONIC.get(solver)
    return [cone.__name__ for cone in known.SUPPORTED_CONSTRAINTS] if known else []


def _lacking(solver: str, problem: cp.Problem) -> str:
    """What a problem asks of a solver that this one lacks, in words, from what it is compiled to for CLARABEL."""
    dims = in_background(lambda: problem.get_problem_data("CLARABEL"))[0]["dims"]
    taken = _taken(solver)
    lacking = [words for name, cone, words in _CONES if getattr(dims, name, None) and cone not in taken]
    return " and ".join(lacking) or "quadratic objective"


def solvers_of_all_blocks() -> list[str]:
    """The other installed solvers that can train: the blocks of (A, B, b) need second-order cones."""
    left_out = {*SOLVERS, *_NOT_OFFERED}
    return [name for name in cp.installed_solvers() if name not in left_out and "SOC" in _taken(name)]


def _remedy(solver: str, status: str) -> str:
    if "infeasible" in status:
        return "No point meets all constraints: relax the user's constraints, or check norm_bound and kappa"
    if "unbounded" in status:
        return "Give ridge or ridge_hidden a positive value, and check that your own penalties are bounded below"
    if status.startswith(UNFIT):
        return "Use CLARABEL or SCS, which accept all cones"
    return f"Try another solver ({', '.join(s for s in SOLVERS if s != solver)}) or a looser tol, or scale the data"
