"""Probabilities of classes: the classifier with its defaults against logistic regression and two perceptrons.

    python benchmarks/classification.py [--seeds 0 1 ...] [--tables iris ...] [--n-jobs 2] [--json FILE]

A quarter of the rows of each table is set aside, anew for each seed, with the classes in the same shares. Every method
gets standardised inputs. Logistic regression has scikit-learn's defaults; the perceptrons have 10 hidden units, as the
implicit model, and 100, and else the defaults, but as many iterations as they want. Scores are of the rows set aside:
the log loss, minus the mean logarithm of the probability of the true class, and the share of right classes. Beside a
peer's means stand its differences to ours with the standard error of the mean difference: the splits are the same.
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
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bcd_implicit.estimators import ImplicitClassifier
from bcd_implicit.support.parallel import in_parallel

TABLES: dict[str, Any] = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
OURS = "bcd_implicit"


def methods(seed: int) -> dict[str, BaseEstimator]:
    peers: dict[str, BaseEstimator] = {"logistic regression": LogisticRegression(max_iter=5000)}
    for size in (10, 100):
        peers[f"MLP ({size})"] = MLPClassifier(hidden_layer_sizes=(size,), max_iter=5000, random_state=seed)
    scaled = {name: make_pipeline(StandardScaler(), peer) for name, peer in peers.items()}
    return {OURS: ImplicitClassifier(random_state=seed)} | scaled


def run(name: str, seed: int) -> list[dict[str, Any]]:
    """All methods on one split of one table."""
    warnings.simplefilter("ignore")
    X, y = TABLES[name](return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    rows = []
    for method, estimator in methods(seed).items():
        with threadpool_limits(1):
            start = time.process_time()
            probabilities = estimator.fit(X, y).predict_proba(X_test)
            seconds = time.process_time() - start
        scores = {
            "log_loss": log_loss(y_test, probabilities),
            "accuracy": accuracy_score(y_test, estimator.classes_[probabilities.argmax(axis=1)]),
        }
        rows.append({"data": name, "seed": seed, "method": method, "seconds": seconds} | scores)
    return rows


def compared(scores: np.ndarray, ours: np.ndarray) -> str:
    """A method's mean score and, of a peer, its mean difference to ours with that one's standard error."""
    difference = scores - ours
    if not difference.any():
        return f"{scores.mean():.3f}"
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
    return f"{scores.mean():.3f} ({difference.mean():+.3f} ± {error:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)), metavar="SEED")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    jobs = [(name, seed) for name in options.tables for seed in options.seeds]
    rows = [row for part in in_parallel(run, jobs, options.n_jobs) for row in part]
    names = list(methods(0))
    table = Table("data", "score", *names, "CPU s")
    for name in options.tables:
        of = {m: [row for row in rows if row["data"] == name and row["method"] == m] for m in names}
        seconds = np.median([row["seconds"] for row in of[OURS]])
        for score in ("log_loss", "accuracy"):
            found = {m: np.array([row[score] for row in of[m]]) for m in names}
            cells = [compared(found[m], found[OURS]) for m in names]
            table.add_row(name, score.replace("_", " "), *cells, f"{seconds:.1f}")
    Console(width=150).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
