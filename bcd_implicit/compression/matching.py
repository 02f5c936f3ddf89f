"""A smaller model row by row: states and predictions at the samples are known, and each row is matched to them alone.

In units of standard deviations, of what a row gives and of what it takes, weights have no units: the penalty of entry
ij is ``alpha sd(x_i) sd(w_j) |T_ij|``, and of outputs 0.3 times that. From alpha = 1 on every state is a constant, as
no covariance is above the product of the deviations, and from 1/0.3 on every output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.sparse as sp

from bcd_implicit.compression.fits import FenchelFit, Fit, LossFit, RowFit, Shifted
from bcd_implicit.compression.rows import certify, solve_rows
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import Matrix, dense, scaled
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states
from bcd_implicit.terms.activation import Activation
from bcd_implicit.terms.entrywise import Entrywise, reweighted
from bcd_implicit.terms.loss import Loss
from bcd_implicit.terms.losses import LOSSES, SquaredLoss

# Relative to second derivatives: the optimum is unique, and every row has a duality gap. Those of a fit that is nowhere
# curved count as the least.
RIDGE, LEAST = 1e-9, 1e-6
# The outputs' share of alpha: they are few entries, and nothing makes up for their errors (benchmarks/compression.py).
OUTPUTS = 0.3
# What varies by less, relative to its size, is a constant.
CONSTANT = 1e-12
# A little room in the bound of a row: what is on the boundary is well-posed whatever the rounding.
ROOM = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be matched, and with which entries.

    Attributes
    ----------
    model : ImplicitModel
    U : ndarray of shape (p, m)
    Y : ndarray of shape (q, m), or None
        Targets; None stands for the model's own predictions.
    X : ndarray of shape (n, m)
        The model's states.
    remove : {"entries", "units"}
    matching : {"fenchel", "least-squares"}
    free : dict of str to sparse array of bool
        By letter, the entries that may be other than zero.
    component : ndarray of int, shape (n,)
        The cycle that each state may be in; -1 for none. Entries of A between states of one are bounded row by row.
    held : ndarray of shape (n,)
        Diagonal entries of A, which stay as they are.
    held_gains : ndarray of shape (n,)
        What these add to the rows of gains: their size times the slope, or less than 0 where the measure counts.
    units : ndarray of shape (n,)
        v > 0: ``L_i sum_j |A_ij| v_j <= (radius - held_gains_i) v_i`` over the bounded entries.
    radius : float
        Below 1.
    level : ndarray of int, shape (n,)
        The stage in which each state is matched; it may depend on earlier ones, and on those of its own stage.
    reweight : int
    refit : bool
    tol : float
        Relative duality gap of each row.
    """

    model: ImplicitModel
    U: np.ndarray
    Y: np.ndarray | None
    X: np.ndarray
    remove: str
    matching: str
    free: dict[str, Matrix]
    component: np.ndarray
    held: np.ndarray
    held_gains: np.ndarray
    units: np.ndarray
    radius: float
    level: np.ndarray
    reweight: int
    refit: bool
    tol: float

    @property
    def slopes(self) -> np.ndarray:
        """The largest slope of each state's function, shape (n,)."""
        return self.model.activation.slopes(self.model.n_hidden)

    @property
    def targets(self) -> tuple[Loss, np.ndarray]:
        """The loss of the outputs' rows, and what they are matched to, shape (q, m)."""
        if self.Y is not None:
            return loss_of(self.model.link), self.Y
        return LOSSES["squared"], self.model.C @ self.X + self.model.D @ self.U + self.model.d[:, None]


@dataclass(frozen=True, eq=False)
class Bound:
    """A ball of a row: ``sum_j |t_j| units_j <= radius`` over these of its columns."""

    inside: np.ndarray
    units: np.ndarray
    radius: float


#: None.
FREE = Bound(np.zeros(0, dtype=int), np.zeros(0), np.inf)


