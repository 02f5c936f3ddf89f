"""Test R2 on friedman1 (1050 training points, noise 1) against ridge and a multilayer perceptron, in one run.

python benchmarks/friedman.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.table import Table
from sklearn.datasets import make_friedman1
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

import bcd_implicit as bi
from bcd_implicit.model.standardization import Standardization


def fit_implicit(U, y, seed):
    problem = bi.TrainingProblem(U, y, n_hidden=20, norm_bound=0.9, kappa=0.01, ridge=1e-3)
    result = bi.solve(problem, max_cycles=100, tol=1e-3, random_state=seed)
    return result.model.predict, f"{result.n_cycles} cycles"


def fit_ridge(U, y, seed):
    return Ridge(1.0).fit(U, y).predict, ""


def fit_mlp(U, y, seed):
    network = MLPRegressor(hidden_layer_sizes=(20,), alpha=1e-2, max_iter=5000, random_state=seed).fit(U, y)
    return network.predict, f"{network.n_iter_} epochs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    table = Table("seed", "model, 20 hidden features", "test R2", "seconds", "")
    for seed in range(parser.parse_args().seeds):
        U, y = make_friedman1(n_samples=1050 + 2000, noise=1.0, random_state=seed)
        scales = Standardization.fit(U[:1050], y[:1050, None])
        V, w = scales.apply(U, y[:, None])
        for name, fit in (("implicit, prox-linear", fit_implicit), ("ridge", fit_ridge), ("MLP", fit_mlp)):
            start = time.perf_counter()
            predict, note = fit(V[:1050], w[:1050, 0], seed)
            seconds = time.perf_counter() - start
            table.add_row(str(seed), name, f"{r2_score(w[1050:, 0], predict(V[1050:])):.3f}", f"{seconds:.1f}", note)
    Console().print(table)


if __name__ == "__main__":
    main()
