"""A smaller model row by row: states and predictions at the samples are known, and each row is matched to them alone.

In units of standard deviations, of what a row gives and of what it takes, weights have no units: the penalty of entry
ij is ``alpha sd(x_i) sd(w_j) |T_ij|``, and of outputs 0.3 times that. From alpha = 1 on every state is a constant, as
no covariance is above the product of the deviations, and from 1/0.3 on every output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.sparse as sp

from bcd_implicit.compression.fits import FenchelFit, Fit, LossFit
from bcd_implicit.compression.rows import certify, solve_rows
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.terms.activation import Activation
from bcd_implicit.terms.entrywise import Entrywise
from bcd_implicit.terms.loss import Loss
from bcd_implicit.terms.losses import LOSSES, SquaredLoss

# Relative to second derivatives: the optimum is unique, and every row has a duality gap. Those of a fit that is nowhere
# curved count as the least.
RIDGE, LEAST = 1e-9, 1e-6
# Reweighting: 1 / (size / mean size + this).
OFFSET = 0.3
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
    matching : {"fenchel", "least-squares"}
    free : dict of str to ndarray of bool
        By letter, the entries that may be other than zero.
    bounded : ndarray of bool, shape (n, n)
        The entries of A that are bounded row by row: those that may be in a cycle.
    units : ndarray of shape (n,)
        v > 0: ``L_i sum_j |A_ij| v_j <= radius v_i`` over the bounded entries.
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
    matching: str
    free: dict[str, np.ndarray]
    bounded: np.ndarray
    units: np.ndarray
    radius: float
    level: np.ndarray
    reweight: int
    refit: bool
    tol: float


@dataclass(frozen=True, eq=False)
class Rows:
    """Solved rows of (A, B, b) or of (C, D, d).

    Attributes
    ----------
    T : ndarray of shape (k, n + p + 1)
        The last column are the intercepts.
    gaps : ndarray of shape (k,)
        The largest relative gap of each over all rounds.
    """

    T: np.ndarray
    gaps: np.ndarray


@dataclass(frozen=True, eq=False)
class Bound:
    """A ball of a row: ``sum_j |t_j| units_j <= radius`` over these columns."""

    columns: np.ndarray
    units: np.ndarray
    radius: float


#: None.
FREE = Bound(np.zeros(0, dtype=int), np.zeros(0), np.inf)


class _Regressors:
    """States and inputs as columns of W, less their means, with their deviations."""

    def __init__(self, X: np.ndarray, U: np.ndarray) -> None:
        R = np.vstack([X, U])
        self.means = R.mean(axis=1)
        self.W = R - self.means[:, None]
        self.sd = np.sqrt((self.W**2).mean(axis=1))
        # Constants are the intercept's.
        self.sd[self.sd <= CONSTANT * np.abs(R).max(axis=1)] = 0.0
        self.m = R.shape[1]

    def solve(
        self, fit: Fit, weights: np.ndarray, free: np.ndarray, start: np.ndarray, bound: Bound, tol: float
    ) -> tuple[np.ndarray, float]:
        """Rows T (r, n + p + 1) and their relative gap, for weights of ``|T|`` and free entries of shape (r, n + p)."""
        free = free & (self.sd > 0)
        used = np.flatnonzero(free.any(axis=0))
        # Inside the ball entries are in the units in which it is one.
        units = np.ones(len(self.sd))
        units[bound.columns] = bound.units
        units, end = units[used], np.ones((len(free), 1))
        W = np.vstack([self.W[used] / units[:, None], np.ones(self.m)])
        terms = Entrywise(
            weights=np.hstack([weights[:, used] / units, 0 * end]),
            ridge=RIDGE * max(fit.curved, LEAST) * (W**2).mean(axis=1) * end,
            free=np.hstack([free[:, used], end > 0]),
            inside=np.flatnonzero(np.isin(used, bound.columns)),
            radius=bound.radius,
        )
        first = np.hstack([start[:, used] * units, start[:, -1:] + start[:, :-1] @ self.means[:, None]])
        found = solve_rows(fit, W, terms, terms.feasible(first), tol)
        T = np.zeros((len(free), len(self.sd) + 1))
        T[:, used] = found[:, :-1] / units
        T[:, -1] = found[:, -1] - T[:, :-1] @ self.means
        return T, certify(fit, W, terms, found).relative_gap


def _hidden_rows(task: Task, states: np.ndarray, X: np.ndarray, alpha: float, start: np.ndarray) -> Rows:
    """Rows of (A, B, b) of these states, for regressors X and the inputs; their start has the same shape."""
    regressors = _Regressors(X, task.U)
    Z = dense(task.model.A)[states] @ task.X + task.model._drive(task.U)[states]
    scales, fits, bounds, constants = [], [], [], []
    slopes = task.model.activation.slopes(task.model.n_hidden)
    for z, i in zip(Z, states, strict=True):
        x, fit = z[None], None
        if task.matching == "fenchel":
            x = task.X[i : i + 1]
            fit = FenchelFit(cast(Activation, task.model.activation.take(np.array([i]))), x)
        constants.append(None if _varies(x) else float(z.mean()))
        columns = np.flatnonzero(task.bounded[i])
        radius = ROOM * task.radius * task.units[i] / slopes[i] if columns.size else np.inf
        scales.append(float(x.std()))
        fits.append(fit or LossFit(SquaredLoss(), x))
        bounds.append(Bound(columns, task.units[columns], radius))
    free = np.hstack([task.free["A"], task.free["B"]])[states]

    def solve(weights: np.ndarray, free: np.ndarray, start: np.ndarray) -> Rows:
        T, gaps = np.zeros_like(start), np.zeros(len(states))
        for k, constant in enumerate(constants):
            if constant is not None:
                T[k, -1] = constant
                continue
            row = slice(k, k + 1)
            T[row], gaps[k] = regressors.solve(fits[k], weights[row], free[row], start[row], bounds[k], task.tol)
        return Rows(T, gaps)

    return _reweighted(task, alpha, np.outer(scales, regressors.sd), free, start, solve)


def _varies(values: np.ndarray) -> bool:
    """Whether they differ by more than rounding."""
    return float(values.std()) > CONSTANT * float(np.abs(values).max(initial=0.0))


def loss_of(link: str) -> Loss:
    """The loss of targets on whose scale a model's predictions are: the first that has this link."""
    return next(loss for loss in LOSSES.values() if loss.link == link)


