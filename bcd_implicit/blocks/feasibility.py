"""The constraints of a block: its variables, the problem's own, a feasible start, and which are in conflict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from bcd_implicit.blocks.solvers import SOLVERS, run_solver
from bcd_implicit.certificates.conic import USER_VIOLATION
from bcd_implicit.constraints.user import BlockVariables, terms_at, user_terms
from bcd_implicit.errors import BlockSolveError
from bcd_implicit.problem.formula import held_at_zero
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.scalars import Scalars

# Starts that violate nothing by more than this stay as they are.
NO_VIOLATION = 1e-9
# What is wrong with a solver that finds a block infeasible which is not.
DENIES = "it says that no point meets the constraints"


def block_variables(problem: TrainingProblem, letters: Iterable[str]) -> BlockVariables:
    """CVXPY variables by letter; what the problem fixes at zero is a constant."""
    fixed, shapes = held_at_zero(problem), problem.shapes
    return BlockVariables(
        {k: cp.Constant(np.zeros(shapes[k])) if k in fixed else cp.Variable(shapes[k], name=k) for k in letters}
    )


def grouped_variable(problem: TrainingProblem, v: BlockVariables) -> cp.Expression:
    """The CVXPY matrix whose columns the group lasso sees."""
    return cp.vstack([v["B"], v["D"]]) if problem.stacked else v["B"]


def own_constraints(
    problem: TrainingProblem, v: BlockVariables, scalars: Scalars | None = None
) -> dict[str, list[cp.Constraint]]:
    """The norm bound and the group-lasso constraint, by name, where they act on these variables."""
    if "A" not in v:
        return {}
    scalars = Scalars([]) if scalars is None else scalars
    nu = scalars("norm_bound", problem.norm_bound)
    radius = nu / problem.activation.max_slope if isinstance(nu, cp.Parameter) else None
    own = {"norm_bound": problem.row_set.cvxpy(v["A"], radius)}
    for constraint in problem.group_lasso.cvxpy(grouped_variable(problem, v), scalars)[1]:
        # A radius of 0 leaves conic solvers no interior point: say what it means instead.
        if problem.kappa == 0 and not scalars.asked("kappa"):
            constraint = grouped_variable(problem, v)[:, problem.group_lasso.bounded] == 0
        own["group_lasso"] = [constraint]
    return own


def pattern_constraints(problem: TrainingProblem, v: BlockVariables) -> dict[str, cp.Constraint]:
    """The entries that the pattern holds at zero, by the letter of their matrix; not those that are zero anyway."""
    held = {k: ~mask for k, mask in problem.pattern.free.items() if k in v and k not in held_at_zero(problem)}
    if "A" in held:
        held["A"] &= ~problem.row_set.zeros(problem.n_hidden)
    return {k: v[k][mask] == 0 for k, mask in held.items() if mask.any()}


def feasible_start(problem: TrainingProblem, it: Iterate) -> Iterate:
    """The nearest iterate that meets the norm bound, the group lasso's, the pattern and the user's constraints.

    Raises
    ------
    BlockSolveError
        The constraints leave no point (the message names those in conflict), or no solver finds one. The error's
        ``iterate`` is the one that was passed.
    """
    given, it = it, problem.pattern.applied(it)
    it = problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))
    it = it.replace(A=problem.row_set.project(it.A))
    it = it.replace(**{k: np.zeros(problem.shapes[k]) for k in held_at_zero(problem)})
    for letters in problem.block_letters if problem.constraints else ():
        here = terms_at(problem.constraints, it, letters)
        if np.isfinite(here.penalty()) and max(here.violations().values(), default=0.0) <= NO_VIOLATION:
            continue
        v = block_variables(problem, letters)
        terms = user_terms(problem.constraints, v)
        distance = cp.sum([cp.sum_squares(v[k] - getattr(it, k)) for k in letters])
        # A penalty that is infinite here, as a logarithm's may be, has its say in where to start.
        barrier = 0.0 if np.isfinite(here.penalty()) else cp.sum(list(terms.penalties.values()))
        own = [c for several in own_constraints(problem, v).values() for c in several]
        constraints = [*own, *pattern_constraints(problem, v).values(), *terms.all_constraints]
        nearest = cp.Problem(cp.Minimize(distance + barrier), constraints)
        try:
            _solve_somehow(nearest, "constraints on " + ", ".join(letters))
        except BlockSolveError as error:
            failure = explained(error, problem, letters)
            failure.iterate = given
            raise failure from None
        it = it.replace(**{k: np.array(v[k].value, dtype=float) for k in letters})
    # A conic solver meets the bounds only to its tolerance. A start beyond them may be lower than any feasible point.
    it = problem.pattern.applied(it)
    it = problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))
    return it.replace(A=problem.row_set.repair(it.A))


def _solve_somehow(posed: cp.Problem, name: str) -> None:
    """By the first solver whose point is one and meets the constraints.

    Raises
    ------
    BlockSolveError
        None has such a point: that of one which found that there is none, or else of the first.
    """
    failures = []
    for solver in SOLVERS:
        try:
            run_solver(posed, name, solver, 1e-6)
            worst = max((float(np.max(c.violation())) for c in posed.constraints), default=0.0)
            if worst <= USER_VIOLATION and all(np.isfinite(np.asarray(v.value)).all() for v in posed.variables()):
                return
            status = f"failed: its point violates one by {worst:.1e}"
            failures.append(BlockSolveError(name, solver, status, "Scale the data, or relax the constraints"))
        except BlockSolveError as error:
            if error.infeasible and _met_by_zero(posed):
                error = BlockSolveError(name, solver, f"failed: {DENIES}, but zero does", "Scale the data")
            failures.append(error)
    raise next((error for error in failures if error.infeasible), failures[0])


def _met_by_zero(posed: cp.Problem) -> bool:
    """Whether all variables may be zero, whatever a solver says: the constraints hold there, and there is a value."""
    try:
        for variable in posed.variables():
            variable.value = np.zeros(variable.shape)
    except ValueError:  # a user's own variable, with bounds
        return False
    with np.errstate(all="ignore"):
        held = all(np.max(c.violation()) <= NO_VIOLATION for c in posed.constraints)
        return held and bool(np.isfinite(posed.objective.value))


def explained(error: BlockSolveError, problem: TrainingProblem, letters: Sequence[str]) -> BlockSolveError:
    """The error of an infeasible block, with the names of the constraints in conflict; any other as it is."""
    if "infeasible" not in error.status or not problem.constraints:
        return error
    names = conflict(problem, letters)
    if not names:
        return error
    together = f"{' and '.join(names)} together: relax one of them" if names[1:] else f"{names[0]}: relax it"
    return BlockSolveError(error.block, error.solver, error.status, f"No point meets {together}")


def conflict(problem: TrainingProblem, letters: Sequence[str]) -> list[str]:
    """Constraints, in words, that leave no point together, each of which is needed for that; none if none are found.

    A constraint of the user that is infeasible with the problem's own comes before those infeasible with each other.
    """
    # What is fixed at zero is a variable here, with a constraint: it may be the one in conflict, or be left out.
    v = BlockVariables({k: cp.Variable(problem.shapes[k], name=k) for k in letters})
    terms = user_terms(problem.constraints, v)
    words = {"norm_bound": f"norm_bound={problem.norm_bound:g}", "group_lasso": f"kappa={problem.kappa:g} as a bound"}
    own = {words[name]: constraints for name, constraints in own_constraints(problem, v).items()}
    own |= {f"pattern of {letter}": [constraint] for letter, constraint in pattern_constraints(problem, v).items()}
    for letter, setting in held_at_zero(problem).items():
        own.setdefault(setting, []).extend([v[letter] == 0] if letter in v else [])
    user = {repr(name): terms.constraints.get(name, []) for name in problem.constraints}
    for name, penalty in terms.penalties.items():
        # A penalty rules out points by its domain alone, as a logarithm does.
        user[repr(name)] = user[repr(name)] + penalty.domain
    sets = own | user

    def infeasible(names: Sequence[str]) -> bool:
        posed = cp.Problem(cp.Minimize(0), [c for name in names for c in sets[name]])
        if _met_by_zero(posed):
            return False
        try:
            run_solver(posed, "constraints", "CLARABEL", 1e-6)
        except BlockSolveError as error:
            return "infeasible" in error.status
        return False

    alone = next((name for name in user if infeasible([*own, name])), None)
    guilty = list(sets) if alone is None else [*own, alone]
    if not infeasible(guilty):
        return []
    # One pass leaves a set of which every member is needed. The smallest such set would take a search over subsets.
    for name in tuple(guilty):  # leave out what is not needed
        rest = [other for other in guilty if other != name]
        if infeasible(rest):
            guilty = rest
    return guilty
