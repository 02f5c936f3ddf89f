"""Ready-made bounds and penalties on norms, and on the eigenvalues of A + A'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.constraints.ready_made import (
    FOR_ZEROS,
    LETTERS,
    MATRICES,
    ReadyMade,
    as_array,
    entry,
    fitting,
    on_inputs,
    positive,
    positive_each,
)
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_number

NORMS: dict[str, Any] = {"1": 1, "2": 2, "inf": "inf"}


def l1_bound(matrix: str, bound: float) -> ReadyMade:
    """The sum of the absolute values of all entries is at most ``bound``, which favours zero entries.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, LETTERS)
    positive("bound", bound)
    return _bounded(l1_bound, matrix, bound, lambda X: cp.sum(cp.abs(X)), lambda X: rf"\sum |{entry(X)}|")


def l1_penalty(matrix: str, weight: float) -> ReadyMade:
    """Add ``weight`` times the sum of the absolute values of all entries to the objective.

    Parameters
    ----------
    matrix : {"A", "B", "b", "C", "D", "d"}
    weight : float >= 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a negative weight.
    """
    check_choice("matrix", matrix, LETTERS)
    check_number("weight", weight, 0, remedy="Give 0 or more")

    def pose(X: cp.Expression, weight: Any) -> cp.Expression:
        return weight * cp.sum(cp.abs(X))

    def latex(X: str, weight: str) -> str:
        return rf"{weight} \sum |{entry(X)}|"

    return ReadyMade(l1_penalty, {"matrix": matrix, "weight": weight}, pose, latex=latex, bounds=("weight",))


def nuclear_norm_bound(matrix: str, bound: float) -> ReadyMade:
    """The sum of the singular values is at most ``bound``: low rank. Its blocks need CLARABEL or SCS.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, MATRICES)
    positive("bound", bound)
    return _bounded(nuclear_norm_bound, matrix, bound, cp.normNuc, lambda X: rf"\|{X}\|_*")


def spectral_norm_bound(matrix: str, bound: float) -> ReadyMade:
    """The largest singular value is at most ``bound``. Its blocks need CLARABEL or SCS.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bound that is not positive.
    """
    check_choice("matrix", matrix, MATRICES)
    positive("bound", bound)
    return _bounded(spectral_norm_bound, matrix, bound, cp.sigma_max, lambda X: rf"\|{X}\|_2")


def _bounded(
    made_by: Callable[..., ReadyMade],
    matrix: str,
    bound: float,
    size: Callable[[cp.Expression], cp.Expression],
    in_latex: Callable[[str], str],
) -> ReadyMade:
    """A bound on a function of a matrix."""
    return ReadyMade(
        made_by,
        {"matrix": matrix, "bound": bound},
        lambda X, bound: size(X) <= bound,
        latex=lambda X, bound: rf"{in_latex(X)} \le {bound}",
        bounds=("bound",),
    )


def row_norm_bound(matrix: str, bound: ArrayLike, norm: float | str = 2) -> ReadyMade:
    """The norm of each row is at most ``bound``.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0, or one for each row
    norm : {1, 2, "inf"}

    Raises
    ------
    InvalidInputError
        An unknown matrix or norm, or a bound that is not positive and finite.
    """
    return _line_norm_bound(row_norm_bound, matrix, bound, norm, axis=1)


def column_norm_bound(
    matrix: str, bound: ArrayLike, norm: float | str = 2, inputs: Sequence[str | int] | None = None
) -> ReadyMade:
    """The norm of each column is at most ``bound``.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    bound : float > 0, or one for each column
    norm : {1, 2, "inf"}
    inputs : sequence of str or int, optional
        Only the columns of these inputs, by name or number; for "B" and "D".

    Raises
    ------
    InvalidInputError
        An unknown matrix or norm, or a bound that is not positive and finite.
    """
    return _line_norm_bound(column_norm_bound, matrix, bound, norm, axis=0, inputs=inputs)


def _line_norm_bound(
    made_by: Callable[..., ReadyMade],
    matrix: str,
    bound: ArrayLike,
    norm: float | str,
    axis: int,
    inputs: Sequence[str | int] | None = None,
) -> ReadyMade:
    check_choice("matrix", matrix, MATRICES)
    p = NORMS[check_choice("norm", f"{norm:g}" if isinstance(norm, (int, float)) else norm, NORMS)]
    lines = ("column", "row")[axis]
    bounds = positive_each("bound", bound, f"Give a positive number, or one for each {lines}; {FOR_ZEROS}")

    def pose(X: cp.Expression, bound: Any) -> cp.Constraint:
        n_lines = X.shape[1 - axis]
        if bounds.shape not in ((), (n_lines,)):
            cause = f"has shape {bounds.shape}, and {matrix} has {n_lines} {lines}s"
            raise InvalidInputError("bound", cause, f"Give one number, or one for each {lines}")
        return cp.norm(X, p, axis=axis) <= (bound if isinstance(bound, cp.Parameter) else bounds)

    def latex(X: str, bound: str) -> str:
        line = rf"{X} e_j" if axis == 0 else rf"e_i^\top {X}"
        kind = r"\infty" if p == "inf" else p
        return rf"\|{line}\|_{kind} \le {bound} \text{{ for every {lines} }} {'ji'[axis]}"

    arguments = {"matrix": matrix, "bound": bound, "norm": norm, **on_inputs(matrix, inputs)}
    return ReadyMade(made_by, arguments, pose, latex=latex, bounds=("bound",))


def convex_state(fenchel_weights: ArrayLike | None = None) -> ReadyMade:
    """lambda_max(A + A') <= 1, which makes the state block convex. Blocks in A then need CLARABEL or SCS.

    The block's quadratic part M = Lambda - Lambda A - A'Lambda, with Lambda the Fenchel weights, is then positive
    semidefinite. For piecewise-linear activations, softplus and arctan the block then needs no proximal term. For other
    activations g has curvature of at least 1, which also makes the block convex, but CVXPY cannot separate this
    curvature from g, so the proximal term is kept.

    Parameters
    ----------
    fenchel_weights : array-like of shape (n_hidden,), optional
        One for each hidden feature, if they differ. The bound is then on S A S^-1, with S the diagonal of their square
        roots; only their ratios matter. If a schedule changes the weights, a proximal term may be needed again.

    Raises
    ------
    InvalidInputError
        A weight that is not positive and finite.
    """
    if fenchel_weights is None:
        formula = r"\lambda_{\max}(A + A^\top) \le 1"
        return ReadyMade(convex_state, {}, lambda A: cp.lambda_max(A + A.T) <= 1, latex=lambda A: formula)
    weights = as_array("fenchel_weights", fenchel_weights)
    if weights.ndim != 1 or not ((weights > 0) & np.isfinite(weights)).all():
        raise InvalidInputError(
            "fenchel_weights", "is not a list of positive numbers", "Give one for each hidden feature"
        )
    ratios = np.sqrt(weights[:, None] / weights)

    def pose(A: cp.Expression) -> cp.Constraint:
        scaled = cp.multiply(fitting("fenchel_weights", ratios, A.shape), A)
        return cp.lambda_max(scaled + scaled.T) <= 1

    formula = r"\lambda_{\max}(S A S^{-1} + S^{-1} A^\top S) \le 1"
    return ReadyMade(convex_state, {"fenchel_weights": fenchel_weights}, pose, latex=lambda A: formula)
