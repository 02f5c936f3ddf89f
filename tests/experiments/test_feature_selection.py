"""The feature-selection experiment end to end, as the command line runs it."""

import json

import pytest
from click.testing import CliRunner

from bcd_implicit.cli import main

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("family", "method", "seed"),
    [
        *(("column-sparse", "fenchel", seed) for seed in (0, 1, 2)),
        *(("column-sparse", "prox-linear", seed) for seed in (0, 1, 2)),
        ("even", "prox-linear", 0),
    ],
)
def test_the_support_is_exact(tmp_path, family, method, seed):
    arguments = ["demo", "--output", str(tmp_path), "--data", family, "--method", method, "--seed", str(seed)]
    outcome = CliRunner().invoke(main, [*arguments, "--no-real-table"])
    assert outcome.exit_code == 0, outcome.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["exact"] is True
    assert report["selected"] == report["true"]
    assert report["f1"] == 1.0
    assert report["status"] == "CONVERGED"
    assert report["test_r2"] > 0.75
    assert len(report["kappas"]) == len(report["n_selected"])
    assert [norm > 0 for norm in report["column_norms_learned"]] == [norm > 0 for norm in report["column_norms_true"]]
    assert (tmp_path / "feature_selection.png").stat().st_size > 20_000
