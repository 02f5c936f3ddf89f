"""Small problems under constraints of the user, for the tests of all rooms that these reach."""

import warnings

import numpy as np
from problems import random_iterate, random_problem

import bcd_implicit as bi

SIZE = (4, 5, 2, 40)  # n, p, q, m

N, P, Q, M = SIZE

# Those of blocks, which take constraints.
METHODS = [name for name, method in bi.METHODS.items() if method.by_blocks]

BLOCK_OF = {"A": "hidden", "B": "hidden", "b": "hidden", "C": "output", "D": "output", "d": "output"}


def problem_with(*constraints, **options):
    return random_problem(SIZE, **{"norm_bound": 0.8, "kappa": 0.02} | options, constraints=constraints)


def start_of(problem, block):
    return random_iterate(problem, relaxed=block != "prox-linear")


def train(problem, method="prox-linear", **options):
    """A few cycles; that they are too few is no news, and every other warning is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*stopped at max_cycles", category=bi.ConvergenceWarning)
        return bi.solve(problem, method, **{"max_cycles": 3} | options)


def ones(rows, columns, **entries):
    """All ones but for entries such as r0c1=5."""
    X = np.ones((rows, columns))
    for place, value in entries.items():
        X[int(place[1]), int(place[3])] = value
    return X


TRIANGLE = np.triu(np.ones((N, N)), 1)

LAYERS = np.kron([[0, 1], [0, 0]], np.ones((2, 2)))

MASK = np.eye(Q, P, dtype=bool)
