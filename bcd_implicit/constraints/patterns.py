"""Ready-made constraints on the pattern of a matrix: bands, layers, symmetry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bcd_implicit.constraints.ready_made import MATRICES, ReadyMade, short
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_number


def _zero_where(X: cp.Expression, mask: np.ndarray) -> list[cp.Constraint]:
    return [X[mask] == 0] if mask.any() else []


def banded(matrix: str = "A", lower: int = 1, upper: int = 1) -> ReadyMade:
    """Entries more than ``lower`` positions below or ``upper`` above the diagonal are zero.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}
    lower, upper : int
        Number of diagonals kept below and above the main one.

    Raises
    ------
    InvalidInputError
        An unknown matrix, or a bandwidth that is not a whole number of 0 or more.
    """
    check_choice("matrix", matrix, MATRICES)
    for name, width in (("lower", lower), ("upper", upper)):
        check_number(name, width, 0, integer=True, remedy="Give 0 or more diagonals")

    def pose(X: cp.Expression) -> list[cp.Constraint]:
        rows, columns = np.indices(X.shape)
        return _zero_where(X, (rows - columns > lower) | (columns - rows > upper))

    def latex(X: str) -> str:
        return rf"{X}_{{ij}} = 0 \text{{ where }} i - j > {lower} \text{{ or }} j - i > {upper}"

    return ReadyMade(banded, {"matrix": matrix, "lower": lower, "upper": upper}, pose, latex=latex)


def feedforward(layer_sizes: Sequence[int]) -> ReadyMade:
    """A is strictly upper block-triangular: a feedforward network, whose states are its layers.

    The state is x = (x_L, ..., x_1), the last layer first (arXiv 1908.06315, the section on feedforward networks), so
    a layer sees those that come before it, and every layer may see the inputs. Picard's iteration ends after L steps.
    The model would be well-posed without the norm bound, but the bound still applies.

    Parameters
    ----------
    layer_sizes : sequence of int
        Number of states in layers 1 to L, starting at the inputs; their sum is ``n_hidden``.

    Raises
    ------
    InvalidInputError
        Sizes that are not whole numbers of 1 or more.
    """
    if not isinstance(layer_sizes, (list, tuple, np.ndarray)) or not len(layer_sizes):
        raise InvalidInputError("layer_sizes", f"is {short(layer_sizes)}", "Give a list of sizes such as [4, 3]")
    sizes = [check_number("layer_sizes", s, 1, integer=True, remedy="Give whole sizes") for s in layer_sizes]
    layer = np.repeat(np.arange(len(sizes)), sizes)[::-1]

    def pose(A: cp.Expression) -> list[cp.Constraint]:
        if len(layer) != A.shape[0]:
            cause = f"sum to {len(layer)}, and n_hidden is {A.shape[0]}"
            raise InvalidInputError("layer_sizes", cause, "Give sizes of layers that sum to n_hidden")
        return _zero_where(A, layer[:, None] <= layer)

    formula = rf"A \text{{ is strictly upper block-triangular, layers of {', '.join(map(str, sizes))}}}"
    return ReadyMade(feedforward, {"layer_sizes": layer_sizes}, pose, latex=lambda A: formula)


def symmetric(matrix: str = "A") -> ReadyMade:
    """The matrix, which must be square, equals its transpose.

    Parameters
    ----------
    matrix : {"A", "B", "C", "D"}

    Raises
    ------
    InvalidInputError
        An unknown matrix.
    """
    check_choice("matrix", matrix, MATRICES)

    def pose(X: cp.Expression) -> list[cp.Constraint]:
        if X.shape[0] != X.shape[1]:
            raise InvalidInputError("matrix", f"{matrix} has shape {X.shape}, which is not square", "Name a square one")
        i, j = np.triu_indices(X.shape[0], 1)
        return [X[i, j] == X[j, i]] if len(i) else []

    return ReadyMade(symmetric, {"matrix": matrix}, pose, latex=lambda X: rf"{X} = {X}^\top")
