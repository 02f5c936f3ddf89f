"""The loss on the command line: what it predicts, how it is scored, and which targets it does not take."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import fail, in_json, make_table, succeed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import d2_pinball_score, d2_tweedie_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bcd_implicit import ImplicitModel

X = ["age", "bmi"]
SMALL = ["--n-hidden", 3, "--max-cycles", 30]


@pytest.fixture
def table(here):
    """A table of inputs, a word, a count and a number."""
    table = make_table(90)[["age", "bmi", "y"]]
    y, rng = table["y"], np.random.default_rng(0)
    table["word"] = np.select([y > y.quantile(0.6), y < y.quantile(0.3)], ["high", "low"], "mid")
    table["count"] = rng.poisson(np.exp(0.5 * table["age"] + 1))
    table.to_csv("d.csv", index=False)
    return table


def options(target):
    ignored = [o for column in ("word", "count", "y") if column != target for o in ("--ignore", column)]
    return ["--target", target, *ignored, *SMALL]


def test_classes_have_probabilities_and_a_log_loss(table):
    scores = in_json("fit", "d.csv", *options("word"), "--model", "m.npz", "--test-share", 0.3)
    succeed("predict", "m.npz", "d.csv", "--output", "p.csv", "--probabilities")
    succeed("predict", "m.npz", "d.csv", "--output", "c.csv")
    p, classes = pd.read_csv("p.csv"), pd.read_csv("c.csv")["word"]
    assert list(p.columns) == ["word=high", "word=low", "word=mid"]
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal("word=" + classes, p.columns[p.to_numpy().argmax(axis=1)])
    train, test = train_test_split(table.index, test_size=27, random_state=0)
    expected = log_loss(table["word"][train], p.loc[train])
    assert scores["train_log_loss"] == pytest.approx(expected)
    shares = table["word"][train].value_counts(normalize=True)
    held_out, alone = log_loss(table["word"][test], p.loc[test]), -np.log(shares[table["word"][test]]).mean()
    assert scores["test_log_loss"] == pytest.approx(held_out)
    assert scores["constant_test_log_loss"] == pytest.approx(alone)
    assert held_out < alone
    linear = make_pipeline(StandardScaler(), LogisticRegression()).fit(table.loc[train, X], table["word"][train])
    assert scores["logistic_test_accuracy"] == linear.score(table.loc[test, X], table["word"][test])
    expected = log_loss(table["word"][test], linear.predict_proba(table.loc[test, X]))
    assert scores["logistic_test_log_loss"] == pytest.approx(expected, rel=1e-3)
    assert ImplicitModel.load("m.npz").link == "softmax"


def test_least_squares_for_classes_on_request(table):
    outcome = succeed("fit", "d.csv", *options("word"), "--model", "m.npz", "--loss", "squared")
    assert "log loss" not in outcome.stdout
    model = ImplicitModel.load("m.npz")
    assert model.link == "identity"
    # Indicators of -1 and 1, whose mean an intercept keeps.
    assert model.predict(table[["age", "bmi"]]).mean(axis=0).sum() == pytest.approx(-1, abs=1e-6)
    line = fail("predict", "m.npz", "d.csv", "--output", "p.csv", "--probabilities")
    assert "--probabilities: m.npz holds a model that has none. Train it with --loss cross-entropy" in line


def test_counts_are_predicted_as_rates(table):
    scores = in_json("fit", "d.csv", *options("count"), "--model", "m.npz", "--loss", "poisson")
    succeed("predict", "m.npz", "d.csv", "--output", "p.csv")
    succeed("predict", "m.npz", "d.csv", "--output", "s.csv", "--scores")
    rates = pd.read_csv("p.csv")["count"]
    assert (rates > 0).all()
    np.testing.assert_allclose(np.log(rates), pd.read_csv("s.csv")["count"], atol=1e-10)
    expected = d2_tweedie_score(table["count"], rates, power=1)
    assert scores["train_d2"] == pytest.approx(expected)
    assert "ridge_train_r2" not in scores


def test_a_quantile_by_its_level(table):
    scores = in_json("fit", "d.csv", *options("y"), "--model", "m.npz", "--loss", "quantile", "--quantile", 0.8)
    predicted = ImplicitModel.load("m.npz").predict(table[["age", "bmi"]])[:, 0]
    assert np.mean(table["y"] <= predicted + 1e-6) == pytest.approx(0.8, abs=0.1)
    assert scores["train_d2"] == pytest.approx(d2_pinball_score(table["y"], predicted, alpha=0.8), abs=2e-3)
    assert in_json("fit", "d.csv", *options("y"), "--model", "m.npz", "--loss", "huber")["train_r2"] > 0.5


def test_targets_that_a_loss_does_not_take(table):
    where = ["--model", "m.npz"]
    table.assign(count=table["count"].where(table.index != 4, -3)).to_csv("n.csv", index=False)
    line = fail("fit", "n.csv", *options("count"), *where, "--loss", "poisson")
    assert "n.csv: the Poisson loss needs targets of 0 or more, line 6 of 'count' is -3." in line
    line = fail("fit", "d.csv", *options("word"), *where, "--loss", "poisson")
    assert "--loss: poisson does not suit column 'word', which holds 3 classes. Use cross-entropy or squared." in line
    line = fail("fit", "d.csv", *options("count"), *where, "--loss", "cross-entropy")
    assert "--loss: cross-entropy is for classes, but column 'count' holds numbers. Add --classify" in line
    line = fail("fit", "d.csv", *options("y"), *where, "--quantile", 0.9)
    assert "--quantile: applies only to --loss quantile. Add --loss quantile." in line
    assert "--quantile: 1.5 is not in the range" in fail("fit", "d.csv", *options("y"), *where, "--quantile", 1.5)
    assert not Path("m.npz").exists()


@pytest.mark.parametrize(("target", "loss"), [("word", None), pytest.param("count", "poisson", marks=pytest.mark.slow)])
def test_select_judges_by_the_loss(table, plain_choice, target, loss):
    ignored = [o for column in ("word", "count", "y") if column != target for o in ("--ignore", column)]
    succeed(
        *("select", "d.csv", "--target", target, *ignored, "--output", "o", "--n-hidden", 1, "--norm-bound", 0),
        *("--n-kappas", 2, "--rule", "plateau", *(["--loss", loss] if loss else [])),
    )
    report = json.loads(Path("o/report.json").read_text())
    assert report["loss"] == (loss or "cross-entropy")
    model, rows = ImplicitModel.load("o/model.npz"), train_test_split(table, test_size=23, random_state=0)[1]
    if loss:
        expected = d2_tweedie_score(rows["count"], model.response(rows)[:, 0], power=1)
        assert report["test_log_loss"] is None
    else:
        expected = 1 - report["test_log_loss"] / log_loss(rows["word"], np.tile(shares_of(rows["word"]), (23, 1)))
        assert report["test_log_loss"] == pytest.approx(log_loss(rows["word"], model.response(rows)))
    assert report["test_d2"] == pytest.approx(expected)


def shares_of(labels):
    return labels.value_counts(normalize=True).sort_index().to_numpy()


def test_scores_and_probabilities_are_two_tables(table):
    succeed("fit", "d.csv", *options("word"), "--model", "m.npz", "--max-cycles", 1)
    line = fail("predict", "m.npz", "d.csv", "--output", "p.csv", "--scores", "--probabilities")
    assert "--probabilities: and --scores ask for different outputs. Use one of them" in line
    assert not Path("p.csv").exists()


@pytest.mark.parametrize(("target", "loss", "what"), [("count", "poisson", "rates"), ("y", "squared", "numbers")])
def test_what_has_no_probabilities_says_what_it_predicts(table, target, loss, what):
    succeed("fit", "d.csv", *options(target), "--model", "m.npz", "--loss", loss)
    line = fail("predict", "m.npz", "d.csv", "--output", "p.csv", "--probabilities")
    assert f"m.npz holds a model of {what}, which has none. Omit it to write the {what}." in line


def test_whole_numbers_that_may_be_classes_are_noted(table):
    note = "Note: column 'count' holds 8 different whole numbers, which are treated as numbers. Add --classify"
    table["count"] = table["count"].clip(upper=7)
    assert sorted(table["count"].unique()) == list(range(8))
    table.to_csv("w.csv", index=False)
    fit = ["fit", "w.csv", "--model", "m.npz", "--max-cycles", 1]
    assert note in succeed(*fit, *options("count")[:-1], 1).stderr
    for said in (["--loss", "squared"], ["--loss", "poisson"], ["--classify"]):
        assert "whole numbers" not in succeed(*fit, *options("count")[:-1], 1, *said).stderr
    assert "whole numbers" not in succeed(*fit, *options("y")[:-1], 1).stderr


def test_remedies_are_in_the_words_of_the_command_line(table):
    fit = ["fit", "d.csv", *options("count"), "--model", "m.npz"]
    line = fail(*fit, "--loss", "logistic")
    assert "is 2. Pass 0 and 1, or probabilities; for one column of classes, use --classify instead of --loss" in line
    table.assign(count=table["count"] - 1).to_csv("n.csv", index=False)
    line = fail("fit", "n.csv", *fit[2:], "--loss", "poisson")
    assert "of 'count' is -1. Pass counts or rates; for other numbers use --loss squared, huber or" in line
    table.assign(y=0.5, count=0.7).to_csv("s.csv", index=False)
    two = ["--target", "count", "--target", "y", "--ignore", "word", "--model", "m.npz"]
    line = fail("fit", "s.csv", *two, "--loss", "cross-entropy")
    assert "s.csv: the cross-entropy needs columns that sum to 1, and line 2 sums to 1.2. Pass a column" in line
    assert "pandas" not in line


def test_hubers_threshold_is_an_option(table):
    fit = ["fit", "d.csv", *options("y"), "--model"]
    succeed(*fit, "a.npz", "--loss", "huber", "--huber-threshold", 0.1)
    succeed(*fit, "b.npz", "--loss", "huber")
    a, b = (ImplicitModel.load(name) for name in ("a.npz", "b.npz"))
    assert not np.allclose(a.d, b.d)
    line = fail(*fit, "c.npz", "--huber-threshold", 0.1)
    assert "--huber-threshold: applies only to --loss huber. Add --loss huber." in line
    assert "Error: --huber-threshold: " in fail(*fit, "c.npz", "--loss", "huber", "--huber-threshold", 0)
