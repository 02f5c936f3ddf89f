"""kill -9 and Ctrl-C at random moments: nothing is lost, nothing is half written, nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit.support import interruption
from bcd_implicit.training import checkpoint

pytestmark = [pytest.mark.hard, pytest.mark.filterwarnings("ignore")]
# Far beyond the second that it may take, for busy machines.
LATEST = 10.0
GROUPS, KILLS = 10, 5


def in_a_child(work):
    """The process number of a copy of this process that does some work and ends."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("group", range(GROUPS))
def test_after_kill_9_a_run_goes_on_to_the_same_end(group, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "TIMES_A_WRITE", 0.0)
    rng, file = np.random.default_rng(group), tmp_path / "run.npz"
    problem = random_problem((5, 8, 3, 200), kappa=0.02)
    call = {"max_cycles": 120, "tol": 0.0, "method": ("prox-linear", "fenchel")[group % 2]}
    began = time.monotonic()
    whole = bi.solve(problem, **call)
    seconds, n_cycles = time.monotonic() - began, []
    for _ in range(KILLS):
        child = in_a_child(lambda: bi.solve(problem, checkpoint=file, **call))
        time.sleep(rng.uniform(0.0, 0.5 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if file.exists():
            # Whole: it is read, and it is of this run.
            kept = checkpoint.Checkpoint(file, {}, resume=False)
            state, _ = checkpoint.Checkpoint(file, kept._read()["run"]).state(problem)
            n_cycles.append(len(state.rows))
    assert n_cycles == sorted(n_cycles)
    resumed = bi.solve(problem, checkpoint=file, **call)
    for letter in "ABbCDdX":
        np.testing.assert_array_equal(getattr(resumed.iterate, letter), getattr(whole.iterate, letter))
    assert resumed.status is whole.status
    assert resumed.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
    assert os.listdir(tmp_path) == ["run.npz"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("solver", ["native", "CLARABEL", "ECOS"])
def test_ctrl_c_at_random_moments(solver, monkeypatch):
    rng, problem = np.random.default_rng(0), random_problem((5, 20, 3, 200), kappa=0.01)
    main, longest = os.getpid(), 0.0
    for _ in range(15):
        monkeypatch.setattr(interruption, "_last_pressed", -float("inf"))
        delay = float(rng.uniform(0.05, 0.5))  # not before solve has begun

        def press(delay=delay):
            time.sleep(delay)
            os.kill(main, signal.SIGINT)
            # Other threads of this process may take it for ECOS, which may forget it: a person presses again.
            for _ in range(3 if solver == "ECOS" else 0):
                time.sleep(5.0)
                os.kill(main, signal.SIGINT)

        began = time.monotonic()
        child = in_a_child(press)
        result = bi.solve(problem, solver=solver, tol=0.0, max_cycles=10**6, max_seconds=60)
        longest = max(longest, time.monotonic() - began - delay)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert result.status is bi.Status.INTERRUPTED
        assert problem.violation(result.iterate) <= 1e-8
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert longest < (LATEST if solver != "ECOS" else 4 * LATEST)


@pytest.mark.parametrize("command", ["fit", "select", "select --n-jobs 2"])
def test_the_command_line_ends_with_130_and_leaves_what_it_has(command, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((400, 10)), columns=[f"x{j}" for j in range(10)])
    table["y"] = table["x0"].abs() + 0.1 * rng.standard_normal(400)
    table.to_csv(tmp_path / "data.csv", index=False)
    name, *options = command.split()
    options += ["--model", "m.npz", "--tol", "0", "--max-cycles", "1000000"] if name == "fit" else ["--output", "."]
    words = [
        sys.executable,
        "-m",
        "bcd_implicit",
        name,
        "data.csv",
        "--target",
        "y",
        "--checkpoint",
        "run.npz",
        *options,
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    # The checkpoint is there once training has begun.
    while not (tmp_path / "run.npz").exists():
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()
    time.sleep(1.0)
    # To all processes of the group, as a terminal does.
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    # Drawing the figure takes a second or two.
    assert time.monotonic() - began < 3 * LATEST
    assert "Traceback" not in err
    assert "Interrupted: the results so far are written." in err
    written = {"m.npz"} if name == "fit" else {"model.npz", "report.json", "feature_selection.png"}
    assert set(os.listdir(tmp_path)) == {"data.csv", "run.npz", *written}
    bi.ImplicitModel.load(tmp_path / ("m.npz" if name == "fit" else "model.npz"))
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("processes were left behind")


SAME = """
import sys, warnings
import numpy as np
import bcd_implicit as bi

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
U = rng.standard_normal((1200, 20))
Y = np.abs(U[:, :2]) + 0.3 * rng.standard_normal((1200, 2))
path = bi.kappa_path(bi.TrainingProblem(U, Y, 6, pass_through=False), 4)
n_jobs, file = int(sys.argv[1]), sys.argv[2]
fitted = bi.ImplicitRegressor(4, alpha=[1e-3, 1e-2], n_folds=3, n_init=2, tol=1e-3, n_jobs=n_jobs).fit(U, Y)
chosen = path.select(ridges=[1e-4, 1e-2], grow_hidden=False, tol=0.1, n_jobs=n_jobs)
np.savez(file, path=path.column_norms, fitted=fitted.model_.B, chosen=chosen.model.B)
"""


def test_the_same_models_for_any_number_of_threads_and_processes(tmp_path):
    found = []
    for threads, jobs in ((1, 1), (2, 1), (2, 2)):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
        file = tmp_path / f"{threads}-{jobs}.npz"
        subprocess.run([sys.executable, "-c", SAME, str(jobs), str(file)], env=environment, check=True)
        found.append(np.load(file))
    for other in found[1:]:
        for name in found[0]:
            np.testing.assert_allclose(other[name], found[0][name], rtol=1e-9, atol=1e-9)
