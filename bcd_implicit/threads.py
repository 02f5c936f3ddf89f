"""One BLAS thread while solving.

On matrices of these sizes a second thread brings a fifth at most on an idle machine, and costs many times the whole on
a busy one, where threads wait for each other (``benchmarks/blocks.py --threads``). Whole runs are what to spread over
cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

# The setting belongs to the process: the first solve to begin makes it, the last to end takes it back.
_lock = threading.Lock()
_solves = 0
_limit: Any = None


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes 0.6 ms, setting their threads 0.01 ms. One loaded later is not limited.
    import scipy.linalg  # noqa: F401 - it has a BLAS of its own

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A context in which NumPy's and SciPy's BLAS use one thread; the setting before comes back after it."""
    global _solves, _limit
    with _lock:
        if _solves == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
        _solves += 1
    try:
        yield
    finally:
        with _lock:
            _solves -= 1
            if _solves == 0:
                _limit.restore_original_limits()
