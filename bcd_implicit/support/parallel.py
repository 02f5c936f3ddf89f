"""Jobs in parallel through joblib, whose back ends (loky, Dask, Ray) spread them over cores or machines."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib

from bcd_implicit.errors import ConvergenceWarning, InvalidInputError
from bcd_implicit.support.progress import Progress, silent


def check_jobs(n_jobs: Any) -> None:
    """Raise an error where joblib could make nothing of the number of processes.

    Raises
    ------
    InvalidInputError
        Neither None nor a whole number other than 0.
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or n_jobs == 0):
        raise InvalidInputError("n_jobs", f"got {n_jobs!r}", "Give a number of processes, or -1 for all cores")


def in_parallel(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None, on_progress: Progress = silent
) -> Iterator[Any]:
    """The results of ``function(*job)``, in order, from as many processes as joblib's ``n_jobs`` says.

    Warnings of jobs in other processes are given again here.

    Raises
    ------
    InvalidInputError
        ``n_jobs`` is no number of processes.
    """
    check_jobs(n_jobs)
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    results = parallel(joblib.delayed(with_warnings)(function, job) for job in jobs)
    for i, (result, messages) in enumerate(results):
        for message in messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
        on_progress((i + 1) / len(jobs), f"{i + 1} of {len(jobs)}")
        yield result


def with_warnings(function: Callable[..., Any], job: tuple[Any, ...]) -> tuple[Any, list[str]]:
    """The result of ``function(*job)`` and the texts of its convergence warnings, which are not given."""
    if threading.current_thread() is not threading.main_thread():
        return function(*job), []  # what is caught is caught for all threads
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*job)
    messages = [str(w.message) for w in caught if issubclass(w.category, ConvergenceWarning)]
    for w in caught:
        if not issubclass(w.category, ConvergenceWarning):
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)
    return result, messages
