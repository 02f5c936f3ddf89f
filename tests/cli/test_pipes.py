"""Data and predictions through pipes, JSON for programs, and readers that go away."""

import io
import json
import math
import os
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from command_line import QUICK, fail, in_json, make_table, run, succeed
from rich.console import Console

from bcd_implicit import ImplicitModel
from bcd_implicit.cli import main

FIT = ["fit", "-", "--target", "y", "--ignore", "id", "--ignore", "z", "--model", "m.npz", *QUICK]


def piped(content, *arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=content)


def contents():
    table = make_table()
    columns = io.BytesIO()
    table.to_parquet(columns)
    text = table.to_csv(index=False).encode()
    packed = io.BytesIO()
    table.to_csv(packed, index=False, compression="gzip")
    return {
        "csv": text,
        "semicolons": table.to_csv(index=False, sep=";", decimal=",").encode(),
        "gzip": packed.getvalue(),
        "json": table.to_json(orient="records", double_precision=15).encode(),
        "parquet": columns.getvalue(),
    }


@pytest.mark.parametrize("kind", ["csv", "semicolons", "gzip", "json", "parquet"])
def test_data_come_through_a_pipe_as_from_a_file(folder, here, kind):
    outcome = piped(contents()[kind], *FIT)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.startswith("standard input: 60 rows, 4 inputs, 1 target\n")
    there, here = ImplicitModel.load(folder / "m.npz"), ImplicitModel.load("m.npz")
    np.testing.assert_allclose(here.B, there.B, rtol=1e-6)


def test_predictions_go_through_a_pipe_and_nothing_else(folder, here):
    outcome = piped(contents()["csv"], "predict", folder / "m.npz", "-", "--output", "-")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    found, model = pd.read_csv(io.StringIO(outcome.stdout)), ImplicitModel.load(folder / "m.npz")
    assert list(found.columns) == ["y"]
    np.testing.assert_allclose(found, model.predict(make_table()), rtol=1e-12)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "standard input: is empty."),
        ("a,y\n1,2\n,4\n", "standard input: missing values: column 'a' (line 3, 1 in all)."),
        ("y\n1\n2\n", "standard input: has one column, 'y'"),
        ("[1, 2", "standard input: has "),
        ('{"a": 1}', "standard input: cannot be read as JSON"),
        ("a,y\n1e50,1\n2,3\n", "standard input: beyond 1e+40: column 'a' (line 2 holds 1e+50)."),
        ("a,y\n1,1e-60\n2,2e-60\n", "standard input: "),
    ],
)
def test_errors_about_standard_input_name_it(here, content, words):
    outcome = piped(content, "fit", "-", "--target", "y", "--model", "m.npz")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[-1].startswith(f"Error: {words}")
    assert not Path("m.npz").exists()


def test_models_and_folders_do_not_go_through_pipes(folder, here):
    words = "only data and predictions pass through pipes. Give a name, or ./- for a file called -."
    for name, arguments in {
        "--model": ["fit", "data.csv", "--target", "y", "--model", "-"],
        "--checkpoint": ["fit", "data.csv", "--target", "y", "--model", "m.npz", "--checkpoint", "-"],
        "--output": ["select", "data.csv", "--target", "y", "--output", "-"],
        "MODEL": ["check", "-"],
    }.items():
        assert fail(*arguments).startswith(f"Error: {name}: {words}")
    both = "--json: and --output - both need standard output."
    assert both in fail("predict", folder / "m.npz", folder / "data.csv", "--output", "-", "--json")


def test_a_file_called_dash(folder, here):
    make_table().to_csv("-", index=False)
    succeed("predict", folder / "m.npz", "./-", "--output", "p.csv")
    assert len(pd.read_csv("p.csv")) == 60


def test_json_of_each_command(folder, here, plain_choice):
    fitted = in_json("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--model", "m.npz", *QUICK)
    assert fitted["inputs"] == ["age", "bmi", "dose", "noise", "z"]
    assert (fitted["status"], fitted["n_cycles"], fitted["files"]) == ("MAX_CYCLES", 5, ["m.npz"])
    checked, model = in_json("check", "m.npz"), ImplicitModel.load("m.npz")
    assert checked["well_posed"] is True
    assert checked["norm_inf"] == pytest.approx(model.norm_inf())
    assert fitted["norm"] == pytest.approx(checked["norm_inf"])
    written = in_json("predict", "m.npz", folder / "data.csv", "--output", "p.csv")
    assert written == {"n_rows": 60, "columns": ["y"], "files": ["p.csv"]}
    make_table(40)[["age", "bmi", "y"]].to_csv("small.csv", index=False)
    small = ["--n-hidden", 1, "--norm-bound", 0, "--n-kappas", 2, "--output", "s"]
    selected = in_json("select", "small.csv", "--target", "y", *small)
    stored = json.loads(Path("s/report.json").read_text())
    assert selected == stored | {"files": ["s/model.npz", "s/report.json", "s/feature_selection.png"]}
    known = in_json("network", "mlp", "--output", "n")
    assert known["files"] == ["n/mlp.png", "n/mlp.npz"]


def test_json_of_a_model_that_is_not_well_posed(here):
    ImplicitModel(2 * np.eye(2), np.eye(2), None, np.eye(2)).save("m.npz")
    outcome = run("check", "m.npz", "--json")
    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout)["well_posed"] is False


def test_numbers_that_json_does_not_know_are_null(here):
    ImplicitModel([[0.5]], [[1.0]], None, [[1.0]], activation="square").save("m.npz")
    shown = run("check", "m.npz", "--json").stdout
    assert json.loads(shown, parse_constant=pytest.fail)["max_slope"] is None


def test_an_error_prints_no_json(here):
    assert fail("fit", "gone.csv", "--target", "y", "--model", "m.npz", "--json").startswith("Error: gone.csv")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_reader_that_goes_away_costs_nothing(folder, here, monkeypatch, option):
    # rich's console is quiet from then on: one for this test alone.
    monkeypatch.setattr("bcd_implicit.cli.console.console", Console(markup=False))
    # What is written to files is there before anything is printed.
    arguments = ["fit", str(folder / "data.csv"), "--target", "y", "--ignore", "id", "--model", "m.npz", *QUICK]
    reader, writer = os.pipe()
    os.close(reader)
    stdout = os.fdopen(writer, "w")
    with redirect_stdout(stdout), pytest.raises(SystemExit) as ended:
        main([*arguments, *option])
    with suppress(BrokenPipeError):
        stdout.close()
    assert ended.value.code == 1
    assert math.isfinite(ImplicitModel.load("m.npz").norm_inf())


@pytest.mark.slow
def test_head_ends_a_command_without_a_traceback(folder, here):
    pd.concat([make_table()] * 2000).to_csv("long.csv", index=False)
    python = [sys.executable, "-m", "bcd_implicit"]
    command = [*python, "predict", str(folder / "m.npz"), "long.csv", "--output", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "y\n"
        program.stdout.close()
        assert program.stderr.read() == ""
