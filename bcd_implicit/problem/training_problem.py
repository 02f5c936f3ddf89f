"""The training problem and its points: THE objective, written once.

The true problem is::

    (T)  min  (1/m) L(Y, CX + DU + d) + kappa sum_j ||B e_j||_2
              + ridge/2 (||C||_F^2 + ||D||_F^2) + ridge_hidden/2 (||A||_F^2 + ||B||_F^2) + the user's penalties
         s.t. X = phi(AX + BU + b),  ||A||_inf <= norm_bound, the user's constraints

The groups of the lasso are the columns of B, and may be several columns each, weighted, measured by another norm, or
taken from (B; D) stacked. The relaxed problem (F) has, instead of the equilibrium, one more term in the objective:
(fenchel_weight/m) sum F_phi(X, AX + BU + b).

With sample weights w_k, every mean over samples, (1/m) sum_k, is sum_k omega_k with omega_k = w_k / sum w: a sample's
loss and its Fenchel term count w_k times.

In the constraint form of the group lasso the kappa term becomes the constraint sum_j ||B e_j||_2 <= kappa.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.constraints.checks import check_constraints
from bcd_implicit.constraints.user import OnInputs, UserFunction, UserTerms, terms_at
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.fixed_point import FixedPoint, fixed_point
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.problem import statistics
from bcd_implicit.problem.description import as_table, in_one_line
from bcd_implicit.problem.iterate import Iterate, random_rows, without_rounding
from bcd_implicit.problem.settings import check_replaceable, check_settings
from bcd_implicit.support.checks import check_names, random_generator
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.samples import check_sample_weight, read_inputs, read_targets, warn_if_constant
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.losses import Loss
from bcd_implicit.terms.penalties import GROUP_FORMS, RowBall

# Equilibria inside the loops are solved this well (relative), so that comparing objectives at 1e-9 makes sense.
STATE_TOL = 1e-13


def check_problem(problem: Any) -> TrainingProblem:
    """Return the problem, or raise an InvalidInputError that says what was passed instead."""
    if not isinstance(problem, TrainingProblem):
        raise InvalidInputError("problem", f"is a {type(problem).__name__}", "Pass a TrainingProblem")
    return problem


class TrainingProblem:
    """Data, model size and regularisation of one training problem.

    Parameters
    ----------
    U : array-like of shape (m, p)
        Inputs, one sample a row.
    Y : array-like of shape (m, q) or (m,)
        Targets.
    n_hidden : int
        Number n of hidden features, at least 1.
    activation : str or Activation
    loss : str or Loss
    norm_bound : float in [0, 1)
        The bound nu on ||A||_inf. 0 means A = 0, a network with one hidden layer.
    kappa : float >= 0
        Group-lasso weight (penalty form) or radius (constraint form).
    group_form : {"penalty", "constraint"}
    fenchel_weight : float > 0
        The weight lambda of the Fenchel term in (F); the prox-linear loop does not use it.
    ridge, ridge_hidden : float >= 0
        Weights on (C, D) and on (A, B). Intercepts are never penalised.
    fit_intercept : bool
        False fixes b = 0 and d = 0.
    pass_through : bool
        False fixes D = 0, so that the inputs act through B alone.
    constraints : sequence of functions, or mapping from names to functions
        Each gets the block's CVXPY variables by letter and returns CVXPY constraints, e.g. ``lambda v: v["A"] >= 0``,
        or a scalar convex expression that is added to the objective, e.g. ``lambda v: cp.norm(v["C"], "fro")``. See
        :mod:`bcd_implicit.constraints`, also for ready-made ones.
    sample_weight : array-like of shape (m,), optional
        How often each sample counts, 0 or more; only ratios matter. Samples of weight 0 are left out: U, Y and X hold
        the others, in their order, and m is their number.
    input_names, output_names : sequence of str, optional
        Taken from data frames when absent.
    groups : sequence of p labels, or mapping from names to lists of input names, optional
        Inputs that stay or leave together, such as the one-hot columns of one variable: equal labels, or the inputs
        that a mapping lists. By default each input by itself.
    group_weights : sequence, one a group in the order of first appearance, or mapping from groups to numbers
        Multiply the groups' norms; by default the square root of a group's size. An input of weight 0 is not
        penalised and always stays.
    group_norm : {2, "inf"}
        The norm of a group's entries: Euclidean, or the largest.
    group_over : {"B", "BD"}
        What a group's entries are: those of its columns of B, or of (B; D) stacked, so that an input that only passes
        through D is selected too, and one that leaves is gone from both. In prox-linear and hidden blocks D and d are
        then variables beside A, B and b.

    Attributes
    ----------
    U : ndarray of shape (p, m)
        The inputs in the paper's orientation, one sample a column.
    Y : ndarray of shape (q, m)
    shares : ndarray of shape (m,)
        The samples' weights omega, of sum 1.
    constraints : dict
        The functions by name.

    Raises
    ------
    InvalidInputError
        Any argument out of its range, U and Y of other than finite numbers or of different length, fewer than two
        samples of positive weight.
    ConstraintError
        A user's constraint or penalty that is not convex, couples blocks, or fails.

    Warns
    -----
    DataWarning
        A column only numbers the rows, a target does not vary, or U and Y have the same row labels in other orders.
    """

    def __init__(
        self,
        U: ArrayLike,
        Y: ArrayLike,
        n_hidden: int,
        activation: str | Activation = "relu",
        loss: str | Loss = "squared",
        norm_bound: float = 0.5,
        kappa: float = 0.1,
        group_form: str = "penalty",
        fenchel_weight: float = 1.0,
        ridge: float = 1e-2,
        ridge_hidden: float = 1e-4,
        fit_intercept: bool = True,
        pass_through: bool = True,
        constraints: Sequence[UserFunction] | Mapping[str, UserFunction] = (),
        *,
        sample_weight: ArrayLike | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        groups: Sequence[Any] | Mapping[str, Sequence[str]] | None = None,
        group_weights: Sequence[float] | Mapping[str, float] | None = None,
        group_norm: str | float = 2,
        group_over: str = "B",
    ) -> None:
        targets = read_targets("Y", Y, inputs := read_inputs("U", U), "U")
        self.U, self.Y = inputs.columns, targets.columns
        weights = check_sample_weight(sample_weight, self.n_samples)
        if not weights.all():
            # Left out for good, so that an input which varies in such samples alone counts as constant everywhere.
            self.U, self.Y, weights = (array.compress(weights, axis=-1) for array in (self.U, self.Y, weights))
        self.shares = weights / weights.sum()
        self.n_hidden = n_hidden
        self.activation: Any = activation
        self.loss: Any = loss
        self.norm_bound, self.kappa, self.group_form = norm_bound, kappa, group_form
        self.fenchel_weight, self.ridge, self.ridge_hidden = fenchel_weight, ridge, ridge_hidden
        self.fit_intercept, self.pass_through = fit_intercept, pass_through
        self.constraints: Any = constraints
        self.groups: Any = groups
        self.group_weights: Any = group_weights
        self.group_norm: Any = group_norm
        self.group_over = group_over
        names = inputs.names if input_names is None else input_names
        self.input_names = check_names("input_names", names, self.n_inputs, "u")
        names = targets.names if output_names is None else output_names
        self.output_names = check_names("output_names", names, self.n_outputs, "y")
        warn_if_constant(self.Y, self.output_names)
        self._check()

    def _check(self) -> None:
        vars(self).update(check_settings(vars(self)))
        # Built here and not in __init__: replace() comes through here too.
        self.row_ball = RowBall(self.norm_bound)
        if self.stacked and not self.pass_through:
            raise InvalidInputError("group_over", '"BD" groups columns of D, but pass_through is False', 'Choose "B"')
        parsed = Groups.parse(self.groups, self.group_weights, self.input_names)
        # A label for each input, however they were given: subset() can then take some of them.
        self.groups, self.group_weights = [parsed.names[g] for g in parsed.labels], parsed.weights
        self.group_lasso = GROUP_FORMS[self.group_form](self.kappa, parsed, GROUP_NORMS[self.group_norm])
        # Last: a user's function is tried on variables of the checked shapes.
        self.constraints = check_constraints(self.constraints, self.shapes, self.block_letters)

    @property
    def stacked(self) -> bool:
        """Whether the groups are columns of (B; D)."""
        return self.group_over == "BD"

    @property
    def block_letters(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The variables that a constraint may use together: each of them moves in one block only.

        Those of the hidden and the prox-linear block, and those of the output block. With stacked groups d moves in
        both.
        """
        return (("A", "B", "b", "D"), ("C",)) if self.stacked else (("A", "B", "b"), ("C", "D", "d"))

    @property
    def n_inputs(self) -> int:
        """Number p of inputs."""
        return len(self.U)

    @property
    def n_outputs(self) -> int:
        """Number q of outputs."""
        return len(self.Y)

    @property
    def n_samples(self) -> int:
        """Number m of samples."""
        return self.U.shape[1]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the unknowns by letter."""
        n, p, q = self.n_hidden, self.n_inputs, self.n_outputs
        return {"A": (n, n), "B": (n, p), "b": (n,), "C": (q, n), "D": (q, p), "d": (q,), "X": (n, self.n_samples)}

    def replace(self, **changes: Any) -> TrainingProblem:
        """The same data and weights with other settings (kappa, norm_bound, ridge, ...), checked again."""
        check_replaceable(changes)
        other = copy.copy(self)
        if "groups" in changes:
            other.group_weights = None  # they were of the old groups
        vars(other).update(changes)
        other._check()
        return other

    def subset(self, samples: np.ndarray | None = None, inputs: np.ndarray | None = None) -> TrainingProblem:
        """The same settings on some of the samples (indices) and some of the inputs (mask)."""
        other = copy.copy(self)
        if inputs is not None:
            other.U = other.U[inputs]
            other.constraints = {name: OnInputs(f, inputs) for name, f in self.constraints.items()}
            other.input_names = [name for name, kept in zip(self.input_names, inputs, strict=True) if kept]
            # A group that loses members keeps its weight: the square root of its size is only a default.
            weights = dict(zip(self.group_lasso.groups.names, self.group_weights, strict=True))
            other.groups = [group for group, kept in zip(self.groups, inputs, strict=True) if kept]
            other.group_weights = {group: weights[group] for group in other.groups}
            other._check()
        if samples is not None:
            other.U, other.Y, shares = (array.take(samples, axis=-1) for array in (other.U, other.Y, self.shares))
            other.shares = shares / shares.sum()
        return other

    @property
    def D_is_output(self) -> bool:
        """Whether D is a variable of the output block: neither fixed at zero nor beside B in a group."""
        return self.pass_through and not self.stacked

    def grouped(self, it: Iterate) -> np.ndarray:
        """The matrix whose columns the group lasso sees: B, or (B; D)."""
        return np.vstack([it.B, it.D]) if self.stacked else it.B

    def with_grouped(self, it: Iterate, G: np.ndarray) -> Iterate:
        """The iterate with :meth:`grouped` exchanged."""
        return it.replace(B=G[: self.n_hidden], D=G[self.n_hidden :]) if self.stacked else it.replace(B=G)

    def selected(self, it: Iterate) -> np.ndarray:
        """The inputs that the group lasso left in: bool, shape (p,)."""
        return np.asarray(self.grouped(it).any(axis=0))

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

    @property
    def loss_of_zero(self) -> float:
        """(1/m) L(Y, 0): what a model that predicts zero loses."""
        return float(self.loss.value(np.zeros_like(self.Y), self.Y) @ self.shares)

    def output_regularization(self, it: Iterate) -> float:
        """The ridge on C and D."""
        return 0.5 * self.ridge * float(np.sum(it.C**2) + np.sum(it.D**2))

    def output_objective(self, it: Iterate) -> float:
        """The loss and the ridge on C and D: what the output block can change."""
        return self.mean_loss(it) + self.output_regularization(it)

    def hidden_regularization(self, it: Iterate) -> float:
        """The group lasso (penalty form) and the ridge on A and B."""
        ridge = 0.5 * self.ridge_hidden * float(np.sum(it.A**2) + np.sum(it.B**2))
        return self.group_lasso.value(self.grouped(it)) + ridge

    def fenchel_term(self, it: Iterate) -> float:
        """(fenchel_weight/m) sum F_phi(X, AX + BU + b); infinite where X leaves the range of phi."""
        # By the divergence, not by its three terms: near an equilibrium they would cancel.
        divergence = np.sum(self.activation.divergence(it.X, self.preactivation(it)), axis=0)
        return self.fenchel_weight * float(divergence @ self.shares)

    def user_terms(self, it: Iterate, without: Sequence[str] = ()) -> list[UserTerms]:
        """The user's constraints and penalties, one item a block; not of a block with letters ``without``."""
        blocks = [letters for letters in self.block_letters if self.constraints and not {*letters} & {*without}]
        return [terms_at(self.constraints, it, letters) for letters in blocks]

    def user_penalty(self, it: Iterate, without: Sequence[str] = ()) -> float:
        """The sum of the user's penalties; not of those on a block with letters ``without``."""
        return sum(terms.penalty() for terms in self.user_terms(it, without))

    def objective_at_states(self, it: Iterate) -> float:
        """(1/m) L + regularisation + the user's penalties, at the iterate's own X; (T) when X is the equilibrium."""
        regularization = self.output_regularization(it) + self.hidden_regularization(it)
        return self.mean_loss(it) + regularization + self.user_penalty(it)

    def objective(self, it: Iterate) -> float:
        """The relaxed objective (F)."""
        return self.objective_at_states(it) + self.fenchel_term(it)

    def equilibrium_objective(self, it: Iterate) -> float:
        """The true objective (T): states solved anew, whatever X the iterate carries."""
        return self.objective_at_states(self.at_equilibrium(it))

    def violation(self, it: Iterate) -> float:
        """The largest violation of ||A||_inf <= norm_bound and of the group-lasso constraint."""
        return max(self.row_ball.violation(it.A), self.group_lasso.violation(self.grouped(it)))

    def violations(self, it: Iterate) -> dict[str, float]:
        """The largest violation of every constraint, by name: "norm_bound", "group_lasso" and the user's."""
        found = {"norm_bound": self.row_ball.violation(it.A)}
        if self.group_form == "constraint":
            found["group_lasso"] = self.group_lasso.violation(self.grouped(it))
        for terms in self.user_terms(it):
            for name, violation in terms.violations().items():
                found[name] = max(violation, found.get(name, 0.0))
        return found

    # Points ---------------------------------------------------------------------------------------------------

    def equilibrium(self, it: Iterate, tol: float = STATE_TOL) -> FixedPoint:
        """States at equilibrium, from the iterate's X."""
        # Between two steps of a loop the states move little: its own X is the best start.
        return fixed_point(it.A, it.B @ self.U + it.b[:, None], self.activation, it.X, tol=tol)

    def at_equilibrium(self, it: Iterate) -> Iterate:
        """The same matrices with X at the equilibrium."""
        X = self.equilibrium(it).X
        return it.replace(X=without_rounding(it, X, self.U, lambda X: self.equilibrium(it.replace(X=X), tol=0.0).X))

    def initial(self, random_state: int | np.random.Generator | None = 0) -> Iterate:
        """Start: A = 0, C = D = 0, random rows of B through the centre of the inputs, X at equilibrium.

        B is scaled by the inputs' standard deviations, so that the start does not depend on their units.

        Parameters
        ----------
        random_state : int, Generator or None
            Seed of the random rows.
        """
        # B = 0 would be stationary: equal states, so C = 0, so no gradient for B.
        it = Iterate.zeros(self.shapes)
        it = it.replace(B=random_rows(self.n_hidden, self.U, self.shares, random_generator(random_state)))
        B = self.group_lasso.repair(self.grouped(it))[: self.n_hidden]
        # Kinks through the centre: else an offset leaves features that are zero, or linear, on all samples.
        b = -B @ statistics.mean(self.U, self.shares) if self.fit_intercept else it.b
        # With A = 0 it takes one step, so that even a call that has to end at once has a start.
        with finishing():
            return self.at_equilibrium(it.replace(B=B, b=b))

    def model(self, it: Iterate, input_names: Sequence[str] | None = None) -> ImplicitModel:
        """The iterate's matrices as a model; the inputs have the problem's names unless given."""
        return ImplicitModel(
            it.A,
            it.B,
            it.b,
            it.C,
            it.D,
            it.d,
            self.activation,
            input_names=self.input_names if input_names is None else input_names,
            output_names=self.output_names,
        )

    def __repr__(self) -> str:
        return in_one_line(self)

    def _repr_html_(self) -> str:
        return as_table(self)
