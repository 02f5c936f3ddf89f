"""The four training problems, drawn by a seed, each with samples that take no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import bcd_implicit as bi
from bcd_implicit.experiments.scores import accuracy, r2
from bcd_implicit.model.standardization import Standardization

# A drawing that serves the choice of learning rates alone, and the share of its training samples that are fitted then.
CHOOSING_SEED, FITTED = 100, 0.75


@dataclass(frozen=True)
class Task:
    """Training samples U, Y and new ones, samples as rows, and what is made of them.

    Attributes
    ----------
    name : str
    U, Y, U_new, Y_new : ndarray
    settings : dict
        Of the training problem.
    """

    name: str
    U: np.ndarray
    Y: np.ndarray
    U_new: np.ndarray
    Y_new: np.ndarray
    settings: dict[str, Any]

    @property
    def problem(self) -> bi.TrainingProblem:
        return bi.TrainingProblem(self.U, self.Y, **self.settings)

    @property
    def score_name(self) -> str:
        return "accuracy" if self.settings.get("loss") == "cross-entropy" else "R2"

    def score(self, model: bi.ImplicitModel) -> float:
        """R2, averaged over outputs by variance, or accuracy, on the new samples."""
        judge = accuracy if self.score_name == "accuracy" else r2
        return judge(self.Y_new, model.predict(self.U_new))

    def held_out(self) -> Task:
        """The same on a share of the training samples, the others as new ones."""
        m = int(FITTED * len(self.U))
        return replace(self, U=self.U[:m], Y=self.Y[:m], U_new=self.U[m:], Y_new=self.Y[m:])


def blog(seed: int, m: int = 400, m_new: int = 1_000) -> Task:
    """The blog's data: 10 of 50 inputs matter, 100 outputs; half as many hidden features as the data have."""
    data = bi.datasets.make_column_sparse(n_samples=m, random_state=seed)
    settings = {"n_hidden": 10, "norm_bound": 0.5, "kappa": 2.0, "pass_through": False}
    return Task("blog", data.U, data.Y, *data.sample(m_new, [seed, 1]), settings)


def friedman1(seed: int, m: int = 1_050, m_new: int = 2_000) -> Task:
    """5 of 10 inputs matter, one output with noise 1; as in friedman.py."""
    U, y = make_friedman1(m + m_new, noise=1.0, random_state=seed)
    U, Y = Standardization.fit(U[:m], y[:m, None]).apply(U, y[:, None])
    settings = {"n_hidden": 20, "norm_bound": 0.9, "kappa": 0.01, "ridge": 1e-3}
    return Task("friedman1", U[:m], Y[:m], U[m:], Y[m:], settings)


def even(seed: int, m: int = 400, m_new: int = 1_000) -> Task:
    """5 of 20 inputs matter, 10 outputs even in the inputs, noise 0.05; as many hidden features as the data have."""
    data = bi.datasets.make_even(n_samples=m, random_state=seed)
    settings = {"n_hidden": 20, "norm_bound": 0.5, "kappa": 0.1, "pass_through": False}
    return Task("even", data.U, data.Y, *data.sample(m_new, [seed, 1]), settings)


def digits(seed: int, m: int = 1_297, m_new: int = 500) -> Task:
    """64 pixels, standardised, and ten classes, under cross-entropy; a seed is a split."""
    U, label = load_digits(return_X_y=True)
    sizes = {"train_size": m, "test_size": m_new, "stratify": label, "random_state": seed}
    U, U_new, label, label_new = train_test_split(U, label, **sizes)
    scales = StandardScaler().fit(U)
    U, U_new = scales.transform(U), scales.transform(U_new)
    settings = {"n_hidden": 20, "norm_bound": 0.5, "kappa": 0.003, "ridge": 1e-3, "loss": "cross-entropy"}
    return Task("digits", U, np.eye(10)[label], U_new, np.eye(10)[label_new], settings)


TASKS: dict[str, Callable[..., Task]] = {"blog": blog, "friedman1": friedman1, "even": even, "digits": digits}
