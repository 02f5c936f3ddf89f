"""All unknowns of a problem but the states in one vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bcd_implicit.problem.specification import Specification

LETTERS = "ABbCDd"


class Layout:
    """Where each unknown stands in the vector, which of them are free, and the ridges on them.

    Parameters
    ----------
    problem : Specification

    Attributes
    ----------
    n_unknowns : int
    free : ndarray of bool, shape (n_unknowns,)
        False for what a pattern, ``pass_through=False`` or ``fit_intercept=False`` holds at zero.
    ridges : ndarray of shape (n_unknowns,)
    """

    def __init__(self, problem: Specification) -> None:
        self.shapes = {letter: problem.shapes[letter] for letter in LETTERS}
        self._places: dict[str, slice] = {}
        end = 0
        for letter, shape in self.shapes.items():
            begin, end = end, end + int(np.prod(shape))
            self._places[letter] = slice(begin, end)
        self.n_unknowns = end
        self.free, self.ridges = np.ones(end, dtype=bool), np.zeros(end)
        weights = {"A": problem.ridge_hidden, "B": problem.ridge_hidden, "C": problem.ridge, "D": problem.ridge}
        fixed = {"b": not problem.fit_intercept, "d": not problem.fit_intercept, "D": not problem.pass_through}
        for letter, place in self._places.items():
            self.ridges[place] = weights.get(letter, 0.0)
            self.free[place] = problem.pattern.entries(letter, self.shapes[letter]).ravel() & (not fixed.get(letter))

    def vector(self, parts: Any) -> np.ndarray:
        """The vector of what has the unknowns by letter, such as an iterate or a gradient; a copy."""
        return np.concatenate([getattr(parts, letter).ravel() for letter in LETTERS])

    def parts(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a vector by letter."""
        return {letter: vector[place].reshape(self.shapes[letter]) for letter, place in self._places.items()}

    def with_ridges(self, data: Any, it: Any) -> np.ndarray:
        """The gradient of the smooth part as a vector: that of the loss, and the ridges' at an iterate."""
        return np.where(self.free, self.vector(data) + self.ridges * self.vector(it), 0.0)
