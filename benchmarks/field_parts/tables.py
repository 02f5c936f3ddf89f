"""The tables of the field, as published, and their splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.io import loadmat
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HELD_OUT = 0.2


def read_mat(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs X of shape (m, p) and labels Y of shape (m,), as all files of scikit-feature have them."""
    content = loadmat(file)
    return content["X"].astype(float), content["Y"].ravel()


def read_mice(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The proteins, whose names end with _N, and the class; what the class is made of is no input."""
    table = pd.read_csv(file)
    return table.filter(regex="_N$").to_numpy(dtype=float), table["class"].to_numpy()


@dataclass(frozen=True)
class Table:
    """A file, how many inputs are to be chosen from it, and which ones are true where that is known."""

    file: str
    k: int
    true: tuple[int, ...] = ()
    read: Callable[[Path], tuple[np.ndarray, np.ndarray]] = read_mat


# Counted from 0: 5 inputs that make the classes and 15 linear combinations of them. The other 480 are probes.
TRUE_OF_MADELON = (28, 48, 64, 105, 128, 153, 241, 281, 318, 336, 338, 378, 433, 442, 451, 453, 455, 472, 475, 493)
TABLES = {
    "mice": Table("mice_protein.csv", 30, read=read_mice),
    "madelon": Table("madelon.mat", 20, TRUE_OF_MADELON),
    "Isolet": Table("Isolet.mat", 50),
    "COIL20": Table("COIL20.mat", 50),
    "TOX-171": Table("TOX-171.mat", 50),
}


class Split(NamedTuple):
    """What a method sees, and what is held out.

    U has shape (m, p), each input of mean 0 and variance 1; Y has an indicator of 0 or 1 for each class, shape (m, q);
    classes are numbers from 0, shape (m,). The inputs held out are scaled as the others.
    """

    U: np.ndarray
    Y: np.ndarray
    classes: np.ndarray
    U_test: np.ndarray
    classes_test: np.ndarray


def split(inputs: np.ndarray, labels: np.ndarray, seed: int) -> Split:
    """Hold out a fifth of each class; gaps and scales come from the rest alone."""
    classes = np.unique(labels, return_inverse=True)[1]
    train, test = train_test_split(np.arange(len(classes)), test_size=HELD_OUT, random_state=seed, stratify=classes)
    # An input that is a gap throughout stays, so that places keep their meaning.
    scale = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    U = scale.fit_transform(inputs[train])
    Y = np.eye(classes.max() + 1)[classes[train]]
    return Split(U, Y, classes[train], scale.transform(inputs[test]), classes[test])
