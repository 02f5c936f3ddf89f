"""The verdict and the table of a selection, as the terminal shows them."""

import io
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import bcd_implicit as bi
from bcd_implicit.experiments import feature_selection, report


@pytest.mark.slow
def test_verdict_says_what_was_chosen_where_and_what_the_score_tests_changed():
    """Else an input that the table says stays on the path, and that is not selected, has no reason."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((80, 4))
    # Nothing but noise goes with the last input.
    Y = U[:, :1] - U[:, 1:2] + 0.3 * rng.standard_normal((80, 1))
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 4, input_names=list("abcd"), pass_through=False), 6)
    chosen = path.select("plateau", ridges=[1e-3], grow_hidden=False)
    chosen = replace(
        chosen, before_tests=np.array([True, False, True, False]), support=np.array([True, True] + 2 * [0]) > 0
    )
    run = feature_selection.FeatureSelection("t", path, chosen, chosen.model, None, 0.5, 0.4, 1.0)
    verdict = report.verdict(run)
    assert verdict.startswith("2 of 4 inputs selected, test R2 0.500, 1 s. The rule plateau chose ")
    assert re.search(r"Score tests at level 0\.05 dropped c.* and added b .*: 2 selected\.$", verdict)
    assert run.report["changed_by_tests"] == {"entered": ["b"], "left": ["c"]}
    assert run.report["loss"] == "squared"
    assert run.report["how"] == chosen.how
    assert "added by a score test" in run.report["why"]["b"]
    assert run.report["why"]["c"].startswith("dropped: ")
    assert ", test D2 0.300, " in report.verdict(replace(run, test_d2=0.3))
    title = report.figure(run).axes[1].get_title()
    assert title.endswith("" if chosen.on_path else ", nearest point of the path")


def test_both_panels_of_norms_have_the_units_of_training():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 3)) * [1, 5, 1]
    Y = U[:, :1] - U[:, 1:2] / 5 + 0.1 * rng.standard_normal((60, 1))
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 3, pass_through=False, standardize=True), 4)
    chosen = path.select("plateau", level=None, ridges=[1e-3], grow_hidden=False)
    run = feature_selection.FeatureSelection("t", path, chosen, chosen.model, None, 0.5, 0.4, 1.0)
    # The model takes raw inputs, so that its columns are divided by the inputs' spreads.
    np.testing.assert_allclose(run.refit_norms, np.linalg.norm(chosen.model.B, axis=0) * U.std(axis=0), rtol=1e-6)
    refit, learned = report.figure(run).axes[:2]
    assert refit.get_ylabel() == learned.get_ylabel()
    assert "standardised" in refit.get_ylabel()
    assert [bar.get_height() for bar in refit.patches] == run.refit_norms.tolist()
    assert report.summary(run).columns[1].header == f"norm at kappa {chosen.kappa:.3g}"


def test_summary_folds_the_inputs_that_do_not_matter():
    supports = np.zeros((3, 40), dtype=bool)  # inputs 0 and 1 stay, 38 leaves at the last kappa, 39 at the second
    supports[:, :2] = supports[:2, 38] = supports[0, 39] = True
    norms = supports[1] * np.linspace(2, 1, 40)
    path = SimpleNamespace(kappas=np.array([0.1, 1.0, 10.0]), supports=supports, column_norms=np.tile(norms, (3, 1)))
    names = [f"[{j}]" for j in range(40)]
    reasons = SimpleNamespace(why={name: f"dropped: [since]: {name}" for name in names})
    chosen = SimpleNamespace(index=1, support=supports[2], input_names=names, explain=lambda: reasons)
    run = feature_selection.FeatureSelection("t", path, chosen, None, None, 0.5, 0.4, 1.0)

    def rows(most):
        console = Console(width=80, file=io.StringIO())
        console.print(report.summary(run, most))
        lines = console.file.getvalue().splitlines()
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]

    first, second, third, *_ = everything = rows(40)
    assert len(everything) == 40
    assert first == ["[0]", "2.000", "yes", "[since]: [0]"]
    assert second == ["[1]", "1.974", "yes", "[since]: [1]"]
    assert third == ["[38]", "1.026", "-", "[since]: [38]"]
    assert everything[3] == ["[2]", "0.000", "-", "[since]: [2]"]
    assert everything[-1] == ["[39]", "0.000", "-", "[since]: [39]"]
    assert rows(3)[-1] == ["the other 37", "at most 0.000", "-", "drop out at kappa 1 or before"]
    assert rows(1)[-1] == [
        "the other 38",
        "at most 1.026",
        "-",
        "drop out at kappa 10 or before",
    ]  # the selected are always shown
