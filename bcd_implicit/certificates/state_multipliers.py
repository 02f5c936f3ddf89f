"""Dual points of losses with kinks at given states.

At a kink a loss has many subgradients. The one that proves a state optimal is that of a small dual problem, each
sample's own, in as many unknowns as there are outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.support.interruption import check_stop
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.losses import Loss

# Steps of Levenberg's and Marquardt's method.
STEPS = 100
# A step that promises less than this share of what is left would change nothing that a certificate shows.
WORTHWHILE = 1e-3
# Added to the Hessian, relative to its largest entry. The least: it is singular with more outputs than states that are
# free. The last: no step is left then.
LEAST_DAMPING, LAST_DAMPING = 1e-10, 1e10


@dataclass
class DualProblem:
    """Bounds on the gap of some samples by subgradients V of their loss, and the V that nearly minimises them::

        D(f, V, y) + sum_i lambda_i F_phi(x_i, z_i),    z = -(C'V + linear) / lambda,

    with the divergence D(f, V, y) = L(f) + L*(V) - <V, f>: the gap where all but the loss and g is linearised.

    Attributes
    ----------
    loss : Loss
        One of f - y, positively homogeneous, as those with kinks are.
    phi : Activation
    C : ndarray of shape (q, n)
    weights : ndarray of shape (n, 1)
    prediction, Y : ndarray of shape (q, samples)
    X, linear : ndarray of shape (n, samples)
        The states, and the gradient there of all but the loss and g.
    """

    loss: Loss
    phi: Activation
    C: np.ndarray
    weights: np.ndarray
    prediction: np.ndarray
    Y: np.ndarray
    X: np.ndarray
    linear: np.ndarray

    def subset(self, kept: np.ndarray | slice) -> DualProblem:
        """The same for fewer samples."""
        samples = (part[:, kept] for part in (self.prediction, self.Y, self.X, self.linear))
        return DualProblem(self.loss, self.phi, self.C, self.weights, *samples)

    def pair(self, V: np.ndarray) -> np.ndarray:
        """The preactivations z that V belongs to."""
        return -(self.C.T @ V + self.linear) / self.weights

    def bound(self, V: np.ndarray) -> np.ndarray:
        """The bound of every sample."""
        pairs = self.weights * self.phi.divergence(self.X, self.pair(V))
        return self.loss.divergence(self.prediction, V, self.Y) + np.sum(pairs, axis=0)

    def newton(self, V: np.ndarray, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton's direction in the entries of V that no end of the subgradients holds, and what it promises."""
        z = self.pair(V)
        gradient = self.C @ (self.X - self.phi(z)) - (self.prediction - self.Y)
        free = (self.loss.inside(V - np.sign(gradient), self.Y) != V).T
        H = (self.C * (self.phi.derivative(z) / self.weights).T[:, None, :]) @ self.C.T  # (samples, q, q)
        H *= free[:, :, None] & free[:, None, :]
        diagonal = np.einsum("kii->ki", H)
        diagonal += np.where(free, damping[:, None] * np.max(self.C**2 @ (1 / self.weights)), 1.0)
        direction = -np.linalg.solve(H, (gradient.T * free)[:, :, None])[:, :, 0].T
        return direction, -np.sum(gradient * direction, axis=0)

    def solve(self) -> np.ndarray:
        """The dual points V, shape (q, samples), from the loss's gradient."""
        V, left = self.loss.gradient(self.prediction, self.Y), self
        todo, bound = np.arange(V.shape[1]), self.bound(V)
        damping = np.full(len(todo), LEAST_DAMPING)
        for _ in range(STEPS):
            check_stop()
            direction, promise = left.newton(V[:, todo], damping[todo])
            more = (promise > WORTHWHILE * bound[todo]) & (damping[todo] < LAST_DAMPING)
            if not more.any():
                break
            direction, todo, left = direction[:, more], todo[more], left.subset(more)
            trial = self.loss.inside(V[:, todo] + direction, left.Y)
            found = left.bound(trial)
            lower = found < bound[todo]
            V[:, todo[lower]], bound[todo[lower]] = trial[:, lower], found[lower]
            damping[todo] = np.where(lower, np.maximum(0.1 * damping[todo], LEAST_DAMPING), 100 * damping[todo])
        return V
