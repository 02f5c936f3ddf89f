"""Cones in which the rows of a compiled problem lie: the nearest point of each, and of its dual.

Those of several equal cones are given as an array of shape (cones, size). A method may return a point of the cone that
is near rather than nearest where a projection has no closed form: a certificate only asks that it lies inside.
"""

from __future__ import annotations

import numpy as np


class Cone:
    """A cone that is its own dual; a subclass of which this is not true gives :meth:`dual` too."""

    def inside(self, s: np.ndarray) -> np.ndarray:
        """Points of the cone near these."""
        raise NotImplementedError

    def dual(self, y: np.ndarray) -> np.ndarray:
        """Points of the dual cone near these."""
        return self.inside(y)


class Zero(Cone):
    """s = 0: any multiplier will do."""

    def inside(self, s):
        return np.zeros_like(s)

    def dual(self, y):
        return y


class Nonnegative(Cone):
    """s >= 0."""

    def inside(self, s):
        return np.maximum(s, 0.0)


class SecondOrder(Cone):
    """s_0 >= ||(s_1, ..)||_2."""

    def inside(self, s):
        length = np.sqrt(np.sum(s[:, 1:] ** 2, axis=1))
        mean = np.maximum(0.5 * (s[:, 0] + length), 0.0)
        scale = np.divide(mean, length, out=np.zeros_like(length), where=length > 0)
        nearest = np.column_stack([mean, scale[:, None] * s[:, 1:]])
        return np.where((length <= s[:, 0])[:, None], s, nearest)


class Semidefinite(Cone):
    """Symmetric positive semidefinite matrices: a triangle of each, entries off the diagonal times sqrt(2).

    ``rows`` and ``columns`` are the places of the entries.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray) -> None:
        self.rows, self.columns = rows, columns
        self.scale = np.where(rows == columns, 1.0, np.sqrt(2.0))

    def inside(self, s):
        order = int(self.rows.max()) + 1
        full = np.zeros((len(s), order, order))
        full[:, self.rows, self.columns] = full[:, self.columns, self.rows] = s / self.scale
        values, vectors = np.linalg.eigh(full)
        full = (vectors * np.maximum(values, 0.0)[:, None, :]) @ vectors.transpose(0, 2, 1)
        return full[:, self.rows, self.columns] * self.scale


class Exponential(Cone):
    """s_2 >= s_1 exp(s_0 / s_1), s_1 > 0, and where s_1 = 0: s_0 <= 0 <= s_2."""

    def inside(self, s):
        x, y, z = s[:, 0], np.maximum(s[:, 1], 0.0), s[:, 2]
        interior = y > 0
        least = np.where(interior, y * np.exp(x / np.where(interior, y, 1.0)), 0.0)
        return np.column_stack([np.where(interior, x, np.minimum(x, 0.0)), y, np.maximum(z, least)])

    def dual(self, y):
        """Points (u, v, w) with e w >= -u exp(v / u), u < 0; and where u = 0: v, w >= 0.

        Either w is raised or v is, whichever changes less.
        """
        u, v, w = np.minimum(y[:, 0], 0.0), y[:, 1], np.maximum(y[:, 2], 0.0)
        size, interior = np.where(u < 0, -u, 1.0), u < 0
        least_w = np.where(interior, size * np.exp(np.minimum(-v / size - 1, 700.0)), 0.0)
        least_v = np.where(interior & (w > 0), -size * (1 + np.log(np.where(w > 0, w, 1.0) / size)), 0.0)
        raise_v = ~interior | (w > 0) & (least_v - v < least_w - w)
        return np.column_stack(
            [u, np.where(raise_v, np.maximum(v, least_v), v), np.where(raise_v, w, np.maximum(w, least_w))]
        )


class Power(Cone):
    """``s_0^a s_1^(1-a) >= |s_2|`` with s_0, s_1 >= 0; ``a`` a number, or one a cone."""

    def __init__(self, a: np.ndarray) -> None:
        self.a = a

    def inside(self, s):
        x, y = np.maximum(s[:, 0], 0.0), np.maximum(s[:, 1], 0.0)
        most = x**self.a * y ** (1 - self.a)
        return np.column_stack([x, y, np.clip(s[:, 2], -most, most)])

    def dual(self, y):
        scale = np.column_stack([self.a * np.ones(len(y)), (1 - self.a) * np.ones(len(y)), np.ones(len(y))])
        return self.inside(y / scale) * scale
