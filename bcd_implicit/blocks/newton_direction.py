"""Newton's direction inside a face: linear algebra for :mod:`~bcd_implicit.blocks.proximal_newton`.

With the group lasso's curvature weights_g (I - u_g u_g') = a diagonal - V'V, one row of V a group, it solves::

    (H + diagonal - V'V) d + E'y = -gradient,   E d = 0,

the rows of E being the normals of the boundaries on which the face lies. H is the block's own Hessian. Row by row it
is near weights_i times the Gram matrix of the regressors, and with that in its place the system is solved exactly:
a preconditioner that leaves conjugate gradients a handful of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from bcd_implicit.blocks.face import Face, Terms

# Newton matrices, scaled to unit diagonal, are lifted by this much: collinear inputs make them singular.
LIFT = 1e-12
# The least weight of a row in the preconditioner, relative to the largest.
FLOOR = 1e-6
# Systems that need more numbers than this (160 MB) are not factorised.
LARGEST_SYSTEM = 20_000_000
# How far conjugate gradients reduce the gradient, the fewest steps worth starting, the most to take.
ACCURACY, LEAST_STEPS, MOST_STEPS = 0.03, 4, 200
# The calls of one step, in floating-point operations; and how many steps the preconditioner may cost at most.
STEP_OVERHEAD, DEAREST_PRECONDITIONER = 1e6, 20
# Solves for right-hand sides of shape (k, n, P).
Solve = Callable[[np.ndarray], np.ndarray]


class Hessian(Protocol):
    """The second derivative of f at one point.

    Attributes
    ----------
    row_weights : ndarray of shape (n,)
        Row by row the Hessian is near these weights times the regressors' Gram matrix.
    """

    row_weights: np.ndarray

    def product(self, V: np.ndarray) -> np.ndarray:
        """Its product with V, shape (n, P)."""
        ...

    def gram_matrix(self, columns: np.ndarray) -> np.ndarray:
        """Mean products of some of the regressors, shape (columns, columns)."""
        ...

    def squares(self) -> np.ndarray:
        """Mean squares of the regressors, shape (P,)."""
        ...

    def cost(self, free: np.ndarray) -> tuple[float, float]:
        """Floating-point operations of :meth:`factorise` and of :meth:`product`."""
        ...

    def storage(self, free: np.ndarray) -> float:
        """How many numbers :meth:`factorise` holds at once."""
        ...

    def factorise(self, free: np.ndarray, diagonal: np.ndarray) -> Solve:
        """A function that solves (H + diagonal) X = R on the free entries."""
        ...


def newton_direction(
    hessian: Hessian, terms: Terms, face: Face, gradient: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Minimise the quadratic model of the objective over the face: shape (n, P).

    By conjugate gradients, to a small part of the gradient: more would be wasted while the face still changes, and at
    the end the steps add up. By a factorisation, if it fits into memory, where that costs only a few such steps or
    where as many steps as it costs were not enough. ``damping``, shape (P,), is added to the Hessian's diagonal.
    """
    # All entries are held at zero: the systems below would be empty.
    if not face.free.any():
        return np.zeros_like(gradient)
    diagonal = terms.ridge + damping
    # The group lasso bends by weights (I - u u'): its diagonal here, -u u' as borders of the system.
    terms.B(diagonal)[:] += face.weights
    factorisation, product = hessian.cost(face.free)
    step = product + STEP_OVERHEAD
    n_sides = np.count_nonzero(face.weights) + face.n_normals
    # Twice the borders: they and what they are solved to.
    fits = hessian.storage(face.free) + 2 * n_sides * gradient.size <= LARGEST_SYSTEM
    steps = min(int(factorisation / step), MOST_STEPS) if fits else MOST_STEPS
    if steps >= LEAST_STEPS:
        size = int(face.free.sum(axis=1).max())
        affordable = 4.0 * len(gradient) * size**3 <= DEAREST_PRECONDITIONER * step
        if affordable and n_sides * gradient.size <= LARGEST_SYSTEM:
            precondition = _bordered(_row_model_solve(hessian, face.free, diagonal), terms, face, curved=True)
        else:
            precondition = _bordered(_diagonal_solve(hessian, face.free, diagonal), terms, face, curved=False)
        direction, done = _conjugate_gradients(hessian, terms, face, diagonal, gradient, precondition, steps)
        if done or not fits:
            return direction
    # A fresh array goes in: the solve changes it in place.
    exact = _bordered(hessian.factorise(face.free, diagonal), terms, face, curved=True)
    return exact(np.where(face.free, -gradient, 0.0))


