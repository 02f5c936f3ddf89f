"""Certified bounds: how wide they are beside the exact range, and how many digits stay right under any small change.

    python benchmarks/bounds.py [--points 12] [--images 200] [--only TABLE ...] [--json FILE]

Tables are widths, digits, balls, lipschitz and seconds, and if asked for lenet and lirpa. FILE keeps those of other
runs.

Widths: for boxes of 0.01, 0.1, 0.3 and 1 standard deviations around test points, the median over points and outputs of
the width of each method's bounds over that of method="exact". "lines" is method="backward" with n_cuts=0 and "backward"
has the three cuts that are made by default; "dual, lines" and "dual" likewise. "attack" and "random" are the widths
that attacks and 1,000 points of the box reach. "open" is the mean number of states whose range has a kink inside. Every
bound is also checked by its certificate and against the exact one; the command fails where one is broken.

Digits: accuracy and certified accuracy of two classifiers on test images with grey values from 0 to 1, each of which
may be off by eps.

Balls: the median width of bounds on balls of the Euclidean norm over what attacks reach.

Lipschitz constants in the Euclidean norm of the same classifiers, beside the largest slope at test images and the norm
of the sensitivity.

Seconds: processor time of 1,000 boxes on one BLAS thread.

lenet: networks of LeNet-5's layers, with average and with largest pools, trained here on the digits shown at 32 x
32. Their certified accuracy on ten test images, and processor time an image. PyTorch is needed.

lirpa: bounds of perceptrons beside CROWN of auto_LiRPA, which has to be installed.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import read_results, write_results
from sklearn.datasets import load_digits, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

import bcd_implicit as bi
from bcd_implicit.support.threads import one_blas_thread

RADII = [0.01, 0.1, 0.3, 1.0]
EPS = [0.01, 0.02, 0.05, 0.1]
OPTIONS: dict[str, dict[str, Any]] = {
    "perron-frobenius": {"method": "perron-frobenius"},
    "interval": {"method": "interval"},
    "lines": {"n_cuts": 0},
    "backward": {},
    "dual, lines": {"method": "dual", "n_cuts": 0},
    "dual": {"method": "dual"},
    "lp": {"method": "lp"},
    "sdp": {"method": "sdp"},
}
METHODS = list(OPTIONS)
# Those of a thousand boxes, and those of balls.
QUICK, BALLS = METHODS[:4], ["perron-frobenius", "interval", "lines", "backward"]
LENET_EPS = [0.001, 0.005, 0.01, 0.02]
N_LENET = 10
N_RANDOM = 1000
# Semidefinite programs of more states and inputs than this take too long here.
LARGEST_SDP = 30


def trained(U: np.ndarray, Y: np.ndarray, **settings: Any) -> bi.ImplicitModel:
    """A model of 25 cycles of the prox-linear loop."""
    problem = bi.TrainingProblem(U, Y, kappa=0.0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        return bi.solve(problem, max_cycles=25, tol=1e-4, random_state=0).model


def friedman() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets in standard deviations."""
    U, y = make_friedman1(n_samples=600, noise=0.5, random_state=0)
    return (U - U.mean(axis=0)) / U.std(axis=0), (y - y.mean()) / y.std()


def regressions() -> Iterator[tuple[str, bi.ImplicitModel, np.ndarray, list[int], list[float]]]:
    """Models by name, inputs of test points, the outputs that are bounded, and radii."""
    U, y = friedman()
    for norm in (0.5, 0.95):
        model = trained(U[:400], y[:400], n_hidden=10, norm_bound=norm)
        yield f"friedman1, n=10, norm bound {norm}", model, U[400:], [0], RADII
    data = bi.datasets.make_column_sparse(random_state=0)
    model = trained(data.U[:300], data.Y[:300], n_hidden=10, norm_bound=0.5)
    yield "column-sparse data, n=10, 3 outputs", model, data.U[300:], [0, 1, 2], RADII
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = MLPRegressor(hidden_layer_sizes=(20, 20), max_iter=2000, random_state=0).fit(U[:400], y[:400])
    yield "perceptron 20-20, n=40", bi.from_sklearn(network), U[400:], [0], RADII[:3]


