"""One line an input: what became of it, and why. Text in a terminal, a table in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

import pandas as pd

# Lines of text are no longer than this, and names no longer than that before the line wraps.
WIDTH, LONGEST_NAME = 79, 24
# At most this many dropped inputs are shown; the table has all of them.
MOST_DROPPED = 20
#: What a table begins with.
COLUMNS = ("input", "outcome", "why")
DROPPED = "dropped"


@dataclass(frozen=True, repr=False)
class Reasons:
    """The outcome for each input, and the reason.

    Attributes
    ----------
    title : str
        Title of the explanation.
    sentences : sequence of str
        Sentences that apply to all inputs.
    table : DataFrame
        One row per input, or per group: input (its name), outcome ("kept", "added" or "dropped"),
        why (in words), inputs (all names of the group), and the numbers behind the words. Kept inputs come first.
    """

    title: str
    sentences: Sequence[str]
    table: pd.DataFrame

    @property
    def why(self) -> dict[str, str]:
        """Outcome and reason in words, such as "dropped: drops out at kappa 0.2", by input (each of a group)."""
        rows = zip(self._rows(self.table), self.table["inputs"], strict=True)
        return {name: f"{outcome}: {why}" for (_, outcome, why), names in rows for name in names}

    @property
    def _shown(self) -> pd.DataFrame:
        dropped = self.table["outcome"] == DROPPED
        return self.table[~dropped | (dropped.cumsum() <= MOST_DROPPED)]

    @property
    def _rest(self) -> str:
        n = len(self.table) - len(self._shown)
        return f"{n} more were dropped; .table lists them." if n else ""

    @staticmethod
    def _rows(table: pd.DataFrame) -> list[tuple[str, str, str]]:
        return [(row[0], row[1], row[2]) for row in table[list(COLUMNS)].itertuples(index=False)]

    def __repr__(self) -> str:
        rows = self._rows(self._shown)
        first = min(max((len(name) for name, *_ in rows), default=0), LONGEST_NAME)
        second = max((len(outcome) for _, outcome, _ in rows), default=0)
        lines = [line for sentence in self.sentences for line in wrap(sentence, WIDTH)]
        for name, outcome, why in rows:
            head = f"{name:<{first}}  {outcome:<{second}}  "
            indent = " " * (first + second + 4)
            lines += wrap(why, WIDTH, initial_indent=head, subsequent_indent=indent, break_long_words=False)
        return "\n".join([*lines, *([self._rest] if self._rest else [])])

    def _repr_html_(self) -> str:
        # Or pandas cuts the words.
        with pd.option_context("display.max_colwidth", None):
            table = self._shown[list(COLUMNS)].to_html(index=False)
        said = "".join(f"<p>{escape(sentence)}</p>\n" for sentence in [*self.sentences, self._rest] if sentence)
        return f"<p><b>{escape(self.title)}</b></p>\n{said}{table}"
