"""The shallow model W psi(u) that the deep one moves like: a convex problem in W, its constants, and its optimum.

The deep model's prediction is W psi(u) with W = B U^-1, so that its loss is L_0(W) = sum_k l(W psi_k, y_k). In what
follows T are the W that matter to the loss: rows in the range of Psi, and for the cross-entropy columns that sum to
zero. Every W is a part in T, which alone changes L_0, and a rest. Inside T, L_0 is strongly convex on bounded sets.

A W in T is Z w P' for a small matrix w, shape (s, r), with orthonormal Z and P. vec stacks columns.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve, null_space
from scipy.optimize import brentq, linprog
from scipy.special import logsumexp, softmax

from bcd_implicit.terms.entropy import exp_rest
from bcd_implicit.terms.loss import Loss

# Newton's method ends after so many steps; ten are usual.
MAX_STEPS = 100
# Below this share of the loss a full step of Newton's is safe, and rounding would spoil a line search.
CLOSE = 1e-8
# Changes of logits that are larger than this are seen without care for the last digit.
NEAR = 0.5


@dataclass(frozen=True)
class Expansion:
    """A point W, often an optimum, from which losses and gradients of other points are told to the last digit.

    Attributes
    ----------
    W : ndarray of shape (q, n)
    loss : float
        L_0(W).
    slope : ndarray of shape (s, r)
        The gradient of L_0 in w: zero at the optimum of all W; at that of a ball, minus a multiple of w.
    prediction : ndarray of shape (q, m)
        W Psi: of the cross-entropy, logits.
    radius : float
        Of the ball in which W is the optimum; ``inf`` for that of all W.
    seconds : float
        That it took to find.
    """

    W: np.ndarray
    loss: float
    slope: np.ndarray
    prediction: np.ndarray
    radius: float = math.inf
    seconds: float = 0.0

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of the cross-entropy, shape (q, m)."""
        return np.asarray(softmax(self.prediction, axis=0))


