"""Lists of names for messages, and the tables of plain HTML that notebooks show for models, problems and results.

No colours and no scripts: a notebook's own style, dark or light, applies, and a saved notebook keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

# Longer lists of names are cut.
MOST_NAMES = 20
_LEFT = 'style="text-align: left"'


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """A table of two columns, the name of a fact and the fact, under a title; all of it escaped."""
    rows = "".join(
        f"<tr><th {_LEFT}>{escape(name)}</th><td {_LEFT}>{escape(str(fact))}</td></tr>\n"
        for name, fact in facts.items()
    )
    return f"<table>\n<caption {_LEFT}><b>{escape(title)}</b></caption>\n<tbody>\n{rows}</tbody>\n</table>"


def facts_and_table(title: str, facts: Mapping[str, object], table: pd.DataFrame) -> str:
    """A table of facts, and under it one of numbers, with four digits."""
    return facts_table(title, facts) + table.to_html(index=False, float_format="{:.4g}".format)


def known(value: float, digits: str = ".2e") -> str:
    """The number, or "unknown" for infinity, which stands for that in certificates."""
    return format(value, digits) if np.isfinite(value) else "unknown"


def names_of(names: Sequence[str], kept: ArrayLike | None = None) -> str:
    """How many names there are, or of them are kept (mask), and which; many of them are cut."""
    chosen = list(names) if kept is None else list(compress(names, np.asarray(kept)))
    count = f"{len(chosen)}" if kept is None else f"{len(chosen)} of {len(names)}"
    return f"{count}: {listed(chosen)}" if chosen else count


def listed(names: Sequence[str]) -> str:
    """Names in a row; many of them are cut."""
    rest = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{rest}"


def quoted(names: Iterable[object]) -> str:
    """Names in quotes, so that blanks show; many of them are cut."""
    return listed([repr(str(name)) for name in names])
