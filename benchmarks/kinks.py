"""Losses with kinks, begun on the smoothed loss and begun at once: the objective (T) at the end, and seconds.

python benchmarks/kinks.py [--seeds 0 1 2 3] [--json FILE]

200 samples of 6 inputs, three targets that are sums of hyperbolic tangents with noise of 0.1, and models of 8 hidden
features. Beside each loss the mean of (T) over the seeds, lower is better, and the sum of the processor seconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results

import bcd_implicit as bi

LOSSES = {"absolute": bi.LOSSES["absolute"], "quantile 0.9": bi.QuantileLoss(0.9)}


def run(loss: bi.Loss, activation: str, seed: int, smoothed: bool) -> dict[str, Any]:
    """One fit; without ``smoothed`` it begins at once, which the package itself never does."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((200, 6))
    Y = 2 * np.tanh(U @ rng.standard_normal((6, 3))) + 0.1 * rng.standard_normal((200, 3))
    problem = bi.TrainingProblem(U, Y, 8, loss=loss, activation=activation, kappa=0.003, norm_bound=0.9)
    start = time.process_time()
    with nullcontext() if smoothed else mock.patch("bcd_implicit.training.bcd.wants_smoothed", return_value=False):
        result = bi.solve(problem, max_cycles=100, block_tol=None, random_state=seed)
    return {"objective": result.objective, "seconds": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    table = Table("loss", "activation", "begun on the smoothed loss", "begun at once")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        for name, loss in LOSSES.items():
            for activation in ("relu", "tanh"):
                cells = []
                for smoothed in (True, False):
                    those = [run(loss, activation, seed, smoothed) for seed in options.seeds]
                    settings = {"loss": name, "activation": activation, "smoothed": smoothed}
                    rows += [settings | {"seed": s} | row for s, row in zip(options.seeds, those, strict=True)]
                    objective = np.mean([row["objective"] for row in those])
                    cells.append(f"{objective:.3f}, {sum(row['seconds'] for row in those):.1f} s")
                table.add_row(name, activation, *cells)
    Console().print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
