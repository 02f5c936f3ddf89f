"""How long long calls go on after Ctrl-C, at random moments: ``python benchmarks/interruption.py``.

Each call gets a Ctrl-C from another process, ``--times`` times, up to ``--within`` seconds after its beginning.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
import warnings

import numpy as np
from rich.console import Console
from rich.table import Table

import bcd_implicit as bi
from bcd_implicit.support import interruption

ENDLESS = {"tol": 0.0, "max_cycles": 10**6}


def problem(m: int, p: int, n: int, **settings) -> bi.TrainingProblem:
    rng = np.random.default_rng(0)
    U = rng.standard_normal((m, p))
    Y = np.abs(U[:, :3]) + 0.1 * rng.standard_normal((m, 3))
    return bi.TrainingProblem(U, Y, n, kappa=1e-3, **settings)


def calls() -> dict:
    wide, small = problem(1000, 1000, 30), problem(200, 10, 6)
    middle, tall, taller = problem(20_000, 50, 20), problem(100_000, 50, 20), problem(1_000_000, 20, 10)
    constrained = problem(300, 30, 8, constraints=[bi.constraints.nonnegative("B")])
    path = bi.kappa_path(problem(300, 10, 10), 8)
    X, y = path.problem.U.T, path.problem.Y[0]
    return {
        "solve, 1,000 inputs, 1,000 samples": lambda: bi.solve(wide, **ENDLESS),
        "solve, 20,000 samples": lambda: bi.solve(middle, **ENDLESS),
        "solve, 100,000 samples": lambda: bi.solve(tall, **ENDLESS),
        "solve, 1,000,000 samples": lambda: bi.solve(taller, **ENDLESS),
        "solve, fenchel, 20,000 samples": lambda: bi.solve(middle, "fenchel", **ENDLESS),
        "solve, CLARABEL": lambda: bi.solve(small, solver="CLARABEL", **ENDLESS),
        "solve, ECOS": lambda: bi.solve(small, solver="ECOS", **ENDLESS),
        "solve, SCS": lambda: bi.solve(small, solver="SCS", max_seconds=30, **ENDLESS),
        "solve, B >= 0": lambda: bi.solve(constrained, max_seconds=30, **ENDLESS),
        "kappa_path, 1,000 inputs": lambda: bi.kappa_path(wide),
        "select, two processes": lambda: path.select("stability", n_subsamples=1000, n_jobs=2),
        "regressor": lambda: bi.ImplicitRegressor(**ENDLESS).fit(X, y),
    }


def seconds_after(call, delay: float) -> float:
    """From the signal to the end; infinite where it was lost, NaN where the call ended before."""
    interruption._last_pressed = -np.inf
    sender = subprocess.Popen(["sh", "-c", f"sleep {delay}; date +%s.%N; kill -INT {os.getpid()}"], stdout=-1)
    lost = False
    try:
        result = call()
        lost = getattr(result, "status", None) is bi.Status.TIME_LIMIT
    except KeyboardInterrupt:
        pass  # before there was anything to return
    ended = time.time()
    try:
        sent = float(sender.communicate()[0])
    except KeyboardInterrupt:  # the call ended by itself, before it came
        return np.nan
    return np.inf if lost else ended - sent if ended > sent else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--within", type=float, default=2.0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng, table = np.random.default_rng(0), Table("call", "median, s", "longest, s", "lost")
    for name, call in calls().items():
        took = np.array([seconds_after(call, rng.uniform(0, options.within)) for _ in range(options.times)])
        heard = took[np.isfinite(took)]
        table.add_row(name, f"{np.median(heard):.2f}", f"{heard.max():.2f}", str(int(np.isinf(took).sum())))
    Console().print(table)


if __name__ == "__main__":
    main()
