"""What the gradient loop carries from cycle to cycle, beside its iterate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.training.optimizers import Moments


@dataclass(frozen=True)
class Descent:
    """Of a run of the gradient loop.

    Attributes
    ----------
    best : Iterate
        That of the lowest objective so far.
    lowest : float
        The objective there.
    learning_rate : float
    moments : Moments
    batches : mapping
        The state of the generator that draws batches.
    waited : int
        Cycles since the objective was last lower, or the learning rate halved.
    checked : bool
        Whether the best iterate has been certified, and was not stationary.
    """

    best: Iterate
    lowest: float
    learning_rate: float
    moments: Moments
    batches: Mapping[str, Any]
    waited: int = 0
    checked: bool = False

    @staticmethod
    def begin(it: Iterate, objective: float, learning_rate: float, rng: np.random.Generator) -> Descent:
        """Of a run that begins at an iterate; its batches are drawn independently of what else the generator draws."""
        n_unknowns = sum(part.size for letter, part in vars(it).items() if letter != "X")
        batches = np.random.default_rng(rng.integers(2**63)).bit_generator.state
        return Descent(it, objective, learning_rate, Moments.none(n_unknowns), batches)

    def after(
        self,
        it: Iterate,
        objective: float,
        moments: Moments,
        batches: Mapping[str, Any],
        patience: int | None,
        halve: bool,
    ) -> Descent:
        """What a cycle leaves that ended at an iterate.

        The learning rate is halved where ``halve`` says so, or after ``patience`` cycles with no lower objective.
        """
        lower = objective < self.lowest
        waited = 0 if lower else self.waited + 1
        halve |= waited == patience
        return Descent(
            best=it.contiguous() if lower else self.best,
            lowest=min(objective, self.lowest),
            learning_rate=self.learning_rate / 2 if halve else self.learning_rate,
            moments=moments,
            batches=batches,
            waited=0 if halve else waited,
            checked=self.checked and not lower,
        )

    def generator(self) -> np.random.Generator:
        """The generator of batches, in its state."""
        bits = np.random.PCG64()
        bits.state = dict(self.batches)  # type: ignore[assignment]
        return np.random.Generator(bits)
