"""One BLAS thread while solving.

On matrices of these sizes a second thread brings a fifth at most on an idle machine, and costs many times the whole on
a busy one, where threads wait for each other (``benchmarks/blocks.py --threads``). Whole runs are what to spread over
cores.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes 0.6 ms, setting their threads 0.01 ms. One loaded later is not limited.
    import scipy.linalg  # noqa: F401 - it has a BLAS of its own

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """A context in which NumPy's and SciPy's BLAS use one thread; the setting before comes back after it."""
    return _controller().limit(limits=1, user_api="blas")
