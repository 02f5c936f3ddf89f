"""Newton's direction inside a face: linear algebra for :mod:`~bcd_implicit.blocks.proximal_newton`.

With the group lasso's curvature weights_g (I - u_g u_g') = a diagonal - V'V, one row of V a group, it solves::

    (H + diagonal - V'V) d + E'y = -gradient,   E d = 0,

the rows of E being the normals of the boundaries on which the face lies. H is the block's own Hessian. Row by row it
is near weights_i times the Gram matrix of the regressors, and with that in its place the system is solved exactly:
a preconditioner that leaves conjugate gradients a handful of steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bcd_implicit.blocks.face import Face, Terms
from bcd_implicit.blocks.smooth import Hessian
from bcd_implicit.support.interruption import check_stop

# Newton matrices, scaled to unit diagonal, are lifted by this much: collinear inputs make them singular. A direction
# with less curvature than that has none.
LIFT = 1e-12
# Up to so many unknowns the Hessian is factorised.
LARGEST_MATRIX = 300
# And a constant one, whose matrix serves all steps, where that costs no more than three products with it:
# N^3 / 3 operations of N unknowns against 4 m N each.
CHEAP_FACTOR = 36
# The least weight of a row in the preconditioner, relative to the largest.
FLOOR = 1e-6
# The preconditioner by rows, or a constant matrix, may hold so many numbers (160 MB); the former may cost so many steps
# of conjugate gradients.
LARGEST_PRECONDITIONER, DEAREST_PRECONDITIONER = 20_000_000, 20
# How far conjugate gradients reduce the gradient, and their most steps.
ACCURACY, MOST_STEPS = 0.03, 200
# The calls of one step, in floating-point operations.
STEP_OVERHEAD = 1e6
# Solves for right-hand sides of shape (k, n, P).
Solve = Callable[[np.ndarray], np.ndarray]
# Solves for one right-hand side, with the conditions of the face: see :func:`_bordered`.
BorderedSolve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def newton_direction(
    hessian: Hessian, terms: Terms, face: Face, gradient: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Minimise the quadratic model of the objective over the face: shape (n, P).

    Exactly where unknowns are few, or few beside the samples. Else by conjugate gradients, to a small part of the
    gradient: more would be wasted while the face still changes, and at the end the steps add up. ``damping``, shape
    (P,), is added to the Hessian's diagonal.
    """
    # All entries are held at zero: the systems below would be empty.
    if not face.free.any():
        return np.zeros_like(gradient)
    diagonal = terms.ridge + damping
    # The group lasso bends by weights (I - u u'): its diagonal here, -u u' as borders of the system.
    terms.B(diagonal)[:] += face.weights
    few = gradient.size <= LARGEST_MATRIX
    cheap = hessian.constant and gradient.size**2 <= min(CHEAP_FACTOR * hessian.n_samples, LARGEST_PRECONDITIONER)
    matrix = hessian.matrix() if few or cheap else None
    if matrix is not None:
        return _bordered(_matrix_solve(matrix, face.free, diagonal), terms, face, curved=True)(-gradient)[0]
    rows, size = len(gradient), int(face.free.sum(axis=1).max())
    n_borders = int(np.count_nonzero(face.weights)) + face.n_normals
    small = max(rows * size**2, n_borders * gradient.size) <= LARGEST_PRECONDITIONER
    step = 4.0 * hessian.n_samples * gradient.size + STEP_OVERHEAD
    if small and 4.0 * rows * size**3 <= DEAREST_PRECONDITIONER * step:
        precondition = _bordered(_row_model_solve(hessian, face.free, diagonal), terms, face, curved=True)
    else:
        precondition = _bordered(_diagonal_solve(hessian, face.free, diagonal), terms, face, curved=False)
    return _conjugate_gradients(hessian, terms, face, diagonal, gradient, precondition)


