"""Parameters of tests that are many: all of them, of which the fast suite has a few that stand for the rest."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pytest


def slow_but(fast: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """All values; slow but for these."""
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values]


def every_pair(rows: Sequence[str], columns: Sequence[str]) -> list[Any]:
    """All pairs; slow but for a diagonal, in which each row and each column occurs."""
    period = min(len(rows), len(columns))

    def pair(i: int, j: int) -> Any:
        return pytest.param(rows[i], columns[j], marks=[] if i % period == j % period else pytest.mark.slow)

    return [pair(i, j) for i in range(len(rows)) for j in range(len(columns))]
