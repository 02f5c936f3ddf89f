"""A with its blocks."""

import numpy as np
import pytest
import scipy.sparse as sp
from shown import tick_names

from bcd_implicit import ImplicitModel, InvalidInputError, plots


def layered(sizes, *, back=False):
    """Layers of all with all, the last one first; with ``back`` the first layer depends on itself."""
    ends = np.cumsum([0, *sizes])
    n = int(ends[-1])
    A = np.zeros((n, n))
    for a, b, c in zip(ends[:-2], ends[1:-1], ends[2:], strict=True):
        A[a:b, b:c] = 1.0
    if back:
        A[ends[-2] :, ends[-2] :] = 0.9 / sizes[-1]
    return ImplicitModel(sp.csr_array(A), np.ones((n, 2)), None, np.ones((1, n)))


def drawn(ax):
    return np.ma.filled(ax.images[0].get_array(), 0)


@pytest.mark.parametrize("back", [False, True])
def test_every_entry_that_is_not_zero_is_drawn(ax, back):
    model = layered((2, 3, 4), back=back)
    assert plots.matrix(model, ax) is ax
    picture = drawn(ax)
    np.testing.assert_array_equal(picture > 0, model.A.toarray() != 0)
    # Entries on the cycle have a colour of their own.
    cycle = np.zeros((9, 9), dtype=bool)
    cycle[5:, 5:] = back
    np.testing.assert_array_equal(picture == 2, cycle)
    lines = [line.get_ydata()[0] for line in ax.lines[:2]]
    assert lines == [2, 5]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "3", "4"]
    assert ("no cycle" in ax.get_title()) == (not back)


def test_the_whole_has_inputs_and_outputs(ax):
    model = layered((2, 3, 4))
    plots.matrix(model, ax, parts="all")
    whole = np.block([[model.A.toarray(), model.B], [model.C, model.D]]) != 0
    np.testing.assert_array_equal(drawn(ax), whole)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "3", "4", "2"]
    assert tick_names(ax.yaxis) == ["2", "3", "4", "1"]


def test_labels_that_would_overlap_are_left_out(ax):
    plots.matrix(layered((12, 14, 974)), ax)
    # 12 and 14 of 1,000 states are less than a line of text apart: the larger one is labelled.
    assert [text.get_text() for text in ax.get_xticklabels()] == ["14", "974"]


def test_a_large_matrix_is_drawn_in_few_pixels(ax):
    model = layered((300, 500, 200))
    plots.matrix(model, ax, pixels=100)
    picture = drawn(ax)
    assert picture.shape == (100, 100)
    expected = np.zeros((100, 100), dtype=bool)
    expected[:30, 30:80] = expected[30:80, 80:] = True
    np.testing.assert_array_equal(picture > 0, expected)


def test_blocks_of_functions_have_lines_too(ax):
    model = ImplicitModel(
        np.zeros((5, 5)), np.ones((5, 1)), None, np.ones((1, 5)), activation=[("relu", 2), ("tanh", 3)]
    )
    plots.matrix(model, ax)
    assert ax.lines[0].get_ydata()[0] == 2
    assert not drawn(ax).any()


def test_bad_input(ax):
    with pytest.raises(InvalidInputError, match="^pixels"):
        plots.matrix(layered((2, 3)), ax, pixels=0)
    with pytest.raises(InvalidInputError, match="^of"):
        plots.matrix("model", ax)
    large = ImplicitModel(sp.csr_array((2001, 2001)), sp.csr_array((2001, 1)), None, sp.csr_array((1, 2001)))
    with pytest.raises(InvalidInputError, match="^of: has a matrix of 2001 x 2001 entries"):
        plots.sparsity(large, ax=ax)
