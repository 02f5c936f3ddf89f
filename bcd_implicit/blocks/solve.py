"""The blocks by name, and how any of them is solved: pose, solve, make feasible, certify.

To add a block, write a subclass of :class:`~bcd_implicit.blocks.base.Block` in a file of its own and add it to
:data:`BLOCKS`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.feasibility import DENIES, explained
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.output import OutputBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.solution import FAIR_GAP, IMPROVED, BlockSolution
from bcd_implicit.blocks.solvers import check_solver, run_solver
from bcd_implicit.blocks.state import StateBlock
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.certificates.conic import USER_VIOLATION, conic_certificate
from bcd_implicit.constraints.user import terms_at
from bcd_implicit.errors import BcdError, BlockSolveError, InvalidInputError, check_choice, see
from bcd_implicit.problem.formula import held_at_zero
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.choices import AUTO, NATIVE, SOLVER_CHOICES
from bcd_implicit.support.interruption import in_background, stoppable, waiting
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.threads import one_blas_thread

#: The blocks, by name.
BLOCKS: dict[str, type[Block]] = {b.name: b for b in (OutputBlock, StateBlock, HiddenBlock, ProxLinearBlock)}


def make_block(problem: TrainingProblem, it: Iterate, block: str, **block_options: Any) -> Block:
    """A block of the problem at an iterate, before any solver.

    Raises
    ------
    InvalidInputError
        An unknown block (the message lists the known ones), an iterate of other shapes, or one whose loss overflows.
    """
    check_problem(problem)
    kind = BLOCKS[check_choice("block", block, BLOCKS)]
    for option in block_options:
        if option not in kind.options:
            known = f"Its options are: {', '.join(kind.options)}" if kind.options else "It has no options"
            raise InvalidInputError(option, f"is not an option of block '{block}'", known)
    start = time.perf_counter()
    built = kind(problem, check_iterate(it, problem.shapes, problem.activation), **block_options)
    built.build_seconds = time.perf_counter() - start
    return built


def solve_block(
    problem: TrainingProblem,
    it: Iterate,
    block: str,
    solver: str = AUTO,
    tol: float = 1e-6,
    solver_options: Mapping[str, Any] | None = None,
    max_seconds: float | None = None,
    **block_options: Any,
) -> BlockSolution:
    """Solve one block and certify the solution.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
    block : {"output", "state", "hidden", "prox-linear"}
    solver : {"auto", "native", "cvxpy", "CLARABEL", "ECOS", "SCS"} or another solver that CVXPY has installed
        "native" uses the block's own solver. Blocks affected by the user's constraints or penalties always go through
        CVXPY. "cvxpy" uses the conic solver that suits the block best, and tries others if that misses the tolerance.
        "auto" is "native", then "cvxpy" if that misses the tolerance. If a named solver fails, others are tried, with a
        warning; the solution's ``solver`` says which one was used. A solution that misses ``tol`` but has a relative
        gap of at most 1e-3 is kept, with a warning.
    tol : float
        Target for the relative duality gap. If it is missed, a warning gives the gap reached.
    solver_options : mapping, optional
        Passed to the solver unchanged, e.g. ``{"max_iter": 200}``.
    max_seconds : float, optional
        Give up after this many seconds. A running conic solver, or CVXPY's compilation, finishes in the background.
    **block_options
        ``mu`` for "prox-linear".

    Returns
    -------
    BlockSolution

    Raises
    ------
    InvalidInputError
        An unknown block or solver (the message lists the known ones), or, for blocks other than "output", an iterate
        whose loss overflows (for example expected counts of e^1000).
    BlockSolveError
        The block is infeasible or unbounded, the named solver does not support a cone that the block needs, CVXPY would
        have to solve a state or hidden block whose activation has no CVXPY form, or no solver gave a point. Also raised
        if all points were refused (a relative gap above 1e-3, or a violation above 1e-6) and the best of them is worse
        than the iterate passed. The error's ``iterate`` is the iterate passed.
    NothingYetError
        ``max_seconds`` passed first.
    """
    solver = check_solver(solver)
    tol = check_number("tol", tol, 0, 1, boundaries="neither", remedy="Choose a small positive number such as 1e-6")
    # A second thread on matrices this small gains little, and on a busy machine costs many times the whole.
    # On Ctrl-C it ends at once, also while CVXPY compiles: there is nothing to keep.
    with stoppable(max_seconds), waiting(), one_blas_thread():
        built = make_block(problem, it, block, **block_options)
        return solve_prepared(built, solver, tol, solver_options, never_worse=True)


def solve_prepared(
    block: Block,
    solver: str,
    tol: float,
    solver_options: Mapping[str, Any] | None = None,
    never_worse: bool = False,
) -> BlockSolution:
    """Solve a block that stands, with a known solver and a checked tolerance.

    "native" is the block's own solver. If a constraint or penalty of the user acts or a block has none, with
    "cvxpy", and with "auto" where the native solver misses the tolerance, the block's preferred conic solvers are
    tried in turn until one meets it; the best certificate wins. They are tried as well where a named solver fails:
    raises, returns numbers that are not finite, or a point that its certificate refuses. With ``never_worse`` a point
    that is refused and worse than where the block began is an error; loops keep the better of the two themselves.

    Raises
    ------
    BlockSolveError
        No solver gave a point, or the named one lacks a cone; as above.
    InvalidInputError
        Solver options without a conic solver's name.

    Warns
    -----
    ConvergenceWarning
        The certificate misses the tolerance, or a solver that was named failed.
    """
    if solver_options is not None and not isinstance(solver_options, Mapping):
        raise InvalidInputError(
            "solver_options", f"is of type {type(solver_options).__name__}", "Pass a dict such as {'max_iters': 1000}"
        )
    if solver_options and solver in SOLVER_CHOICES:
        raise InvalidInputError(
            "solver_options", f'belong to one conic solver, but solver is "{solver}"', "Name the solver"
        )
    found: list[BlockSolution] = []
    failures: list[BlockSolveError] = []
    candidates = _candidates(block, solver)
    for name in candidates:
        try:
            solution = _solve_by(block, name, tol, solver_options if name == solver else None)
        except BlockSolveError as error:
            if error.unfit and name == solver:
                raise
            failures.append(_checked(error, block))
            continue
        found.append(solution)
        # One that is named is believed to be as exact as it can; one that is far off has failed.
        if solution.meets(tol) or (name == solver and (name == NATIVE or solution.fair)):
            break
    if not found:
        # Where one found the block infeasible, that is more than that another did not.
        failure = next((error for error in failures if error.infeasible), failures[0])
        failure = explained(failure, block.problem, block.letters)
        failure.iterate = block.it
        raise failure
    met = found[-1].meets(tol)
    best = found[-1] if met else min(found, key=lambda solution: solution.rank)
    if never_worse and not (met or best.fair):
        _check_not_worse(block, best, found, tol)
    if candidates[0] == solver != best.solver:
        fault = _shortfall(block, found[0], tol) if found[0].solver == solver else str(failures[0])
        warn_convergence(
            f"{fault} The solution of {best.solver} was used instead. {see('a-solver-failed')}", stacklevel=3
        )
    if not met:
        # The caller of solve_block.
        warn_convergence(f"{_shortfall(block, best, tol)} {see('a-certificate-is-missed')}", stacklevel=3)
    return best


def _candidates(block: Block, solver: str) -> tuple[str, ...]:
    """The solvers to try, in order: the one asked for, and who stands in for it.

    Raises
    ------
    BlockSolveError
        CVXPY is asked for, by name or by a constraint of the user, and cannot state the block.
    """
    has_native = block.has_native and not block.constrained
    native = (NATIVE,) if has_native and solver in (AUTO, NATIVE) else ()
    if not block.conic:
        if not native:
            raise block.not_conic(solver)
        return native
    if solver not in SOLVER_CHOICES:
        return tuple(dict.fromkeys([solver, *block.preferred_solvers]))
    return native + block.preferred_solvers


def _meets_all(block: Block, it: Iterate) -> bool:
    """Whether a point meets all that the block asks of one."""
    if any(getattr(it, k).any() for k in held_at_zero(block.problem) if k in block.letters):
        return False
    violations = [block.certificate(it).violation, *block.user_violations(it).values()]
    return max(violations) <= USER_VIOLATION and bool(np.isfinite(block.objective(it)))


def _checked(error: BlockSolveError, block: Block) -> BlockSolveError:
    """The error of a solver; its claim that no point meets the constraints is a fault of its own where one does."""
    if "infeasible" in error.status and "unbounded" not in error.status:
        zero = block.it.replace(**{k: np.zeros_like(getattr(block.it, k)) for k in block.letters})
        if _meets_all(block, block.it):
            return _failure(block, error.solver, f"{DENIES}, but the starting point does")
        if _meets_all(block, zero):
            return _failure(block, error.solver, f"{DENIES}, but zero does")
    return error


def _check_not_worse(block: Block, best: BlockSolution, found: list[BlockSolution], tol: float) -> None:
    """For points of which none is fair.

    Raises
    ------
    BlockSolveError
        The best one is worse than where the block began.
    """
    began = block.objective(block.it)
    # Not for the last digits: a block may begin at its optimum.
    if not best.objective - began > tol * abs(began) or not _meets_all(block, block.it):
        return
    objectives = f"its objective is {best.objective:.6g}, and {began:.6g} at the starting point"
    status = f"refused: relative gap {best.certificate.relative_gap:.1e}, {objectives}"
    gaps = ", ".join(f"{s.solver} {s.certificate.relative_gap:.1e}" for s in found)
    remedy = f"Every solver's point was refused (relative gaps: {gaps}). Try another solver, or scale the data"
    raise BlockSolveError(block.name, best.solver, status, remedy, block.it)


def _shortfall(block: Block, solution: BlockSolution, tol: float) -> str:
    """What a solution misses, in words."""
    certificate, violations = solution.certificate, block.user_violations(solution.iterate)
    whose = f" of {max(violations, key=violations.__getitem__)!r}" if max(violations.values(), default=0.0) > 0 else ""
    return (
        f"block '{block.name}': {solution.solver} ended '{solution.status}' with relative gap "
        f"{certificate.relative_gap:.1e} (asked for {tol:.0e}), KKT residual {certificate.kkt_residual:.1e}, violation "
        f"{certificate.violation:.1e}{whose}. Try another solver, a looser tol, or scale the data."
    )


def improve(block: Block, share: float) -> BlockSolution:
    """A better point by the block's own solver, as rough as ``share`` allows, and no certificate.

    Raises
    ------
    BlockSolveError
        The native steps fail.
    """
    start = time.perf_counter()
    with _faults_of(NATIVE, block):
        it = _finite(block, NATIVE, block.improve(share))
    return BlockSolution(
        block=block.name,
        solver=NATIVE,
        status=IMPROVED,
        iterate=it,
        objective=block.objective(it),
        certificate=Certificate(np.inf, np.inf, np.inf, block.problem.violation(it)),
        dual_values={},
        seconds=block.build_seconds + time.perf_counter() - start,
    )


@contextmanager
def _faults_of(solver: str, block: Block) -> Iterator[None]:
    """Turn what numbers beyond a solver make it raise into a BlockSolveError, so that another can be tried."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is noticed
            yield
    except BcdError:
        raise
    except (ArithmeticError, ValueError, MemoryError) as error:  # LinAlgError is a ValueError
        words = str(error).splitlines() or [type(error).__name__]
        raise _failure(block, solver, words[0]) from error


