"""A path of architectures as a picture."""

from dataclasses import replace

import numpy as np
import pytest
from problems import FOR_SPARSE_A, random_problem

from bcd_implicit import InvalidInputError, architecture_path, plots


@pytest.fixture(scope="module")
def path():
    problem = random_problem((3, 3, 2, 40), **FOR_SPARSE_A)
    return architecture_path(problem, 2, unseen=(problem.U.T, problem.Y.T), tol=1e-2)


def test_it_is_drawn(ax, path):
    assert plots.architecture_path(path, ax) is ax
    penalised, refitted = (line.get_xydata() for line in ax.lines)
    np.testing.assert_allclose(penalised, path.table[["A", "unseen loss"]])
    np.testing.assert_allclose(refitted, path.table[["A", "refitted unseen loss"]])
    assert [text.get_text() for text in ax.texts] == [str(states) for states in path.table["on cycles"]]
    with pytest.raises(InvalidInputError, match="path"):
        plots.architecture_path(path.model(0), ax)


def test_its_scales_have_whole_numbers_and_no_offset(ax, path):
    plots.architecture_path(replace(path, found=path.found[:1]), ax)
    ax.figure.canvas.draw()
    assert all(tick == round(tick) for tick in ax.get_xticks())
    assert [axis.get_offset_text().get_text() for axis in (ax.xaxis, ax.yaxis)] == ["", ""]
    low, high = ax.get_ylim()
    assert high - low >= 0.0099 * high
