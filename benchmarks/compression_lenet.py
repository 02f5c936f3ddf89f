"""Compression of LeNet-5 on digits: entries left and accuracy.

The digits of scikit-learn, 8 x 8, are shown at 32 x 32 by bilinear interpolation. LeNet-5 with relu is trained in
PyTorch on two thirds of them, converted, and compressed with the same samples. Entries are counted as the implicit
model has them. Accuracy and agreement are those of the other third, at all of which the bound on the change of
predictions is checked; ratio is its median quotient to the actual change, of the output that changes most, and "proven"
the share of samples whose class it proves unchanged.

    python benchmarks/compression_lenet.py
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compression import judged
from networks import lenet
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import bcd_implicit as bi
from bcd_implicit.support.files import write_atomically

ALPHAS = (0.01,)
POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
EPOCHS, BATCH = 20, 64


def digits(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of 32 x 32, flat, of two thirds and of one third, and their classes."""
    U, y = load_digits(return_X_y=True)
    images = torch.tensor(U.reshape(-1, 1, 8, 8) / 16)
    U = nn.functional.interpolate(images, (32, 32), mode="bilinear", align_corners=False).reshape(len(U), -1).numpy()
    return tuple(train_test_split(U, y, test_size=0.33, random_state=seed, stratify=y))


def trained(U: np.ndarray, y: np.ndarray, pool: type[nn.Module], seed: int) -> nn.Module:
    """LeNet-5 by Adam."""
    torch.manual_seed(seed)
    network = lenet(pool).double()
    optimizer, loss = torch.optim.Adam(network.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    images, classes = torch.tensor(U).reshape(-1, 1, 32, 32), torch.tensor(y)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(U)).split(BATCH):
            optimizer.zero_grad()
            loss(network(images[batch]), classes[batch]).backward()
            optimizer.step()
    return network.eval()


def rows(pool: str, seed: int, alphas: list[float]) -> list[dict]:
    """The network and its smaller models."""
    U, U_test, y, y_test = digits(seed)
    model = bi.from_torch(trained(U, y, POOLS[pool], seed), (1, 32, 32))
    found = [{"pool": pool, "alpha": 0.0} | judged([], model, model, U_test, y_test)]
    for alpha in alphas:
        begin = time.process_time()
        result = bi.compress(model, U, alpha=alpha)
        seconds = time.process_time() - begin
        begin = time.process_time()
        row = judged([result], model, result.model, U_test, y_test)
        bound = (time.process_time() - begin) / len(U_test)
        found.append({"pool": pool, "alpha": alpha, "seconds": seconds, "seconds of a bound": bound} | row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", choices=list(POOLS), action="append", help="only LeNet-5 with these pools")
    parser.add_argument("--alpha", type=float, nargs="+", default=list(ALPHAS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = [row for pool in options.pool or POOLS for row in rows(pool, options.seed, options.alpha)]
    print(pd.DataFrame(table).to_string(index=False, float_format="%.4g"))
    if options.json:
        write_atomically(options.json, lambda file: file.write((json.dumps(table, indent=2) + "\n").encode()))


if __name__ == "__main__":
    main()
