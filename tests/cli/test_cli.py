"""The command line as a person meets it: files in, files and exit statuses out, one clear line when it cannot work."""

import gc
import io
import json
import os
import re
import runpy
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from bcd_implicit import ConvergenceWarning, ImplicitModel, Status, TrainingProblem, __version__, datasets, solve
from bcd_implicit.cli import main
from bcd_implicit.experiments import feature_selection, report
from bcd_implicit.selection.choice import Selection

QUICK = ["--n-hidden", "3", "--max-cycles", "5"]
REPORT_KEYS = {
    *("selected", "true", "exact", "f1", "kappa", "kappas", "n_selected", "test_r2", "seconds", "status"),
    *("column_norms_learned", "column_norms_true", "changed_by_tests"),
}


def run(*arguments):
    outcome = CliRunner().invoke(main, [str(a) for a in arguments])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome


def succeed(*arguments):
    outcome = run(*arguments)
    assert outcome.exit_code == 0, outcome.output
    return outcome


def fail(*arguments):
    """Bad input: exit status 2 and one line on standard error, which is returned."""
    outcome = run(*arguments)
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_fit_says_when_no_input_reaches_the_state(tmp_path):
    U = np.random.default_rng(0).standard_normal((60, 2))
    pd.DataFrame({"a": U[:, 0], "b": U[:, 1], "y": np.abs(U[:, 0])}).to_csv(tmp_path / "d.csv", index=False)
    for kappa, told in ((100, True), (0.01, False)):
        outcome = succeed(
            "fit", tmp_path / "d.csv", "--target", "y", "--kappa", kappa, "--model", tmp_path / "m.npz", *QUICK
        )
        assert ("B = 0: no input reaches the state" in outcome.stderr) is told


def usage_error(*arguments):
    """What click itself refuses: exit status 2, and the usage before the error."""
    outcome = run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Usage: ")
    return outcome.stderr.splitlines()[-1]


