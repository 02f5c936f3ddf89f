"""How far a smaller model's predictions are from another one's: a bound for every sample, whatever was done to it.

With the states x of the model, r = phi(A'x + B'u + b') - x is what the smaller model makes of them. Its own states x'
are off by D = x' - x with, for each state, ``D = r + phi(z + A'D) - phi(z)``, z = A'x + B'u + b'. Three bounds follow,
stage by stage, each from the one before:

1. On a cycle, ``|D| <= (I - G')^-1 (|r| + L w)``, G' the gains ``L |A'|`` and w what earlier stages are off, times
   ``|A'|``. The inverse has no negative entries.
2. ``|D| <= |r| + `` the most that phi moves between ``z - w`` and ``z + w``, ``w = |A'| |D|``; on a cycle again and
   again.
3. For a phi that never falls, with values from lo to hi between these, ``phi(z + e) - phi(z)`` is ``s e`` with the
   mean slope ``s = (hi - lo) / 2w``, up to a small rest: none where phi is straight there. With
   ``K (I - diag(s) A') = C'``, which one sweep backwards solves, ``C'D = K r`` then, up to ``|K|`` times the rests.

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
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.structure import Stage
from bcd_implicit.support.parts import parts
from bcd_implicit.terms.function import ElementwiseFunction

# With more states on a cycle the third bound would take too long: it solves a system of them for each sample.
LARGE = 400
# How often the second is taken on a cycle.
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
            remedy = "Compare before pruning, while both models have the same states"
            raise InvalidInputError("small", f"has {letter} of shape {shapes[1]}, the model {shapes[0]}", remedy)
    small.structure().check()
    inputs = inputs_of(model, U).T
    q, n = model.C.shape
    found = np.empty((q, inputs.shape[1]))
    for part in parts(inputs.shape[1], n * q + sum(len(states) ** 2 for states in small.structure().cycles)):
        found[:, part] = _of_some(model, small, inputs[:, part])
    return found.T


def _of_some(model: ImplicitModel, small: ImplicitModel, U: np.ndarray) -> np.ndarray:
    point = model._states(U)
    X, off = point.X, point.error_bound
    phi, stages = small.activation, small.structure().stages
    z = small.A @ X + small._drive(U)
    sizes = np.abs(small.A) @ np.abs(X) + np.abs(small.B) @ np.abs(U) + np.abs(small.b)[:, None]
    z_off = summation_error(sum(small.B.shape)) * sizes
    # phi of a z that is off: between its values at the ends.
    here, (low, high) = phi(z), phi.image(z - z_off, z + z_off)
    r = here - X
    r_off = np.maximum(high - here, here - low) + VALUES * (np.abs(here) + np.abs(X))
    reach = _reach(stages, z, z_off, np.abs(r) + r_off)
    apart, apart_most = _outputs_apart(model, small, U, X)
    bound = _above(np.abs(small.C), reach) + apart_most
    if all(stage.cycle is None or len(stage.cycle.A) <= LARGE for stage in stages):
        linear = _linear(small, stages, z, z_off, r, r_off, reach, apart, apart_most - np.abs(apart))
        bound = np.minimum(bound, linear)
    # Both predictions are rounded, and the model's own states are not exact.
    rounding = sum(summation_error(sum(m.C.shape) + U.shape[0]) * _sizes(m, U, X, reach) for m in (model, small))
    own = np.asarray(np.abs(model.C).sum(axis=1)).reshape(-1, 1) * off * (1 + EPS * len(X))
    return np.asarray((bound + rounding) * (1 + 8 * EPS) + own)


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


def _above(M: Matrix, V: np.ndarray) -> np.ndarray:
    """The product of matrices without negative entries, never less than it is."""
    return np.asarray(M @ V * (1 + 2 * summation_error(M.shape[1])))


def _reach(stages: list[Stage], z: np.ndarray, z_off: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The first bound and the second, (n, m)."""
    reach = np.zeros_like(z)
    for stage in stages:
        here, phi = stage.states, stage.function
        w = np.zeros_like(z[here])
        if stage.before is not None:
            w = stage.before.sizes_times(reach) * (1 + 2 * summation_error(stage.n_terms))
        if stage.cycle is None:
            reach[here] = r[here] + _moved(phi, z[here], z_off[here] + w)
            continue
        gains, slopes = stage.cycle.gains, phi.slopes(len(w))[:, None]
        # |D| <= r + G~ |D| + ...: the rows of (I - G) |D| <= holding r + L ..., divided by what holds the states back.
        holding = well_posedness.holding(np.diagonal(gains))[:, None]
        gains = np.where(np.diag(holding[:, 0] > 1), 0.0, gains) / holding * (1 + 4 * EPS)
        found = well_posedness.inverse_bound(gains, r[here] + slopes / holding * (w + z_off[here]) * (1 + 4 * EPS))
        for _ in range(SWEEPS):
            around = z_off[here] + w + _above(np.abs(stage.cycle.A), found)
            better = r[here] + _moved(phi, z[here], around)
            if not np.any(better < 0.99 * found):
                break
            found = np.minimum(found, better)
        reach[here] = found
    return reach


