"""The program ``bcd-implicit``.

It stands beside the package, which takes a second or more to import: Ctrl-C ends the program then, too, without a
traceback. (``python -m bcd_implicit`` imports the package before any of its lines run, so that there nothing can help.)
"""

from __future__ import annotations

import os
import signal
from typing import Any

INTERRUPTED = 130


def main() -> None:
    """Import the command line and run it."""
    before = signal.getsignal(signal.SIGINT)
    # Whoever ignores the signal, as nohup does, goes on ignoring it.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from bcd_implicit.cli import main as command_line

    signal.signal(signal.SIGINT, before)
    command_line()


def _leave(*_: Any) -> None:
    # At once, as nothing is under way. An exception could end up in any of the modules, and some catch all.
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
