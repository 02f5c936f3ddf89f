"""Tighter backward bounds by cases: ranges of a few preactivations are cut in two, and each case is bounded.

An input lies in one of the 2^k cases that k cuts make, so the largest value is at most the largest of all cases. In a
case lines are closer to phi, as its ranges are shorter. Cuts are made, for each task, where the lines that it uses are
farthest from phi, times what the state is worth to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bcd_implicit.model.robustness.box import Ranges, Tasks

# A smaller share of the largest gain is none.
NOTHING = 1e-6


@dataclass(frozen=True)
class Cuts:
    """Where ranges of preactivations are cut, for each of K tasks.

    Attributes
    ----------
    state : ndarray of shape (k, K)
        Whose range it is.
    point : ndarray of shape (k, K)
        Where; infinity for no cut, and then both cases have the whole range.
    """

    state: np.ndarray
    point: np.ndarray

    def take(self, tasks: np.ndarray | slice) -> Cuts:
        """Those of some tasks."""
        return Cuts(self.state[:, tasks], self.point[:, tasks])

    def cases(self, z: Ranges) -> Iterator[Ranges]:
        """The ranges (n, K) of preactivations in each case, from those without cuts, also (n, K)."""
        n_cuts, tasks = len(self.state), np.arange(self.state.shape[1])
        for case in range(2**n_cuts):
            low, high = z.low.copy(), z.high.copy()
            for k in range(n_cuts):
                place = self.state[k], tasks
                side = low if case >> k & 1 else high
                cut = np.clip(self.point[k], low[place], high[place])
                side[place] = np.where(np.isfinite(self.point[k]), cut, side[place])
            yield Ranges(low, high)


def cuts_of(gains: np.ndarray, points: np.ndarray, n_cuts: int) -> Cuts:
    """The cuts that are worth most, from the gain of each state for each task and the point of each, both (n, K)."""
    states = np.argsort(-gains, axis=0, kind="stable")[:n_cuts]
    worth, points = (np.take_along_axis(side, states, axis=0) for side in (gains, points))
    # Where there is nothing to gain a cut does harm, as it leaves fewer slopes to choose from.
    return Cuts(states, np.where(worth > NOTHING * worth[:1], points, np.inf))


def by_task(tasks: Tasks) -> Tasks:
    """The same tasks, each of a sample of its own."""
    return Tasks(tasks.rows, tasks.row, tasks.sign, np.arange(len(tasks)))
