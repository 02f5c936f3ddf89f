"""Samples to train on: what goes together, what looks wrong, and in which units."""

import warnings

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import DataWarning, InvalidInputError
from bcd_implicit.support.samples import read_inputs, read_labels, read_targets, warn_if_constant

RNG = np.random.default_rng(0)
U = RNG.standard_normal((30, 3))


def targets_of(Y, inputs=U):
    return read_targets("Y", Y, read_inputs("U", inputs), "U")


@pytest.mark.parametrize(
    ("inputs", "Y", "message"),
    [
        (U, U.T[:2], r"^Y: has 2 samples but U has 30\. Samples are rows: pass Y\.T\.$"),
        (U, U.T[:1], r"^Y: has 1 samples but U has 30\. Samples are rows: pass Y\.T\.$"),
        (U.T, U[:, 0], r"^Y: has 30 samples but U has 3\. Samples are rows: pass U\.T\.$"),
        (U, U[1:, 0], r"^Y: has 29 samples but U has 30\. Give both the same rows in the same order\.$"),
        (U, 1e50 * U, r"^Y: has entries as large as 2\.3e\+50 in column \d\. Scale it to about 1\.$"),
        (U, 1e-50 * U[:, 0], r"^Y: varies by no more than .*e-50\. Scale it to about 1\.$"),
        (U * [1, 1e-310, 1], U, r"^U: varies by no more than .*e-310 in column 1\. Scale it to about 1\.$"),
    ],
)
def test_what_does_not_fit_is_said_with_a_remedy(inputs, Y, message):
    with pytest.raises(InvalidInputError, match=message):
        targets_of(Y, inputs)


def test_rows_of_the_same_labels_in_another_order_are_warned_of():
    frame, y = pd.DataFrame(U), pd.Series(U[:, 0])
    with pytest.warns(DataWarning, match=r"^Y: its rows have the labels of the rows of U in another order.* Y\.loc\[U"):
        read = targets_of(y.sort_values(), frame)
    # by their place, as scikit-learn and NumPy take them
    np.testing.assert_array_equal(read.values[:, 0], np.sort(U[:, 0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        targets_of(y, frame)
        # numbered anew, or not at all: usual, and nothing can be said
        targets_of(y.set_axis(range(100, 130)), frame)
        targets_of(y.to_numpy(), frame)
        targets_of(y.set_axis([0] * 30), frame.set_axis([0] * 30))


def test_numbered_rows_are_warned_of_once_with_what_to_do():
    frame = pd.DataFrame(U, columns=list("abc")).assign(id=range(1, 31))
    with pytest.warns(
        DataWarning, match=r"^U: column 'id' only numbers the rows.*U\.drop\(columns=\['id'\]\)"
    ) as caught:
        assert read_inputs("U", frame).names == ["a", "b", "c", "id"]
    assert len(caught) == 1
    with pytest.warns(DataWarning, match=r"^X: column 3 only numbers the rows.*numpy\.delete\(X, \[3\], axis=1\)"):
        read_inputs("X", frame.to_numpy())
    with pytest.warns(DataWarning, match=r"^U: columns 'id', 'no' only number the rows"):
        read_inputs("U", frame.assign(no=frame["id"] - 1))
    for rows in (frame.drop(index=[3]), frame.sample(frac=0.75, random_state=0)):
        with pytest.warns(DataWarning, match=r"^X: column 'id' looks like row numbers.*X\.drop\(columns=\['id'\]\)"):
            read_inputs("X", rows)


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (["a", None, "b", np.nan], 1),
        (pd.Series(["a", "b", "c", pd.NA], dtype="string"), 3),
        (pd.Series([1, 2, None, 4], dtype="Int64"), 2),
        (pd.Categorical(["a", None, "a", "b"]), 1),
        (np.array([np.nan, 1, 2, 3]), 0),
    ],
)
def test_missing_labels(labels, first):
    with pytest.raises(InvalidInputError, match=rf"^y: contains missing values \(NaN\): \d \(first at row {first}\)"):
        read_labels("y", labels, read_inputs("X", U[:4]), "X")


def test_labels_keep_their_type():
    inputs = read_inputs("X", U[:2])
    for labels in (pd.Series([1, 2], dtype="Int64"), np.array([1, 2], dtype=object), pd.Categorical([1, 2]), [1, 2]):
        assert read_labels("y", labels, inputs, "X").dtype == int
    assert read_labels("y", pd.array([True, False], dtype="boolean"), inputs, "X").dtype == bool
    assert read_labels("y", np.array(["a", "b"]), inputs, "X").tolist() == ["a", "b"]


def test_targets_that_do_not_vary_are_warned_of():
    with pytest.warns(DataWarning, match=r"^the target 'y' does not vary, so no input can explain it: check it\. See"):
        warn_if_constant(np.ones((1, 3)), ["y"])
    with pytest.warns(
        DataWarning, match=r"^the targets a, b do not vary, so no input can explain them: check them\. See"
    ):
        warn_if_constant(np.array([[1.0, 1.0], [2.0, 2.0]]), ["a", "b"])
    with pytest.warns(DataWarning, match=r"^the target 'a' does not vary"):
        warn_if_constant(np.array([[1.0, 1.0], [2.0, 3.0]]), ["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_constant(np.array([[1.0, 1.5], [2.0, 3.0]]), ["a", "b"])
