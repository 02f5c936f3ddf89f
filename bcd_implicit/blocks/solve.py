"""The blocks by name, and how any of them is solved: pose, solve, make feasible, certify.

To add a block, write a subclass of :class:`~bcd_implicit.blocks.base.Block` in a file of its own and add it to
:data:`BLOCKS`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.feasibility import explained
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.output import OutputBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.solution import IMPROVED, BlockSolution
from bcd_implicit.blocks.solvers import AUTO, CHOICES, CVXPY, NATIVE, check_solver, run_solver
from bcd_implicit.blocks.state import StateBlock
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.errors import BlockSolveError, InvalidInputError, check_choice
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.threads import one_blas_thread

#: The blocks, by name.
BLOCKS: dict[str, type[Block]] = {b.name: b for b in (OutputBlock, StateBlock, HiddenBlock, ProxLinearBlock)}


def make_block(problem: TrainingProblem, it: Iterate, block: str, **block_options: Any) -> Block:
    """A block of the problem at an iterate, before any solver.

    Raises
    ------
    InvalidInputError
        An unknown block (the message lists the known ones) or an iterate of other shapes.
    """
    check_problem(problem)
    kind = BLOCKS[check_choice("block", block, BLOCKS)]
    for option in block_options:
        if option not in kind.options:
            known = f"Its options are: {', '.join(kind.options)}" if kind.options else "It has no options"
            raise InvalidInputError(option, f"is no option of block '{block}'", known)
    start = time.perf_counter()
    built = kind(problem, check_iterate(it, problem.shapes, problem.activation), **block_options)
    built.build_seconds = time.perf_counter() - start
    return built


def block_problem(problem: TrainingProblem, it: Iterate, block: str, **block_options: Any) -> cp.Problem:
    """The live CVXPY problem of one block, for a notebook.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        Holds the other blocks' values.
    block : {"output", "state", "hidden", "prox-linear"}
    **block_options
        ``mu`` (the proximal weight) for "prox-linear".

    Returns
    -------
    cvxpy.Problem
        Its ``var_dict`` has the block's variables by letter, its ``param_dict`` "kappa" and "fenchel_weight"
        where they can be changed without building the problem anew. Its value is the block's objective.
    """
    return make_block(problem, it, block, **block_options).cvxpy_problem()


def solve_block(
    problem: TrainingProblem,
    it: Iterate,
    block: str,
    solver: str = AUTO,
    tol: float = 1e-6,
    solver_options: Mapping[str, Any] | None = None,
    **block_options: Any,
) -> BlockSolution:
    """Solve one block and certify the point found.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
    block : {"output", "state", "hidden", "prox-linear"}
    solver : {"auto", "native", "cvxpy", "CLARABEL", "ECOS", "SCS"}
        "native" takes the block's own solver; a block on which a constraint or penalty of the user acts goes
        through CVXPY all the same. "cvxpy" takes the conic solver that serves the block best, and others when that
        misses the tolerance.
        "auto" is "native", then "cvxpy" where that misses the tolerance.
    tol : float
        Relative duality gap aimed at; missing it warns with the gap reached.
    solver_options : mapping, optional
        Passed to the solver as they are, e.g. ``{"max_iter": 200}``.
    **block_options
        ``mu`` for "prox-linear".

    Returns
    -------
    BlockSolution

    Raises
    ------
    InvalidInputError
        An unknown block or solver; the message lists the known ones.
    BlockSolveError
        The solver gave no point.
    """
    solver = check_solver(solver)
    tol = check_number("tol", tol, 0, 1, boundaries="neither", remedy="Choose a small positive number such as 1e-6")
    # A second thread on matrices this small gains little, and on a busy machine costs many times the whole.
    with one_blas_thread():
        return solve_prepared(make_block(problem, it, block, **block_options), solver, tol, solver_options)


def solve_prepared(
    block: Block, solver: str, tol: float, solver_options: Mapping[str, Any] | None = None
) -> BlockSolution:
    """Solve a block that stands, with a known solver and a checked tolerance.

    "native" is the block's own solver. Where a constraint or penalty of the user acts or a block has none, with
    "cvxpy", and with "auto" where the native solver misses the tolerance, the block's preferred conic solvers are
    tried in turn until one meets it; the best certificate wins.

    Raises
    ------
    BlockSolveError
        No solver gave a point.
    InvalidInputError
        Solver options without a conic solver's name.

    Warns
    -----
    ConvergenceWarning
        The certificate misses the tolerance, or no certificate exists and the solver was unsure.
    """
    if solver_options is not None and not isinstance(solver_options, Mapping):
        raise InvalidInputError(
            "solver_options", f"is a {type(solver_options).__name__}", "Pass a dict such as {'max_iters': 1000}"
        )
    if solver_options and solver in CHOICES:
        raise InvalidInputError(
            "solver_options", f'are one conic solver\'s own, but solver is "{solver}"', "Name the solver"
        )
    candidates: tuple[str, ...] = (solver,)
    if solver in CHOICES:
        has_native = type(block).solve_native is not Block.solve_native and not block.constrained
        candidates = block.preferred_solvers
        if has_native and solver != CVXPY:
            candidates = (NATIVE,) if solver == NATIVE else (NATIVE, *candidates)
    best: BlockSolution | None = None
    failure: BlockSolveError | None = None
    for name in candidates:
        try:
            solution = _solve_natively(block, tol) if name == NATIVE else _solve_conic(block, name, tol, solver_options)
        except BlockSolveError as error:
            failure = failure or error
            continue
        if solution.meets(tol):
            return solution
        if best is None or solution.rank < best.rank:
            best = solution
    if best is None:
        assert failure is not None
        raise explained(failure, block.problem, block.letters)
    certificate, violations = best.certificate, block.user_violations(best.iterate)
    whose = f" of {max(violations, key=violations.__getitem__)!r}" if max(violations.values(), default=0.0) > 0 else ""
    warn_convergence(
        f"block '{block.name}': {best.solver} ended '{best.status}' with relative gap {certificate.relative_gap:.1e} "
        f"(asked for {tol:.0e}), KKT residual {certificate.kkt_residual:.1e}, violation "
        f"{certificate.violation:.1e}{whose}. Try another solver, a looser tol, or scale the data.",
        # The caller of solve_block.
        stacklevel=3,
    )
    return best


def improve(block: Block, share: float) -> BlockSolution:
    """A better point by the block's own solver, as rough as ``share`` allows, and no certificate."""
    start = time.perf_counter()
    it = block.improve(share)
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


