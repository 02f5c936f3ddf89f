"""Checkpoints: what is resumed ends as if nothing had happened, and only what is the same run is resumed."""

import os

import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, Status, solve
from bcd_implicit.support.archives import read_arrays, write_arrays
from bcd_implicit.terms.activations import SoftThreshold
from bcd_implicit.training import checkpoint
from bcd_implicit.training.checkpoint import Checkpoint, described

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


class BreaksOffError(Exception):
    pass


@pytest.fixture(autouse=True)
def written_every_cycle(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "TIMES_A_WRITE", 0.0)


def broken_off(after, *args, **options):
    def callback(cycle, *_):
        if cycle == after + 1:
            raise BreaksOffError

    with pytest.raises(BreaksOffError):
        solve(*args, callback=callback, **options)


def assert_same(one, other):
    for letter in "ABbCDdX":
        np.testing.assert_array_equal(getattr(one.iterate, letter), getattr(other.iterate, letter))
    assert one.status is other.status
    assert one.history.drop(columns="seconds").equals(other.history.drop(columns="seconds"))
    assert one.certificates == other.certificates
    assert one.dual_values.keys() == other.dual_values.keys()
    for name, values in one.dual_values.items():
        np.testing.assert_array_equal(values, other.dual_values[name])


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("prox-linear", {"kappa": 0.05}),
        ("fenchel", {"kappa": 1.0, "group_form": "constraint"}),
        ("prox-linear", {"kappa": 0.05, "group_over": "BD", "fit_intercept": False}),
    ],
    ids=["prox-linear", "fenchel", "stacked"],
)
def test_what_is_resumed_ends_the_same_to_the_last_bit(tmp_path, method, options, after):
    problem, file = random_problem((3, 4, 2, 30), **options), tmp_path / "run.npz"
    call = {"method": method, "max_cycles": 10, "tol": 1e-9}
    whole = solve(problem, **call)
    broken_off(after, problem, checkpoint=file, **call)
    cycles = []
    resumed = solve(problem, checkpoint=file, callback=lambda c, *_: cycles.append(c), **call)
    assert cycles[0] == after + 1
    assert_same(resumed, whole)
    # A run that has ended is not run again.
    again = solve(problem, checkpoint=file, callback=lambda *_: pytest.fail("another cycle"), **call)
    assert_same(again, whole)
    assert os.listdir(tmp_path) == ["run.npz"]


def test_with_the_users_constraints(tmp_path):
    mine = [bi.constraints.nonnegative("B"), lambda v: v["d"] == 0]
    problem = random_problem((2, 3, 1, 20), kappa=0.05, constraints=mine)
    call = {"max_cycles": 3, "tol": 1e-9}
    whole = solve(problem, **call)
    broken_off(1, problem, checkpoint=tmp_path / "run.npz", **call)
    assert_same(solve(problem, checkpoint=tmp_path / "run.npz", **call), whole)


def test_a_run_that_was_stopped_goes_on_and_more_cycles_may_follow(tmp_path):
    problem, file = random_problem((3, 4, 2, 30), kappa=0.05), tmp_path / "run.npz"
    whole = solve(problem, max_cycles=6, tol=1e-9)
    stopped = solve(problem, max_cycles=6, tol=1e-9, max_seconds=1e-9, checkpoint=file)
    assert stopped.status is Status.TIME_LIMIT
    assert stopped.n_cycles == 0
    assert_same(solve(problem, max_cycles=6, tol=1e-9, checkpoint=file), whole)
    longer = solve(problem, max_cycles=8, tol=1e-9, checkpoint=file)
    assert longer.n_cycles == 8
    # The sixth cycle is not the last one now.
    assert longer.history["objective"][:5].equals(whole.history["objective"][:5])
    assert_same(longer, solve(problem, max_cycles=8, tol=1e-9))


@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_with_more_cycles_a_run_ends_as_if_it_had_had_them_at_once(tmp_path, method):
    problem, file = random_problem((3, 4, 2, 30), kappa=0.05), tmp_path / "run.npz"
    whole, short = (solve(problem, method, max_cycles=k, tol=1e-12) for k in (9, 3))
    for _ in range(2):  # the second call reads all of it
        assert_same(solve(problem, method, max_cycles=3, tol=1e-12, checkpoint=file), short)
    # Cut short before it gets farther, it has lost nothing.
    solve(problem, method, max_cycles=9, tol=1e-12, max_seconds=1e-9, checkpoint=file)
    solve(problem, method, max_cycles=6, tol=1e-12, checkpoint=file)
    assert_same(solve(problem, method, max_cycles=9, tol=1e-12, checkpoint=file), whole)


