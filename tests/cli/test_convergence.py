"""bcd-implicit convergence."""

import json
from pathlib import Path

from command_line import fail, in_json, succeed

SMALL = ["--n-hidden", 3, "--n-outputs", 4, "--n-samples", 5, "--n-steps", 10]


def test_the_figure_and_the_report_are_written(here):
    outcome = succeed("convergence", *SMALL, "--output", "out", "--seed", 2)
    assert "n = 3, q = 4, m = 5, gamma = 0.9, squared loss, seed 2" in outcome.stdout
    assert "No bound is broken at any of" in outcome.stdout
    assert "wrote out/report.json" in outcome.stdout
    assert Path("out/convergence.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("out/report.json").read_text())["broken"] == []


def test_classes_that_can_be_told_apart_and_a_horizon(here):
    options = ["--loss", "cross-entropy", "--horizon", 2, "--gamma", 0.5]
    outcome = succeed("convergence", *SMALL, *options)
    assert "of the ball of radius" in outcome.stdout
    report = json.loads(Path("convergence-output/report.json").read_text())
    assert report["flow"]["time"][-1] == 2
    told = in_json("convergence", *SMALL, *options)
    assert told["files"] == ["convergence-output/convergence.png", "convergence-output/report.json"]
    assert told["flow"] == report["flow"]


def test_bad_input_names_the_option(here):
    assert fail("convergence", "--gamma", 1.5).startswith("Error: --gamma: got 1.5, must be <= 0.99.")
    assert fail("convergence", "--n-hidden", 0).startswith("Error: --n-hidden: got 0")
    assert not Path("convergence-output").exists()
