"""The blocks' objectives with a hundred and twenty digits, written anew: what certificates are checked against."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

from bcd_implicit import Iterate, Loss, TrainingProblem
from bcd_implicit.problem.quadratic_model import QuadraticModel

# Objectives may hold constants 1e50 times as large as what two points differ by.
DIGITS = 120

exactly = np.frompyfunc(mpmath.mpf, 1, 1)
root = np.frompyfunc(mpmath.sqrt, 1, 1)
exp, log = np.frompyfunc(mpmath.exp, 1, 1), np.frompyfunc(mpmath.log, 1, 1)
cos, arctan = np.frompyfunc(mpmath.cos, 1, 1), np.frompyfunc(mpmath.atan, 1, 1)
dilogarithm = np.frompyfunc(lambda x: mpmath.polylog(2, x).real, 1, 1)
entropy = np.frompyfunc(lambda x: x * mpmath.log(x) if x > 0 else mpmath.mpf(0), 1, 1)


def divergence(name: str, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """F(x, z) by its definition, g(x) + g*(z) - x z."""
    half, zero = mpmath.mpf("0.5"), mpmath.mpf(0)
    positive = np.maximum(z, zero)
    match name:
        case "relu":
            return half * x**2 + half * positive**2 - x * z
        case "leaky_relu":
            slope = exactly(0.1)
            g = half * np.maximum(x, zero) ** 2 + half * np.minimum(x, zero) ** 2 / slope
            return g + half * positive**2 + half * slope * np.minimum(z, zero) ** 2 - x * z
        case "clip":
            size = abs(z)
            return half * x**2 + np.where(size <= 1, half * size**2, size - half) - x * z
        case "identity":
            return half * (x - z) ** 2
        case "soft_threshold":
            return half * x**2 + half * abs(x) + half * np.maximum(abs(z) - half, zero) ** 2 - x * z
        case "tanh":
            return half * (entropy(1 + x) + entropy(1 - x)) + log(half * (exp(z) + exp(-z))) - x * z
        case "sigmoid":
            return entropy(x) + entropy(1 - x) + log(1 + exp(z)) - x * z
        case "softplus":
            # Of arguments up to 1 alone: Li2(-e^z) + Li2(-e^-z) = -pi^2/6 - z^2/2.
            tail, sixth = dilogarithm(-exp(-abs(z))), mpmath.pi**2 / 6
            conjugate = np.where(z > 0, sixth + half * z**2 + tail, -tail)
            return half * x**2 + dilogarithm(exp(-x)) - sixth + conjugate - x * z
        case "elu":
            g = np.where(x > 0, half * x**2, entropy(1 + x) - x)
            return g + np.where(z > 0, half * z**2, exp(np.minimum(z, zero)) - z - 1) - x * z
        case "arctan":
            return -log(cos(x)) + z * arctan(z) - half * log(1 + z**2) - x * z
        case "softsign":
            return -abs(x) - log(1 - abs(x)) + abs(z) - log(1 + abs(z)) - x * z
    raise ValueError(name)


def loss_of(loss: Loss) -> Callable:
    """L(f, y) of one sample's predictions and targets, by its formula."""

    def huber(f, y):
        beyond = max(abs(f - y) - loss.threshold, 0)
        return ((f - y) ** 2 - beyond**2) / 2

    def kinked(f, y):
        return loss.above * max(f - y, 0) + loss.below * max(y - f, 0)

    single = {
        "squared": lambda f, y: (f - y) ** 2 / 2,
        "huber": huber,
        "absolute": kinked,
        "quantile": kinked,
        "logistic": lambda f, y: mpmath.log1p(mpmath.exp(f)) - y * f,
        "poisson": lambda f, y: mpmath.exp(f) - y * f + (y * mpmath.log(y) if y > 0 else 0) - y,
    }
    if loss.name == "cross-entropy":
        return lambda f, y: mpmath.log(sum(map(mpmath.exp, f))) - sum(y * f)
    return lambda f, y: sum(map(single[loss.name], f, y))


