"""The digits of scikit-learn, with grey values from 0 to 1."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def two_thirds(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Images of two thirds and of one third, each of all classes alike, and then their classes."""
    U, y = load_digits(return_X_y=True)
    return tuple(train_test_split(U / 16, y, test_size=0.33, random_state=seed, stratify=y))
