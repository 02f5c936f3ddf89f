"""Adjoint states in more digits, by their equation alone."""

from __future__ import annotations

import numpy as np
import pytest


def adjoint_in_more_digits(A, slopes, asked):
    """lambda = S (asked + A^T lambda) in long double, for arrays (n, m): solved in double, and then refined."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("long double has no more digits here")
    A, slopes, asked = (np.asarray(part, dtype=np.longdouble) for part in (A, slopes, asked))
    found = np.zeros_like(asked)
    for _ in range(4):
        missed = (slopes * (asked + A.T @ found) - found).astype(float)
        for k in range(slopes.shape[1]):
            M = np.eye(len(A)) - (slopes[:, k, None] * A.T).astype(float)
            found[:, k] += np.linalg.solve(M, missed[:, k])
    size = float(np.abs(found).max() + np.abs(asked).max())
    assert np.abs(slopes * (asked + A.T @ found) - found).max() <= 1e-15 * size
    return found
