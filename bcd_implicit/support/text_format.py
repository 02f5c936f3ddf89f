"""What a person says of a text file: its separator, its decimal mark, its encoding."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from bcd_implicit.errors import InvalidInputError, shown

SPOKEN = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


@dataclass(frozen=True)
class TextFormat:
    """How a text file is to be read; None is to be guessed.

    Attributes
    ----------
    sep : str or None
        A character, or a word such as "tab".
    decimal : str or None
        "." or ",".
    encoding : str or None
        As Python names it: "utf-8", "latin-1", "utf-16", ...

    Raises
    ------
    InvalidInputError
        Another value.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.sep is not None:
            object.__setattr__(self, "sep", SPOKEN.get(self.sep, self.sep))
            if len(self.sep) != 1 or self.sep in '"\n\r\0':
                raise InvalidInputError("sep", f"got {shown(self.sep)}", "Give one character, or tab")
        if self.decimal not in (None, ".", ","):
            raise InvalidInputError("decimal", f"got {shown(self.decimal)}", "Give a point or a comma")
        try:
            codecs.lookup(self.encoding or "utf-8")
        except (LookupError, ValueError):
            raise InvalidInputError(
                "encoding", f"unknown encoding {self.encoding!r}", "Use utf-8, latin-1 or utf-16, for instance"
            ) from None
