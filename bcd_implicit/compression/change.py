"""How far a smaller model's predictions are from another one's: a bound for every sample, whatever was done to it.

With the states x of the model, r = phi(A'x + B'u + b') - x is what the smaller model makes of them. Its own states x'
are off by D = x' - x with, for each state, ``D = r + phi(z + A'D) - phi(z)``, z = A'x + B'u + b'. Three bounds follow,
each from the one before:

1. ``|D| <= (I - G')^-1 |r|``, G' the gains ``L |A'|``: they have no negative entries, and so neither has the inverse.
2. ``|D| <= |r| + `` the most that phi moves between ``z - w`` and ``z + w``, ``w = |A'| |D|``; again and again.
3. For a phi that never falls, with values from lo to hi between these, ``phi(z + e) - phi(z)`` is ``s e`` with the
   mean slope ``s = (hi - lo) / 2w``, up to a small rest: none where phi is straight there. With
   ``K (I - diag(s) A') = C'`` then ``C'D = K r``, up to ``|K|`` times the rests.

The prediction changes by ``C'D + C'x + D'u + d' - y``. Rounding is counted throughout, and what the model's own states
are off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import inputs_of
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.support.parts import parts
from bcd_implicit.terms.function import ElementwiseFunction

# Of more states the third bound would take too long: it solves a system of them for each sample.
LARGE = 400
# How often the second is taken.
SWEEPS = 8
# Values of phi are right to so many roundings.
VALUES = 8 * EPS


def change_bound(model: ImplicitModel, small: ImplicitModel, U: ArrayLike) -> np.ndarray:
    """For each sample and output a bound on how far the smaller model's prediction is from the model's.

    It is of predictions from the exact equilibria, rounded as sums are. What ``predict`` returns of a model with cycles
    may be off by its own small error beyond that.

    Parameters
    ----------
    model, small : ImplicitModel
        With the same number of states, each in its place, and the same activation.
    U : array-like of shape (m, p)
        Inputs: those that the smaller model was matched on, or new ones.

    Returns
    -------
    ndarray of shape (m, q)
        ``inf`` where none is known: a state's function has no Lipschitz constant.

    Raises
    ------
    InvalidInputError
        Models that do not fit, or inputs.
    NotWellPosedError
        One of the models is not well-posed.
    """
    for letter in "ABC":
        shapes = getattr(model, letter).shape, getattr(small, letter).shape
        if shapes[0] != shapes[1]:
            remedy = "Compare with a model whose states are in the same places: before pruning"
            raise InvalidInputError("small", f"has {letter} of shape {shapes[1]}, the model {shapes[0]}", remedy)
    small.structure().check()
    inputs = inputs_of(model, U).T
    n = model.n_hidden
    found = np.empty((model.C.shape[0], inputs.shape[1]))
    for part in parts(inputs.shape[1], n * n if n <= LARGE else n):
        found[:, part] = _of_some(model, small, inputs[:, part])
    return found.T


def _of_some(model: ImplicitModel, small: ImplicitModel, U: np.ndarray) -> np.ndarray:
    point = model._states(U)
    X, off = point.X, point.error_bound
    A, C, phi = dense(small.A), dense(small.C), small.activation
    z = A @ X + small._drive(U)
    sizes = np.abs(A) @ np.abs(X) + np.abs(dense(small.B)) @ np.abs(U) + np.abs(small.b)[:, None]
    z_off = summation_error(sum(A.shape) + U.shape[0]) * sizes
    # phi of a z that is off: between its values at the ends.
    here, (low, high) = phi(z), phi.image(z - z_off, z + z_off)
    r = here - X
    r_off = np.maximum(high - here, here - low) + VALUES * (np.abs(here) + np.abs(X))
    reach = _reach(A, phi, np.abs(r) + r_off)
    if reach is None:
        return np.full((C.shape[0], U.shape[1]), np.inf)
    for _ in range(SWEEPS):
        better = np.abs(r) + r_off + _moved(phi, z, z_off + _above(np.abs(A), reach))
        if not np.any(better < 0.99 * reach):
            break
        reach = np.minimum(reach, better)
    apart, apart_most = _outputs_apart(model, small, U, X)
    bound = _above(np.abs(C), reach) + apart_most
    if len(A) <= LARGE:
        bound = np.minimum(bound, _linear(A, C, phi, z, z_off, r, r_off, reach, apart, apart_most - np.abs(apart)))
    # Both predictions are rounded, and the model's own states are not exact.
    rounding = sum(summation_error(sum(m.C.shape) + U.shape[0]) * _sizes(m, U, X, reach) for m in (model, small))
    return (bound + rounding) * (1 + 8 * EPS) + np.abs(dense(model.C)).sum(axis=1)[:, None] * off * (1 + EPS * len(A))


def _sizes(model: ImplicitModel, U: np.ndarray, X: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """The sizes of the terms that predictions sum, of states that are as far as ``reach`` from X: shape (q, m)."""
    C, D = np.abs(dense(model.C)), np.abs(dense(model.D))
    return np.asarray(C @ (np.abs(X) + reach) + D @ np.abs(U) + np.abs(model.d)[:, None])


def _outputs_apart(
    model: ImplicitModel, small: ImplicitModel, U: np.ndarray, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(C' - C) x + (D' - D) u + d' - d, shape (q, m), and a bound on its size."""
    # Differences of numbers are right to one rounding.
    C, D, d = (dense(getattr(small, k)) - dense(getattr(model, k)) for k in ("C", "D", "d"))
    apart = C @ X + D @ U + d[:, None]
    sizes = np.abs(C) @ np.abs(X) + np.abs(D) @ np.abs(U) + np.abs(d)[:, None]
    return apart, np.abs(apart) + 2 * summation_error(C.shape[1] + D.shape[1]) * sizes


