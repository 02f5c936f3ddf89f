"""Schedules of the fenchel loop: how the weights lambda_i of the hidden features grow while it runs.

With small weights the blocks move far and the states stay far from equilibrium; with large ones the relaxed problem is
near the true one and steps are short. A schedule begins with the problem's own weights and raises them whenever the
loop has settled. The objective (F) falls from cycle to cycle while weights stay, and rises with them.

To add a schedule, subclass :class:`FenchelSchedule` and add an instance to :data:`SCHEDULES`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.by_name import named_or_given
from bcd_implicit.support.checks import check_number


@dataclass(frozen=True)
class FenchelSchedule:
    """Fixed weights: those of the problem.

    Parameters
    ----------
    most : float
        The largest weight, as a multiple of the problem's own.
    settled : float
        Weights are raised once a cycle lowers (F) by less than this share of it.
    """

    name: ClassVar[str] = "fixed"
    most: float = 1.0
    settled: float = 0.01

    def __post_init__(self) -> None:
        remedy = "Give a number such as 100, in multiples of fenchel_weight"
        check_number("most", self.most, 1, remedy=remedy)
        check_number("settled", self.settled, 0, 1, boundaries="neither", remedy="Give a share such as 0.01")

    def factors(self, divergences: np.ndarray) -> np.ndarray:
        """Factors for the weights, 1 or more, given every feature's relative divergence: shape (n,)."""
        return np.ones_like(divergences)

    def raised(self, problem: TrainingProblem, it: Iterate, weights: np.ndarray) -> np.ndarray:
        """The next weights, shape (n,); the same if none is to be raised.

        Parameters
        ----------
        problem : TrainingProblem
            It has the weights with which the schedule began.
        it : Iterate
            It has the loop's own states, which are not at equilibrium.
        weights : ndarray of shape (n,)
            The current weights.
        """
        factors = self.factors(relative_divergences(problem, it))
        return np.asarray(np.maximum(np.minimum(factors * weights, self.most * problem.fenchel_weights), weights))


@dataclass(frozen=True)
class Continuation(FenchelSchedule):
    """Geometric continuation: all weights times ``factor``, up to ``most`` times the problem's own.

    Parameters
    ----------
    most, settled : float
        As in :class:`~bcd_implicit.training.fenchel_weights.FenchelSchedule`.
    factor : float
    """

    name: ClassVar[str] = "continuation"
    most: float = 100.0
    factor: float = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("factor", self.factor, 1, boundaries="neither", remedy="Give a number above 1, such as 3")

    def factors(self, divergences):
        return np.full_like(divergences, self.factor)


@dataclass(frozen=True)
class DualAscent(FenchelSchedule):
    """Dual ascent: a weight is raised while the divergence of its hidden feature is above a tolerance.

    The weights are the multipliers of the constraints that every feature's divergence is at most the tolerance
    (Gu, Askari, El Ghaoui, *Fenchel Lifted Networks*, arXiv 1811.08039, section 4): a step is proportional to the
    excess, here in multiples of the tolerance and of the weight itself, and at most ``step`` times the weight.

    Parameters
    ----------
    most, settled : float
        As in :class:`~bcd_implicit.training.fenchel_weights.FenchelSchedule`.
    tolerance : float
        Relative to half the feature's mean square; it is the square of a relative error of the states.
    step : float
    """

    name: ClassVar[str] = "dual-ascent"
    most: float = 1000.0
    tolerance: float = 1e-3
    step: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tolerance", "step"):
            check_number(name, getattr(self, name), 0, boundaries="neither", remedy="Give a positive number")

    def factors(self, divergences):
        return 1 + self.step * np.clip(divergences / self.tolerance - 1, 0.0, 1.0)


#: The schedules, by name.
SCHEDULES: dict[str, FenchelSchedule] = {s.name: s for s in (FenchelSchedule(), Continuation(), DualAscent())}


def relative_divergences(problem: TrainingProblem, it: Iterate) -> np.ndarray:
    """The mean divergence of every hidden feature, in shares of the mean of half its squares: shape (n,)."""
    sizes = 0.5 * (it.X**2 @ problem.shares)
    divergences = problem.mean_divergences(it)
    return np.divide(divergences, sizes, out=np.where(divergences > 0, np.inf, 0.0), where=sizes > 0)


def check_schedule(schedule: Any, method: str) -> FenchelSchedule:
    """Return the schedule, looked up by name; only the fenchel loop has one other than "fixed".

    Raises
    ------
    InvalidInputError
        An unknown name, another object, or a schedule for a loop without Fenchel weights.
    """
    schedule = named_or_given("fenchel_schedule", schedule, FenchelSchedule, SCHEDULES)
    if method != "fenchel" and schedule.name != FenchelSchedule.name:
        raise InvalidInputError(
            "fenchel_schedule", f"is {schedule.name!r}, but method={method!r} has no Fenchel term", 'Use "fenchel"'
        )
    return schedule


def described(schedule: FenchelSchedule) -> dict[str, Any]:
    """The schedule's name and numbers, for a checkpoint."""
    return {"name": schedule.name} | {field.name: getattr(schedule, field.name) for field in fields(schedule)}
