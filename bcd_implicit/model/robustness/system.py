"""What bounds ask of a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bcd_implicit.model.fixed_point import FixedPoint
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.robustness.box import Rows
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states
from bcd_implicit.terms.function import ElementwiseFunction


@dataclass(frozen=True)
class BoundedSystem:
    """x = phi(Ax + Bu + b), well-posed.

    Attributes
    ----------
    A, B : ndarray or sparse array of shapes (n, n) and (n, p)
    b : ndarray of shape (n,)
    activation : ElementwiseFunction
    structure : Structure
        Of these.
    """

    A: Matrix
    B: Matrix
    b: np.ndarray
    activation: ElementwiseFunction
    structure: Structure

    @property
    def slopes(self) -> np.ndarray:
        """The largest slope of each state's function, (n,)."""
        return self.activation.slopes(len(self.b))

    @property
    def preactivations(self) -> Rows:
        """Ax + Bu + b as rows."""
        return Rows(self.A, self.B, self.b)

    def states(self, U: np.ndarray) -> np.ndarray:
        """At equilibrium with inputs (p, m), shape (n, m)."""
        return self.point(U).X

    def point(self, U: np.ndarray) -> FixedPoint:
        """The same, with a bound on their error."""
        return solve_states(self.structure, U, self.b, tol=1e-14)

    @cached_property
    def largest_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The largest ``|A_ki|`` and ``|B_ki|`` over k: shapes (n,) and (p,)."""
        return _largest(self.A), _largest(self.B)


def _largest(matrix: Matrix) -> np.ndarray:
    largest = np.abs(matrix).max(axis=0)
    return np.asarray(largest.toarray() if hasattr(largest, "toarray") else largest).reshape(-1)
