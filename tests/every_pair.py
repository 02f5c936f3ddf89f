"""Tables of pairs to test, of which the fast suite has a diagonal."""

from collections.abc import Sequence
from typing import Any

import pytest


def every_pair(rows: Sequence[str], columns: Sequence[str]) -> list[Any]:
    """Parameters for all pairs; slow but for a few, in which each row and each column occurs."""
    period = min(len(rows), len(columns))

    def pair(i: int, j: int) -> Any:
        return pytest.param(rows[i], columns[j], marks=[] if i % period == j % period else pytest.mark.slow)

    return [pair(i, j) for i in range(len(rows)) for j in range(len(columns))]
