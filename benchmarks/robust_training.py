"""Training with bounds on gains: what is certified, against what is accurate, on digits and on friedman1.

Digits: a quarter is for tests; grey values go from 0 to 1, and each may be off by eps. Targets are 0 and 1 under the
squared loss, whose conic output block does not grow with the samples. Beside the curve there are models without these
bounds, of several norm bounds, ridges and kappas, also under the cross-entropy, and perceptrons of scikit-learn.
Friedman1: ten inputs of a standard deviation of 0.29; the radius is a tenth of that.

    python benchmarks/robust_training.py --json benchmarks/results/robust_training.json --plot docs/robust_training.png
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from shared.results import write_results
from sklearn.datasets import load_digits, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

import bcd_implicit as bi

BOUNDS = {"outputs": [6, 4, 3, 2, 1.5, 1], "margins": [10, 6, 4, 3, 2, 1], "friedman1": [32, 16, 12, 8, 6, 4, 2]}
EPS = (0.05, 0.1)
ALPHAS = (1e-4, 1e-2, 0.1, 1.0, 10.0)
RIDGES, KAPPAS = (1e-4, 1e-3, 1e-2, 1e-1), (1e-3, 3e-3, 1e-2, 3e-2)


def plain(
    problem: bi.TrainingProblem, norms: tuple[float, ...], kappas: tuple[float, ...] = ()
) -> dict[str, bi.ImplicitModel]:
    """Models without bounds on gains, by what the table calls them."""
    asked: dict[str, dict[str, Any]] = {
        f"{problem.loss.name}, norm {norm:g}, ridge {ridge:g}": {"norm_bound": norm, "ridge": ridge}
        for norm in norms
        for ridge in RIDGES
    }
    asked |= {
        f"{problem.loss.name}, norm 0.5, kappa {kappa:g}": {"norm_bound": 0.5, "ridge": 1e-3, "kappa": kappa}
        for kappa in kappas
    }
    return {
        name: bi.solve(problem.replace(**settings), max_cycles=40, tol=1e-3).model for name, settings in asked.items()
    }


def perceptrons(make: Callable[..., Any], n: int, U: np.ndarray, y: np.ndarray) -> dict[str, bi.ImplicitModel]:
    return {
        f"perceptron {n}, alpha {alpha:g}": bi.from_sklearn(
            make(hidden_layer_sizes=(n,), alpha=alpha, max_iter=2000, random_state=0).fit(U, y)
        )
        for alpha in ALPHAS
    }


def digits(small: bool) -> dict[str, bi.RobustnessCurve]:
    U, y = load_digits(return_X_y=True)
    U_train, U_test, y_train, y_test = train_test_split(U / 16, y, random_state=0)
    n = 20
    if small:
        U_train, y_train, n = U_train[:300], y_train[:300], 8
    problem = bi.TrainingProblem(
        U_train, np.eye(10)[y_train], n, kappa=0.0, norm_bound=0.95, ridge=1e-4, pass_through=False
    )
    entropy = problem.replace(loss="cross-entropy")
    baselines = plain(problem, (0.5,), KAPPAS) | plain(entropy, (0.5,), KAPPAS)
    baselines |= perceptrons(MLPClassifier, n, U_train, y_train)
    curves = {}
    start = bi.solve(problem, max_cycles=20, tol=1e-3)
    for kind, margins in (("outputs", False), ("margins", True)):
        begin, others = time.process_time(), {} if margins else baselines
        curve = bi.robustness_curve(
            problem,
            BOUNDS[kind],
            U_test,
            y_test,
            EPS[0],
            margins=margins,
            start=start,
            baselines=others,
            max_cycles=20,
        )
        print(f"digits, bounds on {kind}: {time.process_time() - begin:.0f} s of processor time", flush=True)
        for eps in EPS:
            curves[f"digits, bounds on {kind}, eps {eps:g}"] = replace(curve, radius=eps)
    return curves


def friedman(small: bool) -> dict[str, bi.RobustnessCurve]:
    U, y = make_friedman1(n_samples=600, noise=1.0, random_state=0)
    U, y = U - 0.5, (y - y.mean()) / y.std()
    m, n = (100, 4) if small else (300, 10)
    problem = bi.TrainingProblem(U[:m], y[:m], n, kappa=0.0, norm_bound=0.95, ridge=1e-4)
    baselines = plain(problem, (0.5, 0.95), KAPPAS) | perceptrons(MLPRegressor, n, U[:m], y[:m])
    begin = time.process_time()
    radius = 0.1 / np.sqrt(12)
    curve = bi.robustness_curve(
        problem, BOUNDS["friedman1"], U[300:], y[300:], radius, baselines=baselines, max_cycles=20
    )
    print(f"friedman1: {time.process_time() - begin:.0f} s of processor time", flush=True)
    return {"friedman1": curve}


def with_training(curve: bi.RobustnessCurve) -> pd.DataFrame:
    """The table, with what training took."""
    results = [point.result for point in curve.points]
    cycles = [result.n_cycles if result else np.nan for result in results]
    seconds = [result.seconds if result else np.nan for result in results]
    return curve.table.assign(cycles=cycles, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["digits", "friedman1"], nargs="+", default=["digits", "friedman1"])
    parser.add_argument("--small", action="store_true", help="few samples and states")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    made = {"digits": digits, "friedman1": friedman}
    curves: dict[str, bi.RobustnessCurve] = {}
    for data in asked.data:
        curves |= made[data](asked.small)
    tables = {name: with_training(curve) for name, curve in curves.items()}
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string()}")
    if asked.json:
        # pandas writes null for what is infinite or not known.
        whole = {k: json.loads(t.reset_index(names="model").to_json(orient="records")) for k, t in tables.items()}
        write_results(asked.json, whole)
    if asked.plot:
        shown = {name: curve for name, curve in curves.items() if "margins" not in name}
        figure = Figure(figsize=(4 * len(shown), 3.6), layout="constrained")
        for ax, (name, curve) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
            bi.plots.robustness(curve, ax).set_title(name, fontsize="medium")
            if curve.classes:
                # The largest kappa leaves nothing of the model under the squared loss: its point is far off.
                ax.set_xlim(0.83, 1.0)
        figure.savefig(asked.plot, dpi=120)


if __name__ == "__main__":
    main()
