"""Compression of LeNet-5 on digits: entries left and accuracy.

The digits of scikit-learn, 8 x 8, are shown at 32 x 32 by bilinear interpolation. LeNet-5 with relu is trained in PyTorch
on two thirds of them, converted, and compressed with the same samples to a tenth of its entries, as the implicit model
counts them. Accuracy is that of the other third; the bound on the change of predictions is checked at some of it.

    python benchmarks/compression_lenet.py
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import lenet
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import bcd_implicit as bi
from bcd_implicit.compression.result import entries
from bcd_implicit.support.files import write_atomically

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
