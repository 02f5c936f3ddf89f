"""Models of all inputs, and selectors. Each sees the rows to train on alone, and tunes itself on them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import RFECV, SequentialFeatureSelector, mutual_info_classif, mutual_info_regression
from sklearn.linear_model import (
    LassoCV,
    LogisticRegression,
    MultiTaskLassoCV,
    Ridge,
    RidgeClassifier,
    RidgeCV,
)
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

import bcd_implicit as bi
from when_parts.data import Split

N_FOLDS = 3
PENALTIES = np.geomspace(1e-2, 1e4, 31)
# Forward selection takes a fit for each input and step: of many inputs it chooses so many, whatever they add.
MANY, MOST_STEPS = 100, 10
# A ranking is cut at one of these sizes, or not at all.
SIZES = (1, 2, 3, 5, 8, 12, 20, 35, 60)

Predict = Callable[[np.ndarray], np.ndarray]


class Fitted(NamedTuple):
    """The inputs kept, bool, shape (p,), and predictions from all p inputs."""

    support: np.ndarray
    predict: Predict


@dataclass(frozen=True)
class Method:
    """A method, whether it selects, and the packages that it needs."""

    fit: Callable[[Split, int], Fitted]
    selects: bool = True
    needs: tuple[str, ...] = ()


def indicators(data: Split) -> tuple[np.ndarray, np.ndarray]:
    """Targets as numbers, shape (m, q), of mean 0, and the classes: 1 or -1 for two, an indicator each for more."""
    classes = np.unique(data.y)
    if len(classes) == 2:
        return np.where(data.y == classes[1], 1.0, -1.0)[:, None], classes
    return (data.y[:, None] == classes).astype(float), classes


def named(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The class of the highest score; of one column that of its sign."""
    if scores.ndim == 1 or scores.shape[1] == 1:
        return classes[(scores.ravel() > 0).astype(int)]
    return classes[scores.argmax(axis=1)]


def of_some(estimator: BaseEstimator, data: Split, support: np.ndarray) -> Predict:
    """An estimator fitted to some inputs."""
    fitted = estimator.fit(data.X[:, support], data.y)
    return lambda X: fitted.predict(X[:, support])


def of_all(estimator: BaseEstimator, data: Split) -> Fitted:
    everything = np.ones(data.X.shape[1], dtype=bool)
    return Fitted(everything, of_some(estimator, data, everything))


# --- Models of all inputs -------------------------------------------------------------------------------------------


def linear(classes: bool) -> BaseEstimator:
    """Ridge regression, or logistic regression; the penalty by cross-validation."""
    if classes:
        return GridSearchCV(LogisticRegression(max_iter=1000), {"C": np.geomspace(1e-4, 1e4, 10)}, cv=N_FOLDS)
    return RidgeCV(PENALTIES)


def boosting(classes: bool, seed: int) -> BaseEstimator:
    """Gradient boosting with the defaults."""
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    return kind(random_state=seed)


def fit_linear(data: Split, seed: int) -> Fitted:
    return of_all(linear(data.classes), data)


def fit_boosting(data: Split, seed: int) -> Fitted:
    grid = {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [7, 31]}
    return of_all(GridSearchCV(boosting(data.classes, seed), grid, cv=N_FOLDS), data)


def fit_perceptron(data: Split, seed: int) -> Fitted:
    """One hidden layer of 100, the default; the targets are standardised too."""
    kind = MLPClassifier if data.classes else MLPRegressor
    search = GridSearchCV(kind(max_iter=1000, random_state=seed), {"alpha": [1e-2, 1.0]}, cv=N_FOLDS)
    if data.classes:
        return of_all(search, data)
    mean, spread = data.y.mean(), data.y.std()
    fitted = of_all(search, data._replace(y=(data.y - mean) / spread))
    return Fitted(fitted.support, lambda X: mean + spread * fitted.predict(X))


def fit_implicit(data: Split, seed: int) -> Fitted:
    kind = bi.ImplicitClassifier if data.classes else bi.ImplicitRegressor
    return of_all(kind(random_state=seed), data)


# --- Selectors ------------------------------------------------------------------------------------------------------


def select_implicit(data: Split, seed: int, **settings: Any) -> Fitted:
    """The selector, with its defaults but for tests, and the model that ``path.select()`` refits on what it keeps."""
    select = bi.ImplicitFeatureSelector(random_state=seed, **settings).fit(data.X, data.y)
    model = select.selection_.model
    if data.classes:
        classes = np.unique(data.y)
        return Fitted(select.support_, lambda X: named(np.asarray(model.predict(X)), classes))
    mean, spread = data.y.mean(), data.y.std()
    return Fitted(select.support_, lambda X: mean + spread * np.asarray(model.predict(X)).ravel())


