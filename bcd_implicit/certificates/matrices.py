"""What the certificates of the two blocks in (A, B, b) share: the duality gap of data term and regularisation.

With f the data term, h the regularisation (row sets, group lasso, ridge), T the matrices and V a dual point with
gradient G = V W', the gap is the sum of two parts, each of which is never negative (Fenchel and Young)::

    f(T) + f*(s V) - s <V, T W>   and   h(T) + h*(-s G) + s <G, T>,      0 <= s <= 1

and the first is written so that it cannot cancel. Rounding is added to the gap, so that a gap that floating point
cannot tell from zero does not pass for zero where the numbers that make it up are large.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bcd_implicit.certificates.certificate import ratio
from bcd_implicit.certificates.regressors import EPS, Gradients, largest_square
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

# Where a ridge is too weak to matter beside the lasso, as on an input in large units, the conjugate is all rounding
# unless the groups are a little inside the dual ball.
A_LITTLE_INSIDE = {1 - 1e-8, 1 - 1e-11}
# A gap this far below the regularisation needs no better scaling.
NEGLIGIBLE = 1e-10


def free_part(problem: TrainingProblem, gradients: Gradients) -> Gradients:
    """The gradients with zeros where the pattern holds entries: multipliers of any size take what there is."""
    if not problem.pattern:
        return gradients
    A = np.where(problem.pattern.entries("A", gradients.A.shape), gradients.A, 0.0)
    return Gradients(A, np.where(problem.free_groups, gradients.groups, 0.0), gradients.intercepts)


def duality_gap(
    problem: TrainingProblem,
    it: Iterate,
    gradients: Gradients,
    rounding: Gradients,
    data_gap: Callable[[float, np.ndarray], float],
) -> float:
    """The least gap over the scalings worth trying: s = 0, 1, and those that make the groups' part finite.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
    gradients, rounding : Gradients
        G for the centred regressors, and how far each entry may be off. The intercepts' are zero up to rounding.
    data_gap : callable
        f(T) + f*(s V) - s <V, T W>, with its rounding, as a function of s and of what may be left of the intercepts'
        gradients, shape (rows,).
    """
    lasso, ridges = problem.group_lasso, row_ridges(problem)
    gradients, rounding = free_part(problem, gradients), free_part(problem, rounding)
    # At a point far off a rate or its gradient may be beyond numbers: there is no bound then.
    if not all(np.isfinite(part).all() for found in (gradients, rounding) for part in vars(found).values()):
        return np.inf
    # The group lasso's conjugate grows with the size of every entry: that of the largest G within rounding is a bound.
    G = np.abs(gradients.groups) + rounding.groups
    # Rows with a ridge are finite anyway.
    free = G[ridges == 0]
    if len(free) and lasso.dual_scale(problem.free_groups[ridges == 0].astype(float)) == 0:
        return np.inf  # every dual point near this one is infeasible, and s = 0 says nothing
    # The same of entries of A that nothing bounds from both sides, and no penalty holds.
    scale_of_A = 1.0
    if problem.ridge_hidden == 0:
        if problem.row_set.dual_scale(problem.pattern.entries("A", it.A.shape).astype(float)) == 0:
            return np.inf
        scale_of_A = problem.row_set.dual_scale(np.abs(gradients.A) + rounding.A)
    # Where only some rows have a ridge, a little inside: on the boundary the conjugate is all rounding.
    inside = 1 - 1e-9 if 0 < len(free) < len(G) else 1.0
    groups = problem.grouped(it)
    products = (gradients.A * it.A).ravel(), (gradients.groups * groups).ravel()
    sizes = float(np.sum(np.abs(it.A) * (np.abs(gradients.A) + rounding.A)) + np.sum(np.abs(groups) * G))
    off = float(np.sum(np.abs(it.A) * rounding.A) + np.sum(np.abs(groups) * rounding.groups))
    left = (np.abs(gradients.intercepts) + rounding.intercepts) * problem.fit_intercept
    inner, value = float(np.sum(np.concatenate(products))), regularisation(problem, it)
    unit = EPS * (10 + np.log2(1 + groups.size + it.A.size))  # NumPy sums in pairs

    def gap(s: float) -> float:
        of_A = problem.row_set.conjugate(-s * gradients.A, problem.ridge_hidden, s * rounding.A)
        parts = value + of_A + lasso.conjugate(s * G, ridges)
        return data_gap(s, left) + max(parts + s * inner, 0.0) + unit * (parts + s * sizes) + s * off

    # With s = 0 the gap is the objective itself: no term of it is negative.
    of_groups = {lasso.dual_scale(G), inside * lasso.dual_scale(free) if len(free) else 1.0}
    if lasso.form == "penalty":
        of_groups |= A_LITTLE_INSIDE
    scalings = ({0.0, scale_of_A} | {min(s, scale_of_A) for s in of_groups}) - {1.0}
    whole = gap(1.0)
    return whole if whole <= NEGLIGIBLE * value else min(whole, *map(gap, scalings))


def relative_violation(problem: TrainingProblem, it: Iterate) -> float:
    """The largest violation of the norm bound as it is, and relative ones of the group lasso's bound and the pattern.

    A radius has the inputs' units: beyond it by 1e-9 is nothing beside 1, and everything beside 1e-12.
    """
    beyond = problem.group_lasso.violation(problem.grouped(it))
    relative = beyond / problem.kappa if problem.kappa > 0 else np.inf if beyond > 0 else 0.0
    return max(
        problem.row_set.violation(it.A), relative, problem.pattern.violation(it, "ABD" if problem.stacked else "AB")
    )


def row_ridges(problem: TrainingProblem) -> np.ndarray:
    """The ridge on each row of what the group lasso sees."""
    of_D = [problem.ridge] * problem.n_outputs if problem.stacked else []
    return np.array([problem.ridge_hidden] * problem.n_hidden + of_D)


def regularisation(problem: TrainingProblem, it: Iterate) -> float:
    """What the block's own matrices pay: group lasso, penalty of A and ridges, also on D where that is a variable."""
    of_D = 0.5 * problem.ridge * float(np.sum(it.D**2)) if problem.stacked else 0.0
    return problem.hidden_regularization(it) + of_D


def prox_residual(
    problem: TrainingProblem, it: Iterate, gradients: Gradients, at_zero: Gradients, curvature: float
) -> float:
    """|| T - prox(T - grad/L) || L, relative to the gradient at T = 0, for h = row sets and penalty of A + group lasso.

    The gradients are those for the regressors as they are, not centred.
    """
    gradients, at_zero = free_part(problem, gradients), free_part(problem, at_zero)
    ones = [np.ones((1, problem.n_samples))] if problem.fit_intercept else []
    W = np.vstack([it.X, problem.U, *ones]) * np.sqrt(problem.shares)
    ridges, G = row_ridges(problem), problem.grouped(it)
    L = curvature * largest_square(W) + ridges.max()
    if L == 0:
        return 0.0
    A = it.A - problem.row_set.prox(it.A - (gradients.A + problem.ridge_hidden * it.A) / L, 1 / L)
    B = G - problem.group_lasso.prox(G - (gradients.groups + ridges[:, None] * G) / L, 1 / L)
    b = gradients.intercepts / L if problem.fit_intercept else np.zeros(0)
    size = np.sqrt(np.sum(A**2) + np.sum(B**2) + np.sum(b**2))
    squares = sum(float(np.sum(g**2)) for g in (at_zero.A, at_zero.groups, at_zero.intercepts))
    return ratio(float(L * size), float(np.sqrt(squares)) + problem.kappa)
