"""Adjoint states: what each state's drive is worth to something that is asked of the outputs.

By the implicit function theorem dy/du = D + C (I - S A)^-1 S B, with S = diag(phi'). For g = C^T dL/dy, what is asked
of the states, lambda = S w with w = g + A^T lambda gives dL/du = B^T lambda + D^T dL/dy, dL/dA = lambda x^T and so on:
one system for a sample, whatever the number of inputs and parameters. Stage by stage, from the last to the first, that
is a product where there is no cycle, and a system of a component's size where there is one.

On a component with a cycle the series w = sum_k (A^T S)^k g may be cut off after k terms: k = 0 is the gradient that
takes no notice of the cycle (Fung et al., Jacobian-free backpropagation, arXiv 2103.12803). If only damped steps
contract (:mod:`~bcd_implicit.model.well_posedness`) that series may grow without end, and another takes its place:
w = alpha sum_k (I - alpha + A^T S alpha)^k g, alpha the steps' damping. It is the same w, and its terms shrink as the
steps do: column j of the matrix has the absolute sum ``1 - alpha_j + alpha_j s_j (A_jj + sum_{i != j} |A_ji|)``.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model import well_posedness
from bcd_implicit.model.active_set import newton_step
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.structure import Cycle, Staged, Structure
from bcd_implicit.support.parts import parts


def input_jacobian(structure: Structure, slopes: np.ndarray, B: Matrix, C: Matrix, D: Matrix) -> np.ndarray:
    """D + C (I - S A)^-1 S B for each sample.

    Parameters
    ----------
    structure : Structure
        Of A.
    slopes : ndarray of shape (n, m)
        phi' at the equilibrium's preactivations.
    B, C, D : ndarray or sparse array
        Of the model.

    Returns
    -------
    ndarray of shape (m, q, p)
    """
    (n, m), q = slopes.shape, C.shape[0]
    jacobian, outputs = np.empty((m, q, B.shape[1])), dense(C).T
    for part in parts(m, n * q):
        S = slopes[:, part]
        asked = np.repeat(outputs[:, None, :], S.shape[1], axis=1)
        adjoint = adjoint_states(structure, S, asked)
        # A sample's q adjoint states are columns side by side.
        jacobian[part] = np.moveaxis((B.T @ adjoint.reshape(n, -1)).reshape(-1, S.shape[1], q), 0, 2)
    jacobian += dense(D)
    return jacobian


def adjoint_states(structure: Staged, slopes: np.ndarray, asked: np.ndarray, n_terms: int | None = None) -> np.ndarray:
    """S (I - A^T S)^-1 asked for each sample.

    Parameters
    ----------
    structure : Staged
        Of A, and well-posed.
    slopes : ndarray of shape (n, m)
    asked : ndarray of shape (n, m, r)
        For each sample r right-hand sides.
    n_terms : int, optional
        On components with a cycle the series is cut off after so many terms beyond the first. Without it systems are
        solved.

    Returns
    -------
    ndarray of shape (n, m, r)
    """
    # What is asked of each state so far: by the outputs, and by states of later stages.
    adjoint = asked.copy()
    for stage in reversed(structure.stages):
        S, here = slopes[stage.states], adjoint[stage.states]
        if stage.cycle is not None:
            here = _in_cycle(stage.cycle, S, here, n_terms)
        adjoint[stage.states] = here = S[:, :, None] * here
        if stage.before is not None:
            adjoint[stage.before.columns] += _times(stage.before.rows.T, here)
    return adjoint


def _in_cycle(cycle: Cycle, slopes: np.ndarray, asked: np.ndarray, n_terms: int | None) -> np.ndarray:
    """(I - M S)^-1 asked, where M = A^T between the states of a cycle."""
    M = cycle.A.T
    if n_terms is None:
        # lambda = S asked + S M lambda is Newton's system. One more term takes what rounding has left of it.
        return asked + _times(M, newton_step(M, slopes, slopes[:, :, None] * asked))
    # Ones, unless only damped steps contract.
    alpha = well_posedness.damping(cycle.gains)[:, None, None]
    found = alpha * asked
    for _ in range(n_terms):
        found = (1 - alpha) * found + alpha * (asked + _times(M, slopes[:, :, None] * found))
    return found


def _times(matrix: Matrix, X: np.ndarray) -> np.ndarray:
    """The product with an array of shape (n, m, r)."""
    return np.asarray(matrix @ X.reshape(len(X), -1)).reshape(-1, *X.shape[1:])


def adjoint_error(
    structure: Staged, A: Matrix, slopes: np.ndarray, adjoint: np.ndarray, C: Matrix, dY: np.ndarray
) -> np.ndarray:
    """For each sample a bound on the l1 norm of what adjoint states are off, whoever found them, rounding included.

    They are put into their equation: w = C^T dY + A^T lambda, missed = S w - lambda. The true ones differ from lambda
    by missed + S e, with ``|e| <= |A^T| (|missed| + S |e|)``. On a cycle with units v, in which a step contracts by nu,
    A^T S contracts by nu in ``sum_i v_i |e_i|``. If the gains have negative entries on the diagonal it need not, but
    ``(1 - nu) sum_i v_i |e_i|`` is at most ``sum_i v_i (|A^T| |missed|)_i`` all the same. For k terms of the series on
    one cycle with v = 1 the bound is at most L nu^(k+1) / (1 - nu) times the l1 norm of C^T dY, L the largest slope.

    Parameters
    ----------
    structure : Staged
    A, C : ndarray or sparse array
    slopes, adjoint : ndarray of shape (n, m)
    dY : ndarray of shape (q, m)

    Returns
    -------
    ndarray of shape (m,)
    """
    n_terms = sum(C.shape)
    sizes = np.abs(C).T @ np.abs(dY) + np.abs(A).T @ np.abs(adjoint)
    w = C.T @ dY + A.T @ adjoint
    missed = np.abs(slopes * w - adjoint) + summation_error(n_terms) * np.abs(slopes) * sizes
    missed += 2 * EPS * np.abs(adjoint)
    # |e|, of which states of later stages tell those of earlier ones.
    off, total = np.zeros_like(missed), np.zeros(missed.shape[1])
    for stage in reversed(structure.stages):
        S, here, e = np.abs(slopes[stage.states]), missed[stage.states], off[stage.states]
        if stage.cycle is None:
            sum_of_e = (S * e).sum(axis=0)
        else:
            v = stage.cycle.weights[:, None]
            reach, n = np.abs(stage.cycle.A) @ v, len(v)
            held = np.maximum(stage.cycle.sizes @ v + summation_error(n) * reach, 0.0)
            factors = (S * held / v).max(axis=0) * (1 + summation_error(n))
            # No NaN where numbers next to 1 are rounded to it.
            weighted = (v * e + reach * here).sum(axis=0) / np.where(factors < 1, 1 - factors, 1e-300)
            e, sum_of_e = weighted / v, (S / v).max(axis=0) * weighted
        total += here.sum(axis=0) + sum_of_e
        if stage.before is not None:
            off[stage.before.columns] += np.abs(stage.before.rows).T @ (here + S * e)
    return total * (1 + summation_error(2 * n_terms))
