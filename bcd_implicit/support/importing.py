"""Ctrl-C while modules are imported."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# The exit status of programs that Ctrl-C ends.
INTERRUPTED = 130


@contextmanager
def importing() -> Iterator[None]:
    """Within it the program imports modules, and Ctrl-C ends it at once, without a traceback.

    Nothing else is under way then. An exception could end up in any of the modules, and some catch all.
    """
    before = signal.getsignal(signal.SIGINT)
    # Whoever ignores the signal, as nohup does, goes on ignoring it. Handlers are the main thread's.
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(*_: Any) -> None:
    os._exit(INTERRUPTED)