def _bordered(solve: Solve, terms: Terms, face: Face, curved: bool) -> BorderedSolve:
    """From a solve with H + diagonal, one with the whole system; without V'V unless ``curved``.

    It returns the solution, and the right-hand side without what the boundaries bear: in the course of conjugate
    gradients that would stay while the rest shrinks, and its rounding push the search off the face.
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
        return lambda R: (solve(R[None])[0], R)
    V, E = sides[:n_groups], sides[n_groups:]
    V[row_of, :, terms.n + columns] = (np.sqrt(face.weights[columns]) * face.facet.units[:, columns]).T
    terms.A(E)[np.arange(n_rows), face.rows] = face.normals
    terms.B(E)[n_rows : n_rows + len(face.facet.ties)] = face.facet.ties
    if face.group_binds:
        terms.B(E)[-1] = face.facet.slope
    solved = solve(sides).reshape(len(sides), -1)
    border = sides.reshape(len(sides), -1)
    # The Schur complement. The -1 makes a border stand for -V'V (Woodbury); without it, it is a condition.
    inner = border @ solved.T
    inner[np.arange(n_groups), np.arange(n_groups)] -= 1
    inverse = _inverse(inner)

    def whole(R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        Z = solve(R[None])[0]
        multipliers = inverse @ (border @ Z.ravel())
        borne = (multipliers[n_groups:] @ border[n_groups:]).reshape(R.shape)
        return Z - (multipliers @ solved).reshape(R.shape), R - borne

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


def _matrix_solve(matrix: np.ndarray, free: np.ndarray, diagonal: np.ndarray) -> Solve:
    """Solves with matrix + diagonal on the free entries."""
    # The matrix is laid out column by column of T: hence the transposes.
    K = matrix.reshape(free.size, free.size)
    on_diagonal = np.diag(K) + diagonal.T.ravel()
    # What has no curvature, such as an input that is zero, does not move. Units play no part.
    used = np.flatnonzero(free.T.ravel() & (on_diagonal > 0))
    if not used.size:
        return np.zeros_like
    unit = np.sqrt(on_diagonal[used])
    K = K[np.ix_(used, used)] / (unit * unit[:, None])
    K[np.diag_indices_from(K)] = on_diagonal[used] / (unit * unit) + LIFT
    factor = cho_factor(K, lower=True, overwrite_a=True, check_finite=False)

    def solve(sides: np.ndarray) -> np.ndarray:
        by_columns = sides.transpose(0, 2, 1).reshape(len(sides), -1)
        solved = np.zeros_like(by_columns)
        solved[:, used] = cho_solve(factor, (by_columns[:, used] / unit).T, check_finite=False).T / unit
        return solved.reshape(len(sides), *free.T.shape).transpose(0, 2, 1)

    return solve


def _row_model_solve(hessian: Hessian, free: np.ndarray, diagonal: np.ndarray) -> Solve:
    """Solves with row_weights_i * Gram + diagonal in each row.

    Scaled to unit diagonal and lifted a little: units play no part, and collinear inputs do no harm.
    """
    # Rows padded to one size are inverted in one call, not in a loop over rows.
    size = int(free.sum(axis=1).max())
    columns = np.argsort(~free, axis=1, kind="stable")[:, :size]
    rows, i = np.arange(len(free))[:, None], np.arange(size)
    some = np.flatnonzero(free.any(axis=0))
    # Padding may point to a column that no row uses: any place will do, for its scale is 0.
    place = np.minimum(np.searchsorted(some, columns), len(some) - 1)
    blocks = hessian.gram_matrix(some)[place[:, :, None], place[:, None, :]]
    blocks *= _floored(hessian.row_weights)[:, None, None]
    blocks[:, i, i] += diagonal[rows, columns]
    on_diagonal = blocks[:, i, i]
    # Scale 0 keeps padding, and what has no curvature, where it is.
    moves = free[rows, columns] & (on_diagonal > 0)
    scale = np.where(moves, 1 / np.sqrt(np.where(on_diagonal > 0, on_diagonal, 1.0)), 0.0)
    blocks *= scale[:, :, None] * scale[:, None, :]
    blocks[:, i, i] = 1.0 + LIFT
    # Inverses, as NumPy has no triangular solve for stacks, and every step of conjugate gradients uses them.
    inverses = np.linalg.inv(blocks) * (scale[:, :, None] * scale[:, None, :])

    def solve(sides: np.ndarray) -> np.ndarray:
        solved = np.zeros_like(sides)
        solved[:, rows, columns] = (inverses @ sides[:, rows, columns].transpose(1, 2, 0)).transpose(2, 0, 1)
        return solved

    return solve


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
    precondition: BorderedSolve,
) -> np.ndarray:
    """The direction, by steps that never leave the face. Every step lowers the model: any number of them will do."""
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

    solution = np.zeros_like(gradient)
    Z, residual = precondition(-gradient)
    search, size = Z, float(np.vdot(residual, Z))
    first = size
    for _ in range(MOST_STEPS):
        # Squares of the preconditioned gradient's length: small enough, or beyond what rounding leaves of a solution.
        if not ACCURACY**2 * first < size < first / LIFT:
            break
        check_stop()
        image = product(search)
        bend = float(np.vdot(search, image))
        if not bend > LIFT * size:
            break
        solution += (size / bend) * search
        Z, residual = precondition(residual - (size / bend) * image)
        last, size = size, float(np.vdot(residual, Z))
        search = Z + (size / last) * search
    return solution
