"""Tables of inputs and targets to test with."""

import numpy as np


def table(p=6, m=40, q=3, seed=0):
    rng = np.random.default_rng([seed, p, m, q])
    U = rng.standard_normal((m, p))
    Y = np.maximum(U[:, :2] @ rng.standard_normal((2, q)), 0) + 0.1 * rng.standard_normal((m, q))
    return U, Y