def _above(M: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The product of matrices without negative entries, never less than it is."""
    return np.asarray(M @ V * (1 + 2 * summation_error(M.shape[1])))


def _reach(A: np.ndarray, phi: ElementwiseFunction, r: np.ndarray) -> np.ndarray | None:
    """(I - G)^-1 r, or a little more; None where phi has no Lipschitz constant."""
    gains = well_posedness.comparison(A, phi)
    if not np.isfinite(gains).all():
        return None
    # |D| <= r + G~ |D|: rows of (I - G) |D| <= holding r, divided by what holds the states back.
    holding = well_posedness.holding(np.diagonal(gains))
    gains = np.where(np.diag(holding > 1), 0.0, gains) / holding[:, None] * (1 + 4 * EPS)
    room = well_posedness.room(gains)
    if room is None:
        return None
    reach = np.linalg.solve(np.eye(len(gains)) - gains, r)
    # Any number that exceeds r + G times itself will do. What rounding lacks to that, the room makes up for.
    lack = r - (reach - gains @ reach) + 2 * summation_error(len(gains)) * (r + np.abs(reach) + gains @ np.abs(reach))
    return np.asarray((reach + np.maximum(lack, 0.0).max(axis=0) / room[:, None]) * (1 + 4 * EPS))


def _moved(phi: ElementwiseFunction, z: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The most that phi moves from its value at z, between z - w and z + w."""
    here, (low, high) = phi(z), phi.image(z - w, z + w)
    return np.maximum(high - here, here - low) + VALUES * (np.abs(here) + np.abs(low) + np.abs(high))


def _linear(
    A: np.ndarray,
    C: np.ndarray,
    phi: ElementwiseFunction,
    z: np.ndarray,
    z_off: np.ndarray,
    r: np.ndarray,
    r_off: np.ndarray,
    reach: np.ndarray,
    apart: np.ndarray,
    apart_off: np.ndarray,
) -> np.ndarray:
    """The third bound on the change of predictions, shape (q, m)."""
    w = z_off + _above(np.abs(A), reach)
    slopes, rest = _straightened(phi, z, w)
    # z itself is off by rounding.
    rest = rest + slopes * z_off + r_off
    M = np.eye(len(A)) - slopes.T[:, :, None] * A
    try:
        K = np.linalg.solve(M.transpose(0, 2, 1), np.broadcast_to(C.T, (len(M), *C.T.shape))).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        return np.full(apart.shape, np.inf)
    # Of any K: C'D = K (I - diag(s) A') D + (C' - K (I - diag(s) A')) D.
    size = np.abs(K)
    missed = np.abs(C - K @ M) + 2 * summation_error(len(A)) * (np.abs(C) + size @ np.abs(M))
    moved = (K @ r.T[:, :, None])[..., 0].T + apart
    loose = size @ (rest + 2 * summation_error(len(A)) * np.abs(r)).T[:, :, None] + missed @ reach.T[:, :, None]
    return np.asarray(np.abs(moved) * (1 + 4 * EPS) + apart_off + loose[..., 0].T * (1 + 4 * EPS * len(A)))


def _straightened(phi: ElementwiseFunction, z: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes s, and the most that ``phi(z + e) - phi(z)`` is from ``s e`` for ``|e| <= w``; both of z's shape.

    Of a phi that never falls, with slopes up to L, that moves up by h over w: at e > 0 it has moved by ``min(L e, h)``
    at the most and by ``L e - (L w - h)`` or 0 at the least, so that the rest is at most ``h (1 - s / L)`` and
    ``s (w - h / L)``. The same holds for e < 0.
    """
    n = len(z)
    here, (low, high) = phi(z), phi.image(z - w, z + w)
    rounding = VALUES * (np.abs(here) + np.abs(low) + np.abs(high))
    up, down = high - here, here - low
    L = np.broadcast_to(phi.slopes(n)[:, None], z.shape)
    moving = phi.rises(n)[:, None] & (w > 0) & (L > 0)
    L, width = np.where(moving, L, 1.0), np.where(moving, w, 1.0)
    s = np.where(moving, np.clip((up + down) / (2 * width), 0.0, L), 0.0)
    rests = [np.maximum(h * (1 - s / L), s * np.maximum(w - h / L, 0.0)) for h in (up, down)]
    # Where phi may fall: no slope, and all that it moves.
    rest = np.where(moving, np.maximum(*rests), np.maximum(up, down))
    return s, rest + 2 * rounding + 4 * EPS * s * w