class Regressors:
    """States and inputs, shape (n + p, m), with their means and deviations."""

    def __init__(self, R: np.ndarray) -> None:
        self.R, self.means = R, R.mean(axis=1)
        self.sd = R.std(axis=1)
        # Constants are the intercept's.
        self.sd[self.sd <= CONSTANT * np.maximum(R.max(axis=1), -R.min(axis=1))] = 0.0

    def centered(self, columns: np.ndarray) -> np.ndarray:
        """These of them, less their means: shape (k, m)."""
        return self.R[columns] - self.means[columns, None]


class Rows:
    """One row that is matched, or some that a loss couples, over the columns that they have.

    Parameters
    ----------
    fit : RowFit, or ndarray of shape (r,)
        Of r rows; or what rows are that do not vary.
    scales : ndarray of shape (r,)
        The standard deviation of what each row gives.
    columns : ndarray of int, shape (P,)
    free : ndarray of bool, shape (r, P)
    start : ndarray of shape (r, P + 1)
        The last column are the intercepts.
    bound : Bound

    Attributes
    ----------
    varies : bool
        Whether there is something to be matched.
    fit : RowFit
        If so.
    T : ndarray of shape (r, P + 1)
        As found so far.
    gap : float
        The largest relative duality gap over all rounds.
    units : ndarray of shape (r, P)
        What makes an entry's size a contribution in the row's own units.
    """

    def __init__(
        self,
        regressors: Regressors,
        fit: RowFit | np.ndarray,
        scales: np.ndarray,
        columns: np.ndarray,
        free: np.ndarray,
        start: np.ndarray,
        bound: Bound = FREE,
    ) -> None:
        self.regressors, self.scales, self.columns, self.bound = regressors, scales, columns, bound
        self.free = free & (regressors.sd[columns] > 0)
        self.units, self.T, self.gap = np.outer(scales, regressors.sd[columns]), start, 0.0
        self.varies = not isinstance(fit, np.ndarray)
        if isinstance(fit, np.ndarray):
            self.free, self.T = np.zeros_like(free), np.hstack([np.zeros(free.shape), fit[:, None]])
        else:
            self.fit = fit

    @property
    def level(self) -> np.ndarray:
        """What the rows are at the regressors' means, (r, 1)."""
        return self.T[:, -1:] + self.T[:, :-1] @ self.regressors.means[self.columns, None]

    @property
    def around(self) -> Fit:
        """The fit of what is added to the level: the ridge leaves a constant alone, however large it is."""
        return self.fit.around(self.level)

    def solve(self, weights: np.ndarray, free: np.ndarray, tol: float) -> None:
        """Solve for the free entries with weights of ``|T|``, both of shape (r, P), from where it is."""
        if not self.varies:
            return
        used = np.flatnonzero(free.any(axis=0))
        columns, means = self.columns[used], self.regressors.means[self.columns[used]]
        # Inside the ball entries are in the units in which it is one.
        units = np.ones(free.shape[1])
        units[self.bound.inside] = self.bound.units
        units, end = units[used], np.ones((len(free), 1))
        W = np.vstack([self.regressors.centered(columns) / units[:, None], np.ones(self.regressors.R.shape[1])])
        terms = Entrywise(
            weights=np.hstack([weights[:, used] / units, 0 * end]),
            ridge=RIDGE * max(self.fit.curved, LEAST) * (W**2).mean(axis=1) * end,
            free=np.hstack([free[:, used], end > 0]),
            inside=np.flatnonzero(np.isin(used, self.bound.inside)),
            radius=self.bound.radius,
        )
        # Columns that are used no more leave their mean.
        fit, level = self.around, self.level[:, 0]
        found = solve_rows(fit, W, terms, terms.feasible(np.hstack([self.T[:, used] * units, 0 * end])), tol)
        T = np.zeros_like(self.T)
        T[:, used] = found[:, :-1] / units
        T[:, -1] = found[:, -1] + level - T[:, used] @ means
        self.T, self.gap = T, max(self.gap, certify(fit, W, terms, found).relative_gap)