@pytest.mark.parametrize(("method", "cycles"), [("prox-linear", 12), ("fenchel", 300)])
def test_a_run_that_a_callback_stopped_goes_on(tmp_path, method, cycles):
    problem, file = random_problem((3, 4, 2, 30), kappa=0.05), tmp_path / "run.npz"
    whole = solve(problem, method, max_cycles=cycles, tol=1e-3)
    for after in (2, len(whole.history)):
        file.unlink(missing_ok=True)
        stopped = solve(
            problem, method, max_cycles=cycles, tol=1e-3, checkpoint=file, callback=lambda c, *_, k=after: c == k
        )
        assert (stopped.status, stopped.n_cycles) == (Status.STOPPED, after)
        assert_same(solve(problem, method, max_cycles=cycles, tol=1e-3, checkpoint=file), whole)


def test_lists_that_differ_are_told_by_where_they_differ(tmp_path):
    problem, file = random_problem((3, 4, 2, 30), fenchel_weight=[1.0, 1.0, 1.0]), tmp_path / "run.npz"
    solve(problem, max_cycles=1, checkpoint=file)
    with pytest.raises(InvalidInputError, match=r"another run: fenchel_weight\[2\] was 1.0 and is 2.0\. Give"):
        solve(problem.replace(fenchel_weight=[1.0, 1.0, 2.0]), max_cycles=1, checkpoint=file)
    with pytest.raises(InvalidInputError, match="n_hidden was 3 and is 4, fenchel_weight had 3 entries and has 4"):
        solve(problem.replace(n_hidden=4, fenchel_weight=1.0), max_cycles=1, checkpoint=file)


def test_files_from_before_a_setting_are_read(tmp_path):
    problem, file = random_problem((3, 4, 2, 30)), tmp_path / "run.npz"
    run = described(problem)
    assert run.pop("well_posedness") == "inf-norm"
    Checkpoint(file, run).write(at_once=True)
    Checkpoint(file, described(problem))
    with pytest.raises(InvalidInputError, match="well_posedness was 'inf-norm' and is 'measure'"):
        Checkpoint(file, described(problem.replace(well_posedness="measure")))


