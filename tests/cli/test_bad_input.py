"""One clear line where a command cannot work, and no file that was not there before."""

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, make_table, succeed


@pytest.mark.parametrize("command", ["fit", "select"])
@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        (None, "x", "target: no column named 'x'. The columns are 'age', 'bmi', 'dose', 'noise', 'y', 'z', 'id'."),
        (("bmi", 3, "tall"), "y", "data.csv: not numeric: column 'bmi' (line 5 holds 'tall'). Encode cat"),
        (("y", 5, "?"), "y", "data.csv: not numeric: column 'y' (line 7 holds '?'). Leave a field empty where"),
        (("dose", 7, np.nan), "y", "data.csv: missing values: column 'dose' (line 9, 1 in all). Drop rows with"),
        (("z", 0, np.inf), "z", "data.csv: not numeric: column 'z' (line 2 holds inf). Replace infinite values."),
    ],
)
def test_bad_tables(here, command, change, target, words):
    table = make_table()
    if change:
        column, row, value = change
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
    table.to_csv("data.csv", index=False)
    where = ["--model", "m.npz"] if command == "fit" else ["--output", "out"]
    assert words in fail(command, "data.csv", "--target", target, *where)
    assert os.listdir(here) == ["data.csv"]


@pytest.mark.parametrize("command", ["fit", "select", "predict"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["bmi"].where(t.index != 3, "tall"), "not numeric: column 'bmi' (line 5 holds 'tall')."),
        (lambda t: t["bmi"].where(t.index != 3), "missing values: column 'bmi' (line 5, 1 in all)."),
        (lambda t: t["bmi"].where(t.index != 3, -1e300), "beyond 1e+40: column 'bmi' (line 5 holds -1e+300). Scale"),
        (lambda t: t["bmi"] * 1e-60, "varies by no more than"),
    ],
)
def test_errors_about_a_table_name_the_file_as_given_and_the_column(folder, here, command, change, words):
    table = make_table()
    table["bmi"] = change(table)
    Path("t").mkdir()
    table.to_csv("t/x.csv", index=False)
    where = {"fit": ["--model", "m.npz"], "select": ["--output", "out"]}.get(command)
    before = [] if where else [folder / "m.npz"]
    after = [*where, "--target", "y"] if where else ["--output", "p.csv"]
    if words.startswith("varies") and command == "predict":
        pytest.skip("new inputs need not vary")
    line = fail(command, *before, "t/x.csv", *after)
    assert line.startswith(f"Error: t/x.csv: {words}")
    assert "'bmi'" in line
    assert os.listdir(here) == ["t"]


def test_a_table_of_which_the_separator_is_not_found(folder, here):
    Path("x.txt").write_text("x z  y\n1 2 3\n2  4 5\n3 3 1\n4 5 6\n")
    one = "x.txt: has one column, 'x z y': no comma, semicolon, tab or | separates its fields. Give the separator"
    for command in ("fit", "select"):
        assert one in fail(command, "x.txt", "--target", "y", *(["--model", "m.npz"] if command == "fit" else []))
    assert one in fail("predict", folder / "m.npz", "x.txt", "--output", "p.csv")
    told = fail("fit", "x.txt", "--target", "y", "--model", "m.npz", "--sep", "|")
    assert "'|' does not separate its fields. Give the separator, such as --sep space." in told
    succeed("fit", "x.txt", "--target", "y", "--model", "m.npz", "--sep", "space", "--max-cycles", 2)


@pytest.mark.parametrize("command", ["fit", "select", "predict"])
def test_bad_files(folder, here, command):
    Path("empty.csv").write_bytes(b"")
    Path("folder").mkdir()
    before = sorted(os.listdir(here))
    where = {"fit": ["--model", "m", "--target", "y"], "select": ["--output", "o", "--target", "y"]}.get(command)
    first = [] if where else [folder / "m.npz"]
    where = where or ["--output", "p.csv"]
    assert "gone.csv: no such file." in fail(command, *first, "gone.csv", *where)
    assert "empty.csv: is empty." in fail(command, *first, "empty.csv", *where)
    assert f"{folder / 'm.npz'}: is a zip archive of 13 files" in fail(command, *first, folder / "m.npz", *where)
    assert "folder: is a folder." in fail(command, *first, "folder", *where)
    assert sorted(os.listdir(here)) == before


def test_missing_options(folder):
    line = fail("fit", folder / "data.csv", "--model", "m.npz")
    assert line == "Error: --target is missing. See main fit --help."
    line = fail("predict", folder / "m.npz", folder / "data.csv")
    assert line == "Error: --output is missing. See main predict --help."
    assert fail("check") == "Error: MODEL is missing. See main check --help."


@pytest.mark.parametrize("command", ["check", "predict"])
def test_files_that_are_no_models(folder, here, command):
    Path("random.npz").write_bytes(np.random.default_rng(0).bytes(500))
    np.savez("other.npz", A=np.eye(2))
    np.save("array.npy", np.eye(2))
    Path("empty.npz").write_bytes(b"")
    files = sorted(os.listdir(here))
    rest = [folder / "data.csv", "--output", "p.csv"] if command == "predict" else []
    for name in [*files, folder / "data.csv"]:
        assert "not a model file" in fail(command, name, *rest)
    assert "it lacks format" in fail(command, "other.npz", *rest)
    assert "gone.npz: no such file." in fail(command, "gone.npz", *rest)
    assert sorted(os.listdir(here)) == files


def test_output_that_cannot_be_made(folder, here):
    data, target = folder / "data.csv", ["--target", "y"]
    Path("file").write_text("old")
    assert "model: folder gone does not exist." in fail("fit", data, *target, "--model", "gone/m.npz")
    assert f"{here}: is a folder." in fail("fit", data, *target, "--model", here)
    assert "output: file/out cannot be written to (Not a directory)." in fail(
        "select", data, *target, "--output", "file/out"
    )
    assert "output: file/out cannot be written to (Not a directory)." in fail("demo", "--output", "file/out")
    assert "--output: Directory 'file' is a file." in fail("select", data, *target, "--output", "file")
    assert "gone/p.csv: cannot be written (No such file or directory)." in fail(
        "predict", folder / "m.npz", data, "--output", "gone/p.csv"
    )
    assert os.listdir(here) == ["file"]
    assert Path("file").read_text() == "old"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--n-features", 7), "--n-features: got 7, must be <= 5. Give a number from 1 to the number of inputs."),
        (("--n-jobs", 0), "--n-jobs: got 0. Give a number of processes, or -1 for all cores."),
    ],
)
def test_numbers_that_cannot_be_are_named_before_the_path_is_walked(here, monkeypatch, options, words):
    monkeypatch.setattr("bcd_implicit.experiments.feature_selection.kappa_path", None)
    make_table().to_csv("data.csv", index=False)
    assert words in fail("select", "data.csv", "--target", "y", *options, "--output", "out")
    assert os.listdir(here) == ["data.csv"]