def hidden_rows(
    task: Task, states: np.ndarray, regressors: Regressors, free: Matrix, start: Matrix, b: np.ndarray
) -> list[Rows]:
    """Rows of (A, B, b) of these states, in their order.

    Parameters
    ----------
    task : Task
    states : ndarray of int
    regressors : Regressors
    free, start : sparse array of shape (n, n + p)
    b : ndarray of shape (n,)
    """
    model, found = task.model, []
    Z = model.A[states] @ task.X + model._drive(task.U)[states]
    slopes, free, start = task.slopes, free[states], start[states]
    for k, i in enumerate(states):
        columns, x = _columns(free, k), (Z[k] if task.matching == "least-squares" else task.X[i])[None]
        scale, fit = x.std(axis=1), Z[k : k + 1].mean(axis=1)
        if _varies(x):
            fit = _fit(task, i, x)
        if _varies(x) and task.held[i] != 0:
            # What is left to match is larger where the state holds itself back, and smaller where it pushes itself on.
            fit, scale = Shifted(fit, task.held[i] * regressors.R[i : i + 1]), scale * (1 - slopes[i] * task.held[i])
        row = np.append(dense(start[[k]])[0, columns], b[i])[None]
        bound = _bound(task, i, columns, float(slopes[i]))
        found.append(Rows(regressors, fit, scale, columns, np.ones((1, len(columns)), dtype=bool), row, bound))
    return found


def _fit(task: Task, state: int, x: np.ndarray) -> RowFit:
    if task.matching == "least-squares":
        return LossFit(SquaredLoss(), x)
    return FenchelFit(cast(Activation, task.model.activation.take(np.array([state]))), x)


def _bound(task: Task, state: int, columns: np.ndarray, slope: float) -> Bound:
    """The ball of a state's row, among the states of the cycle that it may be in."""
    number, n = task.component[state], len(task.component)
    inside = np.flatnonzero((columns < n) & (task.component[np.minimum(columns, n - 1)] == number))
    if number < 0 or not inside.size:
        return FREE
    radius = ROOM * (task.radius - task.held_gains[state]) * task.units[state] / slope
    return Bound(inside, task.units[columns[inside]], radius)


def _columns(free: Matrix, row: int) -> np.ndarray:
    return np.sort(free.indices[free.indptr[row] : free.indptr[row + 1]])


def _varies(values: np.ndarray) -> bool:
    """Whether they differ by more than rounding."""
    return float(values.std()) > CONSTANT * float(np.abs(values).max(initial=0.0))


def loss_of(link: str) -> Loss:
    """The loss of targets on whose scale a model's predictions are: the first that has this link."""
    return next(loss for loss in LOSSES.values() if loss.link == link)


def output_rows(task: Task, regressors: Regressors, free: Matrix) -> list[Rows]:
    """Rows of (C, D, d): together where the loss couples them."""
    loss, Y = task.targets
    start = np.hstack([dense(task.model.C), dense(task.model.D), task.model.d[:, None]])
    found = []
    for rows in np.arange(len(Y)).reshape(-1, 1 if loss.separable else len(Y)):
        allowed = dense(free[rows])
        columns, y = np.flatnonzero(allowed.any(axis=0)), Y[rows]
        fit = y.mean(axis=1) if loss.quadratic and not _varies(y) else LossFit(loss, y)
        first = start[np.ix_(rows, np.append(columns, -1))]
        found.append(Rows(regressors, fit, y.std(axis=1), columns, allowed[:, columns], first))
    return found


def solve_all(task: Task, alpha: float, rows: Sequence[Rows]) -> None:
    """Rounds of the penalty, each with weights from the last one's entries; then what is left, without it."""
    factors = [np.ones_like(row.units) for row in rows]
    for _ in range(task.reweight + 1 if alpha > 0 else 1):
        for row, factor in zip(rows, factors, strict=True):
            row.solve(alpha * factor * row.units, row.free, task.tol)
        # Sizes are of contributions to the row, in its own units; their mean is over the rows of a stage.
        sizes = [np.abs(row.T[:, :-1]) * row.units for row in rows]
        n_free = sum(int(row.free.sum()) for row in rows)
        mean = sum(float(size[row.free].sum()) for row, size in zip(rows, sizes, strict=True)) / max(n_free, 1)
        if mean == 0:
            break
        factors = [reweighted(size, mean) for size in sizes]
    if task.refit and alpha > 0:
        for row in rows:
            row.solve(0 * row.units, row.free & (row.T[:, :-1] != 0), task.tol)


