"""Seconds to compose LeNet-5 with itself and with matrices, and to prune what comes out.

    python benchmarks/compositions.py [--repeats 5]

Processor time on one thread, the least of several calls. The model is that of the picture, with the identity as link;
N is a dense random matrix of 1024 x 1024.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import bcd_implicit as bi
from bcd_implicit.networks.known import known
from bcd_implicit.support.threads import one_blas_thread


def compositions() -> dict[str, Callable[[], Any]]:
    """What is timed, by what a user writes."""
    m = bi.compose.labelled(known("lenet5", 0), link="identity")
    N = np.random.default_rng(0).standard_normal((1024, 1024))
    twice = m + m
    return {
        "m @ np.eye(1024)": lambda: m @ np.eye(1024),
        "m @ N": lambda: m @ N,
        "m + m": lambda: m + m,
        "m | m": lambda: m | m,
        "m * m": lambda: m * m,
        "(m + m).pruned()": lambda: twice.pruned(),
    }


def seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = Table("composition", "seconds")
    with one_blas_thread():
        for name, call in compositions().items():
            table.add_row(name, f"{min(seconds(call) for _ in range(arguments.repeats)):.3f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
