"""The best dual vectors: those of a linear program for each bound, for all bounds at once and without its solver.

The bound of :mod:`~bcd_implicit.model.robustness.backward` is a convex function of lambda. If phi is linear between
a few points of its range, the least value is that of a linear program: a point of the convex hull of phi's graph is a
mean of these points with weights P, and an input is one of the ends of its interval. Let F hold phi at the points, or
the ends, and Z hold z, or zeros. The program is, mean for mean with the weights of each state and input,

    maximise r^T x + g^T u:  z = A x + B u + b,  x = mean(F), u = mean(F), z = mean(Z),  P >= 0 with sums of 1.

lambda are the multipliers of the equation, and the slacks of the dual problem, ``T = h - (w F - lambda Z) >= 0``, say
how far each point is from being the worst one. A primal-dual interior-point method (Mehrotra, SIAM J. Optim. 2 (1992))
solves a system of n equations for each bound and step, about 15 times. Whatever it ends with is a certificate, from
which the bound is recomputed. Of functions that are not piecewise linear so many points are taken that little is lost.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness.backward import DualCertificate, Lines, backward
from bcd_implicit.model.robustness.box import Box, Ranges, Tasks
from bcd_implicit.model.robustness.intervals import SPARE
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.robustness.verify import lagrangian
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.parts import parts

#: A system of so many equations for each bound and step.
MOST_STATES = 300
# A bound is done when no more than this share of its terms can be gained, or after so many steps.
ENOUGH, MOST_STEPS = 1e-9, 40
# Steps keep so far inside.
INSIDE = 0.995


def dual(system: BoundedSystem, box: Box, tasks: Tasks, rounds: int, n_cuts: int) -> tuple[np.ndarray, DualCertificate]:
    """The largest values of tasks, (K,), by the best dual vectors on backward ranges, and what proves them.

    Raises
    ------
    InvalidInputError
        A model of too many states.
    """
    if len(system.b) > MOST_STATES:
        cause = f'has {len(system.b)} states, and method="dual" is limited to {MOST_STATES}'
        raise InvalidInputError("model", cause, 'Use method="backward"')
    return backward(system, box, tasks, rounds, n_cuts, improve=best)


def improved(
    system: BoundedSystem,
    box: Box,
    z: Ranges,
    tasks: Tasks,
    found: np.ndarray,
    multipliers: np.ndarray,
    other: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds and their multipliers, or others where these prove less."""
    # Checked later in other parts of other shapes, in which products are rounded otherwise.
    values = lagrangian(system, box, None, z, tasks, other, SPARE)
    pays = values < found
    return np.where(pays, values, found), np.where(pays, other, multipliers)


