"""bcd-implicit select."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import REPORT_KEYS, fail, make_table, run, succeed
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bcd_implicit import ConvergenceWarning, ImplicitModel
from bcd_implicit.experiments import feature_selection


def test_select_writes_report_figure_and_model(here, plain_choice):
    table = make_table(40)
    table["length [cm]"] = table.pop("age")
    table.drop(columns=["id", "z", "noise"]).to_csv("data.csv", index=False)
    outcome = succeed(
        *("select", "data.csv", "--target", "y", "--n-hidden", 1, "--norm-bound", 0, "--n-kappas", 2),
        *("--output", "deep/folder"),
    )
    output = Path("deep/folder")
    assert sorted(os.listdir(output)) == ["feature_selection.png", "model.npz", "report.json"]
    report = json.loads((output / "report.json").read_text())
    assert report.keys() == REPORT_KEYS
    assert report["true"] is report["exact"] is report["f1"] is report["column_norms_true"] is None
    model = ImplicitModel.load(output / "model.npz")
    assert model.input_names == ["bmi", "dose", "length [cm]"]
    assert report["selected"] == [
        name for name, used in zip(model.input_names, model.B.any(axis=0), strict=True) if used
    ]
    assert {"bmi", "length [cm]"} <= set(report["selected"])
    assert report["kappa"] in report["kappas"]
    assert len(report["kappas"]) == len(report["n_selected"]) == 2
    # The score test may have let an input go that the path holds throughout.
    assert report["n_selected"][report["kappas"].index(report["kappa"])] >= len(report["selected"])
    assert len(report["column_norms_learned"]) == 3
    assert (output / "feature_selection.png").read_bytes().startswith(b"\x89PNG\r\n")
    # The table in the terminal: a line an input with its name in full, then one line with the conclusion.
    lines = outcome.stdout.splitlines()
    assert lines[0] == "data.csv, prox-linear"
    assert [line for line in lines if line.startswith("│ length [cm] │") and "yes" in line]
    (verdict,) = (line for line in lines if " of 3 inputs selected, " in line)
    assert verdict.startswith(f"{len(report['selected'])} of 3 inputs selected, test R2 {report['test_r2']:.3f}, ")
    assert verdict.endswith(f" s. {report['how']}")
    assert f"kappa {report['chosen_kappa']:.3g}, where " in report["how"]
    assert report["why"].keys() == set(model.input_names)
    kept = {name for name, why in report["why"].items() if not why.startswith("dropped: ")}
    assert kept == set(report["selected"])
    assert lines[-1] == "wrote deep/folder/feature_selection.png"
    # The test rows take no part in training, and the model takes raw inputs: its R2 on all rows is alike.
    rest = (table["y"] - model.predict(table[model.input_names])[:, 0]).var() / table["y"].var()
    assert 1 - rest == pytest.approx(report["test_r2"], abs=0.4)


def test_select_where_no_input_matters(here, plain_choice):
    rng = np.random.default_rng(0)
    pd.DataFrame(rng.standard_normal((40, 3)), columns=["a", "b", "y"]).to_csv("noise.csv", index=False)
    succeed(
        *("select", "noise.csv", "--target", "y", "--n-hidden", 1, "--norm-bound", 0, "--n-kappas", 2, "--output", "."),
    )
    report = json.loads(Path("report.json").read_text())
    assert report["selected"] == []
    assert report["test_r2"] < 0.2


def test_warnings_of_a_path_become_one_line(here, monkeypatch):
    """Dozens of fits may each warn; a person gets their number and the last."""

    def run_table(*arguments, **options):
        for k in range(3):
            warnings.warn(f"fit {k} fell short.", ConvergenceWarning, stacklevel=1)

    monkeypatch.setattr(feature_selection, "run_table", run_table)
    monkeypatch.setattr("bcd_implicit.cli.select.present", lambda run, output: None)
    make_table().to_csv("data.csv", index=False)
    outcome = succeed("select", "data.csv", "--target", "y")
    assert [line for line in outcome.stderr.splitlines() if not line.startswith("Note: ")] == [
        "Warning: 3 warnings that a tolerance was not met, so the numbers are approximate; "
        "the last: fit 2 fell short. See docs/troubleshooting.md#training-did-not-converge."
    ]


def test_sample_groups_is_a_column_of_labels_and_no_input(here, monkeypatch):
    seen = {}
    monkeypatch.setattr(feature_selection, "run_table", lambda inputs, *_, **options: seen.update(options, X=inputs))
    monkeypatch.setattr("bcd_implicit.cli.select.present", lambda run, output: None)
    table = make_table()
    table.assign(person=[f"p{i // 6}" for i in range(len(table))]).to_csv("data.csv", index=False)
    succeed("select", "data.csv", "--target", "y", "--sample-groups", "person")
    assert list(seen["sample_groups"][:7]) == ["p0"] * 6 + ["p1"]
    assert "person" not in seen["X"].columns
    words = fail("select", "data.csv", "--target", "y", "--sample-groups", "y")
    assert "--sample-groups: names column 'y', which another option also names. Name it once." in words
    assert "no column named 'nobody'" in fail("select", "data.csv", "--target", "y", "--sample-groups", "nobody")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n-kappas", 1], "--n-kappas: got 1, must be >= 2."),
        (["--n-hidden", 0], "--n-hidden: got 0, must be >= 1."),
        (
            ["--test-share", 0.01],
            "--test-share: 0.01 of 60 rows leaves 59 to train on and 1 to test on. At least",
        ),
    ],
)
def test_bad_settings_of_select(folder, here, options, words):
    assert words in fail("select", folder / "data.csv", "--target", "y", "--output", ".", *options)
    assert os.listdir(here) == []


def test_too_few_rows_to_select_from(here):
    make_table(7).to_csv("data.csv", index=False)
    assert "data.csv: has 7 sample(s), at least 8 needed." in fail("select", "data.csv", "--target", "y")
    make_table(8).to_csv("data.csv", index=False)
    assert "leaves 4 to train on" in fail("select", "data.csv", "--target", "y", "--test-share", 0.5)


def test_options_of_select_reach_the_experiment(folder, here, monkeypatch):
    given = []
    monkeypatch.setattr(feature_selection, "run_table", lambda *arguments, **options: given.append(options))
    monkeypatch.setattr("bcd_implicit.cli.select.present", lambda run, output: None)
    table = make_table().drop(columns="id")
    table["color"] = np.resize(["red", "blue"], len(table))
    table.to_csv("data.csv", index=False)
    options = ["select", "data.csv", "--target", "y", "--categorical", "color"]
    succeed(*options, "--level", 0.2, "--rule", "bic")
    succeed(*options, "--n-features", 2)
    first, second = given
    assert (first["level"], first["rule"], first["n_features"]) == (0.2, "bic", None)
    assert (second["level"], second["rule"], second["n_features"]) == ("auto", None, 2)
    assert first["groups"] == {"color": ["color=blue", "color=red"]}
    line = fail(*options, "--n-features", 2, "--rule", "min")
    assert "--rule: min does not choose a number of inputs, --n-features=2 does. Use only one of the two." in line
    line = fail(*options, "--n-features", 2, "--level", 0.05)
    assert "--level: got 0.05, but score tests would change the number of inputs, which --n-features=2 fixes." in line


def test_classes_are_scored_by_accuracy_too(here, plain_choice):
    table = make_table(60)[["age", "bmi", "y"]]
    table["size"] = np.where(table.pop("y") > 103, "large", "small")
    table.to_csv("data.csv", index=False)
    outcome = succeed(
        *("select", "data.csv", "--target", "size", "--n-hidden", 1, "--norm-bound", 0, "--n-kappas", 2),
        *("--output", "."),
    )
    report = json.loads(Path("report.json").read_text())
    test = train_test_split(table, test_size=15, random_state=0)[1]
    model = ImplicitModel.load("model.npz")
    assert model.output_names == ["size=large", "size=small"]
    predicted = np.array(["large", "small"])[model.predict(test).argmax(axis=1)]
    assert report["test_accuracy"] == pytest.approx((predicted == test["size"]).mean())
    assert report["ridge_test_accuracy"] > 0.5
    (row,) = (line for line in outcome.stdout.splitlines() if "implicit, selected" in line)
    assert [cell.strip() for cell in row.split("│")[5:7]] == [
        f"{report[name]:.3f}" for name in ("test_accuracy", "test_log_loss")
    ]


def test_categories_are_kept_or_dropped_together_and_ridge_stands_beside(here, plain_choice):
    table = make_table(60).drop(columns=["id", "z", "noise", "dose"])
    table["color"] = np.resize(["red", "blue", "green", "red"], 60)
    table["y"] += 20 * (table["color"] == "red")
    table.to_csv("data.csv", index=False)
    outcome = succeed(
        *("select", "data.csv", "--target", "y", "--categorical", "color", "--n-hidden", 1, "--norm-bound", 0),
        *("--n-kappas", 2, "--output", "."),
    )
    report = json.loads(Path("report.json").read_text())
    assert {"color=blue", "color=green", "color=red"} <= set(report["selected"])
    # The same split and a ridge regression of all columns, by hand.
    inputs = pd.get_dummies(table.drop(columns="y"), columns=["color"], dtype=float)
    U, U_test, y, y_test = train_test_split(inputs, table["y"], test_size=15, random_state=0)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 33))).fit(U, y)
    assert report["ridge_test_r2"] == pytest.approx(ridge.score(U_test, y_test), abs=1e-9)
    (row,) = (line for line in outcome.stdout.splitlines() if "ridge, all columns" in line)
    assert [cell.strip() for cell in row.split("│")[2:4]] == ["5", f"{report['ridge_test_r2']:.3f}"]


@pytest.mark.parametrize("command", ["select", "demo"])
def test_a_folder_that_stays_empty_is_removed_if_this_run_made_it(folder, here, monkeypatch, command):
    def interrupted(*args, **options):
        assert os.path.isdir(output)
        raise KeyboardInterrupt

    for name in ("run_table", "run_synthetic"):
        monkeypatch.setattr(f"bcd_implicit.experiments.feature_selection.{name}", interrupted)
    os.makedirs("old/kept")
    table = [folder / "data.csv", "--target", "y"] if command == "select" else []
    for output, left in (("new/inner", ["kept"]), ("old/kept", ["kept"]), ("old/new", ["kept"])):
        outcome = run(command, *table, "--output", output)
        assert outcome.exit_code == 130
        assert outcome.stderr.endswith("Error: interrupted; nothing more is written.\n")
        assert os.listdir(here) == ["old"]
        assert os.listdir("old") == left
