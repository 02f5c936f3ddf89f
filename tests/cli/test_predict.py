"""bcd-implicit predict."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import fail, make_table, run, succeed

from bcd_implicit import ImplicitModel
from bcd_implicit.support.table_files import read_table


def test_predictions_are_the_models(folder, here):
    table = make_table(20, seed=1)
    shuffled = table[["id", "noise", "dose", "z", "bmi", "age"]]  # another order, more columns, no target
    shuffled.to_csv("new.csv", index=False)
    outcome = succeed("predict", folder / "m.npz", "new.csv", "--output", "p.csv")
    assert outcome.stdout == "wrote 20 predictions of y to p.csv\n"
    model = ImplicitModel.load(folder / "m.npz")
    assert model.input_names == ["age", "bmi", "dose", "noise"]
    predictions = pd.read_csv("p.csv")
    assert list(predictions.columns) == ["y"]
    expected = model.predict(table[["age", "bmi", "dose", "noise"]])
    np.testing.assert_allclose(predictions, expected, rtol=1e-12)
    assert np.std(expected) > 1


def test_a_model_that_is_not_well_posed_predicts_nothing(here):
    ImplicitModel(2 * np.eye(2), np.eye(2), None, np.eye(2), input_names=["a", "b"]).save("m.npz")
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_csv("t.csv", index=False)
    outcome = run("predict", "m.npz", "t.csv", "--output", "p.csv")
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Error: A: spectral radius of |A| is 2 ")
    assert outcome.stderr.splitlines()[1:] == ["See docs/troubleshooting.md#not-well-posed."]
    assert not Path("p.csv").exists()


def test_predict_without_a_column(folder, here):
    make_table().drop(columns=["bmi", "noise"]).to_csv("new.csv", index=False)
    line = fail("predict", folder / "m.npz", "new.csv", "--output", "p.csv")
    assert "new.csv: lacks the model's input column 'bmi' (2 missing in all)." in line
    assert "The model needs: 'age', 'bmi', 'dose', 'noise'." in line
    assert os.listdir(here) == ["new.csv"]


def test_predict_with_a_hole_in_the_table(folder, here):
    table = make_table()
    table.loc[4, "bmi"] = np.nan
    table.to_csv("new.csv", index=False)
    line = fail("predict", folder / "m.npz", "new.csv", "--output", "p.csv")
    assert "new.csv: missing values: column 'bmi' (line 6, 1 in all). Fill in missing values, or remove" in line
    assert os.listdir(here) == ["new.csv"]


def test_an_error_while_writing_leaves_the_old_predictions(folder, here, monkeypatch):
    Path("p.csv").write_text("old")

    def to_csv(self, file, **options):
        file.write(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", to_csv)
    line = fail("predict", folder / "m.npz", folder / "data.csv", "--output", "p.csv")
    assert line.startswith("Error: p.csv: cannot be written (No space left on device).")
    assert os.listdir(here) == ["p.csv"]
    assert Path("p.csv").read_text() == "old"


@pytest.mark.parametrize("name", ["p.csv.gz", "p.csv.bz2", "p.csv.zip", "p.csv.xz", "p.tsv", "p.json", "p.parquet"])
def test_predictions_are_written_as_the_name_says(folder, here, name):
    succeed("predict", folder / "m.npz", folder / "data.csv", "--output", name)
    assert Path(name).read_bytes().startswith(b"y\n") is (name == "p.tsv")
    expected = ImplicitModel.load(folder / "m.npz").predict(make_table())
    np.testing.assert_allclose(read_table(name), expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["p.pkl", "p.csv.zst", "p.json.gz"])
def test_names_that_cannot_be_honoured_are_refused_before_any_work(folder, here, name):
    for empty in ("m.npz", "data.csv"):
        Path(empty).touch()
    line = fail("predict", "m.npz", "data.csv", "--output", name)
    assert line.startswith(f"Error: {name}: has an ending that cannot be written, .")


def test_an_output_that_is_a_pipe(folder, here):
    os.mkfifo("p.csv")
    line = fail("predict", folder / "m.npz", folder / "data.csv", "--output", "p.csv")
    assert "p.csv: is a pipe or a device." in line
    assert "p.csv: is a pipe or a device." in fail("predict", folder / "m.npz", "p.csv", "--output", "q.csv")