def best(
    system: BoundedSystem, box: Box, lines: Lines, tasks: Tasks, found: np.ndarray, multipliers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The largest values of tasks, (K,), and their multipliers, (n, K), from those by lines."""
    other, (n, p) = np.empty_like(multipliers), system.B.shape
    for part in parts(len(tasks), (n + p) * (n + 20)):
        check_stop()
        other[:, part] = _Interior(system, box, lines.z, tasks.take(part), multipliers[:, part]).solve()
    return improved(system, box, lines.z, tasks, found, multipliers, other)


class _Interior:
    """The programs of K tasks, tasks first in all arrays: groups of points are n states, then p inputs."""

    def __init__(self, system: BoundedSystem, box: Box, z: Ranges, tasks: Tasks, multipliers: np.ndarray) -> None:
        phi, j, (n, p) = system.activation, tasks.sample, system.B.shape
        points = phi.outline(z.low, z.high)
        k, K = len(points), len(tasks)
        self.Z, self.F = np.zeros((K, n + p, k)), np.empty((K, n + p, k))
        for i, at in enumerate(points):
            self.Z[:, :n, i], self.F[:, :n, i] = at.T[j], phi(at).T[j]
            # Points that a group has no use for are like its last one.
            self.F[:, n:, i] = (box.center + (box.radius if i else -box.radius)).T[j]
        self.n, self.M, self.b = n, np.hstack([dense(system.A), dense(system.B)]), system.b
        self.lam, self.tasks = multipliers.T.copy(), np.arange(K)
        self.asked = np.hstack([tasks.of_states.T, tasks.of_inputs.T])
        scores = self._scores()
        top = scores.max(axis=2)
        room = top - scores.min(axis=2)
        room += 1e-2 * room.mean(axis=1, keepdims=True) + 1e-8 * np.abs(top).max(axis=1, keepdims=True)
        room[room == 0] = 1.0
        self.T = (top + room)[:, :, None] - scores
        self.P = 1 / self.T
        self.P /= self.P.sum(axis=2, keepdims=True)
        # No value of the task in its ranges is larger, up or down.
        self.size = np.abs(scores).max(axis=2).sum(axis=1) + np.abs(self.lam) @ np.abs(self.b)

    def _scores(self) -> np.ndarray:
        worth, n = self.asked + self.lam @ self.M, self.n
        scores = worth[:, :, None] * self.F
        scores[:, :n] -= self.lam[:, :, None] * self.Z[:, :n]
        return np.asarray(scores)

    def solve(self) -> np.ndarray:
        """The best lambda on the way, (n, K)."""
        found, least = self.lam.T.copy(), self._value()
        for _ in range(MOST_STEPS):
            check_stop()
            try:
                # What is not finite is not taken.
                with np.errstate(all="ignore"):
                    self._step()
                    value, gap = self._value(), (self.P * self.T).sum(axis=(1, 2))
            except np.linalg.LinAlgError:
                break
            gained = least[self.tasks] - value
            better = self.tasks[gained > 0]
            found[:, better], least[better] = self.lam[gained > 0].T, value[gained > 0]
            # A case without any input has no least value: one that is too low proves that.
            left = ((gap > ENOUGH * self.size) | (gained > ENOUGH * self.size)) & (value >= -self.size)
            if not left.any():
                break
            if not left.all():
                for name in ("Z", "F", "lam", "tasks", "asked", "T", "P", "size"):
                    setattr(self, name, getattr(self, name)[left])
        return found

    def _value(self) -> np.ndarray:
        """The bounds by lambda, (K,), but for what is constant and for rounding."""
        return np.asarray(self._scores().max(axis=2).sum(axis=1) + self.lam @ self.b)

    def _missed(self) -> np.ndarray:
        """By how much the weights miss the equation, (K, n)."""
        means = (self.F * self.P).sum(axis=2)
        return np.asarray(self.b + means @ self.M.T - (self.Z[:, : self.n] * self.P[:, : self.n]).sum(axis=2))

    def _step(self) -> None:
        n, M, P, T = self.n, self.M, self.P, self.T
        theta = P / T
        total, missed = theta.sum(axis=2), self._missed()
        F = self.F - ((theta * self.F).sum(axis=2) / total)[:, :, None]
        Z = self.Z - ((theta * self.Z).sum(axis=2) / total)[:, :, None]
        ff, zz, zf = ((theta * one * other).sum(axis=2) for one, other in ((F, F), (Z, Z), (Z, F)))
        cross = zf[:, :n, None] * M[:, :n].T
        N = (M * ff[:, None, :]) @ M.T - cross - cross.swapaxes(1, 2)
        N[:, np.arange(n), np.arange(n)] += zz[:, :n]
        # In units in which the diagonal is 1, and safely invertible.
        diagonal = N[:, np.arange(n), np.arange(n)]
        units = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        N *= units[:, :, None] * units[:, None, :]
        N[:, np.arange(n), np.arange(n)] += 1e-12
        inverse = np.linalg.inv(N)

        def direction(c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            """Changes of lambda, P and T with ``T dP + P dT = c``."""
            q = c / T
            right = (q[:, :n] * Z[:, :n]).sum(axis=2) - (q * F).sum(axis=2) @ M.T - missed
            move = units * (inverse @ (units * right)[:, :, None])[:, :, 0]
            dT = -(move @ M)[:, :, None] * F + (q.sum(axis=2) / total)[:, :, None]
            dT[:, :n] += move[:, :, None] * Z[:, :n]
            return move, q - theta * dT, dT

        gap = (P * T).mean(axis=(1, 2))
        _, dP, dT = direction(-P * T)
        after = (P + _longest(P, dP) * dP) * (T + _longest(T, dT) * dT)
        center = gap * np.clip(after.mean(axis=(1, 2)) / gap, 0.0, 1.0) ** 3
        move, dP, dT = direction(center[:, None, None] - P * T - dP * dT)
        self.P, step = P + INSIDE * _longest(P, dP) * dP, INSIDE * _longest(T, dT)
        self.T, self.lam = T + step * dT, self.lam + step[:, :, 0] * move


def _longest(x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """The longest step up to 1 for which ``x + step dx >= 0``, about, for each task: shape (K, 1, 1)."""
    shares = np.divide(-x, dx, out=np.full_like(x, np.inf), where=dx < 0)
    return np.minimum(1.0 / INSIDE, shares.min(axis=(1, 2)))[:, None, None]
