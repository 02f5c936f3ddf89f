"""What every block offers, and how any of them is solved: pose, solve, make feasible, certify."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import cvxpy as cp
import numpy as np

from bcd_implicit.blocks.feasibility import block_variables, explained
from bcd_implicit.certificates import Certificate
from bcd_implicit.constraints.user import BlockVariables, UserTerms, terms_at, user_terms
from bcd_implicit.errors import BlockSolveError, ConvergenceWarning, InvalidInputError
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.result import BlockSolution
from bcd_implicit.solvers import CHOICES, CVXPY, NATIVE, run_solver


class Block:
    """One convex subproblem: the training problem in some variables, all others fixed at an iterate.

    A subclass says which variables, poses them in CVXPY (:meth:`pose`), gives the same objective in NumPy
    (:meth:`objective`), makes a solver's point feasible (:meth:`repair`), certifies a point
    (:meth:`certificate`) and may solve itself without CVXPY (:meth:`solve_native`).
    """

    name: ClassVar[str]
    # Its variables; a block in which they depend on the problem sets them itself.
    letters: tuple[str, ...]
    # Keyword arguments beyond the problem and the iterate.
    options: ClassVar[tuple[str, ...]] = ()
    # The order in which "cvxpy" tries the conic solvers: by measured speed on (n, p, m) = (10, 50, 400), then by
    # accuracy.
    preferred_solvers: ClassVar[tuple[str, ...]] = ("CLARABEL", "SCS", "ECOS")

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.problem = problem
        self.it = it
        self.named_constraints: dict[str, cp.Constraint] = {}
        self.user_terms = UserTerms({}, {})
        self.build_seconds = 0.0

    def cvxpy_problem(self) -> cp.Problem:
        """The block as a CVXPY problem, the user's constraints and penalties included. DCP is checked."""
        v = block_variables(self.problem, self.letters)
        objective, constraints = self.pose(v)
        self.user_terms = user_terms(self.problem.constraints, v)
        # Penalties on other blocks are constants here.
        penalty = sum(self.user_terms.penalties.values()) + self.problem.user_penalty(self.it, without=self.letters)
        posed = cp.Problem(cp.Minimize(objective + penalty), constraints + self.user_terms.all_constraints)
        if not posed.is_dcp():
            raise AssertionError(f"block '{self.name}' as posed is not convex: this is a defect, please report it")
        return posed

    @cached_property
    def constrained(self) -> bool:
        """Whether a constraint or penalty of the user acts on this block."""
        return bool(terms_at(self.problem.constraints, self.it, self.letters))

    def user_violations(self, it: Iterate) -> dict[str, float]:
        """The largest violation of each of the user's constraints on the block, by name."""
        return terms_at(self.problem.constraints, it, self.letters).violations()

    def pose(self, v: BlockVariables) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective and constraints. Constraints with dual values worth reporting go to ``named_constraints``."""
        raise NotImplementedError

    def objective(self, it: Iterate) -> float:
        """The block's objective in NumPy: the joint objective plus the block's proximal term."""
        raise NotImplementedError

    def own_dual_values(self) -> dict[str, Any]:
        """Those of the problem's own constraints, once a conic solver has solved the posed problem."""
        return {name: constraint.dual_value for name, constraint in self.named_constraints.items()}

    def repair(self, it: Iterate) -> Iterate:
        """Move a solver's point the last 1e-8 into the feasible set."""
        return it

    def rounded(self, it: Iterate, tol: float) -> Iterate:
        """Set to zero the entries, next to it, of the matrices on which the user's constraints and penalties act.

        A conic solver's zero is about 1e-8. Matrix by matrix, of several thresholds, relative to its largest entry once
        inputs and outputs are measured in their spreads, the largest that costs at most a hundredth of the tolerance
        and violates nothing.
        """
        sizes = self.problem.in_spreads(it)
        objective = self.objective(it)
        highest = objective + 1e-2 * tol * abs(objective)
        allowed = {name: max(violation, 1e-9) for name, violation in self.user_violations(it).items()}
        for letter in sorted(self.user_terms.letters):
            size = np.abs(sizes[letter])
            for threshold in (1.0, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
                zeroed = np.where(size > threshold * size.max(), getattr(it, letter), 0.0)
                candidate = it.replace(**{letter: zeroed})
                cheap = self.objective(candidate) <= highest
                if cheap and all(v <= allowed[name] for name, v in self.user_violations(candidate).items()):
                    it = candidate
                    break
        return it

    def size(self) -> float:
        """What a tolerance is relative to before a certificate is known: the loss and its ridge at the start."""
        return self.problem.output_objective(self.it)

    def solve_native(self, tol: float, met: Callable[[Iterate], bool]) -> tuple[Iterate, bool, Mapping[str, object]]:
        """Solve without CVXPY, ignoring the user's constraints.

        Parameters
        ----------
        tol : float
            The relative gap asked for: a first guess at what ``met`` will accept.
        met : callable
            Whether a point's certificate holds. What is returned should have passed it.

        Returns
        -------
        iterate : Iterate
        met : bool
        dual_values : mapping
        """
        raise NotImplementedError

    def certificate(self, it: Iterate) -> Certificate:
        """Gap, residual and violation of a point, from the data."""
        raise NotImplementedError


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
    warnings.warn(
        f"block '{block.name}': {best.solver} ended '{best.status}' with relative gap {certificate.relative_gap:.1e} "
        f"(asked for {tol:.0e}), KKT residual {certificate.kkt_residual:.1e}, violation "
        f"{certificate.violation:.1e}{whose}. Try another solver, a looser tol, or scale the data.",
        ConvergenceWarning,
        stacklevel=3,
    )
    return best


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
