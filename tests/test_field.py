"""The protocol of benchmarks/field.py on a table made here: its splits, choices, judges, results file and report."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT.parent / "shared" / "data"
# The judging network of these tests is a small one, cut short.
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
QUICK = ["random forest", "MultiTaskLasso", "mutual information"]
TRUE, P = (1, 4, 6), 8


@pytest.fixture(scope="module")
def field():
    """The benchmark as a module: benchmarks/ is on the path as it is for a script there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("field")


@pytest.fixture
def part(field):
    return lambda name: importlib.import_module(f"field_parts.{name}")


def drawn(m=120):
    """Three classes that three of eight inputs tell apart; the first input has gaps in the last tenth of the rows."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], m // 3)
    U = rng.standard_normal((m, P))
    U[:, TRUE] += 3 * np.eye(3)[np.unique(labels, return_inverse=True)[1]]
    U[-m // 10 :, 0] = np.nan
    return U * 10 + 5, labels


@pytest.fixture
def tiny(field, part, monkeypatch):
    """The only table of the field is the one drawn above; methods and judges are small."""
    table = part("tables").Table("none", 3, TRUE, read=lambda file: drawn())
    monkeypatch.setattr(field, "KS", (2, 5, 50))
    for name in ("tables", "report"):
        monkeypatch.setattr(part(name), "TABLES", {"tiny": table})
    monkeypatch.setattr(field, "TABLES", {"tiny": table})
    judges = part("judges").JUDGES
    monkeypatch.setitem(judges["trees"][1], "n_estimators", 30)
    monkeypatch.setitem(judges["network"][1], "max_iter", 60)
    monkeypatch.setitem(field.METHODS["random forest"].settings, "n_estimators", 30)
    for settings in (part("methods").SMOOTH, part("methods").FREE):
        for name, value in {"n_hidden": 3, "ridge": 0.01, "ridge_hidden": 1e-4}.items():
            monkeypatch.setitem(settings, name, value)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "field.jsonl").read_text().splitlines()]


# --- Splits ---------------------------------------------------------------------------------------------------------


def test_a_fifth_of_each_class_is_held_out_anew_for_each_seed(field):
    inputs, labels = drawn()
    parts = field.split(inputs, labels, 0)
    assert np.bincount(parts.classes).tolist() == [32, 32, 32]
    assert np.bincount(parts.classes_test).tolist() == [8, 8, 8]
    np.testing.assert_array_equal(field.split(inputs, labels, 0).U_test, parts.U_test)
    assert not np.array_equal(field.split(inputs, labels, 1).classes_test, parts.classes_test)


def test_indicators_are_one_in_the_column_of_the_class(field):
    parts = field.split(*drawn(), 0)
    assert set(np.unique(parts.Y)) == {0.0, 1.0}
    np.testing.assert_array_equal(parts.Y.sum(axis=1), 1)
    np.testing.assert_array_equal(parts.Y.argmax(axis=1), parts.classes)


def test_gaps_become_the_mean_and_scales_come_from_what_is_not_held_out(field):
    inputs, labels = drawn()
    parts = field.split(inputs, labels, 0)
    np.testing.assert_allclose(parts.U.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(parts.U.std(axis=0), 1)
    n_gaps = int(np.isnan(inputs[:, 0]).sum())
    assert np.sum(np.abs(parts.U[:, 0]) < 1e-12) + np.sum(np.abs(parts.U_test[:, 0]) < 1e-12) == n_gaps
    # Rows that are held out are moved far away: the others must not notice, and they must stay far.
    test = rows_held_out(labels, 0)
    moved = inputs.copy()
    moved[test] += 1e6
    again = field.split(moved, labels, 0)
    np.testing.assert_array_equal(again.U, parts.U)
    assert np.nanmin(again.U_test[:, 1:]) > 1e4


def rows_held_out(labels, seed):
    """Found by a table whose only input is the number of the row."""
    tables = importlib.import_module("field_parts.tables")
    numbers = np.arange(len(labels), dtype=float)[:, None]
    parts = tables.split(numbers, labels, seed)
    order = np.concatenate([parts.U, parts.U_test])[:, 0].argsort().argsort()
    return order[len(parts.U) :]


# --- Choices and judges ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*QUICK, pytest.param("bcd_implicit", marks=pytest.mark.slow)])
def test_methods_choose_as_many_inputs_as_asked_for_and_the_true_ones_first(field, tiny, method):
    row = field.run(field.Job("tiny", 0, method), Path(), 60, "")
    assert "error" not in row
    # 50 are more than there are.
    assert [choice["k"] for choice in row["choices"]] == [2, 3, 5]
    for choice in row["choices"]:
        assert choice["n_inputs"] == len(choice["support"]) <= choice["k"]
        assert choice["true"] + choice["false"] == choice["n_inputs"]
    of_three = row["choices"][1]
    assert of_three["support"] == list(TRUE)
    assert (of_three["true"], of_three["false"]) == (3, 0)
    assert min(of_three["trees"], of_three["network"]) > 0.85
    assert of_three["trees"] > row["choices"][0]["trees"] - 0.05


@pytest.mark.slow
def test_without_k_the_method_chooses_their_number_itself(field, tiny, plain_choice):
    row = field.run(field.Job("tiny", 0, "bcd_implicit, without k"), Path(), 120, "")
    assert [choice["k"] for choice in row["choices"]] == [None]
    assert row["choices"][0]["support"] == list(TRUE)


def test_all_inputs_are_all(field, tiny):
    (choice,) = field.run(field.Job("tiny", 0, "all inputs"), Path(), 60, "")["choices"]
    assert (choice["support"], choice["n_inputs"], choice["true"], choice["false"]) == ("all", P, 3, P - 3)


def test_a_wrong_choice_is_counted_as_false_and_predicts_badly(field, part, tiny):
    parts = field.split(*drawn(), 0)
    wrong = np.isin(np.arange(P), (2, 3, 5))
    judged = field.judge(part("methods").Choice(3, wrong), parts, TRUE, 0)
    assert (judged["n_inputs"], judged["true"], judged["false"]) == (3, 0, 3)
    # One third is chance.
    assert max(judged["trees"], judged["network"]) < 0.6
    half = np.isin(np.arange(P), (TRUE[0], 2))
    judged = field.judge(part("methods").Choice(3, half), parts, TRUE, 0)
    assert (judged["n_inputs"], judged["true"], judged["false"]) == (2, 1, 1)
    assert "true" not in field.judge(part("methods").Choice(3, half), parts, (), 0)


def test_no_input_predicts_the_most_frequent_class(field, part, tiny):
    parts = field.split(*drawn(), 0)
    judged = field.judge(part("methods").Choice(3, np.zeros(P, dtype=bool)), parts, TRUE, 0)
    assert judged["trees"] == judged["network"] == pytest.approx(1 / 3)


def test_of_the_lassos_alphas_the_one_with_the_most_inputs_that_are_not_too_many_is_taken(field, part):
    rng = np.random.default_rng(0)
    inputs = np.repeat(rng.standard_normal((100, 2)), 2, axis=1) + 1e-9 * rng.standard_normal((100, 4))
    labels = (inputs[:, 0] + inputs[:, 2] > 0).astype(int)
    settings = field.METHODS["MultiTaskLasso"].settings
    sizes = [c.support.sum() for c in part("methods").fit_lasso(field.split(inputs, labels, 0), [1, 2, 4], 0, settings)]
    assert all(size <= k for size, k in zip(sizes, [1, 2, 4], strict=True))
    assert sizes == sorted(sizes)
    assert sizes[0] == 1


# --- The results file and the report --------------------------------------------------------------------------------


def call(field, folder, *arguments):
    field.main(["--data", str(folder), "--out", str(folder), "--tables", "tiny", "--seeds", "0", "1", *arguments])


def test_what_is_in_the_file_is_not_computed_again_unless_asked_for(field, tiny, tmp_path, monkeypatch):
    call(field, tmp_path, "--methods", "mutual information")
    assert [(row["seed"], row["method"]) for row in rows_of(tmp_path)] == [(s, "mutual information") for s in (0, 1)]
    # As if a crash had cut off the next line.
    with (tmp_path / "field.jsonl").open("a") as file:
        file.write('{"table": "ti')
    call(field, tmp_path, "--methods", "mutual information", "all inputs", "--seeds", "0")
    lines = (tmp_path / "field.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[-1])["method"] == "all inputs"
    call(field, tmp_path, "--methods", "all inputs", "--seeds", "0", "--again")
    assert len((tmp_path / "field.jsonl").read_text().splitlines()) == 5
    assert len(field.read(tmp_path / "field.jsonl")) == 3


def test_the_report_has_the_means_of_what_was_run_and_nothing_else(field, tiny, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n<!-- made by benchmarks/field.py -->\nold\n<!-- end of what is made -->\n\nThe end\n")
    plot = tmp_path / "field.png"
    call(field, tmp_path, "--methods", "mutual information", "all inputs", "--page", str(page), "--plot", str(plot))
    text = (tmp_path / "field.md").read_text()
    head, _, *lines = text.splitlines()
    assert head == "| data, k | method | seeds | inputs | trees | network | seconds |"
    assert len(lines) == 2
    means = [np.mean([r["choices"][1]["trees"] for r in rows_of(tmp_path) if r["method"] == "mutual information"])]
    assert lines[0].startswith(f"| tiny, 3 | mutual information | 2 | 3: 3 true, 0 false | {means[0]:.3f} ± ")
    assert lines[1].startswith("| tiny, 3 | all inputs | 2 | 8: 3 true, 5 false | ")
    assert text in capsys.readouterr().out
    assert text in page.read_text()
    assert "old" not in page.read_text()
    assert page.read_text().endswith("The end\n")
    assert plot.stat().st_size > 10_000


def endless(split, ks, seed, settings):
    while True:
        sum(range(1000))
    yield


def test_a_choice_that_takes_too_long_is_ended_and_said_to_be(field, part, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(field.METHODS, "all inputs", part("methods").Method(endless, told=False))
    call(field, tmp_path, "--methods", "all inputs", "--seeds", "0", "--limit", "0.1")
    (row,) = rows_of(tmp_path)
    assert row["choices"] == []
    assert row["unfinished"] == "not finished in 0.1 s"
    assert "| tiny, 3 | all inputs | 0 of 1 |  |  |  | not finished in 0.1 s |" in (tmp_path / "field.md").read_text()
    # It is not tried again, but with a larger limit.
    call(field, tmp_path, "--methods", "all inputs", "--seeds", "0", "--limit", "0.05")
    assert len(rows_of(tmp_path)) == 1
    call(field, tmp_path, "--methods", "all inputs", "--seeds", "0", "--limit", "0.2")
    assert [row["limit"] for row in rows_of(tmp_path)] == [0.1, 0.2]


def failing(split, ks, seed, settings):
    raise ValueError("no scores")
    yield


def test_a_failure_is_told_and_not_stored(field, part, tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(field.METHODS, "all inputs", part("methods").Method(failing, told=False))
    with pytest.raises(SystemExit, match="1 fits failed"):
        call(field, tmp_path, "--methods", "all inputs", "--seeds", "0")
    assert "ValueError: no scores" in capsys.readouterr().out
    assert rows_of(tmp_path) == []


# --- As published ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the field's tables are not here")
@pytest.mark.parametrize(
    ("name", "shape", "n_classes"),
    [
        ("mice", (1080, 77), 8),
        ("madelon", (2600, 500), 2),
        ("Isolet", (1560, 617), 26),
        ("COIL20", (1440, 1024), 20),
        ("TOX-171", (171, 5748), 4),
    ],
)
def test_the_tables_are_as_published(field, name, shape, n_classes):
    table = field.TABLES[name]
    inputs, labels = table.read(PUBLISHED / table.file)
    assert inputs.shape == shape
    assert len(np.unique(labels)) == n_classes
    parts = field.split(inputs, labels, 0)
    assert np.isfinite(parts.U).all()
    assert np.isfinite(parts.U_test).all()


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the field's tables are not here")
def test_madelons_true_inputs_are_those_that_go_with_each_other(field):
    # The probes are independent of each other and of them; 15 of the 20 are combinations of the other 5.
    table = field.TABLES["madelon"]
    inputs, _ = table.read(PUBLISHED / table.file)
    related = np.abs(np.corrcoef(inputs.T) - np.eye(inputs.shape[1])).max(axis=0)
    assert set(np.argsort(-related)[:20]) == set(table.true)


def test_the_page_has_the_table_that_the_runs_made():
    made = (ROOT / "benchmarks" / "results" / "field.md").read_text()
    # If this fails: python benchmarks/field.py --page docs/field.md --plot docs/field.png
    assert made in (ROOT / "docs" / "field.md").read_text()
