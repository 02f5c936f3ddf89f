"""The state block's objective for some samples, one a column, each with its gradient and Newton's direction.

A state moves along ``phi(z + t g''(x) dx)`` with z the subgradient of g at x: near x that is ``x + t dx``, and it stays
in the domain of g, stops at kinks, and is straight where g' goes to infinity. For relu and clip it is the projection.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from bcd_implicit.blocks.state_fit import Fit
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# Added to the Hessian, relative to its mean diagonal: the proximal term leaves M singular where A + A' is large.
LIFT = 1e-12
# At an end of its domain g'' may be infinite, or nearly: this is as good.
STEEPEST = 1e100


@dataclass
class Slope:
    """The objective's slope at some states.

    Attributes
    ----------
    r : ndarray of shape (n, samples)
        Of the objective's subgradients the one of least size; zero where a bound or a kink holds a state.
    z : ndarray of shape (n, samples)
        The subgradient of g that it contains.
    error : ndarray of shape (samples,)
        How far the objective may be above its optimum.
    """

    r: np.ndarray
    z: np.ndarray
    error: np.ndarray

    def subset(self, kept: np.ndarray) -> Slope:
        """The same for fewer samples."""
        return Slope(self.r[:, kept], self.z[:, kept], self.error[kept])


class Samples:
    """The objective of some samples, their weights and the constant regularisation left out.

    As a sum of squares and divergences: as a quadratic it would have no digits left where states are large.

    Parameters
    ----------
    Q : ndarray of shape (n, n)
        The quadratic part, with the proximal term and, of the squared loss, C'C.
    proximal : ndarray of shape (n, n)
    part : slice
        Which samples.
    fit : Fit
        Their loss.
    """

    def __init__(
        self, problem: TrainingProblem, it: Iterate, Q: np.ndarray, proximal: np.ndarray, part: slice, fit: Fit
    ) -> None:
        self.phi, self.A, self.Q, self.proximal, self.fit = problem.activation, it.A, Q, proximal, fit
        self.weights = problem.fenchel_weights[:, None]
        self.weighted_A = self.weights * it.A
        self.least_weight = float(self.weights.min())
        self.reach = 1 / problem.room(it.A)
        self.c, self.previous = it.B @ problem.U[:, part] + it.b[:, None], it.X[:, part]

    def subset(self, kept: np.ndarray) -> Samples:
        """The same for fewer samples."""
        other = copy.copy(self)
        other.c, other.previous, other.fit = self.c[:, kept], self.previous[:, kept], self.fit.subset(kept)
        return other

    def value(self, X: np.ndarray) -> np.ndarray:
        """The objective of every sample."""
        step = X - self.previous
        rest = self.weights * self.phi.divergence(X, self.A @ X + self.c) + 0.5 * step * (self.proximal @ step)
        return self.fit.value(X) + np.sum(rest, axis=0)

    def slope(self, X: np.ndarray, value: np.ndarray) -> Slope:
        """The slope at X, where the objective is ``value``; its error as the certificate's gap, a little coarser."""
        phi, Z = self.phi, self.A @ X + self.c
        phi_Z = phi(Z)
        rest = self.fit.gradient(X) + self.weighted_A.T @ (phi_Z - X) + self.proximal @ (X - self.previous)
        wanted = Z - rest / self.weights
        z = phi.g_subgradient(X, wanted)
        r = self.weights * (z - wanted)
        if phi.quadratic_part == 0:
            return Slope(r, z, np.sum(self.weights * phi.divergence(X, wanted), axis=0))
        off = np.sqrt(2 * phi.max_slope * np.maximum(value, 0.0) / self.least_weight)
        width = np.minimum(2 * (np.abs(phi(self.c)).max(axis=0) + off), np.abs(X - phi_Z).max(axis=0) + off)
        return Slope(r, z, width * (self.reach @ np.abs(r)))

    def direction(self, X: np.ndarray, r: np.ndarray, damping: np.ndarray) -> np.ndarray:
        """Newton's direction in the states whose slope is not zero, times g''.

        If A + A' is large and z negative, states may have no curvature at all: hence the damping.
        """
        g_curvature = np.minimum(self.phi.g_curvature(X), STEEPEST)
        H = (self.A.T * self.phi.derivative(self.A @ X + self.c).T[:, None, :]) @ self.weighted_A  # (samples, n, n)
        H += self.Q
        self.fit.add_curvature(H, X, damping)
        diagonal = np.einsum("kii->ki", H)
        diagonal += LIFT * (diagonal.mean(axis=1, keepdims=True) + self.weights[:, 0])
        diagonal += (self.weights * (g_curvature * (1 + damping) - self.phi.quadratic_part)).T
        free = (r != 0).T
        H *= free[:, :, None] & free[:, None, :]
        diagonal[~free] = 1.0
        return -g_curvature * np.linalg.solve(H, r.T[:, :, None])[:, :, 0].T

    def moved(self, X: np.ndarray, z: np.ndarray, change: np.ndarray) -> np.ndarray:
        """The states of the subgradients z + change, and X where nothing changes."""
        return np.where(change == 0, X, self.phi(z + change))
