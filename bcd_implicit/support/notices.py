"""Warnings that stand work in several threads.

``warnings.catch_warnings`` exchanges the filters of all threads: of two blocks that overlap in time, the one that ends
last leaves the other's filters behind. Here what is caught is caught for one thread, by a list of its own, and what is
ignored is a filter that the first one adds and the last one takes away.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bcd_implicit.errors import TROUBLESHOOTING, ConvergenceWarning


class _Here(threading.local):
    # None where warnings are given.
    caught: list[str] | None = None


_here = _Here()


def warn_convergence(message: str, stacklevel: int = 1) -> None:
    """Give a ConvergenceWarning, unless :func:`collected` catches it; ``stacklevel`` as of ``warnings.warn``."""
    if _here.caught is None:
        warnings.warn(message, ConvergenceWarning, stacklevel=stacklevel + 1)
    else:
        _here.caught.append(message)


@contextmanager
def collected() -> Iterator[list[str]]:
    """The texts of the package's convergence warnings of this thread, which are not given."""
    before = _here.caught
    _here.caught = caught = list[str]()
    try:
        yield caught
    finally:
        _here.caught = before


_NUMBER = re.compile(r"[-+]?\b(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)\b")


@contextmanager
def told_once() -> Iterator[None]:
    """Convergence warnings of this thread that differ in numbers alone are one, given at the end.

    For a function that would repeat itself step by step: its caller is told. If it raises an error, that is said.
    """
    with collected() as messages:
        yield
    alike: dict[str, list[str]] = {}
    for message in messages:
        alike.setdefault(_NUMBER.sub("#", message), []).append(message)
    for group in alike.values():
        often = f" ({len(group)} times in this run; the numbers are the last.)" if len(group) > 1 else ""
        # The section that explains a message stays at its end.
        message, *section = re.split(f"(?= See {TROUBLESHOOTING})", group[-1])
        # Past this generator, the with statement's own call of it, and the function.
        warn_convergence("".join([message, often, *section]), stacklevel=4)


_lock = threading.Lock()
_n_users: Counter[str] = Counter()
# Each message's filter, and the list in which it stands.
_filters: dict[str, tuple[tuple, Any]] = {}


@contextmanager
def ignored(*messages: str) -> Iterator[None]:
    """Warnings that begin with one of these are ignored, in all threads, while any thread is in such a block."""
    with _lock:
        for message in messages:
            _n_users[message] += 1
            if _n_users[message] == 1:
                entry = ("ignore", re.compile(message, re.IGNORECASE), Warning, None, 0)
                standing: Any = warnings.filters
                standing.insert(0, entry)
                _filters[message] = entry, standing
    try:
        yield
    finally:
        with _lock:
            for message in messages:
                _n_users[message] -= 1
                if _n_users[message] == 0:
                    entry, home = _filters.pop(message)
                    # Since then another thread's catch_warnings may have put a copy in the list's place.
                    for standing in (home, warnings.filters):
                        if entry in standing:
                            standing.remove(entry)