def _failure(block: Block, solver: str, why: str) -> BlockSolveError:
    return BlockSolveError(block.name, solver, f"failed: {why}", "Try another solver, or scale the data")


def _finite(block: Block, solver: str, it: Iterate) -> Iterate:
    """The point of a solver, if it is one: the only way from any solver to a result leads through here."""
    for letter in block.letters:
        if not np.isfinite(getattr(it, letter)).all():
            raise _failure(block, solver, f"{letter} is not finite")
    if not np.isfinite(block.objective(it)):
        raise _failure(block, solver, "the objective is not finite")
    return it


def _solve_by(block: Block, solver: str, tol: float, solver_options: Mapping[str, Any] | None) -> BlockSolution:
    """Solve by one solver, and certify its point."""
    with _faults_of(solver, block):
        return _solve_natively(block, tol) if solver == NATIVE else _solve_conic(block, solver, tol, solver_options)


def _solve_natively(block: Block, tol: float) -> BlockSolution:
    start = time.perf_counter()
    seen: list[tuple[Iterate, Certificate]] = []

    def met(it: Iterate) -> bool:
        certificate = block.certificate(_finite(block, NATIVE, it))
        seen[:] = [(it, certificate)]
        # Where no gap is known, the residual must do; it falls with the gap's square root.
        if not certificate.known:
            return certificate.kkt_residual <= np.sqrt(1e-2 * tol)
        # Relative to the objective itself, not only to the certificate's scale: it costs a step or none.
        return certificate.holds(tol) and certificate.gap <= tol * abs(block.objective(it))

    it, optimal, dual_values = block.solve_native(tol, met)
    # Mostly the last one asked for is that of the point returned: no need to pay for it twice.
    certificate = seen[0][1] if seen and seen[0][0] is it else block.certificate(_finite(block, NATIVE, it))
    return BlockSolution(
        block=block.name,
        solver=NATIVE,
        status="optimal" if optimal else "no further progress",
        iterate=it,
        objective=block.objective(it),
        certificate=certificate,
        dual_values=dual_values,
        seconds=block.build_seconds + time.perf_counter() - start,
    )


