"""The command line as a person calls it, and what it is given."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bcd_implicit.cli import main

QUICK = ["--n-hidden", "3", "--max-cycles", "5"]

REPORT_KEYS = {
    *("selected", "true", "exact", "f1", "kappa", "kappas", "n_selected", "test_r2", "ridge_test_r2", "seconds"),
    *("test_accuracy", "ridge_test_accuracy", "loss", "test_d2", "test_log_loss"),
    "status",
    *("column_norms_learned", "column_norms_true", "changed_by_tests"),
    *("how", "why", "chosen_kappa", "on_path"),
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
    """Bad input: exit status 2 and one line on standard error, which is returned.

    Notes may stand before it, and after it where it is explained.
    """
    outcome = run(*arguments)
    assert outcome.exit_code == 2, outcome.output
    assert outcome.stdout == ""
    *notes, line = [text for text in outcome.stderr.splitlines() if not text.startswith("See docs/troubleshooting.md#")]
    assert all(note.startswith("Note: column 'id' only numbers the rows") for note in notes)
    assert line.startswith("Error: ")
    return line


def in_json(*arguments):
    """What --json tells of a command that succeeds."""
    lines = succeed(*arguments, "--json").stdout.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0], parse_constant=pytest.fail)


def make_table(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_normal((n_rows, 4)) * [1, 10, 0.1, 3], columns=["age", "bmi", "dose", "noise"])
    table["y"] = 100 + 3 * np.maximum(table["age"], 0) + 0.3 * table["bmi"] + 0.1 * rng.standard_normal(n_rows)
    table["z"] = -5 * table["dose"]
    table["id"] = np.arange(n_rows)
    return table
