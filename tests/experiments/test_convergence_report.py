"""The figure, the report and the terminal's tables of the convergence experiment."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import bcd_implicit as bi
from bcd_implicit.experiments import convergence_report as report


@pytest.fixture(scope="module")
def run():
    return bi.experiments.convergence(3, 4, 5, n_steps=20)


def test_the_plot_shows_the_gap_and_its_bounds(run):
    ax = run.plot(Figure().subplots())
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["loss gap"].get_ydata(), run.flow["gap"])
    np.testing.assert_array_equal(lines["bound: theorem"].get_ydata(), run.flow["theorem"])
    x, y = lines["slope of the linearised flow"].get_data()
    assert np.log(y[0] / y[1]) / (x[1] - x[0]) == pytest.approx(run.rates["linearised"])
    assert ax.get_yscale() == "log"


def test_the_figure_has_a_panel_each_for_flow_descent_and_other_ways(run):
    titles = [ax.get_title() for ax in report.figure(run).axes]
    assert titles == ["gradient flow", "gradient descent, 20 steps", "ways to the same optimum"]


def test_the_files(run, tmp_path):
    picture, text = report.write(run, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(text.read_text())
    assert found["broken"] == []
    assert found["rates"]["theorem"] == run.rates["theorem"]
    assert found["flow"]["gap"] == run.flow["gap"].tolist()
    assert found["solves"]["output block"]["gap"] == run.solves.loc["output block", "gap"]
    assert (found["n_hidden"], found["n_outputs"], found["n_samples"]) == (3, 4, 5)


def test_the_verdict_says_when_a_bound_is_broken(run):
    assert report.verdict(run).startswith(f"No bound is broken at any of {len(run.flow) + 21} points; optimal loss ")
    wrong = replace(run, flow=run.flow.assign(computed=run.flow["gap"] * np.exp(-run.flow["time"])))
    broken = wrong.broken()
    assert report.verdict(wrong).startswith(f"A bound is broken at {len(broken)} of {len(run.flow) + 21} points, ")


def test_the_tables(run):
    console = Console(width=100, file=io.StringIO())
    console.print(report.rates_table(run))
    console.print(report.solves_table(run))
    shown = console.file.getvalue()
    assert f"{run.rates['end']:.4g}" in shown
    assert all(name in shown for name in run.solves.index)
