"""A zero pattern: which entries of A, B, C and D may be other than zero, as a network's structure says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.names import labels_of, matched
from bcd_implicit.problem.given_model import fitted
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.support.arrays import WEIGHTS, as_pandas_or_array
from bcd_implicit.terms.activations import Activation

MATRICES = ("A", "B", "C", "D")
# What rows (0) and columns (1) of a mask stand for, where it has names, and the letter of names that only number.
NAMED = {"B": {1: "inputs"}, "C": {0: "outputs"}, "D": {0: "outputs", 1: "inputs"}}
FIRST = {"inputs": "u", "outputs": "y"}
NUMBERS = (bool, int, float, np.bool_, np.number)
REMEDY = 'Pass a mapping such as {"A": mask}, True where an entry is free, or an ImplicitModel'


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which entries are free; all others are zero in every iterate.

    Projections on row balls and proximal maps of group norms shrink entries and turn none round. With some entries held
    at zero they are therefore what they are without, after these entries are set to zero. (The measure's projection
    moves zeros on the diagonal, but only those that are free: :class:`~bcd_implicit.terms.row_sets.RowSet`.)

    Attributes
    ----------
    free : dict
        By letter an array of bool of the matrix's shape. Matrices of which all entries are free are absent.
    """

    free: Mapping[str, np.ndarray]

    @staticmethod
    def parse(
        given: Any,
        shapes: Mapping[str, tuple[int, ...]],
        pass_through: bool,
        activation: Activation,
        input_names: Sequence[str],
        output_names: Sequence[str],
    ) -> Pattern:
        """From what a person gives: a mapping of letters to masks, a model whose entries are the free ones, or None.

        Data frames and models are matched by the names of inputs and outputs.

        Raises
        ------
        InvalidInputError
            Something else, an unknown letter, a mask of another shape or with entries other than 0 and 1, other names,
            a model of other functions, masks that leave no input a way into the model, or entries of D that are free
            although ``pass_through`` is False.
        """
        if given is None:
            return Pattern({})
        if isinstance(given, Pattern):
            # Of a problem that stands. Part of its inputs may do without a free entry.
            return Pattern({k: _fitting(k, mask, shapes[k]) for k, mask in given.free.items()})
        if isinstance(given, ImplicitModel):
            model = fitted("pattern", given, shapes, activation, input_names, output_names)
            given = {letter: dense(getattr(model, letter)) != 0 for letter in MATRICES}
        if not isinstance(given, Mapping):
            raise InvalidInputError("pattern", f"is of type {type(given).__name__}", REMEDY)
        for letter in given:
            if letter not in MATRICES:
                raise InvalidInputError(
                    "pattern", f"has {letter!r}, which is not a matrix", f"Use {', '.join(MATRICES)}"
                )
        names = {"inputs": input_names, "outputs": output_names}
        masks = {letter: _mask(letter, mask, shapes[letter], names) for letter, mask in given.items()}
        if not pass_through and "D" in masks and masks["D"].any():
            remedy = "Omit D from the pattern (in a model, make it zero), or set pass_through=True"
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
    for letter, what in (("B", "no input is used"), ("C", "no output depends on an input")):
        letters = (letter, "D") if pass_through else (letter,)
        if all(k in masks and not masks[k].any() for k in letters):
            cause = f"leaves no entry of {' and '.join(letters)} free: {what}"
            raise InvalidInputError("pattern", cause, "Free some entries")


def _mask(letter: str, given: Any, shape: tuple[int, ...], names: Mapping[str, Sequence[str]]) -> np.ndarray:
    """A mask of bool from what a person gives for a matrix; a data frame's labels are matched by name."""
    try:
        table = as_pandas_or_array(letter, dense(given), WEIGHTS)
    except InvalidInputError as error:
        raise _no_mask(letter, error.cause) from None
    mask = _fitting(letter, _of_bools(letter, np.asarray(table)), shape)
    if isinstance(table, pd.DataFrame):
        for axis, labels in enumerate((table.index, table.columns)):
            if what := NAMED.get(letter, {}).get(axis):
                order = matched(labels_of(labels), names[what], what, FIRST[what], "pattern", f"of {letter} has")
                mask = mask if order is None else mask.take(order, axis=axis)
    return mask


def _of_bools(letter: str, entries: np.ndarray) -> np.ndarray:
    if entries.dtype.kind in "biuf":
        good = np.isin(entries, (0, 1))
    else:  # a data frame's True and False may come as objects
        flags = [isinstance(entry, NUMBERS) and entry in (0, 1) for entry in entries.ravel()]
        good = np.reshape(np.array(flags, dtype=bool), entries.shape)
    if not good.all():
        first = shown(entries.ravel()[np.argmin(good)])
        raise _no_mask(letter, f"has entries other than True and False, 0 and 1, such as {first}")
    return entries.astype(bool)


def _no_mask(letter: str, cause: str) -> InvalidInputError:
    remedy = f"Give a mask of {letter}'s shape, True where an entry is free"
    return InvalidInputError("pattern", f"of {letter} {cause}", remedy)


def _fitting(letter: str, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if mask.shape != shape:
        cause = f"of {letter} has shape {mask.shape}, {shape} needed"
        raise InvalidInputError("pattern", cause, f"Give a mask of {letter}'s shape, and a new one with a new n_hidden")
    return mask
