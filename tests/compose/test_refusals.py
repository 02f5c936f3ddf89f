"""What models are not put together from: an error that names the argument, and what to do."""

import numpy as np
import pytest
import scipy.sparse as sp

from bcd_implicit import ImplicitModel, InvalidInputError, NotWellPosedError, compose

f = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
squares = ImplicitModel([[0.0]], [[1.0]], None, [[1.0]], activation="square")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: compose.affine([[1, 2.0]], 3), "c: must be one number for each row, got 3. Pass an array."),
        (lambda: compose.affine([[1, 2.0]], [3, 4]), "c: has 2 entries for 1 rows of M. Give one for each row"),
        (lambda: compose.affine(np.ones((4, 1)), np.ones((2, 2))), "c: has shape (2, 2), (any, 1) needed"),
        (lambda: compose.affine([[1, 2.0]], [np.nan]), "c: contains missing values (NaN): 1 (first at row 0). Replace"),
        (lambda: compose.affine(None), "M: must be a matrix, got None. Pass an array."),
        (lambda: compose.affine(3), "M: must be a matrix, got 3. Pass an array."),
        (lambda: compose.affine([[1, np.inf]]), "M: contains infinity: 1 in column 1 (first at row 0). Replace such"),
        (lambda: compose.affine(sp.csr_array([[np.nan]])), "M: contains NaN or infinity, first in row 0, column 0."),
        (lambda: compose.cascade(f, [[np.nan]]), "models[1]: contains missing values (NaN)"),
        (lambda: compose.feedback(f, None), "K: must be a matrix, a number or a model, got None. Pass one of these."),
        (lambda: compose.feedback(f, [[np.nan]]), "in column 0 (first at row 0). Replace such entries."),
        (
            lambda: compose.affine([[1, 2.0], [3]]),
            "M: has rows of different lengths. Give every row one entry a column.",
        ),
        (lambda: f @ [[1, 2.0], [3]], "N: has rows of different lengths."),
        (lambda: f + np.array([np.nan]), "c: contains missing values (NaN): 1 (first at row 0). Replace such entries."),
        (lambda: f.feedback(None), "K: must be a matrix, a number or a model, got None. Pass one of these."),
        (
            lambda: f.feedback(sp.csr_array([[np.inf]])),
            "K: contains NaN or infinity, first in row 0, column 0. Replace",
        ),
        (lambda: f.feedback(True), "K: must be a number, got True."),
        (
            lambda: compose.stack(part for part in [f, f]),
            "models[0]: is generator, not an ImplicitModel. Pass a model.",
        ),
        (
            lambda: compose.small_gain(squares, 0.1),
            "model: has states whose function has no Lipschitz constant, so that",
        ),
        (lambda: compose.small_gain(f, squares), "K: has states whose function has no Lipschitz constant, so that no"),
        (lambda: compose.labelled(f, name=""), "name: must be a text that says something, got ''. Such as name="),
        (lambda: compose.small_gain(f, "x"), "K: must be a matrix, a number or a model, got 'x'."),
        (lambda: compose.stack([f, f]), "models: are in a list. Pass them one by one: stack(*models)."),
        (lambda: compose.cascade((f, f)), "models: are in a tuple. Pass them one by one: cascade(*models)."),
    ],
)
def test_what_does_not_fit_is_named(wrong, message):
    with pytest.raises(InvalidInputError) as caught:
        wrong()
    assert message in str(caught.value)
    assert "Drop these rows" not in str(caught.value)


def test_the_small_gain_names_the_model_that_is_not_well_posed_by_itself():
    bad = ImplicitModel([[2.0]], [[1.0]], None, [[1.0]])
    with pytest.raises(NotWellPosedError, match=r"^model, by itself: A: spectral radius of \|A\| is 2 on its states"):
        compose.small_gain(bad, 0.1)
    with pytest.raises(NotWellPosedError, match=r"^K, by itself: A: spectral radius of \|A\| is 2 on its states"):
        compose.small_gain(f, bad)


@pytest.mark.parametrize("c", [[1.0, 2.0], np.array([[1.0], [2.0]]), sp.csr_array([[1.0], [2.0]])], ids=type)
def test_a_constant_may_be_a_list_or_a_column(c):
    assert compose.affine(np.eye(2), c).predict([[3.0, 4.0]]).tolist() == [[4.0, 6.0]]


@pytest.mark.parametrize("K", [0.25, [0.25], [[0.25]], sp.csr_array([[0.25]]), compose.affine([[0.25]])], ids=str)
def test_a_feedback_may_be_a_number_a_matrix_or_a_model(K):
    # y = relu(y / 2 + w + y / 4)
    assert compose.feedback(f, K).predict([[1.0]]).item() == pytest.approx(4.0)
    assert compose.small_gain(f, K).gain == pytest.approx(0.5)
