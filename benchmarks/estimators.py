"""The estimators with their defaults against ridge and multilayer perceptrons, on data bundled with scikit-learn.

    python benchmarks/estimators.py [--seeds 0 1 ...] [--n-jobs 2] [--json FILE]

A quarter of the rows of each table is set aside, anew for each seed. Every method gets standardised inputs, and targets
where it does not standardise them itself. Ridge has its penalty by leave-one-out; the perceptrons have scikit-learn's
defaults, but as many iterations as they want, and 10 hidden units, as the implicit model, or 100. The score is R2 (mean
of several targets, weighted by their variance) or the share of right classes.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn import datasets
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bcd_implicit.estimators import ImplicitClassifier, ImplicitRegressor
from bcd_implicit.support.parallel import in_parallel

PENALTIES = np.geomspace(1e-2, 1e4, 31)
TABLES: dict[str, Any] = {
    "diabetes": datasets.load_diabetes,
    "linnerud": datasets.load_linnerud,
    "friedman1, 200 samples": lambda return_X_y: datasets.make_friedman1(200, noise=1.0, random_state=0),
    "friedman1, 1000 samples": lambda return_X_y: datasets.make_friedman1(1000, noise=1.0, random_state=0),
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
CLASSES = {"iris", "wine", "breast cancer", "digits"}


def methods(classes: bool, seed: int) -> dict[str, BaseEstimator]:
    settings = {"max_iter": 5000, "random_state": seed}
    if classes:
        peers = {
            "ridge": RidgeClassifierCV(PENALTIES),
            "MLP (10)": MLPClassifier(hidden_layer_sizes=(10,), **settings),
            "MLP (100)": MLPClassifier(**settings),
        }
        scaled = {name: make_pipeline(StandardScaler(), peer) for name, peer in peers.items()}
        return {"bcd_implicit": ImplicitClassifier(random_state=seed)} | scaled
    peers = {
        "ridge": RidgeCV(PENALTIES),
        "MLP (10)": MLPRegressor(hidden_layer_sizes=(10,), **settings),
        "MLP (100)": MLPRegressor(**settings),
    }
    scaled = {
        name: TransformedTargetRegressor(make_pipeline(StandardScaler(), peer), transformer=StandardScaler())
        for name, peer in peers.items()
    }
    return {"bcd_implicit": ImplicitRegressor(random_state=seed)} | scaled


def run(name: str, seed: int) -> list[dict[str, Any]]:
    """All methods on one split of one table."""
    warnings.simplefilter("ignore")
    X, y = TABLES[name](return_X_y=True)
    classes = name in CLASSES
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y if classes else None)
    rows = []
    for method, estimator in methods(classes, seed).items():
        with threadpool_limits(1):
            start = time.process_time()
            predicted = estimator.fit(X, y).predict(X_test)
            seconds = time.process_time() - start
        if is_classifier(estimator):
            score = accuracy_score(y_test, predicted)
        else:
            score = r2_score(y_test, predicted, multioutput="variance_weighted")
        rows.append({"data": name, "seed": seed, "method": method, "score": score, "seconds": seconds})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)), metavar="SEED")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    jobs = [(name, seed) for name in TABLES for seed in options.seeds]
    rows = [row for part in in_parallel(run, jobs, options.n_jobs) for row in part]
    names = list(methods(False, 0))
    table = Table("data", *names, "CPU s")
    for name in TABLES:
        of = {m: [row for row in rows if row["data"] == name and row["method"] == m] for m in names}
        scores = [np.array([row["score"] for row in of[m]]) for m in names]
        error = [s.std(ddof=1) / np.sqrt(len(s)) if len(s) > 1 else np.nan for s in scores]
        seconds = np.median([row["seconds"] for row in of["bcd_implicit"]])
        cells = [f"{s.mean():.3f} ± {e:.3f}" for s, e in zip(scores, error, strict=True)]
        table.add_row(name, *cells, f"{seconds:.1f}")
    Console(width=120).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
