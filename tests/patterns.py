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


def mixed_masks(p: int, q: int) -> dict[str, np.ndarray]:
    """Seven states: two that see the inputs, three on a cycle that see these, two that see the cycle and the inputs."""
    A = np.zeros((7, 7), dtype=bool)
    A[2:5, :2], A[2:5, 2:5], A[5:, 2:5] = True, ~np.eye(3, dtype=bool), True
    state = np.arange(7)
    return {
        "A": A,
        "B": np.tile(((state < 2) | (state >= 5))[:, None], p),
        "C": np.tile(state >= 2, (q, 1)),
        "D": np.zeros((q, p), dtype=bool),
    }


def iterate_with_large_links(problem: TrainingProblem, block: str, seed: int = 0, size: float = 2.0) -> Iterate:
    """A random iterate whose entries of A on no cycle are large: ||A||_inf is beyond 1."""
    rng = np.random.default_rng([seed, 5])
    it = masked_iterate(problem, "output", seed)
    links = problem.pattern.entries("A", it.A.shape) & ~problem.row_set.inside
    it = it.replace(A=it.A + np.where(links, size * rng.standard_normal(it.A.shape), 0.0))
    it = problem.at_equilibrium(it)
    if block == "prox-linear":
        return it
    noise = 0.1 * rng.standard_normal(it.X.shape)
    return it.replace(X=np.clip(it.X + noise, *problem.activation.domain))