def _bordered(solve: Solve, terms: Terms, face: Face, curved: bool) -> Callable[[np.ndarray], np.ndarray]:
    """From a solve with H + diagonal, one with the whole system; without V'V unless ``curved``.

    It takes from the right-hand side, in place, what the boundaries bear: in the course of conjugate gradients that
    would stay while the rest shrinks, and its rounding push the search off the face.
    """
    columns = np.flatnonzero(face.weights) if curved else np.zeros(0, dtype=int)
    if terms.groups.alone:
        n_groups, row_of = len(columns), np.arange(len(columns))
    else:
        curved_groups, row_of = np.unique(terms.groups.labels[columns], return_inverse=True)
        n_groups = len(curved_groups)
    n_rows = len(face.rows)
    sides = np.zeros((n_groups + face.n_normals, *face.free.shape))
    if not len(sides):
        return lambda R: solve(R[None])[0]
    V, E = sides[:n_groups], sides[n_groups:]
    V[row_of, :, terms.n + columns] = (np.sqrt(face.weights[columns]) * face.facet.units[:, columns]).T
    terms.A(E)[np.arange(n_rows), face.rows] = face.signs
    terms.B(E)[n_rows : n_rows + len(face.facet.ties)] = face.facet.ties
    if face.group_binds:
        terms.B(E)[-1] = face.facet.slope
    solved = solve(sides).reshape(len(sides), -1)
    border = sides.reshape(len(sides), -1)
    # The Schur complement. The -1 makes a border stand for -V'V (Woodbury); without it, it is a condition.
    inner = border @ solved.T
    inner[np.arange(n_groups), np.arange(n_groups)] -= 1
    inverse = _inverse(inner)

    def whole(R: np.ndarray) -> np.ndarray:
        Z = solve(R[None])[0]
        multipliers = inverse @ (border @ Z.ravel())
        R -= (multipliers[n_groups:] @ border[n_groups:]).reshape(R.shape)
        return Z - (multipliers @ solved).reshape(R.shape)

    return whole


