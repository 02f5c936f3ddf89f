"""Problems with sample weights, and random weights."""

import numpy as np
from problems import OPTIONS, random_problem

SIZE = (4, 6, 3, 30)

FORMS = {name: OPTIONS[name] for name in ("penalty", "constraint", "plain", "leaky", "clip", "pairs", "stacked")} | {
    "stacked, constraint": OPTIONS["stacked, constraint"],
    "stacked, plain": {"kappa": 0.1, "group_over": "BD", "fit_intercept": False, "ridge_hidden": 0.0},
}


def weighted_and_repeated(**options):
    """A problem with weights 1 to 3, the same with repeated samples, and the sample of each of these."""
    plain = random_problem(SIZE, **options)
    counts = np.random.default_rng(0).integers(1, 4, plain.n_samples)
    rows = np.repeat(np.arange(plain.n_samples), counts)
    return random_problem(SIZE, sample_weight=counts, **options), plain.subset(rows), rows


def random_weights(m, spread=1.0, seed=0):
    return np.random.default_rng([seed, m]).lognormal(0.0, spread, m)
