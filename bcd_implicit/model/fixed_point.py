"""Picard iteration x <- phi(Ax + Bu + b), with the error bound of the contraction."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from bcd_implicit.errors import ConvergenceWarning, NotWellPosedError
from bcd_implicit.terms.activations import Activation

# A larger bound on the error, relative to the states, is told.
WEAKEST = 1e-6


@dataclass(frozen=True)
class FixedPoint:
    """States at equilibrium.

    Attributes
    ----------
    X : ndarray of shape (n, m)
        States, one sample a column ((m, n) when it comes from a model: samples are rows there).
    n_iter : int
        Picard steps taken.
    error_bound : ndarray of shape (m,)
        For each sample, a bound on ``max_i |x_i - x*_i|``.
    """

    X: np.ndarray
    n_iter: int
    error_bound: np.ndarray


def picard_iterates(A: np.ndarray, drive: np.ndarray, activation: Activation, X: np.ndarray) -> Iterator[np.ndarray]:
    """The states phi(A X + drive), and so on from them, without end: those of :func:`picard`, unchecked."""
    while True:
        X = activation(A @ X + drive)
        yield X


def picard(
    A: np.ndarray,
    drive: np.ndarray,
    activation: Activation,
    X: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    tol: float = 1e-10,
    max_iter: int = 100_000,
) -> FixedPoint:
    """Iterate X <- phi(A X + drive) until the error bound meets the tolerance.

    With contraction factor nu, ``nu/(1-nu) * max_i |x_new - x_old|_i`` bounds the distance to the
    equilibrium (El Ghaoui et al., arXiv 1908.06315, section 2).

    Parameters
    ----------
    A : ndarray of shape (n, n)
    drive : ndarray of shape (n, m)
        BU + b, which does not change along the way.
    activation : Activation
    X : ndarray of shape (n, m), optional
        Start; zero when absent.
    weights : ndarray of shape (n,), optional
        Positive v: the contraction is measured in ``max_i |x_i| / v_i``. Ones by default, which asks for
        ||A||_inf < 1; other weights serve models that only pass the Perron-Frobenius test.
    tol : float
        Largest error bound accepted, relative to the largest state of the batch. The iteration also ends, with the
        bound that it has, where rounding is all that still changes.
    max_iter : int
        A stop for contraction factors next to 1; reaching it warns.

    Raises
    ------
    NotWellPosedError
        The contraction factor is 1 or more.

    Warns
    -----
    ConvergenceWarning
        ``max_iter`` was reached, or rounding before the error was bounded by a millionth.
    """
    v = np.ones(len(A)) if weights is None else weights
    factor = float(np.max(np.abs(A) @ v / v))
    # Not ``factor >= 1``: NaN, from numbers that overflow, is refused too.
    if not factor < 1:
        raise NotWellPosedError(f"A: contraction factor {factor:.6g} is not below 1, so Picard need not converge.")
    # From zero the first step needs no product with A.
    X = activation(drive) if X is None else X
    # Changes are measured in units v: in the states' own the bound is up to max v times as large.
    gain = factor / (1 - factor) * float(v.max())
    # Rounding alone moves the states by this much: a difference that shrinks by less than its last digit stays.
    rounding = min(2 * np.finfo(float).eps * (4 + 1 / (1 - factor)), 1e-10)
    iterates = picard_iterates(A, drive, activation, X)
    for n_iter, new in enumerate(islice(iterates, max_iter), start=1):  # noqa: B007 - used after the loop
        change = np.abs(new - X)
        in_units = change if weights is None else change / v[:, None]
        X, size, bound = new, float(np.abs(new).max()), gain * float(in_units.max())
        # Not <: states that are all zero must pass.
        if bound <= tol * size:
            break
        if change.max() <= rounding * size:
            if bound > WEAKEST * size:
                warnings.warn(
                    f"Picard's states no longer change, but their error is only known to be below {bound:.1e} "
                    f"(contraction factor {factor:.6g}, units of the states up to {v.max():.1e} apart).",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            break
    else:
        warnings.warn(
            f"Picard stopped after {max_iter} steps with error bound {bound:.2e} "
            f"(contraction factor {factor:.6g}). Lower norm_bound or raise max_iter.",
            ConvergenceWarning,
            stacklevel=2,
        )
    # Sample by sample only here: within the loop the largest will do.
    return FixedPoint(X, n_iter, gain * in_units.max(axis=0))
