"""What every block offers, and how any of them is solved: pose, solve, make feasible, certify."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import cvxpy as cp
import numpy as np

from bcd_implicit.certificates import Certificate
from bcd_implicit.constraints import BlockVariables, apply_constraint
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
        self.user_constraints: list[cp.Constraint] = []
        self.posed_variables = BlockVariables()
        self.build_seconds = 0.0

    def variables(self) -> BlockVariables:
        """The block's CVXPY variables; what the problem fixes at zero (D, b, d) is a constant."""
        problem = self.problem
        fixed = {"D": not problem.pass_through, "b": not problem.fit_intercept, "d": not problem.fit_intercept}
        return BlockVariables(
            {
                k: cp.Constant(np.zeros(problem.shapes[k])) if fixed.get(k) else cp.Variable(problem.shapes[k], name=k)
                for k in self.letters
            }
        )

    def cvxpy_problem(self) -> cp.Problem:
        """The block as a CVXPY problem, the user's constraints included. DCP is checked."""
        v = self.posed_variables = self.variables()
        objective, constraints = self.pose(v)
        self.user_constraints = [c for user in self.problem.constraints for c in (apply_constraint(user, v) or [])]
        posed = cp.Problem(cp.Minimize(objective), constraints + self.user_constraints)
        if not posed.is_dcp():
            raise AssertionError(f"block '{self.name}' as posed is not convex: this is a defect, please report it")
        return posed

    @cached_property
    def constrained(self) -> bool:
        """Whether a user's constraint acts on this block."""
        users = self.problem.constraints
        return bool(users) and any(apply_constraint(user, self.variables()) for user in users)

    def user_violation(self, it: Iterate) -> float:
        """The largest violation of the user's constraints on the block as posed; 0 without any."""
        if not self.user_constraints:
            return 0.0
        for letter, variable in self.posed_variables.items():
            if isinstance(variable, cp.Variable):
                variable.value = getattr(it, letter)
        return max(float(np.max(c.violation())) for c in self.user_constraints)

    def pose(self, v: BlockVariables) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective and constraints. Constraints with dual values worth reporting go to ``named_constraints``."""
        raise NotImplementedError

    def objective(self, it: Iterate) -> float:
        """The block's objective in NumPy: the joint objective plus the block's proximal term."""
        raise NotImplementedError

    def repair(self, it: Iterate) -> Iterate:
        """Move a solver's point the last 1e-8 into the feasible set."""
        return it

    def size(self) -> float:
        """What a tolerance is relative to before a certificate is known: the loss and its ridge at the start."""
        return self.problem.mean_loss(self.it) + self.problem.output_regularization(self.it)

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
        multipliers : mapping
        """
        raise NotImplementedError

    def certificate(self, it: Iterate) -> Certificate:
        """Gap, residual and violation of a point, from the data."""
        raise NotImplementedError


def solve_prepared(
    block: Block, solver: str, tol: float, solver_options: Mapping[str, Any] | None = None
) -> BlockSolution:
    """Solve a block that stands, with a known solver and a checked tolerance.

    "native" is the block's own solver. Where a user's constraint acts or a block has none, with "cvxpy", and with
    "auto" where the native solver misses the tolerance, the block's preferred conic solvers are tried in turn until
    one meets it; the best certificate wins.

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
        if best is None or solution.certificate.relative_gap < best.certificate.relative_gap:
            best = solution
    if best is None:
        assert failure is not None
        raise failure
    certificate = best.certificate
    warnings.warn(
        f"block '{block.name}': {best.solver} ended '{best.status}' with relative gap {certificate.relative_gap:.1e} "
        f"(asked for {tol:.0e}), KKT residual {certificate.kkt_residual:.1e}, violation "
        f"{certificate.violation:.1e}. Try another solver, a looser tol, or scale the data.",
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

    it, optimal, multipliers = block.solve_native(tol, met)
    certificate = seen[0][1] if seen and seen[0][0] is it else block.certificate(it)
    return BlockSolution(
        block=block.name,
        solver=NATIVE,
        status="optimal" if optimal else "no further progress",
        iterate=it,
        objective=block.objective(it),
        certificate=certificate,
        multipliers=multipliers,
        seconds=block.build_seconds + time.perf_counter() - start,
    )


def _solve_conic(block: Block, solver: str, tol: float, solver_options: Mapping[str, Any] | None) -> BlockSolution:
    start = time.perf_counter()
    posed = block.cvxpy_problem()
    status = run_solver(posed, block.name, solver, tol, solver_options)
    values = {k: np.array(posed.var_dict[k].value, dtype=float) for k in block.letters if k in posed.var_dict}
    it = block.repair(block.it.replace(**values))
    certificate = block.certificate(it)
    if block.user_constraints:
        certificate = _with_user_constraints(certificate, block.user_violation(it))
    return BlockSolution(
        block=block.name,
        solver=solver,
        status=status,
        iterate=it,
        objective=block.objective(it),
        certificate=certificate,
        multipliers={k: c.dual_value for k, c in block.named_constraints.items()},
        seconds=block.build_seconds + time.perf_counter() - start,
    )


def _with_user_constraints(certificate: Certificate, worst: float) -> Certificate:
    """Under a user's constraint only the violation is known: the gap formulas do not cover it."""
    return Certificate(
        gap=np.inf, scale=certificate.scale, kkt_residual=np.inf, violation=max(certificate.violation, worst)
    )


def feasible_start(problem: TrainingProblem, it: Iterate) -> Iterate:
    """The nearest iterate that meets the norm bound, the group-lasso constraint and the user's constraints.

    Raises
    ------
    BlockSolveError
        The constraints leave no point.
    """
    it = problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))
    it = it.replace(A=problem.row_ball.prox(it.A))
    if not problem.pass_through:
        it = it.replace(D=np.zeros_like(it.D))
    if not problem.fit_intercept:
        it = it.replace(b=np.zeros_like(it.b), d=np.zeros_like(it.d))
    for letters in problem.block_letters if problem.constraints else ():
        v = BlockVariables({k: cp.Variable(problem.shapes[k], name=k) for k in letters})
        constraints = [c for user in problem.constraints for c in (apply_constraint(user, v) or [])]
        if not constraints:
            continue
        if "A" in letters:
            constraints += problem.row_ball.cvxpy(v["A"]) + problem.group_lasso.cvxpy(grouped_variable(problem, v))[1]
        constraints += [v[k] == 0 for k in ("b", "d") if k in v and not problem.fit_intercept]
        constraints += [v["D"] == 0] if "D" in v and not problem.pass_through else []
        distance = cp.sum([cp.sum_squares(v[k] - getattr(it, k)) for k in letters])
        nearest = cp.Problem(cp.Minimize(distance), constraints)
        run_solver(nearest, "constraints on " + ", ".join(letters), "CLARABEL", 1e-6)
        it = it.replace(**{k: np.array(v[k].value, dtype=float) for k in letters})
    it = problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))
    return it.replace(A=problem.row_ball.repair(it.A))


def grouped_variable(problem: TrainingProblem, v: BlockVariables) -> cp.Expression:
    """The CVXPY matrix whose columns the group lasso sees."""
    return cp.vstack([v["B"], v["D"]]) if problem.stacked else v["B"]
