"""The verdict and the table of a selection, as the terminal shows them."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
from rich.console import Console

from bcd_implicit import LOSSES, Status
from bcd_implicit.experiments import feature_selection, report
from bcd_implicit.selection.choice import Selection


def test_verdict_says_what_the_score_tests_changed():
    """Else an input that the table says stays on the path, and that is not selected, has no reason."""
    before = pd.DataFrame({"chosen": [False, True], "inputs": [["a", "b", "c"], ["a", "b"]]})
    chosen = SimpleNamespace(support=np.array([True, False, True]), kappa=1.0, index=1, names=["a", "c"], table=before)
    chosen.result = SimpleNamespace(status=Status.CONVERGED)
    chosen.changed_by_tests = Selection.changed_by_tests.fget(chosen)
    problem = SimpleNamespace(loss=LOSSES["poisson"])
    path = SimpleNamespace(kappas=np.ones(2), supports=np.ones((2, 3)), column_norms=np.ones((2, 3)), problem=problem)
    run = feature_selection.FeatureSelection("t", path, chosen, None, None, 0.5, 0.4, 1.0)
    facts = "kappa 1: 2 of 3 inputs selected, test R2 0.500, 1 s"
    assert report.verdict(run) == f"{facts}; score tests let in 1: c; score tests left out 1: b"
    assert run.report["changed_by_tests"] == {"entered": ["c"], "left": ["b"]}
    assert run.report["loss"] == "poisson"
    assert ", test D2 0.300, " in report.verdict(replace(run, test_d2=0.3))
    before["inputs"] = [["a", "b", "c"], ["a", "c"]]
    chosen.changed_by_tests = Selection.changed_by_tests.fget(chosen)
    assert report.verdict(run) == facts


def test_summary_folds_the_inputs_that_do_not_matter():
    supports = np.zeros((3, 40), dtype=bool)  # inputs 0 and 1 stay, 38 leaves at the last kappa, 39 at the second
    supports[:, :2] = supports[:2, 38] = supports[0, 39] = True
    norms = supports[1] * np.linspace(2, 1, 40)
    path = SimpleNamespace(kappas=np.array([0.1, 1.0, 10.0]), supports=supports, column_norms=np.tile(norms, (3, 1)))
    chosen = SimpleNamespace(index=1, support=supports[2], input_names=[f"[{j}]" for j in range(40)])
    run = feature_selection.FeatureSelection("t", path, chosen, None, None, 0.5, 0.4, 1.0)

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
