"""benchmarks/growth.py on sizes that take no time: what a point holds, and that the tables and the plot show it."""

import importlib
import io
import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from rich.console import Console

import bcd_implicit as bi

ROOT = Path(__file__).parents[1]
# A few cycles are what is wanted.
pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture
def growth(monkeypatch):
    """The benchmark as a module: benchmarks/ is on the path as it is for a script there."""
    with pytest.MonkeyPatch.context() as patch:
        # The tests have a folder of this name.
        patch.delitem(sys.modules, "blocks", raising=False)
        patch.syspath_prepend(ROOT / "benchmarks")
        module = importlib.import_module("growth")
        sys.modules.pop("blocks", None)
    monkeypatch.setattr(module, "gradient_seconds", lambda size: 1e-5)
    with mock.patch.dict(bi.METHODS):
        yield module


def test_a_point_has_rough_cycles_a_certified_one_and_exact_ones(growth):
    row = growth.point(4, 8, 2, 40, "column_sparse", "prox-linear", exact=True)
    assert row["cycles"] == row["exact_cycles"] == len(row["attempts"]) == 10
    assert row["rough"] > 0
    assert 0 < row["seconds"] <= row["longest"] <= row["total"]
    assert max(row["certified_gap"], row["alone_gap"]) <= 1e-6
    assert growth.gradients(row) == pytest.approx(row["seconds"] / 1e-5)


@pytest.mark.parametrize("name", ["column_sparse", "classes", "linear", "curved"])
def test_data_have_the_sizes_asked_for_and_a_kappa(growth, name):
    U, Y = growth.DATA[name](30, 25, 1)
    assert U.shape == (30, 25)
    assert Y.shape == (30, 1)
    assert 0 < growth.KAPPA_SHARE[name] <= 0.1


def test_the_exponent_is_that_of_the_upper_half(growth):
    rows = [{"m": m, "seconds": max(m**1.5, 1e3), "gradient": m} for m in (1, 10, 100, 1_000, 10_000)]
    assert growth.exponent(rows, "m", "seconds") == pytest.approx(1.5)
    assert growth.exponent(rows, "m", "gradients") == pytest.approx(0.5)


def test_tables_and_plot_show_every_point(growth, monkeypatch, tmp_path):
    small = {"m": growth.Range("m", (20, 30, 40), {"n": 2, "p": 5, "q": 1}, ("fenchel",))}
    monkeypatch.setattr(growth, "RANGES", small)
    monkeypatch.setattr(growth, "SIZES", [(3, 25, 2, 30, "classes")])
    monkeypatch.setattr(growth, "measure", lambda sizes, method, exact=False: here(growth, sizes, method, exact))
    results = growth.run(quick=False, exact=True)
    assert [len(rows) for rows in results.values()] == [1, 3]
    console = Console(width=200, record=True, file=io.StringIO())
    for table in growth.show(results):
        console.print(table)
    text = console.export_text()
    assert "3, 25, 2, 30 classes" in text
    assert "exactly" in text
    assert text.count("exponent") == 1
    growth.plot(results, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 0


def here(growth, sizes, method, exact):
    row = growth.point(*(sizes[k] for k in "npqm"), sizes["data"], method, exact)
    # In a process that has used more before, a small point adds nothing to the peak.
    return {"method": method, **sizes, **row, "megabytes": 1.0}


def test_the_published_results_are_of_this_form(growth):
    results = json.loads((ROOT / "benchmarks" / "results" / "growth.json").read_text())
    assert set(results) == {"sizes", *growth.RANGES}
    assert all(np.isfinite(growth.gradients(row)) for rows in results.values() for row in rows)
