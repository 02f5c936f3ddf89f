"""Which states a smaller model keeps, whole states at a time: a group lasso over what each gives to others.

Stage by stage, from the last to the first. Rows that take from a stage's states, of later stages, of the same cycle and
of the outputs, are one convex problem at the known states X and inputs::

    min    mean over rows i of 1/s_i^2 fit_i(t_i'w + c_i) + alpha / sqrt(n_rows) sum_j weight_j ||T e_j||_2

w = (x, u) in units of standard deviations, and row i of T in those of s_i, the deviation of what it gives. j goes
through the stage's states alone: what else the rows have is free. A state of which no row takes anything leaves, and
asks nothing of the stages before. From alpha = 1 on none stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve

from bcd_implicit.compression.fits import Fit
from bcd_implicit.compression.matching import (
    LEAST,
    RIDGE,
    Regressors,
    Rows,
    Task,
    beside,
    hidden_rows,
    output_rows,
)
from bcd_implicit.compression.rows import Point, certify, hessian, solve_rows
from bcd_implicit.terms.columnwise import Columnwise
from bcd_implicit.terms.entrywise import reweighted

# Conjugate gradients end where the residual is this share of what it was, or after so many.
ACCURACY, MOST_STEPS = 1e-10, 300


class Joint:
    """The mean over rows of their fits around their levels, each row in units of the deviation of what it gives.

    Parameters
    ----------
    rows : sequence of Rows
        None constant.
    """

    def __init__(self, rows: Sequence[Rows]) -> None:
        ends = np.cumsum([len(row.T) for row in rows])
        self.n_rows = int(ends[-1])
        self.places = [slice(int(end) - len(row.T), int(end)) for row, end in zip(rows, ends, strict=True)]
        # Rows that a loss couples share one unit.
        self.scales = [float(np.sqrt(np.mean(row.scales**2))) for row in rows]
        self.fits: list[Fit] = [row.around for row in rows]
        self.max_curvature = max(fit.max_curvature for fit in self.fits) / self.n_rows
        self.curved = sum(len(row.T) * fit.curved for row, fit in zip(rows, self.fits, strict=True)) / self.n_rows**2
        self.of_constant = self._mean([fit.of_constant for fit in self.fits])

    def _mean(self, values: Sequence[float]) -> float:
        return sum(value / scale**2 for value, scale in zip(values, self.scales, strict=True)) / self.n_rows

    def value(self, Z: np.ndarray) -> float:
        return self._mean(
            [fit.value(s * Z[rows]) for fit, rows, s in zip(self.fits, self.places, self.scales, strict=True)]
        )

    def gradient(self, Z: np.ndarray) -> np.ndarray:
        parts = zip(self.fits, self.places, self.scales, strict=True)
        return np.vstack([fit.gradient(s * Z[rows]) / s for fit, rows, s in parts]) / self.n_rows

    def curvature(self, Z: np.ndarray) -> np.ndarray:
        found = np.zeros((len(Z), *Z.shape))
        for rows, part in zip(self.places, self.curvatures(Z), strict=True):
            found[rows, rows] = part
        return found

    def curvatures(self, Z: np.ndarray) -> list[np.ndarray]:
        """Second derivatives of each fit, between the rows that it has alone: shapes (r, r, m)."""
        parts = zip(self.fits, self.places, self.scales, strict=True)
        return [fit.curvature(s * Z[rows]) / self.n_rows for fit, rows, s in parts]


def among_columns(
    fit: Joint, W: np.ndarray, terms: Columnwise, start: Point, added: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where Newton's method goes under a penalty of columns: among those that are not zero, or have no weight.

    Second derivatives are those of each fit by itself, plus a diagonal, less one direction a column, in which its
    length does not bend. Conjugate gradients solve with them, helped by all but the last.
    """
    face = terms.free & (start.T.any(axis=0) | (terms.weights == 0))
    smooth, bend = terms.smooth(start.T)
    gradient = np.where(face, start.gradient + smooth, 0.0)
    units = start.T / np.where(bend > 0, np.linalg.norm(start.T, axis=0), 1.0)
    blocks = []
    for rows, curvature in zip(fit.places, fit.curvatures(start.Z), strict=True):
        part = face[rows]
        if part.any():
            H = hessian(curvature, W, *np.nonzero(part))
            H[np.diag_indices_from(H)] += (terms.ridge + added + bend)[rows][part]
            blocks.append((rows, part, H, cho_factor(H)))

    def helped(V: np.ndarray) -> np.ndarray:
        found = np.zeros_like(V)
        for rows, part, _, factor in blocks:
            found[rows][part] = cho_solve(factor, V[rows][part])
        return found

    def times(V: np.ndarray) -> np.ndarray:
        found = np.zeros_like(V)
        for rows, part, H, _ in blocks:
            found[rows][part] = H @ V[rows][part]
        return np.where(face, found - bend * units * (units * V).sum(axis=0), 0.0)

    return gradient, _conjugate_gradients(times, helped, -gradient)


