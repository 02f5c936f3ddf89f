"""The methods: each takes a split, the numbers of inputs to choose, a seed and settings, and yields choices.

The clock stops at each yield. A choice may hold fewer inputs than asked for, never more.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.feature_selection import mutual_info_classif
from sklearn.linear_model import MultiTaskLasso
from sklearn.model_selection import cross_val_predict

import bcd_implicit as bi
from field_parts.tables import Split


class Choice(NamedTuple):
    """How many inputs were asked for, None where the method was not told, and those chosen: bool, shape (p,)."""

    k: int | None
    support: np.ndarray


Fit = Callable[[Split, Sequence[int], int, dict[str, Any]], Iterator[Choice]]


# --- bcd_implicit ---------------------------------------------------------------------------------------------------


def walk(split: Split, seed: int, settings: dict[str, Any], **wanted: int) -> bi.PathResult:
    """The path on class indicators, under the loss that the settings name."""
    return bi.kappa_path(bi.TrainingProblem(split.U, split.Y, **settings), random_state=seed, **wanted)


def trees_right(split: Split, support: np.ndarray, seed: int) -> np.ndarray:
    """Which rows to train on trees tell right in cross-validation, bool, shape (m,): no row held out is seen."""
    trees = ExtraTreesClassifier(random_state=seed)
    return np.asarray(cross_val_predict(trees, split.U[:, support], split.classes, cv=3) == split.classes)


def clearly_better(right: np.ndarray, before: np.ndarray) -> bool:
    """Whether more rows are right than before, by more than two standard errors of the difference, row by row."""
    gains = right.astype(float) - before
    return bool(gains.mean() > 2 * gains.std(ddof=1) / len(gains) ** 0.5)


def fit_implicit(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    """A path for each candidate; for each k the inputs from which trees predict best, a challenger's if clearly so."""
    wanted = {"n_features": min(ks), "max_features": min(2 * max(ks), split.U.shape[1])}
    candidates, challengers = (
        [walk(split, seed, one, **wanted) for one in settings.get(kind, [])] for kind in ("candidates", "challengers")
    )

    def best(paths: list[bi.PathResult], k: int) -> tuple[np.ndarray, np.ndarray]:
        supports = [path.longest(k) for path in paths]
        rights = [trees_right(split, support, seed) for support in supports]
        first = int(np.argmax([right.mean() for right in rights]))
        return supports[first], rights[first]

    for k in ks:
        support, right = best(candidates, k)
        if challengers:
            other, other_right = best(challengers, k)
            support = other if clearly_better(other_right, right) else support
        yield Choice(k, support)


def fit_implicit_without_k(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    path = walk(split, seed, settings, max_features=min(2 * max(ks), split.U.shape[1]))
    yield Choice(None, path.select(random_state=seed).support)


# --- Peers ----------------------------------------------------------------------------------------------------------


def fit_lassonet(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    # Not imported by name: both are optional.
    lassonet, torch = importlib.import_module("lassonet"), importlib.import_module("torch")
    torch.set_num_threads(1)
    net = lassonet.LassoNetClassifier(**settings, verbose=0, random_state=seed, torch_seed=seed)
    path = net.path(split.U, split.classes)
    for k in ks:
        # As in its authors' experiments: the first model of the path that has no more than k.
        yield Choice(k, next(item.selected for item in path if item.selected.sum() <= k).numpy().astype(bool))


def highest(scores: np.ndarray, ks: Sequence[int]) -> Iterator[Choice]:
    order = np.argsort(-scores, kind="stable")
    for k in ks:
        support = np.zeros(len(scores), dtype=bool)
        support[order[:k]] = True
        yield Choice(k, support)


def fit_forest(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    forest = RandomForestClassifier(**settings, random_state=seed).fit(split.U, split.classes)
    yield from highest(forest.feature_importances_, ks)


def fit_lasso(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    """Alpha falls from where the first input enters until more than the largest k are in.

    For each k, that alpha is taken which lets in the most inputs that are not more than k.
    """
    U, Y = np.asfortranarray(split.U), split.Y - split.Y.mean(axis=0)
    largest = float(np.linalg.norm(U.T @ Y, axis=1).max()) / len(U)
    lasso = MultiTaskLasso(warm_start=True, max_iter=settings["max_iter"])
    supports: list[np.ndarray] = []
    for alpha in largest * settings["ratio"] ** np.arange(settings["n_alphas"]):
        supports.append(lasso.set_params(alpha=alpha).fit(U, split.Y).coef_.any(axis=0))
        if supports[-1].sum() > max(ks):
            break
    sizes = np.array([support.sum() for support in supports])
    for k in ks:
        yield Choice(k, supports[int(np.where(sizes <= k, sizes, -1).argmax())])


def fit_mutual_information(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    yield from highest(mutual_info_classif(split.U, split.classes, **settings, random_state=seed), ks)


def take_all(split: Split, ks: Sequence[int], seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    yield Choice(None, np.ones(split.U.shape[1], dtype=bool))


# --- By name --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Method:
    """A method and its settings, as far as they are not its package's defaults."""

    fit: Fit
    settings: dict[str, Any] = field(default_factory=dict)
    told: bool = True
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


# A network with one hidden layer, held small; an implicit model that is free to fit; and a model that is linear but for
# one hidden feature, whose inputs are selected by their columns of B and D together.
SMOOTH = {"n_hidden": 20, "norm_bound": 0.0, "ridge": 0.1, "ridge_hidden": 0.05, "pass_through": False}
FREE = {"n_hidden": 40, "norm_bound": 0.5, "ridge": 0.004, "ridge_hidden": 0.001, "pass_through": False}
LINEAR = {"n_hidden": 1, "norm_bound": 0.0, "group_over": "BD"}
SQUARED = [SMOOTH, FREE, LINEAR]
# Cross-entropy is flatter than the squared loss by p (1 - p): of the same ridges it is held smaller.
LIKELIHOOD: dict[str, Any] = {"loss": "cross-entropy"}
CROSS_ENTROPY = [SMOOTH | LIKELIHOOD | {"ridge": 0.003, "ridge_hidden": 0.0015}, FREE | LIKELIHOOD, LINEAR | LIKELIHOOD]
METHODS = {
    "bcd_implicit": Method(fit_implicit, {"candidates": SQUARED, "challengers": CROSS_ENTROPY}),
    "bcd_implicit, squared loss": Method(fit_implicit, {"candidates": SQUARED}),
    "bcd_implicit, without k": Method(fit_implicit_without_k, SMOOTH, told=False),
    "LassoNet": Method(
        fit_lassonet,
        {"hidden_dims": (100,), "backtrack": True, "path_multiplier": 1.05},
        needs=("lassonet", "torch"),
    ),
    "random forest": Method(fit_forest, {"n_estimators": 500}),
    "MultiTaskLasso": Method(fit_lasso, {"ratio": 0.97, "n_alphas": 300, "max_iter": 5000}),
    "mutual information": Method(fit_mutual_information),
    "all inputs": Method(take_all, told=False),
}
