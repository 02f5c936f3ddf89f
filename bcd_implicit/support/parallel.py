"""Jobs in parallel through joblib, whose back ends (loky, Dask, Ray) spread them over cores or machines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import joblib

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support.interruption import (
    Limits,
    Stop,
    check_stop,
    limits_here,
    limits_in_force,
    waiting,
    without_ctrl_c,
)
from bcd_implicit.support.notices import collected, ignored, warn_convergence
from bcd_implicit.support.progress import Progress, silent

# A generator: it can be closed.
Results = Generator[Any, None, None]


def check_jobs(n_jobs: Any) -> None:
    """Raise an error where joblib could make nothing of the number of processes.

    Raises
    ------
    InvalidInputError
        Neither None nor a whole number other than 0.
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or n_jobs == 0):
        raise InvalidInputError("n_jobs", f"got {shown(n_jobs)}", "Give a number of processes, or -1 for all cores")


def in_parallel(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None, on_progress: Progress = silent
) -> Iterator[Any]:
    """The results of ``function(*job)``, in order, from as many processes as joblib's ``n_jobs`` says.

    Convergence warnings of the jobs are given again here. The jobs obey the limits of the call around this one; on
    Ctrl-C it ends at once, and so do the processes.

    Raises
    ------
    InvalidInputError
        ``n_jobs`` is no number of processes.
    """
    check_jobs(n_jobs)
    run = _alone if joblib.effective_n_jobs(n_jobs) == 1 else _side_by_side
    with closing(run(function, jobs, n_jobs)) as results:
        for i, (result, messages) in enumerate(results):
            for message in messages:
                warn_convergence(message, stacklevel=2)
            if isinstance(result, Stop):
                raise result
            on_progress((i + 1) / len(jobs), f"{i + 1} of {len(jobs)}")
            yield result


def _alone(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None) -> Results:
    for job in jobs:
        yield _run(function, job, limits_here())


def _side_by_side(function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None) -> Results:
    limits = limits_here()
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    with without_ctrl_c(processes=True):
        results = parallel(joblib.delayed(_run)(function, job, limits) for job in jobs)
    # Closing it is what makes joblib end its processes; that it does so is no news.
    with ignored(r"\d+ tasks which were still being processed"), closing(results):
        for _ in jobs:
            with waiting():
                found = next(results)
            yield found


def _run(function: Callable[..., Any], job: tuple[Any, ...], limits: Limits | None) -> tuple[Any, list[str]]:
    """The result of ``function(*job)``, or the Stop that ended it, and the texts of its convergence warnings."""
    with limits_in_force(limits), collected() as messages:
        try:
            result = function(*job)
            # One that was stopped on the way may have returned what it had.
            check_stop()
        except Stop as stop:
            result = stop
    return result, messages
