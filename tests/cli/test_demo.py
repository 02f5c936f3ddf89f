"""bcd-implicit demo."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import REPORT_KEYS, run, succeed

from bcd_implicit import datasets
from bcd_implicit.experiments import feature_selection


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


def test_demo_ends_with_what_there_is_when_the_time_is_over(here, monkeypatch):
    small = partial(datasets.make_column_sparse, n_samples=40, n_features=4, n_outputs=3, n_hidden=2, n_informative=2)
    monkeypatch.setitem(feature_selection.FAMILIES, "column-sparse", small)
    outcome = succeed("demo", "--no-real-table", "--n-hidden", 1, "--max-seconds", 1e-6, "--json")
    assert "The time limit was reached: the results so far are written." in outcome.stderr
    report = json.loads(Path("demo-output/report.json").read_text())
    assert report["status"] == "TIME_LIMIT"
    told = json.loads(outcome.stdout)
    assert list(told) == ["column-sparse"]
    files = told["column-sparse"].pop("files")
    assert files == [f"demo-output/{name}" for name in ("model.npz", "report.json", "feature_selection.png")]
    assert told["column-sparse"] == report
    outcome = run("demo", "--n-seeds", 2, "--n-hidden", 1, "--max-seconds", 1e-6)
    assert outcome.exit_code == 1
    assert "passed before there was a result. Allow more time." in outcome.stderr


@pytest.mark.slow
def test_demo_ends_with_a_real_table(here):
    outcome = succeed("demo", "--output", "out", "--n-hidden", 3, "--n-kappas", 3)
    stems = ["", "diabetes_"]
    names = ["feature_selection.png", "report.json", "model.npz"]
    assert sorted(os.listdir("out")) == sorted(stem + name for stem in stems for name in names)
    assert "diabetes, prox-linear" in outcome.stdout
    report = json.loads(Path("out/diabetes_report.json").read_text())
    assert set(report["selected"]) <= set(datasets.load_diabetes().inputs.columns)
