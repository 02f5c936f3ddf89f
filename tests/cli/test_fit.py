"""bcd-implicit fit."""

import os
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from command_line import QUICK, fail, make_table, run, succeed

from bcd_implicit import ImplicitModel, Status, TrainingProblem, solve


def test_fit_says_when_no_input_reaches_the_state(tmp_path):
    U = np.random.default_rng(0).standard_normal((60, 2))
    pd.DataFrame({"a": U[:, 0], "b": U[:, 1], "y": np.abs(U[:, 0])}).to_csv(tmp_path / "d.csv", index=False)
    for kappa, told in ((100, True), (0.01, False)):
        outcome = succeed(
            "fit", tmp_path / "d.csv", "--target", "y", "--kappa", kappa, "--model", tmp_path / "m.npz", *QUICK
        )
        assert ("B = 0: no input reaches the state" in outcome.stderr) is told


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
    assert warning.startswith("Warning: prox-linear: stopped at --max-cycles")
    assert "tol: 1e-04" in warning
    model = ImplicitModel.load("m [x].npz")
    table = make_table()
    rest = (table["y"] - model.predict(table[model.input_names])[:, 0]).var() / table["y"].var()
    (r2,) = (line.split("│")[2] for line in outcome.stdout.splitlines() if "implicit model" in line)
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


def test_parquet_in_and_out_and_several_targets(folder, here):
    table = make_table()
    table.to_parquet("data.parquet")
    options = ["--target", "z", "--target", "y", "--ignore", "id", "--ignore", "noise"]
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


def test_the_measure_may_be_bounded_in_place_of_the_norm(folder, here):
    outcome = succeed(
        *("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--n-hidden", 2, "--norm-bound", 0.2),
        *("--well-posedness", "measure", "--max-cycles", 3, "--model", "m.npz"),
    )
    A = ImplicitModel.load("m.npz").A
    measure = max(A[0, 0] + abs(A[0, 1]), A[1, 1] + abs(A[1, 0]))
    assert measure <= 0.2 + 1e-12
    assert f"mu_inf(A) {measure:.4f}" in " ".join(outcome.stdout.replace("│", " ").split())
    assert "||A||_inf" not in outcome.stdout


def test_a_weight_on_the_entries_of_a_makes_them_zero(folder, here):
    succeed(
        *("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--n-hidden", 2, "--kappa-a", 100),
        *("--max-cycles", 3, "--model", "m.npz"),
    )
    assert not ImplicitModel.load("m.npz").A.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n-hidden", 0], "--n-hidden: got 0, must be >= 1."),
        (["--kappa-a", -1], "--kappa-a: got -1.0, must be >= 0."),
        (["--norm-bound", 1], "--norm-bound: got 1.0, must be < 1."),
        (["--norm-bound", "nan"], "--norm-bound: must be finite, got nan."),
        (["--kappa", -1], "kappa: got -1.0, must be >= 0."),
        (["--ridge", -1], "ridge: got -1.0, must be >= 0."),
        (["--ridge-hidden", -1], "--ridge-hidden: got -1.0, must be >= 0."),
        (["--fenchel-weight", 0], "--fenchel-weight: got 0.0, must be > 0."),
        (["--max-cycles", 0], "--max-cycles: got 0, must be >= 1."),
        (["--tol", -1], "tol: got -1.0, must be >= 0."),
        (["--ignore", "x"], "ignore: no column named 'x'."),
        (["--constraint", "positive(B)"], "constraint positive(B): cannot be read"),
        (["--constraint", "box(B, 1, 0)"], "constraint box(B, 1, 0): lower: is above upper."),
        (["--constraint", "feedforward([1])"], "layer_sizes sum to 1, and --n-hidden is 10"),
    ],
)
def test_bad_settings_of_fit(folder, here, options, words):
    assert words in fail("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *options)
    assert os.listdir(here) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--solver", "mosek"],
            "Error: --solver: 'mosek' is not one of 'auto', 'native', 'cvxpy', 'clarabel'",
        ),
        (
            ["--method", "adam"],
            "Error: --method: 'adam' is not one of 'prox-linear', 'fenchel', 'gradient'.",
        ),
        (["--activation", "gelu"], "Error: --activation: 'gelu' is not one of"),
        (["--n-hidden", "two"], "Error: --n-hidden: 'two' is not a valid integer."),
        (["--seed", -1], "Error: --seed: -1 is not in the range x>=0."),
    ],
)
def test_choices_that_do_not_exist(folder, here, options, words):
    assert words in fail("fit", folder / "data.csv", "--target", "y", "--model", "m.npz", *options)
    assert os.listdir(here) == []


def test_a_time_limit_and_a_checkpoint(folder, here):
    call = ("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--n-hidden", "3", "--checkpoint", "run.npz")
    outcome = succeed(*call, "--model", "short.npz", "--max-seconds", "1e-6")
    assert "stopped at --max-seconds after 0 cycles" in outcome.stdout
    assert "Warning: prox-linear: stopped at --max-seconds" in outcome.stderr
    assert "(output block; no other was certified)" in " ".join(outcome.stdout.replace("│", " ").split())
    # The next call goes on from the checkpoint, and one without ends the same.
    succeed(*call, "--model", "resumed.npz", "--max-cycles", "3")
    succeed(*call[:-2], "--model", "whole.npz", "--max-cycles", "3")
    resumed, whole = (ImplicitModel.load(f"{name}.npz") for name in ("resumed", "whole"))
    np.testing.assert_array_equal(resumed.B, whole.B)
    line = fail(*call, "--model", "other.npz", "--kappa", "1")
    assert line.startswith("Error: run.npz: is of another run: kappa was 0.01 and is 1.0.")
    assert "0.0 is not in the range" in fail(*call, "--model", "m.npz", "--max-seconds", "0")


def test_ctrl_c_leaves_the_model_and_ends_with_130(folder, here, monkeypatch):
    def interrupted(*args, **options):
        result = solve(*args, **options)
        return replace(result, status=Status.INTERRUPTED)

    monkeypatch.setattr("bcd_implicit.solve", interrupted)
    call = ("fit", folder / "data.csv", "--target", "y", "--ignore", "id", "--model", "m.npz", *QUICK)
    outcome = run(*call)
    assert outcome.exit_code == 130
    assert "interrupted after 5 cycles" in outcome.stdout
    assert outcome.stderr.splitlines()[-1] == "Interrupted: the results so far are written."
    assert ImplicitModel.load("m.npz").B.shape == (3, 5)

    def nothing(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bcd_implicit.solve", nothing)
    outcome = run(*call)
    assert outcome.exit_code == 130
    assert outcome.stderr == "Error: interrupted; nothing more is written.\n"
