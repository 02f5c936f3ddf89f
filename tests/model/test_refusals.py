"""What a newcomer may pass for a model: each mistake is told with the argument, the value and what to do."""

import numpy as np
import pytest
import scipy.sparse as sp

from bcd_implicit import ImplicitModel, InvalidInputError

ONE, TWO = np.ones((1, 1)), np.array([[0.0, 0.3], [0.2, 0.0]])


def made(A=ONE / 2, B=ONE, b=None, C=ONE, *rest, **options):
    return ImplicitModel(A, B, b, C, *rest, **options)


def of_two(**options):
    return ImplicitModel(TWO, np.ones((2, 1)), None, np.ones((1, 2)), **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: made(A=[[np.nan]]),
            "A: contains missing values (NaN): 1 in column 0 (first at row 0). Replace such entries.",
        ),
        (lambda: made(b=[np.inf]), "b: contains infinity: 1 (first at row 0). Replace such entries."),
        (lambda: made(A=sp.csr_array([[1j]])), "A: is a sparse array of complex128. Pass a matrix of real numbers."),
        (lambda: made(A=sp.coo_array([1.0, 2.0])), "A: is a sparse array of shape (2,). Pass a matrix."),
        (
            lambda: made(B=sp.coo_array([[np.inf]])),
            "B: contains NaN or infinity, first in row 0, column 0. Replace such entries.",
        ),
        (lambda: made(b=sp.csr_array(ONE)), "b: is a sparse matrix. Pass b.toarray()."),
        (lambda: made(A=np.zeros((0, 0))), "A: has shape (0, 0). Give it at least one row and one column."),
        (lambda: made(b=[]), "b: has shape (0,). Give it at least one row and one column."),
        (lambda: made(A=3), "A: is one int, not a table. Pass an array."),
        (lambda: made(C=None), "C: is None, not a table. Pass an array."),
        (lambda: made(b=3.0), "b: is one float, not a table. Pass an array."),
        (lambda: made(A=[["a"]]), "A: column 0 is not numeric: text, row 0 holds 'a'. Pass an array of real numbers."),
        (
            lambda: made(A=[[1j]]),
            "A: column 0 is not numeric: complex numbers, row 0 holds 1j. Pass an array of real numbers.",
        ),
        (lambda: made(A=np.ones((1, 1, 1))), "A: has 3 dimensions. Pass a matrix or a vector."),
        (lambda: made(A=[[1, 2], [3]]), "A: has rows of different lengths. Give every row one entry for each column."),
        (lambda: made(b=np.ones((1, 2))), "b: has 2 columns, 1 needed. Pass a vector."),
        (
            lambda: made(b=[1.0, 2.0]),
            "b: has shape (2,), (1,) needed. The shapes must fit n=1 hidden features, p=1 inputs,",
        ),
        (lambda: made(b=[1e200]), "b: has entries as large as 1.0e+200, but the limit is 1e+100."),
        (lambda: made(link="probit"), "link: unknown link 'probit'. Use one of identity, logit, softmax, log."),
        (lambda: made(input_names="a"), "input_names: must be a list of names, got 'a'."),
        (
            lambda: of_two(activation=[("relu", 1), ("tanh", 2)]),
            "activation: has blocks of 1 + 2 = 3 states, but A has 2. Give",
        ),
        (
            lambda: of_two(activation=[("relu", 0), ("tanh", 2)]),
            "activation, states of block 0: got 0, must be >= 1. Give each",
        ),
        (
            lambda: of_two(activation=[("relu", 1), ("tanh", 1.0)]),
            "activation, states of block 1: must be a whole number, got 1.0.",
        ),
        (
            lambda: of_two(activation=("relu", 2)),
            "activation: has 'relu' as block 0, not a function and a number of states. Give a",
        ),
        (
            lambda: of_two(activation=None),
            "activation: must be a list of blocks of states, got None. Give a name, or blocks",
        ),
        (
            lambda: of_two(activation="square").rescaled(),
            "activation: square is not positively homogeneous, so rescaling",
        ),
    ],
)
def test_mistakes_are_told(call, message):
    with pytest.raises(InvalidInputError) as caught:
        call()
    assert str(caught.value).startswith(message)
