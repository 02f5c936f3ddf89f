"""The training problem and its points: THE objective, written once.

The true problem is::

    (T)  min  (1/m) L(Y, CX + DU + d) + kappa sum_j ||B e_j||_2 + sum_ij kappa_A,ij |A_ij|
              + ridge/2 (||C||_F^2 + ||D||_F^2) + ridge_hidden/2 (||A||_F^2 + ||B||_F^2) + the user's penalties
         s.t. X = phi(AX + BU + b),  max_slope ||A||_inf <= norm_bound, the user's constraints

max_slope is the activation's, the largest slope of phi: 1, and 1/4 for the sigmoid. With ``well_posedness="measure"``
the matrix measure mu_inf(A) = ``max_i (A_ii + sum_{j != i} |A_ij|)`` replaces ||A||_inf = ``max_i sum_j |A_ij|``: a
larger convex set, whose models are well-posed too (:mod:`bcd_implicit.terms.row_sets`). Under a zero pattern either is
that of the entries of A inside cycles of the pattern's graph: elsewhere states are well-posed whatever A is.

The groups of the lasso are the columns of B, and may be several columns each, weighted, measured by another norm, or
taken from (B; D) stacked. The relaxed problem (F) has, instead of the equilibrium, one more term in the objective:
(fenchel_weight/m) sum F_phi(X, AX + BU + b).

With sample weights w_k, every mean over samples, (1/m) sum_k, is sum_k omega_k with omega_k = w_k / sum w: a sample's
loss and its Fenchel term count w_k times.

In the constraint form of the group lasso the kappa term becomes the constraint sum_j ||B e_j||_2 <= kappa.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.constraints.user import UserTerms, terms_at
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.fixed_point import FixedPoint, fixed_point, states_from
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate, random_rows, without_rounding
from bcd_implicit.problem.units import STATE_TOL, InUnits
from bcd_implicit.support.checks import random_generator
from bcd_implicit.support.interruption import finishing
from bcd_implicit.terms.row_sets import RowBall

# Where there is more to lose nothing is near a quadratic, and its square may overflow.
LARGEST_LOSS = 1e100


def check_problem(problem: Any) -> TrainingProblem:
    """Return the problem, or raise an InvalidInputError that says what was passed instead."""
    if not isinstance(problem, TrainingProblem):
        raise InvalidInputError("problem", f"is of type {type(problem).__name__}", "Pass a TrainingProblem")
    return problem


class TrainingProblem(InUnits):
    """Data, model size and regularisation of one training problem.

    Parameters
    ----------
    U : array-like of shape (m, p)
        Inputs, one sample per row.
    Y : array-like of shape (m, q) or (m,)
        Targets.
    n_hidden : int
        Number n of hidden features, at least 1.
    activation : str or Activation
    loss : str or Loss
        "squared", "huber", "absolute", "quantile", "logistic" (targets 0 and 1, each output separately),
        "cross-entropy" (an indicator column for each class) or "poisson" (counts); predictions of the last three are on
        the log scale. A loss with a parameter is passed as an object, such as ``bi.QuantileLoss(0.9)``.
    norm_bound : float in [0, 1)
        The bound nu on the contraction factor L ||A||_inf, L the activation's largest slope: ||A||_inf is at most
        nu / L, that is nu, and 4 nu for the sigmoid. 0 means A = 0, a network with one hidden layer. With a ``pattern``
        it applies only to the entries of A inside cycles, that is, between states that may depend on each other, and 0
        makes these zero. The pattern of a feedforward network has no cycles, so the bound has no effect.
    well_posedness : {"inf-norm", "measure"}
        What is bounded: ||A||_inf, or the matrix measure mu_inf(A) = ``max_i (A_ii + sum_{j != i} |A_ij|)``, which is
        never larger. With the measure, the diagonal of A may be negative without limit, and the other entries in its
        row may be larger by the same amount, so a bound of 0 does not mean A = 0. Without ``ridge_hidden``, the gaps of
        the blocks in (A, B, b) are then unknown unless a conic solver solves them.
    kappa : float >= 0
        Group-lasso weight (penalty form) or radius (constraint form).
    group_form : {"penalty", "constraint"}
    fenchel_weight : float > 0, or array-like of shape (n_hidden,)
        The weight lambda of the Fenchel term in (F), or one for each hidden feature. Only the method "fenchel" uses it.
    ridge, ridge_hidden : float >= 0
        Weights on (C, D) and on (A, B). Intercepts are never penalised.
    fit_intercept : bool
        False fixes b = 0 and d = 0.
    pass_through : bool
        False fixes D = 0, so that the inputs act through B alone.
    constraints : function, str, or sequence or mapping from names of these
        A function gets the block's CVXPY variables by letter and returns CVXPY constraints, e.g.
        ``lambda v: v["A"] >= 0``, or a scalar convex expression that is added to the objective, e.g.
        ``lambda v: cp.norm(v["C"], "fro")``. A text such as "nonnegative(B)" stands for a ready-made constraint of
        :mod:`bcd_implicit.constraints`.
    sample_weight : array-like of shape (m,), optional
        How often each sample counts, 0 or more; only ratios matter. Samples of weight 0 are dropped: U, Y and X have
        only the others, in order, and m is their number.
    input_names, output_names : sequence of str, optional
        Taken from data frames when absent.
    groups : sequence of p labels, or mapping from names to lists of input names, optional
        Inputs that are kept or dropped together, such as the one-hot columns of one variable: inputs with equal labels,
        or the inputs that a mapping lists. By default each input is a group.
    group_weights : sequence, one per group in the order of first appearance, or mapping from groups to numbers
        Multiply the groups' norms; by default the square root of a group's size. An input of weight 0 is not penalised
        and is never dropped.
    group_norm : {2, "inf"}
        The norm of a group's entries: Euclidean, or the largest.
    group_over : {"B", "BD"}
        The entries of a group: those of its columns of B, or of (B; D) stacked. With "BD", an input that acts only
        through D counts as selected, and a dropped input is zero in both matrices. The prox-linear and hidden blocks
        then also have D and d as variables.
    pattern : mapping from "A", "B", "C", "D" to masks, or ImplicitModel, optional
        Which entries are free: arrays of bool (or of 0 and 1, or sparse) of the matrix's shape, True where an entry is
        free. All others are zero in every iterate, as in the structure of a network. Matrices that are not named are
        free (except D without ``pass_through``). If a model is given, its nonzero entries are free; its states must
        have the problem's activation. Labels of data frames (columns of B and D, rows of C and D) and names of a model
        are matched with the names of inputs and outputs, if both sides have names.

    kappa_A : float >= 0, or array-like of shape (n_hidden, n_hidden)
        Weight of the entrywise penalty ``sum_ij kappa_A_ij |A_ij|``, one for all entries or one for each: the larger
        it is, the more entries of A are zero. Under the measure the entries of the diagonal that count with their sign
        are not penalised. :func:`~bcd_implicit.architecture_path` tries many weights.
    standardize : bool, optional
        True trains on columns of mean 0 and standard deviation 1, as the estimators do. (With ``fit_intercept=False``
        the means are kept; targets are scaled only if the loss allows it, which it does not for classes and counts.)
        Penalties, constraints, group weights, patterns, iterates and certificates are those of the standardised
        problem. ``result.model`` is in the data's own units, and so are models given as ``start``. False does not
        change the columns. Nor does None, the default, but it warns if their units differ much.

    Attributes
    ----------
    U : ndarray of shape (p, m)
        The inputs in the paper's orientation, one sample per column; standardised if asked for, like Y.
    Y : ndarray of shape (q, m)
    scaling : Standardization or None
        The means and scales of standardised data.
    vector_targets : bool
        Whether Y was given as a vector: the models then predict vectors.
    shares : ndarray of shape (m,)
        The samples' weights omega, of sum 1.
    constraints : dict
        The functions by name.
    pattern : Pattern
        The masks of the matrices that are not entirely free.

    Raises
    ------
    InvalidInputError
        An argument is out of range, U or Y has entries that are not finite, their lengths differ, or fewer than two
        samples have positive weight.
    ConstraintError
        A user's constraint or penalty is not convex, couples blocks, or fails.

    Warns
    -----
    DataWarning
        A column only numbers the rows, a target does not vary, U and Y have the same row labels in different orders, or
        ``standardize`` is not given and the standard deviations of inputs (or of targets) differ by a factor of ten or
        more.
    """

    # Parts of the objective -----------------------------------------------------------------------------------

    def preactivation(self, it: Iterate) -> np.ndarray:
        """Z = AX + BU + b, shape (n, m)."""
        return it.A @ it.X + it.B @ self.U + it.b[:, None]

    def prediction(self, it: Iterate) -> np.ndarray:
        """CX + DU + d, shape (q, m)."""
        prediction = it.C @ it.X
        if it.D.any():  # without pass-through this would be most of the work
            prediction += it.D @ self.U
        prediction += it.d[:, None]
        return prediction

    def mean_loss(self, it: Iterate) -> float:
        """(1/m) L(Y, CX + DU + d)."""
        return float(self.loss.value(self.prediction(it), self.Y) @ self.shares)

    def overflows(self, it: Iterate) -> bool:
        """Whether the mean loss is beyond 1e100, so that gradients and curvatures may overflow.

        For the Poisson loss, this happens from a predicted logarithm of 230 on.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return not self.mean_loss(it) <= LARGEST_LOSS

    @property
    def loss_of_zero(self) -> float:
        """(1/m) L(Y, 0): the loss of a model that predicts zero."""
        return float(self.loss.value(np.zeros_like(self.Y), self.Y) @ self.shares)

    def output_regularization(self, it: Iterate) -> float:
        """The ridge on C and D."""
        return 0.5 * self.ridge * float(np.sum(it.C**2) + np.sum(it.D**2))

    def output_objective(self, it: Iterate) -> float:
        """The loss and the ridge on C and D: the part that the output block can change."""
        return self.mean_loss(it) + self.output_regularization(it)

    def hidden_regularization(self, it: Iterate) -> float:
        """The group lasso (penalty form), the penalty of A, and the ridge on A and B."""
        ridge = 0.5 * self.ridge_hidden * float(np.sum(it.A**2) + np.sum(it.B**2))
        return self.group_lasso.value(self.grouped(it)) + ridge + self.row_set.value(it.A)

    def fenchel_term(self, it: Iterate) -> float:
        """(fenchel_weight/m) sum F_phi(X, AX + BU + b); infinite where X leaves the range of phi."""
        return float(self.fenchel_weights @ self.mean_divergences(it))

    def mean_divergences(self, it: Iterate) -> np.ndarray:
        """(1/m) sum F_phi of every hidden feature, shape (n,): how far it is from equilibrium."""
        # By the divergence, not by its three terms: near an equilibrium they would cancel.
        return np.asarray(self.activation.divergence(it.X, self.preactivation(it)) @ self.shares)

    def user_terms(self, it: Iterate, without: Sequence[str] = ()) -> list[UserTerms]:
        """The user's constraints and penalties, one item per block, except for a block with letters ``without``."""
        blocks = [letters for letters in self.block_letters if self.constraints and not {*letters} & {*without}]
        return [terms_at(self.constraints, it, letters) for letters in blocks]

    def user_penalty(self, it: Iterate, without: Sequence[str] = ()) -> float:
        """The sum of the user's penalties, except those on a block with letters ``without``."""
        return sum(terms.penalty() for terms in self.user_terms(it, without))

    def objective_at_states(self, it: Iterate) -> float:
        """(1/m) L + regularisation + the user's penalties, at the iterate's own X; (T) if X is the equilibrium."""
        regularization = self.output_regularization(it) + self.hidden_regularization(it)
        return self.mean_loss(it) + regularization + self.user_penalty(it)

    def objective(self, it: Iterate) -> float:
        """The relaxed objective (F)."""
        return self.objective_at_states(it) + self.fenchel_term(it)

    def equilibrium_objective(self, it: Iterate) -> float:
        """The true objective (T): states are computed again, ignoring the iterate's X."""
        return self.objective_at_states(self.at_equilibrium(it))

    def violation(self, it: Iterate) -> float:
        """The largest violation of the bound on A, of the group-lasso constraint and of the pattern.

        The bound on A is that inside cycles. The violation of the pattern is relative to the largest entry of its
        matrix.
        """
        own = self.row_set.violation(it.A), self.group_lasso.violation(self.grouped(it)), self.pattern.violation(it)
        return max(own)

    def violations(self, it: Iterate) -> dict[str, float]:
        """The largest violation of every constraint, by name: "norm_bound", "group_lasso", "pattern" and the user's."""
        found = {"norm_bound": self.row_set.violation(it.A)}
        if self.group_form == "constraint":
            found["group_lasso"] = self.group_lasso.violation(self.grouped(it))
        if self.pattern:
            found["pattern"] = self.pattern.violation(it)
        for terms in self.user_terms(it):
            for name, violation in terms.violations().items():
                found[name] = max(violation, found.get(name, 0.0))
        return found

    # Points ---------------------------------------------------------------------------------------------------

    def equilibrium(self, it: Iterate, tol: float = STATE_TOL) -> FixedPoint:
        """States at equilibrium, from the iterate's X."""
        drive = it.B @ self.U + it.b[:, None]
        # Between two steps of a loop the states move little: its own X is the best start. Not where nothing drives
        # them: on the way to zero something of the start is always left.
        start = it.X if drive.any() else None
        if self.row_set.inside is None:
            return fixed_point(it.A, drive, self.activation, start, tol=tol)
        # ||A||_inf may be beyond 1. Stage by stage that does not matter.
        return solve_states(Structure(it.A, self.activation, it.B), self.U, it.b, start=start, tol=tol)

    def states_near(self, it: Iterate, tol: float) -> np.ndarray:
        """States at equilibrium from the iterate's X, shape (n, m), without a bound on their error."""
        # Not next to 1: rounding decides there.
        if well_posedness.gains_for_bounds(it.A, self.activation).sum(axis=1).max() < 1 - 1e-6:
            return states_from(it.A, it.B @ self.U + it.b[:, None], self.activation, it.X, tol)
        return self.equilibrium(it, tol).X

    def room(self, A: np.ndarray) -> np.ndarray:
        """Numbers r, shape (n,): if states miss their equations by s_i, their errors are at most ``max_i s_i / r``.

        With L the activation's largest slope it is 1 - L ||A||_inf for all states. If that is not positive it may be
        1 - L mu_inf(A), or, if A is well-posed by its spectral radius, another number for each. Not positive: nothing
        is known.
        """
        gains = well_posedness.gains_for_bounds(A, self.activation)
        norm = well_posedness.nu(gains, np.ones(self.n_hidden), self.n_hidden)
        found = None if norm < 1 else well_posedness.room(gains)
        return np.full(self.n_hidden, 1 - norm) if found is None else found

    def at_equilibrium(self, it: Iterate) -> Iterate:
        """The same matrices with X at the equilibrium."""
        X = self.equilibrium(it).X

        def to_the_last_digit(X: np.ndarray) -> np.ndarray:
            return self.equilibrium(it.replace(X=X), tol=0.0).X

        return it.replace(X=without_rounding(it, X, self.U, self.activation, to_the_last_digit))

    def initial(self, random_state: int | np.random.Generator | None = 0) -> Iterate:
        """Start: A = 0, C = D = 0, random rows of B through the centre of the inputs, X at equilibrium.

        B is scaled by the inputs' standard deviations, so that the start does not depend on their units. Hidden
        features whose pattern allows no input, such as those of a network's later layers, have random rows of A
        instead.

        Parameters
        ----------
        random_state : int, Generator or None
            Seed of the random rows.
        """
        rng = random_generator(random_state)
        # B = 0 would be stationary: equal states, so C = 0, so no gradient for B.
        it = Iterate.zeros(self.shapes)
        it = it.replace(B=random_rows(self.n_hidden, self.U, self.shares, rng))
        it = self.pattern.applied(it)
        B = self.group_lasso.repair(self.grouped(it))[: self.n_hidden]
        # Kinks through the centre: else an offset leaves features that are zero, or linear, on all samples.
        b = -B @ statistics.mean(self.U, self.shares) if self.fit_intercept else it.b
        # With A = 0 it takes one step, so that even a call that has to end at once has a start.
        with finishing():
            it = self.at_equilibrium(it.replace(B=B, b=b))
            return self._with_later_layers(it, rng) if self.pattern else it

    def _with_later_layers(self, it: Iterate, rng: np.random.Generator) -> Iterate:
        """The start with random rows of A for the hidden features that may see others but no input.

        Through the centre of what they see, and of unit variance, as the rows of B are; inside cycles as large as the
        norm bound allows. Otherwise they would not vary: C would be zero on them, and nothing would ever give them a
        gradient.
        """
        free = self.pattern.entries("A", it.A.shape)
        later = free.any(axis=1) & ~self.pattern.entries("B", it.B.shape).any(axis=1)
        A = np.where(free & later[:, None], rng.standard_normal(it.A.shape), 0.0)
        # In the ball, whatever the set: rows that only their diagonal entry holds would be a poor start.
        ball = RowBall(self.row_set.radius, self.row_set.inside)
        it = it.replace(A=ball.repair(A, np.flatnonzero(later)))
        links = it.A - self.row_set.bounded(it.A)
        # One layer after the other; what lies in a cycle settles.
        for _ in range(int(later.sum()) if self.fit_intercept or links.any() else 0):
            it = self.at_equilibrium(it)
            spread = np.sqrt(statistics.variance(links @ it.X, self.shares))[:, None]
            A = self.row_set.bounded(it.A) + np.divide(links, spread, out=np.zeros_like(links), where=spread > 0)
            b = np.where(later, -A @ statistics.mean(it.X, self.shares), it.b) if self.fit_intercept else it.b
            if np.allclose(b, it.b) and np.allclose(A, it.A):
                break
            it = it.replace(A=A, b=b)
        return self.at_equilibrium(it)
