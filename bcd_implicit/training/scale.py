"""The scale of the states: models that predict alike and differ in what their regularisation costs."""

from __future__ import annotations

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# A change of scale by less than this is not worth a new iterate.
LEAST_CHANGE = 1e-3
# Nor is what saves less than this share of the loss of zero.
NOTHING = 1e-15


def rescaled(problem: TrainingProblem, it: Iterate) -> Iterate:
    """The iterate with (B, b, X) divided by t and C times t, for the t that costs least (:func:`best_scale`)."""
    return scaled_by(best_scale(problem, it), it)


def scaled_by(t: float, it: Iterate) -> Iterate:
    """(B, b, X) divided by t and C times t."""
    return it if t == 1 else it.replace(B=it.B / t, b=it.b / t, X=it.X / t, C=it.C * t)


def best_scale(problem: TrainingProblem, it: Iterate) -> float:
    """The t for which (B, b, X) divided by t and C times t cost least; 1 where none is better.

    If phi(t z) = t phi(z) that predicts the same for every t > 0. The best one minimises::

        kappa sum_j ||B_j|| / t + ridge_hidden/2 ||B||^2 / t^2 + ridge/2 ||C||^2 t^2

    or, in constraint form, the last two terms over sum_j ||B_j|| / t <= kappa. Nothing is changed under a user's
    constraints, with stacked groups, of which D is a part that does not scale, and with other activations.
    """
    if not problem.activation.positively_homogeneous or problem.constraints or problem.stacked:
        return 1.0
    lasso = problem.group_lasso
    norms, fourth = lasso.value(it.B), problem.ridge * float(np.sum(it.C**2))
    constant = problem.ridge_hidden * float(np.sum(it.B**2))
    # Where one side costs nothing there is no best scale.
    if fourth == 0 or norms + constant == 0:
        return 1.0
    # The derivative times t^3: it has one positive root.
    roots = np.roots([fourth, 0.0, 0.0, -norms, -constant])
    t = float(roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)].max())
    saved = norms * (1 - 1 / t) + 0.5 * constant * (1 - 1 / t**2) + 0.5 * fourth * (1 - t**2)
    if lasso.form == "constraint":
        t = max(t, lasso.sum_of_norms(it.B) / lasso.kappa) if lasso.kappa > 0 else 1.0
    # Features that hardly act have no scale worth the name: b, which costs nothing, would grow with each new one.
    elif saved <= NOTHING * problem.loss_of_zero:
        return 1.0
    # Not a number, or a scale at which something would overflow.
    if not 1e-100 < t < 1e100 or abs(t - 1) <= LEAST_CHANGE:
        return 1.0
    return t