def _output_rows(task: Task, X: np.ndarray, alpha: float, start: np.ndarray) -> Rows:
    """Rows of (C, D, d), for regressors X and the inputs: together where the loss couples them."""
    regressors, model = _Regressors(X, task.U), task.model
    if task.Y is None:
        loss, Y = LOSSES["squared"], model.C @ task.X + model.D @ task.U + model.d[:, None]
    else:
        loss, Y = loss_of(model.link), task.Y
    free = np.hstack([task.free["C"], task.free["D"]])
    q = len(Y)
    groups = [slice(i, i + 1) for i in range(q)] if loss.separable else [slice(None)]
    fits = [LossFit(loss, Y[rows]) for rows in groups]

    def solve(weights: np.ndarray, free: np.ndarray, start: np.ndarray) -> Rows:
        T, gaps = np.zeros_like(start), np.zeros(q)
        for rows, fit in zip(groups, fits, strict=True):
            if loss.quadratic and not _varies(Y[rows]):
                T[rows, -1] = Y[rows].mean()
                continue
            T[rows], gaps[rows] = regressors.solve(fit, weights[rows], free[rows], start[rows], FREE, task.tol)
        return Rows(T, gaps)

    return _reweighted(task, OUTPUTS * alpha, np.outer(Y.std(axis=1), regressors.sd), free, start, solve)


def _reweighted(
    task: Task,
    alpha: float,
    units: np.ndarray,
    free: np.ndarray,
    start: np.ndarray,
    solve: Callable[[np.ndarray, np.ndarray, np.ndarray], Rows],
) -> Rows:
    """Rounds of the penalty, each with weights from the last one's entries; then what is left, without it."""
    factors = np.ones_like(units)
    T, gaps = start, np.zeros(len(start))
    for _ in range(task.reweight + 1 if alpha > 0 else 1):
        found = solve(alpha * factors * units, free, T)
        T, gaps = found.T, np.maximum(gaps, found.gaps)
        # Sizes are of contributions to the row, in its own units.
        sizes = np.abs(T[:, :-1]) * units
        mean = float(sizes[free].mean()) if free.any() else 0.0
        if mean == 0:
            break
        factors = 1 / (sizes / mean + OFFSET)
    if task.refit and alpha > 0:
        found = solve(0 * units, free & (T[:, :-1] != 0), T)
        T, gaps = found.T, np.maximum(gaps, found.gaps)
    return Rows(T, gaps)


def matched(task: Task, alpha: float) -> tuple[ImplicitModel, np.ndarray, np.ndarray]:
    """The smaller model with its states in their old places, and the gaps of its rows: of states, and of outputs.

    Stage by stage: rows see what the smaller model makes of the states before them, and make up for it; so do the
    outputs. States that may depend on each other in circles see each other as they were.
    """
    model = task.model
    n = model.n_hidden
    T = np.hstack([dense(model.A), dense(model.B), model.b[:, None]])
    gaps, X = np.zeros(n), task.X
    for stage in range(int(task.level.max()) + 1):
        states, done = np.flatnonzero(task.level == stage), (task.level <= stage)[:, None]
        rows = _hidden_rows(task, states, X, alpha, T[states])
        T[states], gaps[states] = rows.T, rows.gaps
        X = np.where(done, _with(model, np.where(done, T, 0.0))._states(task.U).X, task.X)
    outputs = _output_rows(task, X, alpha, np.hstack([dense(model.C), dense(model.D), model.d[:, None]]))
    return _with(model, T, outputs.T), gaps, outputs.gaps


def _with(model: ImplicitModel, T: np.ndarray, outputs: np.ndarray | None = None) -> ImplicitModel:
    """The model with other rows (A, B, b), and if given (C, D, d); sparse matrices stay sparse."""
    rows = {"A": T[:, : len(T)], "B": T[:, len(T) : -1], "b": T[:, -1]}
    if outputs is not None:
        rows |= {"C": outputs[:, : len(T)], "D": outputs[:, len(T) : -1], "d": outputs[:, -1]}
    return model._copy(
        **{name: sp.csr_array(part) if sp.issparse(getattr(model, name)) else part for name, part in rows.items()}
    )
