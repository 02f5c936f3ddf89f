"""The solves of a path, one after the other, of which a checkpoint keeps what is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.walk import n_selected
from bcd_implicit.support.log import logger
from bcd_implicit.training.bcd import solve
from bcd_implicit.training.checkpoint import Checkpoint
from bcd_implicit.training.result import BcdResult, Status


class Solves:
    """Stands for :func:`bcd_implicit.solve`: what the checkpoint has is not solved again.

    A path asks for the same solves in the same order, as long as their results are the same.

    Attributes
    ----------
    cut_short : Status or None
        INTERRUPTED or TIME_LIMIT once that has ended a solve.
    """

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self.checkpoint, self.n_asked = checkpoint, 0
        self.cut_short: Status | None = None

    def __call__(self, problem: TrainingProblem, **options: Any) -> BcdResult:
        place, kept = self.n_asked, self.checkpoint
        self.n_asked += 1
        if kept is None:
            result = solve(problem, **options)
        elif (done := kept.result(place, problem)) is not None:
            return done
        else:
            result = solve(problem, checkpoint=kept, **options)
        inputs = f"{n_selected(result)} of {problem.n_inputs} inputs, {result.n_cycles} cycles"
        logger.info("kappa path: kappa %.3g, %s", problem.kappa, inputs)
        if result.status.cut_short:
            self.cut_short = result.status
        elif kept is not None:
            kept.add(result)
        return result

    def write(self) -> None:
        """Write the checkpoint, if there is one."""
        if self.checkpoint is not None:
            self.checkpoint.write(at_once=True)

    def ended_in_words(self, results: Sequence[BcdResult]) -> str:
        """What a path has that was cut short."""
        last, cause = results[-1], "" if self.cut_short is None else self.cut_short.cause
        if last.status.cut_short:
            return f"{cause} within the first kappa; the path is the best iterate so far ({last.n_cycles} cycles)."
        return f"{cause} after {len(results)} kappas, the last {last.problem.kappa:.3g}; the path ends there."
