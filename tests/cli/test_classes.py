"""Targets that are classes, and scores on rows that were set aside."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import QUICK, fail, in_json, make_table, succeed
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bcd_implicit import ImplicitModel


@pytest.fixture
def classes(here):
    """A table whose target is a word, a number or a truth value, by the size of y."""
    table = make_table(90)[["age", "bmi", "y"]]
    y = table.pop("y")
    table["word"] = np.select([y > y.quantile(0.6), y < y.quantile(0.3)], ["high", "low"], "mid")
    table["code"] = table["word"].map({"high": 3, "mid": 2, "low": 1})
    table["is_low"] = table["word"] == "low"
    table.to_csv("d.csv", index=False)
    return table


@pytest.mark.parametrize(
    ("target", "options", "names"),
    [
        ("word", [], ["word=high", "word=low", "word=mid"]),
        ("code", ["--classify"], ["code=1", "code=2", "code=3"]),
        ("is_low", [], ["is_low=False", "is_low=True"]),
    ],
)
def test_classes_in_and_out(classes, target, options, names):
    others = [o for column in ("word", "code", "is_low") if column != target for o in ("--ignore", column)]
    outcome = succeed("fit", "d.csv", "--target", target, *others, *options, "--model", "m.npz", "--n-hidden", 4)
    assert outcome.stdout.startswith(f"d.csv: 90 rows, 2 inputs, {len(names)} classes of '{target}'\n")
    model = ImplicitModel.load("m.npz")
    assert model.output_names == names
    scores = model.predict(classes[["age", "bmi"]])
    expected = np.array([name.partition("=")[2] for name in names])[scores.argmax(axis=1)]
    accuracy = (expected == classes[target].astype(str)).mean()
    assert accuracy > 0.8
    assert f"│ implicit model        │   {accuracy:.4f} │" in outcome.stdout
    outcome = succeed("predict", "m.npz", "d.csv", "--output", "p.csv")
    assert outcome.stdout == f"wrote 90 predictions of {target} to p.csv\n"
    predictions = pd.read_csv("p.csv", dtype=str)
    assert list(predictions.columns) == [target]
    np.testing.assert_array_equal(predictions[target], expected)
    succeed("predict", "m.npz", "d.csv", "--output", "p.csv", "--scores")
    assert list(pd.read_csv("p.csv").columns) == names
    np.testing.assert_allclose(pd.read_csv("p.csv"), scores, rtol=1e-12)


def test_numbers_are_not_classes_unless_told(classes):
    scores = in_json(
        "fit", "d.csv", "--target", "code", "--ignore", "word", "--ignore", "is_low", "--model", "m.npz", *QUICK
    )
    assert "train_r2" in scores
    assert "train_accuracy" not in scores
    assert ImplicitModel.load("m.npz").output_names == ["code"]


def test_targets_that_are_no_classes(classes):
    where = ["--model", "m.npz"]
    line = fail("fit", "d.csv", "--target", "word", "--target", "code", *where)
    assert "target: column 'word' holds classes. Make it the only target." in line
    classes.assign(word="same").to_csv("one.csv", index=False)
    options = ["--target", "word", "--ignore", "code", "--ignore", "is_low"]
    assert "one.csv: column 'word' holds one class only." in fail("fit", "one.csv", *options, *where)
    # One that is left where rows are dropped.
    classes.assign(age=classes["age"].where(classes["word"] == "low")).to_csv("one.csv", index=False)
    assert "column 'word' holds one class only." in fail("fit", "one.csv", *options, *where, "--drop-missing")
    many = classes[["age"]].assign(word=[f"w{j}" for j in range(90)])
    many.to_csv("many.csv", index=False)
    assert "column 'word' has 90 different values in 90 rows" in fail("fit", "many.csv", "--target", "word", *where)
    # Text that begins like numbers.
    classes[["age"]].assign(y=[f"{j % 30} kg" for j in range(90)]).to_csv("kg.csv", index=False)
    for options, told in (([], True), (["--classify"], False)):
        outcome = succeed("fit", "kg.csv", "--target", "y", "--model", "kg.npz", "--max-cycles", 1, *options)
        note = "Note: column 'y' holds 30 different texts that look like numbers, such as '0 kg'. Each is treated as"
        assert (note in outcome.stderr) == told
    # Text that is numbers in another notation.
    classes[["age"]].assign(y=[f"1,{j:03}.5" for j in range(90)]).to_csv("t.csv", index=False)
    line = fail("fit", "t.csv", "--target", "y", *where)
    assert "(line 2 holds '1,000.5'). Remove the separators of thousands." in line
    classes.rename(columns={"word": "a=b"}).to_csv("e.csv", index=False)
    assert "column 'a=b' has an equals sign" in fail("fit", "e.csv", "--target", "a=b", *where)
    classes.rename(columns={"code": "a=1", "is_low": "a=2"}).drop(columns="word").to_csv("e.csv", index=False)
    line = fail("fit", "e.csv", "--target", "a=1", "--target", "age", "--target", "a=2", *where)
    assert "column 'a=2' holds classes" in line
    assert not Path("m.npz").exists()


def test_the_held_out_score_is_of_rows_that_took_no_part(here):
    table = make_table(40)[["age", "bmi", "noise", "y"]]
    table.to_csv("d.csv", index=False)
    options = ["--target", "y", "--model", "m.npz", "--seed", 3, "--n-hidden", 3]
    scores = in_json("fit", "d.csv", *options, "--test-share", 0.25)
    shown = succeed("fit", "d.csv", *options, "--test-share", 0.25).stdout
    train, test = train_test_split(table, test_size=10, random_state=3)
    assert (scores["n_train"], scores["n_test"]) == (30, 10)
    model, X = ImplicitModel.load("m.npz"), ["age", "bmi", "noise"]
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 33))).fit(train[X], train["y"])
    for rows, name in ((train, "train"), (test, "test")):
        assert scores[f"{name}_r2"] == pytest.approx(r2_score(rows["y"], model.predict(rows)[:, 0]))
        assert scores[f"ridge_{name}_r2"] == pytest.approx(ridge.score(rows[X], rows["y"]))
    # Each score stands in a column that says which rows it is of, beside the baseline's.
    assert shown.startswith("d.csv: 40 rows (30 for training, 10 held out), 3 inputs, 1 target\n")
    assert "│ training │ held out │".replace("│", "┃") in shown
    for model_name, prefix in (("implicit model    ", ""), ("ridge, all columns", "ridge_")):
        here, there = (scores[f"{prefix}{name}_r2"] for name in ("train", "test"))
        assert f"│ {model_name} │ {here:>8.4f} │ {there:>8.4f} │" in shown
    # The same model as without the other rows.
    train.to_csv("train.csv", index=False)
    outcome = succeed("fit", "train.csv", *options[:2], "--model", "t.npz", *options[4:])
    assert "held out ┃" not in outcome.stdout
    assert "No rows were held out, so new rows may be predicted worse: see --test-share." in outcome.stdout
    np.testing.assert_allclose(model.B, ImplicitModel.load("t.npz").B, rtol=1e-6)


def test_a_share_that_leaves_too_few_rows(here):
    make_table(5).to_csv("d.csv", index=False)
    line = fail("fit", "d.csv", "--target", "y", "--model", "m.npz", "--test-share", 0.1)
    assert "--test-share: 0.1 of 5 rows leaves 4 to train on and 1 to test on. At least 2 and 2 are needed." in line


def test_the_accuracy_held_out_stands_beside_that_of_the_commonest_class(classes):
    options = ["--target", "word", "--ignore", "code", "--ignore", "is_low", "--model", "m.npz", "--n-hidden", 4]
    scores = in_json("fit", "d.csv", *options, "--test-share", 0.3)
    train, test = train_test_split(classes, test_size=27, random_state=0)
    most = train["word"].mode()[0]
    assert scores["constant_test_accuracy"] == pytest.approx((test["word"] == most).mean())


def test_a_class_that_only_held_out_rows_have_has_no_probability(here):
    table = make_table(40)[["age", "bmi", "y"]]
    _, test = train_test_split(table.index, test_size=10, random_state=0)
    table["word"] = np.where(table.index == test[0], "rare", np.where(table["y"] > table["y"].median(), "high", "low"))
    table.drop(columns="y").to_csv("d.csv", index=False)
    scores = in_json("fit", "d.csv", "--target", "word", "--model", "m.npz", "--test-share", 0.25, *QUICK)
    assert 0 < scores["logistic_test_accuracy"] < 1
    # Minus the logarithm of 0 is no number of JSON's.
    assert scores["constant_test_log_loss"] is scores["logistic_test_log_loss"] is None