def stacked(rows: Sequence[Rows], width: int) -> tuple[Matrix, np.ndarray, np.ndarray]:
    """Their entries as a sparse array with so many columns, their intercepts, and the gap of each row."""
    at, entries, columns, places = 0, [], [], []
    for row in rows:
        i, j = np.nonzero(row.T[:, :-1])
        entries.append(row.T[i, j])
        columns.append(row.columns[j])
        places.append(at + i)
        at += len(row.T)
    T = sp.csr_array((np.concatenate(entries), (np.concatenate(places), np.concatenate(columns))), shape=(at, width))
    gaps = np.concatenate([np.full(len(row.T), row.gap) for row in rows])
    return T, np.concatenate([row.T[:, -1] for row in rows]), gaps


def matched(task: Task, alpha: float) -> tuple[ImplicitModel, np.ndarray, np.ndarray]:
    """The smaller model with its states in their old places, and the gaps of its rows: of states, and of outputs.

    Stage by stage: rows see what the smaller model makes of the states before them, and make up for it; so do the
    outputs. States that may depend on each other in circles see each other as they were.
    """
    model = task.model
    n, width = model.n_hidden, model.n_hidden + len(task.U)
    free = {side: beside(*(task.free[letter] for letter in side)) for side in ("AB", "CD")}
    start, b, gaps = beside(model.A, model.B), model.b.copy(), np.zeros(n)
    R, found, order = np.vstack([task.X, task.U]), [], []
    for stage in range(int(task.level.max()) + 1):
        states = np.flatnonzero(task.level == stage)
        rows = hidden_rows(task, states, Regressors(R), free["AB"], start, model.b)
        solve_all(task, alpha, rows)
        T, b[states], gaps[states] = stacked(rows, width)
        T = T + _held(task, states, rows, width)
        R[states] = _states(T, b[states], states, R, model)
        found.append(T)
        order.append(states)
    outputs = output_rows(task, Regressors(R), free["CD"])
    solve_all(task, OUTPUTS * alpha, outputs)
    CD, d, output_gaps = stacked(outputs, width)
    AB = sp.csr_array(sp.vstack(found))[np.argsort(np.concatenate(order))]
    matrices = {"A": AB[:, :n], "B": AB[:, n:], "C": CD[:, :n], "D": CD[:, n:]}
    parts = {name: part if sp.issparse(getattr(model, name)) else dense(part) for name, part in matrices.items()}
    return model._copy(**parts, b=b, d=d), gaps, output_gaps


def beside(*matrices: Matrix) -> Matrix:
    """Matrices side by side, as a sparse one."""
    return sp.csr_array(sp.hstack([sp.csr_array(matrix) for matrix in matrices]))


def _held(task: Task, states: np.ndarray, rows: Sequence[Rows], width: int) -> Matrix:
    """The diagonal entries that stay, of rows that are not constant."""
    values = np.array([task.held[i] if row.varies else 0.0 for row, i in zip(rows, states, strict=True)])
    return sp.csr_array((values, (np.arange(len(states)), states)), shape=(len(states), width))


def _states(T: Matrix, b: np.ndarray, states: np.ndarray, R: np.ndarray, model: ImplicitModel) -> np.ndarray:
    """What rows (T, b) make of these states: the stage is a model by itself, and all that comes before is its input."""
    others = np.ones(len(R))
    others[states] = 0.0
    function = model.activation.take(states)
    return solve_states(Structure(T[:, states], function, scaled(T, columns=others)), R, b).X
