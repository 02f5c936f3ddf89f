"""What the two blocks in (A, B, b) share: the row sets, the group lasso, the ridge, and the native solve.

If the groups are columns of (B; D), both blocks hold D and d too: the prediction is affine in them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.face import Terms
from bcd_implicit.blocks.feasibility import grouped_variable, own_constraints
from bcd_implicit.blocks.proximal_newton import minimise
from bcd_implicit.blocks.smooth import Smooth
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.interruption import check_stop


def _means(problem: TrainingProblem, X: np.ndarray) -> np.ndarray:
    """What :func:`centred_regressors` subtracts, shape (n + p,)."""
    return np.concatenate([statistics.centre(rows, problem.shares, problem.fit_intercept) for rows in (X, problem.U)])


def centred_regressors(problem: TrainingProblem, X: np.ndarray) -> np.ndarray:
    """W with Z = AX + BU + b = T W, shape (P, m): [X; U] less their means, and ones for the intercept.

    The means go into the intercept: T = (A | B | b + A x_mean + B u_mean), so offsets of any size do no harm. Without
    an intercept W = [X; U]. A constant input is exactly zero once centred.
    """
    means = _means(problem, X)
    # Subtracted into place: W is as large as the data, and one copy is enough.
    W = np.empty((len(means) + int(problem.fit_intercept), problem.n_samples))
    np.subtract(X, means[: len(X), None], out=W[: len(X)])
    np.subtract(problem.U, means[len(X) :, None], out=W[len(X) : len(means)])
    if problem.fit_intercept:
        W[-1] = 1.0
        # Newton's matrices are scaled to unit diagonal, which would make a regressor of what is only rounding.
        W[:-1][np.abs(W[:-1]).max(axis=1) <= 1e-13 * np.abs(means)] = 0.0
    return W


class MatricesBlock(Block):
    """The part common to both blocks: regularisation, its exact zeros, and the native solve."""

    # Where the next native solve of the same block starts: kappa or mu may have changed since.
    last_solution: Iterate | None = None

    def __init__(self, problem: TrainingProblem, it: Iterate) -> None:
        super().__init__(problem, it)
        self.letters = ("A", "B", "b", "D", "d") if problem.stacked else ("A", "B", "b")

    def pose_regularization(self, v):
        """Ridge, group-lasso term and penalty of A, and the constraints, of all but C."""
        problem, scalars = self.problem, self.scalars
        group, _ = problem.group_lasso.cvxpy(grouped_variable(problem, v), scalars)
        self.own_constraints = own_constraints(problem, v, scalars)
        squares = cp.sum_squares(v["A"]) + cp.sum_squares(v["B"])
        ridge = 0.5 * scalars("ridge_hidden", problem.ridge_hidden) * squares
        if problem.stacked:
            squares = cp.sum_squares(v["D"]) + np.sum(self.it.C**2)
            ridge = ridge + 0.5 * scalars("ridge", problem.ridge) * squares
        else:
            ridge = ridge + problem.output_regularization(self.it)
        rows = problem.row_set
        if rows.weights is None and np.ndim(problem.kappa_A) == 0 and scalars.asked("kappa_A"):
            # The weight is 0, and may grow.
            weight = scalars("kappa_A", 0.0)
            penalty = weight * rows.penalised(1.0, problem.n_hidden).cvxpy_penalty(v["A"])
        else:
            penalty = rows.cvxpy_penalty(v["A"], scalars) if rows.weights is not None else 0.0
        return group + penalty + ridge, [c for several in self.own_constraints.values() for c in several]

    def own_dual_values(self):
        """One a row of A, and one for the groups, also where a radius of 0 was posed as A = 0 or as no groups."""
        problem = self.problem
        posed = {name: [c.dual_value for c in several] for name, several in self.own_constraints.items()}
        duals: dict[str, object] = {"norm_bound": problem.row_set.multipliers(problem.n_hidden, posed["norm_bound"])}
        if "group_lasso" in posed:
            (dual,) = posed["group_lasso"]
            if problem.kappa == 0:
                force = np.zeros((self.terms.n_rows, problem.n_inputs))
                force[:, problem.group_lasso.bounded] = dual
                dual = problem.group_lasso.steepest(force)
            duals["group_lasso"] = dual
        return duals

    def repair(self, it):
        """Move back rows that overshoot, and set to zero the columns of B and entries of A that are only near it.

        A conic solver's zero is about 1e-6. What is below a threshold becomes exact zeros if the block's objective does
        not rise by that and the user's constraints allow it, so a small but useful column or entry stays.
        """
        problem, lasso = self.problem, self.problem.group_lasso
        it = self.repaired(it)
        # Else nothing asks for zeros.
        if problem.kappa > 0 or lasso.form == "constraint":
            B, groups = problem.grouped(it), lasso.groups

            def without_columns(small: np.ndarray) -> Iterate:
                cleaned = np.where(groups.spread(small), 0.0, B)
                # In constraint form the freed budget goes to the columns that stay.
                kept = lasso.sum_of_norms(cleaned)
                if lasso.form == "constraint" and kept > 0:
                    cleaned = lasso.scaled(cleaned, lasso.sum_of_norms(B) / kept)
                return problem.with_grouped(it, lasso.repair(cleaned))

            it = self._cleaned(it, lasso.norm.of(B, groups), groups.weights > 0, without_columns)
        if (weights := problem.row_set.weights) is not None:
            A, dense, sums = it.A, it, problem.row_set.sums(it.A)

            def without_entries(small: np.ndarray) -> Iterate:
                # As with columns: a row on its boundary stays there.
                cleaned = problem.row_set.refilled(np.where(small, 0.0, A), sums)
                return dense.replace(A=problem.row_set.repair(cleaned))

            it = self._cleaned(it, np.abs(A), weights > 0, without_entries)
        return it

    def _cleaned(
        self, it: Iterate, sizes: np.ndarray, penalised: np.ndarray, without: Callable[[np.ndarray], Iterate]
    ) -> Iterate:
        """The iterate without what is small among the penalised sizes, or as it is where that costs something."""
        objective = self.objective(it)
        allowed = {name: max(violation, 1e-9) for name, violation in self.user_violations(it).items()}
        largest = sizes[penalised].max()
        # The boldest first, 1.0 leaving nothing; the first that costs nothing is taken.
        for threshold in (1.0, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
            check_stop()
            # What is not penalised stays, however small.
            small = penalised & (sizes <= threshold * largest)
            if not small.any():
                break
            sparse = without(small)
            lower = self.objective(sparse) <= objective + 1e-12 * abs(objective)
            if lower and all(v <= allowed[name] for name, v in self.user_violations(sparse).items()):
                return sparse
        return it

    def repaired(self, it: Iterate) -> Iterate:
        """A point next to it that meets the norm bound, the group-lasso constraint and the pattern."""
        problem, it = self.problem, self.problem.pattern.applied(it, self.letters)
        it = problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))
        return it.replace(A=problem.row_set.repair(it.A))

    def gradient_of_groups(self, it: Iterate) -> np.ndarray:
        """Gradient of the data term with respect to what the group lasso sees, for the centred inputs."""
        return self.free_groups(self.smooth().value_and_gradient(self.joined(it))[1])

    def free_groups(self, gradient: np.ndarray) -> np.ndarray:
        """The part of a gradient that the group lasso sees; 0 where the pattern holds entries."""
        return self.terms.B(np.where(self.terms.free, gradient, 0.0))

    def smooth(self) -> Smooth:
        """The smooth part in T, the inputs centred as by :func:`~bcd_implicit.blocks.matrices.centred_regressors`."""
        raise NotImplementedError

    @cached_property
    def terms(self) -> Terms:
        """The other parts."""
        return Terms(self.problem)

    @cached_property
    def means(self) -> np.ndarray:
        """What centring subtracts from [X; U], shape (n + p,)."""
        return _means(self.problem, self.it.X)

    def joined(self, it: Iterate) -> np.ndarray:
        """The block's matrices as one T, as in :mod:`~bcd_implicit.blocks.face`, that acts on centred regressors."""
        T, b = np.hstack([it.A, it.B]), it.b
        if self.problem.stacked:
            T, b = np.vstack([T, np.hstack([np.zeros_like(it.C), it.D])]), np.concatenate([b, it.d])
        return np.hstack([T, (b + T @ self.means)[:, None]]) if self.problem.fit_intercept else T

    def parted(self, T: np.ndarray) -> Iterate:
        """The iterate whose matrices are those of T: the inverse of :meth:`joined`."""
        problem, n = self.problem, self.problem.n_hidden
        it = problem.with_grouped(self.it, self.terms.B(T).copy()).replace(A=self.terms.A(T).copy())
        b = T[:, -1] - T[:, :-1] @ self.means if problem.fit_intercept else np.zeros(len(T))
        return it.replace(b=b[:n], d=b[n:]) if problem.stacked else it.replace(b=b)

    def solve_native(self, tol, met):
        it, optimal = self.native_optimum(tol, met)
        self.last_solution = it
        T, problem = self.joined(it), self.problem
        # What presses against the constraints: minus the gradient of all that is smooth.
        force = -(self.smooth().value_and_gradient(T)[1] + self.terms.ridge * T) * self.terms.free
        pressing = problem.row_set.pressing(self.terms.A(force))
        dual_values: dict[str, object] = {"norm_bound": np.where(problem.row_set.binding(it.A), pressing, 0.0)}
        if problem.group_form == "constraint":
            dual_values["group_lasso"] = problem.group_lasso.multiplier(self.terms.B(force), problem.grouped(it))
        return it, optimal, dual_values

    def native_optimum(self, tol: float, met: Callable[[Iterate], bool]) -> tuple[Iterate, bool]:
        """The block's optimum without CVXPY, by Newton steps, and whether ``met`` accepted it.

        On the groups that are in or near it. If another one's gradient turns out to let it in, it is added.
        """
        T, smooth, terms = self.joined(self.repaired(self.last_solution or self.it)), self.smooth(), self.terms
        gradient = smooth.value_and_gradient(T)[1]
        active, it, missing = terms.active(T, gradient), self.it, np.zeros(0, dtype=bool)

        def accept(some: np.ndarray) -> bool:
            nonlocal it, gradient, missing
            T[:, columns] = some
            # The repaired point is certified, so that one is returned, not T.
            it = self.repaired(self.parted(T))
            if met(it):
                return True
            gradient = smooth.value_and_gradient(T)[1]
            missing = terms.active(T, gradient, near=1.0) & ~active
            return bool(missing.any())

        while True:
            missing = np.zeros_like(active)
            some, columns = terms.on(active)
            part = smooth.on(columns, T, gradient)
            # The gap is of the order of the gradient, the objective's distance to its optimum of that squared.
            _, optimal = minimise(part, some, T[:, columns], 100 * tol**2 * self.size(), accept)
            if not missing.any():
                return it, optimal
            active |= terms.active(T, gradient)
