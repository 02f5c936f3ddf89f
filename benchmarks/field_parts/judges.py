"""How a choice of inputs is judged: by what others learn from it, and by the true inputs where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neural_network import MLPClassifier

from field_parts.methods import Choice
from field_parts.tables import Split

# Their settings, as far as they are not scikit-learn's defaults.
JUDGES: dict[str, tuple[type[BaseEstimator], dict[str, Any]]] = {
    "trees": (ExtraTreesClassifier, {"n_estimators": 500}),
    "network": (MLPClassifier, {"hidden_layer_sizes": (100,), "max_iter": 1000}),
}


def judge(choice: Choice, split: Split, true: Sequence[int], seed: int) -> dict[str, Any]:
    """Accuracies on what is held out, and the number of inputs, of true and of false ones."""
    support = choice.support
    row: dict[str, Any] = {"k": choice.k, "n_inputs": int(support.sum())}
    for name, (kind, settings) in JUDGES.items():
        # Without an input, the class that is most frequent.
        judging = kind(**settings, random_state=seed) if support.any() else DummyClassifier()
        judging.fit(split.U[:, support], split.classes)
        row[name] = float(judging.score(split.U_test[:, support], split.classes_test))
    if true:
        row["true"] = int(support[list(true)].sum())
        row["false"] = row["n_inputs"] - row["true"]
    row["support"] = "all" if support.all() else np.flatnonzero(support).tolist()
    return row
