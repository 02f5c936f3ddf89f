"""What a run records: processor seconds of the training alone, and beside it what the model is worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import bcd_implicit as bi
from contrast_parts.problems import Task

# Records are at least this factor apart, and the first this many seconds from the start.
APART, FIRST = 1.25, 0.02
# Columns of B this much shorter than the longest are next to nothing, if not zero.
SMALL = 1e-3


class Recorder:
    """Stops the clock, evaluates, and lets it go on.

    Every run is judged here, whoever trains: (T) at the equilibrium, solved anew, of the matrices that it has by then,
    and the score on new samples.

    Parameters
    ----------
    task : Task
    seconds : float
        When to stop.
    """

    def __init__(self, task: Task, seconds: float) -> None:
        self.task, self.problem, self.seconds = task, task.problem, seconds
        self.curve: list[dict[str, Any]] = []
        self.n_calls, self._next, self._beside = 0, FIRST, 0.0
        self._began = time.process_time()

    @property
    def elapsed(self) -> float:
        """Processor seconds since the start, without what was taken here."""
        return time.process_time() - self._began - self._beside

    def __call__(self, cycle: int, objective: float, it: bi.Iterate) -> bool:
        """A callback of bi.solve: whether time is up."""
        return self.visit(cycle, lambda: it)

    def visit(self, n_calls: int, find: Callable[[], bi.Iterate]) -> bool:
        """The same, of a function that finds the iterate; it is called where a record is due, beside the clock."""
        now, self.n_calls = self.elapsed, n_calls
        if now >= min(self._next, self.seconds):
            self.record(find, now)
            self._next = max(self._next, now) * APART
        return now >= self.seconds

    def record(self, find: Callable[[], bi.Iterate], now: float) -> None:
        """One more point of the curve."""
        paused = time.process_time()
        it = find()
        columns = np.linalg.norm(it.B, axis=0)
        row = {
            "seconds": now,
            "objective": float(self.problem.equilibrium_objective(it)),
            "score": self.task.score(self.problem.model(it)),
            "zero": int(np.sum(columns == 0)),
            "small": int(np.sum(columns <= SMALL * columns.max())),
        }
        if np.isfinite(row["objective"]):
            self.curve.append(row)
        self._beside += time.process_time() - paused


def best_by(curve: list[dict[str, Any]], seconds: float) -> dict[str, Any] | None:
    """Of the records up to then the one with the lowest objective: what a run could return that keeps its best."""
    there = [row for row in curve if row["seconds"] <= seconds]
    return min(there, key=lambda row: row["objective"]) if there else None
