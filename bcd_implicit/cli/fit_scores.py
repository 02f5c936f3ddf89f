"""How well ``fit``'s model predicts, beside models that one has without this package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.table import Table as RichTable

import bcd_implicit as bi
from bcd_implicit.cli.columns import Columns
from bcd_implicit.experiments.scores import (
    Scores,
    accuracy,
    log_loss,
    logistic_on_all_columns,
    r2,
    ridge_on_all_columns,
)

#: As names of scores begin, and as the table calls the models.
MODELS = {
    "": "implicit model",
    "ridge_": "ridge, all columns",
    "logistic_": "logistic, all columns",
    "constant_": "no inputs",
}
ROWS = {"train": "training", "test": "held out"}
SCORES = {"r2": "R2", "d2": "D2", "accuracy": "accuracy", "log_loss": "log loss"}
#: Inputs and targets, each with a row a sample, by part of the rows; scores by model, part and kind.
_Parts = dict[str, tuple[np.ndarray, np.ndarray]]
_Found = dict[tuple[str, str, str], float]


@dataclass(frozen=True)
class FitScores:
    """Scores on the rows trained on and on those held out.

    Attributes
    ----------
    values : dict of str to float
        By names such as test_r2 and logistic_train_accuracy: the model, the rows and the score.
    """

    values: dict[str, float]

    @classmethod
    def of(cls, model: bi.ImplicitModel, loss: bi.Loss, columns: Columns, train: pd.Index, test: pd.Index) -> FitScores:
        """Of a model that takes raw inputs."""
        parts = {
            rows: (columns.inputs.loc[index].to_numpy(), columns.outputs.loc[index].to_numpy())
            for rows, index in (("train", train), ("test", test))
            if len(index)
        }
        score = _of_numbers if columns.classes is None else _of_classes
        found = score(model, loss, parts)
        return cls({f"{prefix}{rows}_{name}": value for (prefix, rows, name), value in found.items()})

    def table(self) -> RichTable:
        """For the terminal: a row a model, a column for each score on each part of the rows."""
        shown = RichTable()
        shown.add_column("model")
        columns = [(rows, score) for score in SCORES for rows in ROWS if f"{rows}_{score}" in self.values]
        for rows, score in columns:
            shown.add_column(f"{SCORES[score]}\n{ROWS[rows]}", justify="right")
        for prefix, name in MODELS.items():
            found = [self.values.get(f"{prefix}{rows}_{score}") for rows, score in columns]
            if any(value is not None for value in found):
                shown.add_row(name, *("-" if value is None or value != value else f"{value:.4f}" for value in found))
        return shown


def _of_numbers(model: bi.ImplicitModel, loss: bi.Loss, parts: _Parts) -> _Found:
    """R2 beside that of a ridge regression; or D2, which is measured from the best constant, and has means for none."""
    scores = {rows: Scores.of(loss, model.outputs(U), Y, False) for rows, (U, Y) in parts.items()}
    found: _Found = {("", rows, "d2"): score.d2 for rows, score in scores.items() if score.d2 is not None}
    if found:
        return found
    ridge = ridge_on_all_columns(*parts["train"])
    for rows, (U, Y) in parts.items():
        found["", rows, "r2"] = scores[rows].r2
        found["ridge_", rows, "r2"] = r2(Y, ridge.predict(U).reshape(Y.shape))
    return found


def _of_classes(model: bi.ImplicitModel, loss: bi.Loss, parts: _Parts) -> _Found:
    """Accuracy, and log loss if there are probabilities, beside those of a logistic regression and of the shares."""
    logistic, found = logistic_on_all_columns(*parts["train"]), _Found()
    shares = parts["train"][1].mean(axis=0)
    for rows, (U, Y) in parts.items():
        scores = Scores.of(loss, model.outputs(U), Y, True)
        if scores.accuracy is not None:
            found["", rows, "accuracy"] = scores.accuracy
        baselines = {"logistic_": logistic(U), "constant_": np.broadcast_to(shares, Y.shape)}
        for prefix, probabilities in baselines.items():
            found[prefix, rows, "accuracy"] = accuracy(Y, probabilities)
        if scores.log_loss is not None:
            found["", rows, "log_loss"] = scores.log_loss
            for prefix, probabilities in baselines.items():
                found[prefix, rows, "log_loss"] = log_loss(Y, probabilities)
    return found
