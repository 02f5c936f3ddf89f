"""Data: the two synthetic experiments with a known support, and real tables bundled with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sklearn.datasets

from bcd_implicit.data import check_number, random_generator
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel


@dataclass(frozen=True)
class SyntheticData:
    """Data drawn from a known implicit model.

    Attributes
    ----------
    U : ndarray of shape (m, p)
        Inputs, standard normal.
    Y : ndarray of shape (m, q)
        Outputs of ``model``, each of about unit variance, plus noise.
    support : ndarray of bool, shape (p,)
        The inputs that the model uses: the nonzero columns of its B.
    model : ImplicitModel
        The generating model.
    noise : float
        Standard deviation of the noise in units of each output's own.
    """

    U: np.ndarray
    Y: np.ndarray
    support: np.ndarray
    model: ImplicitModel
    noise: float

    def sample(self, n_samples: int, random_state: int | np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """Fresh noise-free inputs and outputs of the same model, e.g. to test on."""
        n_samples = check_number("n_samples", n_samples, 1, integer=True)
        U = random_generator(random_state).standard_normal((n_samples, len(self.support)))
        return U, self.model.predict(U)


def _check_sizes(
    n_samples: int, n_features: int, n_outputs: int, n_hidden: int, n_informative: int, noise: float
) -> None:
    for name, value in (
        ("n_samples", n_samples),
        ("n_features", n_features),
        ("n_outputs", n_outputs),
        ("n_hidden", n_hidden),
    ):
        check_number(name, value, 2 if name == "n_samples" else 1, integer=True)
    check_number("n_informative", n_informative, 1, n_features, integer=True, remedy="At most n_features")
    check_number("noise", noise, 0, remedy="A share of each output's standard deviation, 0 or more")


def _synthesize(
    rng: np.random.Generator, A: np.ndarray, B: np.ndarray, C: np.ndarray, n_samples: int, noise: float
) -> SyntheticData:
    U = rng.standard_normal((n_samples, B.shape[1]))
    raw = ImplicitModel(A, B, None, C).predict(U)
    spread = raw.std(axis=0)
    spread[spread == 0] = 1.0
    model = ImplicitModel(A, B, None, C / spread[:, None], d=-raw.mean(axis=0) / spread)
    Y = model.predict(U) + noise * rng.standard_normal(raw.shape)
    return SyntheticData(U, Y, np.any(B != 0, axis=0), model, noise)


def _rows_of_norm(A: np.ndarray, norm: float) -> np.ndarray:
    return A * (norm / np.abs(A).sum(axis=1).max())


def make_column_sparse(
    n_samples: int = 400,
    n_features: int = 50,
    n_outputs: int = 100,
    n_hidden: int = 20,
    n_informative: int = 10,
    noise: float = 0.0,
    random_state: int | None = None,
) -> SyntheticData:
    """The blog's experiment: a given relu model whose B has few nonzero columns.

    ||A||_inf = 0.5 and D = 0, so the inputs act through B alone.

    Parameters
    ----------
    n_samples, n_features, n_outputs, n_hidden : int
        m, p, q and n of the generating model.
    n_informative : int
        Number of nonzero columns of B, at random places.
    noise : float
        Standard deviation of added noise, in units of each output's.
    random_state : int or None

    Returns
    -------
    SyntheticData
    """
    _check_sizes(n_samples, n_features, n_outputs, n_hidden, n_informative, noise)
    rng = random_generator(random_state)
    B = np.zeros((n_hidden, n_features))
    chosen = rng.choice(n_features, n_informative, replace=False)
    B[:, chosen] = rng.standard_normal((n_hidden, n_informative)) / np.sqrt(n_informative)
    A = _rows_of_norm(rng.uniform(-1, 1, (n_hidden, n_hidden)), 0.5)
    return _synthesize(rng, A, B, rng.standard_normal((n_outputs, n_hidden)), n_samples, noise)


def make_even(
    n_samples: int = 400,
    n_features: int = 20,
    n_outputs: int = 10,
    n_hidden: int = 20,
    n_informative: int = 5,
    noise: float = 0.05,
    random_state: int | None = None,
) -> SyntheticData:
    """Outputs even in the inputs, y(-u) = y(u), so that every linear method sees nothing.

    Hidden units come in pairs with input weights (w, -w) and equal output weights; A treats the two units of a
    pair alike, so the sign of u only swaps them.

    Parameters
    ----------
    n_samples, n_features, n_outputs : int
    n_hidden : int
        Even.
    n_informative, noise, random_state
        As in :func:`make_column_sparse`.

    Returns
    -------
    SyntheticData
    """
    _check_sizes(n_samples, n_features, n_outputs, n_hidden, n_informative, noise)
    if n_hidden % 2:
        raise InvalidInputError("n_hidden", f"must be even, got {n_hidden}", "Hidden units come in pairs here")
    rng = random_generator(random_state)
    half = n_hidden // 2
    W = np.zeros((half, n_features))
    chosen = rng.choice(n_features, n_informative, replace=False)
    W[:, chosen] = rng.standard_normal((half, n_informative)) / np.sqrt(n_informative)
    same, other = rng.uniform(-1, 1, (2, half, half))
    A = _rows_of_norm(np.block([[same, other], [other, same]]), 0.25)
    C = rng.standard_normal((n_outputs, half))
    return _synthesize(rng, A, np.vstack([W, -W]), np.hstack([C, C]), n_samples, noise)


@dataclass(frozen=True)
class Table:
    """A real data set with named columns.

    Attributes
    ----------
    inputs, targets : DataFrame
    name : str
    """

    inputs: pd.DataFrame
    targets: pd.DataFrame
    name: str


def load_diabetes() -> Table:
    """442 patients, 10 inputs, one target: disease progression after a year. Bundled with scikit-learn."""
    bunch = sklearn.datasets.load_diabetes(as_frame=True, scaled=False)
    return Table(bunch.data, bunch.target.to_frame("progression"), "diabetes")


def load_linnerud() -> Table:
    """20 men, 3 exercises as inputs, 3 body measures as targets. Bundled with scikit-learn."""
    bunch = sklearn.datasets.load_linnerud(as_frame=True)
    return Table(bunch.data, bunch.target, "linnerud")


def load_digits(classes: Sequence[int] = tuple(range(10))) -> Table:
    """Images of handwritten digits, 64 pixels as inputs, one indicator column a class as targets.

    Some pixels are constant. Bundled with scikit-learn.

    Parameters
    ----------
    classes : sequence of int
        The digits to keep.
    """
    bunch = sklearn.datasets.load_digits(as_frame=True)
    known = bunch.target.unique()
    if not len(classes) or not np.isin(classes, known).all():
        raise InvalidInputError("classes", f"{list(classes)} are not all digits", "Name digits from 0 to 9")
    kept = bunch.target.isin(list(classes))
    targets = pd.get_dummies(bunch.target[kept], prefix="digit", dtype=float)
    return Table(bunch.data[kept].reset_index(drop=True), targets.reset_index(drop=True), "digits")


TABLES = {"diabetes": load_diabetes, "linnerud": load_linnerud, "digits": load_digits}
