"""Tables of plain HTML that notebooks show for models, problems and results, and names in one line.

No colours and no scripts: a notebook's own style, dark or light, applies, and a saved notebook keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike

# Longer lists of names are cut, in messages sooner.
MOST_NAMES = 20
MOST_IN_MESSAGES = 12
_LEFT = 'style="text-align: left"'


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """A table of two columns, the name of a fact and the fact, under a title; all of it escaped."""
    rows = "".join(
        f"<tr><th {_LEFT}>{escape(name)}</th><td {_LEFT}>{escape(str(fact))}</td></tr>\n"
        for name, fact in facts.items()
    )
    return f"<table>\n<caption {_LEFT}><b>{escape(title)}</b></caption>\n<tbody>\n{rows}</tbody>\n</table>"


def known(value: float, digits: str = ".2e") -> str:
    """The number, or "unknown" for infinity, which stands for that in certificates."""
    return format(value, digits) if np.isfinite(value) else "unknown"


def names_of(names: Sequence[str], kept: ArrayLike | None = None) -> str:
    """How many names there are, or of them are kept (mask), and which; many of them are cut."""
    chosen = list(names) if kept is None else list(compress(names, np.asarray(kept)))
    count = f"{len(chosen)}" if kept is None else f"{len(chosen)} of {len(names)}"
    if not chosen:
        return count
    rest = f" and {len(chosen) - MOST_NAMES} more" if len(chosen) > MOST_NAMES else ""
    return f"{count}: {', '.join(chosen[:MOST_NAMES])}{rest}"


def some_of(names: Iterable[object], most: int = MOST_IN_MESSAGES) -> str:
    """The names in one line, as many as a message has room for."""
    listed = [str(name) for name in names]
    rest = f", and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
