"""A look ahead: farther along the way that the last step of (A, B, b) went.

The output block and the prox-linear block take turns, each with the other fixed, and where the two pull at each other
many short steps go one way. A pattern move (Hooke and Jeeves 1961) follows that way for one solve of the states and of
the output block, a few gradients, and it is taken only where the objective is lower.
"""

from __future__ import annotations

from dataclasses import dataclass

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# How the reach changes with a success and a failure, and its limits.
GROWTH, SHRINKAGE, LEAST_REACH, MOST_REACH = 1.5, 0.5, 0.1, 20.0


@dataclass
class Extrapolation:
    """How far to look, in lengths of the last step, and that step.

    Attributes
    ----------
    reach : float
        More where looking ahead paid, less where it did not.
    step : pair of Iterate or None
        From where to where the last step went; None where there is none to go on from.
    """

    reach: float = 1.0
    step: tuple[Iterate, Iterate] | None = None

    def point(self, problem: TrainingProblem) -> Iterate | None:
        """The iterate ahead, feasible and with states at equilibrium, whose C is still the old one."""
        if self.step is None:
            return None
        (old, new), lasso = self.step, problem.group_lasso
        # Groups of B that are zero stay zero, as do entries of A under the norm bound, and those that would turn round
        # become zero.
        A = problem.row_set.settle(new.A + self.reach * (new.A - old.A), new.A)
        G = problem.grouped(new)
        ahead = lasso.settle(G + self.reach * (G - problem.grouped(old)), G, lasso.facet(G))
        it = problem.with_grouped(new, lasso.repair(ahead)).replace(
            A=A,
            b=new.b + self.reach * (new.b - old.b),
            d=new.d + self.reach * (new.d - old.d),
        )
        return problem.at_equilibrium(it)

    def learn(self, lower: bool) -> None:
        """Look farther next time, or less far, by whether the objective was lower there."""
        self.reach = min(max(self.reach * (GROWTH if lower else SHRINKAGE), LEAST_REACH), MOST_REACH)