def _solve_natively(block: Block, tol: float) -> BlockSolution:
    start = time.perf_counter()
    seen: list[tuple[Iterate, Certificate]] = []

    def met(it: Iterate) -> bool:
        certificate = block.certificate(it)
        seen[:] = [(it, certificate)]
        # Where no gap is known, the residual must do; it falls with the gap's square root.
        if not certificate.known:
            return certificate.kkt_residual <= np.sqrt(1e-2 * tol)
        # Relative to the objective itself, not only to the certificate's scale: it costs a step or none.
        return certificate.holds(tol) and certificate.gap <= tol * abs(block.objective(it))

    it, optimal, dual_values = block.solve_native(tol, met)
    # Mostly the last one asked for is that of the point returned: no need to pay for it twice.
    certificate = seen[0][1] if seen and seen[0][0] is it else block.certificate(it)
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
    # Where no gap is to be met, an interior-point method's usual accuracy will do: asked for a digit more, it calls
    # every sixth of such optima inaccurate, and nothing could say whether it is right.
    asked = 10 * tol if block.constrained and solver != "SCS" else tol
    status = run_solver(posed, block.name, solver, asked, solver_options)
    values = {k: np.array(posed.var_dict[k].value, dtype=float) for k in block.letters if k in posed.var_dict}
    it = block.repair(block.it.replace(**values))
    if block.constrained:
        it = block.rounded(it, tol)
    certificate = block.certificate(it)
    if block.constrained:
        # The formulas for gap and residual do not cover what the user added: only the violation is known.
        worst = max([certificate.violation, *block.user_violations(it).values()])
        certificate = replace(certificate, gap=np.inf, kkt_residual=np.inf, violation=worst)
    return BlockSolution(
        block=block.name,
        solver=solver,
        status=status,
        iterate=it,
        objective=block.objective(it),
        certificate=certificate,
        dual_values=block.own_dual_values() | block.user_terms.dual_values(),
        seconds=block.build_seconds + time.perf_counter() - start,
    )
