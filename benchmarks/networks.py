"""Networks of PyTorch and of scikit-learn as implicit models: entries, seconds, derivatives, memory, differences.

    python benchmarks/networks.py [--samples 256] [--many 10000] [--repeats 7] [--json FILE]

Weights are random, in double precision. Seconds are processor time on one thread, the least of several calls, the
network's own and the model's by turns in one run; "x" is the model's time over the network's. The time to convert is
that of a second call: a first one imports what it needs. "Off" is the largest difference of the outputs, or of the
derivatives, as a share of the largest. PyTorch is needed: pip install -e '.[torch]', for which a CPU build is enough.
With the allocator of Linux PyTorch's convolutions take twice as long in some runs, which get their memory anew from the
system at each call. MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ of 4000000000 in the environment prevent that.

Derivatives are those of the first output by all inputs for one sample, of the network by a backward pass. Peaks are
what Python and NumPy allocate beyond the inputs. Cycles are models of many small components of random weights.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from torch import nn

import bcd_implicit as bi
from bcd_implicit.support.threads import one_blas_thread

Call = Callable[[], Any]


class Residual(nn.Module):
    """Two convolutions with batch norm and a shortcut, a pool and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.last = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(512, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of a batch."""
        h = self.first(x)
        return self.last(torch.relu(h + self.second(h)))


class Recurrent(nn.Module):
    """A recurrent layer over 12 steps and a linear layer on its last output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(8, 16, batch_first=True)
        self.last = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of a batch."""
        return self.last(self.layer(x)[0][:, -1])


def lenet(pool: type[nn.Module]) -> nn.Module:
    """LeNet-5 with relu."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), pool(2), nn.Conv2d(6, 16, 5), nn.ReLU(), pool(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def trained_lenet(images: torch.Tensor, classes: torch.Tensor, pool: type[nn.Module], seed: int = 0) -> nn.Module:
    """LeNet-5 after 20 epochs of Adam on images (m, 1, 32, 32), in their precision."""
    torch.manual_seed(seed)
    network = lenet(pool).to(images.dtype)
    optimizer, loss = torch.optim.Adam(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    for _ in range(20):
        for batch in torch.randperm(len(classes)).split(64):
            optimizer.zero_grad()
            loss(network(images[batch]), classes[batch]).backward()
            optimizer.step()
    return network.eval()


def deep(depth: int, width: int = 50) -> nn.Module:
    """A perceptron of this depth."""
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5, average pool": (lambda: lenet(nn.AvgPool2d), (1, 32, 32)),
    "LeNet-5, max pool": (lambda: lenet(nn.MaxPool2d), (1, 32, 32)),
    "perceptron of depth 40": (lambda: deep(40), (50,)),
    "residual, batch norm": (Residual, (3, 16, 16)),
    "RNN, 12 steps": (lambda: Recurrent("RNN"), (12, 8)),
    "LSTM, 12 steps": (lambda: Recurrent("LSTM"), (12, 8)),
    "GRU, 12 steps": (lambda: Recurrent("GRU"), (12, 8)),
}


def seconds(calls: dict[str, Call], repeats: int) -> dict[str, float]:
    """The least processor time of each call, the calls by turns, after one of each that does not count."""
    found = {name: np.inf for name in calls}
    for k in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if k:
                found[name] = min(found[name], time.process_time() - start)
    return found


def peak_megabytes(call: Call) -> float:
    """The most that Python and NumPy allocate during a call."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def measured(
    name: str, inputs: np.ndarray, network: Call, convert: Callable[[], bi.ImplicitModel], repeats: int
) -> dict[str, Any]:
    """A row of the table."""
    model = convert()
    wanted, found = network().reshape(len(inputs), -1), model.outputs(inputs)
    times = seconds({"convert": convert, "network": network, "model": lambda: model.outputs(inputs)}, repeats)
    return {
        "network": name,
        "n": model.n_hidden,
        "entries of A": int(model.A.nnz),
        "depth": model.structure().depth,
        "seconds": times,
        "ratio": times["model"] / times["network"],
        "off": float(np.abs(found - wanted).max() / np.abs(wanted).max()),
    }


def from_torch_rows(n_samples: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each network of PyTorch; LeNet-5 with average pools also with as few states as it can have."""
    rows = []
    for name, (build, shape) in NETWORKS.items():
        module = build().double().eval()
        images = torch.randn(n_samples, *shape, dtype=torch.double)
        inputs = images.reshape(n_samples, -1).numpy()

        def network(module: nn.Module = module, images: torch.Tensor = images) -> np.ndarray:
            with torch.no_grad():
                return module(images).numpy()

        for keep in ["auto", False] if "average" in name else ["auto"]:
            title = name if keep else f"{name}, all means merged"

            def convert(module: nn.Module = module, shape: Any = shape, keep: Any = keep) -> bi.ImplicitModel:
                return bi.from_torch(module, shape, keep_affine=keep)

            rows.append(measured(title, inputs, network, convert, repeats))
    return rows


def from_sklearn_rows(n_samples: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each activation of scikit-learn's perceptron."""
    inputs = np.random.default_rng(0).normal(size=(n_samples, 50))
    rows = []
    for activation in ("relu", "tanh", "logistic"):
        mlp = MLPRegressor(hidden_layer_sizes=(100, 100), activation=activation, max_iter=2, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # two steps are enough to have weights
            mlp.fit(inputs, inputs[:, :10])
        title = f"MLPRegressor, {activation}"
        rows.append(
            measured(title, inputs, lambda mlp=mlp: mlp.predict(inputs), lambda mlp=mlp: bi.from_sklearn(mlp), repeats)
        )
    return rows


def gradient_rows(n_many: int, repeats: int) -> list[dict[str, Any]]:
    """For each network of PyTorch the derivatives of an output for a sample, and the memory of many predictions."""
    rows = []
    for name, (build, shape) in NETWORKS.items():
        module = build().double().eval()
        image, model = torch.randn(1, *shape, dtype=torch.double), bi.from_torch(module, shape)
        inputs, one = image.reshape(1, -1).numpy(), np.eye(model.C.shape[0])[:1] @ model
        many = np.random.default_rng(0).normal(size=(n_many, inputs.size))

        def network(module: nn.Module = module, image: torch.Tensor = image) -> np.ndarray:
            given = image.clone().requires_grad_()
            module(given)[0, 0].backward()
            return given.grad.numpy().ravel()

        def gradient(one: bi.ImplicitModel = one, inputs: np.ndarray = inputs) -> np.ndarray:
            return one.jacobian(inputs)[0, 0]

        def predict(model: bi.ImplicitModel = model, many: np.ndarray = many) -> np.ndarray:
            return model.predict(many)

        wanted = network()
        rows.append(
            {
                "network": name,
                "off": float(np.abs(gradient() - wanted).max() / np.abs(wanted).max()),
                "seconds": seconds({"network": network, "model": gradient}, repeats)
                | seconds({"many": predict}, min(repeats, 2)),
                "megabytes": {"gradient": peak_megabytes(gradient), "many": peak_megabytes(predict)},
                "megabytes of all states": 8e-6 * n_many * model.n_hidden,
            }
        )
    return rows


def cycle_rows(n_samples: int, repeats: int) -> list[dict[str, Any]]:
    """A row for models of 2,000 states in components of this many states each."""
    rows = []
    for size in (1, 10, 100):
        rng = np.random.default_rng(0)
        blocks = rng.normal(size=(2000 // size, size, size))
        blocks *= 0.9 / np.abs(blocks).sum(axis=2, keepdims=True)
        A, B, C = sp.block_diag(list(blocks)).tocsr(), rng.normal(size=(2000, 5)), rng.normal(size=(3, 2000)) / 2000
        inputs = rng.normal(size=(n_samples, 5))

        def first(A: Any = A, B: np.ndarray = B, C: np.ndarray = C) -> bi.ImplicitModel:
            model = bi.ImplicitModel(A, B, None, C)
            model.predict(np.zeros((1, 5)))
            return model

        model = first()

        def predict(model: bi.ImplicitModel = model, inputs: np.ndarray = inputs) -> np.ndarray:
            return model.predict(inputs)

        rows.append(
            {
                "components": f"{2000 // size:,} of {size}",
                "seconds": seconds({"first": first, "predict": predict}, min(repeats, 3)),
                "megabytes": {"first": peak_megabytes(first), "predict": peak_megabytes(predict)},
            }
        )
    return rows


def show(rows: list[dict[str, Any]], n_samples: int) -> None:
    """The table."""
    table = Table(title=f"{n_samples} samples")
    for heading in ("network", "n", "entries of A", "depth", "convert", "its own", "model", "x", "off"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in rows:
        times = [f"{1000 * row['seconds'][key]:.1f} ms" for key in ("convert", "network", "model")]
        sizes = (f"{row['n']:,}", f"{row['entries of A']:,}", str(row["depth"]))
        table.add_row(row["network"], *sizes, *times, f"{row['ratio']:.2f}", f"{row['off']:.0e}")
    Console(width=140).print(table)


def show_others(gradients: list[dict[str, Any]], cycles: list[dict[str, Any]], n_samples: int, n_many: int) -> None:
    """The tables of derivatives and memory, and of cycles."""
    table = Table(title=f"Derivatives of an output for one sample; {n_many:,} samples")
    for heading in ("network", "its own", "model", "x", "peak", "off", "predict", "peak", "all states"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for row in gradients:
        own, model, many = (row["seconds"][key] for key in ("network", "model", "many"))
        peaks = [f"{row['megabytes'][key]:.1f} MB" for key in ("gradient", "many")]
        derivatives = (f"{1e3 * own:.1f} ms", f"{1e3 * model:.1f} ms", f"{model / own:.2f}", peaks[0])
        states = f"{row['megabytes of all states']:.0f} MB"
        table.add_row(row["network"], *derivatives, f"{row['off']:.0e}", f"{many:.2f} s", peaks[1], states)
    Console(width=140).print(table)
    table = Table(title=f"2,000 states in components with a cycle, {n_samples} samples")
    for heading in ("components", "first prediction", "peak", "predict", "peak"):
        table.add_column(heading, justify="right")
    for row in cycles:
        told = [
            (f"{1e3 * row['seconds'][key]:.0f} ms", f"{row['megabytes'][key]:.1f} MB") for key in ("first", "predict")
        ]
        table.add_row(row["components"], *told[0], *told[1])
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", help="file for the numbers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with one_blas_thread():
        rows = from_torch_rows(arguments.samples, arguments.repeats)
        rows += from_sklearn_rows(arguments.samples, arguments.repeats)
        gradients = gradient_rows(arguments.many, arguments.repeats)
        cycles = cycle_rows(arguments.samples, arguments.repeats)
    show(rows, arguments.samples)
    show_others(gradients, cycles, arguments.samples, arguments.many)
    if arguments.json:
        found = {"samples": arguments.samples, "rows": rows, "many": arguments.many}
        write_results(arguments.json, found | {"gradients": gradients, "cycles": cycles})


if __name__ == "__main__":
    main()