def _solve_conic(block: Block, solver: str, tol: float, solver_options: Mapping[str, Any] | None) -> BlockSolution:
    start = time.perf_counter()
    posed = block.cvxpy_problem()
    # The bound sums the residuals of all variables; SCS stops by the largest.
    asked = 0.03 * tol if block.constrained and solver == "SCS" else tol
    status, compiled = run_solver(posed, block.name, solver, asked, solver_options)
    values = {k: np.array(posed.var_dict[k].value, dtype=float) for k in block.letters if k in posed.var_dict}
    it = _finite(block, solver, block.repair(block.it.replace(**values)))
    if block.constrained:
        it = block.rounded(it, tol)
    own, objective = block.certificate(it), block.objective(it)
    penalty = terms_at(block.problem.constraints, it, block.letters).penalty()
    violation = max(block.user_violations(it).values(), default=0.0)
    # The formulas for gap and residual do not cover what the user added, and the solver's dual values do.
    certificate = in_background(lambda: conic_certificate(own, compiled.claim(), objective, penalty, violation))
    # Dual values that do not confirm the point are not passed on.
    confirmed = certificate.relative_gap <= FAIR_GAP
    return BlockSolution(
        block=block.name,
        solver=solver,
        status=status,
        iterate=it,
        objective=objective,
        certificate=certificate if block.constrained or not own.known else own,
        dual_values=block.own_dual_values() | block.user_terms.dual_values() if confirmed else {},
        seconds=block.build_seconds + time.perf_counter() - start,
    )
