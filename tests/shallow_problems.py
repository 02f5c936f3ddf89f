"""Small shallow problems and points of the deep model, for the tests of the convergence theorem."""

import numpy as np

from bcd_implicit import LOSSES
from bcd_implicit.experiments.convergence_model import DeepLinear
from bcd_implicit.experiments.convergence_shallow import Shallow


def squared(n=4, q=3, m=10, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    Psi = rng.standard_normal((n, m))
    if rank is not None:
        Psi = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    return Shallow(Psi, rng.standard_normal((q, m)), LOSSES["squared"])


def classes(n=3, q=4, m=40, seed=0, labels=None):
    rng = np.random.default_rng(seed)
    labels = np.arange(m) % q if labels is None else np.asarray(labels)
    return Shallow(rng.standard_normal((n, m)), np.eye(q)[:, labels], LOSSES["cross-entropy"])


def deep(n=4, q=3, gamma=0.8, seed=0):
    rng = np.random.default_rng(seed)
    return DeepLinear(rng.standard_normal((n, n)), rng.standard_normal((q, n)), gamma)


def differences(function, at, step=1e-6):
    """The gradient of a function of an array, by central differences."""
    gradient = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        change = np.zeros_like(at)
        change[i] = step
        gradient[i] = (function(at + change) - function(at - change)) / (2 * step)
    return gradient
