"""Objectives, dual bounds and states in extended precision, written anew and plainly: what certificates are checked by.

NumPy's longdouble has eleven bits more than a double on most machines. Where it has none (``EXTENDED`` is False) the
tests that compare digits are skipped.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from extended_terms import PAIRS, Long, losses_of

from bcd_implicit import Iterate, TrainingProblem
from bcd_implicit.problem.quadratic_model import QuadraticModel

EXTENDED = np.finfo(Long).eps < 1e-18


def _least(f: Callable[[Long], Long], low: Long, high: Long) -> Long:
    """The least value of a convex function of one number."""
    for _ in range(60):
        a, b = (2 * low + high) / 3, (low + 2 * high) / 3
        low, high = (low, b) if f(a) <= f(b) else (a, high)
    return min(f(low), f(high), f((low + high) / 2))


class Extended:
    """A problem, not of stacked groups where a bound is asked for, and a block at a base point."""

    def __init__(self, problem: TrainingProblem, block: str, base: Iterate, mu: float = 0.0, proximal=None) -> None:
        self.problem, self.block, self.base, self.mu = problem, block, self._long(base), Long(mu)
        self.U, self.Y, self.shares = (part.astype(Long) for part in (problem.U, problem.Y, problem.shares))
        self.pair, self.weight = PAIRS[problem.activation.name], Long(problem.fenchel_weight)
        self.radius = Long(problem.norm_bound) / Long(problem.activation.max_slope)
        self.proximal = None if proximal is None else proximal.astype(Long)
        if block == "prox-linear":
            # The model's slopes and curvatures are data here: which are taken is the method's choice.
            model = QuadraticModel(problem, base)
            self.slopes = model.gradient.astype(Long)
            self.roots = (np.ones_like(problem.Y) if model.scales is None else model.scales).astype(Long)

    @staticmethod
    def _long(it: Iterate) -> Iterate:
        return it.replace(**{letter: getattr(it, letter).astype(Long) for letter in "ABbCDdX"})

    # Objectives ----------------------------------------------------------------------------------------------

    def group_norms(self, G: np.ndarray) -> np.ndarray:
        """The weighted norms of the groups of G."""
        groups = self.problem.group_lasso.groups
        norms = []
        for g, weight in enumerate(groups.weights):
            members = G[:, groups.labels == g]
            norms.append(
                weight * (np.sqrt(np.sum(members**2)) if self.problem.group_norm == "2" else np.abs(members).max())
            )
        return np.array(norms, dtype=Long)

    def grouped(self, it: Iterate) -> np.ndarray:
        """B, or (B; D)."""
        return np.vstack([it.B, it.D]) if self.problem.group_over == "BD" else it.B

    def regularization(self, it: Iterate) -> Long:
        """Everything but loss and Fenchel term."""
        p = self.problem
        value = p.ridge / 2 * (np.sum(it.C**2) + np.sum(it.D**2)) + p.ridge_hidden / 2 * (
            np.sum(it.A**2) + np.sum(it.B**2)
        )
        return value + (p.kappa * self.group_norms(self.grouped(it)).sum() if p.group_form == "penalty" else 0)

    def mean_loss(self, it: Iterate) -> Long:
        """At the iterate's own states."""
        prediction = it.C @ it.X + it.D @ self.U + it.d[:, None]
        return losses_of(self.problem.loss, prediction, self.Y) @ self.shares

    def objective(self, point: Iterate) -> Long:
        """The block's objective."""
        it = self._long(point)
        value = self.regularization(it)
        if self.block == "prox-linear":
            miss, moved = self._linearised(it)
            value += self._model_constant + np.sum(miss**2 @ self.shares) / 2
            return value + self.mu * np.sum(moved**2 @ self.shares) / 2
        value += self.mean_loss(it)
        Z = it.A @ it.X + it.B @ self.U + it.b[:, None]
        divergence = self.pair.g(it.X) + self.pair.conjugate(Z) - it.X * Z
        value += self.weight * np.sum(divergence @ self.shares)
        if self.block == "state":
            step = it.X - self.base.X
            value += np.sum((step * (self.proximal @ step)) @ self.shares) / 2
        return value

    def true_objective(self, it: Iterate) -> Long:
        """(T), at the states that :meth:`states` finds."""
        it = self._long(it)
        return self.mean_loss(it.replace(X=self.states(it))) + self.regularization(it)

    def violation(self, it: Iterate) -> float:
        """Of the bound on rows of A, and of the group lasso's relative to it."""
        p, it = self.problem, self._long(it)
        sums = np.abs(it.A).sum(axis=1)
        if p.well_posedness == "measure":
            sums += np.diagonal(it.A) - np.abs(np.diagonal(it.A))
        beyond = np.maximum(sums.max() - self.radius, 0)
        if p.group_form == "constraint":
            total = self.group_norms(self.grouped(it)).sum()
            beyond = max(beyond, max(total - p.kappa, 0) / p.kappa if p.kappa > 0 else (np.inf if total > 0 else 0))
        return float(beyond)

    def states(self, it: Iterate) -> np.ndarray:
        """The equilibrium, by Picard's iteration, damped where A_ii < 0, until nothing changes."""
        it = self._long(it)
        drive, X = it.B @ self.U + it.b[:, None], np.zeros_like(it.X)
        part = 1 / (1 - self.problem.activation.max_slope * np.minimum(np.diagonal(it.A), 0))[:, None]
        for _ in range(20_000):
            last, X = X, (1 - part) * X + part * self.pair.phi(it.A @ X + drive)
            if np.abs(X - last).max(initial=0) <= 4 * np.finfo(Long).eps * np.abs(X).max(initial=0):
                break
        return X

    # Dual bounds ---------------------------------------------------------------------------------------------

    def bound(self, point: Iterate) -> Long:
        """A lower bound on the block's optimum, from the dual point that belongs to a point; groups of B alone."""
        it = self._long(point)
        return {"output": self._output, "hidden": self._hidden, "prox-linear": self._prox_linear}[self.block](it)

    def _output(self, it: Iterate) -> Long:
        # Least squares, solved in double precision and refined: the objective there is above the optimum by nothing.
        p, ones = self.problem, np.ones((1, len(self.shares)), dtype=Long)
        rows = [it.X, *([self.U] if p.pass_through else []), *([ones] if p.fit_intercept else [])]
        W = np.vstack(rows)
        ridge = np.full(len(W), Long(p.ridge))
        if p.fit_intercept:
            ridge[-1] = 0
        normal = (W * self.shares) @ W.T + np.diag(ridge)
        theta = np.zeros((len(self.Y), len(W)), dtype=Long)
        units = np.sqrt(np.diag(normal))
        units[units == 0] = 1
        inverse = np.linalg.pinv((normal / units / units[:, None]).astype(float), hermitian=True)
        for _ in range(6):
            left = (self.Y * self.shares) @ W.T - theta @ normal
            theta = theta + ((left / units).astype(float) @ inverse) / units
        n, inputs = len(it.X), len(self.U) if p.pass_through else 0
        best = it.replace(C=theta[:, :n], D=theta[:, n : n + inputs] if inputs else it.D)
        return self.objective(best.replace(d=theta[:, -1] if p.fit_intercept else it.d))

    def _hidden(self, it: Iterate) -> Long:
        Z = it.A @ it.X + it.B @ self.U + it.b[:, None]
        if self.problem.fit_intercept:
            Z = Z + self._shift(Z, it.X)[:, None]
        away = self.pair.phi(Z) - it.X
        V = self.weight * away * self.shares
        fixed = self.mean_loss(it)
        fixed += self.problem.ridge / 2 * (np.sum(it.C**2) + np.sum(it.D**2))

        def dual(s: Long) -> Long:
            data = self.weight * np.sum((self.pair.g(it.X) - self.pair.g(it.X + s * away)) @ self.shares)
            return data - self._conjugate(s * V @ it.X.T, s * V @ self.U.T)

        return fixed + max(dual(s) for s in self._scalings(V))

    def _shift(self, Z: np.ndarray, X: np.ndarray) -> np.ndarray:
        """The change of each intercept for which the means of phi(Z) and X agree, by bisection."""
        target, width = X @ self.shares, 2 * np.abs(Z).max(axis=1) + 2 * np.abs(X).max(axis=1) + 1
        low, high = -width, width
        for _ in range(200):
            middle = (low + high) / 2
            above = self.pair.phi(Z + middle[:, None]) @ self.shares > target
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return (low + high) / 2

    def _linearised(self, it: Iterate) -> tuple[np.ndarray, np.ndarray]:
        """The misses of the loss's model, in units of its curvature's root, and the moves of the preactivations."""
        base = self.base
        moved = (it.A - base.A) @ base.X + (it.B - base.B) @ self.U + (it.b - base.b)[:, None]
        change = np.einsum("kqn,nk->qk", self._responses, moved)
        change += self.roots * ((it.D - base.D) @ self.U + (it.d - base.d)[:, None])
        return self.slopes / self.roots + change, moved

    @property
    def _model_constant(self) -> Long:
        """The least value of the loss's model; 0 for the squared loss."""
        return self.mean_loss(self.base) - np.sum((self.slopes / self.roots) ** 2 @ self.shares) / 2

    @property
    def _responses(self) -> np.ndarray:
        """C N_k times the model's roots, shape (m, q, n), from a series: N = E + E F E + E F E F E + ...

        With H the negative diagonal entries of A, F = A + H and E = D (I + D H)^-1: N (I - A D) = D is N = E + N F E.
        """
        base = self.base
        held = np.maximum(-np.diagonal(base.A), 0)
        slopes = self.pair.slope(base.A @ base.X + base.B @ self.U + base.b[:, None]).T.astype(Long)
        slopes, F = slopes / (1 + slopes * held), base.A + np.diag(held)
        term = base.C[None] * slopes[:, None, :]
        total = term.copy()
        while np.abs(term).max() > 1e-22 * np.abs(total).max(initial=1e-300):
            term = np.einsum("kqn,nj->kqj", term, F) * slopes[:, None, :]
            total += term
        return self.roots.T[:, :, None] * total

    def _prox_linear(self, it: Iterate) -> Long:
        base, J, fixed = self.base, self._responses, self._model_constant
        fixed += self.problem.ridge / 2 * (np.sum(it.C**2) + np.sum(it.D**2))
        miss, moved = self._linearised(it)
        start, _ = self._linearised(base)
        if self.problem.fit_intercept:
            # The intercepts' own least squares: their gradient becomes zero.
            gram = np.einsum("kqi,kqj,k->ij", J, J, self.shares) + self.mu * np.eye(len(it.A))
            for _ in range(4):
                left = np.einsum("kqi,qk,k->i", J, miss, self.shares) + self.mu * (moved @ self.shares)
                shift = -(np.linalg.lstsq(gram.astype(float), left.astype(float), rcond=None)[0]).astype(Long)
                miss = miss + np.einsum("kqi,i->qk", J, shift)
                moved = moved + shift[:, None]
        V = (np.einsum("kqn,qk->nk", J, miss) + self.mu * moved) * self.shares
        G_A, G_B, g_b = V @ base.X.T, V @ self.U.T, V.sum(axis=1)
        size = np.sum(miss**2 @ self.shares) + self.mu * np.sum(moved**2 @ self.shares)
        # With residuals r = r_0 + J dT the conjugate of the squares at s r is s^2 |r|^2 / 2 - s <r, r_0>.
        across = np.sum((miss * start) @ self.shares)
        at_base = np.sum(G_A * base.A) + np.sum(G_B * base.B) + np.sum(g_b * base.b)

        def dual(s: Long) -> Long:
            return -(s**2) * size / 2 + s * across - s * at_base - self._conjugate(s * G_A, s * G_B)

        return fixed + max(dual(s) for s in self._scalings(V))

    def _scalings(self, V: np.ndarray) -> list[Long]:
        p, inside = self.problem, Long(1)
        if p.group_form == "penalty":
            groups = p.group_lasso.groups
            G = V @ self.U.T
            for g, weight in enumerate(groups.weights):
                members = G[:, groups.labels == g]
                size = np.sqrt(np.sum(members**2)) if p.group_norm == "2" else np.abs(members).sum()
                if size > p.kappa * weight:
                    inside = min(inside, p.kappa * weight / size)
        return [Long(0), Long(1), inside * (1 - Long(1e-17)), 1 - Long(1e-8), 1 - Long(1e-11)]

    def _conjugate(self, G_A: np.ndarray, G_B: np.ndarray) -> Long:
        """sup <-G, T> over row sets, group lasso and ridge."""
        p, ridge = self.problem, Long(self.problem.ridge_hidden)
        value = Long(0)
        for i, row in enumerate(-G_A):
            others = np.abs(np.delete(row, i))
            if p.well_posedness == "measure":
                value += _row(others, row[i : i + 1], self.radius, ridge)
            else:
                value += _row(np.abs(row), row[:0], self.radius, ridge)
        groups = p.group_lasso.groups
        members = [np.abs(G_B[:, groups.labels == g]).ravel() for g in range(len(groups.weights))]

        def penalty(kappa: Long) -> Long:
            parts = zip(members, groups.weights, strict=True)
            return sum((_group(m, kappa * w, ridge, p.group_norm) for m, w in parts), Long(0))

        if p.group_form == "penalty":
            return value + penalty(Long(p.kappa))
        duals = [np.sqrt(np.sum(m**2)) if p.group_norm == "2" else m.sum() for m in members]
        most = max((d / w for d, w in zip(duals, groups.weights, strict=True) if w > 0), default=Long(0))
        if ridge == 0:
            return value + p.kappa * most
        return value + _least(lambda t: p.kappa * t + penalty(t), Long(0), most)


