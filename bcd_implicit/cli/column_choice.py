"""What the options say of the columns of a person's file."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from bcd_implicit.errors import InvalidInputError

#: Pairs of options that cannot name the same column.
APART = [
    *(("targets", other) for other in ("ignore", "use", "categorical")),
    *(("ignore", other) for other in ("use", "categorical")),
]


@dataclass(frozen=True)
class ColumnChoice:
    """What the options say of the columns.

    Attributes
    ----------
    targets, ignore, use, categorical : tuple of str
        To predict; to leave out; to use although they only number the rows; whose values are categories.
    classify, drop_missing : bool
        Whether the target's values are classes; whether rows with missing values are dropped.
    """

    targets: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    classify: bool = False
    drop_missing: bool = False

    def __post_init__(self) -> None:
        # A terminal may type an accent in two characters; the columns that were read have one.
        for name in ("targets", "ignore", "use", "categorical"):
            typed = tuple(unicodedata.normalize("NFC", column) for column in getattr(self, name))
            for column in typed:
                if typed.count(column) > 1:
                    cause = f"names column {column!r} {typed.count(column)} times"
                    raise InvalidInputError(name.removesuffix("s"), cause, "Name it once")
            object.__setattr__(self, name, typed)
        for first, second in APART:
            if both := set(getattr(self, first)) & set(getattr(self, second)):
                cause = f"names column {min(both)!r}, and so does --{first.removesuffix('s')}"
                raise InvalidInputError(second, cause, "Name it once")
