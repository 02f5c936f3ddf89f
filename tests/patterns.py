"""Masks of free entries: random ones, and that of a network's layers."""

from __future__ import annotations

import numpy as np
from problems import random_iterate

from bcd_implicit import Iterate, TrainingProblem


def random_masks(shapes: dict[str, tuple[int, ...]], seed: int = 0, *, pass_through=True) -> dict[str, np.ndarray]:
    """About half of all entries are free; no entry of a column of B, of a row of A and of one of C is."""
    rng = np.random.default_rng([seed, 17])
    masks = {letter: rng.random(shapes[letter]) < 0.6 for letter in "ABCD"}
    masks["B"][:, 0] = masks["A"][0] = masks["C"][-1] = False
    masks["B"][0, -1] = masks["D"][0, 0] = True
    return masks if pass_through else {letter: masks[letter] for letter in "ABC"}


def network_masks(p: int, layers: list[int], q: int) -> dict[str, np.ndarray]:
    """A perceptron's: the last layer first, so that A is strictly upper block triangular."""
    layer = np.repeat(np.arange(len(layers)), layers)[::-1]
    first, last = layer == 0, layer == len(layers) - 1
    return {
        "A": layer[:, None] == layer + 1,
        "B": np.tile(first[:, None], p),
        "C": np.tile(last, (q, 1)),
        "D": np.zeros((q, p), dtype=bool),
    }


def masked_iterate(problem: TrainingProblem, block: str, seed: int = 0) -> Iterate:
    """A random iterate that keeps to the pattern."""
    it = problem.pattern.applied(random_iterate(problem, seed))
    return problem.at_equilibrium(it) if block == "prox-linear" else it


def entries_held(problem: TrainingProblem, it: Iterate) -> np.ndarray:
    """What should be zero, in one array."""
    return np.concatenate([getattr(it, letter)[~mask] for letter, mask in problem.pattern.free.items()])
