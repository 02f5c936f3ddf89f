"""The options of the gradient loop, checked."""

from __future__ import annotations

from dataclasses import dataclass

from bcd_implicit.errors import check_choice
from bcd_implicit.model.derivatives import ADJOINTS
from bcd_implicit.support.by_name import named_or_given
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.training.optimizers import OPTIMIZERS, Optimizer

SCHEDULES = ("plateau", "constant", "cosine")


@dataclass(frozen=True)
class GradientOptions:
    """How ``bi.solve(problem, method="gradient")`` descends.

    Parameters
    ----------
    batch_size : int or None
        The most samples of a step. A cycle is an epoch: each sample occurs once, in batches of nearly equal size and in
        a new random order. None, or as many as there are, takes all samples in every step.
    n_steps : int
        Steps of a cycle where each takes all samples.
    gradient : {"exact", "jacobian-free", "neumann"}
        As the method of :func:`~bcd_implicit.gradient`.
    n_terms : int
        Of "neumann" alone.
    optimizer : {"adam", "sgd"} or Optimizer
    learning_rate : float
    schedule : {"plateau", "constant", "cosine"}
        "plateau" halves the learning rate after ten cycles that end no lower than the best before; "cosine" lets it go
        to zero over ``max_cycles``. With all three a cycle that ends above where it began, and above the loss of
        predicting zero, is taken back, and the learning rate halved.
    exact_output : bool
        Whether the output block is solved exactly at the end, as by the other methods. False leaves C, D and d as the
        optimizer has them. (A start whose C is zero has its output block solved in any case.)

    Raises
    ------
    InvalidInputError
        An option out of its range, named.
    """

    batch_size: int | None = 64
    n_steps: int = 20
    gradient: str = "exact"
    n_terms: int = 5
    optimizer: str | Optimizer = "adam"
    learning_rate: float = 0.01
    schedule: str = "plateau"
    exact_output: bool = True

    def __post_init__(self) -> None:
        if self.batch_size is not None:
            remedy = "Give 1 or more samples, or None for all"
            check_number("batch_size", self.batch_size, 1, integer=True, remedy=remedy)
        check_number("n_steps", self.n_steps, 1, integer=True, remedy="Give 1 or more steps")
        check_choice("gradient", self.gradient, ADJOINTS)
        check_number("n_terms", self.n_terms, 0, integer=True, remedy="Give 0 or more terms")
        check_number("learning_rate", self.learning_rate, 0, boundaries="neither", remedy="Give a number such as 0.01")
        check_choice("schedule", self.schedule, SCHEDULES)
        check_flag("exact_output", self.exact_output)
        found = named_or_given("optimizer", self.optimizer, Optimizer, OPTIMIZERS, ("scales",))
        object.__setattr__(self, "optimizer", found)
