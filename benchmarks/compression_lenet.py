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
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compression import judged
from networks import trained_lenet
from shared.digits import two_thirds
from shared.results import write_results
from torch import nn

import bcd_implicit as bi

ALPHAS = (0.01,)
POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def large(U: np.ndarray) -> torch.Tensor:
    """Images (m, 64) as (m, 1, 32, 32)."""
    images = torch.tensor(U.reshape(-1, 1, 8, 8))
    return nn.functional.interpolate(images, (32, 32), mode="bilinear", align_corners=False)


def rows(pool: str, seed: int, alphas: list[float]) -> list[dict]:
    """The network and its smaller models."""
    U, U_test, y, y_test = two_thirds(seed)
    images = large(U)
    model = bi.from_torch(trained_lenet(images, torch.tensor(y), POOLS[pool], seed), (1, 32, 32))
    U, U_test = images.flatten(1).numpy(), large(U_test).flatten(1).numpy()
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
        write_results(options.json, table)


if __name__ == "__main__":
    main()
