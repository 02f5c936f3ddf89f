"""benchmarks/when_to_use.py on data made here: splits, methods, the file of results and the page."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score

ROOT = Path(__file__).parents[1]
TRUE = [0, 2]


@pytest.fixture(scope="module")
def benchmark():
    """The benchmark as a module: benchmarks/ is on the path as it is for a script there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("when_to_use")


@pytest.fixture
def part(benchmark):
    return lambda name: importlib.import_module(f"when_parts.{name}")


@pytest.fixture
def samples(part):
    """Two of four inputs matter, linearly; numbers, or classes by their sign."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 4))
    y = 2 * X[:, 0] - X[:, 2] + 0.05 * rng.standard_normal(120)
    cut = slice(90), slice(90, None)

    def drawn(classes):
        targets = np.where(y > 0, "up", "down") if classes else 100 + 10 * y
        return part("data").Split(X[cut[0]], targets[cut[0]], X[cut[1]], targets[cut[1]], classes)

    return drawn


def test_words_become_indicators_and_gaps_means(part):
    table = pd.DataFrame({"a": ["x", "y", "z"], "b": ["no", "yes", "no"], "c": [1.0, np.nan, 3.0], "d": [5, 5, 5]})
    X = part("data").as_inputs(table)
    assert sorted(map(tuple, X.T)) == sorted([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 0), (1, 2, 3)])


def test_a_split_holds_out_a_quarter_and_scales_by_the_rest(part, tmp_path):
    data = part("data").split("breast cancer", tmp_path, seed=3)
    assert data.X.shape == (426, 30)
    assert data.X_test.shape == (143, 30)
    np.testing.assert_allclose(data.X.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(data.X.std(axis=0), 1)
    assert abs(data.X_test.mean(axis=0)).max() > 0.01
    again, other = (part("data").split("breast cancer", tmp_path, seed) for seed in (3, 4))
    np.testing.assert_array_equal(data.X_test, again.X_test)
    assert not np.array_equal(data.X_test, other.X_test)


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("name", ["lasso", "RFE", "forward"])
def test_a_selector_keeps_the_inputs_that_matter_and_predicts_in_the_units_of_the_targets(part, samples, name, classes):
    data = samples(classes)
    fitted = part("methods").METHODS[name].fit(data, 0)
    assert fitted.support[TRUE].all()
    measure = accuracy_score if classes else r2_score
    assert measure(data.y_test, fitted.predict(data.X_test)) > 0.9


@pytest.mark.slow
def test_the_implicit_selector_predicts_by_its_own_refit(part, samples):
    data = samples(False)
    quick = {"n_hidden": 2, "n_kappas": 3, "n_folds": 2, "level": None, "ridges": [1e-2]}
    fitted = part("methods").select_implicit(data, 0, **quick)
    assert fitted.support[TRUE].all()
    assert r2_score(data.y_test, fitted.predict(data.X_test)) > 0.9


def test_the_class_of_the_highest_score(part):
    named = part("methods").named
    assert list(named(np.array([[0.5], [-0.5]]), np.array(["a", "b"]))) == ["b", "a"]
    assert list(named(np.array([[0.1, 0.7, 0.2], [3, 2, 1]]), np.array(["a", "b", "c"]))) == ["b", "a"]


def test_jaccard_by_hand(part):
    supports = [[0, 1], [1, 2], [0, 1]]
    # 1/3, 1 and 1/3.
    assert part("report").jaccard([{"support": s} for s in supports]) == pytest.approx(5 / 9)


def test_what_the_file_has_is_not_measured_anew(benchmark, part, samples, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "split", lambda name, folder, seed: samples(False))
    file = tmp_path / "found.json"
    options = ["--data", str(tmp_path), "--names", "diabetes", "--methods", "linear", "lasso", "--json", str(file)]
    benchmark.main(options)
    rows = json.loads(file.read_text())
    seeds = range(benchmark.SELECTED["diabetes"])
    assert {(row["method"], row["seed"]) for row in rows} == {(m, s) for m in ("linear", "lasso") for s in seeds}
    assert all(row["score"] > 0.9 for row in rows)
    assert all(set(TRUE) <= set(row["support"]) for row in rows if row["method"] == "lasso")
    monkeypatch.setattr(benchmark, "run", lambda cell, folder: pytest.fail("it is there already"))
    benchmark.main(options)


def test_the_page_is_made_from_the_results(benchmark, part):
    rows = json.loads((ROOT / "benchmarks" / "results" / "when_to_use.json").read_text())
    text = part("report").markdown(rows, benchmark.MODELS, benchmark.SELECTORS)
    # If this fails: python benchmarks/when_to_use.py --page docs/when_to_use.md --plot docs/when_to_use.png
    assert text in (ROOT / "docs" / "when_to_use.md").read_text()
