"""The same answer for every number of jobs and every joblib back end."""

import os
import signal
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.experiments.feature_selection import run_seeds
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.parallel import in_parallel


@pytest.fixture(scope="module")
def path():
    data = bi.datasets.make_column_sparse(60, 4, 2, 2, 1, noise=0.1, random_state=0)
    return bi.kappa_path(bi.TrainingProblem(data.U, data.Y, 1, pass_through=False), 3)


def everything(path, n_jobs):
    """All that runs in parallel: folds, ridges, refits at every kappa, subsamples."""
    options = {"n_folds": 2, "ridges": [1e-4, 1e-2], "tol": 0.2, "n_jobs": n_jobs}
    chosen = path.select(**options)
    criterion = path.select("bic", level=None, grow_hidden=False, **options).table["criterion"]
    frequencies = path.frequencies(2, n_jobs=n_jobs)
    return chosen.table["error"].to_numpy(), criterion.to_numpy(), frequencies, chosen.model.B


@pytest.fixture(scope="module")
def alone(path):
    return everything(path, None)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "n_jobs", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.processes)]
)
@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same_numbers(path, alone, n_jobs):
    assert_same(everything(path, n_jobs), alone)


@pytest.mark.slow
def test_threads_give_the_same_numbers(path, alone):
    with joblib.parallel_config("threading", n_jobs=2):
        assert_same(everything(path, None), alone)


@pytest.mark.slow
def test_a_dask_cluster_of_two_processes_gives_the_same_numbers(path, alone):
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = set(client.run(os.getpid).values())
        assert len(workers) == 2
        with joblib.parallel_config("dask"):
            assert set(in_parallel(_process, [(0.2,)] * 8, -1)) == workers  # it does go there
            assert_same(everything(path, -1), alone)


@pytest.mark.slow
def test_seeds_in_parallel():
    options = {"n_hidden": 2, "n_kappas": 3, "noise": 0.5}
    two = [run_seeds("even", [0, 1], n_jobs=n, **options).drop(columns="seconds") for n in (1, 2)]
    assert two[0].equals(two[1])
    assert two[0]["seed"].tolist() == [0, 1]


def _process(seconds):
    time.sleep(seconds)
    return os.getpid()


def _warns(number):
    warn_convergence(f"job {number}")
    return number


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.processes)])
def test_warnings_of_the_jobs_are_seen(n_jobs):
    with pytest.warns(bi.ConvergenceWarning) as caught:
        assert list(in_parallel(_warns, [(0,), (1,), (2,)], n_jobs)) == [0, 1, 2]
    assert [w.message.args[0] for w in caught] == ["job 0", "job 1", "job 2"]


BLOCKED = """
import signal
from bcd_implicit.support.parallel import in_parallel

def blocked(_):
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

print(all(in_parallel(blocked, [(i,) for i in range(4)], 2)))
"""


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no masks of signals here")
def test_processes_never_see_ctrl_c():
    # In a fresh process: the first one that it starts is Python's own, which lets Ctrl-C through.
    run = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=False)
    assert run.stdout == "True\n", run.stderr
