"""What a training problem is given: data, sizes, settings, and the groups of its lasso."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.constraints.checks import Constraints, check_constraints
from bcd_implicit.constraints.user import OnInputs
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.model.structure import Structure
from bcd_implicit.problem.description import as_html, in_one_line
from bcd_implicit.problem.explanation import ProblemExplanation, explain
from bcd_implicit.problem.formula import true
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.pattern import Pattern, check_open
from bcd_implicit.problem.settings import check_replaceable, check_settings
from bcd_implicit.problem.spreads import warn_if_spreads_differ
from bcd_implicit.support.argument_names import check_argument_names
from bcd_implicit.support.checks import check_flag, check_names
from bcd_implicit.support.formulas import displayed
from bcd_implicit.support.samples import check_sample_weight, read_inputs, read_targets, warn_if_constant
from bcd_implicit.support.storing import KeepsFunctions
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.losses import Loss, get_loss
from bcd_implicit.terms.penalties import GROUP_FORMS
from bcd_implicit.terms.row_sets import WELL_POSEDNESS, RowSet


class Specification(KeepsFunctions):
    """Data and settings, checked; arguments, attributes and errors are those of its subclass TrainingProblem."""

    scaling: Standardization | None = None
    vector_targets: bool = False

    def __new__(cls, *arguments: Any, **settings: Any) -> Self:
        # Not in __init__, where Python itself refuses unknown names, without a hint.
        check_argument_names(cls.__name__, settings, cls.__init__)
        return super().__new__(cls)

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
        fenchel_weight: float | ArrayLike = 1.0,
        ridge: float = 1e-2,
        ridge_hidden: float = 1e-4,
        fit_intercept: bool = True,
        pass_through: bool = True,
        constraints: Constraints = (),
        *,
        sample_weight: ArrayLike | None = None,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        groups: Sequence[Any] | Mapping[str, Sequence[str]] | None = None,
        group_weights: Sequence[float] | Mapping[str, float] | None = None,
        group_norm: str | float = 2,
        group_over: str = "B",
        pattern: Any = None,
        well_posedness: str = "inf-norm",
        kappa_A: float | ArrayLike = 0.0,
        standardize: bool | None = None,
    ) -> None:
        targets = read_targets("Y", Y, inputs := read_inputs("U", U), "U")
        self.vector_targets = targets.is_vector
        self.U, self.Y = inputs.columns, targets.columns
        weights = check_sample_weight(sample_weight, self.n_samples)
        if not weights.all():
            # Left out for good, so that an input which varies in such samples alone counts as constant everywhere.
            self.U, self.Y, weights = (array.compress(weights, axis=-1) for array in (self.U, self.Y, weights))
        self.shares = weights / weights.sum()
        if standardize is not None and check_flag("standardize", standardize):
            self._standardize(get_loss(loss), check_flag("fit_intercept", fit_intercept))
        self.n_hidden = n_hidden
        self.activation: Any = activation
        self.loss: Any = loss
        self.norm_bound, self.kappa, self.group_form = norm_bound, kappa, group_form
        self.well_posedness = well_posedness
        self.kappa_A: Any = kappa_A
        self.fenchel_weight: Any = fenchel_weight
        self.ridge, self.ridge_hidden = ridge, ridge_hidden
        self.fit_intercept, self.pass_through = fit_intercept, pass_through
        self.constraints: Any = constraints
        self.groups: Any = groups
        self.group_weights: Any = group_weights
        self.group_norm: Any = group_norm
        self.group_over = group_over
        self.pattern: Any = pattern
        names = inputs.names if input_names is None else input_names
        self.input_names = check_names("input_names", names, self.n_inputs, "u")
        names = targets.names if output_names is None else output_names
        self.output_names = check_names("output_names", names, self.n_outputs, "y")
        warn_if_constant(self.Y, self.output_names)
        self._check()
        if standardize is None:
            warn_if_spreads_differ("U", self.U, self.shares, self.input_names)
            if get_loss(loss).free_targets:
                warn_if_spreads_differ("Y", self.Y, self.shares, self.output_names)

    def _standardize(self, loss: Loss, with_mean: bool) -> None:
        U, Y = self.U.T, self.Y.T
        self.scaling = Standardization.fit(U, Y, self.shares / self.shares.max(), with_mean, loss)
        self.U, self.Y = (np.ascontiguousarray(part.T) for part in self.scaling.apply(U, Y))

    def _check(self) -> None:
        vars(self).update(check_settings(vars(self)))
        self.loss.check_targets(self.Y, self.output_names)
        if self.stacked and not self.pass_through:
            raise InvalidInputError("group_over", '"BD" groups columns of D, but pass_through is False', 'Choose "B"')
        self.pattern = Pattern.parse(
            self.pattern, self.shapes, self.pass_through, self.activation, self.input_names, self.output_names
        )
        # Built here and not in __init__: replace() comes through here too.
        row_set = WELL_POSEDNESS[self.well_posedness](self.norm_bound / self.activation.max_slope)
        row_set = replace(row_set, inside=self._inside_cycles(row_set))
        self.row_set = row_set.penalised(self.kappa_A, self.n_hidden)
        parsed = Groups.parse(self.groups, self.group_weights, self.input_names)
        # A label for each input, however they were given: subset() can then take some of them.
        self.groups, self.group_weights = [parsed.names[g] for g in parsed.labels], parsed.weights
        self.group_lasso = GROUP_FORMS[self.group_form](self.kappa, parsed, GROUP_NORMS[self.group_norm])
        # Last: a user's function is tried on variables of the checked shapes.
        self.constraints = check_constraints(self.constraints, self.shapes, self.block_letters, self.input_names)

    def _inside_cycles(self, row_set: RowSet) -> np.ndarray | None:
        """The free entries of A between states of one cycle, None where all states are on cycles with each other."""
        free = self.pattern.entries("A", self.shapes["A"])
        cycles = Structure(free, self.activation).cycles
        # Entries that are zero anyway do no harm in sums, unless the set would move them.
        moved = row_set.signed(self.n_hidden)
        if [len(states) for states in cycles] == [self.n_hidden] and free[moved, moved].all():
            return None
        inside = np.zeros_like(free)
        for states in cycles:
            inside[np.ix_(states, states)] = free[np.ix_(states, states)]
        return inside

    @property
    def stacked(self) -> bool:
        """Whether the groups are columns of (B; D)."""
        return self.group_over == "BD"

    @property
    def block_letters(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The sets of variables that one constraint may use together: each set belongs to one block.

        One set for the hidden and the prox-linear block, one for the output block. With stacked groups, d is in both.
        """
        return (("A", "B", "b", "D"), ("C",)) if self.stacked else (("A", "B", "b"), ("C", "D", "d"))

    @property
    def fenchel_weights(self) -> np.ndarray:
        """The weight of every hidden feature in the Fenchel term, shape (n,)."""
        return np.broadcast_to(self.fenchel_weight, (self.n_hidden,))

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

    def replace(self, **changes: Any) -> Self:
        """The same data and weights with other settings (kappa, norm_bound, ridge, ...), checked again."""
        check_replaceable(changes)
        if self.scaling is not None:
            self._check_scaling_stays(changes)
        other = copy.copy(self)
        if "groups" in changes:
            other.group_weights = None  # they were of the old groups
        vars(other).update(changes)
        other._check()
        if "pass_through" in changes:  # the only way into the model may have been D
            check_open(other.pattern.free, other.pass_through)
        return other

    def _check_scaling_stays(self, changes: Mapping[str, Any]) -> None:
        """Raise an error where other settings would have standardised the data otherwise."""
        intercept, loss = changes.get("fit_intercept", self.fit_intercept), get_loss(changes.get("loss", self.loss))
        for name, same in (
            ("fit_intercept", intercept == self.fit_intercept),
            ("loss", loss.free_targets == self.loss.free_targets),
        ):
            if not same:
                cause = "cannot be replaced on standardised data, which depend on it"
                raise InvalidInputError(name, cause, "Build a new problem")

    def subset(self, samples: np.ndarray | None = None, inputs: np.ndarray | None = None) -> Self:
        """The same settings on some of the samples (indices) and some of the inputs (mask)."""
        other = copy.copy(self)
        if inputs is not None:
            other.U = other.U[inputs]
            other.scaling = self.scaling and self.scaling.of_inputs(inputs)
            other.constraints = {name: OnInputs(f, inputs) for name, f in self.constraints.items()}
            other.pattern = self.pattern.on_inputs(inputs)
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
        """The matrix whose columns are in the group lasso: B, or (B; D)."""
        return np.vstack([it.B, it.D]) if self.stacked else it.B

    @property
    def free_groups(self) -> np.ndarray:
        """The free entries of :meth:`grouped`, by the pattern: bool."""
        letters = "BD" if self.stacked else "B"
        return np.vstack([self.pattern.entries(letter, self.shapes[letter]) for letter in letters])

    def with_grouped(self, it: Iterate, G: np.ndarray) -> Iterate:
        """The iterate with :meth:`grouped` replaced."""
        return it.replace(B=G[: self.n_hidden], D=G[self.n_hidden :]) if self.stacked else it.replace(B=G)

    def selected(self, it: Iterate) -> np.ndarray:
        """The inputs with nonzero columns: bool, shape (p,)."""
        return np.asarray(self.grouped(it).any(axis=0))

    def explain(self) -> ProblemExplanation:
        """Summary of the problem: the formula with its numbers, constraints by name, sizes, and settings in words.

        Returns
        -------
        ProblemExplanation
            Prints as text; a notebook shows it as Markdown with LaTeX.

        Examples
        --------
        >>> import numpy as np
        >>> import bcd_implicit as bi
        >>> U = np.linspace(-1, 1, 20)[:, None]
        >>> print(bi.TrainingProblem(U, U**2, n_hidden=3).explain().formula.text())
        minimize over A, B, b, C, D, d
            1/20 sum_{k=1}^20 l(f_k, y_k)        [loss: squared]
            + 0.1 sum_{j=1}^1 ||B e_j||_2        [group_lasso]
            + 0.01/2 (||C||_F^2 + ||D||_F^2)     [ridge]
            + 0.0001/2 (||A||_F^2 + ||B||_F^2)   [ridge_hidden]
        subject to
            x_k = phi(A x_k + B u_k + b) for k = 1, ..., 20   [equilibrium]
            ||A||_inf = max_i sum_j |A_ij| <= 0.5             [norm_bound]
        where
            f_k = C x_k + D u_k + d
            l(f, y) = 1/2 ||f - y||_2^2
            phi(z) = max(z, 0)
        """
        return explain(self)

    def __repr__(self) -> str:
        return in_one_line(self)

    def _repr_latex_(self) -> str:
        return displayed(true(self).latex())

    def _repr_html_(self) -> str:
        return as_html(self)


# Or both would be those of __new__, and Python's errors would name this class.
Specification.__init__.__qualname__ = "TrainingProblem"
_arguments = inspect.signature(Specification.__init__)
Specification.__signature__ = _arguments.replace(  # type: ignore[attr-defined]
    parameters=list(_arguments.parameters.values())[1:], return_annotation=inspect.Signature.empty
)
