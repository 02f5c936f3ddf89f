"""Random problems of several sizes, and iterates on which every block has something to do."""

from __future__ import annotations

import numpy as np
import pytest

from bcd_implicit import Iterate, TrainingProblem

# n hidden, p inputs, q outputs, m samples: small, wide (p > m), one hidden feature, many outputs, long.
SIZES = [(1, 1, 1, 5), (1, 30, 2, 20), (3, 4, 2, 30), (5, 8, 20, 40), (12, 6, 3, 60), (4, 10, 1, 200)]


def random_problem(size: tuple[int, int, int, int], seed: int = 0, **options) -> TrainingProblem:
    """With ``groups="pairs"`` neighbouring inputs are grouped."""
    n, p, q, m = size
    if options.get("groups") == "pairs":
        options["groups"] = [f"pair {j // 2}" for j in range(p)]
    rng = np.random.default_rng([seed, *size])
    U = rng.standard_normal((m, p))
    W, C = rng.standard_normal((p, 5)) / np.sqrt(p), rng.standard_normal((5, q))
    Y = np.maximum(U @ W, 0) @ C + 0.3 * rng.standard_normal((m, q))
    return TrainingProblem(U, Y, n, **options)


def random_iterate(problem: TrainingProblem, seed: int = 0, relaxed: bool = True) -> Iterate:
    """Random feasible matrices; states at equilibrium, and with ``relaxed`` moved away from it within the domain."""
    rng = np.random.default_rng([seed, 1])
    shapes = problem.shapes
    it = problem.initial(seed)
    it = it.replace(
        A=problem.row_ball.prox(0.5 * rng.standard_normal(shapes["A"])),
        C=rng.standard_normal(shapes["C"]),
        D=0.3 * rng.standard_normal(shapes["D"]) * problem.pass_through,
        d=rng.standard_normal(shapes["d"]) * problem.fit_intercept,
    )
    it = problem.at_equilibrium(problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it))))
    if relaxed:
        noise = 0.3 * rng.standard_normal(shapes["X"])
        it = it.replace(X=np.clip(it.X + noise, *problem.activation.domain))
    return it


@pytest.fixture(params=SIZES, ids=lambda s: "n{}-p{}-q{}-m{}".format(*s))
def size(request):
    return request.param
