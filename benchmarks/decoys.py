"""Decoys on real data: are inputs that cannot matter left out, and does the prediction suffer?

    python benchmarks/decoys.py [--seeds 0 1 2 ...] [--n-jobs 2] [--json FILE]

The diabetes table of scikit-learn, 442 patients and 10 inputs. Twenty decoys are added: a copy of each input with its
rows shuffled, and as many columns of normal noise. A quarter of the rows is set aside. ``select()`` with all defaults
sees the other three quarters; test R2 is that of its final refit, beside ridge regression with its penalty by
leave-one-out, on the ten inputs and on all thirty.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

import bcd_implicit as bi
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.support.parallel import in_parallel


def run(seed: int) -> dict[str, Any]:
    """One draw of decoys and of the split."""
    warnings.simplefilter("ignore", bi.ConvergenceWarning)
    table, rng = bi.datasets.load_diabetes(), np.random.default_rng(seed)
    real = table.inputs.to_numpy(dtype=float)
    U = np.hstack([real, rng.permuted(real, axis=0), rng.standard_normal(real.shape)])
    Y = table.targets.to_numpy(dtype=float)
    names = list(table.inputs.columns)
    names += [f"shuffled {name}" for name in names] + [f"noise {j}" for j in range(10)]
    U, U_test, Y, Y_test = train_test_split(U, Y, test_size=0.25, random_state=seed)
    scales = Standardization.fit(U, Y)
    problem = bi.TrainingProblem(*scales.apply(U, Y), 10, pass_through=False, input_names=names)
    chosen = bi.kappa_path(problem, random_state=seed).select(random_state=seed)
    row = {"seed": seed, "selected": chosen.names, "decoys": int(chosen.support[10:].sum())}
    row["test_r2"] = r2_score(Y_test, scales.raw_model(chosen.model).predict(U_test))
    mean, spread = U.mean(axis=0), U.std(axis=0)
    for name, k in (("ridge_10", 10), ("ridge_30", 30)):
        ridge = RidgeCV(np.geomspace(1e-1, 1e4, 26)).fit(((U - mean) / spread)[:, :k], Y)
        row[name] = ridge.score(((U_test - mean) / spread)[:, :k], Y_test)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(20)), metavar="SEED")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    table = Table("seed", "selected", "decoys", "test R2", "ridge, 10 inputs", "ridge, all 30")
    rows = list(in_parallel(run, [(seed,) for seed in options.seeds], options.n_jobs))
    for row in rows:
        numbers = [f"{row[name]:.3f}" for name in ("test_r2", "ridge_10", "ridge_30")]
        table.add_row(str(row["seed"]), ", ".join(row["selected"]), str(row["decoys"]), *numbers)
    table.add_section()
    means = [f"{np.mean([row[name] for row in rows]):.3f}" for name in ("test_r2", "ridge_10", "ridge_30")]
    without = sum(row["decoys"] == 0 for row in rows)
    table.add_row("", f"without decoys: {without} of {len(rows)}", "", *means)
    Console(width=120).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
