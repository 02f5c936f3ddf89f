"""Data: the two synthetic experiments with a known support, and real tables bundled with scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sklearn.datasets

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.support.checks import check_number, random_generator

__all__ = [
    "SyntheticData",
    "Table",
    "load_diabetes",
    "load_digits",
    "load_linnerud",
    "make_column_sparse",
    "make_even",
]


@dataclass(frozen=True)
class SyntheticData:
    """Data drawn from a known implicit model.

    Attributes
    ----------
    U : ndarray of shape (m, p)
        Inputs, each standard normal; u_i and u_j have correlation ``correlation ** |i - j|``.
    Y : ndarray of shape (m, q)
        Outputs of ``model``, each of about unit variance, plus noise.
    support : ndarray of bool, shape (p,)
        The inputs that the model uses: the nonzero columns of its B, and of its D if it has one.
    model : ImplicitModel
        The generating model.
    noise : float
        Standard deviation of the noise, as a multiple of each output's standard deviation.
    correlation : float
        Correlation of neighbouring inputs.
    """

    U: np.ndarray
    Y: np.ndarray
    support: np.ndarray
    model: ImplicitModel
    noise: float
    correlation: float = 0.0

    def sample(self, n_samples: int, random_state: int | np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """New noise-free inputs and outputs of the same model, e.g. for testing."""
        n_samples = check_number("n_samples", n_samples, 1, integer=True)
        U = _draw_inputs(random_generator(random_state), n_samples, len(self.support), self.correlation)
        return U, self.model.predict(U)


def _draw_inputs(rng: np.random.Generator, n_samples: int, n_features: int, correlation: float) -> np.ndarray:
    U = rng.standard_normal((n_samples, n_features))
    if correlation == 0:
        return U
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(n_features), np.arange(n_features)))
    return U @ np.linalg.cholesky(covariance).T


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
    rng: np.random.Generator,
    A: np.ndarray,
    B: np.ndarray,
    C: np.ndarray,
    n_samples: int,
    noise: float,
    correlation: float = 0.0,
    pass_through: bool = False,
) -> SyntheticData:
    U = _draw_inputs(rng, n_samples, B.shape[1], correlation)
    raw = ImplicitModel(A, B, None, C).predict(U)
    D = np.zeros((len(C), B.shape[1]))
    if pass_through:
        D = rng.standard_normal(D.shape) * B.any(axis=0)
        through = U @ D.T
        share = np.sqrt(raw.var(axis=0).mean() / through.var(axis=0).mean())
        D, raw = share * D, raw + share * through
    spread = raw.std(axis=0)
    spread[spread == 0] = 1.0
    model = ImplicitModel(A, B, None, C / spread[:, None], D / spread[:, None], -raw.mean(axis=0) / spread)
    Y = model.predict(U) + noise * rng.standard_normal(raw.shape)
    return SyntheticData(U, Y, np.any(B != 0, axis=0), model, noise, correlation)


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
    *,
    correlation: float = 0.0,
    pass_through: bool = False,
) -> SyntheticData:
    """The blog's experiment: a given relu model whose B has few nonzero columns.

    ||A||_inf = 0.5. D = 0, so the inputs act through B alone, unless ``pass_through``.

    Parameters
    ----------
    n_samples, n_features, n_outputs, n_hidden : int
        m, p, q and n of the generating model.
    n_informative : int
        Number of nonzero columns of B, at random places.
    noise : float
        Standard deviation of the added noise, as a multiple of each output's standard deviation.
    random_state : int or None
    correlation : float
        Of neighbouring inputs, in (-1, 1): the inputs are an AR(1) sequence.
    pass_through : bool
        Also give D nonzero columns, the same as those of B, with as much of the outputs' variance as CX has.

    Returns
    -------
    SyntheticData
    """
    _check_sizes(n_samples, n_features, n_outputs, n_hidden, n_informative, noise)
    correlation = check_number("correlation", correlation, -1, 1, boundaries="neither", remedy="Choose it in (-1, 1)")
    rng = random_generator(random_state)
    B = np.zeros((n_hidden, n_features))
    chosen = rng.choice(n_features, n_informative, replace=False)
    B[:, chosen] = rng.standard_normal((n_hidden, n_informative)) / np.sqrt(n_informative)
    A = _rows_of_norm(rng.uniform(-1, 1, (n_hidden, n_hidden)), 0.5)
    C = rng.standard_normal((n_outputs, n_hidden))
    return _synthesize(rng, A, B, C, n_samples, noise, correlation, pass_through)


def make_even(
    n_samples: int = 400,
    n_features: int = 20,
    n_outputs: int = 10,
    n_hidden: int = 20,
    n_informative: int = 5,
    noise: float = 0.05,
    random_state: int | None = None,
) -> SyntheticData:
    """Outputs that are even in the inputs, y(-u) = y(u), so that a linear method finds nothing.

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
