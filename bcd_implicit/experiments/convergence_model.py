"""The theorem's model, f(u) = B (I - gamma sigma(A))^-1 psi(u) with sigma the softmax of each column, and how it moves.

With U = I - gamma sigma(A) and W = B U^-1 it predicts W psi(u). Gradient flow of A and B moves W by
vec(W)' = -D vec(G), G the gradient of the shallow loss at W and D the metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import softmax


@dataclass(frozen=True)
class DeepLinear:
    """One point of the model, or K of them at once: every array may have a leading axis of length K.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    W : ndarray of shape (q, n)
        B U^-1: the model's prediction is W psi(u).
    gamma : float in (0, 1)
    """

    A: np.ndarray
    W: np.ndarray
    gamma: float

    @classmethod
    def of_weights(cls, A: np.ndarray, B: np.ndarray, gamma: float) -> DeepLinear:
        """The point of A and the model's own weights B, shape (q, n)."""
        return cls(A, np.linalg.solve((np.eye(len(A)) - gamma * softmax(A, axis=0)).T, B.T).T, gamma)

    @cached_property
    def S(self) -> np.ndarray:
        """sigma(A): columns of positive entries that sum to 1."""
        return np.asarray(softmax(self.A, axis=-2))

    @cached_property
    def U(self) -> np.ndarray:
        """I - gamma sigma(A), whose columns have absolute sums below 1 + gamma."""
        return np.eye(self.A.shape[-1]) - self.gamma * self.S

    @cached_property
    def inverse(self) -> np.ndarray:
        """U^-1, the sum of the powers of gamma sigma(A)."""
        return np.linalg.inv(self.U)

    @cached_property
    def B(self) -> np.ndarray:
        """The model's own weights W U, shape (q, n)."""
        return self.W @ self.U

    @cached_property
    def condition(self) -> float:
        """||U||_2: the metric is at least its inverse square."""
        return float(np.linalg.norm(self.U, 2))

    def gradients(self, G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradients in A and in B of a loss whose gradient in W is G, shape (q, n).

        dL/dB = G U^-T. With H = gamma W^T dL/dB the gradient in sigma(A), column j of dL/dA is J_j H_j, where
        J_j = diag(s_j) - s_j s_j^T is the derivative of the softmax.
        """
        in_B = G @ self.inverse.swapaxes(-1, -2)
        return self._through_softmax(self.gamma * self.W.swapaxes(-1, -2) @ in_B), in_B

    def moved(self, dA: np.ndarray, dB: np.ndarray) -> np.ndarray:
        """The change of W by changes of A and B: (dB + gamma W d sigma(A)) U^-1."""
        return (dB + self.gamma * self.W @ self._through_softmax(dA)) @ self.inverse

    def _through_softmax(self, M: np.ndarray) -> np.ndarray:
        """J_j M_j for every column; J_j is symmetric, so that this is the derivative and its adjoint."""
        weighted = self.S * M
        return weighted - self.S * weighted.sum(axis=-2, keepdims=True)

    def metric(self) -> np.ndarray:
        """D, shape (qn, qn): (U U^T)^-1 (x) I + gamma^2 sum_j u_j u_j^T (x) W J_j^2 W^T, u_j the rows of U^-1.

        The second part is what the motion of A adds; it is positive semidefinite.
        """
        (q, n), V = self.W.shape, self.inverse
        WJ = np.einsum("qi,ij->jqi", self.W, self.S)
        WJ = WJ - np.einsum("jq,ij->jqi", WJ.sum(axis=2), self.S)
        D = self.gamma**2 * np.einsum("ja,jb,jkl->akbl", V, V, WJ @ WJ.transpose(0, 2, 1), optimize=True)
        i = np.arange(q)
        D[:, i, :, i] += V.T @ V
        return D.reshape(n * q, n * q)

    def least_metric(self) -> float:
        """lambda_min(D), at least 1 / ||U||_2^2.

        With no fewer outputs than states it is 1 / ||U||_2^2: the columns of J_j sum to zero, so that what A adds
        reaches n - 1 directions of the outputs only, and leaves one.
        """
        q, n = self.W.shape
        return self.condition**-2 if q >= n else float(np.linalg.eigvalsh(self.metric())[0])

    def reach(self) -> float:
        """How much W moves at most, by a change of A and B of length 1: the derivative of a softmax is at most 1/2."""
        return float(np.linalg.norm(self.inverse, 2) * np.hypot(1, self.gamma / 2 * np.linalg.norm(self.W, 2)))


def proved_metric(n: int, gamma: float) -> float:
    """1 / (n (1 + gamma)^2), at most lambda_min(D) at every point: ||U||_2 <= sqrt(n) ||U||_1."""
    return 1 / (n * (1 + gamma) ** 2)
