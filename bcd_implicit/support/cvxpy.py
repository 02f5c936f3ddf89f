"""CVXPY, imported when something in it is first used: native solves never do, and the import takes a while.

Use it as ``from bcd_implicit.support import cvxpy as cp``. Only code that runs at import may not name anything in it.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # What is asked of any module, such as __path__, is not CVXPY's to answer.
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not importlib's LazyLoader, which hands a half-made module to a second thread before Python 3.12.
    import cvxpy

    return getattr(cvxpy, name)
