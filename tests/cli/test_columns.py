"""Files and columns as people have them, through fit and predict."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import QUICK, fail, make_table, succeed

from bcd_implicit import ImplicitModel, TrainingProblem
from bcd_implicit.cli import fit as fit_module

FIT = ["--target", "y", "--ignore", "z", "--model", "m.npz", *QUICK]


def colored(n_rows=60):
    table = make_table(n_rows).drop(columns=["id", "z", "noise", "dose"])
    table["color"] = np.resize(["red", "blue", "green", "red"], n_rows)
    table["y"] += 5 * (table["color"] == "red")
    return table


def matrices(path):
    model = ImplicitModel.load(path)
    return [getattr(model, letter) for letter in "ABbCDd"]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("d.csv", {"sep": ";", "decimal": ",", "encoding": "latin-1"}),
        ("d.txt", {"sep": "\t", "encoding": "utf-16"}),
        ("d.csv.gz", {"sep": "|"}),
    ],
)
def test_the_model_does_not_depend_on_how_a_table_is_written(folder, here, name, write):
    table = make_table().rename(columns={"age": "größe"})
    table.to_csv("plain.csv", index=False)
    table.to_csv(name, index=False, **write)
    for data, model in (("plain.csv", "a.npz"), (name, "b.npz")):
        succeed("fit", data, "--target", "y", "--model", model, *QUICK)
    for one, other in zip(matrices("a.npz"), matrices("b.npz"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    succeed("predict", "a.npz", name, "--output", "p.csv")
    assert len(pd.read_csv("p.csv")) == len(table)


def test_what_is_told_of_a_text_is_used(folder, here):
    table = make_table().map(lambda value: f"{value:.3f}".replace(".", ","))
    Path("d.csv").write_text("\n".join("~".join(row) for row in [table.columns, *table.to_numpy()]))
    told = ["--sep", "~", "--decimal", ",", "--encoding", "ascii"]
    succeed("fit", "d.csv", *FIT, *told)
    succeed("predict", "m.npz", "d.csv", "--output", "p.csv", *told)
    line = fail("predict", "m.npz", "d.csv", "--output", "q.csv", "--encoding", "x")
    assert "encoding: unknown encoding 'x'." in line
    assert "d.csv: has one column, 'age~bmi~dose~noise~y~z~id': no comma" in fail("fit", "d.csv", *FIT)


def test_accents_match_however_they_are_typed(here):
    table = make_table().rename(columns={"y": "o\u0308"})
    table.to_csv("d.csv", index=False)
    succeed("fit", "d.csv", "--target", "ö", "--ignore", "z", "--model", "m.npz", *QUICK)
    succeed("fit", "d.csv", "--target", "o\u0308", "--ignore", "z", "--model", "m.npz", *QUICK)
    assert ImplicitModel.load("m.npz").output_names == ["ö"]


def test_all_bad_columns_at_once_and_the_options_that_help(here):
    table = colored()
    table["when"] = "2020-01-01"
    table.loc[[3, 8], "bmi"] = np.nan
    table.to_csv("d.csv", index=False)
    line = fail("fit", "d.csv", "--target", "y", "--model", "m.npz")
    assert "d.csv: not numeric: column 'color' (line 2 holds 'red'), column 'when' (line 2 holds '2020-01-01')" in line
    assert "; missing values: column 'bmi' (line 5, 2 in all). " in line
    for option in ("--categorical COLUMN", "--ignore COLUMN", "--drop-missing"):
        assert option in line
    assert os.listdir(here) == ["d.csv"]


def test_rows_with_missing_values_are_dropped_with_a_word(here):
    table = colored()
    table["note"] = np.nan
    table.loc[3, "bmi"] = table.loc[8, "y"] = np.nan
    table.loc[20, "color"] = None
    table.to_csv("holes.csv", index=False)
    table.drop(index=[3, 8, 20]).to_csv("full.csv", index=False)
    options = ["--target", "y", "--ignore", "note", "--categorical", "color", *QUICK]
    outcome = succeed("fit", "holes.csv", *options, "--drop-missing", "--model", "a.npz")
    note = "Note: dropped 3 of 60 rows, which have missing values (line 5, line 10, line 22)."
    assert outcome.stderr.splitlines()[0] == note
    assert outcome.stdout.startswith("holes.csv: 57 rows, 5 inputs, 1 target\n")
    succeed("fit", "full.csv", *options, "--model", "b.npz")
    for one, other in zip(matrices("a.npz"), matrices("b.npz"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    line = fail("fit", "holes.csv", "--target", "y", "--categorical", "color", "--drop-missing", "--model", "c.npz")
    assert "has 0 rows without missing values, at least 2 needed." in line


def test_an_empty_line_is_named(folder, here):
    Path("d.csv").write_text("u\n1\n\n3\n")
    ImplicitModel(np.zeros((1, 1)), [[1.0]], None, [[1.0]], input_names=["u"]).save("m.npz")
    assert "Error: d.csv: line 3 is empty." in fail("predict", "m.npz", "d.csv", "--output", "p.csv")
    assert not Path("p.csv").exists()


def test_categories_are_indicators_in_training_and_prediction(here, monkeypatch):
    given = {}

    def problem(*arguments, **settings):
        given.update(settings)
        return TrainingProblem(*arguments, **settings)

    monkeypatch.setattr(fit_module.bi, "TrainingProblem", problem)
    table = colored()
    table.to_csv("d.csv", index=False)
    succeed("fit", "d.csv", "--target", "y", "--categorical", "color", "--model", "m.npz", "--n-hidden", 3)
    model = ImplicitModel.load("m.npz")
    indicators = ["color=blue", "color=green", "color=red"]
    assert model.input_names == ["age", "bmi", *indicators]
    assert given["groups"] == {"color": indicators}
    # By hand, and in another order of rows and columns.
    expanded = table[["age", "bmi"]].assign(**{name: (table["color"] == name[6:]).astype(float) for name in indicators})
    expected = model.predict(expanded.to_numpy())[:, 0]
    assert 1 - np.var(table["y"] - expected) / np.var(table["y"]) > 0.95
    table[["color", "bmi", "age"]][::-1].to_csv("new.csv", index=False, sep=";")
    succeed("predict", "m.npz", "new.csv", "--output", "p.csv")
    np.testing.assert_allclose(pd.read_csv("p.csv")["y"], expected[::-1], rtol=1e-9)
    np.testing.assert_allclose(model.predict(table)[:, 0], expected)
    # One that was not there in training, and none.
    for value, words in (("pink", "column 'color' holds 'pink' in line 6."), ("", "has a missing value in line 6.")):
        table.assign(color=table["color"].mask(table.index == 4, value)).to_csv("new.csv", index=False)
        assert words in fail("predict", "m.npz", "new.csv", "--output", "q.csv")
        assert not Path("q.csv").exists()


def test_columns_that_are_no_categories(here):
    colored().assign(name=[f"n{j}" for j in range(60)]).to_csv("d.csv", index=False)
    options = ["--target", "y", "--categorical", "color", "--model", "m.npz"]
    line = fail("fit", "d.csv", *options, "--categorical", "name")
    assert "d.csv: column 'name' has 60 different values in 60 rows, too many for categories. Drop it" in line
    assert "categorical: no column named 'x'." in fail("fit", "d.csv", *options, "--categorical", "x")
    assert "use: no column named 'x'." in fail("fit", "d.csv", *options, "--use", "x")


def test_a_column_that_numbers_the_rows_is_left_out_with_a_note(folder, here):
    outcome = succeed("fit", folder / "data.csv", *FIT)
    assert outcome.stderr.splitlines()[0] == (
        "Note: column 'id' only numbers the rows, so it is dropped; --use id keeps it."
    )
    assert ImplicitModel.load("m.npz").input_names == ["age", "bmi", "dose", "noise"]
    outcome = succeed("fit", folder / "data.csv", *FIT, "--use", "id")
    assert "Note" not in outcome.stderr
    assert "id" in ImplicitModel.load("m.npz").input_names
    # A time axis that is the only input is one.
    make_table()[["id", "y"]].to_csv("d.csv", index=False)
    assert "Note" not in succeed("fit", "d.csv", "--target", "y", "--model", "m.npz", *QUICK).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ignore", "y"], "ignore: names column 'y', and so does --target. Name it once."),
        (["--categorical", "y"], "categorical: names column 'y', and so does --target."),
        (["--ignore", "age", "--use", "age"], "use: names column 'age', and so does --ignore."),
        (["--ignore", "age", "--categorical", "age"], "categorical: names column 'age', and so does --ignore."),
    ],
)
def test_a_column_that_two_options_name(folder, here, options, words):
    assert words in fail("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *options)


def test_row_numbers_with_gaps_are_noted_and_kept(here):
    table = colored().assign(id=range(60)).drop(index=[3, 40])
    table[["id", "y"]].assign(other=np.cos(table["id"])).to_csv("d.csv", index=False)
    options = ["--target", "y", "--model", "m.npz"]
    stderr = succeed("fit", "d.csv", *options).stderr
    assert "Note: column 'id' looks like row numbers" in stderr
    assert "--ignore id; --use keeps it" in stderr
    assert "row numbers" not in succeed("fit", "d.csv", *options, "--use", "id").stderr


def test_remedies_fit_the_column(here):
    table = colored().assign(z=np.nan, name=[f"n{j}" for j in range(60)])
    table[["y", "z"]].assign(u=np.cos(table["y"])).to_csv("d.csv", index=False)
    options = ["--target", "y", "--model", "m.npz"]
    line = fail("fit", "d.csv", *options)
    assert "d.csv: no values: column 'z'. Omit columns without values with --ignore COLUMN." in line
    assert "--drop-missing" not in line
    assert "column 'z' has no values. Choose another target" in fail("fit", "d.csv", "--target", "z", *options[2:])
    line = fail("fit", "d.csv", *options, "--ignore", "z", "--classify")
    assert "too many for categories. Its values are numbers: omit --classify to use them as such." in line
    line = fail("fit", "d.csv", *options, "--ignore", "z", "--categorical", "u")
    assert "too many for categories. Its values are numbers: omit --categorical" in line
    assert "target: names column 'y' 2 times. Name it once." in fail("fit", "d.csv", "--target", "y", *options)
    Path("n.csv").write_text("1,2,3\n2,3,4\n3,5,4\n")
    line = fail("fit", "n.csv", *options)
    assert "The columns are '1', '2', '3'. If these are values, add a first row with the names" in line


def test_targets_and_inputs_that_do_not_vary(here):
    table = colored().assign(same=3.0)
    table[["y", "same"]].assign(u=np.cos(table["y"])).to_csv("d.csv", index=False)
    stderr = succeed("fit", "d.csv", "--target", "y", "--model", "m.npz").stderr
    assert "Note: input 'same' has the same value in every row, so it cannot explain the target." in stderr
    table.loc[:1, ["y"]].assign(u=[1.0, 2.0]).to_csv("two.csv", index=False)
    outcome = succeed("fit", "two.csv", "--target", "y", "--model", "m.npz")
    assert "A linear model can fit 2 rows exactly" in outcome.stdout


def test_a_model_asks_for_the_columns_of_categories_by_their_own_name(here):
    colored().to_csv("d.csv", index=False)
    succeed("fit", "d.csv", "--target", "y", "--categorical", "color", "--model", "m.npz")
    colored().drop(columns="color").to_csv("new.csv", index=False)
    line = fail("predict", "m.npz", "new.csv", "--output", "p.csv")
    assert "lacks the model's input column 'color' (1 missing in all)" in line
    assert "color=" not in line
