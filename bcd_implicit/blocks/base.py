"""What every block offers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bcd_implicit.blocks.feasibility import block_variables, pattern_constraints
from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.constraints.user import BlockVariables, UserTerms, terms_at, user_terms
from bcd_implicit.errors import UNFIT, BlockSolveError, InvalidInputError
from bcd_implicit.problem.formula import relaxed
from bcd_implicit.problem.iterate import Iterate, in_spreads
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.formulas import Formula, Shown, numbers
from bcd_implicit.support.interruption import check_stop, in_background
from bcd_implicit.support.scalars import Scalars
from bcd_implicit.terms.losses import Loss

if TYPE_CHECKING:
    from bcd_implicit.blocks.posed import BlockProblem


class Block:
    """One convex subproblem: the training problem in some variables, all others fixed at an iterate.

    A subclass says which variables, poses them in CVXPY (:meth:`pose`), gives the same objective in NumPy
    (:meth:`objective`), makes a solver's point feasible (:meth:`repair`), certifies a point
    (:meth:`certificate`) and may solve itself without CVXPY (:meth:`solve_native`).
    """

    name: ClassVar[str]
    # Its variables; a block in which they depend on the problem sets them itself.
    letters: tuple[str, ...]
    # Whether the activation's Fenchel pair is part of it: without a CVXPY form of that it is native only.
    holds_pair: ClassVar[bool] = False
    # Whether it asks for the loss where it begins. The output block does not: it finds new predictions.
    holds_loss: ClassVar[bool] = True
    # Keyword arguments beyond the problem and the iterate.
    options: ClassVar[tuple[str, ...]] = ()
    # The order in which "cvxpy" tries the conic solvers: by measured speed on (n, p, m) = (10, 50, 400), then by
    # accuracy.
    preferred_solvers: ClassVar[tuple[str, ...]] = ("CLARABEL", "SCS", "ECOS")

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        if self.holds_loss and problem.overflows(it):
            cause = f"makes the {problem.loss.name} loss overflow, so block '{self.name}' cannot start from it"
            raise InvalidInputError("iterate", cause, "Solve the output block first, or start from problem.initial()")
        self.problem = problem
        self.it = it
        self.user_terms = UserTerms({}, {})
        # The problem's own constraints by name, as posed, and the numbers that are parameters there.
        self.own_constraints: dict[str, list[cp.Constraint]] = {}
        self.scalars = Scalars()
        self.build_seconds = 0.0

    def cvxpy_problem(self, parameters: Any = None) -> BlockProblem:
        """The block as a CVXPY problem, the user's constraints and penalties included. DCP is checked.

        Parameters
        ----------
        parameters : "all", sequence of str, optional
            Names of the numbers that are to be a ``cvxpy.Parameter``, as in :class:`~bcd_implicit.support.scalars`.
        """
        # A subclass of CVXPY's problem: its import is CVXPY's.
        from bcd_implicit.blocks.posed import BlockProblem

        v = block_variables(self.problem, self.letters)
        self.scalars = Scalars(parameters)
        # The user's functions stay in this thread.
        self.user_terms = user_terms(self.problem.constraints, v, self.scalars)
        objective, constraints = in_background(lambda: self.pose(v))
        self.scalars.check(self.name)
        # Penalties on other blocks are constants here.
        penalty = sum(self.user_terms.penalties.values()) + self.problem.user_penalty(self.it, without=self.letters)
        pattern = pattern_constraints(self.problem, v)
        posed = BlockProblem(
            cp.Minimize(objective + penalty),
            [*constraints, *pattern.values(), *self.user_terms.all_constraints],
            {
                **self.own_constraints,
                **{f"pattern of {letter}": [constraint] for letter, constraint in pattern.items()},
                **self.user_terms.constraints,
            },
            self.name,
            self.problem,
            self.formula,
        )
        if not posed.is_dcp():
            raise AssertionError(f"block '{self.name}' is not convex. This is a bug: please report it")
        return posed

    @property
    def moving_loss(self) -> Loss:
        """The loss, with parameters in place of its numbers where these are asked for."""
        loss = self.problem.loss
        moved = {name: self.scalars(name, loss.parameters[name], pos=True) for name in loss.movable}
        if not any(isinstance(value, cp.Parameter) for value in moved.values()):
            return loss
        moving = copy.copy(loss)
        vars(moving).update(moved)
        return moving

    def formula(self, shown: Shown = numbers) -> Formula:
        """The block to read: the terms of the problem that its variables move, and its constraints.

        Parameters
        ----------
        shown : callable
            What stands for a setting, given its name and its value.
        """
        return relaxed(self.problem, shown).of(self.letters)

    @cached_property
    def constrained(self) -> bool:
        """Whether a constraint or penalty of the user acts on this block."""
        return bool(terms_at(self.problem.constraints, self.it, self.letters))

    @property
    def has_native(self) -> bool:
        """Whether the block has a solver of its own, but for the user's constraints."""
        return type(self).solve_native is not Block.solve_native

    @property
    def conic(self) -> bool:
        """Whether CVXPY can state the block."""
        return self.problem.activation.conic or not self.holds_pair

    def not_conic(self, solver: str) -> BlockSolveError:
        """The error of a solver that needs CVXPY's form of a block that has none."""
        status = f"{UNFIT} the Fenchel pair of {self.problem.activation.name}, which has no CVXPY form"
        remedy = 'Use another activation, or method="prox-linear": '
        if self.constrained:
            remedy += "one of your own constraints acts on this block"
        elif self.has_native:
            remedy = 'Use solver="native" or "auto"'
        else:
            remedy += f"under the {self.problem.loss.name} loss this block has no solver of its own"
        return BlockSolveError(self.name, solver, status, remedy)

    def user_violations(self, it: Iterate) -> dict[str, float]:
        """The largest violation of each of the user's constraints on the block, by name."""
        return terms_at(self.problem.constraints, it, self.letters).violations()

    def pose(self, v: BlockVariables) -> tuple[cp.Expression, list[cp.Constraint]]:
        """Objective and constraints."""
        raise NotImplementedError

    def objective(self, it: Iterate) -> float:
        """The block's objective in NumPy: the joint objective plus the block's proximal term."""
        raise NotImplementedError

    def own_dual_values(self) -> dict[str, Any]:
        """Those of the problem's own constraints, by name, once a conic solver has solved the posed problem."""
        return {}

    def repair(self, it: Iterate) -> Iterate:
        """Move a solver's point the last 1e-8 into the feasible set."""
        return self.problem.pattern.applied(it, self.letters)

    def rounded(self, it: Iterate, tol: float) -> Iterate:
        """Set to zero the entries, next to it, of the matrices on which the user's constraints and penalties act.

        A conic solver's zero is about 1e-8. Matrix by matrix, of several thresholds, relative to its largest entry once
        inputs and outputs are measured in their spreads, the largest that costs at most a hundredth of the tolerance
        and violates nothing.
        """
        sizes = in_spreads(it, self.problem.U, self.problem.Y, self.problem.shares)
        objective = self.objective(it)
        highest = objective + 1e-2 * tol * abs(objective)
        # A conic point may violate a little already: zeros must not make that worse.
        allowed = {name: max(violation, 1e-9) for name, violation in self.user_violations(it).items()}
        for letter in sorted(self.user_terms.letters):
            size = np.abs(sizes[letter])
            for threshold in (1.0, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
                check_stop()
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

    def improve(self, share: float) -> Iterate:
        """A better point, feasible, by native steps until one gains less than ``share`` of what all have gained.

        Asked for by loops that take rough steps (``Method(..., inexact=True)``); others do without.
        """
        raise NotImplementedError

    def certificate(self, it: Iterate) -> Certificate:
        """Gap, residual and violation of a point, from the data, as if the user had added nothing.

        :meth:`user_violations` has the user's constraints. The certificate of :func:`~bcd_implicit.solve_block` and of
        a result counts both.
        """
        raise NotImplementedError
