"""A zero pattern: which entries of A, B, C and D may be other than zero, as a network's structure says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.problem.iterate import Iterate

MATRICES = ("A", "B", "C", "D")
REMEDY = 'Pass a mapping such as {"A": mask}, True where an entry is free, or an ImplicitModel'


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which entries are free; all others are zero in every iterate.

    Projections on row balls and proximal maps of group norms shrink entries and turn none round. With some entries held
    at zero they are therefore what they are without, after these entries are set to zero.

    Attributes
    ----------
    free : dict
        By letter an array of bool of the matrix's shape. Matrices of which all entries are free are absent.
    """

    free: Mapping[str, np.ndarray]

    @staticmethod
    def parse(given: Any, shapes: Mapping[str, tuple[int, ...]], pass_through: bool) -> Pattern:
        """From what a person gives: a mapping of letters to masks, a model whose entries are the free ones, or None.

        Raises
        ------
        InvalidInputError
            Something else, an unknown letter, a mask of another shape or with entries other than 0 and 1, masks that
            leave no input a way into the model, or entries of D that are free although ``pass_through`` is False.
        """
        if given is None:
            return Pattern({})
        if isinstance(given, Pattern):
            # Of a problem that stands. Part of its inputs may do without a free entry.
            return Pattern({k: _fitting(k, mask, shapes[k]) for k, mask in given.free.items()})
        if isinstance(given, ImplicitModel):
            given = {letter: dense(getattr(given, letter)) != 0 for letter in MATRICES}
        if not isinstance(given, Mapping):
            raise InvalidInputError("pattern", f"is a {type(given).__name__}", REMEDY)
        for letter in given:
            if letter not in MATRICES:
                raise InvalidInputError("pattern", f"has {letter!r}, which is no matrix", f"Use {', '.join(MATRICES)}")
        masks = {letter: _fitting(letter, _of_bools(letter, mask), shapes[letter]) for letter, mask in given.items()}
        if not pass_through and "D" in masks and masks["D"].any():
            remedy = "Leave D out of the pattern (of a model, make it zero), or set pass_through=True"
            raise InvalidInputError("pattern", "has free entries of D, but pass_through=False keeps D at zero", remedy)
        check_open(masks, pass_through)
        return Pattern({letter: mask for letter, mask in masks.items() if not mask.all()})

    def __bool__(self) -> bool:
        return bool(self.free)

    def __repr__(self) -> str:
        return f"Pattern({', '.join(f'{k}: {mask.sum()} of {mask.size} free' for k, mask in self.free.items())})"

    def entries(self, letter: str, shape: tuple[int, ...]) -> np.ndarray:
        """The mask of a matrix, True where it is free."""
        return self.free.get(letter, np.ones(shape, dtype=bool))

    def applied(self, it: Iterate, letters: Iterable[str] = MATRICES) -> Iterate:
        """The iterate with zeros where entries of these matrices are not free."""
        held = {k: mask for k, mask in self.free.items() if k in letters}
        return it.replace(**{k: np.where(mask, getattr(it, k), 0.0) for k, mask in held.items()})

    def violation(self, it: Iterate, letters: Iterable[str] = MATRICES) -> float:
        """The largest entry of these matrices that should be zero, relative to the largest entry of its matrix."""
        worst = 0.0
        for letter in self.free.keys() & {*letters}:
            mask, size = self.free[letter], np.abs(getattr(it, letter))
            beyond = float(size.max(where=~mask, initial=0.0))
            worst = max(worst, beyond / float(size.max()) if beyond > 0 else 0.0)
        return worst

    def on_inputs(self, inputs: np.ndarray) -> Pattern:
        """That of a problem that keeps some inputs only (mask)."""
        return Pattern({k: mask[:, inputs] if k in "BD" else mask for k, mask in self.free.items()})


def check_open(masks: Mapping[str, np.ndarray], pass_through: bool) -> None:
    """Raise an error if these masks leave the inputs no way into the model, or none to the outputs.

    Raises
    ------
    InvalidInputError
        As said: neither B nor D has a free entry, or neither C nor D.
    """
    for letter, what in (("B", "no input is used"), ("C", "no output sees an input")):
        letters = (letter, "D") if pass_through else (letter,)
        if all(k in masks and not masks[k].any() for k in letters):
            cause = f"leaves no entry of {' and '.join(letters)} free: {what}"
            raise InvalidInputError("pattern", cause, "Free some entries")


def _of_bools(letter: str, given: Any) -> np.ndarray:
    try:
        mask = np.asarray(dense(given))
    except ValueError:  # rows of different lengths
        mask = np.zeros(0, dtype=object)
    if mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        cause = f"of {letter} has entries other than True and False, 0 and 1"
        raise InvalidInputError("pattern", cause, f"Give a mask of {letter}'s shape, True where an entry is free")
    return mask.astype(bool)


def _fitting(letter: str, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if mask.shape != shape:
        cause = f"of {letter} has shape {mask.shape}, {shape} needed"
        raise InvalidInputError("pattern", cause, f"Give a mask of {letter}'s shape, and a new one with a new n_hidden")
    return mask