def _row(size: np.ndarray, signed: np.ndarray, radius: Long, ridge: Long) -> Long:
    """sup <g, a> - ridge/2 |a|^2 over rows with sum |a_j| + sum of the signed ones <= radius, by its dual."""
    largest = max(size.max(initial=0), signed.max(initial=0))
    if ridge == 0:
        return radius * largest if (signed == largest).all() else Long(np.inf)
    low, high = Long(0), largest
    for _ in range(70):
        t = (low + high) / 2
        low, high = (t, high) if np.maximum(size - t, 0).sum() + (signed - t).sum() > ridge * radius else (low, t)
    return radius * high + (np.sum(np.maximum(size - high, 0) ** 2) + np.sum((signed - high) ** 2)) / (2 * ridge)


def _group(size: np.ndarray, threshold: Long, ridge: Long, norm: str) -> Long:
    """sup <g, b> - threshold |b| - ridge/2 |b|_2^2 for one group."""
    if norm == "2":
        excess = np.sqrt(np.sum(size**2)) - threshold
        if excess <= 0:
            return Long(0)
        return excess**2 / (2 * ridge) if ridge > 0 else Long(np.inf)
    if size.sum() <= threshold:
        return Long(0)
    if ridge == 0:
        return Long(np.inf)
    low, high = Long(0), size.max()
    for _ in range(70):  # what is clipped off sums to the threshold
        t = (low + high) / 2
        low, high = (t, high) if np.maximum(size - t, 0).sum() > threshold else (low, t)
    return np.sum(np.minimum(size, low) ** 2) / (2 * ridge)