def make_table(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((n_rows, 4)) * [1, 10, 0.1, 3], columns=["age", "bmi", "dose", "noise"])
    table["y"] = 100 + 3 * np.maximum(table["age"], 0) + 0.3 * table["bmi"] + 0.1 * rng.standard_normal(n_rows)
    table["z"] = -5 * table["dose"]
    table["id"] = np.arange(n_rows)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table and a model of its y from age, bmi, dose and noise."""
    folder = tmp_path_factory.mktemp("cli")
    make_table().to_csv(folder / "data.csv", index=False)
    succeed(
        *("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--ignore", "z"),
        *("--model", folder / "m.npz", *QUICK),
    )
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# fit, check, predict -------------------------------------------------------------------------------------------


def test_fit_says_what_it_did(folder, here):
    outcome = succeed("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--model", "m [x].npz", *QUICK)
    first, *_, last = outcome.stdout.splitlines()
    assert first == "data.csv: 60 rows, 5 inputs, 1 target"
    assert last == "wrote m [x].npz"  # brackets are no markup
    (status,) = (line for line in outcome.stdout.splitlines() if "status" in line)
    assert "not converged: stopped after 5 cycles" in status
    # Progress as lines, as this is no terminal, and one warning with the numbers.
    *progress, warning = outcome.stderr.splitlines()
    assert progress[-1].startswith("training: 100 %, ")
    assert all(re.fullmatch(r"training: \d+0 %, .*cycle.*", line) for line in progress)
    assert warning.startswith("Warning: prox-linear: stopped at max_cycles")
    assert "tol 1e-04" in warning
    model = ImplicitModel.load("m [x].npz")
    table = make_table()
    rest = (table["y"] - model.predict(table[model.input_names])[:, 0]).var() / table["y"].var()
    (r2,) = (line.split("│")[2] for line in outcome.stdout.splitlines() if "R2" in line)
    assert float(r2) == pytest.approx(1 - rest, abs=1e-4)
    assert float(r2) > 0.9
    assert os.listdir(here) == ["m [x].npz"]


def test_constraints_of_fit_hold_and_add_up(folder, here):
    options = ["--constraint", "nonnegative(B)", "--constraint", "feedforward([1, 2])"]
    succeed("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *QUICK, *options)
    model = ImplicitModel.load("m.npz")
    assert model.B.min() >= -1e-6
    assert model.B.max() > 1e-3
    assert np.abs(np.tril(model.A)).max() <= 1e-6
    assert abs(model.A[0, 1]) <= 1e-6  # both in the second layer, or the model would not be layered


def test_a_fit_that_converges_does_not_warn(folder, here):
    outcome = succeed(
        "fit", folder / "data.csv", "--target", "y", "--model", "m", "--n-hidden", 2, "--tol", 0.5, "--kappa", 0.001
    )
    assert "Warning" not in outcome.stderr
    assert "│ converged after " in outcome.stdout


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


def test_parquet_in_and_out_and_several_targets(folder, here):
    table = make_table()
    table.to_parquet("data.parquet")
    options = ["--target", "z", "--target", "y", "--target", "z", "--ignore", "id", "--ignore", "noise"]
    outcome = succeed("fit", "data.parquet", *options, "--model", "m.npz", *QUICK, "--method", "fenchel")
    assert outcome.stdout.startswith("data.parquet: 60 rows, 3 inputs, 2 targets\n")
    succeed("predict", "m.npz", "data.parquet", "--output", "p.parquet")
    model = ImplicitModel.load("m.npz")
    assert model.output_names == ["z", "y"]
    assert model.input_names == ["age", "bmi", "dose"]
    predictions = pd.read_parquet("p.parquet")
    assert list(predictions.columns) == ["z", "y"]
    np.testing.assert_array_equal(predictions, model.predict(table[model.input_names]))


def test_without_standardization_the_model_is_the_solves(folder, here):
    succeed(
        *("fit", folder / "data.csv", "--target", "z", "--ignore", "id", "--no-standardize", "--n-hidden", 2),
        *("--tol", 0.5, "--kappa", 0.02, "--no-pass-through", "--seed", 3, "--norm-bound", 0.3, "--model", "m.npz"),
    )
    table = make_table().drop(columns="id")
    problem = TrainingProblem(table.drop(columns="z"), table[["z"]], 2, kappa=0.02, pass_through=False, norm_bound=0.3)
    expected = solve(problem, max_cycles=100, tol=0.5, random_state=3).model
    model = ImplicitModel.load("m.npz")
    for name in "ABbCDd":
        np.testing.assert_allclose(getattr(model, name), getattr(expected, name), rtol=1e-6, atol=1e-9)


def test_check_of_a_trained_model(folder):
    outcome = succeed("check", folder / "m.npz")
    model = ImplicitModel.load(folder / "m.npz")
    facts = dict(
        [part.strip() for part in line.strip("│").split("│")] for line in outcome.stdout.splitlines() if "│" in line
    )
    assert facts["hidden features, inputs, outputs"] == "3, 4, 1"
    assert facts["activation"] == "relu"
    assert float(facts["||A||_inf"]) == pytest.approx(model.norm_inf(), abs=1e-6)
    assert float(facts["margin 1 - ||A||_inf"]) == pytest.approx(1 - model.norm_inf(), abs=1e-6)
    assert facts["well-posed"] == "yes: ||A||_inf < 1"


@pytest.mark.parametrize(
    ("A", "code", "words"),
    [
        (2 * np.eye(2), 1, "NO: the spectral radius of |A| is 1 or more"),
        (np.eye(2), 1, "NO: the spectral radius of |A| is 1 or more"),
        ([[0.5, 3.0], [0.0, 0.5]], 0, "yes, by the Perron-Frobenius test only"),
        (0.5 * np.eye(2), 0, "yes: ||A||_inf < 1"),
        (np.zeros((2, 2)), 0, "none: A = 0"),
    ],
)
def test_check_tells_well_posed_from_not(here, A, code, words):
    ImplicitModel(A, np.eye(2), None, np.eye(2)).save("m.npz")
    outcome = run("check", "m.npz")
    assert outcome.exit_code == code
    assert words in " ".join(outcome.stdout.replace("│", " ").split())


def test_a_model_that_is_not_well_posed_predicts_nothing(here):
    ImplicitModel(2 * np.eye(2), np.eye(2), None, np.eye(2), input_names=["a", "b"]).save("m.npz")
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_csv("t.csv", index=False)
    outcome = run("predict", "m.npz", "t.csv", "--output", "p.csv")
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Error: A: spectral radius of |A| is 2 ")
    assert len(outcome.stderr.splitlines()) == 1
    assert not Path("p.csv").exists()


# select and demo -----------------------------------------------------------------------------------------------


def test_select_writes_report_figure_and_model(here):
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
    (verdict,) = (line for line in lines if line.startswith("kappa "))
    assert f"{len(report['selected'])} of 3 inputs selected, test R2 {report['test_r2']:.3f}" in verdict
    assert lines[-1] == "wrote deep/folder/model.npz"
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
    assert outcome.stderr.splitlines() == [
        "Warning: 3 warnings that something ended short of its tolerance, so its numbers are approximate; "
        "the last: fit 2 fell short."
    ]


def test_verdict_says_what_the_score_tests_changed():
    """Else an input that the table says stays on the path, and that is not selected, has no reason."""
    before = pd.DataFrame({"chosen": [False, True], "inputs": [["a", "b", "c"], ["a", "b"]]})
    chosen = SimpleNamespace(support=np.array([True, False, True]), kappa=1.0, index=1, names=["a", "c"], table=before)
    chosen.result = SimpleNamespace(status=Status.CONVERGED)
    chosen.changed_by_tests = Selection.changed_by_tests.fget(chosen)
    path = SimpleNamespace(kappas=np.ones(2), supports=np.ones((2, 3)), column_norms=np.ones((2, 3)))
    run = feature_selection.FeatureSelection("t", path, chosen, None, None, 0.5, 1.0)
    facts = "kappa 1: 2 of 3 inputs selected, test R2 0.500, 1 s"
    assert report.verdict(run) == f"{facts}; score tests let in 1: c; score tests left out 1: b"
    assert run.report["changed_by_tests"] == {"entered": ["c"], "left": ["b"]}
    before["inputs"] = [["a", "b", "c"], ["a", "c"]]
    chosen.changed_by_tests = Selection.changed_by_tests.fget(chosen)
    assert report.verdict(run) == facts


def test_summary_folds_the_inputs_that_do_not_matter():
    supports = np.zeros((3, 40), dtype=bool)  # inputs 0 and 1 stay, 38 leaves at the last kappa, 39 at the second
    supports[:, :2] = supports[:2, 38] = supports[0, 39] = True
    norms = supports[1] * np.linspace(2, 1, 40)
    path = SimpleNamespace(kappas=np.array([0.1, 1.0, 10.0]), supports=supports, column_norms=np.tile(norms, (3, 1)))
    chosen = SimpleNamespace(index=1, support=supports[2], input_names=[f"[{j}]" for j in range(40)])
    run = feature_selection.FeatureSelection("t", path, chosen, None, None, 0.5, 1.0)

    def rows(most):
        console = Console(width=80, file=io.StringIO())
        console.print(report.summary(run, most))
        lines = console.file.getvalue().splitlines()
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]

    first, second, third, *_ = everything = rows(40)
    assert len(everything) == 40
    assert first == ["[0]", "2.000", "stays", "yes"]
    assert second == ["[1]", "1.974", "stays", "yes"]
    assert third == ["[38]", "1.026", "10", "-"]
    assert everything[3] == ["[2]", "0.000", "never in", "-"]
    assert everything[-1] == ["[39]", "0.000", "1", "-"]
    assert rows(3)[-1] == ["the other 37", "at most 0.000", "1 or before", "-"]
    assert rows(1)[-1] == ["the other 38", "at most 1.026", "10 or before", "-"]  # the selected are always shown


def test_demo_compares_with_the_truth(here, plain_choice, monkeypatch):
    small = partial(datasets.make_column_sparse, n_samples=40, n_features=4, n_outputs=3, n_hidden=2, n_informative=2)
    monkeypatch.setitem(feature_selection.FAMILIES, "column-sparse", small)
    monkeypatch.setattr(feature_selection, "N_TEST", 50)
    outcome = succeed("demo", "--no-real-table", "--n-hidden", 1, "--n-kappas", 2, "--noise", 0.1)
    report = json.loads(Path("demo-output/report.json").read_text())
    assert report.keys() == REPORT_KEYS
    truth = small(random_state=0, noise=0.1)
    assert report["true"] == np.flatnonzero(truth.support).tolist()
    np.testing.assert_allclose(np.array(report["column_norms_true"]) > 0, truth.support)
    assert all(isinstance(j, int) for j in report["selected"])
    assert report["exact"] == (report["selected"] == report["true"])
    words = "exactly the true ones" if report["exact"] else f"not the true set (F1 {report['f1']:.2f})"
    assert words in outcome.stdout
    assert sorted(os.listdir("demo-output")) == ["feature_selection.png", "model.npz", "report.json"]


@pytest.mark.slow
def test_demo_ends_with_a_real_table(here):
    outcome = succeed("demo", "--output", "out", "--n-hidden", 3, "--n-kappas", 3)
    stems = ["", "diabetes_"]
    names = ["feature_selection.png", "report.json", "model.npz"]
    assert sorted(os.listdir("out")) == sorted(stem + name for stem in stems for name in names)
    assert "diabetes, prox-linear" in outcome.stdout
    report = json.loads(Path("out/diabetes_report.json").read_text())
    assert set(report["selected"]) <= set(datasets.load_diabetes().inputs.columns)


# Bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fit", "select"])
@pytest.mark.parametrize(
    ("change", "target", "words"),
    [
        (None, "x", "target: no column named 'x'. The table has: age, bmi, dose, noise, y, z, id."),
        (("bmi", 3, "tall"), "y", "data.csv: column 'bmi' is not numeric (row 3 holds 'tall')."),
        (("y", 5, "?"), "y", "data.csv: column 'y' is not numeric (row 5 holds '?')."),
        (("dose", 7, np.nan), "y", "data.csv: contains nan at row 7, column 'dose' (1 such entries in all)."),
        (("z", 0, np.inf), "z", "data.csv: contains inf at row 0, column 'z'"),
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
def test_bad_files(folder, here, command):
    Path("empty.csv").write_bytes(b"")
    Path("folder").mkdir()
    before = sorted(os.listdir(here))
    where = {"fit": ["--model", "m", "--target", "y"], "select": ["--output", "o", "--target", "y"]}.get(command)
    first = [] if where else [folder / "m.npz"]
    where = where or ["--output", "p.csv"]
    assert "gone.csv: no such file." in fail(command, *first, "gone.csv", *where)
    assert "empty.csv: cannot be read as a table (No columns" in fail(command, *first, "empty.csv", *where)
    assert f"{folder / 'm.npz'}: cannot be read as a table" in fail(command, *first, folder / "m.npz", *where)
    assert "folder: is a folder." in fail(command, *first, "folder", *where)
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n-hidden", 0], "n_hidden: got 0, must be >= 1."),
        (["--norm-bound", 1], "norm_bound: got 1.0, must be < 1."),
        (["--norm-bound", "nan"], "norm_bound: must be finite, got nan."),
        (["--kappa", -1], "kappa: got -1.0, must be >= 0."),
        (["--ridge", -1], "ridge: got -1.0, must be >= 0."),
        (["--ridge-hidden", -1], "ridge_hidden: got -1.0, must be >= 0."),
        (["--fenchel-weight", 0], "fenchel_weight: got 0.0, must be > 0."),
        (["--max-cycles", 0], "max_cycles: got 0, must be >= 1."),
        (["--tol", -1], "tol: got -1.0, must be >= 0."),
        (["--ignore", "x"], "ignore: no column named 'x'."),
        (["--constraint", "positive(B)"], "constraint positive(B): cannot be read"),
        (["--constraint", "box(B, 1, 0)"], "constraint box(B, 1, 0): lower: is above upper."),
        (["--constraint", "feedforward([1])"], "layer_sizes sum to 1, n_hidden is 10"),
    ],
)
def test_bad_settings_of_fit(folder, here, options, words):
    assert words in fail("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *options)
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n-kappas", 1], "n_kappas: got 1, must be >= 2."),
        (["--n-hidden", 0], "n_hidden: got 0, must be >= 1."),
        (
            ["--test-share", 0.01],
            "test_share: 0.01 of 60 rows leaves 59 to train on and 1 to test on. At least",
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--solver", "mosek"],
            "Invalid value for '--solver': 'mosek' is not one of 'auto', 'native', 'cvxpy', 'clarabel'",
        ),
        (["--method", "adam"], "Error: Invalid value for '--method': 'adam' is not one of 'prox-linear', 'fenchel'."),
        (["--activation", "gelu"], "Error: Invalid value for '--activation'"),
        (["--n-hidden", "two"], "Error: Invalid value for '--n-hidden': 'two' is not a valid integer."),
        (["--seed", -1], "Error: Invalid value for '--seed'"),
    ],
)
def test_choices_that_do_not_exist(folder, here, options, words):
    assert words in usage_error("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *options)
    assert os.listdir(here) == []


def test_missing_options(folder):
    assert usage_error("fit", folder / "data.csv", "--model", "m.npz") == "Error: Missing option '--target'."
    assert usage_error("predict", folder / "m.npz", folder / "data.csv") == "Error: Missing option '--output'."
    assert usage_error("check") == "Error: Missing argument 'MODEL'."


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
    assert "it lacks B, C, D, activation, b, d, format" in fail(command, "other.npz", *rest)
    assert "gone.npz: no such file." in fail(command, "gone.npz", *rest)
    assert sorted(os.listdir(here)) == files


def test_damaged_models(folder, here):
    whole = (folder / "m.npz").read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        Path("m.npz").write_bytes(damaged)
        outcome = CliRunner().invoke(main, ["check", "m.npz"])
        # Some bytes, such as dates in the archive, do not matter.
        assert outcome.exit_code == 0 or outcome.stderr.startswith("Error: "), f"byte {place}: {outcome.exception!r}"


def test_a_model_cut_short(folder, here):
    Path("m.npz").write_bytes((folder / "m.npz").read_bytes()[:1000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "m.npz: is damaged or not a model file (" in fail("check", "m.npz")
        gc.collect()
    assert [str(w.message) for w in caught] == []


def test_predict_without_a_column(folder, here):
    make_table().drop(columns=["bmi", "noise"]).to_csv("new.csv", index=False)
    line = fail("predict", folder / "m.npz", "new.csv", "--output", "p.csv")
    assert "new.csv: lacks the model's input column 'bmi' (2 missing in all)." in line
    assert "The model needs: age, bmi, dose, noise." in line
    assert os.listdir(here) == ["new.csv"]


def test_predict_with_a_hole_in_the_table(folder, here):
    table = make_table()
    table.loc[4, "bmi"] = np.nan
    table.to_csv("new.csv", index=False)
    line = fail("predict", folder / "m.npz", "new.csv", "--output", "p.csv")
    assert "new.csv: contains nan at row 4, column 'bmi'" in line
    assert os.listdir(here) == ["new.csv"]


def test_output_that_cannot_be_made(folder, here):
    data, target = folder / "data.csv", ["--target", "y"]
    Path("file").write_text("old")
    assert "model: folder gone does not exist." in fail("fit", data, *target, "--model", "gone/m.npz")
    assert f"model: {here} is a folder." in fail("fit", data, *target, "--model", here)
    assert "output: file/out cannot be written to (Not a directory)." in fail(
        "select", data, *target, "--output", "file/out"
    )
    assert "output: file/out cannot be written to (Not a directory)." in fail("demo", "--output", "file/out")
    assert "Directory 'file' is a file." in usage_error("select", data, *target, "--output", "file")
    assert "gone/p.csv: cannot be written (No such file or directory)." in fail(
        "predict", folder / "m.npz", data, "--output", "gone/p.csv"
    )
    assert os.listdir(here) == ["file"]
    assert Path("file").read_text() == "old"


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


# Help ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [None, "demo", "fit", "predict", "check", "select"])
def test_help(command):
    outcome = succeed(*([command] if command else []), "-h")
    assert "\\b" not in outcome.stdout
    assert "\b" not in outcome.stdout
    examples = [line for line in outcome.stdout.splitlines() if line.startswith("    bcd-implicit ")]
    assert examples  # one a line, not run together
    assert all(example.count("bcd-implicit") == 1 for example in examples)
    if command:
        assert all(f"bcd-implicit {command}" in example for example in examples)


def test_version_and_module_entry_point(monkeypatch, capsys):
    assert succeed("--version").stdout.strip().endswith(__version__)
    monkeypatch.setattr(sys, "argv", ["bcd_implicit", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("bcd_implicit", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in ("check", "demo", "fit", "predict", "select"))
    module = [sys.executable, "-m", "bcd_implicit"]
    refused = subprocess.run([*module, "check", "gone.npz"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "Error: gone.npz: no such file. Check the path.\n"