Map = Callable[[np.ndarray], np.ndarray]


def _conjugate_gradients(times: Map, helped: Map, right: np.ndarray) -> np.ndarray:
    """V with ``times(V) = right``, nearly; ``helped`` is about the inverse of ``times``."""
    found, residual = np.zeros_like(right), right
    step = near = helped(residual)
    size = first = float(np.sum(residual * near))
    for _ in range(MOST_STEPS):
        if not size > ACCURACY**2 * first:
            break
        image = times(step)
        curved = float(np.sum(step * image))
        if not curved > 0:
            break
        found = found + size / curved * step
        residual = residual - size / curved * image
        near = helped(residual)
        size, before = float(np.sum(residual * near)), size
        step = near + size / before * step
    return found


def without_units(task: Task, alpha: float) -> tuple[Task, float]:
    """The task without the states that leave, and the largest relative gap of the problems that say which."""
    model, n = task.model, task.model.n_hidden
    regressors, worst = Regressors(np.vstack([task.X, task.U])), 0.0
    for stage in range(int(task.level.max()), -1, -1):
        states = np.flatnonzero(task.level == stage)
        free, start = beside(task.free["A"], task.free["B"]), beside(model.A, model.B)
        takers = np.flatnonzero(np.asarray(free[:, states].sum(axis=1)).reshape(-1) > 0)
        rows = hidden_rows(task, takers, regressors, free, start, model.b)
        rows += output_rows(task, regressors, beside(task.free["C"], task.free["D"]))
        rows = [row for row in rows if row.varies and np.isin(row.columns, states).any()]
        stay, gap = _staying(task, alpha, regressors, rows, states) if rows else (np.zeros(n, dtype=bool), 0.0)
        task, worst = _without(task, np.setdiff1d(states, np.flatnonzero(stay))), max(worst, gap)
    return task, worst


def _without(task: Task, states: np.ndarray) -> Task:
    """Without entries that take from these states or give to them."""
    kept = np.ones(task.model.n_hidden, dtype=bool)
    kept[states] = False
    K = sp.diags_array(kept.astype(float), format="csr")
    free = {"A": K @ task.free["A"] @ K, "B": K @ task.free["B"], "C": task.free["C"] @ K, "D": task.free["D"]}
    return replace(task, free={letter: sp.csr_array(mask != 0) for letter, mask in free.items()})


def _staying(
    task: Task, alpha: float, regressors: Regressors, rows: list[Rows], states: np.ndarray
) -> tuple[np.ndarray, float]:
    """Which of these states rows take from, as bool of shape (n,), and the relative gap."""
    fit, n = Joint(rows), task.model.n_hidden
    width = len(regressors.sd)
    free, start = np.zeros((fit.n_rows, width), dtype=bool), np.zeros((fit.n_rows, width + 1))
    for row, places, scale in zip(rows, fit.places, fit.scales, strict=True):
        free[places, row.columns] = row.free
        start[places, row.columns] = row.T[:, :-1] * regressors.sd[row.columns] / scale
    used = np.flatnonzero(free.any(axis=0))
    W = np.vstack([regressors.centered(used) / regressors.sd[used, None], np.ones(regressors.R.shape[1])])
    grouped = np.append(np.isin(used, states), False)
    weights = grouped * alpha / np.sqrt(fit.n_rows)
    ridge = RIDGE * max(fit.curved, LEAST / fit.n_rows)
    free = np.hstack([free[:, used], np.ones((fit.n_rows, 1), dtype=bool)])
    T, factors, gap = start[:, np.append(used, -1)], np.ones(len(grouped)), 0.0
    for _ in range(task.reweight + 1):
        terms = Columnwise(factors * weights, ridge, free)
        T = solve_rows(fit, W, terms, terms.feasible(T), task.tol, among_columns)
        gap = max(gap, certify(fit, W, terms, T).relative_gap)
        lengths = np.where(grouped, np.linalg.norm(T, axis=0), 0.0)
        if not lengths.any():
            break
        factors = reweighted(lengths, float(lengths[grouped].mean()))
    stay = np.zeros(n, dtype=bool)
    stay[used[(lengths > 0)[:-1]]] = True
    return stay, gap
