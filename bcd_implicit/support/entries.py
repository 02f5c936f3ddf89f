"""Entries of a table that are no finite numbers: where they are, what they look like, and what to do about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.display import listed
from bcd_implicit.support.notations import kind_of_entry
from bcd_implicit.support.samples import LARGEST
from bcd_implicit.support.tables import place, to_numbers

#: What to do about each kind, in the order of a message; of texts and missing values a command knows more.
_REMEDIES = {
    "thousands": "Remove the separators of thousands",
    "comma": "Give --decimal , if commas are decimal marks, or remove separators of thousands",
    "mark": "Leave a field empty where a value is missing",
    "infinite": "Replace infinite values",
    "large": "Scale these columns to about 1",
    "text": "Give numbers",
    "missing": "Fill in missing values, or remove their rows",
    "empty": "Remove columns without values",
}


@dataclass(frozen=True)
class BadEntries:
    """Of each column the first entry that is no number, the first that is too large, and the missing ones.

    Attributes
    ----------
    not_numeric : dict
        By column: where the first is, and what it holds.
    too_large : dict
        By column: where the first number beyond 1e40 is, and which.
    missing : dict
        By column: where the first is, and how many there are.
    n_rows : int
        Of the table.
    """

    not_numeric: dict[str, tuple[str, Any]]
    too_large: dict[str, tuple[str, Any]]
    missing: dict[str, tuple[str, int]]
    n_rows: int

    @classmethod
    def find(cls, table: pd.DataFrame, categorical: Collection[str] = ()) -> BadEntries:
        """In a table whose categorical columns may hold anything but missing values."""
        not_numeric: dict[str, tuple[str, Any]] = {}
        too_large: dict[str, tuple[str, Any]] = {}
        missing = {}
        for column in table.columns:
            absent, numbers = table[column].isna().to_numpy(), to_numbers(table[column])
            finite = np.isfinite(numbers)
            for bad, found in ((~finite & ~absent, not_numeric), (finite & (np.abs(numbers) > LARGEST), too_large)):
                if bad.any() and column not in categorical:
                    row = int(bad.argmax())
                    found[column] = place(table, row), table[column].iloc[row]
            if absent.any():
                missing[column] = place(table, int(absent.argmax())), int(absent.sum())
        return cls(not_numeric, too_large, missing, len(table))

    def refuse(self, name: str, remedies: Mapping[str, str] | None = None) -> None:
        """Raise one error that names all the columns, if there are any.

        Parameters
        ----------
        name : str
            What the message calls the table.
        remedies : mapping, optional
            What to do instead of the usual, by "text", "missing" and "empty".

        Raises
        ------
        InvalidInputError
            An entry is no finite number.
        """
        causes = []
        for what, found in (("not numeric", self.not_numeric), (f"beyond {LARGEST:.0e}", self.too_large)):
            shown = [f"column {c!r} ({where} holds {shown_entry(value)})" for c, (where, value) in found.items()]
            causes += [f"{what}: {listed(shown)}"] if shown else []
        empty = [column for column, (_, n) in self.missing.items() if n == self.n_rows]
        if empty:
            causes.append(f"no values: {listed([f'column {column!r}' for column in empty])}")
        if gaps := {column: found for column, found in self.missing.items() if column not in empty}:
            shown = [f"column {c!r} ({where}, {n} in all)" for c, (where, n) in gaps.items()]
            causes.append(f"missing values: {listed(shown)}")
        if causes:
            kinds = {kind_of_entry(value) for _, value in self.not_numeric.values()}
            kinds |= {kind for kind, found in (("large", self.too_large), ("missing", gaps), ("empty", empty)) if found}
            advice = [remedy for kind, remedy in {**_REMEDIES, **(remedies or {})}.items() if kind in kinds]
            raise InvalidInputError(name, "; ".join(causes), ". ".join(advice))


def shown_entry(value: Any) -> str:
    """An entry in a message: text in quotes, anything else as it is printed."""
    return repr(value) if isinstance(value, str) else str(value)
