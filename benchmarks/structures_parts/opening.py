"""A perceptron with its zeros freed: which entries fill, and how nearly a free A is feedforward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import bcd_implicit as bi
from structures_parts.tables import WIDTH, Data, judged, problem_of, timed

LAST, FIRST = slice(0, WIDTH), slice(WIDTH, 2 * WIDTH)
# Entries that carry less than this share of the largest do not count as filled.
COUNTS = 0.01
SHUFFLES = 20


def carried(problem: bi.TrainingProblem, it: bi.Iterate) -> dict[str, np.ndarray]:
    """What each entry brings to its row: |A_ij| times the standard deviation of x_j, and so for B and C.

    It does not depend on the units of the states, which relu leaves open, but for those of the row itself. Rows of
    (A B) and of C are divided by the root of their sum of squares.
    """
    x, u = it.X.std(axis=1), problem.U.std(axis=1)
    A, B, C = np.abs(it.A) * x, np.abs(it.B) * u, np.abs(it.C) * x
    rows = [np.sqrt(np.sum(part**2, axis=1))[:, None] for part in (np.hstack([A, B]), C)]
    into, out = (np.where(row > 0, row, 1.0) for row in rows)
    return {"A": A / into, "B": B / into, "C": C / out}


def filled(problem: bi.TrainingProblem, it: bi.Iterate) -> dict[str, Any]:
    """Shares of what drives the states of a layer and the outputs, by where it comes from; and entries that count."""
    parts = {letter: part**2 for letter, part in carried(problem, it).items()}
    blocks = {
        "last from first": parts["A"][LAST, FIRST],
        "last from itself": parts["A"][LAST, LAST],
        "last from inputs": parts["B"][LAST],
        "first from inputs": parts["B"][FIRST],
        "first from itself": parts["A"][FIRST, FIRST],
        "first from last": parts["A"][FIRST, LAST],
        "outputs from last": parts["C"][:, LAST],
        "outputs from first": parts["C"][:, FIRST],
    }
    least = COUNTS**2 * max(float(part.max()) for part in parts.values())
    counted = {name: [int((block > least).sum()), block.size] for name, block in blocks.items()}
    # Rows of states that nothing drives are no part of the mean.
    shares = {name: float(block.sum() / max((block.sum(axis=1) > 0).sum(), 1)) for name, block in blocks.items()}
    totals: dict[str, float] = {}
    for name, share in shares.items():
        totals[name.split()[0]] = totals.get(name.split()[0], 0.0) + share
    return {"shares": {name: share / totals[name.split()[0]] for name, share in shares.items()}, "counted": counted}


def feedforward_share(weights: np.ndarray, n_starts: int = 5, seed: int = 0) -> float:
    """The largest share of the weights found above the diagonal in any order of the states: at 1 there is no cycle.

    The best order is a hard problem. This is a local one: no state is better put elsewhere, best of several starts.
    """
    n, rng = len(weights), np.random.default_rng(seed)
    gains = weights - weights.T
    best = -np.inf
    for start in range(n_starts):
        order = np.argsort(-gains.sum(axis=1)) if start == 0 else rng.permutation(n)
        moved = True
        while moved:
            moved = False
            for state in range(n):
                rest = order[order != state]
                # At place k it sends to rest[:k] and receives from the others: what that changes of the sum.
                change = np.concatenate([[0.0], np.cumsum(-gains[state, rest])])
                here, there = int(np.flatnonzero(order == state)[0]), int(change.argmax())
                if change[there] > change[here] + 1e-12:
                    order, moved = np.insert(rest, there, state), True
        best = max(best, float(np.triu(weights[np.ix_(order, order)], 1).sum()))
    return best / max(float(weights.sum()), np.finfo(float).tiny)


def order_of(problem: bi.TrainingProblem, it: bi.Iterate) -> dict[str, float]:
    """The share of what A carries that some order makes feedforward, and the same of the entries shuffled."""
    weights, rng = carried(problem, it)["A"] ** 2, np.random.default_rng(0)
    off = ~np.eye(len(weights), dtype=bool)
    shuffled = []
    for _ in range(SHUFFLES):
        other = weights.copy()
        other[off] = rng.permutation(weights[off])
        shuffled.append(feedforward_share(other, n_starts=1))
    return {"feedforward": feedforward_share(weights), "shuffled": float(np.mean(shuffled))}


def ladder(data: Data, ridge: float) -> dict[str, tuple[bi.TrainingProblem, str | None]]:
    """Problems by name, from the perceptron to a free A, and from whose result each begins."""
    held = problem_of(data, ridge, "relu")
    free = held.replace(pattern=None)
    return {
        "layers": (held, None),
        "free": (free, "layers"),
        "layers and shortcuts": (held.replace(pattern={"A": held.pattern.free["A"]}), "layers"),
        "free, from the start": (free, None),
        "free, norm bound 0.5": (free.replace(norm_bound=0.5), "layers"),
    }


def climb(data: Data, ridge: float, seed: int, **settings: Any) -> Iterator[tuple[str, Any, bi.BcdResult, float]]:
    """Every step of the ladder: its name, the objective where it begins, the result, and seconds.

    ``settings`` are bi.solve's.
    """
    results: dict[str, bi.BcdResult] = {}
    for name, (problem, origin) in ladder(data, ridge).items():
        start, before = None, None
        if origin is not None:
            # A free A is bounded in its norm, a perceptron's is not: in other units of its states it is as well.
            model = results[origin].model
            start = problem.iterate(model if problem.pattern else model.rescaled())
            before = problem.objective_at_states(start)
        arguments = {"random_state": seed, "start": start, **settings}
        results[name], seconds = timed(lambda p=problem, a=arguments: bi.solve(p, **a))
        yield name, before, results[name], seconds


def rows(data: Data, ridge: float, seed: int, **settings: Any) -> list[dict[str, Any]]:
    """A row a step of the ladder; ``settings`` are bi.solve's."""
    found = []
    for name, before, result, seconds in climb(data, ridge, seed, **settings):
        problem, it = result.problem, result.iterate
        about = {"table": data.name, "problem": name, "seed": seed, "seconds": seconds, "before": before}
        about |= {"cycles": result.n_cycles, "zeros": int((it.A == 0).sum())}
        about |= judged(result.model, data, problem) | filled(problem, it)
        found.append(about | ({} if problem.pattern else order_of(problem, it)))
    return found
