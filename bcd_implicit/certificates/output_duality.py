"""Certificate of the output block (C, D, d) for losses other than the squared one."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from bcd_implicit.certificates.certificate import Certificate, ratio
from bcd_implicit.certificates.regressors import CentredRegressors, free_coefficients, rms
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.multipliers import corrected, multipliers
from bcd_implicit.problem.training_problem import TrainingProblem

# A gradient of no more than so many times the bound of its rounding may be rounding, and so may one that costs no more
# than this share of the scale.
ROUNDING, NOTHING = 100, 1e-11
# The optimum's coefficients are no larger than so many times those of the point, and what they change in the
# predictions no more than so many times the residuals: this measures rounding only.
REACH = 10


def duality_certificate(problem: TrainingProblem, it: Iterate) -> Certificate:
    """Certificate of (C, D, d) for fixed X, by a dual point V of the loss (Fenchel and Rockafellar).

    With G = sum_k omega_k v_k w_k' + ridge (C | D), over the regressors w, the gap is at most
    sum_k omega_k (L(f_k) + L*(v_k) - <v_k, f_k>) + ||G||^2 / (2 ridge), of terms of which none is negative. If there
    is no ridge, as on intercepts, G has to vanish up to rounding.
    """
    gap = _Gap(problem, it)
    with np.errstate(all="ignore"):  # what is not finite is no gap
        V = multipliers(problem, it)
        # At zero the bound is the whole objective: losses are not negative.
        dual_points = [np.zeros_like(V), V]
        if problem.loss.smooth:
            with suppress(np.linalg.LinAlgError):
                dual_points.append(corrected(problem, it, V))
            dual_points.append(_without_one_sided(problem, dual_points[-1]))
        gaps = np.array([gap.at(V) for V in dual_points])
        G = gap.gradient(V, gap.theta)[0]
        G_zero = gap.gradient(problem.loss.gradient(np.zeros_like(V), problem.Y), np.zeros_like(gap.theta))[0]
        return Certificate(
            gap=float(gaps[np.isfinite(gaps)].min(initial=np.inf)),
            scale=gap.scale,
            kkt_residual=ratio(float(np.linalg.norm(G)), float(np.linalg.norm(G_zero))),
            violation=problem.pattern.violation(it, "CD" if problem.D_is_output else "C"),
        )


def _without_one_sided(problem: TrainingProblem, V: np.ndarray) -> np.ndarray:
    """The dual point with zeros for outputs whose entries have one sign: those that an intercept sums to zero are zero.

    So it is with a class that no sample has: its logarithm has no least value, and where it is so low that nothing
    changes its multipliers are small, but their sum is not zero.
    """
    one_sided = np.logical_or((V >= 0).all(axis=1, keepdims=True), (V <= 0).all(axis=1, keepdims=True))
    return problem.loss.inside(np.where(one_sided, 0.0, V), problem.Y)


class _Gap:
    """The duality gap of a point as a function of the dual one.

    Attributes
    ----------
    theta : ndarray of shape (q, size)
        The coefficients of the centred regressors and, where there are intercepts, of ones.
    ridge, sizes : ndarray of shape (size,)
        The ridge on each, and the root mean squares of the regressors.
    reach : ndarray of shape (q, size)
        How far the optimum's coefficients may be.
    free : ndarray of bool, shape (q, size)
        Those that the pattern leaves free, and the intercepts.
    """

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        self.problem, self.regressors = problem, (regressors := CentredRegressors(problem, it.X))
        self.prediction, self.rounding = regressors.image(it.C, it.D, it.d)
        self.scale = max(problem.output_objective(it), problem.loss_of_zero)
        theta, sizes = [it.C], [regressors.x_size]
        if problem.D_is_output:
            theta, sizes = [it.C, it.D], [regressors.x_size, regressors.u_size]
        penalised, n_intercepts = sum(map(len, sizes)), int(problem.fit_intercept)
        self.theta = np.pad(np.hstack(theta), ((0, 0), (0, n_intercepts)))  # intercepts play no part in what follows
        self.sizes = np.concatenate([*sizes, np.ones(n_intercepts)])
        self.free = np.pad(free_coefficients(problem), ((0, 0), (0, n_intercepts)), constant_values=True)
        self.ridge = np.repeat([float(problem.ridge), 0.0], [penalised, n_intercepts])
        # On the scale of logarithms one is a step, also from zero.
        free = problem.loss.free_targets
        spread = rms(self.prediction - problem.Y, problem.shares) if free else 1 + rms(self.prediction, problem.shares)
        moved = np.max(np.abs(self.theta) * self.sizes, axis=1) + spread + self.rounding
        used = self.sizes > 0
        self.reach = REACH * np.where(used, moved[:, None] / np.where(used, self.sizes, 1.0), np.abs(self.theta))

    def gradient(self, V: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """G, and a bound of the rounding of every entry; zeros where the pattern holds coefficients at zero."""
        pulled, rounding = self.regressors.pull(V * self.problem.shares, V[:0])
        parts = [
            [part.A, *([part.groups] if self.problem.D_is_output else []), part.intercepts[:, None]]
            for part in (pulled, rounding)
        ]
        G, off = (np.hstack(part)[:, : len(self.sizes)] for part in parts)
        G, off = G + self.ridge * theta, off + self.regressors.unit * self.ridge * np.abs(theta)
        return np.where(self.free, G, 0.0), np.where(self.free, off, 0.0)

    def at(self, V: np.ndarray) -> float:
        """A bound of the gap, with what rounding may add."""
        divergence = float(self.problem.loss.divergence(self.prediction, V, self.problem.Y) @ self.problem.shares)
        return divergence + self._by_rounding(V) + self._by_gradient(V)

    def _by_rounding(self, V: np.ndarray) -> float:
        """What the rounding of predictions may change: the divergence's slope in them is the loss's gradient less V."""
        loss, off = self.problem.loss, self.rounding[:, None]
        slopes = [np.abs(loss.gradient(self.prediction + change, self.problem.Y) - V) for change in (-off, off)]
        return float(self.rounding @ rms(np.maximum(*slopes), self.problem.shares))

    def _by_gradient(self, V: np.ndarray) -> float:
        """What the coefficients' gradients add, each to be paid for by the ridge or by how far the optimum may be."""
        G, rounding = self.gradient(V, self.theta)
        size = np.abs(G) + rounding
        along = self.reach * size
        along[(np.abs(G) > ROUNDING * rounding) & (along > NOTHING * self.scale)] = np.inf
        by_ridge = size**2 / (2 * np.where(self.ridge > 0, self.ridge, np.nan))
        return float(np.fmin(along, by_ridge).sum())