def reached(model: bi.ImplicitModel, U: np.ndarray, radius: float, outputs: list[int], **options: Any) -> np.ndarray:
    """The least and the largest values of outputs that attacks reach, (2, m, k)."""
    ways = np.eye(len(model.d))[outputs]
    return np.array(
        [[model.attack(U, radius, towards=sign * way, **options).predictions @ way for way in ways] for sign in (-1, 1)]
    ).swapaxes(1, 2)


def widths(model: bi.ImplicitModel, U: np.ndarray, outputs: list[int], radius: float) -> dict[str, float | None]:
    """The median width over the exact one by method, and mean seconds a point; None where it is left out."""
    exact = model.bounds(U, radius, method="exact", outputs=outputs)
    slack = 1e-6 * (1 + np.abs(exact.upper) + np.abs(exact.lower))
    row: dict[str, float | None] = {}
    for method in METHODS:
        if method == "sdp" and sum(model.B.shape) > LARGEST_SDP:
            row |= {method: None, f"{method} seconds": None}
            continue
        found = model.bounds(U, radius, outputs=outputs, **OPTIONS[method])
        if not found.check():
            sys.exit(f"{method}: the certificate proves nothing")
        if (found.lower > exact.lower + slack).any() or (found.upper < exact.upper - slack).any():
            sys.exit(f"{method}: a bound is broken")
        row[method] = float(np.median(found.width / exact.width))
        row[f"{method} seconds"] = found.seconds / len(U)
        if method == "backward":
            z = found.certificate.steps[-1].after if found.certificate.steps else found.certificate.preactivations
            row["open"] = float(((z.low < 0) & (z.high > 0)).sum(axis=0).mean())
    row["exact seconds"] = exact.seconds / len(U)
    bottom, top = reached(model, U, radius, outputs)
    row["attack"] = float(np.median((top - bottom) / exact.width))
    points = U + radius * np.random.default_rng(0).uniform(-1, 1, (N_RANDOM, *U.shape))
    Y = model.outputs(points.reshape(-1, U.shape[1]))[:, outputs].reshape(N_RANDOM, len(U), -1)
    row["random"] = float(np.median(np.ptp(Y, axis=0) / exact.width))
    return row


def table_of_widths(n_points: int, console: Console) -> list[dict[str, Any]]:
    columns = ["open", *METHODS, "attack", "random", *(f"{method} seconds" for method in [*METHODS, "exact"])]
    table, rows = Table("model", "radius", *columns), []
    for name, model, U, outputs, radii in regressions():
        for radius in radii:
            row = widths(model, U[:n_points], outputs, radius)
            rows.append({"model": name, "radius": radius, **row})
            digits = ["-" if row[c] is None else f"{row[c]:.3g}" for c in columns]
            table.add_row(name, f"{radius}", *digits)
    console.print(table)
    return rows


