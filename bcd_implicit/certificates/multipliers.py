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

# Newton steps, and halvings of one.
STEPS, HALVINGS = 50, 30
# A step that promises less than this share of what is left would change nothing that a certificate shows.
WORTHWHILE = 1e-3
# Added to the Hessian, relative to its largest entry: it is singular with more outputs than states that are free.
LIFT = 1e-10


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

    def subset(self, kept: np.ndarray) -> DualProblem:
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

    def newton(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Newton's direction in the entries of V that no end of the subgradients holds, and the decrease it promises."""
        z = self.pair(V)
        gradient = self.C @ (self.X - self.phi(z)) - (self.prediction - self.Y)
        free = self.loss.inside(V - np.sign(gradient), self.Y) != V
        H = (self.C * (self.phi.derivative(z) / self.weights).T[:, None, :]) @ self.C.T  # (samples, q, q)
        diagonal = np.einsum("kii->ki", H)
        diagonal += LIFT * max(diagonal.max(), float(np.max(self.C**2 @ (1 / self.weights))))
        diagonal[~free.T] = 1.0
        H *= free.T[:, :, None] & free.T[:, None, :] | np.eye(len(V), dtype=bool)
        direction = -np.linalg.solve(H, (gradient * free).T[:, :, None])[:, :, 0].T
        return direction, -np.sum(gradient * direction, axis=0)

    def solve(self) -> np.ndarray:
        """The dual points V, shape (q, samples), from the loss's gradient."""
        V, left = self.loss.gradient(self.prediction, self.Y), self
        todo, bound = np.arange(V.shape[1]), self.bound(V)
        for _ in range(STEPS):
            check_stop()
            direction, promise = left.newton(V[:, todo])
            more = promise > WORTHWHILE * bound[todo]
            if not more.any():
                break
            direction, todo, left = direction[:, more], todo[more], left.subset(more)
            step, lower = np.ones(len(todo)), np.zeros(len(todo), dtype=bool)
            for _ in range(HALVINGS):
                trial = self.loss.inside(V[:, todo] + step * direction, left.Y)
                found = left.bound(trial)
                taken = ~lower & (found < bound[todo])
                V[:, todo[taken]], bound[todo[taken]] = trial[:, taken], found[taken]
                lower |= taken
                if lower.all():
                    break
                step /= 2
            todo, left = todo[lower], left.subset(lower)
            if not len(todo):
                break
        return V
