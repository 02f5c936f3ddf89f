"""Products with sparse matrices whose rows have entries in the same columns."""

import numpy as np
import pytest
import scipy.sparse as sp

import bcd_implicit as bi
from bcd_implicit.model.matrices import WORTH_A_BLOCK, WORTH_BLOCKS, SharedColumns


def of_groups(n_groups, n_rows, width, seed=0):
    """Each row in one of the groups, in a random order, which have columns of their own; and an empty row."""
    rng = np.random.default_rng(seed)
    matrix = np.zeros((n_groups * n_rows + 1, n_groups * width))
    for k in range(n_groups):
        matrix[k * n_rows : (k + 1) * n_rows, rng.choice(len(matrix.T), width, replace=False)] = 1.0
    return matrix[rng.permutation(len(matrix))] * rng.standard_normal(matrix.shape)


@pytest.mark.parametrize("n_samples", [1, WORTH_BLOCKS - 1, WORTH_BLOCKS, 100])
@pytest.mark.parametrize("shape", [(5, 4, 6), (1, 30, 50), (40, 1, 3)])
def test_products_are_those_of_the_matrix(shape, n_samples):
    matrix = of_groups(*shape)
    X = np.random.default_rng(1).standard_normal((matrix.shape[1], n_samples))
    np.testing.assert_allclose(SharedColumns(sp.csr_array(matrix)) @ X, matrix @ X, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_they_pay_where_blocks_are_large():
    width = WORTH_A_BLOCK // 20
    assert SharedColumns(sp.csr_array(of_groups(30, 21, width))).pays
    # As many entries, but hardly any rows alike.
    assert not SharedColumns(sp.csr_array(of_groups(630, 1, width))).pays
    assert not SharedColumns(sp.csr_array((3, 3))).pays


def test_a_convolution_of_many_channels_is_multiplied_in_blocks():
    graph, rng = bi.networks.Graph((8, 7, 7)), np.random.default_rng(0)
    x = graph.input.conv2d(rng.standard_normal((8, 8, 3, 3)), padding=1).activate("relu")
    x = x.conv2d(rng.standard_normal((20, 8, 3, 3))).activate("relu")
    model = graph.build(x.flatten().linear(rng.standard_normal((2, 500))))
    second = model.structure().stages[1].before
    assert isinstance(second._factor, SharedColumns)
    U = rng.standard_normal((40, model.B.shape[1]))
    # The same by dense matrices.
    A, B, C = (M.toarray() for M in (model.A, model.B, model.C))
    first = np.maximum(B @ U.T, 0)
    last = np.maximum(A @ first + B @ U.T, 0)
    np.testing.assert_allclose(model.predict(U), (C @ last).T, rtol=1e-11, atol=1e-11 * np.abs(C @ last).max())
    states = model.states(U)
    assert np.all(np.abs(states.X.T - last).max(axis=0) <= states.error_bound)
