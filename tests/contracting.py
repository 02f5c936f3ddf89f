"""States to solve for, whose matrix contracts as weakly as its norm says."""

import numpy as np


def batch(norm_bound=0.9, n=8, m=60, seed=0, signs=True):
    """A whose rows all sit on the bound, the worst case, and a drive."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) if signs else rng.random((n, n))
    return norm_bound * A / np.abs(A).sum(axis=1, keepdims=True), rng.standard_normal((n, m))
