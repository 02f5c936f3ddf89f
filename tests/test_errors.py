"""What errors say of a person's values, and of objects that are brought along."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest

import bcd_implicit as bi
from bcd_implicit.errors import InvalidInputError, see, shown
from bcd_implicit.terms.losses import SquaredLoss


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64("nan"), "nan"),
        (np.int64(3), "3"),
        (np.str_("a"), "'a'"),
        (np.bool_(True), "True"),
        (np.longdouble(0.5), "0.5"),
        (np.array(2.5), "2.5"),
        (np.zeros((3, 4)), "an array of shape (3, 4)"),
        (pd.DataFrame({"a": [1, 2]}), "DataFrame of shape (2, 1)"),
        ([np.float64(1.0), np.zeros(3)], "[1.0, an array of shape (3,)]"),
        ({0.5: np.zeros(9)}, "{0.5: an array of shape (9,)}"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
        (bi.HuberLoss, "the class HuberLoss"),
        (None, "None"),
        ("relu", "'relu'"),
    ],
)
def test_values_are_shown_plainly_and_shortly(value, text):
    assert shown(value) == text


def test_long_texts_are_cut():
    assert len(shown("x" * 1000)) == len(shown(object.__new__(type("X" * 1000, (), {})))) == 80


WRONG = [np.float64("nan"), np.float32("inf"), np.str_("x"), np.arange(1000.0), [np.zeros(500)] * 9, bi.HuberLoss]
SETTINGS = [
    *("n_hidden", "activation", "loss", "norm_bound", "kappa", "group_form", "fenchel_weight", "ridge", "ridge_hidden"),
    *("fit_intercept", "pass_through", "constraints", "group_norm", "group_over"),
]
LOOP = ["method", "solver", "max_cycles", "tol", "random_state", "max_seconds", "block_tol"]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: shown(wrong)[:20])
def test_every_setting_shows_a_wrong_value_plainly(wrong):
    U = np.random.default_rng(0).standard_normal((10, 2))
    problem = bi.TrainingProblem(U, U[:, :1], 1)
    calls = [lambda name=name: problem.replace(**{name: wrong}) for name in SETTINGS]
    calls += [lambda name=name: bi.solve(problem, **{name: wrong}) for name in LOOP]
    calls += [
        lambda name=name: bi.ImplicitRegressor(1, **{name: wrong}).fit(U, U[:, 0]) for name in ("n_folds", "n_init")
    ]
    messages = [text for call in calls if (text := message_of(call))]
    assert len(messages) > len(calls) - 6
    for text in messages:
        assert not re.search(r"\bnp\.|<class|array\(", text)
        assert len(text) < 400


def message_of(call):
    try:
        call()
    except InvalidInputError as error:
        return str(error)
    return ""


class Unfinished(bi.Loss):
    name = "unfinished"

    def value(self, prediction, Y):
        return np.abs(prediction - Y).sum(axis=0)


class Rough(SquaredLoss):
    name = "rough"
    smooth = False


class Nameless(bi.Loss):
    value = gradient = curvature = conjugate = divergence = best_constant = cvxpy = SquaredLoss.value


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (bi.HuberLoss, r"loss: is the class HuberLoss\. Pass an instance, such as HuberLoss\(\)\."),
        (
            Unfinished(),
            "loss: the class Unfinished does not define gradient, curvature, conjugate, divergence, best_con",
        ),
        (Rough(), "loss: the class Rough does not define smoothed"),
        (Nameless(), "loss: the class Nameless does not define name"),
        (
            "bad",
            "loss: 'bad' refers to something that is of type int. Give that name an instance of a subclass of Loss",
        ),
        ("class", "loss: 'class' refers to something that is the class HuberLoss"),
        (3, "loss: unknown loss 3. Use one of squared"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_loss_is_told_at_once(monkeypatch, loss, message):
    monkeypatch.setitem(bi.LOSSES, "bad", 3)
    monkeypatch.setitem(bi.LOSSES, "class", bi.HuberLoss)
    U = np.random.default_rng(0).standard_normal((10, 2))
    for ask in (
        lambda: bi.TrainingProblem(U, U[:, :1], 1, loss=loss),
        lambda: bi.ImplicitRegressor(1, loss=loss).fit(U, U[:, 0]),
        lambda: bi.ImplicitFeatureSelector(1, loss=loss).fit(U, U[:, 0]),
    ):
        with pytest.raises(InvalidInputError, match=message):
            ask()


def test_a_method_that_is_not_defined_says_so():
    with pytest.raises(NotImplementedError, match="the class Unfinished does not define conjugate"):
        Unfinished().conjugate(np.zeros((1, 2)), np.zeros((1, 2)))


def test_a_class_in_place_of_a_schedule():
    U = np.random.default_rng(0).standard_normal((10, 2))
    with pytest.raises(InvalidInputError, match=r"fenchel_schedule: is the class Continuation\. Pass an instance"):
        bi.solve(bi.TrainingProblem(U, U[:, :1], 1), method="fenchel", fenchel_schedule=bi.Continuation)


def test_errors_can_be_pickled():
    error = pickle.loads(pickle.dumps(InvalidInputError("a", "is wrong", "Do right")))
    assert str(error) == "a: is wrong. Do right."


@pytest.mark.parametrize("warning", [bi.ConvergenceWarning, bi.DataWarning])
def test_a_warning_ends_with_the_section_that_explains_it(warning):
    assert str(warning("Too few.")) == f"Too few. See docs/troubleshooting.md#{warning.section}."
    named = f"Too few. {see('nothing-is-selected')}"
    assert str(warning(named)) == named


def test_an_error_has_its_section_as_a_note_once_and_only_where_there_is_one():
    error = bi.BlockSolveError("state", "SCS", "failed", "Scale the data")
    for one in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert one.__notes__ == ["See docs/troubleshooting.md#a-solver-failed."]
    assert not hasattr(bi.InvalidInputError("X", "is empty"), "__notes__")
