"""A point of the training problem: an iterate of the loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.problem import statistics
from bcd_implicit.terms.activations import Activation


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
        States, one sample a column.
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
        """A copy with some parts exchanged."""
        return replace(self, **parts)

    def contiguous(self) -> Iterate:
        """The same, laid out as a file brings arrays back: in another layout products may round differently."""
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
        It is no Iterate, a part has another shape or is not finite, or X leaves the range of phi.
    """
    if not isinstance(it, Iterate):
        raise InvalidInputError(name, f"is a {type(it).__name__}", "Pass an Iterate, such as result.iterate")
    for letter, shape in shapes.items():
        part = getattr(it, letter)
        if np.shape(part) != shape:
            raise InvalidInputError(
                f"{name}.{letter}", f"has shape {np.shape(part)}, {shape} needed", "Start from problem.initial()"
            )
        if not np.isfinite(part).all():
            raise InvalidInputError(f"{name}.{letter}", "contains NaN or infinity", "Start from problem.initial()")
    # Beyond the range (F) is infinite, and no step from there could be compared.
    low, high = activation.domain
    if it.X.min() < low or it.X.max() > high:
        raise InvalidInputError(
            f"{name}.X",
            f"has values from {it.X.min():.3g} to {it.X.max():.3g}, outside the range of {activation.name}",
            "Start from problem.at_equilibrium(iterate)",
        )
    return it


def in_spreads(it: Iterate, U: np.ndarray, Y: np.ndarray, shares: np.ndarray) -> dict[str, np.ndarray]:
    """The matrices by letter for inputs and outputs measured in their standard deviations (1 for constant ones)."""
    # Constant columns have no spread to be measured in.
    u, y = (np.sqrt(np.where(v > 0, v, 1.0)) for v in (statistics.variance(U, shares), statistics.variance(Y, shares)))
    y_column = y[:, None]
    return {"A": it.A, "B": it.B * u, "b": it.b, "C": it.C / y_column, "D": it.D * u / y_column, "d": it.d / y}
