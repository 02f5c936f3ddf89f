"""Models put together at random, each with a function that computes its predictions from its parts' formulas alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

import bcd_implicit as bi

FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": expit,
    "identity": lambda z: z,
    "abs": np.abs,
    "softplus": lambda z: np.logaddexp(z, 0),
    "square": np.square,
}
LIPSCHITZ = [name for name in FUNCTIONS if name != "square"]


class Built(NamedTuple):
    """A model, its predictions from those of its parts, and whether it has to be well-posed."""

    model: bi.ImplicitModel
    predict: Callable
    well_posed: bool = True
    lipschitz: bool = True


def drawn_part(rng, p, q, *, radius=None, kind=np.asarray, functions=LIPSCHITZ, cyclic=None) -> Built:
    """A model with blocks of functions, dense or sparse: layers, or cycles of this spectral radius."""
    n = int(rng.integers(2, 6))
    cyclic = rng.random() < 0.6 if cyclic is None else cyclic
    A = rng.standard_normal((n, n)) * (rng.random((n, n)) < 0.7)
    names = rng.choice(functions, 2)
    k = int(rng.integers(1, n))
    radius = rng.uniform(0.2, 0.6) if radius is None else radius
    if cyclic:
        A[0, 1], A[1, 0] = 0.7, -0.9  # there is a cycle
        if radius >= 1:  # negative entries on the diagonal might make it well-posed all the same
            np.fill_diagonal(A, np.abs(np.diagonal(A)))
        A *= radius / np.abs(np.linalg.eigvals(np.abs(A))).max()
        if radius >= 1:
            names[:] = "relu"
    else:
        A = np.triu(A, 1)
        names[0] = rng.choice([*functions, "square"])
    B, C, D = (rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in ((n, p), (q, n), (q, p)))
    b, d = rng.standard_normal(n) / 2, rng.standard_normal(q) / 2
    order = rng.permutation(n)
    # Blocks are of neighbours, but not the graph's order.
    if not cyclic:
        names_of_states = np.array([names[0]] * k + [names[1]] * (n - k))[order]
        A, B, b, C = A[np.ix_(order, order)], B[order], b[order], C[:, order]
    else:
        names_of_states = np.array([names[0]] * k + [names[1]] * (n - k))
    model = bi.ImplicitModel(kind(A), kind(B), b, kind(C), kind(D), d, [(str(name), 1) for name in names_of_states])

    def phi(Z):
        return np.stack([FUNCTIONS[name](z) for name, z in zip(names_of_states, Z, strict=True)])

    def predict(U):
        X, drive = np.zeros((n, len(U))), B @ U.T + b[:, None]
        for _ in range(500):
            last, X = X, phi(A @ X + drive)
            if np.abs(X - last).max() <= 1e-16 * np.abs(X).max():
                break
        return (C @ X + D @ U.T + d[:, None]).T

    return Built(model, predict, not cyclic or radius < 1, "square" not in names_of_states)


def drawn_graph(rng, n_parts, *, ill_posed=0.0, feedback=True) -> Built:
    """So many models put together by operators drawn at random, with one input more or less on the way."""
    kinds = [np.asarray, np.asarray, sp.csr_array]

    def part(p, q):
        radius = rng.uniform(1.1, 2.0) if rng.random() < ill_posed else None
        kind = kinds[rng.integers(3)]
        return drawn_part(rng, p, q, radius=radius, kind=kind, cyclic=True if radius else None)

    f = part(int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    n_feedbacks = 0
    for _ in range(n_parts - 1):
        p, q = f.model.B.shape[1], f.model.C.shape[0]
        joins = ["after", "before", "sum", "difference", "product"] + ["stack"] * (q < 4) + ["parallel"] * (p + q < 7)
        f = _joined(rng, str(rng.choice(joins)), f, part)
        change = str(rng.choice(["none", "scale", "move", "M", "N", "feedback"]))
        if change == "feedback":
            n_feedbacks += 1
        # One feedback inside another is solved by iterations inside iterations.
        f = f if change == "feedback" and (n_feedbacks > 2 or not feedback) else _changed(rng, change, f)
    return f


def _joined(rng, join, f, part) -> Built:
    p, q = f.model.B.shape[1], f.model.C.shape[0]
    if join in ("after", "before"):
        g = part(q, int(rng.integers(1, 4))) if join == "after" else part(int(rng.integers(1, 4)), p)
        first, then = (f, g) if join == "after" else (g, f)
        model, predict = then.model @ first.model, lambda U: then.predict(first.predict(U))
    elif join == "parallel":
        g = part(2, 1)
        model = f.model & g.model
        predict = lambda U: np.hstack([f.predict(U[:, :p]), g.predict(U[:, p:])])  # noqa: E731
    elif join == "stack":
        g = part(p, 1)
        model, predict = f.model | g.model, lambda U: np.hstack([f.predict(U), g.predict(U)])
    else:
        g = part(p, q)
        if join == "product":  # as exact as the larger of the factors' squares: they are to be of one size
            f, g = _of_size_one(f), _of_size_one(g)
        model, combine = {
            "sum": lambda: (f.model + g.model, np.add),
            "difference": lambda: (f.model - g.model, np.subtract),
            "product": lambda: (f.model * g.model, np.multiply),
        }[join]()
        predict = lambda U: combine(f.predict(U), g.predict(U))  # noqa: E731
    lipschitz = f.lipschitz and g.lipschitz and join != "product"
    return Built(model, predict, f.well_posed and g.well_posed, lipschitz)


def _of_size_one(f) -> Built:
    if not f.well_posed:
        return f
    size = np.abs(f.predict(np.random.default_rng(0).standard_normal((8, f.model.B.shape[1])))).max()
    return f._replace(model=f.model / size, predict=lambda U: f.predict(U) / size)


def _changed(rng, change, f) -> Built:
    p, q = f.model.B.shape[1], f.model.C.shape[0]
    if change == "scale":
        factors = rng.uniform(0.3, 1, q) * rng.choice([-1, 1])
        return f._replace(model=factors * f.model, predict=lambda U: factors * f.predict(U))
    if change == "move":
        return f._replace(model=0.3 - f.model, predict=lambda U: 0.3 - f.predict(U))
    if change == "M":
        M = rng.standard_normal((int(rng.integers(1, 4)), q)) / q
        return f._replace(model=M @ f.model, predict=lambda U: f.predict(U) @ M.T)
    if change == "N":
        N = rng.standard_normal((p, int(rng.integers(1, 4)))) / p
        return f._replace(model=f.model @ N, predict=lambda U: f.predict(U @ N.T))
    if change == "feedback" and f.lipschitz and f.well_posed:
        K = rng.standard_normal((p, q))
        K *= rng.uniform(0.05, 0.2) / bi.compose.small_gain(f.model, K).gain

        def predict(W):
            Y = np.zeros((len(W), q))
            for _ in range(60):
                last, Y = Y, f.predict(W + Y @ K.T)
                if np.abs(Y - last).max() <= 1e-15 * np.abs(Y).max():
                    break
            return Y

        return f._replace(model=f.model.feedback(K), predict=predict)
    return f
