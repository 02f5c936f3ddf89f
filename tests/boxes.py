"""Models of all kinds with boxes of inputs, and the corners of these."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy.sparse as sp

import bcd_implicit as bi

LETTERS = ("A", "B", "b", "C", "D", "d")


def drawn(rng, n=8, p=3, q=2, activation="relu", norm=0.6, **options):
    """A dense model with ||A||_inf = norm."""
    A = rng.normal(size=(n, n))
    A *= norm / np.abs(A).sum(axis=1).max()
    sizes = ((n, p), (n,), (q, n), (q, p), (q,))
    B, b, C, D, d = (rng.normal(size=size) for size in sizes)
    return bi.ImplicitModel(A, B, b, C, D, d, activation, **options)


def held_back(rng, n=8, p=3, q=2, activation="relu"):
    """One that only its matrix measure proves well-posed."""
    A = 0.4 * rng.normal(size=(n, n)) - np.diag(rng.uniform(0, 6, n))
    A -= max((np.abs(A).sum(axis=1) + 2 * np.minimum(np.diagonal(A), 0)).max() - 0.8, 0) * np.eye(n)
    B, b, C = (rng.normal(size=size) for size in ((n, p), (n,), (q, n)))
    return bi.ImplicitModel(A, B, b, C, activation=activation)


def layers(rng, sizes, activation="relu", kind=np.asarray):
    """A perceptron: its model and its weights and offsets, the first layer first."""
    weights = [rng.normal(size=(k, j)) / np.sqrt(j) for j, k in pairwise(sizes)]
    offsets = [rng.normal(size=k) / 2 for k in sizes[1:]]
    hidden, n = sizes[1:-1], sum(sizes[1:-1])
    ends = np.cumsum([0, *hidden])
    places = [slice(a, b) for a, b in pairwise(ends)]
    A, B, C = np.zeros((n, n)), np.zeros((n, sizes[0])), np.zeros((sizes[-1], n))
    B[places[0]], C[:, places[-1]] = weights[0], weights[-1]
    for before, here, W in zip(places[:-1], places[1:], weights[1:-1], strict=True):
        A[here, before] = W
    model = bi.ImplicitModel(kind(A), kind(B), np.concatenate(offsets[:-1]), kind(C), None, offsets[-1], activation)
    return model, weights, offsets


def made_sparse(model):
    parts = [getattr(model, letter) for letter in LETTERS]
    return bi.ImplicitModel(*(sp.csr_array(M) if M.ndim == 2 else M for M in parts), model.activation)


def inside(rng, U, radius, n_points):
    """Inputs in the boxes, most of them corners: shape (n_points, m, p)."""
    shares = rng.choice([-1.0, 1.0, 0.3], size=(n_points, *U.shape), p=[0.45, 0.45, 0.1])
    return U + np.broadcast_to(radius, U.shape) * shares


def on_spheres(rng, U, radius, n_points):
    """Inputs in the balls, most of them on the sphere: shape (n_points, m, p)."""
    shares = rng.normal(size=(n_points, *U.shape)) * rng.choice([0.0, 1.0], (n_points, *U.shape), p=[0.3, 0.7])
    length = np.linalg.norm(shares, axis=2, keepdims=True)
    shares /= np.where(length > 0, length, 1) * rng.choice([1.0, 2.0], (n_points, len(U), 1), p=[0.9, 0.1])
    return U + np.broadcast_to(radius, U.shape) * shares


def reached(model, points):
    """The least and the largest predictions at points (k, m, p): each (m, q)."""
    Y = model.predict(points.reshape(-1, points.shape[2])).reshape(*points.shape[:2], -1)
    return Y.min(axis=0), Y.max(axis=0)