def _moved(phi: ElementwiseFunction, z: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The most that phi moves from its value at z, between z - w and z + w."""
    here, (low, high) = phi(z), phi.image(z - w, z + w)
    return np.maximum(high - here, here - low) + VALUES * (np.abs(here) + np.abs(low) + np.abs(high))


def _linear(
    small: ImplicitModel,
    stages: list[Stage],
    z: np.ndarray,
    z_off: np.ndarray,
    r: np.ndarray,
    r_off: np.ndarray,
    reach: np.ndarray,
    apart: np.ndarray,
    apart_off: np.ndarray,
) -> np.ndarray:
    """The third bound on the change of predictions, shape (q, m)."""
    w = z_off + _above(np.abs(small.A), reach)
    slopes, rest = _straightened(small.activation, z, w)
    # z itself is off by rounding.
    rest = rest + slopes * z_off + r_off
    C = dense(small.C).T[:, None, :]
    K = _backwards(stages, C, slopes)
    # Of any K: C'D = K (I - diag(s) A') D + (C' - K (I - diag(s) A')) D.
    weighed, size, error = slopes[:, :, None] * K, np.abs(K), summation_error(len(z) + 2)
    missed = np.abs(C - K + _times(small.A, weighed))
    missed += 2 * error * (np.abs(C) + size + _times(np.abs(small.A), np.abs(weighed)))
    moved = np.einsum("nmq,nm->qm", K, r) + apart
    loose = np.einsum("nmq,nm->qm", size, rest + 2 * error * np.abs(r)) + np.einsum("nmq,nm->qm", missed, reach)
    return np.asarray(np.abs(moved) * (1 + 4 * EPS) + apart_off + loose * (1 + 4 * EPS * len(z)))


def _backwards(stages: list[Stage], C: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """K with ``K (I - diag(s) A) = C`` for each sample, nearly: shape (n, m, q), of C (n, 1, q) and slopes (n, m)."""
    K = np.repeat(C, slopes.shape[1], axis=1)
    for stage in reversed(stages):
        here, s = K[stage.states], slopes[stage.states]
        if stage.cycle is not None:
            M = np.eye(len(s)) - s.T[:, :, None] * stage.cycle.A
            try:
                here = np.linalg.solve(M.transpose(0, 2, 1), here.transpose(1, 0, 2)).transpose(1, 0, 2)
            except np.linalg.LinAlgError:
                # What K misses is counted, whatever it is.
                here = np.zeros_like(here)
            K[stage.states] = here
        if stage.before is not None:
            K[stage.before.columns] += _times(stage.before.rows, s[:, :, None] * here)
    return K


def _times(A: Matrix, K: np.ndarray) -> np.ndarray:
    """A'K for every sample, of K (n, m, q)."""
    return np.asarray(A.T @ K.reshape(len(K), -1)).reshape(A.shape[1], *K.shape[1:])


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
    moving = phi.rises(n)[:, None] & (w > 0) & (L > 0) & np.isfinite(L)
    L, width = np.where(moving, L, 1.0), np.where(moving, w, 1.0)
    s = np.where(moving, np.clip((up + down) / (2 * width), 0.0, L), 0.0)
    rests = [np.maximum(h * (1 - s / L), s * np.maximum(w - h / L, 0.0)) for h in (up, down)]
    # Where phi may fall: no slope, and all that it moves.
    rest = np.where(moving, np.maximum(*rests), np.maximum(up, down))
    return s, rest + 2 * rounding + 4 * EPS * s * w