def select_lasso(data: Split, seed: int) -> Fitted:
    """Inputs whose coefficients are not zero, at the alpha of the least error in cross-validation."""
    if not data.classes:
        lasso = LassoCV(cv=N_FOLDS).fit(data.X, data.y)
        return Fitted(lasso.coef_ != 0, lasso.predict)
    Y, classes = indicators(data)
    kind = MultiTaskLassoCV if Y.shape[1] > 1 else LassoCV
    lasso = kind(cv=N_FOLDS, max_iter=5000).fit(data.X, Y if Y.shape[1] > 1 else Y.ravel())
    return Fitted(np.atleast_2d(lasso.coef_).any(axis=0), lambda X: named(lasso.predict(X), classes))


def select_rfe(data: Split, seed: int) -> Fitted:
    """Recursive elimination by a linear model: one input at a time, a twentieth of many."""
    estimator = LogisticRegression(max_iter=1000) if data.classes else Ridge(1.0)
    rfe = RFECV(estimator, step=1 if data.X.shape[1] <= MANY else 0.05, cv=N_FOLDS).fit(data.X, data.y)
    return Fitted(rfe.support_, rfe.predict)


def select_forward(data: Split, seed: int) -> Fitted:
    """Forward steps of a linear model while they add 0.001 in cross-validation; of many inputs so many steps."""
    estimator = RidgeClassifier(1.0) if data.classes else Ridge(1.0)
    end = {"n_features_to_select": MOST_STEPS} if data.X.shape[1] > MANY else {"tol": 1e-3}
    support = SequentialFeatureSelector(estimator, cv=N_FOLDS, **end).fit(data.X, data.y).get_support()
    return Fitted(support, of_some(linear(data.classes), data, support))


def best_of_ranking(scores: np.ndarray, data: Split, seed: int) -> np.ndarray:
    """The inputs of the highest scores, as many as boosting predicts best from in cross-validation."""
    order = np.argsort(-scores, kind="stable")
    sizes = [k for k in SIZES if k < len(scores)] + [len(scores)]
    judge = boosting(data.classes, seed)
    found = [cross_val_score(clone(judge), data.X[:, order[:k]], data.y, cv=N_FOLDS).mean() for k in sizes]
    support = np.zeros(len(scores), dtype=bool)
    support[order[: sizes[int(np.argmax(found))]]] = True
    return support


def select_mutual_information(data: Split, seed: int) -> Fitted:
    score = mutual_info_classif if data.classes else mutual_info_regression
    support = best_of_ranking(score(data.X, data.y, random_state=seed), data, seed)
    return Fitted(support, of_some(boosting(data.classes, seed), data, support))


def select_forest(data: Split, seed: int) -> Fitted:
    kind = RandomForestClassifier if data.classes else RandomForestRegressor
    forest = kind(n_estimators=300, random_state=seed)
    support = best_of_ranking(clone(forest).fit(data.X, data.y).feature_importances_, data, seed)
    return Fitted(support, of_some(forest, data, support))


def select_lassonet(data: Split, seed: int) -> Fitted:
    """The model of the path that is best on a fifth of the rows to train on, which the path does not train on."""
    lassonet, torch = importlib.import_module("lassonet"), importlib.import_module("torch")
    torch.set_num_threads(1)
    kind = lassonet.LassoNetClassifier if data.classes else lassonet.LassoNetRegressor
    classes, y = np.unique(data.y, return_inverse=True)
    mean, spread = data.y.mean() if not data.classes else 0.0, data.y.std() if not data.classes else 1.0
    y = y if data.classes else ((data.y - mean) / spread)[:, None]
    stratify = y if data.classes else None
    X, X_val, y, y_val = train_test_split(data.X, y, test_size=0.2, random_state=seed, stratify=stratify)
    net = kind(hidden_dims=(100,), path_multiplier=1.05, verbose=0, torch_seed=seed)
    # The first is the dense start, which has every input by construction.
    path = net.path(X, y, X_val=X_val, y_val=y_val, return_state_dicts=True)[1:]

    def score(item: Any) -> float:
        predicted = net.load(item).predict(X_val)
        return float(np.mean(predicted == y_val)) if data.classes else float(r2_score(y_val, predicted))

    # Of equal scores the later, which has fewer inputs.
    best = max(enumerate(path), key=lambda pair: (score(pair[1]), pair[0]))[1]
    support = best.selected.numpy().astype(bool)
    net.load(best)
    if data.classes:
        return Fitted(support, lambda X: classes[np.asarray(net.predict(X))])
    return Fitted(support, lambda X: mean + spread * np.asarray(net.predict(X)).ravel())


METHODS = {
    "implicit": Method(fit_implicit, selects=False),
    "linear": Method(fit_linear, selects=False),
    "boosting": Method(fit_boosting, selects=False),
    "perceptron": Method(fit_perceptron, selects=False),
    "implicit selector": Method(select_implicit),
    "lasso": Method(select_lasso),
    "RFE": Method(select_rfe),
    "forward": Method(select_forward),
    "mutual information": Method(select_mutual_information),
    "random forest": Method(select_forest),
    "LassoNet": Method(select_lassonet, needs=("lassonet", "torch")),
}
