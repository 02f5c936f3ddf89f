"""A function that acts on each state by itself: all that a model without cycles asks of one."""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.by_name import undefined
from bcd_implicit.support.formulas import written
from bcd_implicit.terms import lines
from bcd_implicit.terms.lines import EPS


class ElementwiseFunction:
    """A function of one variable, applied entry by entry.

    For states on a cycle it has to be Lipschitz; elsewhere any function is allowed. An
    :class:`~bcd_implicit.Activation` also has a Fenchel pair, which training needs.

    Attributes
    ----------
    name : str
        The name by which users select it.
    max_slope : float
        Its Lipschitz constant, ``inf`` if there is none.
    positively_homogeneous : bool
        True when phi(t z) = t phi(z) for every t > 0.
    nondecreasing : bool
        True when phi never falls. If False, define :meth:`image` too: the bound from the largest slope is wide.
    projection : bool
        True when phi is the projection on an interval, its range.
    kinks : tuple of float
        The points between pieces of phi, in order; empty if it has one piece, or if its pieces are not known.
    curvatures : tuple of int or None
        For each piece between the kinks: 0 if phi is linear, 1 if convex, -1 if concave, with the derivative given by
        :meth:`derivative` inside. None if unknown.
    """

    name: str
    max_slope: float = np.inf
    positively_homogeneous: bool = False
    nondecreasing: bool = False
    projection: bool = False
    kinks: tuple[float, ...] = ()
    curvatures: tuple[int, ...] | None = None

    @property
    def parameters(self) -> dict[str, float]:
        """The arguments of its class, by name; they are saved with a model."""
        return {}

    @property
    def latex(self) -> str:
        """phi(z) as a formula in LaTeX, with its parameters' values; without a formula its name."""
        return rf"{written(self.name)}(z)"

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """phi(z)."""
        raise undefined(self, "__call__")

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """phi'(z); where phi has a kink, one element of its generalised derivative."""
        raise undefined(self, "derivative")

    def image(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest value between ``low`` and ``high``.

        By default the values at the ends if phi never falls, and otherwise bounds from the largest slope.

        Raises
        ------
        InvalidInputError
            phi may fall and has no largest slope.
        """
        first, last = self(low), self(high)
        if self.nondecreasing:
            return first, last
        if not np.isfinite(self.max_slope):
            cause = f"{self.name} may fall and has no largest slope, so its values between two points are not bounded"
            raise InvalidInputError("activation", cause, "Define image, or max_slope, or nondecreasing = True")
        # From the ends phi moves by |slope| times the distance at most: the two cones cross half-way.
        reach = 0.5 * self.max_slope * (high - low)
        middle, rounding = 0.5 * first + 0.5 * last, 4 * EPS * (np.abs(first) + np.abs(last) + reach)
        least = np.minimum(np.minimum(first, last), middle - reach - rounding)
        return least, np.maximum(np.maximum(first, last), middle + reach + rounding)

    @property
    def piecewise_linear(self) -> bool:
        """Whether phi is known to be linear between its kinks."""
        return self.curvatures is not None and not any(self.curvatures)

    def tilted_max(self, w: np.ndarray, tilt: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """An upper bound on ``w phi(z) - tilt z`` for z between ``low`` and ``high``, rounding included."""
        return lines.tilted_max(self, w, tilt, low, high)

    def envelope_slopes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slopes of two lines between ``low`` and ``high``, one below phi and one above, close to it in the middle."""
        return lines.envelope_slopes(self, low, high)

    def outline(self, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
        """Points between ``low`` and ``high``, ends included, whose chords are close to phi."""
        return lines.outline(self, low, high)

    def cut_points(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Where to split ranges: at the kink nearest to the middle, or in the middle if there is no kink inside."""
        return lines.cut_points(self, low, high)

    def is_linear(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Whether phi is linear between ``low`` and ``high``: bool, of their shape."""
        return lines.is_linear(self, low, high)

    def slopes(self, n: int) -> np.ndarray:
        """The largest slope for each of n states, shape (n,)."""
        return np.full(n, self.max_slope)

    def rises(self, n: int) -> np.ndarray:
        """Whether phi never falls, for each of n states: bool, shape (n,)."""
        return np.full(n, self.nondecreasing)

    def take(self, states: np.ndarray | slice) -> ElementwiseFunction:
        """The function of some of the states."""
        return self

    def __repr__(self) -> str:
        return f"<function {self.name}>"