@dataclass(frozen=True)
class Shallow:
    """min L_0(W), the sum over samples of a loss of W psi_k.

    Parameters
    ----------
    Psi : ndarray of shape (n, m)
        Features, one sample per column; not all zero.
    Y : ndarray of shape (q, m)
        Targets.
    loss : Loss
        The squared loss, here without a factor of a half as in the theorem, or the cross-entropy of classes.
    """

    Psi: np.ndarray
    Y: np.ndarray
    loss: Loss

    @property
    def scale(self) -> float:
        """What the package's loss is multiplied by: its squared loss has a half."""
        return 2.0 if self.loss.quadratic else 1.0

    # Coordinates ----------------------------------------------------------------------------------------------

    @cached_property
    def all_inputs(self) -> np.ndarray:
        """An orthonormal basis of R^n, shape (n, n), whose first columns span the range of Psi."""
        return np.asarray(np.linalg.svd(self.Psi)[0])

    @cached_property
    def all_outputs(self) -> np.ndarray:
        """One of R^q, shape (q, q), whose first columns span the changes of a prediction that change the loss."""
        q = len(self.Y)
        ones = np.ones((1, q))
        return np.eye(q) if self.loss.quadratic else np.hstack([null_space(ones), ones.T / math.sqrt(q)])

    @cached_property
    def inputs(self) -> np.ndarray:
        """P, shape (n, r), r the numerical rank of Psi."""
        sizes = np.linalg.svd(self.Psi, compute_uv=False)
        rank = int((sizes > sizes[0] * max(self.Psi.shape) * np.finfo(float).eps).sum())
        return self.all_inputs[:, :rank]

    @cached_property
    def outputs(self) -> np.ndarray:
        """Z, shape (q, s)."""
        return self.all_outputs if self.loss.quadratic else self.all_outputs[:, :-1]

    @cached_property
    def features(self) -> np.ndarray:
        """The features in the basis of their range, P' Psi, shape (r, m)."""
        return self.inputs.T @ self.Psi

    def lift(self, w: np.ndarray) -> np.ndarray:
        """The W in T of a small w."""
        return self.outputs @ w @ self.inputs.T

    def part(self, W: np.ndarray) -> np.ndarray:
        """The small w of the part of W in T."""
        return self.outputs.T @ W @ self.inputs

    # The loss and its derivatives -----------------------------------------------------------------------------

    def value(self, W: np.ndarray) -> float:
        """L_0(W)."""
        return self.scale * float(self.loss.value(W @ self.Psi, self.Y).sum())

    def gradient(self, W: np.ndarray) -> np.ndarray:
        """The gradient of L_0 in w, shape (s, r)."""
        return self.outputs.T @ (self.scale * self.loss.gradient(W @ self.Psi, self.Y)) @ self.features.T

    def hessian(self, W: np.ndarray) -> np.ndarray:
        """The second derivative of L_0 in vec(w), shape (rs, rs)."""
        F, Z, m = W @ self.Psi, self.outputs, self.Psi.shape[1]
        turned = [self.loss.second_derivative(F, self.Y, np.tile(z[:, None], m)) for z in Z.T]
        of_samples = self.scale * np.einsum("qi,jqm->ijm", Z, np.stack(turned))
        size = len(self.features) * Z.shape[1]
        return np.einsum("am,bm,ijm->aibj", self.features, self.features, of_samples, optimize=True).reshape(size, size)

    def expand(self, W: np.ndarray) -> Expansion:
        """The loss around a point."""
        return Expansion(W, self.value(W), self.gradient(W), W @ self.Psi)

    def rise(self, w: np.ndarray, around: Expansion) -> float:
        """L_0 at a distance w from a point, less L_0 there; exact however small, no difference of two losses.

        The cross-entropy's is log sum_i p_i e^(d_i - sum_j p_j d_j), d the change of the logits: so the terms of first
        order do not cancel, they are absent.
        """
        d = self.outputs @ w @ self.features
        if self.loss.quadratic:
            bent = np.sum(d**2)
        else:
            z, p = around.prediction, around.probabilities
            mean = np.sum(p * d, axis=0)
            near = np.log1p(np.sum(p * exp_rest(np.clip(d - mean, -2 * NEAR, 2 * NEAR)), axis=0))
            far = logsumexp(z + d, axis=0) - logsumexp(z, axis=0) - mean
            bent = np.where(np.abs(d).max(axis=0) < NEAR, near, far).sum()
        return float(bent + np.vdot(around.slope, w))

    def gradient_near(self, w: np.ndarray, around: Expansion) -> np.ndarray:
        """The gradient of L_0 in w at that distance, as exact; w and it of shape (s, r), or (K, s, r)."""
        d = self.outputs @ w @ self.features
        if self.loss.quadratic:
            change = 2 * d
        else:
            z, p = around.prediction, around.probabilities
            grown = np.expm1(np.clip(d, -NEAR, NEAR))
            total = np.sum(p * grown, axis=-2, keepdims=True)
            near, far = p * (grown - total) / (1 + total), softmax(z + d, axis=-2) - p
            change = np.where(np.abs(d).max(axis=-2, keepdims=True) < NEAR, near, far)
        return self.outputs.T @ change @ self.features.T + around.slope

    # Constants ------------------------------------------------------------------------------------------------

    def least_curvatures(self, W: np.ndarray) -> np.ndarray:
        """For each sample, how curved its loss is at least at W psi_k, along T; shape (m,).

        Of the cross-entropy that is the least probability of a class: the variance of a v of sum zero under p is
        min_c sum_i p_i (v_i - c)^2 >= min_i p_i ||v||^2. The set of W where no probability of sample k is below a
        level is convex, as 1 / p_i = sum_j e^(z_j - z_i) is a convex function of W.
        """
        if self.loss.quadratic:
            return np.full(self.Psi.shape[1], self.scale)
        return np.asarray(softmax(W @ self.Psi, axis=0).min(axis=0))

    def constant(self, curvatures: np.ndarray) -> float:
        """The k in 1/2 ||G||^2 >= k (L_0 - L*), where the samples' curvatures are at least these, shape (m,)."""
        return float(np.linalg.svd(self.features * np.sqrt(curvatures), compute_uv=False)[-1] ** 2)

    def constant_of_ball(self, radius: float) -> float:
        """The same k for all W whose part in T is no longer than a radius: no trajectory need be known.

        Logits of sum zero and length rho differ by sqrt(2) rho at most, so that no probability is below
        1 / (1 + (q - 1) e^(sqrt(2) rho)).
        """
        if self.loss.quadratic:
            return self.constant(np.full(self.Psi.shape[1], self.scale))
        lengths = np.linalg.norm(self.features, axis=0)
        exponents = math.sqrt(2) * radius * lengths + math.log(len(self.Y) - 1)
        return self.constant(np.exp(-np.logaddexp(0, exponents)))

    # The optimum ----------------------------------------------------------------------------------------------

    def is_attained(self) -> bool:
        """Whether some W has the least loss.

        The cross-entropy's is approached at infinity, if some V other than zero in T makes no class but the sample's
        own more likely than it, at any sample (Albert and Anderson, *Biometrika* 1984). A linear program finds it.
        """
        if self.loss.quadratic:
            return True
        q, m = self.Y.shape
        own = self.Y.argmax(axis=0)
        others = np.array([np.delete(np.arange(q), y) for y in own])
        # One row for each sample and class that is not its own: how much less likely V makes that class.
        directions = self.outputs[own][:, None, :] - self.outputs[others]
        rows = np.einsum("am,mcs->mcas", self.features, directions).reshape(m * (q - 1), -1)
        # Scaled to at most 1, their sum is 0, or 1 and more.
        bounds = np.repeat([1.0, 0.0], len(rows))
        program = linprog(-rows.sum(axis=0), np.vstack([rows, -rows]), bounds, bounds=(None, None), method="highs")
        return bool(-program.fun < 0.5)

    def minimize(self, radius: float = math.inf) -> Expansion:
        """The W of least loss, of all or of those in T no longer than a radius, by one convex solve.

        Newton's method; for the squared loss its first step is least squares. In a ball the multiplier of its radius
        is found by bisection.
        """
        start = time.perf_counter()
        if math.isinf(radius):
            w, ridge = self._newton(0.0), 0.0
        else:
            # With the largest ridge the solution is no longer than the gradient at zero, divided by it.
            high = math.log(np.linalg.norm(self.gradient(np.zeros((len(self.Y), len(self.Psi))))) / radius)
            low = high - 1.0
            while self._excess(low, radius) < 0:
                low -= 2.0
            ridge = math.exp(brentq(self._excess, low, high, args=(radius,), xtol=1e-12))
            w = self._newton(ridge)
        W = self.lift(w)
        # Exactly: what Newton's method leaves is rounding.
        slope = -ridge * w
        return Expansion(W, self.value(W), slope, W @ self.Psi, radius, time.perf_counter() - start)

    def _excess(self, log_ridge: float, radius: float) -> float:
        return math.log(np.linalg.norm(self._newton(math.exp(log_ridge))) / radius)

    def _newton(self, ridge: float) -> np.ndarray:
        """The w of the least L_0 + ridge/2 ||w||^2."""
        w = np.zeros((self.outputs.shape[1], len(self.features)))
        first = value = self.value(self.lift(w))
        before = math.inf
        for _ in range(MAX_STEPS):
            W = self.lift(w)
            H = self.hessian(W) + ridge * np.eye(w.size)
            g = self.gradient(W) + ridge * w
            step = -cho_solve(cho_factor(H), g.ravel(order="F")).reshape(w.shape, order="F")
            decrement = -float(np.vdot(g, step))
            # Full steps near the end square the decrement, until rounding is all that is left of it.
            if decrement <= CLOSE * max(value, CLOSE * first):
                if decrement >= before / 2 or decrement <= 0:
                    return w
                w, before = w + step, decrement
                continue
            size = 1.0
            while (new := self._with_ridge(w + size * step, ridge)) > value - size / 4 * decrement:
                size /= 2
            w, value = w + size * step, new
        return w

    def _with_ridge(self, w: np.ndarray, ridge: float) -> float:
        return self.value(self.lift(w)) + ridge / 2 * float(np.sum(w**2))
