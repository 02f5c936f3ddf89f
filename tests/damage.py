"""Bytes cut off, turned over, overwritten, put in or taken out: what may have become of a file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def damaged_bytes(
    content: bytes, rng: np.random.Generator, n_cut: int, n_flipped: int, most_flips: int, n_moved: int, longest: int
) -> Iterator[bytes]:
    """So many of each kind: up to ``most_flips`` bits turned over, and up to ``longest`` bytes moved."""
    for _ in range(n_cut):
        yield content[: rng.integers(len(content))]
    for _ in range(n_flipped):
        flipped = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, most_flips + 1)):
            flipped[place] ^= 1 << rng.integers(8)
        yield bytes(flipped)
    for _ in range(n_moved):
        place, length = rng.integers(len(content)), rng.integers(1, longest)
        yield content[:place] + rng.bytes(length) + content[place + length :]
        yield content[:place] + rng.bytes(length) + content[place:]
        yield content[:place] + content[place + length :]
