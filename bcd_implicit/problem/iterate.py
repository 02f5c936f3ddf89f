"""A point of the training problem: an iterate of the loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.well_posedness import gains_for_bounds
from bcd_implicit.problem import statistics
from bcd_implicit.support.checks import check_entries
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.function import ElementwiseFunction

# The squares of smaller numbers are zero, or nearly.
SQUARE_ROOT_OF_NOTHING = 1e-150
# Samples may differ in size by this much.
SUSPICIOUS = 1e6
# A row that varies by less than so many times the bound of its rounding has too few right digits for a regressor.
RESOLVED = 100
# States that vary by less than this share of the largest are worth an equilibrium to the last digit.
HARDLY = 1e-7


@dataclass(frozen=True, repr=False)
class Iterate:
    """One point of the training problem, in the paper's letters.

    Attributes
    ----------
    A : ndarray of shape (n, n)
    B : ndarray of shape (n, p)
    b : ndarray of shape (n,)
    C : ndarray of shape (q, n)
    D : ndarray of shape (q, p)
    d : ndarray of shape (q,)
    X : ndarray of shape (n, m)
        States, one sample per column.
    """

    A: np.ndarray
    B: np.ndarray
    b: np.ndarray
    C: np.ndarray
    D: np.ndarray
    d: np.ndarray
    X: np.ndarray

    @classmethod
    def zeros(cls, shapes: Mapping[str, tuple[int, ...]]) -> Iterate:
        """All zeros, of these shapes by letter."""
        return cls(**{letter: np.zeros(shape) for letter, shape in shapes.items()})

    def replace(self, **parts: np.ndarray) -> Iterate:
        """A copy with some parts replaced."""
        return replace(self, **parts)

    def contiguous(self) -> Iterate:
        """The same, in the memory layout of arrays read from a file; other layouts may round differently."""
        return Iterate(**{letter: np.ascontiguousarray(part) for letter, part in vars(self).items()})

    def read_only(self) -> Iterate:
        """The same, with arrays that cannot be written to."""
        views = {letter: part.view() for letter, part in vars(self).items()}
        for view in views.values():
            view.flags.writeable = False
        return Iterate(**views)

    def __repr__(self) -> str:
        (n, p), (q, m) = self.B.shape, (len(self.C), self.X.shape[1])
        return f"Iterate(n_hidden={n}, n_inputs={p}, n_outputs={q}, n_samples={m})"


def check_iterate(
    it: Iterate, shapes: Mapping[str, tuple[int, ...]], activation: Activation, name: str = "iterate"
) -> Iterate:
    """Return the iterate, called so in messages, if it fits a problem.

    Parameters
    ----------
    it : Iterate
    shapes : mapping
        Those of the problem's unknowns, by letter.
    activation : Activation
        Its range is where X has to lie.
    name : str

    Raises
    ------
    InvalidInputError
        It is no Iterate, a part has another shape, is not finite or beyond 1e100, or X leaves the range of phi.
    """
    if not isinstance(it, Iterate):
        remedy = "Pass an Iterate, such as result.iterate"
        if name == "start":
            remedy += ", a result, or a model"
        raise InvalidInputError(name, f"is of type {type(it).__name__}", remedy)
    for letter, shape in shapes.items():
        part = getattr(it, letter)
        if not isinstance(part, np.ndarray) or part.dtype.kind not in "fiu":
            kind = f"an array of {part.dtype}" if isinstance(part, np.ndarray) else f"a {type(part).__name__}"
            raise InvalidInputError(f"{name}.{letter}", f"is {kind}", "Pass an array of numbers")
        if part.shape != shape:
            raise InvalidInputError(
                f"{name}.{letter}", f"has shape {part.shape}, {shape} needed", "Start from problem.initial()"
            )
        if not np.isfinite(part).all():
            raise InvalidInputError(f"{name}.{letter}", "contains NaN or infinity", "Start from problem.initial()")
        check_entries(f"{name}.{letter}", part, "Start from problem.initial()")
    # Beyond the range (F) is infinite, and no step from there could be compared.
    low, high = activation.domain
    if it.X.min() < low or it.X.max() > high:
        raise InvalidInputError(
            f"{name}.X",
            f"has values from {it.X.min():.3g} to {it.X.max():.3g}, outside the range of {activation.name}",
            "Start from problem.at_equilibrium(iterate)",
        )
    return it


def without_rounding(
    it: Iterate,
    X: np.ndarray,
    U: np.ndarray,
    activation: ElementwiseFunction,
    to_the_last_digit: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """States at equilibrium, shape (n, m), made constant in rows that hardly more than rounding tells apart from it.

    Such a row is not a regressor, but to the output block it would be one, with a coefficient of 1e16. A row within
    rounding of zero, or so near it that its squares underflow, is zero.

    Parameters
    ----------
    it : Iterate
        The matrices.
    X : ndarray of shape (n, m)
        Its states, to a tolerance.
    U : ndarray of shape (p, m)
    activation : ElementwiseFunction
        A preactivation that is off moves its state by no more than its largest slope times as much.
    to_the_last_digit : callable
        Better states from these: where some vary by so little that the tolerance may be a good part of it.
    """
    low, high = X.min(axis=1), X.max(axis=1)
    if np.any((high > low) & (high - low <= HARDLY * np.maximum(high, -low).max())):
        X = to_the_last_digit(X)
        low, high = X.min(axis=1), X.max(axis=1)
    gains, max_slope = gains_for_bounds(it.A, activation), activation.max_slope
    others = np.abs(it.A) @ np.maximum(high, -low) + np.abs(it.b)

    def rounding(U: np.ndarray) -> np.ndarray:
        """Of sums of so many terms as large as these, and what A makes of it from step to step."""
        terms = others + np.abs(it.B) @ np.abs(U).max(axis=1)
        unit = np.finfo(float).eps * (len(X) + len(U) + 1)
        summed = np.linalg.solve(np.eye(len(X)) - gains, max_slope * unit * terms)
        return np.maximum(summed, SQUARE_ROOT_OF_NOTHING)

    # A few samples say where it is worth looking at all: that would cost as much as a third of BU.
    some = U[:, :: max(U.shape[1] // 8, 1)]
    suspicious = high - low <= SUSPICIOUS * RESOLVED * rounding(some)
    if not np.any(suspicious & (np.maximum(high, -low) > 0)):
        return X
    least = rounding(U)
    centre = np.where(np.abs(X[:, 0]) > least, X[:, 0], 0.0)
    return np.where((high - low <= RESOLVED * least)[:, None], centre[:, None], X)


def random_rows(n_hidden: int, U: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of B, shape (n_hidden, p), for which BU has a variance of about 1, whatever the inputs' number and units."""
    spread = np.sqrt(statistics.variance(U, shares))
    spread[spread == 0] = np.inf  # constant inputs carry nothing
    return np.asarray(rng.standard_normal((n_hidden, len(U))) / np.sqrt(len(U)) / spread)


def in_spreads(it: Iterate, U: np.ndarray, Y: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
    """The matrices by letter for inputs and outputs measured in their standard deviations (1 for constant ones)."""
    # Constant columns have no spread to be measured in.
    u, y = (np.sqrt(np.where(v > 0, v, 1.0)) for v in (statistics.variance(U, shares), statistics.variance(Y, shares)))
    y_column = y[:, None]
    return {"A": it.A, "B": it.B * u, "b": it.b, "C": it.C / y_column, "D": it.D * u / y_column, "d": it.d / y}
