"""benchmarks/contrast.py in sizes that take no time: one objective and one clock for all, choices, and the verdict."""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bcd_implicit as bi

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")
ROOT = Path(__file__).parents[1]
# A few cycles are what is wanted.
pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
PARTS = ("problems", "clock", "ways", "pytorch", "report")


@pytest.fixture
def parts(monkeypatch):
    """The benchmark's modules by name."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        found = {name: importlib.import_module(f"contrast_parts.{name}") for name in PARTS}
        found["main"] = importlib.import_module("contrast")
    yield found
    for name in [name for name in sys.modules if name.startswith("contrast")]:
        monkeypatch.delitem(sys.modules, name)


def small(parts, name, seed=0):
    return parts["problems"].TASKS[name](seed, m=60, m_new=40)


@pytest.mark.parametrize("name", ["blog", "friedman1", "even", "digits"])
def test_the_objective_of_pytorch_is_that_of_the_package(parts, name):
    problem = small(parts, name).problem
    it = bi.solve(problem, max_cycles=2).iterate
    layer = bi.torch.ImplicitLayer(problem.model(it))
    u, y = torch.from_numpy(problem.U.T.copy()), torch.from_numpy(problem.Y.T.copy())
    found = parts["pytorch"].objective(problem, layer, u, y).item()
    assert found == pytest.approx(problem.equilibrium_objective(it), rel=1e-9)
    assert layer.project_(problem.norm_bound).model().norm_inf() <= problem.norm_bound + 1e-12


def test_torchdeq_s_layer_predicts_the_same_as_far_as_it_solves(parts):
    pytest.importorskip("torchdeq", reason="optional: pip install 'bcd-implicit[peers]'")
    task = small(parts, "friedman1")
    model = bi.solve(task.problem, max_cycles=2).model
    found = parts["pytorch"].TorchdeqLayer(model)(torch.from_numpy(task.U_new)).detach().numpy()
    assert 0 < np.abs(found - model.predict(task.U_new)).max() < 0.02


def test_the_drawing_for_choices_is_none_of_the_others_and_its_samples_are_apart(parts):
    problems = parts["problems"]
    task = small(parts, "even", problems.CHOOSING_SEED)
    held = task.held_out()
    np.testing.assert_array_equal(np.vstack([held.U, held.U_new]), task.U)
    assert len(held.U) == 45
    assert problems.CHOOSING_SEED not in range(10)
    assert not np.isin(small(parts, "even").U, task.U).any()


def test_an_epoch_has_each_sample_once(parts):
    epoch = parts["pytorch"].batches(10, 4, seed=0)
    first, second = ([next(epoch) for _ in range(3)] for _ in range(2))
    assert [len(batch) for batch in first] == [4, 4, 2]
    for each in (first, second):
        assert sorted(torch.cat(each).tolist()) == list(range(10))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert len(next(parts["pytorch"].batches(10, None, seed=0))) == 10


def test_the_clock_stands_still_while_a_run_is_judged(parts, monkeypatch):
    clock, task = parts["clock"], small(parts, "even")
    now = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])
    recorder = clock.Recorder(task, seconds=10.0)
    it = bi.solve(recorder.problem, max_cycles=2).iterate
    it.B[:, :3] = 0.0
    monkeypatch.setattr(type(task), "score", lambda self, model: now.__setitem__(0, now[0] + 5.0) or 0.5)

    now[0] = 1.0
    assert not recorder(1, np.nan, it)
    assert recorder.elapsed == 1.0
    # Too early for a record, then the end, which always has one.
    now[0] += 0.01
    assert not recorder(2, np.nan, it)
    now[0] += 9.0
    assert recorder(3, np.nan, it)
    first, last = recorder.curve
    assert (first["seconds"], last["seconds"]) == (1.0, pytest.approx(10.01))
    assert first["objective"] == pytest.approx(recorder.problem.equilibrium_objective(it), rel=1e-9)
    assert first["zero"] == 3
    assert clock.best_by(recorder.curve, 0.5) is None
    assert clock.best_by(recorder.curve, 5.0) is first


@pytest.mark.slow
def test_every_way_gets_below_where_it_began(parts):
    ways, task = parts["ways"], small(parts, "even")
    began = task.problem.equilibrium_objective(task.problem.initial(0))
    for name, way in ways.WAYS.items():
        if way.is_there:
            setting = {"learning_rate": 0.03, "batch_size": None} if way.by_gradients else {}
            found = ways.curve(task, name, setting, 0, seconds=0.1)
            assert not found["failed"]
            assert min(record["objective"] for record in found["curve"]) < began
            assert [record["seconds"] for record in found["curve"]] == sorted(r["seconds"] for r in found["curve"])


def test_restarts_begin_as_the_loop_does_and_go_on_from_other_starts(parts):
    task, ways = small(parts, "blog"), parts["ways"]
    starts, solve = [], bi.solve

    def spied(problem, *args, **kwargs):
        starts.append(problem.initial(kwargs["random_state"]).B)
        # Nobody asks a clock here: three starts, and time is up.
        recorder.seconds = -1.0 if len(starts) == 3 else 1e9
        return solve(problem, max_cycles=2)

    recorder = parts["clock"].Recorder(task, 1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bi, "solve", spied)
        ways.by_restarts(task, {}, 0, recorder)
    np.testing.assert_array_equal(starts[0], task.problem.initial(0).B)
    assert len({start.tobytes() for start in starts}) == 3
    assert len(recorder.curve) == 3


def test_a_rate_that_leads_nowhere_is_told_and_ends_nothing(parts):
    setting = {"learning_rate": 1e300, "batch_size": None}
    found = parts["ways"].curve(small(parts, "even"), "PyTorch, ImplicitLayer", setting, 0, seconds=60.0)
    assert found["failed"].startswith("InvalidInputError")


def row(way, objective, score=0.5, seed=0, tuned_for=("objective", "score"), **setting):
    records = [
        {"seconds": s, "objective": v, "score": score, "zero": 2, "small": 3}
        for s, v in zip((0.5, 4.0, 9.0), objective, strict=True)
    ]
    about = {"data": "even", "way": way, "seed": seed, "seconds": 15.0, "score_name": "R2", "n_calls": 7}
    return {"stage": "run", **about, "setting": setting, "tuned_for": [*tuned_for], "curve": records}


def test_the_setting_of_the_lowest_objective_and_that_of_the_best_score_are_chosen(parts):
    trials = [row("gradient, exact", v, s, learning_rate=r) for r, v, s in [(1, (3, 2, 4), 0.1), (2, (9, 9, 9), 0.9)]]
    broken = {**trials[0], "curve": []}
    assert list(parts["ways"].chosen([broken, *trials])) == [
        ("objective", {"learning_rate": 1}),
        ("score", {"learning_rate": 2}),
    ]
    assert list(parts["ways"].chosen([broken])) == []


def test_the_verdict_compares_blocks_early_with_all_gradients_late(parts):
    ways = {"learning_rate": 0.1, "batch_size": None}
    rows = [
        row("prox-linear", (3.0, 2.0, 1.0)),
        row("gradient, exact", (9.0, 8.0, 2.5), **ways),
        row("PyTorch, torchdeq", (9.0, 8.0, 1.5), **ways),
        row("fenchel", (0.1, 0.1, 0.1), fenchel_weight=1.0),
    ]
    head, (line,) = parts["report"].verdict(rows)
    found = dict(zip(head, line, strict=True))
    assert [found[k] for k in ("(T) at 5 s", "lowest of gradients at 5 s", "at 15 s")] == ["2", "8", "1.5"]
    assert found["by"] == "PyTorch, torchdeq, rate 0.1, all samples"
    below = "blocks at 5 s below it?"
    assert (found[below], found["runs beaten"], found["time to get below it"]) == ("no", "1 of 2", "9 s")
    restarted = row("prox-linear, restarted", (3.0, 1.4, 1.4))
    assert [line[head.index(below)] for line in parts["report"].verdict([*rows, restarted])[1]] == ["no", "yes"]


@pytest.mark.slow
def test_the_whole_benchmark_in_its_smallest_case(parts, monkeypatch, tmp_path):
    main = parts["main"]
    monkeypatch.setattr(main, "QUICK", {"seconds": 0.1, "tuning": 0.05, "seeds": 2})
    file, page, figure = tmp_path / "contrast.jsonl", tmp_path / "page.md", tmp_path / "contrast.png"
    page.write_text("above\n<!-- made by benchmarks/contrast.py -->\nold\n<!-- end of what is made -->\nbelow\n")
    ways = ["prox-linear", "fenchel", "gradient, Jacobian-free", "PyTorch, ImplicitLayer"]
    options = ["--quick", "--data", "even", "digits", "--ways", *ways]
    main.main([*options, "--json", str(file), "--page", str(page), "--plot", str(figure)])
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["way"] for row in rows if row["stage"] == "run"} == {*ways}
    assert {row["seed"] for row in rows if row["stage"] == "run"} == {0, 1}
    # Two settings of each way by gradients, four Fenchel weights, on each data set.
    assert sum(row["stage"] == "tuning" for row in rows) == 2 * (4 + 2 + 2)
    text = page.read_text()
    assert text.startswith("above")
    assert text.endswith("below\n")
    assert "old" not in text
    assert "| prox-linear |" in text
    assert figure.stat().st_size > 10_000
    # What is there is not measured anew.
    main.main([*options, "--json", str(file)])
    assert len(file.read_text().splitlines()) == len(rows)
