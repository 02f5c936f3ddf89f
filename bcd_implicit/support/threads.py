"""One BLAS thread while solving.

On matrices of these sizes a second thread brings a fifth at most on an idle machine, and costs many times the whole on
a busy one, where threads wait for each other (``benchmarks/blocks.py --threads``). Whole runs are what to spread over
cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes 0.6 ms, setting their threads 0.01 ms. One loaded later is not limited.
    import scipy.linalg  # noqa: F401 - it has a BLAS of its own

    return ThreadpoolController()


class _OneThread:
    """The limit, which is the whole process's: the first thread that asks sets it, and the last one lifts it."""

    def __init__(self) -> None:
        self.lock, self.n_users = threading.Lock(), 0
        self.limit: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.n_users == 0:
                self.limit = _controller().limit(limits=1, user_api="blas")
            self.n_users += 1

    def leave(self) -> None:
        with self.lock:
            self.n_users -= 1
            if self.n_users == 0:
                self.limit.restore_original_limits()


_one_thread = _OneThread()


def _after_fork() -> None:
    # Another thread may have held the lock, and there is no other thread in the child.
    _one_thread.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's and SciPy's BLAS use one thread; once no thread of the process asks for that, what was before is back."""
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()