def classifiers() -> tuple[dict[str, bi.ImplicitModel], np.ndarray, np.ndarray]:
    """Two classifiers of digits by name, test images and their classes."""
    U, y = load_digits(return_X_y=True)
    U_train, U_test, y_train, y_test = train_test_split(U / 16, y, train_size=1297, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = MLPClassifier(hidden_layer_sizes=(20,), alpha=1e-2, max_iter=500, random_state=0).fit(
            U_train, y_train
        )
    blocks = trained(
        U_train, np.eye(10)[y_train], n_hidden=20, loss="cross-entropy", norm_bound=0.5, ridge=1e-3, ridge_hidden=1e-3
    )
    return {"blocks, n=20, norm bound 0.5": blocks, "perceptron 20": bi.from_sklearn(network)}, U_test, y_test


def table_of_digits(n_images: int, console: Console) -> list[dict[str, Any]]:
    methods = ["5 cuts", "backward", "lines", "interval", "perron-frobenius"]
    options = OPTIONS | {"5 cuts": {"n_cuts": 5}}
    timed = [f"{method} seconds" for method in methods[:3]]
    table, rows = Table("model", "eps", "accuracy", "attack", *methods, *timed), []
    models, U, y = classifiers()
    U, y = U[:n_images], y[:n_images]
    for name, model in models.items():
        for eps in EPS:
            attacked = float((model.attack(U, eps).predictions.argmax(axis=1) == y).mean())
            row: dict[str, Any] = {"model": name, "eps": eps, "attack": attacked}
            for method in methods:
                begin = time.process_time()
                found = bi.certified_accuracy(model, U, y, eps, **options[method])
                row |= {method: found.certified, "accuracy": found.accuracy}
                row[f"{method} seconds"] = time.process_time() - begin
                if found.certified > attacked:
                    sys.exit(f"{method}: a proved digit was attacked")
            rows.append(row)
            shown = [row[c] for c in ("accuracy", "attack", *methods, *timed)]
            table.add_row(name, f"{eps}", *(f"{value:.3f}" for value in shown))
    console.print(table)
    return rows


def table_of_constants(console: Console) -> list[dict[str, Any]]:
    table, rows = Table("model", "largest slope found", "lipschitz(2)", "|S|", "seconds"), []
    models, U, _ = classifiers()
    for name, model in models.items():
        begin = time.process_time()
        row = {"model": name, "lipschitz": model.lipschitz(2), "seconds": time.process_time() - begin}
        row["found"] = float(np.linalg.norm(model.jacobian(U), 2, axis=(1, 2)).max())
        row["gains"] = float(np.linalg.norm(model.sensitivity(), 2))
        rows.append(row)
        table.add_row(name, *(f"{row[c]:.3g}" for c in ("found", "lipschitz", "gains", "seconds")))
    console.print(table)
    return rows


def table_of_seconds(console: Console) -> list[dict[str, Any]]:
    table, rows = Table("radius", *QUICK, title="seconds for 1,000 boxes, friedman1, n=20"), []
    U, y = friedman()
    model = trained(U[:400], y[:400], n_hidden=20, norm_bound=0.5)
    U = np.random.default_rng(0).choice(U, 1000)
    for radius in RADII:
        row: dict[str, Any] = {"radius": radius}
        for method in QUICK:
            begin = time.process_time()
            model.bounds(U, radius, **OPTIONS[method])
            row[method] = time.process_time() - begin
        rows.append(row)
        table.add_row(f"{radius}", *(f"{row[method]:.3f}" for method in QUICK))
    console.print(table)
    return rows


def table_of_balls(n_points: int, console: Console) -> list[dict[str, Any]]:
    table, rows = Table("model", "radius", *BALLS, title="balls: width over what attacks reach"), []
    for name, model, U, outputs, radii in regressions():
        U = U[:n_points]
        for radius in radii:
            bottom, top = reached(model, U, radius, outputs, norm=2)
            row: dict[str, Any] = {"model": name, "radius": radius}
            for method in BALLS:
                found = model.bounds(U, radius, norm=2, outputs=outputs, **OPTIONS[method])
                slack = 1e-8 * (1 + np.abs(found.upper) + np.abs(found.lower))
                if not found.check() or ((found.upper < top - slack) | (found.lower > bottom + slack)).any():
                    sys.exit(f"{name}, {radius}, {method}: a bound on a ball is broken")
                row[method] = float(np.median(found.width / (top - bottom)))
            rows.append(row)
            table.add_row(name, f"{radius}", *(f"{row[method]:.3g}" for method in BALLS))
    console.print(table)
    return rows


def table_of_lenet(console: Console) -> list[dict[str, Any]]:
    """Certified accuracy and seconds of convolutional networks."""
    import torch

    trained_lenet = import_module("networks").trained_lenet
    U, y = load_digits(return_X_y=True)
    U = np.kron(U.reshape(-1, 8, 8) / 16, np.ones((1, 4, 4)))
    train, test = slice(1297), slice(1297, 1297 + N_LENET)
    table, rows = Table("pool", "states", "eps", "accuracy", "attack", "certified", "seconds an image"), []
    for name, pool in (("average", torch.nn.AvgPool2d), ("largest", torch.nn.MaxPool2d)):
        net = trained_lenet(torch.tensor(U[train, None]).float(), torch.tensor(y[train]), pool)
        model = bi.from_torch(net.double(), (1, 32, 32))
        images, right = U[test].reshape(N_LENET, -1), y[test]
        for eps in LENET_EPS:
            attacked = float((model.attack(images, eps).predictions.argmax(axis=1) == right).mean())
            begin = time.process_time()
            found = bi.certified_accuracy(model, images, right, eps)
            seconds = (time.process_time() - begin) / N_LENET
            row = {"pool": name, "states": model.n_hidden, "eps": eps, "accuracy": found.accuracy, "attack": attacked}
            rows.append(row | {"certified": found.certified, "seconds": seconds})
            table.add_row(name, str(model.n_hidden), *(f"{rows[-1][c]:.3g}" for c in list(rows[-1])[2:]))
            if found.certified > attacked:
                sys.exit("lenet: a proved digit was attacked")
    console.print(table)
    return rows


def against_lirpa(console: Console) -> list[dict[str, Any]]:
    """Differences from CROWN of auto_LiRPA on perceptrons 8-20-20-3, 5 boxes each."""
    import torch

    # auto_LiRPA 0.3, the newest on PyPI, was written for older NumPy and PyTorch: names that it asks for.
    sys.modules.setdefault("numpy.lib.arraysetops", types.SimpleNamespace(isin=np.isin))  # type: ignore[arg-type]
    import_module("torch.onnx.symbolic_helper")._set_opset_version = lambda version: None
    torch._C.Node.__getitem__ = lambda self, key: getattr(self, self.kindOf(key))(key)
    from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm

    torch.set_default_dtype(torch.float64)
    table, rows = Table("eps", "boxes", "largest difference", "wider than CROWN by at most"), []
    for eps in (0.01, 0.05, 0.2):
        differences, wider = [], []
        for seed in range(10):
            torch.manual_seed(seed)
            parts = [torch.nn.Linear(*pair) for pair in pairwise([8, 20, 20, 3])]
            net = torch.nn.Sequential(parts[0], torch.nn.ReLU(), parts[1], torch.nn.ReLU(), parts[2]).eval()
            U = torch.randn(5, 8)
            crown = BoundedModule(net, torch.zeros(5, 8), bound_opts={"relu": "adaptive"})
            box = BoundedTensor(U, PerturbationLpNorm(norm=np.inf, eps=eps))
            low, high = (side.detach().numpy() for side in crown.compute_bounds(x=(box,), method="backward"))
            found = bi.from_torch(net, (8,)).bounds(U.numpy(), eps, n_cuts=0)
            differences += [np.abs(found.lower - low).max(axis=1), np.abs(found.upper - high).max(axis=1)]
            wider += [low - found.lower, found.upper - high]
        row = {"eps": eps, "difference": float(np.max(differences)), "wider": float(np.max(wider))}
        rows.append(row)
        table.add_row(f"{eps}", "50", f"{row['difference']:.1e}", f"{row['wider']:.1e}")
    console.print(table)
    return rows


#: The tables by name; the last two ask for more than the package.
TABLES: dict[str, Callable[[argparse.Namespace, Console], list[dict[str, Any]]]] = {
    "widths": lambda given, console: table_of_widths(given.points, console),
    "digits": lambda given, console: table_of_digits(given.images, console),
    "balls": lambda given, console: table_of_balls(given.points, console),
    "lipschitz": lambda given, console: table_of_constants(console),
    "seconds": lambda given, console: table_of_seconds(console),
    "lenet": lambda given, console: table_of_lenet(console),
    "lirpa": lambda given, console: against_lirpa(console),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=12)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES)[:-2])
    parser.add_argument("--json", type=Path)
    arguments, console = parser.parse_args(), Console(width=200)
    with one_blas_thread():
        results = {name: TABLES[name](arguments, console) for name in arguments.only}
    if arguments.json:
        write_results(arguments.json, (read_results(arguments.json) or {}) | results)


if __name__ == "__main__":
    main()
