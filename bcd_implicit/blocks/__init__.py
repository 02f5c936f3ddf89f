"""The blocks, by name, and the two ways to use one: look at it in CVXPY, or solve it.

To add a block, write a subclass of :class:`~bcd_implicit.blocks.base.Block` in a file of its own and add it to
:data:`BLOCKS`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import cvxpy as cp

from bcd_implicit.blocks.base import Block, solve_prepared
from bcd_implicit.blocks.hidden import HiddenBlock
from bcd_implicit.blocks.output import OutputBlock
from bcd_implicit.blocks.prox_linear import ProxLinearBlock
from bcd_implicit.blocks.state import StateBlock
from bcd_implicit.data import check_number
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.result import BlockSolution
from bcd_implicit.solvers import AUTO, check_solver
from bcd_implicit.threads import one_blas_thread

#: The blocks, by name.
BLOCKS: dict[str, type[Block]] = {b.name: b for b in (OutputBlock, StateBlock, HiddenBlock, ProxLinearBlock)}


def make_block(problem: TrainingProblem, it: Iterate, block: str, **block_options: Any) -> Block:
    """A block of the problem at an iterate, before any solver.

    Raises
    ------
    InvalidInputError
        An unknown block (the message lists the known ones) or an iterate of other shapes.
    """
    if not isinstance(problem, TrainingProblem):
        raise InvalidInputError("problem", f"is a {type(problem).__name__}", "Pass a TrainingProblem")
    kind = BLOCKS[check_choice("block", block, BLOCKS)]
    for option in block_options:
        if option not in kind.options:
            known = f"Its options are: {', '.join(kind.options)}" if kind.options else "It has no options"
            raise InvalidInputError(option, f"is no option of block '{block}'", known)
    start = time.perf_counter()
    built = kind(problem, problem.check_iterate(it), **block_options)
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
    with one_blas_thread():
        return solve_prepared(make_block(problem, it, block, **block_options), solver, tol, solver_options)
