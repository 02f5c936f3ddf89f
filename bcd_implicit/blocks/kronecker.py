"""Accelerated steps by a Kronecker model: cheap steps to most of what the prox-linear block has to give.

With the regressors w_k and the sensitivities J_k of the samples the Hessian of the block's smooth part f is near a
Kronecker product, that of two means::

    sum_k (w_k w_k') kron (J_k'J_k) + mu H kron I   ~   H kron M,    M = mean J_k'J_k + mu I,   H = sum_k w_k w_k'

A step minimises, with the gradient G of f at Y::

    <G, T - Y> + stretch/2 <T - Y, M (T - Y) H> + ridge, group lasso and row sets of T

by an inner loop on (n, P) matrices, which multiplies by M and H. The sensitivities are needed once a step, for one
product with the true Hessian. It says how much the model has to be stretched to be a majoriser. Both loops are FISTA
with restarts (Beck and Teboulle 2009; O'Donoghue and Candes 2015): the number of outer steps grows with the root of the
stretch, that of inner steps with the root of the condition of M and H, and an inner step costs P/2m of a gradient.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.blocks.face import Terms
from bcd_implicit.blocks.smooth import Hessian
from bcd_implicit.support.interruption import check_stop

# Inner steps a step at most: accuracy there buys nothing while the next gradient differs.
INNER_STEPS = 10
# Inner steps end where the proximal gradient has become this small a share of the first.
INNER_ACCURACY = 0.1
# How far a stretch may miss the curvature seen along a step before the step is taken anew, and by how much it then
# exceeds that curvature.
SLACK, REACH = 1.05, 1.3
# Steps of the power method for an eigenvalue that may be a tenth off.
POWER_STEPS = 15
# In place of a zero divisor.
TINY = 1e-100


class KroneckerModel:
    """The operator V -> M V H on matrices of shape (n, P).

    Parameters
    ----------
    M : ndarray of shape (n, n)
        Symmetric and positive semidefinite.
    W : ndarray of shape (P, m)
        H is W W'.
    H : ndarray of shape (P, P) or None
        The same where it is at hand: the shorter way unless samples are few.
    row_units : ndarray of shape (n,), optional
        If rows of M differ in size, about how: ``curvature`` is then relative to these.

    Attributes
    ----------
    curvature : ndarray of shape (P,), or (n, P) with row_units
        A diagonal bound, by an estimate: the operator is at most that of ``V * curvature``.
    """

    def __init__(self, M: np.ndarray, W: np.ndarray, H: np.ndarray | None, row_units: np.ndarray | None = None) -> None:
        self.M, self.W, self.H = M, W, H
        squares = np.einsum("ij,ij->i", W, W)
        unit = 1 / np.sqrt(np.where(squares > 0, squares, 1.0))
        # Power steps. A start of ones alone would be orthogonal to the difference of an input and its complement. They
        # end below the largest eigenvalue: the tenth is for that.
        v, largest = 1 + np.sin(np.arange(len(W))), 0.0
        for _ in range(POWER_STEPS):
            v = unit * self._times_gram((v / np.linalg.norm(v) * unit)[None])[0]
            largest = float(np.linalg.norm(v))
            if largest == 0:
                break
        columns = 1.1 * largest * squares
        if row_units is None:
            self.curvature = float(np.linalg.eigvalsh(M)[-1]) * columns
        else:
            # A row without curvature, as while C = 0, has no unit.
            roots = np.sqrt(np.where(row_units > 0, row_units, 1.0))
            self.curvature = float(np.linalg.eigvalsh(M / roots / roots[:, None])[-1]) * np.outer(roots**2, columns)

    def _times_gram(self, V: np.ndarray) -> np.ndarray:
        return V @ self.H if self.H is not None else (V @ self.W) @ self.W.T

    def product(self, V: np.ndarray) -> np.ndarray:
        """M V H."""
        return self.M @ self._times_gram(V)


def approach(
    hessian: Hessian,
    model: KroneckerModel,
    terms: Terms,
    T: np.ndarray,
    gradient: np.ndarray,
    share: float,
    most_steps: int,
) -> np.ndarray:
    """Steps until one gains less than ``share`` of what all have gained; the objective never rises.

    Parameters
    ----------
    hessian : Hessian
        That of f, the same everywhere: f is quadratic.
    model : KroneckerModel
        Near it.
    terms : Terms
    T : ndarray of shape (n, P)
        Feasible start.
    gradient : ndarray of shape (n, P)
        That of f at the start.
    share : float
    most_steps : int

    Returns
    -------
    ndarray of shape (n, P)
        Feasible.
    """
    stretch, rest, gained = 1.0, terms.value(T), 0.0
    # The extrapolated point from which a step goes, its gradient, and the momentum's sequence.
    Y, gradient_at_Y, momentum = T, gradient, 1.0
    for _ in range(most_steps):
        new = _model_step(model, terms, Y, gradient_at_Y, stretch)
        change = new - Y
        image = hessian.product(change)
        bend, expected = float(np.vdot(change, image)), float(np.vdot(change, model.product(change)))
        if bend > SLACK * stretch * expected:
            stretch = REACH * bend / max(expected, TINY)
            continue
        # f is quadratic: gradients add up, and between two points its slope is their gradients' mean.
        new_gradient, step, new_rest = gradient_at_Y + image, new - T, terms.value(new)
        slope = 0.5 * float(np.vdot(gradient + new_gradient, step))
        gain = (rest - new_rest) - slope
        if not gain > 0:
            if momentum == 1.0:
                return T
            Y, gradient_at_Y, momentum = T, gradient, 1.0
            continue
        next_momentum = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        ahead = (momentum - 1) / next_momentum
        Y, gradient_at_Y = new + ahead * step, new_gradient + ahead * (new_gradient - gradient)
        T, gradient, rest, momentum = new, new_gradient, new_rest, next_momentum
        gained += gain
        if gain <= share * gained:
            return T
    return T


def _model_step(model: KroneckerModel, terms: Terms, Y: np.ndarray, gradient: np.ndarray, stretch: float) -> np.ndarray:
    """Minimise the model around Y plus the terms, roughly: FISTA from Y, in the metric of the model's bound."""
    metric = np.maximum(terms.metric(stretch * model.curvature), TINY)
    steps = 1 / metric
    T = Z = Y
    momentum, first = 1.0, 0.0
    for i in range(INNER_STEPS):
        check_stop()
        slope = gradient + terms.ridge * Z
        if i:
            away = Z - Y
            bend = stretch * model.product(away)
            if i == 1:
                # The bound is an estimate. It has to hold along the first step, or the model may rise.
                bound = float(np.vdot(stretch * model.curvature * away, away))
                excess = float(np.vdot(bend, away)) / max(bound, TINY)
                if excess > 1:
                    model.curvature = 1.1 * excess * model.curvature
                    return _model_step(model, terms, Y, gradient, stretch)
            slope += bend
        new = terms.prox(Z - slope * steps, steps)
        pull = metric * (new - Z)
        size = float(np.vdot(pull, new - Z))
        first = first or size
        if size <= INNER_ACCURACY**2 * first and i:
            return new
        step = new - T
        if np.vdot(pull, step) < 0:  # uphill: start anew
            momentum = 1.0
        next_momentum = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        T, Z, momentum = new, new + (momentum - 1) / next_momentum * step, next_momentum
    return T
