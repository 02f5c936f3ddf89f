"""benchmarks/structures.py in sizes that take no time: one objective for all, what fills, and the report."""

import importlib
import json
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import bcd_implicit as bi

torch = pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
# A few cycles and iterations are what is wanted.
pytestmark = [
    pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
PARTS = ("tables", "training", "tuning", "opening", "report")
RIDGE = 3e-3


@pytest.fixture
def parts(monkeypatch):
    """The benchmark's modules by name, with perceptrons of 4-4 units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        found = {name: importlib.import_module(f"structures_parts.{name}") for name in PARTS}
        found["main"] = importlib.import_module("structures")
    for module in ("tables", "training", "tuning"):
        monkeypatch.setattr(found[module], "WIDTH", 4)
    monkeypatch.setattr(found["opening"], "LAST", slice(0, 4))
    monkeypatch.setattr(found["opening"], "FIRST", slice(4, 8))
    monkeypatch.setattr(found["opening"], "SHUFFLES", 2)
    yield found
    for name in [name for name in sys.modules if name.startswith("structures")]:
        monkeypatch.delitem(sys.modules, name)


def small(parts, name):
    return parts["tables"].TABLES[name](0, m=60, m_new=40)


@pytest.mark.parametrize("name", ["friedman1", "digits"])
def test_the_objective_is_that_of_scikit_learn_and_of_the_loop(parts, name):
    tables, training, data = parts["tables"], parts["training"], small(parts, name)
    kind = training.MLPClassifier if data.classes else training.MLPRegressor
    mlp = kind((4, 4)) if data.classes else kind(hidden_layer_sizes=(4, 4))
    mlp.set_params(solver="lbfgs", alpha=RIDGE * 60, max_iter=5, random_state=0).fit(data.U, data.targets)
    problem = tables.problem_of(data, RIDGE, "relu")
    model = bi.from_sklearn(mlp)
    assert tables.judged(model, data, problem)["objective"] == pytest.approx(mlp.loss_, rel=1e-12)
    # Its zeros are those of the pattern.
    assert problem.pattern.violation(problem.iterate(model)) == 0
    result = bi.solve(problem, max_cycles=2)
    assert tables.judged(result.model, data, problem)["objective"] == pytest.approx(result.objective, rel=1e-9)


@pytest.mark.parametrize("name", ["friedman1", "digits"])
def test_the_objective_is_that_which_pytorch_minimises(parts, name):
    tables, tuning, data = parts["tables"], parts["tuning"], small(parts, name)
    torch.manual_seed(0)
    net = tuning.perceptron(data.U.shape[1], data.Y.shape[1])
    training = tuning.Training(net, data, RIDGE)
    before = training.objective().item()
    training.lbfgs(seconds=0.1)
    model = bi.from_torch(net, data.U.shape[1:])
    found = tables.judged(model, data, tables.problem_of(data, RIDGE, "relu", pattern=model))["objective"]
    assert found == pytest.approx(training.objective().item(), rel=1e-10)
    assert found < before


def test_what_can_be_ordered_is_feedforward(parts):
    share = parts["opening"].feedforward_share
    rng = np.random.default_rng(0)
    order = rng.permutation(12)
    triangle = np.triu(rng.random((12, 12)), 1)
    assert share(triangle[np.ix_(order, order)]) == pytest.approx(1.0)
    # Two states that act on each other, of which one way can be kept; a state that acts on itself.
    assert share(np.array([[0.0, 3.0], [1.0, 0.0]])) == pytest.approx(0.75)
    assert share(np.eye(3)) == 0.0
    # All orders of four states.
    full = rng.random((4, 4))
    best = max(np.triu(full[np.ix_(p, p)], 1).sum() for p in permutations(range(4)))
    assert share(full) == pytest.approx(best / full.sum())


def test_what_entries_carry_knows_no_units(parts):
    tables, opening, data = parts["tables"], parts["opening"], small(parts, "friedman1")
    problem = tables.problem_of(data, RIDGE, "relu", pattern=None)
    it = bi.solve(problem, max_cycles=3).iterate
    v = np.random.default_rng(0).uniform(0.5, 2, 8)
    other = it.replace(A=it.A * v / v[:, None], B=it.B / v[:, None], X=it.X / v[:, None], C=it.C * v)
    here, there = opening.carried(problem, it), opening.carried(problem, other)
    assert all(np.allclose(here[letter], there[letter]) for letter in "ABC")
    assert np.allclose(np.hstack([here["A"], here["B"]]) ** 2 @ np.ones(18), 1)


def test_the_whole_benchmark_in_its_smallest_case(parts, monkeypatch, tmp_path):
    main, page = parts["main"], tmp_path / "page.md"
    monkeypatch.setattr(main, "QUICK_SIZES", {"m": 50, "m_new": 40})
    monkeypatch.setattr(main, "QUICK", {"max_cycles": 2})
    monkeypatch.setattr(main, "TABLES", {"friedman1": parts["tables"].friedman1})
    short = {
        "blocks, tol 1e-3": parts["training"].by_blocks(max_cycles=2),
        "blocks, defaults": parts["training"].by_blocks(max_cycles=3),
        "Adam, to its end": parts["training"].by_sklearn("adam", max_iter=3),
    }
    monkeypatch.setattr(parts["training"], "METHODS", short)
    monkeypatch.setattr(parts["training"], "CHOOSERS", tuple(short))
    page.write_text("above\n<!-- made by benchmarks/structures.py -->\nold\n<!-- end of what is made -->\nbelow\n")
    file = tmp_path / "structures.json"
    main.main(["--quick", "--json", str(file), "--page", str(page)])
    results = json.loads(file.read_text())
    assert [len(results[part]) for part in ("trained", "opened", "tuned")] == [3, 5, 5]
    opened = {row["problem"]: row for row in results["opened"]}
    assert opened["free"]["before"] > 0
    assert opened["layers and shortcuts"]["objective"] < opened["layers"]["objective"]
    for layer in ("last", "first", "outputs"):
        shares = [share for name, share in opened["free"]["shares"].items() if name.startswith(layer)]
        assert sum(shares) == pytest.approx(1.0)
    assert opened["layers"]["shares"]["last from first"] == 1.0
    tuned = {row["method"]: row for row in results["tuned"]}
    assert tuned["then blocks"]["back_off"] < 1e-14
    text = page.read_text()
    assert text.startswith("above")
    assert text.endswith("below\n")
    assert "old" not in text
    assert all(name in text for name in [*short, *tuned, *opened])
    # What is there is not measured anew.
    before = file.read_text()
    main.main(["--quick", "--json", str(file)])
    assert file.read_text() == before


def test_the_published_results_are_of_this_form(parts):
    results = json.loads((ROOT / "benchmarks" / "results" / "structures.json").read_text())
    assert {tuple(step) for step in results["done"]} <= {*parts["main"].steps(5, quick=False)}
    for _, head, lines in parts["report"].tables(results):
        assert {len(line) for line in lines} == {len(head)}
