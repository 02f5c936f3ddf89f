"""What models are not put together from: an error that names the argument, and what to do."""

import numpy as np
import pandas as pd
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
            "M: has rows of different lengths. Give every row one entry for each column.",
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
        (lambda: compose.labelled(f, name=""), "name: must be a text that is not empty, got ''. Such as name="),
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


named = ImplicitModel(
    0.1 * np.eye(2),
    [[1, 2, 3.0], [0, 1, 0]],
    None,
    np.eye(2),
    [[1, 0, 0], [0, 0, 1.0]],
    input_names=list("abc"),
    output_names=["p", "q"],
)
N = pd.DataFrame(np.arange(6.0).reshape(3, 2), index=list("cab"), columns=["s", "t"])
M = pd.DataFrame([[1.0, 10.0], [2.0, 20.0]], columns=["q", "p"], index=["k", "l"])
K = pd.DataFrame(0.01 * np.arange(6.0).reshape(3, 2), index=list("cab"), columns=["q", "p"])


def test_labels_of_data_frames_are_names():
    u, v = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0, 2.0, 3.0]])
    before = named @ N
    assert (before.input_names, before.output_names) == (["s", "t"], ["p", "q"])
    np.testing.assert_allclose(before.predict(u), named.predict(pd.DataFrame(u @ N.to_numpy().T, columns=N.index)))
    after = compose.cascade(named, M)
    assert (after.input_names, after.output_names) == (["a", "b", "c"], ["k", "l"])
    np.testing.assert_allclose(after.predict(v), named.predict(v)[:, ::-1] @ M.to_numpy().T)
    in_order = K.loc[list("abc"), ["p", "q"]].to_numpy()
    for way in (K, compose.affine(K)):
        np.testing.assert_allclose(named.feedback(way).predict(v), named.feedback(in_order).predict(v))
        assert compose.small_gain(named, way).gain == pytest.approx(compose.small_gain(named, in_order).gain)
    assert (named + pd.Series([1.0, 2.0], index=["q", "p"])).d.tolist() == [2.0, 1.0]
    # Labels that only count say nothing but the order.
    np.testing.assert_array_equal((named @ N.reset_index(drop=True)).B, (named @ N.to_numpy()).B)


def test_a_feedback_of_some_outputs_has_a_small_gain():
    k = compose.labelled(compose.affine([[0.01], [0.02], [0.03]]), input_names=["q"])
    whole = [[0, 0.01], [0, 0.02], [0, 0.03]]
    assert compose.small_gain(named, k).gain == pytest.approx(compose.small_gain(named, whole).gain)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: named @ N.set_axis(list("xyz")), "N: the model has the inputs 'a', 'b', 'c', but rows of N are 'x', "),
        (lambda: named.feedback(K.set_axis(list("xyz"))), "K: the model has the inputs 'a', 'b', 'c', but rows of K"),
        (lambda: named.feedback(K.set_axis(["p", "r"], axis=1)), "K: the model has the outputs 'q', but columns of K"),
        (lambda: named * pd.Series([1, 2], index=["p", "r"]), "factors: the model has the outputs 'q', but labels of"),
        (
            lambda: compose.cascade(named, M.set_axis(["x", "y"], axis=1)),
            "models: the model that comes after takes",
        ),
    ],
)
def test_unknown_labels_are_refused(wrong, message):
    with pytest.raises(InvalidInputError) as caught:
        wrong()
    assert str(caught.value).startswith(message)


def test_the_small_gain_names_the_model_that_is_not_well_posed_by_itself():
    bad = ImplicitModel([[2.0]], [[1.0]], None, [[1.0]])
    with pytest.raises(NotWellPosedError, match=r"^model on its own: A: spectral radius of \|A\| is 2 on its states"):
        compose.small_gain(bad, 0.1)
    with pytest.raises(NotWellPosedError, match=r"^K on its own: A: spectral radius of \|A\| is 2 on its states"):
        compose.small_gain(f, bad)


@pytest.mark.parametrize("c", [[1.0, 2.0], np.array([[1.0], [2.0]]), sp.csr_array([[1.0], [2.0]])], ids=type)
def test_a_constant_may_be_a_list_or_a_column(c):
    assert compose.affine(np.eye(2), c).predict([[3.0, 4.0]]).tolist() == [[4.0, 6.0]]


@pytest.mark.parametrize("K", [0.25, [0.25], [[0.25]], sp.csr_array([[0.25]]), compose.affine([[0.25]])], ids=str)
def test_a_feedback_may_be_a_number_a_matrix_or_a_model(K):
    # y = relu(y / 2 + w + y / 4)
    assert compose.feedback(f, K).predict([[1.0]]).item() == pytest.approx(4.0)
    assert compose.small_gain(f, K).gain == pytest.approx(0.5)
