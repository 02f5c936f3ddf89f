"""Work on many samples, cut into parts that fit into the cache."""

from __future__ import annotations

#: Work on many samples is cut into parts of about this many numbers, so that a part stays in the cache (2 MB).
PART = 250_000
#: What belongs to each sample is kept up to this many numbers (512 MB), and computed anew for every use beyond.
LARGEST_KEPT = 64_000_000


def parts(n_samples: int, per_sample: int, at_least: int = 1, numbers: int | None = None) -> list[slice]:
    """Consecutive slices of the samples such that a part with ``per_sample`` numbers each has about ``numbers``.

    That is :data:`PART` by default. But ``at_least`` so many samples.
    """
    width = max(at_least, (PART if numbers is None else numbers) // max(per_sample, 1))
    return [slice(k, min(k + width, n_samples)) for k in range(0, n_samples, width)]
