"""Multilayer perceptrons of scikit-learn as implicit models."""

from __future__ import annotations

from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.graph import Graph
from bcd_implicit.networks.node import Node

# Under these names scikit-learn has what the package calls otherwise.
ACTIVATIONS = {"logistic": "sigmoid"}
LINKS = {"identity": "identity", "logistic": "logit", "softmax": "softmax", "exp": "log"}


def from_sklearn(estimator: Any) -> ImplicitModel:
    """The implicit model of a fitted multilayer perceptron.

    Parameters
    ----------
    estimator : MLPRegressor, MLPClassifier or Pipeline
        A pipeline must end in one of them; its earlier steps may be ``StandardScaler`` or ``MinMaxScaler``.

    Returns
    -------
    ImplicitModel
        For a regressor, the model's ``predict`` equals the regressor's. For a classifier, the model's ``response``
        equals ``predict_proba`` (with two classes, its second column). Names of features and classes are kept.

    Raises
    ------
    InvalidInputError
        An estimator of another kind, or one that is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> import bcd_implicit as bi
    >>> U, y = load_iris(return_X_y=True)
    >>> mlp = MLPClassifier((10, 5), max_iter=2000, random_state=0).fit(U, y)
    >>> model = bi.from_sklearn(mlp)
    >>> model.structure()
    Structure(n_states=15, depth=2, density=0.222)
    >>> bool(abs(model.response(U) - mlp.predict_proba(U)).max() < 1e-14)
    True
    """
    *scalers, mlp = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    if not isinstance(mlp, (MLPRegressor, MLPClassifier)):
        kind = type(mlp).__name__ if not isinstance(mlp, type) else f"the class {mlp.__name__}"
        raise InvalidInputError(
            "estimator", f"is {kind}", "Pass a fitted MLPRegressor or MLPClassifier, or a pipeline that ends in one"
        )
    try:
        check_is_fitted(mlp)
    except ValueError:
        raise InvalidInputError("estimator", f"this {type(mlp).__name__} is not fitted", "Call fit first") from None
    # Scalers take as many features as they give.
    graph = Graph(int(mlp.n_features_in_))
    node = graph.input
    for scaler in scalers:
        node = _scaled(node, scaler)
    *hidden, last = zip(mlp.coefs_, mlp.intercepts_, strict=True)
    for weight, bias in hidden:
        node = node.linear(weight.T, bias).activate(ACTIVATIONS.get(mlp.activation, mlp.activation))
    named = (step.feature_names_in_ for step in (*scalers, mlp) if hasattr(step, "feature_names_in_"))
    names = next(named, None)
    model = graph.build(
        node.linear(last[0].T, last[1]),
        link=LINKS[mlp.out_activation_],
        input_names=None if names is None else list(names),
        output_names=_classes(mlp) if isinstance(mlp, MLPClassifier) else None,
    )
    # scikit-learn's regressors of one target predict a vector.
    return model._copy(vector_output=True) if isinstance(mlp, MLPRegressor) and mlp.n_outputs_ == 1 else model


def _scaled(node: Node, scaler: Any) -> Node:
    if isinstance(scaler, StandardScaler):
        centred = node - scaler.mean_ if scaler.with_mean else node
        return centred / scaler.scale_ if scaler.with_std else centred
    if isinstance(scaler, MinMaxScaler) and not scaler.clip:
        return node * scaler.scale_ + scaler.min_
    if scaler is None or scaler == "passthrough":
        return node
    kind = f"{type(scaler).__name__} with clip" if isinstance(scaler, MinMaxScaler) else type(scaler).__name__
    raise InvalidInputError(
        "estimator", f"has the step {kind}", "Use StandardScaler or MinMaxScaler, or convert the perceptron alone"
    )


def _classes(mlp: MLPClassifier) -> list[str]:
    """The names of the outputs: the classes, of two the second, whose log odds the single output is."""
    one_output = mlp.out_activation_ == "logistic" and len(mlp.classes_) == 2 and mlp.n_outputs_ == 1
    return [str(label) for label in (mlp.classes_[1:] if one_output else mlp.classes_)]
