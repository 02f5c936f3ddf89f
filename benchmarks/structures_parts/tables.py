"""The tables, the perceptron's pattern on them, and how any model of that shape is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.datasets import load_digits, make_friedman1
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split

import bcd_implicit as bi
from bcd_implicit.model.standardization import Standardization

WIDTH = 20  # units of each of the two hidden layers


@dataclass(frozen=True)
class Data:
    """Training samples U, Y and new ones, samples as rows; Y has a column a class."""

    name: str
    U: np.ndarray
    Y: np.ndarray
    U_new: np.ndarray
    Y_new: np.ndarray

    @property
    def classes(self) -> bool:
        return self.Y.shape[1] > 1

    @property
    def targets(self) -> np.ndarray:
        """As scikit-learn takes them: numbers, or labels."""
        return self.Y.argmax(axis=1) if self.classes else self.Y[:, 0]

    def first(self, share: float) -> Data:
        """Only so many of the training samples, the others as new ones: to choose a ridge by."""
        m = int(share * len(self.U))
        return Data(self.name, self.U[:m], self.Y[:m], self.U[m:], self.Y[m:])


def friedman1(seed: int, m: int = 1_000, m_new: int = 2_000) -> Data:
    """10 inputs, 5 of them without effect, noise 1; standardised by the training samples."""
    U, y = make_friedman1(m + m_new, n_features=10, noise=1.0, random_state=seed)
    U, Y = Standardization.fit(U[:m], y[:m, None]).apply(U, y[:, None])
    return Data("friedman1", U[:m], Y[:m], U[m:], Y[m:])


def digits(seed: int, m: int = 1_297, m_new: int = 500) -> Data:
    """64 pixels, from 0 to 1, and ten classes, in the same shares in both parts."""
    U, label = load_digits(return_X_y=True)
    sizes = {"train_size": m, "test_size": m_new, "stratify": label, "random_state": seed}
    U, U_new, label, label_new = train_test_split(U / 16, label, **sizes)
    return Data("digits", U, np.eye(10)[label], U_new, np.eye(10)[label_new])


TABLES: dict[str, Callable[..., Data]] = {"friedman1": friedman1, "digits": digits}


def layers(data: Data) -> dict[str, np.ndarray]:
    """The masks of a perceptron with two hidden layers, the last one first."""
    p, q, last = data.U.shape[1], data.Y.shape[1], np.arange(2 * WIDTH) < WIDTH
    return {"A": np.outer(last, ~last), "B": np.outer(~last, np.ones(p)), "C": np.outer(np.ones(q), last)}


def problem_of(data: Data, ridge: float, activation: str, **settings: Any) -> bi.TrainingProblem:
    """The training problem, with the perceptron's pattern unless another is given."""
    settings = {"pattern": layers(data), "kappa": 0.0, "norm_bound": 0.95, "pass_through": False, **settings}
    return bi.TrainingProblem(
        data.U,
        data.Y,
        n_hidden=2 * WIDTH,
        activation=activation,
        loss="cross-entropy" if data.classes else "squared",
        ridge=ridge,
        ridge_hidden=ridge,
        **settings,
    )


def scores(model: bi.ImplicitModel, data: Data) -> dict[str, float]:
    """On the new samples: R2, or accuracy and log loss."""
    if not data.classes:
        return {"R2": float(r2_score(data.Y_new, model.predict(data.U_new)))}
    shares, labels = softmax(model.predict(data.U_new), axis=1), data.Y_new.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(labels, shares.argmax(axis=1))),
        "log loss": float(log_loss(labels, shares, labels=np.arange(shares.shape[1]))),
    }


def judged(model: bi.ImplicitModel, data: Data, problem: bi.TrainingProblem) -> dict[str, float]:
    """The objective, which is evaluated here for whoever trained the model, and the scores."""
    return {"objective": problem.objective_at_states(problem.iterate(model))} | scores(model, data)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the processor seconds that it took."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start