def _inverse(S: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric matrix, or the pseudoinverse where there is none."""
    unit = np.sqrt(np.abs(np.diag(S)))
    # 0 belongs to a condition on entries without curvature, such as those of inputs that are all zero.
    unit[unit == 0] = 1.0
    try:
        inverse = np.linalg.inv(S / unit / unit[:, None])
    except np.linalg.LinAlgError:
        inverse = np.linalg.pinv(S / unit / unit[:, None], hermitian=True)
    return inverse / unit / unit[:, None]


def row_layout(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The free columns of each row, (n, size), rows with fewer of them padded, and which of these are free."""
    # Rows padded to one size are inverted in one call, not in a loop over rows.
    size = int(free.sum(axis=1).max())
    columns = np.argsort(~free, axis=1, kind="stable")[:, :size]
    return columns, free[np.arange(len(free))[:, None], columns]


def solve_by_rows(blocks: np.ndarray, columns: np.ndarray, used: np.ndarray, diagonal: np.ndarray) -> Solve:
    """Solves with a matrix that has a block for each row: (n, size, size), laid out by :func:`row_layout`.

    Scaled to unit diagonal and lifted a little: units play no part, and collinear inputs do no harm.
    """
    rows, i = np.arange(len(blocks))[:, None], np.arange(blocks.shape[1])
    blocks[:, i, i] += diagonal[rows, columns]
    on_diagonal = blocks[:, i, i]
    # Scale 0 keeps padding, and what has no curvature, where it is.
    scale = np.where(used & (on_diagonal > 0), 1 / np.sqrt(np.where(on_diagonal > 0, on_diagonal, 1.0)), 0.0)
    blocks *= scale[:, :, None] * scale[:, None, :]
    blocks[:, i, i] = 1.0 + LIFT
    # Inverses, as NumPy has no triangular solve for stacks, and every step of conjugate gradients uses them.
    inverses = np.linalg.inv(blocks) * (scale[:, :, None] * scale[:, None, :])

    def solve(sides: np.ndarray) -> np.ndarray:
        solved = np.zeros_like(sides)
        solved[:, rows, columns] = (inverses @ sides[:, rows, columns].transpose(1, 2, 0)).transpose(2, 0, 1)
        return solved

    return solve


def _row_model_solve(hessian: Hessian, free: np.ndarray, diagonal: np.ndarray) -> Solve:
    """Solves with row_weights_i * Gram + diagonal in each row."""
    columns, used = row_layout(free)
    some = np.flatnonzero(free.any(axis=0))
    # Padding may point to a column that no row uses: any place will do, for its scale is 0.
    place = np.minimum(np.searchsorted(some, columns), len(some) - 1)
    blocks = hessian.gram_matrix(some)[place[:, :, None], place[:, None, :]]
    blocks *= _floored(hessian.row_weights)[:, None, None]
    return solve_by_rows(blocks, columns, used, diagonal)


def _diagonal_solve(hessian: Hessian, free: np.ndarray, diagonal: np.ndarray) -> Solve:
    """Solves with the diagonal of that; what has no curvature does not move."""
    H = _floored(hessian.row_weights)[:, None] * hessian.squares() + diagonal
    scaling = np.divide(1.0, H, out=np.zeros_like(H), where=free & (H > 0))
    return lambda sides: scaling * sides


def _floored(weights: np.ndarray) -> np.ndarray:
    # A hidden feature that is zero for all samples has weight 0: of its row the ridge alone would be left, or nothing.
    return np.maximum(weights, FLOOR * weights.max())


def _conjugate_gradients(
    hessian: Hessian,
    terms: Terms,
    face: Face,
    diagonal: np.ndarray,
    gradient: np.ndarray,
    precondition: Callable[[np.ndarray], np.ndarray],
    steps: int,
) -> tuple[np.ndarray, bool]:
    """The direction by steps that never leave the face, and whether they met the accuracy."""
    free = face.free.astype(float)

    def product(V: np.ndarray) -> np.ndarray:
        image = hessian.product(V)
        image += diagonal * V
        if face.weights.any():
            units, groups = face.facet.units, terms.groups
            along = face.weights * groups.spread(groups.sums(np.einsum("ij,ij->j", terms.B(V), units)))
            terms.B(image)[:] -= along * units
        image *= free
        return image

    solution, residual = np.zeros_like(gradient), -free * gradient
    Z = precondition(residual)
    search, size = Z, float(np.vdot(residual, Z))
    first = size
    for _ in range(steps):
        # Both are squares of the preconditioned gradient's length.
        if size <= ACCURACY**2 * first:
            return solution, True
        image = product(search)
        bend = float(np.vdot(search, image))
        if bend <= 0:  # rounding: nothing left in this direction
            break
        solution += (size / bend) * search
        residual -= (size / bend) * image
        Z = precondition(residual)
        last, size = size, float(np.vdot(residual, Z))
        search = Z + (size / last) * search
    # Not accurate, but every step lowered the model: it is a direction of descent all the same.
    return solution, False