class Exact:
    """A problem's block at a base point; :meth:`objective` takes any point."""

    def __init__(self, problem: TrainingProblem, block: str, base: Iterate, mu: float = 0.0, proximal=None) -> None:
        self.problem, self.block, self.base, self.mu = problem, block, self._exact(base), exactly(mu)
        self.U, self.Y, self.shares = (exactly(part) for part in (problem.U, problem.Y, problem.shares))
        self.proximal = None if proximal is None else exactly(proximal)

    @staticmethod
    def _exact(it: Iterate) -> Iterate:
        return it.replace(**{letter: exactly(getattr(it, letter)) for letter in "ABbCDdX"})

    def objective(self, point: Iterate):
        """The block's objective, as a number of mpmath."""
        it, problem = self._exact(point), self.problem
        half, weights = mpmath.mpf("0.5"), exactly(problem.fenchel_weights)
        value = self._regularisation(it)
        if self.block == "prox-linear":
            return value + self._linearised(it)
        prediction, loss = it.C @ it.X + it.D @ self.U + it.d[:, None], loss_of(problem.loss)
        value += sum(share * loss(f, y) for share, f, y in zip(self.shares, prediction.T, self.Y.T, strict=True))
        if self.block in ("state", "hidden"):
            Z = it.A @ it.X + it.B @ self.U + it.b[:, None]
            value += weights @ (divergence(problem.activation.name, it.X, Z) @ self.shares)
        if self.block == "state":
            step = it.X - self.base.X
            value += half * np.sum((step * (self.proximal @ step)) @ self.shares)
        return value

    def _regularisation(self, it: Iterate):
        problem, half = self.problem, mpmath.mpf("0.5")
        value = half * exactly(problem.ridge) * (np.sum(it.C**2) + np.sum(it.D**2))
        value += half * exactly(problem.ridge_hidden) * (np.sum(it.A**2) + np.sum(it.B**2))
        value += np.sum(exactly(np.broadcast_to(problem.kappa_A, it.A.shape)) * abs(it.A))
        if problem.group_form == "penalty":
            G = np.vstack([it.B, it.D]) if problem.stacked else it.B
            for g, weight in enumerate(problem.group_lasso.groups.weights):
                members = G[:, problem.group_lasso.groups.labels == g]
                norm = root(np.sum(members**2)) if problem.group_norm == "2" else np.max(abs(members))
                value += exactly(problem.kappa) * exactly(weight) * norm
        return value

    def _linearised(self, it: Iterate):
        problem, base, half = self.problem, self.base, mpmath.mpf("0.5")
        slopes = problem.activation.derivative(problem.preactivation(self._float(base)))
        prediction, loss = base.C @ base.X + base.D @ self.U + base.d[:, None], loss_of(problem.loss)
        model, value = QuadraticModel(problem, self._float(base)), mpmath.mpf(0)
        # The gradients and curvatures of the model are numbers that are given; those of the squared loss are exact.
        V = prediction - self.Y if problem.loss.quadratic else exactly(model.gradient)
        h = exactly(np.ones_like(problem.Y) if model.scales is None else model.scales) ** 2
        for k, share in enumerate(self.shares):
            dz = (it.A - base.A) @ base.X[:, k] + (it.B - base.B) @ self.U[:, k] + (it.b - base.b)
            D = exactly(slopes[:, k])
            moved = mpmath.lu_solve(mpmath.matrix(np.eye(len(D)) - D[:, None] * base.A), mpmath.matrix(D * dz))
            change = base.C @ np.array(list(moved)) + (it.D - base.D) @ self.U[:, k] + (it.d - base.d)
            value += share * (
                loss(prediction[:, k], self.Y[:, k]) + np.sum(V[:, k] * change + half * h[:, k] * change**2)
            )
            value += half * share * self.mu * np.sum(dz**2)
        return value

    @staticmethod
    def _float(it: Iterate) -> Iterate:
        return it.replace(**{letter: getattr(it, letter).astype(float) for letter in "ABbCDdX"})