def test_another_run_is_refused_with_what_differs(tmp_path):
    problem, file = random_problem((3, 4, 2, 30), kappa=0.05), tmp_path / "run.npz"
    solve(problem, max_cycles=2, checkpoint=file)
    before = file.read_bytes()
    other = random_problem((3, 4, 2, 31), kappa=0.05)
    for changed, options, message in [
        (problem.replace(kappa=0.1), {}, "run.npz: is of another run: kappa was 0.05 and is 0.1. Give the file of"),
        (
            problem,
            {"tol": 1e-7, "method": "fenchel"},
            "method was 'prox-linear' and is 'fenchel', tol was 1e-05 and is",
        ),
        (problem, {"random_state": 3}, "random_state was 0 and is 3"),
        (problem, {"start": problem.initial(1)}, "random_state was 0 and is not given, start differs"),
        (other, {}, "U differs, Y differs, sample_weight differs"),
        (
            problem.replace(kappa=0.1, ridge=0.5),
            {"tol": 1e-7, "method": "fenchel", "solver": "ECOS"},
            "another run: kappa was 0.05 and is 0.1, ridge was 0.01 and is 0.5, method was 'prox-linear' and is "
            "'fenchel', and 2 more. Give the file",
        ),
        (problem.replace(constraints={"mine": lambda v: v["A"] >= 0}), {}, "constraints differs"),
        (problem.replace(well_posedness="measure"), {}, "well_posedness was 'inf-norm' and is 'measure'"),
        (
            problem,
            {"fenchel_schedule": "continuation", "method": "fenchel"},
            "and is 'fenchel', fenchel_schedule differs",
        ),
        (problem, {"method": "gradient"}, "and is 'gradient', batch_size was not given and is 64, n_steps was not"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            solve(changed, checkpoint=file, **options)
    assert file.read_bytes() == before
    solve(problem.replace(kappa=0.1), max_cycles=1, checkpoint=file, resume=False)
    assert file.read_bytes() != before


def test_a_run_with_another_parameter_of_the_activation_is_another_run(tmp_path):
    problem, file = random_problem((3, 4, 2, 30), activation=SoftThreshold(0.2), kappa=0.05), tmp_path / "run.npz"
    solve(problem, max_cycles=2, checkpoint=file)
    with pytest.raises(InvalidInputError, match=r"is of another run: threshold was 0.2 and is 0.5\. Give"):
        solve(problem.replace(activation="soft_threshold"), checkpoint=file)


def test_bad_arguments_are_named(tmp_path):
    problem = random_problem((2, 3, 1, 20))
    with pytest.raises(InvalidInputError, match="resume: must be True or False, got 'no'"):
        solve(problem, checkpoint=tmp_path / "run.npz", resume="no")
    with pytest.raises(InvalidInputError, match="cannot be written"):
        solve(problem, checkpoint=tmp_path / "nowhere" / "run.npz")
    (tmp_path / "text").write_text("not a checkpoint")
    with pytest.raises(InvalidInputError, match="is not a checkpoint. Give the file of an earlier run"):
        solve(problem, checkpoint=tmp_path / "text")


def test_damage_in_the_text_is_one_clear_error(tmp_path):
    problem, file = random_problem((2, 3, 1, 20), kappa=0.05), tmp_path / "run.npz"
    solve(problem, max_cycles=2, checkpoint=file)
    formats = {checkpoint._FORMAT: checkpoint._MEMBERS}
    whole = read_arrays(file, formats, "checkpoint", "")
    text = str(whole["text"])
    for damaged in (
        text[:-1],
        "[]",
        '{"run": {}, "done": [], "under_way": 3}',
        text.replace('"damping"', '"dampening"'),
        text.replace('{"__array__": [0,', '{"__array__": [-5,'),
        text.replace('{"__array__": [0,', '{"__array__": [99999999,'),
        text.replace('"status": "', '"status": "NO'),
        "[" * 100_000,
    ):
        assert damaged != text
        write_arrays(file, checkpoint._FORMAT, {"text": np.array(damaged), "numbers": whole["numbers"]})
        with pytest.raises(InvalidInputError, match="run.npz: (is damaged or not a checkpoint|is of another run)"):
            solve(problem, max_cycles=2, checkpoint=file)


def test_a_later_write_that_fails_only_warns(tmp_path, monkeypatch):
    problem, file = random_problem((2, 3, 1, 20), kappa=0.05), tmp_path / "run.npz"
    whole = solve(problem, max_cycles=3)
    real, calls = checkpoint.write_arrays, []

    def full(*args):
        calls.append(1)
        if len(calls) > 1:
            raise InvalidInputError("run.npz", "cannot be written (No space left on device)")
        return real(*args)

    monkeypatch.setattr(checkpoint, "write_arrays", full)
    with pytest.warns(UserWarning, match="The checkpoint could not be written: .*No space left"):
        assert_same(solve(problem, max_cycles=3, checkpoint=file), whole)


def test_between_two_writes_time_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 3600.0)
    problem, file = random_problem((2, 3, 1, 20), kappa=0.05), tmp_path / "run.npz"
    kept = Checkpoint(file, described(problem))
    state, _ = Checkpoint(file, described(problem)).state(problem) or (None, None)
    assert state is None
    broken_off(3, problem, checkpoint=file, max_cycles=5)
    # Only the first write.
    kept = Checkpoint(file, Checkpoint(file, {}, resume=False)._read()["run"])
    state, status = kept.state(problem)
    assert (len(state.rows), status) == (1, None)


def test_a_path_is_resumed_within_a_kappa(tmp_path):
    data = bi.datasets.make_column_sparse(60, 4, 2, 2, 1, noise=0.1, random_state=0)
    problem, file = bi.TrainingProblem(data.U, data.Y, 1, pass_through=False), tmp_path / "path.npz"
    whole = bi.kappa_path(problem, 4)
    total = sum(len(r.history) for r in whole.results)
    for stop_after in (1, total // 2):
        file.unlink(missing_ok=True)
        seen = []

        def tell(share, text, seen=seen, stop_after=stop_after):
            seen.append("cycle" in text and "objective" in text)
            if sum(seen) > stop_after:
                raise BreaksOffError

        with pytest.raises(BreaksOffError):
            bi.kappa_path(problem, 4, checkpoint=file, progress=tell)
        resumed = bi.kappa_path(problem, 4, checkpoint=file)
        np.testing.assert_array_equal(resumed.kappas, whole.kappas)
        for one, other in zip(resumed.results, whole.results, strict=True):
            assert_same(one, other)
        again = bi.kappa_path(problem, 4, checkpoint=file, progress=lambda share, text: None)
        assert [r.objective for r in again.results] == [r.objective for r in whole.results]
    with pytest.raises(InvalidInputError, match="n_kappas was 4 and is 5"):
        bi.kappa_path(problem, 5, checkpoint=file)


def test_unnamed_constraints_are_told_apart_by_their_values(tmp_path):
    problem, file = random_problem((3, 4, 2, 30)), tmp_path / "run.npz"
    positive, negative = (problem.replace(constraints=[f]) for f in (lambda v: v["C"] >= 0, lambda v: v["C"] <= 0))
    solve(positive, max_cycles=1, checkpoint=file)
    with pytest.raises(InvalidInputError, match="constraints differs"):
        solve(negative, max_cycles=1, checkpoint=file)


def test_a_file_of_another_kind_is_not_overwritten(tmp_path):
    problem, table = random_problem((3, 4, 2, 30)), tmp_path / "data.csv"
    table.write_text("u,y\n1,2\n")
    for resume in (True, False):
        with pytest.raises(InvalidInputError, match="data.csv: .*is not a checkpoint"):
            solve(problem, max_cycles=1, checkpoint=table, resume=resume)
    assert table.read_text() == "u,y\n1,2\n"
    for path in (5, b"run.npz", [], ""):
        with pytest.raises(InvalidInputError, match=r"^checkpoint: got .*\. Give the name of a file"):
            solve(problem, max_cycles=1, checkpoint=path)
